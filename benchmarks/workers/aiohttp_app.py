"""Requests to an aiohttp server in this process, over one connection kept open; the asking side is bare asyncio."""

from __future__ import annotations

import asyncio

from aiohttp import web

from benchmarks.workers.timing import Worker, measured, plan_of, report

_REQUEST = b"GET /hello HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: bench/1.0\r\n\r\n"


async def _hello(request: web.Request) -> web.Response:
    return web.Response(text="hello")


async def _start() -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    app = web.Application()
    app.router.add_get("/hello", _hello)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    _, port = runner.addresses[0][:2]
    return await asyncio.open_connection("127.0.0.1", port)


def main() -> None:
    """Measures the requests."""
    plan = plan_of(Worker(__doc__).parse_args())
    loop = asyncio.new_event_loop()
    reader, writer = loop.run_until_complete(_start())

    async def some(count: int) -> None:
        for _ in range(count):
            writer.write(_REQUEST)
            head = await reader.readuntil(b"\r\n\r\n")
            if not head.startswith(b"HTTP/1.1 200"):
                raise AssertionError(head)
            await reader.readexactly(len(b"hello"))

    report(measured(lambda count: loop.run_until_complete(some(count)), plan))


if __name__ == "__main__":
    main()
