"""grpc.aio's clients: one CLIENT span per call on the wire.

The call objects' constructors are wrapped, below the program's own interceptors, as in the sync client. The span
ends by grpc's own callback, which comes also where the program drops a call half-way: grpc cancels it then.

The span is never current: what starts here are tasks, which copy the context and run the program's code (request
iterators) for as long as the call lasts.
"""

from __future__ import annotations

from typing import Any
from weakref import finalize

from tracerun.agent.guard import guarded
from tracerun.instrumentation.context import tracer
from tracerun.instrumentation.headers import CAPTURED
from tracerun.instrumentation.patching import after, argument, around_changed, with_argument
from tracerun.instrumentation.rpc import ClientCall, start_client_call

_TRACER = tracer("grpc_aio_client")
_WHAT = "a gRPC client's call"
_GUARD = guarded(_WHAT)
# Targets by the id of a channel's inner object, which did not know its own before grpcio 1.80 or so.
_TARGETS: dict[int, str] = {}


class _End:
    """What grpc runs at the end of a call. It holds the inner call, not the outer: dropping that is what cancels."""

    __slots__ = ("call", "inner")

    def __init__(self, call: ClientCall, inner: Any) -> None:
        self.call = call
        self.inner = inner

    def __call__(self) -> None:
        inner, self.inner = self.inner, None  # no cycle is left behind; older releases call twice
        if inner is not None:
            with _GUARD:
                status = inner._status
                if CAPTURED.client_response is not None:
                    self.call.answered(inner._initial_metadata, status.trailing_metadata())
                self.call.ended(status.code(), status.details())


class _Making:
    """The call object is being made, which starts the call."""

    __slots__ = ("_call", "_made")

    def __init__(self, call: ClientCall, made: Any) -> None:
        self._call = call
        self._made = made

    def ended(self, result: Any) -> Any:
        """It has begun; grpc tells of its end."""
        inner = self._made._cython_call
        inner.add_done_callback(_End(self._call, inner))
        return result

    def failed(self, error: BaseException) -> None:
        """It could not begin."""
        self._call.failed(error)


def _begin(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[_Making, tuple[Any, ...], dict[str, Any]] | None:
    # (itself, request, deadline, metadata, credentials, wait_for_ready, channel, method, ...) in every kind
    metadata, channel = argument(args, kwargs, 3, "metadata"), argument(args, kwargs, 6, "channel")
    target = getattr(channel, "target", None) or _TARGETS.get(id(channel), "")
    call = start_client_call(_TRACER, argument(args, kwargs, 7, "method"), target)
    if call is None:
        return None
    making = _Making(call, args[0])
    if metadata is None:  # which no plain call is: grpc refuses it
        return making, args, kwargs
    return (making, *with_argument(args, kwargs, 3, "metadata", call.metadata(metadata)))


def _note_target(_: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    inner = args[0]._channel
    if not hasattr(inner, "target"):
        _TARGETS[id(inner)] = argument(args, kwargs, 1, "target")
        # Stubs keep the channel, and the channel its inner object.
        finalize(args[0], _TARGETS.pop, id(inner), None).atexit = False


_TRACED = around_changed(_begin, _WHAT)
PATCHES = {
    "grpc.aio._channel:Channel.__init__": after(_note_target, "a gRPC client's channel"),
    "grpc.aio._call:UnaryUnaryCall.__init__": _TRACED,
    "grpc.aio._call:UnaryStreamCall.__init__": _TRACED,
    "grpc.aio._call:StreamUnaryCall.__init__": _TRACED,
    "grpc.aio._call:StreamStreamCall.__init__": _TRACED,
}
