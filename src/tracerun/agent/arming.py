"""The program's first import has come: from here on libraries are patched, and what has ended is flushed at the end."""

from __future__ import annotations

from tracerun.agent import exits, libraries
from tracerun.agent.boot import Process
from tracerun.settings import Settings


def arm() -> None:
    """Called once in a process."""
    if not hasattr(Process, "settings"):
        Process.settings = Settings.from_env()
    settings = Process.settings
    libraries.watch(settings)
    exits.arm(settings)
    Process.finish = exits.finish
    if settings.root_span and Process.is_target:
        from tracerun.agent import root_span  # noqa: PLC0415 - only where asked for; it loads the API

        root_span.begin()
