"""Requests by urllib3 that each open a connection: to many hosts, or each by a client object of its own."""

from __future__ import annotations

import itertools
import os
import socket
import struct
from pathlib import Path
from typing import TYPE_CHECKING, Any

import urllib3

from benchmarks.workers.timing import Worker, in_threads, measured, plan_of, report

if TYPE_CHECKING:
    from collections.abc import Callable

# A connection is gone at once when it is closed: no port waits for its last packets.
_GONE_AT_ONCE = [(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))]
_PAGE_MIB = os.sysconf("SC_PAGE_SIZE") / 2**20


def to_hosts(count: int, port: int) -> Callable[[], object]:
    """What makes requests to so many hosts, in turn; a pool for one host keeps none of their connections."""
    pool = urllib3.PoolManager(num_pools=1, socket_options=_GONE_AT_ONCE)
    turns = itertools.cycle([f"http://host{number}.example:{port}/hello" for number in range(count)])
    return lambda: pool.request("GET", next(turns)).data


def _resolve_to_loopback() -> None:
    resolve: Any = socket.getaddrinfo
    socket.getaddrinfo = lambda host, *more, **named: resolve("127.0.0.1", *more, **named)


def growth(requests: int, url: str) -> dict[str, float]:
    """How memory has grown from a tenth of the requests to their end, in MiB."""
    early = 0.0
    for number in range(requests):
        if number == requests // 10:
            early = _resident()
        with urllib3.PoolManager(socket_options=_GONE_AT_ONCE) as client:
            if client.request("GET", url).data != b"hello":
                raise AssertionError(url)
    return {"growth_mib": _resident() - early, "resident_mib": _resident(), "requests": requests}


def _resident() -> float:
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * _PAGE_MIB


def main() -> None:
    """Measures what the command line names."""
    worker = Worker(__doc__)
    worker.add_argument("--port", type=int, required=True)
    worker.add_argument("--hosts", type=int, nargs="*", default=())
    worker.add_argument("--objects", type=int, default=0)
    options = worker.parse_args()
    figures: dict[str, float] = {}
    if options.objects:
        figures |= growth(options.objects, f"http://127.0.0.1:{options.port}/hello")
    if options.hosts:
        _resolve_to_loopback()
    for count in options.hosts:
        figures |= measured(in_threads(to_hosts(count, options.port), 1), plan_of(options), f"@{count}")
    report(figures)


if __name__ == "__main__":
    main()
