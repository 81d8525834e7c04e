"""``--root-span``: one INTERNAL span around the run of the program that was launched.

Whatever has no parent in this process belongs to it, on every thread, and so do child processes; requests that are
served have their callers. It ends at every exit that leads through ``agent.exits``; an exception that nobody has
handled makes it fail.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from tracerun.agent import dispositions, exits, sdk
from tracerun.agent.service import derived_name

if TYPE_CHECKING:
    from opentelemetry.trace import Span

_getpid = os.getpid


def begin() -> None:
    """Starts the span, after the set-up."""
    if not sdk.ready() or sdk.State.pipeline is None:
        return
    from opentelemetry.trace import SpanKind  # noqa: PLC0415 - not before the API can be had

    from tracerun import __version__  # noqa: PLC0415
    from tracerun.agent.ambient import AMBIENT  # noqa: PLC0415
    from tracerun.agent.succession import SUCCESSION  # noqa: PLC0415

    span = SUCCESSION.tracer_of("tracerun.run", __version__, None).start_span(derived_name(), kind=SpanKind.INTERNAL)
    AMBIENT.span, AMBIENT.in_environment = span, False
    exits.before_the_end(_End(span))
    # A signal is to end the span, also before anything else has been traced.
    dispositions.pin()
    sdk.State.pipeline.watch()


class _End:
    """Ends the span, once, and in the process that began it: forked children have it too."""

    def __init__(self, span: Span) -> None:
        self._span = span
        self._pid = _getpid()

    def __call__(self) -> None:
        if _getpid() != self._pid or not self._span.is_recording():
            return
        # What the interpreter has shown as unhandled; by the next line of the same name since 3.12.
        error = getattr(sys, "last_exc", None) or getattr(sys, "last_value", None)
        if isinstance(error, BaseException):
            from tracerun.instrumentation.context import fail, record_exception  # noqa: PLC0415 - only then

            record_exception(self._span, error)
            fail(self._span, error)
        self._span.end()
