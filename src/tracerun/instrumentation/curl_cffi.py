"""curl_cffi's sessions, sync and async: one CLIENT span for each request; libcurl follows redirects by itself.

The span begins where the options of a transfer are set, when its whole URL is known, and waits on the transfer's
handle for the response.
"""

from __future__ import annotations

import sys
from typing import Any

from tracerun.instrumentation.context import tracer
from tracerun.instrumentation.http import CURL_VERSIONS, start_http_client
from tracerun.instrumentation.late_span import KEY, LateSpan, take
from tracerun.instrumentation.patching import after, argument, before

_TRACER = tracer("curl_cffi")


class _Span(LateSpan):
    __slots__ = ()

    def version_of(self, response: Any) -> str | None:
        return CURL_VERSIONS.get(response.http_version)


def _options_are_set(handle: Any, result: Any) -> None:
    request = result[0]
    if not request.url.lower().startswith(("http://", "https://")):
        return
    own = {name.lower(): value for name, value in request.headers.items()}
    headers = dict(own)
    span = start_http_client(_Span, _TRACER, request.method, request.url, headers)
    if isinstance(span, LateSpan):
        span.let_go()
        setattr(handle, KEY, span)
        # Lines are added to those that are there. A traceparent of the program's own goes out instead of ours.
        lines = [f"{name}: {value}".encode() for name, value in headers.items() if name not in own]
        handle.setopt(sys.modules["curl_cffi"].CurlOpt.HTTPHEADER, lines)


def _by_function(result: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    _options_are_set(argument(args, kwargs, 0, "curl"), result)


def _by_method(result: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    _options_are_set(argument(args, kwargs, 1, "curl"), result)


def _parsed(response: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    span, error = take(argument(args, kwargs, 1, "curl")), sys.exc_info()[1]
    if span is not None and response.status_code == 0 and error is not None:
        span.failed(error)  # parsed for the exception that the program gets
    elif span is not None:
        span.ended(response)


def _reset(args: tuple[Any, ...], _: dict[str, Any]) -> None:
    given_up = take(args[0])
    if given_up is not None:
        given_up.finish()


PATCHES = {
    "curl_cffi.requests.session:set_curl_options?": after(_by_function, "curl_cffi"),
    "curl_cffi.requests.session:BaseSession._set_curl_options?": after(_by_method, "curl_cffi"),
    "curl_cffi.requests.session:BaseSession._parse_response": after(_parsed, "curl_cffi"),
    "curl_cffi.curl:Curl.reset": before(_reset, "curl_cffi"),
}
