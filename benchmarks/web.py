"""What clients ask: answers every request with ``hello``, at little cost (``python -m benchmarks.web``)."""

from __future__ import annotations

import asyncio
import sys

_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello"


class _Hello(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._waiting = b""

    def data_received(self, data: bytes) -> None:
        """Answers each whole request; none of them has a body."""
        self._waiting += data
        while b"\r\n\r\n" in self._waiting:
            self._waiting = self._waiting.partition(b"\r\n\r\n")[2]
            self._transport.write(_ANSWER)  # type: ignore[attr-defined]


async def _serve() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(_Hello, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    # Standard input ends when the bench does.
    await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(_serve())
