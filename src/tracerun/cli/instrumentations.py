"""``--list-instrumentations``: what is traced in a target's environment, as a table or as JSON.

The JSON is documented in docs/list-instrumentations.md; what is there keeps its meaning while ``SCHEMA`` is the same.
"""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING

from tracerun import __version__
from tracerun.cli import target
from tracerun.cli.execute import find
from tracerun.cli.isolation import REASONS
from tracerun.cli.listing import ABSENT, DISABLED, FAILED, MISSING, TRACED, UNABLE, UNSUPPORTED, Listing, counts
from tracerun.interpreter import behind, options
from tracerun.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.console import Console

    from tracerun.cli.listing import Row
    from tracerun.cli.target import Target

SCHEMA = 1
STYLES = {
    TRACED: "green",
    ABSENT: "dim",
    DISABLED: "yellow",
    MISSING: "yellow",
    UNABLE: "red",
    UNSUPPORTED: "red",
    FAILED: "red",
}
# So that nothing is folded where a line is read by a program.
_WIDTH_OF_A_FILE = 1000


def list_them(
    words: list[str], env: Mapping[str, str], sources: Mapping[str, str], *, everything: bool, as_json: bool
) -> int:
    """Prints the rows for the interpreter that a command would run; gives the exit code.

    Args:
        words: The command; may be empty.
        env: The environment with the options in it.
        sources: What has set a variable, where that is an option or pyproject.toml.
        everything: Whether what is not installed stands in the table.
        as_json: Whether JSON is printed, in which it always stands.
    """
    found = target.of_command(words, env)
    listing = Listing(found, Settings.from_env(env), _kept_out(words, env), sources)
    rows = listing.rows()
    if as_json:
        sys.stdout.write(_as_json(found, listing.unable, rows))
    else:
        _print_table(found, listing.unable, rows, everything=everything)
    return 0


def _kept_out(words: list[str], env: Mapping[str, str]) -> str:
    """The option of Python on the command line that keeps the agent out, if there is one."""
    if not words:
        return ""
    python = behind(find(words[0], env.get("PATH", os.defpath)), words)
    letters = options(python[1:])[0] if python else ""
    return next((f"python -{letter} {REASONS[letter]}" for letter in letters if letter in REASONS), "")


def _as_json(found: Target, unable: str, rows: list[Row]) -> str:
    document = {
        "schema": SCHEMA,
        "tracerun": __version__,
        "python": found.python,
        "python_version": found.version,
        "cannot_be_traced": unable or None,
        "libraries": [{key: value or None for key, value in row._asdict().items()} for row in rows],
        "summary": counts(rows),
    }
    return json.dumps(document, indent=2) + "\n"


def _print_table(found: Target, unable: str, rows: list[Row], *, everything: bool) -> None:
    # Not for JSON: these take as long to load as all the rest.
    from rich.markup import escape  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415

    from tracerun import terminal  # noqa: PLC0415

    console = terminal.console(highlight=False, width=None if sys.stdout.isatty() else _WIDTH_OF_A_FILE)
    console.print(f"{found.python}  Python {found.version}", markup=False, soft_wrap=True)
    if unable:
        console.print(f"nothing is traced there: {unable}", style="red", markup=False, soft_wrap=True)
    table = Table(box=None, pad_edge=False)
    for heading in ("library", "side", "installed", "supported", "state"):
        table.add_column(heading, overflow="fold")
    for row in rows:
        if everything or row.state != ABSENT:
            shown = f"[{STYLES[row.state]}]{row.state}[/]" + (f" ({escape(row.reason)})" if row.reason else "")
            table.add_row(escape(row.name), row.side or "-", row.installed or "-", escape(row.supported), shown)
    console.print(table)
    _print_end(console, rows)


def _print_end(console: Console, rows: list[Row]) -> None:
    """What to install, on lines that can be copied; and the summary."""
    for row in rows:
        if row.fix:
            console.print(f"to trace {row.name}: {row.fix}", markup=False, soft_wrap=True)
    number = {state: count for state, count in counts(rows).items() if count or state == TRACED}
    console.print(", ".join(f"{count} {state}" for state, count in number.items()), soft_wrap=True)
