"""grpc.aio's servers: one SERVER span per call, current in the call's own task.

Our interceptor stands first in every server. grpc runs each call, interceptors and handler alike, in one task
made for it, so the span is put into that task's context once and stays there until the task is gone; and
the task's end is the end of every call, however it ends.

grpc asks what kind of function a handler is and treats each differently, so each is wrapped by one of its kind.
"""

from __future__ import annotations

import asyncio
import gc
import inspect
from typing import TYPE_CHECKING, Any

from grpc import aio

from tracerun.instrumentation.context import attach, get_current, suppressed, tracer
from tracerun.instrumentation.grpc_handlers import FIELDS, Handler
from tracerun.instrumentation.patching import argument, replacing, with_argument
from tracerun.instrumentation.rpc import code_name
from tracerun.instrumentation.rpc_server import GUARD, ServerCall, Steps, run
from tracerun.instrumentation.theirs import has_interceptor

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

_TRACER = tracer("grpc_aio_server")
_OK = (None, 0)


class _Call(ServerCall):
    _exhausted = False

    def __init__(self, method: str, metadata: Any, *, limited: bool) -> None:
        super().__init__(_TRACER, method, metadata)
        self._limited = limited

    def bind(self, rpc: Any) -> None:
        if not hasattr(rpc, "code"):
            # What sync handlers get cannot tell the status; the context that it stands for can.
            rpc = next((held for held in gc.get_referents(rpc) if hasattr(held, "code")), rpc)
        super().bind(rpc)

    def code(self) -> str:
        ask = getattr(self.rpc, "code", None)
        code = ask() if ask is not None else None
        name = "OK" if code in _OK else code_name(code)
        return "" if name == "OK" else name

    def is_abort(self, error: BaseException) -> bool:
        return isinstance(error, aio.AbortError)

    def is_cancellation(self, error: BaseException) -> bool:
        if isinstance(error, (asyncio.CancelledError, GeneratorExit)):
            return True
        # Reading from and writing to a call whose client has gone.
        return isinstance(error, aio.BaseError) and not isinstance(error, aio.UsageError)

    def final(self) -> str:
        if self.rpc is None:
            # Its handler never ran: grpc has refused it, or the client went away before its message came.
            return "RESOURCE_EXHAUSTED" if self._limited else "CANCELLED"
        if not self.rpc.done():
            return self.deserted()
        return self.code() or ("OK" if self._exhausted else "UNKNOWN")

    def exhausted(self) -> None:
        # The thread is ahead of the task that writes what it has made.
        self._exhausted = True


class _Interceptor(aio.ServerInterceptor):  # type: ignore[misc]
    """Starts one call's span, and makes its handler a traced one."""

    def __init__(self, *, limited: bool) -> None:
        self._limited = limited

    async def intercept_service(self, continuation: Callable[[Any], Any], handler_call_details: Any) -> Any:
        call = None
        try:
            call = self._arrived(handler_call_details)
        except Exception as error:
            if not GUARD.swallows(error):
                raise
        if call is None:
            return await continuation(handler_call_details)
        try:
            handler = await continuation(handler_call_details)
        except BaseException as error:
            with GUARD:
                call.raised(error)
            raise
        try:
            if handler is not None:
                return _traced(handler, call)
            call.unknown_method()
            call.end("UNIMPLEMENTED")
        except Exception as error:
            if not GUARD.swallows(error):
                raise
        return handler

    def _arrived(self, details: Any) -> _Call | None:
        task = asyncio.current_task()
        around = get_current()
        if task is None or (around and suppressed(around)):
            return None
        call = _Call(details.method, details.invocation_metadata, limited=self._limited)
        call.start()
        if call.recorded:
            task.add_done_callback(call.over)
        attach(call.context)
        return call


def _traced(handler: Any, call: _Call) -> Any:
    requests, responses = bool(handler.request_streaming), bool(handler.response_streaming)
    behavior, serializer = getattr(handler, FIELDS[requests, responses]), handler.response_serializer
    met = requests, False  # whether the handler itself meets a message that cannot be read, or written
    if inspect.iscoroutinefunction(behavior):
        met = requests, responses
        traced = _coroutine(behavior, call, told_later=bool(serializer) and not responses)
    elif inspect.isawaitable(behavior):
        return handler
    elif inspect.isasyncgenfunction(behavior):
        traced = _asynchronous_generator(behavior, call)
    elif responses:
        traced = _stream(behavior, call)
    else:
        traced = _function(behavior, call, told_later=bool(serializer))
    return Handler(
        requests,
        responses,
        traced,
        handler.request_deserializer if met[0] else _watched(handler.request_deserializer, call, ends=False),
        serializer if met[1] else _watched(serializer, call, ends=not responses),
    )


def _watched(convert: Any, call: _Call, *, ends: bool) -> Any:
    """A serializer or deserializer, if there is one; grpc ends the call as UNKNOWN if it fails."""
    if not convert:
        return convert

    def converted(message: Any) -> Any:
        try:
            result = convert(message)
        except Exception as error:
            with GUARD:
                call.broke("UNKNOWN", error)
            raise
        if ends:
            with GUARD:
                call.returned()
        return result

    return converted


def _told(call: _Call, *, later: bool) -> None:
    # A single response is yet to be written, unless grpc drops it for the status.
    if not later or call.code():
        call.returned()


def _coroutine(behavior: Callable[..., Any], call: _Call, *, told_later: bool) -> Callable[..., Any]:
    async def traced(request: Any, context: Any) -> Any:
        if call.recorded:
            with GUARD:
                call.bind(context)
        try:
            response = await behavior(request, context)
        except BaseException as error:
            with GUARD:
                call.raised(error)
            raise
        if call.recorded:
            with GUARD:
                _told(call, later=told_later)
        return response

    return traced


def _asynchronous_generator(behavior: Callable[..., Any], call: _Call) -> Callable[..., Any]:
    async def traced(request: Any, context: Any) -> AsyncIterator[Any]:
        if call.recorded:
            with GUARD:
                call.bind(context)
        try:
            responses = behavior(request, context)
            async for response in responses:
                yield response
        except GeneratorExit:
            # Dropped half-way: what the program's generator has to clean up is cleaned up now, as without us.
            await responses.aclose()
            raise
        except BaseException as error:
            with GUARD:
                call.raised(error)
            raise
        with GUARD:
            call.returned()

    return traced


def _function(behavior: Callable[..., Any], call: _Call, *, told_later: bool) -> Callable[..., Any]:
    def traced(request: Any, context: Any) -> Any:
        if call.recorded:
            with GUARD:
                call.bind(context)
        response = run(behavior, call, request, context)
        if call.recorded:
            with GUARD:
                _told(call, later=told_later)
        return response

    return traced


def _stream(behavior: Callable[..., Any], call: _Call) -> Callable[..., Any]:
    def traced(request: Any, context: Any) -> Any:
        if call.recorded:
            with GUARD:
                call.bind(context)
        return Steps(run(behavior, call, request, context), call, call.context)

    return traced


def _make_server(original: Any, server: Any, *args: Any, **kwargs: Any) -> None:
    # In order: a thread pool, generic handlers, interceptors, options, the greatest number of calls at a time.
    with GUARD:
        own = argument(args, kwargs, 2, "interceptors") or ()
        ours = _Interceptor(limited=argument(args, kwargs, 4, "maximum_concurrent_rpcs") is not None)
        if not has_interceptor(own):
            args, kwargs = with_argument(args, kwargs, 2, "interceptors", (ours, *own))
    original(server, *args, **kwargs)


PATCHES = {"grpc.aio._server:Server.__init__": replacing(_make_server)}
