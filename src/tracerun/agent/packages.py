"""Looks for packages that instrument something, as late and as little as can be.

- At the program's first import of something that is not the standard library's: those whose name says what they are.
  It costs one listing of each folder of ``sys.path``, which the import makes as well.
- Once the SDK is set up: all others, by reading every package's entry points; unless what they build upon,
  ``opentelemetry.instrumentation``, is not there. In an environment of 200 packages that reading takes 3 ms.

Where there is none, and that is nearly everywhere, nothing else is loaded.
"""

from __future__ import annotations

import os
import sys
from _frozen_importlib_external import PathFinder

from tracerun import entrypoints

BASE = "opentelemetry.instrumentation"
# The packages that have been read.
_SEEN: set[str] = set()


def _paths() -> list[str]:
    """Where packages may lie: not among the standard library, whose folders are long."""
    library = os.path.dirname(getattr(os, "__file__", ""))
    return [path for path in sys.path if path not in (library, os.path.join(library, "lib-dynload"))]


def at_first_import(first: str) -> None:
    """The packages are found before the import of what they instrument; this import is the first that may be."""
    found = list(entrypoints.instrumentors(_paths(), _SEEN, wanted=entrypoints.is_telling))
    if found:
        from tracerun.agent import upstream  # noqa: PLC0415 - only where there is one

        upstream.wait_for(found, first)


def at_first_use() -> None:
    """After the set-up: what has no library to wait for is activated now."""
    found = list(entrypoints.instrumentors(_paths(), _SEEN)) if _can_be_any() else []
    if found or "tracerun.agent.upstream" in sys.modules:
        from tracerun.agent import upstream  # noqa: PLC0415 - as above

        upstream.wait_for(found, "")
        upstream.activate_the_rest()


def _can_be_any() -> bool:
    """Whether the base class of all instrumentors can be imported."""
    if BASE in sys.modules:
        return True
    around = sys.modules.get("opentelemetry")
    return around is None or PathFinder.find_spec(BASE, around.__path__) is not None
