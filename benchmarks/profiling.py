"""Where the cost goes: ``python -m benchmarks.profiling WORKER [ARGUMENTS...]`` profiles a worker under tracerun.

The workers are the modules of ``benchmarks.workers``. Shares are of what is not the program's and its library's own;
a profiler makes short functions look dearer than they are, so they tell where to look, not how much there is to gain.
"""

from __future__ import annotations

import argparse
import pstats
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks import bench
from benchmarks.environments import alone, environment
from benchmarks.peers import TRACERUN
from benchmarks.processes import answer

_SHOWN = 30
# The first whose words are in a file's path has it.
_LAYERS = (
    ("tracerun, instrumentation", "/tracerun/", "instrumentation"),
    ("tracerun, export", "/tracerun/", "export"),
    ("tracerun, the rest", "/tracerun/", ""),
    ("OpenTelemetry's SDK", "/opentelemetry/sdk/", ""),
    ("OpenTelemetry's API", "/opentelemetry/", ""),
)


def main() -> None:
    """Profiles, and shows layers and functions."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.profiling", description=__doc__)
    parser.add_argument("worker")
    parser.add_argument("arguments", nargs=argparse.REMAINDER)
    options = parser.parse_args()
    with alone(), tempfile.TemporaryDirectory() as folder, bench.running(quick=True) as running:
        made = environment(TRACERUN)
        out = str(Path(folder, "profile"))
        words = [word.replace("{port}", str(running.web_port)) for word in options.arguments]
        command = made.command("-m", "cProfile", "-o", out, "-m", f"benchmarks.workers.{options.worker}", *words)
        answer(command, made.variables(running.endpoint))
        functions = pstats.Stats(out).stats  # type: ignore[attr-defined]
    _show(functions)


def _show(functions: dict[tuple[str, int, str], Any]) -> None:
    ours = [(own, layer, *where) for where, (_, _, own, *_) in functions.items() if (layer := layer_of(where[0]))]
    total = sum(own for own, *_ in ours) or 1.0
    for name, *_ in _LAYERS:
        sys.stdout.write(f"{sum(own for own, layer, *_ in ours if layer == name) / total:6.1%}  {name}\n")
    sys.stdout.write("\n")
    for own, _, file, line, function in sorted(ours, reverse=True)[:_SHOWN]:
        sys.stdout.write(f"{own / total:6.1%}  {'/'.join(Path(file).parts[-2:])}:{line} {function}\n")


def layer_of(file: str) -> str | None:
    """Whose a function is, by its file; None where it is the program's or a library's."""
    for name, *words in _LAYERS:
        if all(word in file for word in words):
            return name
    return None


if __name__ == "__main__":
    main()
