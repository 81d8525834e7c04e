"""Connect's clients, sync and asyncio: one CLIENT span per call; the HTTP request underneath is the same call.

The methods that send a request are wrapped, below the program's own interceptors. A stream's span begins with its
first step. The transport works in a context in which it makes no span: pyqwest traces itself, through OpenTelemetry's
API, and would add a second ``traceparent``, which receivers reject. What a program's iterator of requests does runs in
the program's own context.
"""

from __future__ import annotations

from functools import update_wrapper
from typing import TYPE_CHECKING, Any

from connectrpc.errors import ConnectError
from opentelemetry import context as otel_context
from opentelemetry.context import _SUPPRESS_HTTP_INSTRUMENTATION_KEY, Context
from opentelemetry.propagators.composite import CompositePropagator

from tracerun.agent.guard import guarded
from tracerun.instrumentation.connect import CONNECT, GRPC, code_of, method_of
from tracerun.instrumentation.context import client_suppressed, detach, excluded, inject_into, tracer
from tracerun.instrumentation.http import address_of, authority
from tracerun.instrumentation.patching import around, around_async, replacing
from tracerun.instrumentation.rpc import ClientCall, start_client_call

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from contextvars import Token

_TRACER = tracer("connect_client")
_WHAT = "a Connect client's call"
_GUARD = guarded(_WHAT)
# In a context with this key nothing is added to headers: the call's own are there already.
_INJECTED = "tracerun.connect"
_NOTHING = CompositePropagator([])


class _Call:
    """One call, and the context in which its steps are taken."""

    __slots__ = ("_call", "_context", "_system", "_token", "program")

    def __init__(self, call: ClientCall, system: str) -> None:
        self._call = call
        self._system = system
        self._token: Token[Context] | None = None
        self.program = otel_context.get_current()
        quiet = {_SUPPRESS_HTTP_INSTRUMENTATION_KEY: True, _INJECTED: True}
        self._context = Context({**excluded(call.context), **quiet})

    def enter(self) -> None:
        """A step begins."""
        self._token = otel_context.attach(self._context)

    def leave(self) -> None:
        """The step has been taken."""
        if self._token is not None:
            detach(self._token)
            self._token = None

    def ended(self, result: Any = None) -> Any:
        """The call has succeeded; Connect's own protocol has no code for that."""
        self.leave()
        self._call.finish("OK" if self._system == GRPC else None, None, None)
        return result

    def failed(self, error: BaseException) -> None:
        """The call has failed, or was given up."""
        self.leave()
        if isinstance(error, ConnectError):
            code = code_of(error.code, self._system)
            self._call.finish(code, code, error.message)
        elif isinstance(error, GeneratorExit):
            code = "canceled" if self._system == CONNECT else "CANCELLED"
            self._call.finish(code, code, None)
        else:
            self._call.failed(error)


class _Untraced:
    """A stream that is not traced: the transport of a call that is."""

    program: Context | None = None

    def enter(self, *_: Any) -> None:
        """Nothing is to be done."""

    leave = ended = failed = enter


def _start(args: tuple[Any, ...]) -> _Call | None:
    client, context = args[0], args[2]
    if client_suppressed():
        return None
    headers, method = _read(context.request_headers), _read(context.method)
    system = GRPC if "grpc" in headers.get("content-type", "") else CONNECT
    host, port = address_of(client._address)
    call = start_client_call(_TRACER, method_of(method), authority(host, port), system)
    if call is None:
        return None
    # The client has made these headers of what the program has passed, for this one call.
    inject_into(headers, call.context, lambda: host)
    return _Call(call, system)


def _read(value: Any) -> Any:
    """An attribute of a request's context; before 0.10 they are methods."""
    return value() if callable(value) else value


def _begin(args: tuple[Any, ...], _: dict[str, Any]) -> _Call | None:
    call = _start(args)
    if call is not None:
        call.enter()
    return call


def _propagator(original: Any) -> Any:
    return _NOTHING if _INJECTED in otel_context.get_current() else original()


def _requests(requests: Any, program: Context) -> Iterator[Any]:
    """The program's requests, each made in its own context."""
    steps = iter(requests)
    while True:
        token = otel_context.attach(program)
        try:
            request = next(steps)
        except StopIteration:
            return
        finally:
            detach(token)
        yield request


async def _async_requests(requests: Any, program: Context) -> AsyncIterator[Any]:
    steps = aiter(requests)
    while True:
        token = otel_context.attach(program)
        try:
            request = await anext(steps)
        except StopAsyncIteration:
            return
        finally:
            detach(token)
        yield request


def _stream(original: Callable[..., Any]) -> Callable[..., Any]:
    def steps(client: Any, requests: Any, context: Any) -> Iterator[Any]:
        call: _Call | _Untraced = _Untraced()
        with _GUARD:
            call = _start((client, requests, context)) or call
        if call.program is not None and not isinstance(requests, list):
            requests = _requests(requests, call.program)
        responses = original(client, requests, context)
        try:
            while True:
                call.enter()
                try:
                    response = next(responses)
                except StopIteration:
                    break
                finally:
                    call.leave()
                yield response
        except BaseException as error:
            responses.close()
            with _GUARD:
                call.failed(error)
            raise
        with _GUARD:
            call.ended()

    return update_wrapper(steps, original)


def _async_stream(original: Callable[..., Any]) -> Callable[..., Any]:
    async def steps(client: Any, requests: Any, context: Any) -> AsyncIterator[Any]:
        call: _Call | _Untraced = _Untraced()
        with _GUARD:
            call = _start((client, requests, context)) or call
        if call.program is not None and not isinstance(requests, list):
            requests = _async_requests(requests, call.program)
        responses = original(client, requests, context)
        try:
            while True:
                call.enter()
                try:
                    response = await anext(responses)
                except StopAsyncIteration:
                    break
                finally:
                    call.leave()
                yield response
        except BaseException as error:
            await responses.aclose()
            with _GUARD:
                call.failed(error)
            raise
        with _GUARD:
            call.ended()

    return update_wrapper(steps, original)


PATCHES = {
    "opentelemetry.propagate:get_global_textmap": replacing(_propagator),
    "connectrpc._client_sync:ConnectClientSync._send_request_unary": around(_begin, _WHAT),
    "connectrpc._client_sync:ConnectClientSync._send_request_bidi_stream": _stream,
    "connectrpc._client_async:ConnectClient._send_request_unary": around_async(_begin, _WHAT),
    "connectrpc._client_async:ConnectClient._send_request_bidi_stream": _async_stream,
}
