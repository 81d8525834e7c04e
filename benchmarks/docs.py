"""Makes docs/benchmarks.md of benchmarks/results.json: ``python -m benchmarks.docs``; a test compares them."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

from benchmarks.environments import ROOT
from benchmarks.peers import EVERYONE, PEERS
from benchmarks.results import FILE, Results, read
from benchmarks.rows import ROWS
from benchmarks.tables import HEADINGS, Line, lines

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE = ROOT / "docs" / "benchmarks.md"
# What was found out about the figures, by hand: where a goal is missed, a profile.
FINDINGS = FILE.with_name("findings.md")

_HEAD = """# Benchmarks

Made from `benchmarks/results.json` by `python -m benchmarks.docs`. `make bench` measures; `make bench-quick` shows the
headlines.

Bare Python's column is absolute. The others are held against it: `2.0×` is a ratio to it, `+50 µs` a difference, both
taken round by round, in which the peers take turns in rotated order, and the median of the rounds. Figures without
either are medians. CPU is that of the whole process tree, or of all threads; spans go to a receiver on loopback that
counts and drops them. Instructions hardly depend on what else a machine does; wall times and requests per second mean
little where the load average at the end of this page is above 1. Goals are tracerun's;
a time is a goal at one of bare Python's, the encoder's at one of the official encoder's, and grows with it on a slower
machine.
"""


def page(results: Results) -> str:
    """docs/benchmarks.md."""
    tables = [
        f"\n## {group}\n\n{_table(list(of_group))}"
        for group, of_group in groupby(lines(results, ROWS), lambda line: line.group)
    ]
    findings = FINDINGS.read_text(encoding="utf-8") if FINDINGS.exists() else ""
    return "".join([_HEAD, *tables, "\n" + findings if findings else "", "\n", _circumstances(results)])


def _table(of_group: list[Line]) -> str:
    head = [*HEADINGS, "met"]
    body = [[line.title, *line.cells, line.goal, _MARKS[line.met]] for line in of_group]
    return "".join(f"| {' | '.join(row)} |\n" for row in [head, ["---"] * len(head), *body])


_MARKS = {True: "yes", False: "**no**", None: ""}


def _circumstances(results: Results) -> str:
    dates = sorted({row["date"] for row in results.rows.values()})
    span = " to ".join(dict.fromkeys((dates[0], dates[-1]))) if dates else "never"
    loads = sorted(row["load"] for row in results.rows.values())
    facts = {**results.machine, "measured": span, "load average": f"{loads[0]} to {loads[-1]}" if loads else "unknown"}
    failures = [line for row in ROWS for line in _failures(results, row.name)]
    return "".join(
        [
            "## Where, and with what\n\n",
            *(f"* {name}: {fact}\n" for name, fact in facts.items()),
            "\n| | release | with |\n| --- | --- | --- |\n",
            *(_release(results, peer) for peer in EVERYONE),
            *(["\nRuns that failed:\n\n", *failures] if failures else []),
        ]
    )


def _failures(results: Results, row: str) -> Iterator[str]:
    for peer, why in results.rows.get(row, {}).get("failures", {}).items():
        yield f"* {row}, {peer}: {why}\n"


_TOLD = ("flask", "fastapi", "django", "grpcio", "requests", "httpx", "urllib3", "aiohttp", "uvicorn", "waitress")


def _release(results: Results, name: str) -> str:
    versions = results.versions.get(name, {})
    (peer,) = (peer for peer in PEERS if peer.name == name)
    libraries = [*_TOLD, "opentelemetry-api"]
    told = ", ".join(f"{library} {versions[library]}" for library in libraries if library in versions)
    return f"| {name} | {versions.get(peer.distribution, '')} | {told} |\n"


if __name__ == "__main__":
    PAGE.write_text(page(read()), encoding="utf-8")
