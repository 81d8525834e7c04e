"""grpc.aio's clients: one CLIENT span per call on the wire.

The call objects' constructors are wrapped, below the program's own interceptors, as in the sync client. The span
ends by grpc's own callback, which comes also where the program drops a call half-way: grpc cancels it then.

The span is never current: what starts here are tasks, which copy the context and run the program's code (request
iterators) for as long as the call lasts.
"""

from __future__ import annotations

import sys
from typing import Any
from weakref import finalize

from tracerun.agent.guard import guarded
from tracerun.instrumentation.context import tracer
from tracerun.instrumentation.patching import after, argument, replacing, with_argument
from tracerun.instrumentation.rpc import ClientCall, start_client_call

_TRACER = tracer("grpc_aio_client")
_GUARD = guarded("a gRPC client's call")
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
                self.call.ended(inner._status.code(), inner._status.details())


def _start(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[ClientCall | None, tuple[Any, ...], dict[str, Any]]:
    # (request, deadline, metadata, credentials, wait_for_ready, channel, method, ...) in every kind
    metadata, channel = argument(args, kwargs, 2, "metadata"), argument(args, kwargs, 5, "channel")
    target = getattr(channel, "target", None) or _TARGETS.get(id(channel), "")
    method = argument(args, kwargs, 6, "method")
    call = None if sys.is_finalizing() else start_client_call(_TRACER, method, target)
    if call is None or metadata is None:  # without metadata, which no plain call is, grpc refuses the call
        return call, args, kwargs
    return (call, *with_argument(args, kwargs, 2, "metadata", call.metadata(metadata)))


def _make_call(original: Any, made: Any, *args: Any, **kwargs: Any) -> None:
    call: ClientCall | None = None
    with _GUARD:
        call, args, kwargs = _start(args, kwargs)
    if call is None:
        original(made, *args, **kwargs)
        return
    try:
        original(made, *args, **kwargs)
    except BaseException as error:
        with _GUARD:
            call.failed(error)
        raise
    with _GUARD:
        made._cython_call.add_done_callback(_End(call, made._cython_call))


def _note_target(_: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    inner = args[0]._channel
    if not hasattr(inner, "target"):
        _TARGETS[id(inner)] = argument(args, kwargs, 1, "target")
        # Stubs keep the channel, and the channel its inner object.
        finalize(args[0], _TARGETS.pop, id(inner), None).atexit = False


PATCHES = {
    "grpc.aio._channel:Channel.__init__": after(_note_target, "a gRPC client's channel"),
    "grpc.aio._call:UnaryUnaryCall.__init__": replacing(_make_call),
    "grpc.aio._call:UnaryStreamCall.__init__": replacing(_make_call),
    "grpc.aio._call:StreamUnaryCall.__init__": replacing(_make_call),
    "grpc.aio._call:StreamStreamCall.__init__": replacing(_make_call),
}
