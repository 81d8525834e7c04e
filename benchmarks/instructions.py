"""Instructions that a command takes in user space: by perf, or by valgrind. They hardly vary where time does."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.processes import Failed, run

if TYPE_CHECKING:
    from collections.abc import Mapping

    from benchmarks.environments import Environment

_PERF = ("perf", "stat", "-x,", "-e", "instructions:u")
_FEW, _MANY = 2_000, 8_000
_EXEC_IS_THE_END = str(Path(__file__).with_name("exec_is_the_end.py"))


@cache
def counter() -> str:
    """What counts here: perf, valgrind, or nothing."""
    if shutil.which("perf"):
        done = run([*_PERF, "true"], os.environ)
        if done.returncode == 0 and _perf_count(done.stderr):
            return "perf"
    return "valgrind" if shutil.which("valgrind") else ""


def count(environment: Environment, words: list[str], variables: Mapping[str, str]) -> float | None:
    """Millions of instructions of Python with these arguments under a peer's launcher, launcher included."""
    if counter() == "perf":
        return _by_perf(environment.command(*words), variables) / 1e6
    if counter() == "valgrind":
        return _by_valgrind(environment, words, variables) / 1e6
    return None


def per_request(command: list[str], variables: Mapping[str, str]) -> float | None:
    """Thousands of instructions of one request of a worker, on all threads; the rest of its run is taken off.

    By perf alone: under valgrind a worker would take minutes.
    """
    if counter() != "perf":
        return None
    few, many = (_by_perf([*command, "--requests", str(count)], variables) for count in (_FEW, _MANY))
    return (many - few) / (_MANY - _FEW) / 1e3


def _by_perf(command: list[str], variables: Mapping[str, str]) -> int:
    done = run([*_PERF, *command], variables)
    found = _perf_count(done.stderr)
    if found is None:
        raise Failed("perf has counted nothing")
    return found


def _perf_count(said: str) -> int | None:
    match = re.search(r"^(\d+),,instructions", said, re.MULTILINE)
    return int(match[1]) if match else None


def _by_valgrind(environment: Environment, words: list[str], variables: Mapping[str, str]) -> int:
    """The launcher and its target apart: what callgrind has counted is gone after an exec."""
    launcher = environment.launched()
    if not launcher:
        return _callgrind([environment.python, *words], variables)
    # What the launcher gives to its command is what a command says that prints its environment.
    shown = run([*launcher, shutil.which("env") or "/usr/bin/env", "-0"], variables).stdout
    given = dict(pair.split("=", 1) for pair in shown.split("\0") if "=" in pair)
    before = _callgrind([environment.python, _EXEC_IS_THE_END, *launcher, "/bin/true"], variables)
    return before + _callgrind([environment.python, *words], given)


def _callgrind(command: list[str], variables: Mapping[str, str]) -> int:
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "callgrind.out")
        run(["valgrind", "--tool=callgrind", f"--callgrind-out-file={out}", *command], variables)
        match = re.search(r"^(?:summary|totals): (\d+)", out.read_text(encoding="utf-8"), re.MULTILINE)
    if match is None:
        raise Failed("callgrind has counted nothing")
    return int(match[1])
