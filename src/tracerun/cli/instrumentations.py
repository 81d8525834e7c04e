"""``--list-instrumentations``: each library of the catalogue in the target's environment, traced or why not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from tracerun.cli import target
from tracerun.instrumentation.catalog import CATALOG
from tracerun.settings import Settings
from tracerun.versions import outside

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tracerun.instrumentation.catalog import Library

STYLES = {"traced": "green", "not installed": "dim", "disabled": "yellow", "unsupported version": "red"}


def list_them(words: list[str], env: Mapping[str, str]) -> int:
    """Prints the table for the interpreter that a command would run; gives the exit code."""
    found = target.of_command(words, env)
    versions = found.installed()
    settings = Settings.from_env(env)
    rows = [_row(library, versions, settings) for library in CATALOG]
    console = Console(highlight=False, soft_wrap=False)
    console.print(f"{found.python}  Python {found.version}", markup=False)
    table = Table(box=None, pad_edge=False)
    for heading in ("library", "side", "installed", "supported", "state"):
        table.add_column(heading, overflow="fold")
    for library, installed, state, reason in rows:
        shown = f"[{STYLES[state]}]{state}[/]" + (f" ({reason})" if reason else "")
        table.add_row(library.name, library.kind, installed or "-", f"{library.distribution}{library.supported}", shown)
    console.print(table)
    traced = sum(state == "traced" for _, _, state, _ in rows)
    present = sum(bool(installed) for _, installed, _, _ in rows)
    console.print(f"{traced} traced, {present - traced} installed but not traced, {len(rows) - present} not installed")
    return 0


def _row(library: Library, versions: dict[str, str], settings: Settings) -> tuple[Library, str, str, str]:
    installed = versions.get(target.normalised(library.distribution), "")
    if not installed:
        return library, installed, "not installed", ""
    if settings.only and library.name not in settings.only:
        return library, installed, "disabled", "--only names others"
    if library.name in settings.disable or "*" in settings.disable:
        return library, installed, "disabled", "--disable, OTEL_PYTHON_DISABLED_INSTRUMENTATIONS"
    if outside(installed, library.minimum, library.below):
        return library, installed, "unsupported version", f"supported: {library.supported}"
    return library, installed, "traced", library.note
