"""What the HTTP and the RPC span share: tracer, context, suppression, and how a span is made to fail."""

from __future__ import annotations

import os
import traceback
from collections.abc import Mapping
from contextvars import ContextVar
from functools import partial
from typing import TYPE_CHECKING, Any

from opentelemetry import context as otel_context
from opentelemetry.context import (
    _SUPPRESS_HTTP_INSTRUMENTATION_KEY,
    _SUPPRESS_INSTRUMENTATION_KEY,
    Context,
)
from opentelemetry.context.contextvars_context import ContextVarsRuntimeContext
from opentelemetry.trace import (
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    Tracer,
    get_current_span,
)
from opentelemetry.trace.propagation import _SPAN_KEY

from tracerun import __version__
from tracerun.agent.succession import SUCCESSION
from tracerun.instrumentation import redaction
from tracerun.instrumentation.exclusion import EXCLUDED_KEY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextvars import Token


# The key that opentelemetry-instrumentation sets beside the API's own, for packages of before 1.12.
_SUPPRESS_PLAIN = "suppress_instrumentation"
# A member of an enumeration is looked up anew each time, which takes longer than three such constants.
CLIENT, SERVER = SpanKind.CLIENT, SpanKind.SERVER
SCHEMA_URL = "https://opentelemetry.io/schemas/1.45.0"


def _runtime() -> tuple[Callable[[Context], Any], Callable[[], Context], Callable[[Any], None]]:
    """Attaches, gets, detaches; where the API keeps its context in a context variable, that one's own methods do."""
    runtime = otel_context._RUNTIME_CONTEXT
    variable = getattr(runtime, "_current_context", None)
    if type(runtime) is ContextVarsRuntimeContext and isinstance(variable, ContextVar):
        return variable.set, variable.get, variable.reset
    return otel_context.attach, otel_context.get_current, otel_context.detach


# As the functions of opentelemetry.context, by one call in place of three: each request comes here a dozen times.
attach, get_current, reset = _runtime()


def tracer(library: str) -> Tracer:
    """The tracer of one library's instrumentation; it follows the program's provider, should it set one."""
    return SUCCESSION.tracer_of(f"tracerun.{library}", __version__, SCHEMA_URL)


def library_of(tracer: Tracer) -> str:
    """The library that a tracer of ours is for."""
    scope = getattr(tracer, "_instrumentation_scope", None)
    name: str = scope.name if scope is not None else getattr(tracer, "_instrumenting_module_name", "")
    return name.removeprefix("tracerun.").replace("-", "_")


def suppressed(current: Context | None = None) -> bool:
    """Whether this context is one that must not be traced at all (``suppress_instrumentation()``)."""
    context = get_current() if current is None else current
    return bool(context.get(_SUPPRESS_INSTRUMENTATION_KEY) or context.get(_SUPPRESS_PLAIN))


def excluded(context: Context) -> Context:
    """A context for what is not to be traced: no span begins in it, and services called from it are told so.

    They get a traceparent that is not sampled, of the caller's trace or, where there is none, of one that nobody has.
    """
    caller = get_current_span(context).get_span_context()
    trace_id = caller.trace_id or int.from_bytes(os.urandom(16), "big")
    span_id = caller.span_id or int.from_bytes(os.urandom(8), "big")
    unsampled = SpanContext(trace_id, span_id, True, TraceFlags(TraceFlags.DEFAULT), caller.trace_state)
    return Context({**context, _SPAN_KEY: NonRecordingSpan(unsampled), EXCLUDED_KEY: True})


class Later(partial[dict[str, Any]], Mapping[str, Any]):
    """Attributes that are made when somebody looks at them: after the sampler has let the span pass.

    Samplers that ask for attributes get them; those of the SDK decide without, so an unsampled request costs none.
    The function that makes them and its arguments are kept by a ``partial``, which is made in half the time of a
    class of Python's own.
    """

    _made: dict[str, Any] | None = None

    def copy(self) -> dict[str, Any]:
        """The attributes."""
        made = self._made
        if made is None:
            made = self._made = self()
        return made

    def __getitem__(self, name: str) -> Any:
        return self.copy()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.copy())

    def __len__(self) -> int:
        return len(self.copy())

    def items(self) -> Any:
        """As a dict's own."""
        return self.copy().items()


