"""A child that multiprocessing has started afresh: what its parent has told it, until the set-up.

The other end is ``agent.child_processes``.
"""

from __future__ import annotations

import sys

from tracerun.agent.guard import guarded

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any

# The key among multiprocessing's own, which pass over it where tracerun is not there to take it out.
KEY = "tracerun"
_GUARD = guarded("the context of a child process")


class Prepared:
    """The variables that say where this process belongs, as the parent has handed them over."""

    fields: dict[str, str] | None = None


def on_import(spawn: ModuleType) -> None:
    """``multiprocessing.spawn`` has been imported: in a child its next step is to prepare the process."""
    original = vars(spawn)["prepare"]

    def prepare(data: dict[str, Any]) -> None:
        with _GUARD:
            Prepared.fields = data.pop(KEY, None)
            ambient = sys.modules.get("tracerun.agent.ambient")
            if Prepared.fields and ambient is not None:
                ambient.take(Prepared.fields, in_environment=False)
        original(data)

    prepare.__doc__, prepare.__module__ = original.__doc__, original.__module__
    spawn.prepare = prepare  # type: ignore[attr-defined]
