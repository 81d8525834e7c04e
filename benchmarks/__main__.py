"""``python -m benchmarks``: measures, and shows one table; a full run is kept in benchmarks/results.json."""

from __future__ import annotations

import argparse
import sys
from contextlib import suppress
from fnmatch import fnmatch
from subprocess import TimeoutExpired
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from benchmarks import bench, results
from benchmarks.environments import ROOT, alone, environment
from benchmarks.figures import rotated
from benchmarks.measures import load_average
from benchmarks.peers import EVERYONE, PEERS
from benchmarks.processes import Failed
from benchmarks.rows import ROWS
from benchmarks.tables import HEADINGS, lines

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.progress import TaskID

    from benchmarks.bench import Bench
    from benchmarks.environments import Environment
    from benchmarks.figures import Sample
    from benchmarks.rows import Row

_QUIET = 1.0
_WIDE = 170
_MARKS = {True: " [green]✓[/]", False: " [red]✗[/]", None: ""}


def main() -> None:
    """Runs the bench as the command line has it."""
    options = _options()
    console = Console()
    if not console.is_terminal:
        console = Console(width=_WIDE)
    rows = [row for row in ROWS if _wanted(row, options)]
    if not rows:
        sys.exit(f"no such row; there are {', '.join(row.name for row in ROWS)}")
    if load_average() > _QUIET:
        console.print(
            f"[yellow]This machine is busy (load {load_average():.1f}): wall times will not be worth much.[/]"
        )
    with alone():
        found = _measured(rows, options, console)
    console.print(_table(found, rows))
    if options.save:
        results.write(found)
        console.print(f"kept in {results.FILE.relative_to(ROOT)}; python -m benchmarks.docs writes the page")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measures what being traced costs.")
    parser.add_argument("--quick", action="store_true", help="the headline rows, in a few minutes")
    parser.add_argument("--rows", action="append", metavar="PATTERN", help="these rows alone, as 'flask*'; repeatable")
    parser.add_argument("--peers", action="append", choices=EVERYONE[1:], help="these beside bare Python; repeatable")
    parser.add_argument("--rounds", type=int, metavar="N", help="so many for each row")
    parser.add_argument("--save", action=argparse.BooleanOptionalAction, help="keep the results [unless --quick]")
    options = parser.parse_args()
    # Half of the peers would take the others' figures away.
    options.save = not (options.quick or options.peers) if options.save is None else options.save
    return options


def _wanted(row: Row, options: argparse.Namespace) -> bool:
    if options.rows:
        return any(fnmatch(row.name, pattern) for pattern in options.rows)
    return row.quick > 0 or not options.quick


def _measured(rows: Sequence[Row], options: argparse.Namespace, console: Console) -> results.Results:
    chosen = [peer for peer in PEERS if not options.peers or peer.name in (EVERYONE[0], *options.peers)]
    with console.status("virtual environments"):
        environments = {peer.name: environment(peer) for peer in chosen}
    found = results.read() if options.save else results.Results()
    found.machine = results.machine()
    found.versions |= {name: made.versions() for name, made in environments.items()}
    total = sum(_rounds(row, options) * len(_peers(row, environments)) for row in rows)
    columns = [TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()]
    bar = Progress(*columns, TimeRemainingColumn(), console=console)
    # Ctrl-C ends it with what there is; what has been measured is kept whatever comes.
    with suppress(KeyboardInterrupt), bench.running(quick=options.quick) as running, bar:
        task = bar.add_task("", total=total)
        for row in rows:
            found.keep(row.name, *_row(running, row, environments, _rounds(row, options), (bar, task)))
            if options.save:
                results.write(found)
    return found


def _rounds(row: Row, options: argparse.Namespace) -> int:
    if options.rounds:
        return int(options.rounds)
    return max(1, row.quick) if options.quick else row.rounds


def _peers(row: Row, environments: dict[str, Environment]) -> list[str]:
    return [name for name in row.peers if name in environments]


def _row(
    running: Bench, row: Row, environments: dict[str, Environment], rounds: int, progress: tuple[Progress, TaskID]
) -> tuple[dict[str, list[Sample | None]], dict[str, str]]:
    """Measures a row: its peers take turns, another one first in each round."""
    bar, task = progress
    peers = _peers(row, environments)
    samples: dict[str, list[Sample | None]] = {name: [] for name in peers}
    failures: dict[str, str] = {}
    for turn in range(rounds):
        for name in rotated(peers, turn):
            bar.update(task, description=f"{row.name}: {name}")
            try:
                samples[name].append(row.measure(running, environments[name], turn))
            except (Failed, TimeoutExpired, OSError) as problem:
                samples[name].append(None)
                failures[name] = str(problem)
                bar.console.print(f"[red]{row.name}, {name}: {problem}[/]")
            bar.advance(task)
    return samples, failures


def _table(found: results.Results, rows: Sequence[Row]) -> Table:
    table = Table(*HEADINGS, header_style="bold", pad_edge=False)
    for column in table.columns[1:]:
        column.justify = "right"
    group = ""
    for line in lines(found, rows):
        if line.group != group:
            table.add_section()
            group = line.group
        table.add_row(line.title, *line.cells, line.goal + _MARKS[line.met])
    return table


if __name__ == "__main__":
    main()
