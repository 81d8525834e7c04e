"""grpc's clients with threads: one CLIENT span per call on the wire.

The methods of the four kinds of multicallables are wrapped, below the program's own interceptors: a retry by
one of those is a call of its own, and an answer from a cache is none. The call objects are grpc's own; a span
ends by the callback that grpc runs at the end of the call.

The span is current during a blocking call of unary kind. In all others nobody would see it but those who must
not: the thread that reads the program's request iterator, and the channel's own thread, which outlives the call
and runs the program's callbacks, start from a copy of the caller's context.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any
from weakref import finalize

import grpc
from opentelemetry import context as otel_context

from tracerun.agent.guard import guarded
from tracerun.instrumentation.context import tracer
from tracerun.instrumentation.patching import after, argument, replacing, with_argument
from tracerun.instrumentation.rpc import ClientCall, start_client_call

if TYPE_CHECKING:
    from collections.abc import Callable

_TRACER = tracer("grpc_client")
_GUARD = guarded("a gRPC client's call")


def _start(
    stub: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[ClientCall | None, tuple[Any, ...], dict[str, Any]]:
    """The call's span, and the arguments with its context in their metadata."""
    call = None if sys.is_finalizing() else start_client_call(_TRACER, stub._method, stub._target)
    if call is None:
        return None, args, kwargs
    # (request, timeout, metadata, ...) in every kind
    metadata = call.metadata(argument(args, kwargs, 2, "metadata"))
    return (call, *with_argument(args, kwargs, 2, "metadata", metadata))


# Channels and stubs know their target since grpcio 1.62; older ones are told theirs. The inner channel's own
# target() is no help: it crashes the process where the channel is closed.


def _note_target(_: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    if not hasattr(args[0], "_target"):
        args[0]._target = argument(args, kwargs, 1, "target")


def _pass_target_on(stub: Any, args: tuple[Any, ...], _: dict[str, Any]) -> None:
    if not hasattr(stub, "_target"):
        stub._target = args[0]._target


def _blocking(*, current: bool) -> Callable[..., Any]:
    """Calls that return with the response, or with the response and the call."""

    def invoke(original: Any, stub: Any, *args: Any, **kwargs: Any) -> Any:
        call: ClientCall | None = None
        with _GUARD:
            call, args, kwargs = _start(stub, args, kwargs)
        if call is None:
            return original(stub, *args, **kwargs)
        token = otel_context.attach(call.context) if current else None
        try:
            result = original(stub, *args, **kwargs)
        except BaseException as error:
            with _GUARD:
                call.failed(error)
            raise
        finally:
            if token is not None:
                otel_context.detach(token)
        with _GUARD:
            call.ended(grpc.StatusCode.OK)
        return result

    return invoke


class _End:
    """What grpc runs at the end of a call. It holds the call's state, not the call, which may be dropped early."""

    __slots__ = ("call", "state")

    def __init__(self, call: ClientCall, state: Any) -> None:
        self.call = call
        self.state = state

    def __call__(self) -> None:
        with _GUARD:
            # Nothing but a collected stream has no code yet.
            self.call.ended(self.state.code or grpc.StatusCode.CANCELLED, self.state.details)


def _starting(original: Any, stub: Any, *args: Any, **kwargs: Any) -> Any:
    """Calls that return at once, with the call: futures and streams of responses."""
    call: ClientCall | None = None
    with _GUARD:
        call, args, kwargs = _start(stub, args, kwargs)
    if call is None:
        return original(stub, *args, **kwargs)
    try:
        rendezvous = original(stub, *args, **kwargs)
    except BaseException as error:
        with _GUARD:
            call.failed(error)
        raise
    with _GUARD:
        end = _End(call, rendezvous._state)
        if not rendezvous.add_callback(end):
            end()
    return rendezvous


def _starting_single_threaded(original: Any, stub: Any, *args: Any, **kwargs: Any) -> Any:
    """The same where no thread of the channel's tells of the end: it is noticed only by who asks for a message."""
    rendezvous = _starting(original, stub, *args, **kwargs)
    with _GUARD:
        for end in _ends(rendezvous):
            finalize(rendezvous, end).atexit = False  # a stream that is left half-way is never asked again
    return rendezvous


def _cancelled(_: Any, args: tuple[Any, ...], __: dict[str, Any]) -> None:
    for end in _ends(args[0]):  # nor is one that is cancelled
        end()


def _ends(rendezvous: Any) -> list[_End]:
    return [callback for callback in rendezvous._state.callbacks or () if isinstance(callback, _End)]


PATCHES = {
    "grpc._channel:Channel.__init__": after(_note_target, "a gRPC client's channel"),
    "grpc._channel:Channel.unary_unary": after(_pass_target_on, "a gRPC client's channel"),
    "grpc._channel:Channel.unary_stream": after(_pass_target_on, "a gRPC client's channel"),
    "grpc._channel:Channel.stream_unary": after(_pass_target_on, "a gRPC client's channel"),
    "grpc._channel:Channel.stream_stream": after(_pass_target_on, "a gRPC client's channel"),
    "grpc._channel:_UnaryUnaryMultiCallable.__call__": replacing(_blocking(current=True)),
    "grpc._channel:_UnaryUnaryMultiCallable.with_call": replacing(_blocking(current=True)),
    "grpc._channel:_UnaryUnaryMultiCallable.future": replacing(_starting),
    "grpc._channel:_UnaryStreamMultiCallable.__call__": replacing(_starting),
    "grpc._channel:_SingleThreadedUnaryStreamMultiCallable.__call__": replacing(_starting_single_threaded),
    "grpc._channel:_SingleThreadedRendezvous.cancel": after(_cancelled, "a gRPC client's call"),
    "grpc._channel:_StreamUnaryMultiCallable.__call__": replacing(_blocking(current=False)),
    "grpc._channel:_StreamUnaryMultiCallable.with_call": replacing(_blocking(current=False)),
    "grpc._channel:_StreamUnaryMultiCallable.future": replacing(_starting),
    "grpc._channel:_StreamStreamMultiCallable.__call__": replacing(_starting),
}
