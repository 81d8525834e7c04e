"""Connect's clients, sync and asyncio: one CLIENT span per call; the HTTP request underneath is the same call.

The methods that send a request are wrapped, below the program's own interceptors. A stream's span begins with its
first step. The transport works in a context in which it makes no span: pyqwest traces itself, through OpenTelemetry's
API, and would add a second ``traceparent``, which receivers reject. What a program's iterator of requests does runs in
the program's own context.
"""

from __future__ import annotations

import sys
from contextlib import aclosing, closing, nullcontext
from functools import update_wrapper
from typing import TYPE_CHECKING, Any

from connectrpc.errors import ConnectError
from opentelemetry import context as otel_context
from opentelemetry.context import _SUPPRESS_HTTP_INSTRUMENTATION_KEY, Context
from opentelemetry.propagators.composite import CompositePropagator

from tracerun.agent.guard import guarded
from tracerun.instrumentation.connect import CONNECT, GRPC, code_of, metadata_of, method_of, read
from tracerun.instrumentation.context import client_suppressed, detach, excluded, tracer
from tracerun.instrumentation.headers import CAPTURED
from tracerun.instrumentation.http import address_of, authority
from tracerun.instrumentation.patching import (
    around,
    around_async,
    around_changed,
    around_changed_async,
    before,
    replacing,
)
from tracerun.instrumentation.propagation import inject_into
from tracerun.instrumentation.rpc import ClientCall, start_client_call

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from contextvars import Token

_TRACER = tracer("connect_client")
_WHAT = "a Connect client's call"
_GUARD = guarded(_WHAT)
# What is done for a call has this in its context: a place for what comes with the answer beside its messages, where any
# of it is named. Nothing is added to headers there, the call's own are in them already.
_ANSWER = "tracerun.connect"
_NOTHING = CompositePropagator([])


class _In:
    """Blocks that run in a context, one after another."""

    __slots__ = ("_context", "_token")

    def __init__(self, context: Context) -> None:
        self._context = context
        self._token: Token[Context] | None = None

    def __enter__(self) -> None:
        self._token = otel_context.attach(self._context)

    def __exit__(self, *_: object) -> None:
        if self._token is not None:
            detach(self._token)
            self._token = None


class _Call:
    """One call; as a block, the whole of a stream, which ends the call.

    Attributes:
        program: The context that the program has made it in.
        context: Where its steps are taken.
    """

    __slots__ = ("_answer", "_call", "_step", "_system", "context", "program")

    def __init__(self, call: ClientCall, system: str) -> None:
        self._call = call
        self._system = system
        self.program = otel_context.get_current()
        self._answer: list[Any] = []
        quiet = {_SUPPRESS_HTTP_INSTRUMENTATION_KEY: True, _ANSWER: self._answer}
        self.context = Context({**excluded(call.context), **quiet})
        self._step = _In(self.context)

    def begin(self) -> _Call:
        """The one step of a call that is no stream."""
        self._step.__enter__()
        return self

    def ended(self, result: Any = None) -> Any:
        """The call has succeeded; Connect's own protocol has no code for that."""
        self._leave()
        self._call.finish("OK" if self._system == GRPC else None, None, None)
        return result

    def failed(self, error: BaseException) -> None:
        """The call has failed, or was given up."""
        self._leave()
        if isinstance(error, ConnectError):
            code = code_of(error.code, self._system)
            self._call.finish(code, code, error.message)
        elif isinstance(error, GeneratorExit):
            code = "canceled" if self._system == CONNECT else "CANCELLED"
            self._call.finish(code, code, None)
        else:
            self._call.failed(error)

    def _leave(self) -> None:
        self._step.__exit__()
        self._call.answered(*self._answer)

    def __enter__(self) -> None:
        """The stream's first step has begun."""

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        with _GUARD:
            self.ended() if error is None else self.failed(error)


def _start(client: Any, context: Any) -> _Call | None:
    if client_suppressed():
        return None
    headers, method = read(context.request_headers), read(context.method)
    system = GRPC if "grpc" in headers.get("content-type", "") else CONNECT
    host, port = address_of(client._address)
    call = start_client_call(_TRACER, method_of(method), authority(host, port), system)
    if call is None:
        return None
    if CAPTURED.client_request is not None:
        call.sends(metadata_of(headers))
    # The client has made these headers of what the program has passed, for this one call.
    inject_into(headers, call.context, lambda: host)
    return _Call(call, system)


def _begin(args: tuple[Any, ...], _: dict[str, Any]) -> _Call | None:
    call = _start(args[0], args[2])
    return call and call.begin()


