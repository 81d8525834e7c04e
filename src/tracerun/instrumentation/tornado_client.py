"""tornado's clients: one CLIENT span for each fetch, and for each redirect that the simple client follows.

A websocket's upgrade is a request as well; its span has ended once the protocol is switched.
"""

from __future__ import annotations

import sys
from typing import Any

from tracerun.agent.guard import guarded
from tracerun.instrumentation.context import tracer
from tracerun.instrumentation.http import CURL_VERSIONS, start_http_client
from tracerun.instrumentation.late_span import KEY, Handover, LateSpan, take
from tracerun.instrumentation.patching import (
    after,
    argument,
    around,
    around_async,
    around_changed,
    before,
    with_argument,
)
from tracerun.instrumentation.peers import of_socket

_TRACER = tracer("tornado_client")
_GUARD = guarded("tornado_client")
REDIRECTS = (301, 302, 303, 307, 308)
SWITCHING_PROTOCOLS = 101


class _Span(LateSpan):
    __slots__ = ("head",)
    head: Any

    def status_of(self, response: Any) -> int | None:
        return response.code  # type: ignore[no-any-return]

    def version_of(self, response: Any) -> str | None:  # noqa: ARG002 - which does not know it
        head = getattr(self, "head", None)
        return head and head.version.removeprefix("HTTP/")

    def answered_by(self, curl: Any, pycurl: Any) -> None:
        """The same and the connection's other end, of libcurl, which the response does not know either."""
        version = CURL_VERSIONS.get(curl.getinfo(pycurl.INFO_HTTP_VERSION))
        if version:
            self.span.set_attribute("network.protocol.version", version)
        self.reached((curl.getinfo(pycurl.PRIMARY_IP), curl.getinfo(pycurl.PRIMARY_PORT)))


class _Switching:
    """The head that switches protocols, and the library's check of it."""

    def __init__(self, span: LateSpan, line: Any) -> None:
        self._span = span
        self._line = line

    def ended(self, result: Any) -> Any:
        self._span.ended(self._line)
        return result

    def failed(self, error: BaseException) -> None:
        self._span.failed(error)


def _start(request: Any) -> LateSpan | None:
    # fetch() and websocket_connect() have made a copy of the program's headers. The request is tornado's own, one
    # for each call.
    first = getattr(request, "original_request", None)
    resends = first.max_redirects - request.max_redirects if first is not None else 0
    span = start_http_client(_Span, _TRACER, request.method, request.url, request.headers, resends=resends)
    if not isinstance(span, LateSpan):
        return None
    span.let_go()
    setattr(request, KEY, span)
    return span


def _fetch(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    request, callback = argument(args, kwargs, 1, "request"), argument(args, kwargs, 2, "callback")
    span = _start(request)
    if span is None:
        return None

    def answered(response: Any) -> None:
        with _GUARD:
            _answered(request, response)
        callback(response)

    return (Handover(span), *with_argument(args, kwargs, 2, "callback", answered))


def _answered(request: Any, response: Any) -> None:
    span = take(request)
    if span is not None and response.code == 599 and response.error is not None:  # noqa: PLR2004 - tornado's own
        span.failed(response.error)
    elif span is not None:
        span.ended(response)


def _connected(args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    span = vars(args[0].request).get(KEY)
    if span is not None and span.span.is_recording():
        span.reached(of_socket(argument(args, kwargs, 1, "stream").socket))


def _head_received(args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    request, line = args[0].request, argument(args, kwargs, 1, "first_line")
    span = vars(request).get(KEY)
    if span is None or line.code < 200:  # noqa: PLR2004 - 1xx come before the answer
        return
    span.head = line
    if request.follow_redirects and line.code in REDIRECTS and argument(args, kwargs, 2, "headers").get("Location"):
        _answered(request, line)  # the request that follows is the next span


def _upgrade(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Handover | None:
    span = _start(argument(args, kwargs, 1, "request"))
    return None if span is None else Handover(span)


def _upgrade_answered(args: tuple[Any, ...], kwargs: dict[str, Any]) -> _Switching | None:
    line = argument(args, kwargs, 1, "start_line")
    if line.code != SWITCHING_PROTOCOLS:
        return None  # no upgrade, and so a response like others
    span: Any = take(args[0].request)
    if span is None:
        return None
    span.head = line
    return _Switching(span, line)


def _upgrade_refused(args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    _answered(args[0].request, argument(args, kwargs, 1, "response"))


def _curl_is_set_up(_: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    argument(args, kwargs, 1, "curl").tracerun_is_traced = True  # which the instrumentor of pycurl asks for


def _curl_is_done(args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    curl = argument(args, kwargs, 1, "curl")
    span = vars(curl.info["request"]).get(KEY)
    if span is not None and span.span.is_recording():
        span.answered_by(curl, sys.modules["pycurl"])


PATCHES = {
    "tornado.simple_httpclient:SimpleAsyncHTTPClient.fetch_impl": around_changed(_fetch, "tornado_client"),
    "tornado.simple_httpclient:_HTTPConnection._create_connection": before(_connected, "tornado_client"),
    "tornado.simple_httpclient:_HTTPConnection.headers_received": before(_head_received, "tornado_client"),
    "tornado.websocket:WebSocketClientConnection.__init__": around(_upgrade, "tornado_client"),
    "tornado.websocket:WebSocketClientConnection.headers_received": around_async(_upgrade_answered, "tornado_client"),
    "tornado.websocket:WebSocketClientConnection._on_http_response": before(_upgrade_refused, "tornado_client"),
    "tornado.curl_httpclient:CurlAsyncHTTPClient.fetch_impl": around_changed(_fetch, "tornado_client"),
    "tornado.curl_httpclient:CurlAsyncHTTPClient._curl_setup_request": after(_curl_is_set_up, "tornado_client"),
    "tornado.curl_httpclient:CurlAsyncHTTPClient._finish": before(_curl_is_done, "tornado_client"),
}