def start_span(  # noqa: PLR0917 - by position, for each request comes here
    tracer: Tracer,
    name: str,
    parent: Context,
    kind: SpanKind,
    attributes_of: Callable[..., dict[str, Any]],
    args: tuple[Any, ...],
) -> Span:
    """Starts a span whose attributes, ``attributes_of(*args)``, are made only if it is sampled."""
    try:
        start = tracer.start_described  # type: ignore[attr-defined]
    except AttributeError:  # the program's own
        pass
    else:
        span: Span | None = start(name, parent, kind, attributes_of, args)
        if span is not None:
            return span
    return tracer.start_span(name, parent, kind, Later(attributes_of, *args))


def fail(span: Span, error: BaseException, *, describe: bool = True) -> None:
    """Marks a span as failed by an exception (specification: "Recording Errors").

    Args:
        span: The span.
        error: What was raised.
        describe: Whether the status carries the exception's text.
    """
    span.set_attribute("error.type", type_name(error))
    description = redaction.described(error) if describe else None
    span.set_status(Status(StatusCode.ERROR, description))


def record_exception(span: Span, error: BaseException) -> None:
    """Adds the ``exception`` event, with the URLs that exceptions quote redacted."""
    stack = "".join(traceback.format_exception(type(error), error, error.__traceback__))
    raw, message = redaction.text_of(error), redaction.message_of(error)
    if message != raw:
        stack = stack.replace(raw, message)
    texts = {"exception.message": message, "exception.stacktrace": redaction.text(stack)}
    span.record_exception(error, texts)


def type_name(error: BaseException) -> str:
    """The full name of an exception's class, as ``error.type`` has it; built-in ones go without their module."""
    kind = type(error)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def detach(token: Token[Context]) -> None:
    """Puts back the context of before; nothing where a coroutine is closed from another one than it ran in."""
    try:
        reset(token)
    except (ValueError, RuntimeError):  # the API's own detach() would say so in the program's log
        pass


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

    def let_go(self) -> None:
        """Detaches; the span goes on."""
        detach(self.token)

    def finish(self) -> None:
        """Detaches and ends, whatever was set before."""
        self.let_go()
        self.span.end()


def start_client(  # noqa: PLR0917 - by position, for each call comes here
    kind: type[ClientSpan],
    tracer: Tracer,
    name: str,
    attributes_of: Callable[..., dict[str, Any]],
    args: tuple[Any, ...],
    inject: Callable[[Context], None],
    parent: Context,
) -> ClientSpan:
    """Starts a CLIENT span, hands its context to the request, and makes it current.

    Args:
        kind: The class that knows how this library's calls end.
        tracer: Of the library's instrumentation.
        name: The span's name.
        attributes_of: Makes the attributes that are known before the call.
        args: What it makes them of.
        inject: Puts the context into the request (headers, metadata).
        parent: Where the span belongs.
    """
    span = start_span(tracer, name, parent, CLIENT, attributes_of, args)
    values = dict(parent)
    values[_SPAN_KEY] = span
    # What the library calls underneath (requests over urllib3) is this same request.
    values[_SUPPRESS_HTTP_INSTRUMENTATION_KEY] = True
    context = Context(values)
    inject(context)
    return kind(span, attach(context))


def client_suppressed(context: Context | None = None) -> bool:
    """Whether a client call is untraced here: suppressed, or the transport of a call that is traced already."""
    if context is None:
        context = get_current()
    return bool(context.get(_SUPPRESS_HTTP_INSTRUMENTATION_KEY)) or suppressed(context)
