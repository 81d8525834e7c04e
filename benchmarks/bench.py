"""What all rows share while the bench runs: the processes beside the measured ones, and how thoroughly to measure."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.request import urlopen

from benchmarks.environments import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True)
class Bench:
    """One run of the bench.

    Attributes:
        quick: Whether shorter batches will do.
        endpoint: The receiver's URL.
        web_port: Of the server that clients ask.
        refused: A URL where nobody listens.
        black_hole: A URL where connections are taken, and nothing is ever read.
    """

    quick: bool
    endpoint: str
    web_port: int
    refused: str
    black_hole: str

    @property
    def plan(self) -> tuple[str, ...]:
        """Options of the workers."""
        return ("--seconds", "0.5", "--batches", "2") if self.quick else ("--seconds", "1", "--batches", "3")

    def arrived(self, settle: float = 0.0) -> int:
        """How many spans the receiver has got since it was asked before.

        Args:
            settle: Seconds that it may still be busy.
        """
        time.sleep(settle)
        with urlopen(f"{self.endpoint}/count") as response:
            return int(json.load(response)["spans"])


@contextlib.contextmanager
def running(*, quick: bool) -> Iterator[Bench]:
    """A bench with its processes, while a block runs."""
    with _process("benchmarks.receiver") as receiver, _process("benchmarks.web") as web, _silent() as black_hole:
        with socket.create_server(("127.0.0.1", 0)) as server:
            refused = server.getsockname()[1]
        local = "http://127.0.0.1:"
        yield Bench(quick, f"{local}{receiver}", web, f"{local}{refused}", f"{local}{black_hole}")


@contextlib.contextmanager
def _process(module: str) -> Iterator[int]:
    """A process of the bench's own that prints its port, and ends when its standard input does."""
    command = [sys.executable, "-m", module]
    process: subprocess.Popen[Any]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        try:
            yield int(process.stdout.readline())
        finally:
            process.stdin.close()
            process.wait(10)


@contextlib.contextmanager
def _silent() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0), backlog=128) as server:
        yield server.getsockname()[1]
