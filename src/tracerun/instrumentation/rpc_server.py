"""The SERVER span of a gRPC call, from its arrival to the end of its handler, for both server APIs.

Source: as rpc.py.
"""

from __future__ import annotations

from _thread import allocate_lock
from functools import lru_cache
from time import time_ns
from typing import TYPE_CHECKING, Any

from opentelemetry.context import Context
from opentelemetry.trace import Status, StatusCode
from opentelemetry.trace.propagation import _SPAN_KEY

from tracerun.agent.guard import guarded
from tracerun.instrumentation import headers as captured
from tracerun.instrumentation import redaction
from tracerun.instrumentation.context import SERVER, attach, excluded, get_current, record_exception, reset
from tracerun.instrumentation.exclusion import EXCLUSION, excludes_call
from tracerun.instrumentation.headers import CAPTURED
from tracerun.instrumentation.propagation import extract
from tracerun.instrumentation.rpc import (
    METADATA_GETTER,
    OTHER_METHOD,
    REMEMBERED,
    SERVER_ERRORS,
    SYSTEM,
    attributes_of_peer,
    capture,
    text,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.trace import Span, Tracer

GUARD = guarded("a gRPC server's call")
SECOND = 1_000_000_000
# When a deadline passes, client and server notice it apart: the client's cancellation usually comes first. A call
# that is cancelled with so little of its time left ran into its deadline. gRPC sends timeouts rounded up by as
# much as 1 in 100.
LATE_SECONDS, LATE_SHARE, LATE_AT_MOST = 0.05, 0.25, 0.02


@lru_cache(maxsize=REMEMBERED)
def _server_start(method: str) -> tuple[str, dict[str, Any]]:
    name = method.removeprefix("/")
    return name, {"rpc.system.name": SYSTEM, "rpc.method": name}


class ServerCall:
    """A SERVER span, ended once, by whichever comes first of those who may know that the call is over.

    Subclasses know the two server APIs' contexts.

    Attributes:
        parent: The client's context.
        context: The same with the span in it, once there is one; where the handler runs.
        span: The span; none before ``start``.
        recorded: Whether anything that is found out about the call goes anywhere; it does not before ``start``.
        running: Whether code of the handler's runs, on a thread that a cancellation does not stop.
        rpc: grpc's servicer context; none before ``bind``.
    """

    # What nothing is known of yet; each call sets only what it has.
    span: Span | None = None
    recorded = False
    running = False
    rpc: Any = None
    _answer: tuple[Any, ...] = ()
    _broken = ""
    _cut = ""
    _failure: BaseException | None = None
    _metadata: Any = None

    def __init__(self, tracer: Tracer, method: str, metadata: Any) -> None:
        self._tracer = tracer
        self._arrived = time_ns()
        self._once = allocate_lock()
        self.method = method
        parent = extract(metadata, METADATA_GETTER)
        if EXCLUSION.on and excludes_call(method.removeprefix("/")):
            parent = excluded(parent)
        if CAPTURED.server_request is not None:
            self._metadata = metadata
        self.parent = self.context = parent

    # What subclasses know

    def code(self) -> str:
        """The status that the handler has set; empty where it has set none."""
        raise NotImplementedError

    def remaining(self) -> float | None:
        """The seconds until the call's deadline; none where it has no deadline."""
        return None if self.rpc is None else self.rpc.time_remaining()

    def is_abort(self, error: BaseException) -> bool:
        """Whether the handler has ended the call on purpose, by ``context.abort``."""
        raise NotImplementedError

    def is_cancellation(self, error: BaseException) -> bool:
        """Whether grpc told the handler in this way that the call is over already."""
        raise NotImplementedError

    def is_cancelled(self) -> bool:
        """Whether the client has gone, as far as can be asked."""
        return False

    def trailing_metadata(self) -> Any:
        """The metadata that goes out after the messages, as far as can be asked."""
        return None if self.rpc is None else self.rpc.trailing_metadata()

    # The life of a call

    def start(self) -> None:
        """Makes the span; it begins with the call's arrival, so time in the server's queue is part of it."""
        name, attributes = _server_start(self.method)
        span = self._tracer.start_span(name, self.parent, SERVER, attributes, start_time=self._arrived)
        self.span, self.recorded, self.context = span, span.is_recording(), Context({**self.parent, _SPAN_KEY: span})
        if self._metadata is not None:
            capture(span, CAPTURED.server_request, captured.RPC_REQUEST, self._metadata)

    def bind(self, rpc: Any) -> None:
        """The handler of a call that is recorded is about to run, with this servicer context."""
        self.rpc = rpc
        if self.span is not None and self.span.is_recording():
            self.span.set_attributes(attributes_of_peer(rpc.peer()))

    def answers(self, metadata: Any) -> None:
        """Metadata has gone out."""
        if metadata is not None and CAPTURED.server_response is not None:
            self._answer = (*self._answer, metadata)

    def leave(self) -> None:
        """The handler's code has stopped; should the call have ended meanwhile, this is the end of the span."""
        self.running = False
        if self._cut:
            self.end(self._cut)

    def returned(self) -> None:
        """The handler has come to its end."""
        self.end(self._cut_short() or self.code() or "OK")

    def exhausted(self) -> None:
        """The handler has made its last response."""
        self.returned()

    def raised(self, error: BaseException) -> None:
        """The handler has raised: on purpose, because the call is over, or because it failed."""
        if self.is_abort(error):
            self.end(self.code() or "UNKNOWN")
        elif self.is_cancellation(error):
            self.end(self._cut_short() or self.deserted())
        else:
            self._failure = error
            self.end(self._cut_short() or self.code() or "UNKNOWN")

    def broke(self, code: str, error: BaseException | None = None) -> None:
        """A message could not be read or written; grpc ends the call with this status."""
        if self.recorded:
            self._broken = code
            self._failure = error

    def over(self, *_: Any) -> None:
        """The call is over for grpc. Unless the handler is running, so is its span."""
        if self._once.locked():
            return
        with GUARD:
            self._cut = self._broken or self.final()
            if not self.running:
                self.end(self._cut)

    def final(self) -> str:
        """The status of a call that is over before its handler has told how it ended."""
        return self.deserted()

    def deserted(self) -> str:
        """The status of a call that its client has given up: by its deadline, or by cancelling."""
        left = self.remaining()
        if left is None:
            return "CANCELLED"
        total = left + (time_ns() - self._arrived) / SECOND
        late = left <= min(LATE_SECONDS, total * LATE_SHARE) + total * LATE_AT_MOST
        return "DEADLINE_EXCEEDED" if late else "CANCELLED"

    def unknown_method(self) -> None:
        """The server has no such method."""
        if self.span is not None:
            self.span.update_name(SYSTEM)
            self.span.set_attributes({"rpc.method": OTHER_METHOD, "rpc.method_original": self.method.removeprefix("/")})

    def end(self, code: str) -> None:
        """Ends the span, once."""
        span = self.span
        if span is None or not self._once.acquire(blocking=False):
            return
        try:
            if span.is_recording():
                self._describe(span, code)
        finally:
            span.end()
            # Nothing of the program's is kept alive by us, nor in a cycle that only the collector would find.
            self._failure = self.rpc = None

    def _describe(self, span: Span, code: str) -> None:
        span.set_attribute("rpc.status_code", code)
        if code in SERVER_ERRORS:
            span.set_attribute("error.type", code)
            span.set_status(Status(StatusCode.ERROR, self._why()))
        if self._failure is not None:
            record_exception(span, self._failure)
        if CAPTURED.server_response is not None:
            answer = (*self._answer, self.trailing_metadata())
            capture(span, CAPTURED.server_response, captured.RPC_RESPONSE, *answer)

    def _why(self) -> str | None:
        failure = self._failure
        if failure is not None:
            return redaction.described(failure)
        details = getattr(self.rpc, "details", None)
        said = details() if callable(details) else None
        return redaction.message(text(said)) if said else None

    def _cut_short(self) -> str:
        if not self._cut and not self._broken and self.is_cancelled():
            self._cut = self.deserted()
        return self._broken or self._cut


class Steps:
    """The responses of a sync handler, each step taken in its own OpenTelemetry context.

    The context is put in place for a step and taken away after it, so nothing stays attached while grpc sends
    a message; what the handler itself has attached is there again at its next step.
    """

    __slots__ = ("_call", "_context", "_responses")

    def __init__(self, responses: Any, call: ServerCall, context: Context) -> None:
        self._responses = responses
        self._call = call
        self._context = context

    def __iter__(self) -> Steps:
        # asyncio's server takes any iterable, the sync one nothing but iterators.
        self._responses = iter(self._responses)
        return self

    def __del__(self) -> None:
        if self._responses is None:
            return
        # Dropped half-way: what the handler has to clean up is still part of the call.
        with GUARD:
            token = attach(self._context)
            self._responses = None
            reset(token)

    def __next__(self) -> Any:
        call = self._call
        call.running = True
        token = attach(self._context)
        try:
            return next(self._responses)
        except StopIteration:
            self._responses = None
            with GUARD:
                call.exhausted()
            raise
        except BaseException as error:
            with GUARD:
                call.raised(error)
            raise
        finally:
            self._context = get_current()
            reset(token)
            try:
                call.leave()
            except Exception as error:
                if not GUARD.swallows(error):
                    raise


def run(behavior: Callable[..., Any], call: ServerCall, *arguments: Any) -> Any:
    """Calls a sync handler in the call's context. An error is the handler's end; a result is not yet."""
    call.running = True
    token = attach(call.context)
    try:
        return behavior(*arguments)
    except BaseException as error:
        with GUARD:
            call.raised(error)
        raise
    finally:
        reset(token)
        try:
            call.leave()
        except Exception as error:
            if not GUARD.swallows(error):
                raise
