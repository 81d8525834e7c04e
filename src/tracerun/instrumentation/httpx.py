"""httpx, sync and async: one CLIENT span for each request sent, redirects and authentication steps included."""

from __future__ import annotations

from typing import Any

from tracerun.instrumentation.context import tracer
from tracerun.instrumentation.http import HttpClientSpan, start_http_client
from tracerun.instrumentation.patching import argument, around, around_async

_TRACER = tracer("httpx")


class _Span(HttpClientSpan):
    __slots__ = ()

    def version_of(self, response: Any) -> str | None:
        return str(response.http_version).removeprefix("HTTP/")


def _begin(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    request = argument(args, kwargs, 1, "request")
    return start_http_client(_Span, _TRACER, request.method, str(request.url), request.headers)


PATCHES = {
    "httpx._client:Client._send_single_request": around(_begin, "httpx"),
    "httpx._client:AsyncClient._send_single_request": around_async(_begin, "httpx"),
}
