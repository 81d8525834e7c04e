"""httplib2: one CLIENT span for each request, redirects and authentication steps included."""

from __future__ import annotations

from typing import Any

from tracerun.instrumentation.context import client_suppressed, tracer
from tracerun.instrumentation.http import HttpClientSpan, start_http_client
from tracerun.instrumentation.http_client import url_of
from tracerun.instrumentation.patching import argument, around
from tracerun.instrumentation.peers import HTTPLIB, tell
from tracerun.instrumentation.resends import Counting, counting_recursive, sent_before

_TRACER = tracer("httplib2")
_VERSIONS: dict[Any, str] = {10: "1.0", 11: "1.1"}


class _Span(HttpClientSpan):
    __slots__ = ()

    def status_of(self, response: Any) -> int | None:
        return response[0].status  # type: ignore[no-any-return]

    def version_of(self, response: Any) -> str | None:
        return _VERSIONS.get(response[0].version)

    def headers_of(self, response: Any) -> Any:
        return response[0]


def _begin(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    if client_suppressed():
        return None
    # Http.request has made a copy of the program's headers.
    connection, target, method, _, headers = (
        argument(args, kwargs, position, name)
        for position, name in enumerate(("conn", "request_uri", "method", "body", "headers"), 1)
    )
    url, resends = url_of(connection, target), sent_before("httplib2")
    span = start_http_client(_Span, _TRACER, method, url, headers, resends=resends)
    if isinstance(span, _Span):
        tell(span, connection)
    return span


def _call(args: tuple[Any, ...], _: dict[str, Any]) -> Counting | None:
    return counting_recursive("httplib2", args[0])


PATCHES = {
    "httplib2:Http.request": around(_call, "httplib2"),
    "httplib2:Http._conn_request": around(_begin, "httplib2"),
    **HTTPLIB,
}
