"""Completion in bash, zsh and fish, by click's own means; loaded while a shell asks.

``_TRACERUN_COMPLETE=bash_source tracerun`` prints what a shell evaluates. Up to COMMAND the options complete, and the
values of those that have names; COMMAND is a command, and what follows it are files: its options are not ours.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from click.shell_completion import BashComplete, CompletionItem, FishComplete, ZshComplete, add_completion_class

from tracerun.environment import environment, search_path
from tracerun.errors import WrongUsage
from tracerun.instrumentation.catalog import CATALOG
from tracerun.instrumentation.upstream import NAMES
from tracerun.settings import CHILDREN, PROTOCOLS
from tracerun.values import EXPORTERS, PROPAGATORS, SAMPLERS

if TYPE_CHECKING:
    from collections.abc import Iterable

    import click

LIBRARIES = tuple(sorted({*(library.name for library in CATALOG), *NAMES}))
VALUES: dict[str, Iterable[str]] = {
    "exporter": EXPORTERS,
    "sampler": SAMPLERS,
    "propagators": PROPAGATORS,
    "protocol": PROTOCOLS,
    "children": CHILDREN,
    "only": LIBRARIES,
    "disable": LIBRARIES,
    "show": ("last",),
    "print_env": ("shell", "docker", "compose", "k8s", "json"),
}
SHELLS = ("bash", "zsh", "fish")
VARIABLE = "_TRACERUN_COMPLETE"
# Their values are lists with commas: the last one is completed.
LISTS = ("exporter", "propagators", "only", "disable")


def values(name: str, incomplete: str) -> list[CompletionItem]:
    """The values of an option that begin like this."""
    before, comma, last = incomplete.rpartition(",") if name in LISTS else ("", "", incomplete)
    taken = before.split(",")
    return [
        CompletionItem(before + comma + value)
        for value in VALUES.get(name, ())
        if value.startswith(last) and value not in taken
    ]


def commands(incomplete: str) -> list[CompletionItem]:
    """COMMAND: those on PATH that begin like this; a path is one too, where it has a slash in it."""
    found = set() if os.sep in incomplete else set(_on_path(incomplete))
    return [CompletionItem(name) for name in sorted(found)] or [CompletionItem(incomplete, type="file")]


def _on_path(incomplete: str) -> Iterable[str]:
    for folder in search_path().split(os.pathsep):
        try:
            names = os.listdir(folder or os.curdir)
        except OSError:
            continue
        yield from (name for name in names if name.startswith(incomplete) and _is_command(folder, name))


def _is_command(folder: str, name: str) -> bool:
    path = os.path.join(folder, name)
    return os.path.isfile(path) and os.access(path, os.X_OK)


def _joined(args: list[str]) -> list[str]:
    """The words as the program would get them: bash gives ``--exporter=otlp`` in three."""
    words: list[str] = []
    for index, word in enumerate(args):
        if word == "=" and words:
            if index + 1 < len(args):
                words[-1] += "="
        elif words and words[-1].startswith("--") and words[-1].endswith("="):
            words[-1] += word
        else:
            words.append(word)
    return words


class _ToCommand:
    """What click's classes have in common, but for all that follows COMMAND."""

    cli: click.Command

    def get_completions(self, args: list[str], incomplete: str) -> list[CompletionItem]:
        """Options of ours before COMMAND, files after it: also what looks like an option of ours is one of its own."""
        args = _joined(args)
        context = self.cli.make_context("tracerun", list(args), resilient_parsing=True)
        if context.params["words"]:
            return [CompletionItem(incomplete, type="file")]
        found: list[CompletionItem] = super().get_completions(args, incomplete)  # type: ignore[misc]
        return found


def install() -> None:
    """Makes them the classes that click takes."""
    _check()
    for kind in (BashComplete, ZshComplete, FishComplete):
        made: Any = type(kind.__name__, (_ToCommand, kind), {})
        add_completion_class(made)


def _check() -> None:
    """Refuses what no shell asks."""
    asked = environment()[VARIABLE]
    shell, _, what = asked.partition("_")
    if shell not in SHELLS or what not in ("source", "complete"):
        raise WrongUsage(f"{VARIABLE}={asked}: allowed: {', '.join(f'{name}_source' for name in SHELLS)}")
    if what == "complete" and "COMP_WORDS" not in environment():
        raise WrongUsage(f"{VARIABLE}={asked} is set by a shell that completes, which sets COMP_WORDS too")
