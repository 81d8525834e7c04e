"""Requests of one HTTP client to a small server in another process: ``--client NAME --url URL``."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from benchmarks.workers.timing import Plan, Worker, in_threads, measured, plan_of, report

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


def _requests(url: str, plan: Plan) -> dict[str, float]:
    import requests

    with requests.Session() as session:
        return measured(in_threads(lambda: session.get(url).content, 1), plan)


def _httpx(url: str, plan: Plan) -> dict[str, float]:
    import httpx

    with httpx.Client() as client:
        return measured(in_threads(lambda: client.get(url).content, 1), plan)


def _urllib3(url: str, plan: Plan) -> dict[str, float]:
    import urllib3

    with urllib3.PoolManager() as pool:
        return measured(in_threads(lambda: pool.request("GET", url).data, 1), plan)


def _urllib(url: str, plan: Plan) -> dict[str, float]:
    from urllib.request import urlopen

    def request() -> None:
        with urlopen(url) as response:
            response.read()

    return measured(in_threads(request, 1), plan)


def _httpx_async(url: str, plan: Plan) -> dict[str, float]:
    async def client() -> Any:
        import httpx

        return httpx.AsyncClient()

    return _in_loop(client, lambda made: made.get(url), lambda made: made.aclose(), plan)


def _aiohttp(url: str, plan: Plan) -> dict[str, float]:
    async def client() -> Any:
        import aiohttp

        return aiohttp.ClientSession()

    async def request(made: Any) -> None:
        async with made.get(url) as response:
            await response.read()

    return _in_loop(client, request, lambda made: made.close(), plan)


def _in_loop(
    client: Callable[[], Awaitable[Any]],
    request: Callable[[Any], Awaitable[Any]],
    close: Callable[[Any], Awaitable[Any]],
    plan: Plan,
) -> dict[str, float]:
    async def made() -> Any:
        return await client()

    async def some(count: int) -> None:
        for _ in range(count):
            await request(made_client)

    async def closed() -> None:
        await close(made_client)

    loop = asyncio.new_event_loop()
    made_client = loop.run_until_complete(made())
    try:
        return measured(lambda count: loop.run_until_complete(some(count)), plan)
    finally:
        loop.run_until_complete(closed())


_CLIENTS = {
    "requests": _requests,
    "httpx": _httpx,
    "httpx-async": _httpx_async,
    "urllib3": _urllib3,
    "urllib": _urllib,
    "aiohttp": _aiohttp,
}


def main() -> None:
    """Measures the client that the command line names."""
    worker = Worker(__doc__)
    worker.add_argument("--client", choices=_CLIENTS, required=True)
    worker.add_argument("--url", required=True)
    options = worker.parse_args()
    report(_CLIENTS[options.client](options.url, plan_of(options)))


if __name__ == "__main__":
    main()
