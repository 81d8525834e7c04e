"""A span of ours, lent to other tracing of the same request, so that there is one SERVER span and not two.

The first wrapper of ours to see a request has opened the span, and is outside of what the program (or the framework)
has itself. That gets ours in place of a span of its own: its attributes, hooks and names land there.
"""

from __future__ import annotations

from functools import update_wrapper
from typing import TYPE_CHECKING, Any

from opentelemetry import context as otel_context
from opentelemetry.trace import Span, SpanContext, get_current_span

from tracerun.agent.guard import guarded
from tracerun.instrumentation.http import REQUEST_KEY

if TYPE_CHECKING:
    from collections.abc import Callable

_GUARD = guarded("the program's own instrumentation")


def _passed_on(name: str) -> Any:
    """A method that does what the span's own does, while it lasts: the SDK logs a warning for a span that has ended."""

    def method(self: LentSpan, *args: Any, **kwargs: Any) -> None:
        if self._span.is_recording():
            getattr(self._span, name)(*args, **kwargs)

    return method


class LentSpan(Span):
    """A span of ours as others get it in place of one of their own: all they say reaches it, but they do not end it."""

    def __init__(self, span: Span) -> None:
        self._span = span

    def __getattr__(self, name: str) -> Any:
        # What the SDK's spans have and the API's interface has not: kind, attributes, name.
        return getattr(self._span, name)

    def end(self, end_time: int | None = None) -> None:
        """Ours ends with the response's body."""

    def get_span_context(self) -> SpanContext:
        """The span's own."""
        return self._span.get_span_context()

    def is_recording(self) -> bool:
        """Whether it has not ended."""
        return self._span.is_recording()

    set_attributes = _passed_on("set_attributes")
    set_attribute = _passed_on("set_attribute")
    add_event = _passed_on("add_event")
    add_link = _passed_on("add_link")
    update_name = _passed_on("update_name")
    set_status = _passed_on("set_status")
    record_exception = _passed_on("record_exception")


def lending(original: Callable[..., Any]) -> Callable[..., Any]:
    """Around ``_start_internal_or_server_span``, by which their servers' and frameworks' packages start a span."""

    def start(tracer: Any, *args: Any, **kwargs: Any) -> Any:
        lent = None
        with _GUARD:
            lent = _to_lend(tracer)
        return original(tracer, *args, **kwargs) if lent is None else (lent, None)

    return update_wrapper(start, original)


def _to_lend(tracer: Any) -> LentSpan | None:
    """The request's span, where it is the current one, and goes where theirs would go."""
    request: Any = otel_context.get_current().get(REQUEST_KEY)
    current = get_current_span()
    if request is None or request.span is not current or not current.is_recording():
        return None
    # A tracer of a provider of their own: its destination has no span of ours.
    real = getattr(tracer, "_tracer", tracer)
    real = getattr(real, "successor", None) or real
    same = getattr(real, "span_processor", None) is getattr(current, "_span_processor", real)
    return LentSpan(current) if same else None
