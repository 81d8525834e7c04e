"""Figures as text: one line for each, for the terminal and for docs/benchmarks.md alike."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from benchmarks.figures import BARE, figure
from benchmarks.peers import EVERYONE, TRACERUN

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from benchmarks.figures import Form
    from benchmarks.goals import Goal
    from benchmarks.results import Results
    from benchmarks.rows import Figure, Row

HEADINGS = ("", *EVERYONE, "goal")
_SMALL, _LARGE = 10, 1_000


class Line(NamedTuple):
    """One figure of everyone.

    Attributes:
        title: What it is.
        cells: One for each peer, in their order.
        goal: What tracerun is to reach.
        met: Whether it does; None without a goal or a figure.
        group: The heading it stands under.
    """

    title: str
    cells: tuple[str, ...]
    goal: str
    met: bool | None
    group: str


def lines(results: Results, rows: Sequence[Row]) -> Iterator[Line]:
    """The lines of those rows that were measured."""
    for row in rows:
        if row.name in results.rows:
            for one in row.figures:
                line = _line(results, row, one)
                if any(line.cells):
                    yield line


def _line(results: Results, row: Row, one: Figure) -> Line:
    samples, goal = results.samples(row.name), row.goal(one)
    cells = []
    for peer in EVERYONE:
        # Bare Python's own is absolute: what the others' are held against.
        form: Form = "value" if peer == BARE else one.form
        found = None if peer == BARE and one.form == "growth" else figure(samples, peer, one.metric, form, one.against)
        cells.append("" if found is None else shown(found, form, one.unit))
    own = figure(samples, TRACERUN.name, one.metric, one.form, one.against)
    other = figure(samples, goal.beside, one.metric, "value", one.against) if goal is not None and goal.at else None
    met = None if goal is None or own is None else goal.met(own, other)
    return Line(one.title, tuple(cells), _goal(goal, one), met, row.group)


def shown(value: float, form: Form, unit: str) -> str:
    """A figure as it stands in a table."""
    if form in ("ratio", "growth"):
        return f"{number(value)}×"
    text = f"{'+' if form == 'added' and value >= 0 else ''}{number(value)}"
    return text if unit == "" else f"{text}{unit}" if unit.startswith("/") else f"{text} {unit}"


def number(value: float) -> str:
    """Two or three significant digits."""
    size = abs(value)
    if size >= _LARGE:
        return f"{value:,.0f}"
    return f"{value:.0f}" if size >= 10 * _SMALL else f"{value:.1f}" if size >= _SMALL else f"{value:.2f}"


def _goal(goal: Goal | None, one: Figure) -> str:
    if goal is None:
        return ""
    whose = "" if goal.beside == BARE else f" of {goal.beside}"
    at = f" at {shown(goal.at, 'value', one.unit)}{whose}" if goal.at else ""
    return f"{'≥' if goal.at_least else '≤'} {shown(goal.bound, one.form, one.unit)}{at}"
