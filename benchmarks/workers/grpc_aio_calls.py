"""Unary calls of grpc.aio, client and server in one process and one event loop, of plain bytes."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
from grpc import aio

from benchmarks.workers.timing import Worker, measured, plan_of, report


async def _say(request: bytes, context: object) -> bytes:
    return request


async def _start() -> tuple[Any, Any]:
    server = aio.server()
    methods = {"Say": grpc.unary_unary_rpc_method_handler(_say)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("bench.Echo", methods),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    return server, aio.insecure_channel(f"127.0.0.1:{port}")


def main() -> None:
    """Measures the calls."""
    plan = plan_of(Worker(__doc__).parse_args())
    loop = asyncio.new_event_loop()
    server, channel = loop.run_until_complete(_start())
    say = channel.unary_unary("/bench.Echo/Say")

    async def some(count: int) -> None:
        for _ in range(count):
            await say(b"hello")

    async def stop() -> None:
        await channel.close()
        await server.stop(None)

    report(measured(lambda count: loop.run_until_complete(some(count)), plan))
    loop.run_until_complete(stop())


if __name__ == "__main__":
    main()
