"""Running commands: what one took in all, a worker's own figures, a server while it serves."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.environments import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

LONGEST = 900
_SPAWN = str(Path(__file__).with_name("spawn.py"))
_TICK, _PAGE = os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGE_SIZE")


class Failed(Exception):  # noqa: N818 - it is an outcome
    """A command that is measured has failed; the last line that it wrote says why."""


@dataclass(frozen=True)
class Usage:
    """What a command took, from its launcher's start to its end."""

    wall_ms: float
    cpu_ms: float
    peak_kib: int


def run(command: list[str], variables: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Runs a command to its end, in the folder of the project."""
    return subprocess.run(
        command,
        env=dict(variables),
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LONGEST,
        check=False,
    )


def used(command: list[str], variables: Mapping[str, str]) -> Usage:
    """Runs a command to its end."""
    base = str(getattr(sys, "_base_executable", sys.executable))
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "report")
        done = run([base, "-I", "-S", _SPAWN, str(report), *command], variables)
        if not report.exists():
            raise Failed(_last_line(done.stderr))
        status, wall, cpu, peak = report.read_text(encoding="ascii").split()
    if status != "0":
        raise Failed(f"exit status {status}: {_last_line(done.stderr)}")
    return Usage(float(wall), float(cpu), int(peak))


def answer(command: list[str], variables: Mapping[str, str]) -> dict[str, float]:
    """Runs a worker; gives what it printed, which is its figures as JSON in the last line."""
    done = run(command, variables)
    if done.returncode:
        raise Failed(f"exit status {done.returncode}: {_last_line(done.stderr)}")
    try:
        figures: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    except (IndexError, ValueError):
        raise Failed(f"no figures: {_last_line(done.stderr)}") from None
    return figures


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or ["no word about it"])[-1]


@contextlib.contextmanager
def serving(command: list[str], port: int, variables: Mapping[str, str]) -> Iterator[int]:
    """A server, while a block runs; gives its process id. It has a session of its own, for :func:`cpu_of`."""
    with tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(
            command,
            env=dict(variables),
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            start_new_session=True,
        )
        try:
            if not _listens(process, port):
                errors.seek(0)
                raise Failed(f"no server: {_last_line(errors.read())}")
            yield process.pid
        finally:
            _stop(process)


def _listens(process: subprocess.Popen[bytes], port: int, seconds: float = 60) -> bool:
    until = time.monotonic() + seconds
    while time.monotonic() < until and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return True
        time.sleep(0.05)
    return False


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def cpu_of(session: int) -> float:
    """Seconds of CPU that all living processes of a session have used."""
    return sum(int(fields[11]) + int(fields[12]) for fields in _of_session(session)) / _TICK


def resident_of(session: int) -> float:
    """MiB of memory that all living processes of a session have, what they share counted in each."""
    return sum(int(fields[21]) for fields in _of_session(session)) * _PAGE / 2**20


def _of_session(session: int) -> Iterator[list[str]]:
    """What /proc says of each living process of a session: state, parent, group, session, ... (proc_pid_stat(5))."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            # The name in parentheses may hold anything.
            fields = stat.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
            if int(fields[3]) == session:
                yield fields


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    return port
