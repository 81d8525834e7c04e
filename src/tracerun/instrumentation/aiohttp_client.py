"""aiohttp's client: one CLIENT span for each attempt, from the wait for a connection to the end of the response's body.

A redirect, a retry on a stale connection and a request of a middleware are one each; a websocket's upgrade is one too.
"""

from __future__ import annotations

from typing import Any

from tracerun.instrumentation.bodies import hold, over
from tracerun.instrumentation.context import tracer
from tracerun.instrumentation.http import start_http_client
from tracerun.instrumentation.late_span import KEY, Handover, LateSpan, take
from tracerun.instrumentation.patching import after, argument, around_async
from tracerun.instrumentation.peers import of_transport
from tracerun.instrumentation.resends import counting, sent_before

_TRACER = tracer("aiohttp-client")
SWITCHING_PROTOCOLS = 101


class _Span(LateSpan):
    __slots__ = ("holder",)
    holder: Any

    def sent(self, result: Any) -> None:
        # There is a connection now, which the response may have let go of when it comes.
        setattr(self.holder, KEY, self)
        del self.holder
        if self.span.is_recording():
            self.reached(of_transport(result.transport))

    def status_of(self, response: Any) -> int | None:
        return response.status  # type: ignore[no-any-return]

    def version_of(self, response: Any) -> str | None:
        return f"{response.version.major}.{response.version.minor}"

    def body_follows(self, response: Any) -> bool:
        return response.status != SWITCHING_PROTOCOLS and not response.closed and hold(self, response)


class _Sending(Handover):
    """From the connection to the response's object: the span goes over from the request to it."""

    def ended(self, result: Any) -> Any:
        setattr(result, KEY, self.span)
        return result


def _connect(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    request = argument(args, kwargs, 1, "req")
    url, resends = str(request.url), sent_before("aiohttp")
    span = start_http_client(_Span, _TRACER, request.method, url, request.headers, resends=resends)
    if span is not None:
        span.holder = request  # type: ignore[attr-defined]
    return span


def _send(args: tuple[Any, ...], _: dict[str, Any]) -> Any:
    span = take(args[0])
    return None if span is None else _Sending(span)


def _start(args: tuple[Any, ...], _: dict[str, Any]) -> Any:
    return take(args[0])


PATCHES = {
    "aiohttp.client:ClientSession._request": counting("aiohttp"),
    "aiohttp.connector:BaseConnector.connect": around_async(_connect, "aiohttp-client"),
    "aiohttp.client_reqrep:ClientRequest.send": around_async(_send, "aiohttp-client"),
    "aiohttp.client_reqrep:ClientResponse.start": around_async(_start, "aiohttp-client"),
    # Called at every end of a body: read, closed, released, collected.
    "aiohttp.client_reqrep:ClientResponse._cleanup_writer": after(over, "aiohttp-client"),
}
