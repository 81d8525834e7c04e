"""grpc's servers with threads: one SERVER span per call, current while the handler runs.

Our interceptor stands first in every server, so it sees what the program's own interceptors make of a call. It
puts its own functions around those of the handler that is found, for this one call. Three ends of a call are
known to nobody there: calls that grpc refuses itself (``_reject_rpc``), calls whose message cannot be read or
written (the serializers), and calls that the client gives up (``context.add_callback``).

A call that its client gives up before a thread was free for it has no SERVER span: grpc drops it unseen.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import grpc

from tracerun.instrumentation.context import attach, get_current, reset, suppressed, tracer
from tracerun.instrumentation.grpc_handlers import FIELDS, Handler
from tracerun.instrumentation.headers import CAPTURED
from tracerun.instrumentation.patching import after, argument, before, replacing, with_argument
from tracerun.instrumentation.rpc import code_name, text
from tracerun.instrumentation.rpc_server import GUARD, ServerCall, Steps, run
from tracerun.instrumentation.theirs import has_interceptor

if TYPE_CHECKING:
    from collections.abc import Callable

_TRACER = tracer("grpc_server")
_WHAT = "a gRPC server's call"
# Where a servicer context keeps its call, if metadata is wanted: what is sent first, the context does not keep.
_KEY = "tracerun_call"
# grpc reads these from a handler's function (grpc.experimental).
_EXPERIMENTAL = ("experimental_non_blocking", "experimental_thread_pool")


class _Call(ServerCall):
    def bind(self, rpc: Any) -> None:
        super().bind(rpc)
        if CAPTURED.server_response is not None:
            setattr(rpc, _KEY, self)
        if not rpc.add_callback(self.over):
            self.over()

    def code(self) -> str:
        code = self.rpc.code() if self.rpc is not None else None
        return "" if code is None else code_name(code if isinstance(code, grpc.StatusCode) else None)

    def is_abort(self, error: BaseException) -> bool:
        # abort() raises a bare Exception; the flag tells it from one of the handler's own.
        return bool(getattr(self._state, "aborted", type(error) is Exception))

    def is_cancellation(self, error: BaseException) -> bool:
        return any(error is known for known in getattr(self._state, "rpc_errors", ()))

    def is_cancelled(self) -> bool:
        return self.rpc is not None and not self.rpc.is_active()

    def final(self) -> str:
        # Only a handler that does not block may be over for grpc in good order and yet untold.
        return self.code() or "OK" if getattr(self._state, "statused", False) else self.deserted()

    @property
    def _state(self) -> Any:
        return getattr(self.rpc, "_state", None)


class _Interceptor(grpc.ServerInterceptor):  # type: ignore[misc]
    """Makes one call's handler a traced one."""

    def intercept_service(self, continuation: Callable[[Any], Any], handler_call_details: Any) -> Any:
        call = None
        try:
            around = get_current()
            if not around or not suppressed(around):
                call = _Call(_TRACER, handler_call_details.method, handler_call_details.invocation_metadata)
        except Exception as error:
            if not GUARD.swallows(error):
                raise
        if call is None:
            return continuation(handler_call_details)
        # What the program's interceptors do before there is a handler belongs to the client's trace too.
        token = attach(call.parent)
        try:
            handler = continuation(handler_call_details)
        finally:
            reset(token)
        try:
            return None if handler is None else _traced(handler, call)
        except Exception as error:
            if not GUARD.swallows(error):
                raise
        return handler


def _traced(handler: Any, call: _Call) -> Any:
    requests, responses = bool(handler.request_streaming), bool(handler.response_streaming)
    behavior, serializer = getattr(handler, FIELDS[requests, responses]), handler.response_serializer

    def traced(request: Any, context: Any, *send: Any) -> Any:
        try:
            call.start()
            if call.recorded:
                call.bind(context)
        except Exception as error:
            if not GUARD.swallows(error):
                raise
        response = run(behavior, call, request, context, *send)
        if send:
            return response  # it answers by itself, later: the end of the call is the end of the span
        if responses:
            return Steps(response, call, call.context)
        if serializer is None and call.recorded:
            with GUARD:
                call.returned()
        return response

    for name in _EXPERIMENTAL:
        if hasattr(behavior, name):
            setattr(traced, name, getattr(behavior, name))
    deserialize = _deserializer(handler.request_deserializer, call, seen=requests)
    serialize = serializer and _serializer(serializer, call, streams=responses)
    return Handler(requests, responses, traced, deserialize, serialize)


def _serializer(serializer: Callable[[Any], Any], call: _Call, *, streams: bool) -> Callable[[Any], Any]:
    """The response's serializer; grpc ends the call as INTERNAL if it fails, which no handler sees."""

    def serialize(message: Any) -> Any:
        try:
            data = serializer(message)
        except Exception as error:
            with GUARD:
                call.broke("INTERNAL", error)
                _end_unless(streams, call)
            raise
        if call.recorded:
            with GUARD:
                if data is None:
                    call.broke("INTERNAL")
                _end_unless(streams, call)
        return data

    return serialize


def _end_unless(streams: bool, call: _Call) -> None:
    if not streams:
        call.returned()


def _deserializer(deserializer: Any, call: _Call, *, seen: bool) -> Any:
    """The request's deserializer; if it fails, grpc ends the call as INTERNAL, unseen unless requests stream."""
    if deserializer is None:
        return None

    def deserialize(data: Any) -> Any:
        try:
            message = deserializer(data)
        except Exception as error:
            with GUARD:
                _unreadable(call, error, seen=seen)
            raise
        if message is None:
            with GUARD:
                _unreadable(call, None, seen=seen)
        return message

    return deserialize


def _unreadable(call: _Call, error: Exception | None, *, seen: bool) -> None:
    if not seen:
        call.start()
    call.broke("INTERNAL", error)
    if not seen:
        call.end("INTERNAL")


def _make_server(original: Any, server: Any, *args: Any, **kwargs: Any) -> None:
    # What comes before the interceptors: a thread pool and generic handlers.
    with GUARD:
        own = argument(args, kwargs, 2, "interceptors") or ()
        if not has_interceptor(own):
            args, kwargs = with_argument(args, kwargs, 2, "interceptors", (_Interceptor(), *own))
    original(server, *args, **kwargs)


def _rejected(args: tuple[Any, ...], _: dict[str, Any]) -> None:
    # _reject_rpc(rpc_event, [state,] status, details): no such method, too many calls, a failed interceptor.
    event, code = args[0], code_name(args[-2])
    # Of a method that is registered beforehand the event holds the name as its tag, and nothing else.
    method = text(event.call_details.method or event.tag)
    if suppressed():
        return
    call = ServerCall(_TRACER, method, event.invocation_metadata)
    call.start()
    if code == "UNIMPLEMENTED":
        call.unknown_method()
    call.end(code)


def _sent(_: None, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    call = getattr(args[0], _KEY, None)
    if call is not None:
        call.answers(argument(args, kwargs, 1, "initial_metadata"))


PATCHES = {
    "grpc._server:_Server.__init__": replacing(_make_server),
    "grpc._server:_Context.send_initial_metadata": after(_sent, _WHAT),
    "grpc._server:_reject_rpc?": before(_rejected, _WHAT),
}
