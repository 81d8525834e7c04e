"""Operations that the program has traced already, with OpenTelemetry's own instrumentation packages.

Where theirs is outside of ours (``OpenTelemetryMiddleware(app)``, a gRPC interceptor) ours is not started. For the
other way round see `lending.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from opentelemetry.context import get_current
from opentelemetry.trace import SpanKind
from opentelemetry.trace.propagation import _SPAN_KEY

if TYPE_CHECKING:
    from opentelemetry.context import Context

PACKAGES = "opentelemetry.instrumentation."


def is_traced(kind: SpanKind, context: Context | None = None, package: str = "") -> bool:
    """Whether the span around this is theirs, of this kind: it stands for the same operation."""
    # Not get_current_span(): that one checks its class, and each call to another service comes here.
    span: Any = (get_current() if context is None else context).get(_SPAN_KEY)
    if getattr(span, "kind", None) is not kind or not span.is_recording() or hasattr(span, "tracerun_source"):
        return False
    scope = getattr(span, "instrumentation_scope", None)
    return scope is not None and scope.name.startswith(PACKAGES + package)


def is_instrumented(client: Any) -> bool:
    """Whether the program has instrumented this object alone (``HTTPXClientInstrumentor.instrument_client``)."""
    return getattr(client, "_is_instrumented_by_opentelemetry", False)


def has_interceptor(interceptors: Any) -> bool:
    """Whether a gRPC server is traced by an interceptor of theirs."""
    return any(type(interceptor).__module__.startswith(PACKAGES) for interceptor in interceptors)