def _propagator(original: Any) -> Any:
    return _NOTHING if _ANSWER in otel_context.get_current() else original()


def _answered(args: tuple[Any, ...], _: dict[str, Any]) -> None:
    # ([status,] headers), or trailers; what is nothing but a status comes as both.
    answer: Any = otel_context.get_current().get(_ANSWER) if CAPTURED.client_response is not None else None
    if answer is not None:
        pairs = metadata_of(args[-1])
        if pairs not in answer:
            answer.append(pairs)


# Streams. What their iterators do, the program's of requests and the library's of responses, is done step by step.


def _steps(iterable: Any, context: Context) -> Iterator[Any]:
    iterator, step = iter(iterable), _In(context)
    while True:
        try:
            with step:
                made = next(iterator)
        except StopIteration:
            return
        yield made


async def _async_steps(iterable: Any, context: Context) -> AsyncIterator[Any]:
    iterator, step = aiter(iterable), _In(context)
    while True:
        try:
            with step:
                made = await anext(iterator)
        except StopAsyncIteration:
            return
        yield made


class _Way:
    """How a client goes through its requests.

    Args:
        steps: Goes through an iterable in a context.
        method: What makes something iterable.
    """

    def __init__(self, steps: Callable[[Any, Context], Any], method: str) -> None:
        self._steps = steps
        self._method = method

    def apart(self, requests: Any, call: _Call) -> Any:
        """The program's requests, made in its own context; what is not iterable the library refuses."""
        if isinstance(requests, list) or not hasattr(requests, self._method):
            return requests
        return self._steps(requests, call.program)


_SYNC, _ASYNC = _Way(_steps, "__iter__"), _Way(_async_steps, "__aiter__")


def _collecting(way: _Way) -> Callable[..., Any]:
    # A stream of requests with a single response is one step: whether the answer is a single one is asked around it.
    def begin(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[_Call, tuple[Any, ...], dict[str, Any]] | None:
        client, requests, *rest = args
        call = _start(client, rest[0])
        if call is None:
            return None
        return call.begin(), (client, way.apart(requests, call), *rest), kwargs

    return begin


def _start_stream(client: Any, context: Any) -> _Call | None:
    call = None
    with _GUARD:
        call = _start(client, context)
    return call  # noqa: RET504 - what the guard swallows must leave an untraced call


def _stream(original: Callable[..., Any]) -> Callable[..., Any]:
    def stream(client: Any, requests: Any, context: Any) -> Iterator[Any]:
        call = _start_stream(client, context)
        if call is None:
            yield from original(client, requests, context)
            return
        with call, closing(original(client, _SYNC.apart(requests, call), context)) as responses:
            yield from _steps(responses, call.context)

    return update_wrapper(stream, original)


def _async_stream(original: Callable[..., Any]) -> Callable[..., Any]:
    async def stream(client: Any, requests: Any, context: Any) -> AsyncIterator[Any]:
        call = _start_stream(client, context)
        if call is not None:
            requests = _ASYNC.apart(requests, call)
        with call or nullcontext():
            async with aclosing(original(client, requests, context)) as responses:
                steps: Any = responses if call is None else _async_steps(responses, call.context)
                async with aclosing(steps):
                    async for response in steps:
                        yield response

    return update_wrapper(stream, original)


PATCHES = {
    "opentelemetry.propagate:get_global_textmap": replacing(_propagator),
    "connectrpc._client_sync:ConnectClientSync._send_request_unary": around(_begin, _WHAT),
    "connectrpc._client_sync:ConnectClientSync._send_request_client_stream": around_changed(_collecting(_SYNC), _WHAT),
    "connectrpc._client_sync:ConnectClientSync._send_request_bidi_stream": _stream,
    "connectrpc._client_async:ConnectClient._send_request_unary": around_async(_begin, _WHAT),
    "connectrpc._client_async:ConnectClient._send_request_client_stream": around_changed_async(
        _collecting(_ASYNC), _WHAT
    ),
    "connectrpc._client_async:ConnectClient._send_request_bidi_stream": _async_stream,
}
# Where the library itself takes note of what comes with an answer, since 0.9.
for _module, _function in (
    ("_client_sync", "handle_response_headers"),
    ("_client_async", "handle_response_headers"),
    ("_protocol_connect", "handle_response_trailers"),
    ("_protocol_grpc", "handle_response_trailers"),
):
    if hasattr(sys.modules.get(f"connectrpc.{_module}"), _function):
        PATCHES[f"connectrpc.{_module}:{_function}"] = before(_answered, _WHAT)
