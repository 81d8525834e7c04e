"""``--list-instrumentations``: what can be traced in the target's environment, and why not where it is not.

Each library of the catalogue, then each package there that instruments something else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tracerun import entrypoints
from tracerun.cli import target
from tracerun.instrumentation.catalog import CATALOG
from tracerun.instrumentation.upstream import has_nothing_to_give, is_ours
from tracerun.settings import Settings
from tracerun.versions import outside

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tracerun.entrypoints import Instrumentor
    from tracerun.instrumentation.catalog import Library

STYLES = {
    "traced": "green",
    "not installed": "dim",
    "disabled": "yellow",
    "not touched": "yellow",
    "unsupported version": "red",
    "broken": "red",
}


class Row(NamedTuple):
    """One library."""

    name: str
    side: str
    installed: str
    supported: str
    state: str
    reason: str = ""


def list_them(words: list[str], env: Mapping[str, str]) -> int:
    """Prints the table for the interpreter that a command would run; gives the exit code."""
    found = target.of_command(words, env)
    versions = {"": found.version, **found.installed()}  # no distribution: it comes with Python
    settings = Settings.from_env(env)
    rows = [_of_library(library, versions, settings) for library in CATALOG]
    packages = entrypoints.instrumentors(found.paths, set())
    rows += [_of_package(package, versions, settings) for package in packages if not is_ours(package, CATALOG)]
    console = Console(highlight=False, soft_wrap=False)
    console.print(f"{found.python}  Python {found.version}", markup=False)
    table = Table(box=None, pad_edge=False)
    for heading in ("library", "side", "installed", "supported", "state"):
        table.add_column(heading, overflow="fold")
    for row in rows:
        shown = f"[{STYLES[row.state]}]{row.state}[/]" + (f" ({escape(row.reason)})" if row.reason else "")
        table.add_row(escape(row.name), row.side, row.installed or "-", escape(row.supported), shown)
    console.print(table)
    traced = sum(row.state == "traced" for row in rows)
    present = sum(bool(row.installed) for row in rows)
    console.print(f"{traced} traced, {present - traced} installed but not traced, {len(rows) - present} not installed")
    return 0


def _of_library(library: Library, versions: dict[str, str], settings: Settings) -> Row:
    installed = versions.get(target.normalised(library.distribution), "")
    supported = f"{library.distribution}{library.supported}" or "Python's own"
    row = Row(library.name, library.kind, installed, supported, "traced", library.note)
    why = _why_disabled(library.name, settings)
    if not installed:
        return row._replace(state="not installed", reason="")
    if library.untouched:
        return row._replace(state="not touched", reason=library.untouched)
    if why:
        return row._replace(state="disabled", reason=why)
    if outside(installed, library.minimum, library.below):
        return row._replace(state="unsupported version", reason=f"supported: {library.supported}")
    return row


def _of_package(package: Instrumentor, versions: dict[str, str], settings: Settings) -> Row:
    """What another package instruments; what instruments Python itself has no version."""
    needs = [text for texts in entrypoints.required(package.folder).values() for text in texts]
    shown = ", ".join(entrypoints.present(package.folder, versions)) if needs else versions[""]
    row = Row(package.name, "-", shown, ", ".join(needs) or "Python's own", "traced", f"by {package.package}")
    if not package.target:
        return row._replace(state="broken", reason=f"the entry point of {package.package} cannot be read")
    if not shown:
        return row._replace(state="not installed")
    why = _why_disabled(package.name, settings)
    if not why and has_nothing_to_give(package.name, settings):
        why = "makes no spans; metrics and logs are not exported"
    if why:
        return row._replace(state="disabled", reason=why)
    conflict = entrypoints.conflict(package.folder, lambda name: versions.get(name, ""))
    return row._replace(state="unsupported version", reason=f"{row.reason}: {conflict}") if conflict else row


def _why_disabled(name: str, settings: Settings) -> str:
    if settings.only and name not in settings.only:
        return "--only names others"
    if name in settings.disable or "*" in settings.disable:
        return "--disable, OTEL_PYTHON_DISABLED_INSTRUMENTATIONS"
    return ""
