"""grpclib's servers, betterproto's among them: one SERVER span per call, current in the call's own task.

grpclib runs each call in one task made for it, so the span is put into that task's context once. The status is what
the call's stream sends; where it sends none, the client has gone.
"""

from __future__ import annotations

import asyncio
from functools import update_wrapper
from typing import TYPE_CHECKING, Any

from grpclib.exceptions import GRPCError, StreamTerminatedError
from opentelemetry import context as otel_context

from tracerun.instrumentation.context import suppressed, tracer
from tracerun.instrumentation.patching import after, after_async, argument
from tracerun.instrumentation.rpc import code_name
from tracerun.instrumentation.rpc_server import GUARD, ServerCall

if TYPE_CHECKING:
    from collections.abc import Callable

_TRACER = tracer("grpclib_server")
_WHAT = "a gRPC server's call"
# Where an HTTP/2 stream keeps its call.
_KEY = "tracerun_call"


class _Call(ServerCall):
    """A call; ``rpc`` is its stream."""

    __slots__ = ("sent",)

    def __init__(self, method: str, headers: Any) -> None:
        super().__init__(_TRACER, method, headers)
        self.sent = ""

    def code(self) -> str:
        return self.sent

    def remaining(self) -> float | None:
        deadline = getattr(self.rpc, "deadline", None)
        return None if deadline is None else deadline.time_remaining()

    def is_abort(self, error: BaseException) -> bool:
        return isinstance(error, GRPCError)

    def is_cancellation(self, error: BaseException) -> bool:
        return isinstance(error, (asyncio.CancelledError, GeneratorExit, StreamTerminatedError))

    def trailing_metadata(self) -> Any:
        return None  # told when it is sent

    def bind(self, rpc: Any) -> None:
        self.rpc = rpc
        address = rpc.peer.addr()
        if isinstance(address, tuple) and self.span is not None and self.span.is_recording():
            self.span.set_attributes({"network.peer.address": address[0], "network.peer.port": address[1]})

    def over_now(self) -> None:
        """The call's task has come to its end."""
        self.end(self.sent or self.deserted())

    def fails(self, error: BaseException) -> None:
        """The handler has raised; what is sent for it comes next."""
        if not self.is_abort(error) and not self.is_cancellation(error):
            self._failure = error


def _handling(original: Callable[..., Any]) -> Callable[..., Any]:
    async def request_handler(mapping: Any, stream: Any, headers: Any, *rest: Any, **kwargs: Any) -> None:
        call = None
        with GUARD:
            call = _arrived(mapping, stream, headers)
        try:
            await original(mapping, stream, headers, *rest, **kwargs)
        finally:
            if call is not None:
                with GUARD:
                    call.over_now()

    return update_wrapper(request_handler, original)


def _arrived(mapping: Any, stream: Any, headers: Any) -> _Call | None:
    if suppressed():
        return None
    call = _Call(dict(headers)[":path"], headers)
    call.start()
    if call.method not in mapping:
        call.unknown_method()
    setattr(stream, _KEY, call)
    # The task is this call's own and ends with it.
    otel_context.attach(call.context)
    return call


def _call_of(h2_stream: Any) -> _Call | None:
    return getattr(h2_stream, _KEY, None)


def _opened(_: None, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    call = _call_of(argument(args, kwargs, 1, "stream"))
    if call is not None:
        call.bind(args[0])


def _sent(_: None, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    call = _call_of(args[0]._stream)
    if call is not None:
        status = kwargs.get("status")
        call.sent = "OK" if status is None else code_name(status)
        call.answers(kwargs.get("metadata"))


def _sent_first(_: None, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    call = _call_of(args[0]._stream)
    if call is not None:
        call.answers(kwargs.get("metadata"))


def _aborted(_: None, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    # _abort(h2_stream, h2_status, grpc_status=None, ...): what is no call at all has no status.
    call = _call_of(args[0])
    if call is not None:
        call.sent = code_name(argument(args, kwargs, 2, "grpc_status"))


def _closing(original: Callable[..., Any]) -> Callable[..., Any]:
    async def close(stream: Any, kind: Any, error: Any, traceback: Any) -> Any:
        with GUARD:
            call = _call_of(stream._stream)
            if call is not None and error is not None:
                call.fails(error)
        return await original(stream, kind, error, traceback)

    return update_wrapper(close, original)


PATCHES = {
    "grpclib.server:request_handler": _handling,
    "grpclib.server:Stream.__init__": after(_opened, _WHAT),
    "grpclib.server:Stream.send_initial_metadata": after_async(_sent_first, _WHAT),
    "grpclib.server:Stream.send_trailing_metadata": after_async(_sent, _WHAT),
    "grpclib.server:Stream.__aexit__": _closing,
    "grpclib.server:_abort": after_async(_aborted, _WHAT),
}
