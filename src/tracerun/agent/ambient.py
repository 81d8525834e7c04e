"""The parent of spans that would have none: an inherited TRACEPARENT, or the span around the whole run.

It is no context: nothing is attached that the program could see, and it holds on every thread, in the workers of
pools too. A request that is served is never part of it (specification: "Environment Variables as Context Propagation
Carriers").
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from opentelemetry.context import Context, get_current
from opentelemetry.trace import NonRecordingSpan, Span, SpanContext, SpanKind, TraceFlags, get_current_span
from opentelemetry.trace.propagation import _SPAN_KEY

from tracerun.agent.prepared import Prepared
from tracerun.instrumentation.exclusion import EXCLUDED_KEY

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tracerun.settings import Settings

TRACEPARENT, TRACESTATE = "TRACEPARENT", "TRACESTATE"


class _Ambient:
    """What this process's spans belong to.

    Attributes:
        span: The parent; none where there is none.
        in_environment: Whether the process's environment names it already, so that children inherit it.
        enabled: Whether the W3C fields are among the propagators.
    """

    def __init__(self) -> None:
        self.span: Span | None = None
        self.in_environment = self.enabled = True


AMBIENT = _Ambient()


def inherit(settings: Settings) -> None:
    """Takes the parent from the environment that this process was started with."""
    AMBIENT.enabled = "tracecontext" in settings.propagators
    if Prepared.fields:
        take(Prepared.fields, in_environment=False)
    elif settings.traceparent:
        take({TRACEPARENT: settings.traceparent, TRACESTATE: settings.tracestate})


def take(fields: Mapping[str, str], *, in_environment: bool = True) -> None:
    """Takes the parent from such variables; wrong ones are none."""
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator  # noqa: PLC0415 - rarely

    if not AMBIENT.enabled:
        return
    carrier = {name.lower(): value for name, value in fields.items() if value}
    found = get_current_span(TraceContextTextMapPropagator().extract(carrier, Context())).get_span_context()
    if found.is_valid:
        flags = TraceFlags(found.trace_flags & TraceFlags.SAMPLED)
        known = SpanContext(found.trace_id, found.span_id, True, flags, found.trace_state)
        AMBIENT.span, AMBIENT.in_environment = NonRecordingSpan(known), in_environment


def placed(context: Context, kind: SpanKind) -> Context:
    """A new span's context, with the parent that this process has for spans without one."""
    if AMBIENT.span is None or kind is SpanKind.SERVER or get_current_span(context).get_span_context().is_valid:
        return context
    return Context({**context, _SPAN_KEY: AMBIENT.span})


def no_span(context: Context) -> Span:
    """What stands for a span where all is left out."""
    return NonRecordingSpan(get_current_span(context).get_span_context())


def start_in_place(
    start: Callable[..., Span], name: str, context: Context | None, kind: SpanKind, *args: Any, **kwargs: Any
) -> Span:
    """Starts a span where it belongs in this process, or none where all is left out.

    Args:
        start: ``start_span`` of a tracer that knows nothing of that.
        name: As the others the arguments of ``start_span``.
        context: As above.
        kind: As above.
        args: As above.
        kwargs: As above.
    """
    current = get_current() if context is None else context
    if EXCLUDED_KEY in current:
        return no_span(current)
    return start(name, placed(current, kind), kind, *args, **kwargs)


def fields_for_child() -> dict[str, str] | None:
    """The variables by which a child process is to belong here; none where it inherits what is right.

    An empty value stands for a variable that the child is not to have.
    """
    if not AMBIENT.enabled:
        return None
    current = get_current_span().get_span_context()
    if not current.is_valid:
        if AMBIENT.span is None or AMBIENT.in_environment:
            return None
        current = AMBIENT.span.get_span_context()
    sampled = current.trace_flags & TraceFlags.SAMPLED
    return {
        TRACEPARENT: f"00-{current.trace_id:032x}-{current.span_id:016x}-{sampled:02x}",
        TRACESTATE: current.trace_state.to_header(),
    }
