"""pyqwest traces itself, from Rust: the tracer that it is given makes its spans as ours are.

They are redacted, left out where their URL is excluded or a call around them is traced already, and failed by the rules
of all clients. pyqwest itself hands their context on, and ends them: a streamed response's with its head. It says
nothing of the connection, and so of the network's peer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from opentelemetry import trace
from opentelemetry.context import get_current
from opentelemetry.trace import NonRecordingSpan, Span, SpanKind, Status, StatusCode, get_current_span

from tracerun.agent.guard import guarded
from tracerun.instrumentation import redaction
from tracerun.instrumentation.context import CLIENT, client_suppressed, excluded, start_span, tracer
from tracerun.instrumentation.exclusion import EXCLUSION, excludes_outgoing
from tracerun.instrumentation.http import CLIENT_ERROR
from tracerun.instrumentation.methods import method_attributes, span_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.context import Context

_TRACER = tracer("pyqwest")
_GUARD = guarded("pyqwest")
_STATUS, _ERROR = "http.response.status_code", "error.type"


class PyqwestTracer(trace.Tracer):
    """What pyqwest gets for a tracer."""

    def start_span(
        self,
        name: str,  # noqa: ARG002 - it is the method, as ours
        context: Context | None = None,
        kind: SpanKind = SpanKind.INTERNAL,  # noqa: ARG002 - a client's
        attributes: Any = None,
        *_: Any,
        **__: Any,
    ) -> Span:
        """A request's span; one that records nothing where it is not to be traced."""
        with _GUARD:
            return _start(get_current() if context is None else context, attributes)
        return _none(context)

    def start_as_current_span(self, *args: Any, **kwargs: Any) -> Any:
        """The same, current in a block."""
        return trace.use_span(self.start_span(*args, **kwargs), end_on_exit=True)


def _start(parent: Context, attributes: Mapping[str, Any]) -> Span:
    if client_suppressed(parent):
        return _none(parent)
    if EXCLUSION.on and excludes_outgoing("pyqwest", attributes["url.full"]):
        return _none(excluded(parent))
    name = span_name(attributes["http.request.method"])
    return _Span(start_span(_TRACER, name, parent, CLIENT, _described, (attributes,)))


def _none(context: Context | None) -> Span:
    return NonRecordingSpan(get_current_span(context).get_span_context())


def _described(given: Mapping[str, Any]) -> dict[str, Any]:
    """What it says of a request, in our words."""
    _, made = method_attributes(given["http.request.method"])
    made["url.full"] = redaction.url(given["url.full"])
    return {**made, **{name: given[name] for name in ("server.address", "server.port") if name in given}}


class _Span(Span):
    """A span whose status follows from its attributes, which is left to us."""

    def __init__(self, span: Span) -> None:
        self._span = span

    def set_attribute(self, key: str, value: Any) -> None:
        self._span.set_attribute(key, value)
        failed = key == _ERROR or (key == _STATUS and value >= CLIENT_ERROR)
        if failed:
            if key == _STATUS:
                self._span.set_attribute(_ERROR, str(value))
            self._span.set_status(Status(StatusCode.ERROR))

    def set_attributes(self, attributes: Mapping[str, Any]) -> None:
        for key, value in attributes.items():
            self.set_attribute(key, value)

    def get_span_context(self) -> trace.SpanContext:
        return self._span.get_span_context()

    def is_recording(self) -> bool:
        return self._span.is_recording()

    def update_name(self, name: str) -> None:
        self._span.update_name(name)

    def set_status(self, *args: Any, **kwargs: Any) -> None:
        self._span.set_status(*args, **kwargs)

    def add_event(self, *args: Any, **kwargs: Any) -> None:
        self._span.add_event(*args, **kwargs)

    def record_exception(self, *args: Any, **kwargs: Any) -> None:
        self._span.record_exception(*args, **kwargs)

    def end(self, end_time: int | None = None) -> None:
        self._span.end(end_time)
