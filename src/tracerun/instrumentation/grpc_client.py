"""grpc's clients with threads: one CLIENT span per call on the wire.

The methods of the four kinds of multicallables are wrapped, below the program's own interceptors: a retry by
one of those is a call of its own, and an answer from a cache is none. The call objects are grpc's own; a span
ends by the callback that grpc runs at the end of the call.

The span is current during a blocking call of unary kind. In all others nobody would see it but those who must
not: the thread that reads the program's request iterator, and the channel's own thread, which outlives the call
and runs the program's callbacks, start from a copy of the caller's context.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Any
from weakref import finalize

import grpc

from tracerun.agent.guard import guarded
from tracerun.instrumentation.context import attach, detach, tracer
from tracerun.instrumentation.headers import CAPTURED
from tracerun.instrumentation.patching import Call, after, argument, around_changed, before, with_argument
from tracerun.instrumentation.rpc import ClientCall, start_client_call

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextvars import Token

    from opentelemetry.context import Context

_TRACER = tracer("grpc_client")
_WHAT, _CHANNEL = "a gRPC client's call", "a gRPC client's channel"
_GUARD = guarded(_WHAT)
# The call that somebody waits for, if the metadata of its answer is wanted: what is returned does not have it.
_WAITED_FOR: ContextVar[ClientCall | None] = ContextVar("tracerun_grpc_call", default=None)


# Channels and stubs know their target since grpcio 1.62; older ones are told theirs. The inner channel's own
# target() is no help: it crashes the process where the channel is closed.


def _note_target(_: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    if not hasattr(args[0], "_target"):
        args[0]._target = argument(args, kwargs, 1, "target")


def _pass_target_on(stub: Any, args: tuple[Any, ...], _: dict[str, Any]) -> None:
    if not hasattr(stub, "_target"):
        stub._target = args[0]._target


class _Waiting:
    """A call that returns with the response, or with the response and the call."""

    __slots__ = ("_call", "_token", "_waiting")

    def __init__(self, call: ClientCall, token: Token[Context] | None = None) -> None:
        self._call = call
        self._token = token
        self._waiting = None if CAPTURED.client_response is None else _WAITED_FOR.set(call)

    def ended(self, result: Any) -> Any:
        """There is a response."""
        self._leave()
        self._call.finish("OK", None, None)
        return result

    def failed(self, error: BaseException) -> None:
        """There is none."""
        self._leave()
        self._call.failed(error)

    def _leave(self) -> None:
        if self._token is not None:
            detach(self._token)
        if self._waiting is not None:
            _WAITED_FOR.reset(self._waiting)


def _current(call: ClientCall) -> _Waiting:
    """The same with the span current meanwhile."""
    return _Waiting(call, attach(call.context))


def _answered(args: tuple[Any, ...], _: dict[str, Any]) -> None:
    call = _WAITED_FOR.get()
    if call is not None:
        call.answered(args[0].initial_metadata, args[0].trailing_metadata)


class _End:
    """What grpc runs at the end of a call. It holds the call's state, not the call, which may be dropped early."""

    __slots__ = ("call", "state")

    def __init__(self, call: ClientCall, state: Any) -> None:
        self.call = call
        self.state = state

    def __call__(self) -> None:
        with _GUARD:
            self.call.answered(self.state.initial_metadata, self.state.trailing_metadata)
            # Nothing but a collected stream has no code yet.
            self.call.ended(self.state.code or grpc.StatusCode.CANCELLED, self.state.details)


class _Starting:
    """A call that returns at once, with the call: futures and streams of responses."""

    __slots__ = ("_call",)

    def __init__(self, call: ClientCall) -> None:
        self._call = call

    def ended(self, rendezvous: Any) -> Any:
        """It has begun; grpc tells of its end."""
        end = _End(self._call, rendezvous._state)
        if not rendezvous.add_callback(end):
            end()
        return rendezvous

    def failed(self, error: BaseException) -> None:
        """It could not begin."""
        self._call.failed(error)


class _SingleThreaded(_Starting):
    """The same where no thread of the channel's tells of the end: it is noticed only by who asks for a message."""

    __slots__ = ()

    def ended(self, rendezvous: Any) -> Any:
        super().ended(rendezvous)
        for end in _ends(rendezvous):
            finalize(rendezvous, end).atexit = False  # a stream that is left half-way is never asked again
        return rendezvous


def _cancelled(_: Any, args: tuple[Any, ...], __: dict[str, Any]) -> None:
    for end in _ends(args[0]):  # nor is one that is cancelled
        end()


def _ends(rendezvous: Any) -> list[_End]:
    return [callback for callback in rendezvous._state.callbacks or () if isinstance(callback, _End)]


def _traced(kind: Callable[[ClientCall], Call]) -> Callable[[Any], Any]:
    def begin(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Call, tuple[Any, ...], dict[str, Any]] | None:
        stub = args[0]
        call = start_client_call(_TRACER, stub._method, stub._target)
        if call is None:
            return None
        # (request, timeout, metadata, ...) in every kind
        metadata = call.metadata(argument(args, kwargs, 3, "metadata"))
        return (kind(call), *with_argument(args, kwargs, 3, "metadata", metadata))

    return around_changed(begin, _WHAT)


PATCHES = {
    "grpc._channel:Channel.__init__": after(_note_target, _CHANNEL),
    "grpc._channel:Channel.unary_unary": after(_pass_target_on, _CHANNEL),
    "grpc._channel:Channel.unary_stream": after(_pass_target_on, _CHANNEL),
    "grpc._channel:Channel.stream_unary": after(_pass_target_on, _CHANNEL),
    "grpc._channel:Channel.stream_stream": after(_pass_target_on, _CHANNEL),
    "grpc._channel:_UnaryUnaryMultiCallable.__call__": _traced(_current),
    "grpc._channel:_UnaryUnaryMultiCallable.with_call": _traced(_current),
    "grpc._channel:_UnaryUnaryMultiCallable.future": _traced(_Starting),
    "grpc._channel:_UnaryStreamMultiCallable.__call__": _traced(_Starting),
    "grpc._channel:_SingleThreadedUnaryStreamMultiCallable.__call__": _traced(_SingleThreaded),
    "grpc._channel:_SingleThreadedRendezvous.cancel": after(_cancelled, _WHAT),
    "grpc._channel:_end_unary_response_blocking": before(_answered, _WHAT),
    "grpc._channel:_StreamUnaryMultiCallable.__call__": _traced(_Waiting),
    "grpc._channel:_StreamUnaryMultiCallable.with_call": _traced(_Waiting),
    "grpc._channel:_StreamUnaryMultiCallable.future": _traced(_Starting),
    "grpc._channel:_StreamStreamMultiCallable.__call__": _traced(_Starting),
}
