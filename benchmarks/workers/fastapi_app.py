"""Requests to a FastAPI application, in process: its ASGI callable, as a server calls it; or under a server."""

from __future__ import annotations

import asyncio
from typing import Any

from fastapi import FastAPI

from benchmarks.workers.timing import Worker, measured, plan_of, report

app = FastAPI()


@app.get("/hello")
async def hello() -> str:
    """What is asked for."""
    return "hello"


_SCOPE = {
    "type": "http",
    "asgi": {"version": "3.0", "spec_version": "2.3"},
    "http_version": "1.1",
    "method": "GET",
    "scheme": "http",
    "path": "/hello",
    "raw_path": b"/hello",
    "query_string": b"",
    "root_path": "",
    "headers": [(b"host", b"127.0.0.1:8000"), (b"user-agent", b"bench/1.0"), (b"accept", b"*/*")],
    "client": ("127.0.0.1", 50000),
    "server": ("127.0.0.1", 8000),
}


async def _receive() -> dict[str, Any]:
    return {"type": "http.request", "body": b"", "more_body": False}


async def _send(message: Any) -> None:
    if message.get("status", 200) != 200:
        raise AssertionError(message)


async def _some(count: int) -> None:
    for _ in range(count):
        await app({**_SCOPE, "headers": list(_SCOPE["headers"]), "state": {}}, _receive, _send)


def main() -> None:
    """Measures the application in one event loop."""
    plan = plan_of(Worker(__doc__).parse_args())
    loop = asyncio.new_event_loop()
    report(measured(lambda count: loop.run_until_complete(_some(count)), plan))


if __name__ == "__main__":
    main()
