"""tornado's clients: one CLIENT span for each fetch, and for each redirect that the simple client follows."""

from __future__ import annotations

import sys
from typing import Any

from tracerun.agent.guard import guarded
from tracerun.instrumentation.context import tracer
from tracerun.instrumentation.http import CURL_VERSIONS, start_http_client
from tracerun.instrumentation.late_span import KEY, Handover, LateSpan, take
from tracerun.instrumentation.patching import after, argument, around_changed, before, with_argument

_TRACER = tracer("tornado_client")
_GUARD = guarded("tornado_client")
REDIRECTS = (301, 302, 303, 307, 308)


class _Span(LateSpan):
    __slots__ = ("head",)
    head: Any

    def status_of(self, response: Any) -> int | None:
        return response.code  # type: ignore[no-any-return]

    def version_of(self, response: Any) -> str | None:  # noqa: ARG002 - which does not know it
        head = getattr(self, "head", None)
        return head and head.version.removeprefix("HTTP/")


def _fetch(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    request, callback = argument(args, kwargs, 1, "request"), argument(args, kwargs, 2, "callback")
    # fetch() has made a copy of the program's headers. The request is tornado's own, one for each fetch.
    span = start_http_client(_Span, _TRACER, request.method, request.url, request.headers)
    if not isinstance(span, LateSpan):
        return None
    span.let_go()
    setattr(request, KEY, span)

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


def _head_received(args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    request, line = args[0].request, argument(args, kwargs, 1, "first_line")
    span = vars(request).get(KEY)
    if span is None or line.code < 200:  # noqa: PLR2004 - 1xx come before the answer
        return
    span.head = line
    if request.follow_redirects and line.code in REDIRECTS and argument(args, kwargs, 2, "headers").get("Location"):
        _answered(request, line)  # the request that follows is the next span


def _curl_is_set_up(_: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    argument(args, kwargs, 1, "curl").tracerun_is_traced = True  # which the instrumentor of pycurl asks for


def _curl_is_done(args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    curl = argument(args, kwargs, 1, "curl")
    span = vars(curl.info["request"]).get(KEY)
    version = CURL_VERSIONS.get(curl.getinfo(sys.modules["pycurl"].INFO_HTTP_VERSION))
    if span is not None and version:
        span.span.set_attribute("network.protocol.version", version)


PATCHES = {
    "tornado.simple_httpclient:SimpleAsyncHTTPClient.fetch_impl": around_changed(_fetch, "tornado_client"),
    "tornado.simple_httpclient:_HTTPConnection.headers_received": before(_head_received, "tornado_client"),
    "tornado.curl_httpclient:CurlAsyncHTTPClient.fetch_impl": around_changed(_fetch, "tornado_client"),
    "tornado.curl_httpclient:CurlAsyncHTTPClient._curl_setup_request": after(_curl_is_set_up, "tornado_client"),
    "tornado.curl_httpclient:CurlAsyncHTTPClient._finish": before(_curl_is_done, "tornado_client"),
}
