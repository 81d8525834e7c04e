"""What the HTTP and the RPC span share: tracer, suppression, propagation, and how a span is made to fail."""

from __future__ import annotations

import logging
import sys
import traceback
from typing import TYPE_CHECKING, Any

from opentelemetry import context as otel_context
from opentelemetry import propagate, trace
from opentelemetry.context import (
    _SUPPRESS_HTTP_INSTRUMENTATION_KEY,
    _SUPPRESS_INSTRUMENTATION_KEY,
    Context,
)
from opentelemetry.propagators.textmap import Getter
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, Tracer
from opentelemetry.trace.propagation import _SPAN_KEY

from tracerun import __version__
from tracerun.instrumentation import redaction

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextvars import Token

# The key that opentelemetry-instrumentation sets beside the API's own, for packages of before 1.12.
_SUPPRESS_PLAIN = "suppress_instrumentation"
SCHEMA_URL = "https://opentelemetry.io/schemas/1.45.0"

__all__ = ["ClientSpan", "SpanKind", "extract", "fail", "suppressed", "tracer"]


def tracer(library: str) -> Tracer:
    """The tracer of one library's instrumentation; it follows the program's provider, should it set one."""
    return trace.get_tracer(f"tracerun.{library}", __version__, schema_url=SCHEMA_URL)


def suppressed(current: Context | None = None) -> bool:
    """Whether this context is one that must not be traced at all (``suppress_instrumentation()``)."""
    context = otel_context.get_current() if current is None else current
    return bool(context.get(_SUPPRESS_INSTRUMENTATION_KEY) or context.get(_SUPPRESS_PLAIN))


class HeaderGetter(Getter[Any]):
    """Reads the propagators' fields from a carrier by a function from name to value."""

    def __init__(self, read: Callable[[Any, str], str | None]) -> None:
        self._read = read

    def get(self, carrier: Any, key: str) -> list[str] | None:
        """The values of a field; none where it is missing."""
        value = self._read(carrier, key)
        return None if value is None else [value]

    def keys(self, carrier: Any) -> list[str]:  # noqa: ARG002 - no propagator of ours lists the fields
        """Unused by the W3C propagators."""
        return []


def extract(carrier: Any, getter: HeaderGetter) -> Context:
    """The caller's context from a request, on nothing else: what this process was doing is not its parent."""
    return propagate.get_global_textmap().extract(carrier, Context(), getter=getter)


class _NotOurs(logging.Filter):
    """Drops what the propagators log about a field that we had them read: clients could flood the program's log.

    Looks at the stack, and so costs nothing unless something is logged.
    """

    def filter(self, _: logging.LogRecord) -> bool:
        """Whether the record is of the program's own doing."""
        frame = sys._getframe()
        while frame is not None and frame.f_code is not extract.__code__:
            frame = frame.f_back  # type: ignore[assignment]
        return frame is None


for _name in ("baggage", "baggage.propagation", "propagators.composite", "trace.span"):
    logging.getLogger(f"opentelemetry.{_name}").addFilter(_NotOurs())


def fail(span: Span, error: BaseException, *, describe: bool = True) -> None:
    """Marks a span as failed by an exception (specification: "Recording Errors").

    Args:
        span: The span.
        error: What was raised.
        describe: Whether the status carries the exception's text.
    """
    span.set_attribute("error.type", type_name(error))
    description = redaction.text(f"{type(error).__name__}: {error}") if describe else None
    span.set_status(Status(StatusCode.ERROR, description))


def record_exception(span: Span, error: BaseException) -> None:
    """Adds the ``exception`` event, with the URLs that exceptions quote redacted."""
    stack = "".join(traceback.format_exception(type(error), error, error.__traceback__))
    texts = {"exception.message": redaction.text(str(error)), "exception.stacktrace": redaction.text(stack)}
    span.record_exception(error, texts)


def type_name(error: BaseException) -> str:
    """The full name of an exception's class, as ``error.type`` has it; built-in ones go without their module."""
    kind = type(error)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


class ClientSpan:
    """A CLIENT span that is current while the call lasts. Subclasses translate results and errors.

    Attaching and ending happen in one frame of the caller's (``patching.around``), so the token always goes
    back into the context it came from.
    """

    __slots__ = ("span", "token")

    def __init__(self, span: Span, token: Token[Context]) -> None:
        self.span = span
        self.token = token

    def ended(self, result: Any) -> Any:
        """The call has returned: detach, end. Subclasses set attributes first."""
        self.finish()
        return result

    def failed(self, error: BaseException) -> None:
        """The call has raised: the span says so, and ends."""
        try:
            # The text of a client's error often quotes the URL, so its type has to do.
            fail(self.span, error, describe=False)
        finally:
            self.finish()

    def finish(self) -> None:
        """Detaches and ends, whatever was set before."""
        otel_context.detach(self.token)
        self.span.end()


def start_client(
    kind: type[ClientSpan],
    tracer: Tracer,
    name: str,
    attributes: dict[str, Any],
    inject: Callable[[Context], None],
) -> ClientSpan:
    """Starts a CLIENT span, hands its context to the request, and makes it current.

    Args:
        kind: The class that knows how this library's calls end.
        tracer: Of the library's instrumentation.
        name: The span's name.
        attributes: All that is known before the call.
        inject: Puts the context into the request (headers, metadata).
    """
    parent = otel_context.get_current()
    span = tracer.start_span(name, parent, SpanKind.CLIENT, attributes)
    values = dict(parent)
    values[_SPAN_KEY] = span
    # What the library calls underneath (requests over urllib3) is this same request.
    values[_SUPPRESS_HTTP_INSTRUMENTATION_KEY] = True
    context = Context(values)
    inject(context)
    return kind(span, otel_context.attach(context))


def inject_into(carrier: Any, context: Context) -> None:
    """Puts the context's fields into a carrier that takes items."""
    propagate.get_global_textmap().inject(carrier, context)


def client_suppressed() -> bool:
    """Whether a client call is untraced here: suppressed, or the transport of a call that is traced already."""
    context = otel_context.get_current()
    return bool(context.get(_SUPPRESS_HTTP_INSTRUMENTATION_KEY)) or suppressed(context)
