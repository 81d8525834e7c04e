"""requests: one CLIENT span for each request that an adapter sends; urllib3 underneath is the same request."""

from __future__ import annotations

from typing import Any

from tracerun.instrumentation.bodies import HTTPLIB, hold_httplib
from tracerun.instrumentation.context import tracer
from tracerun.instrumentation.http import RESENT, VERSIONS, HttpClientSpan, follow, resent, start_http_client
from tracerun.instrumentation.patching import after, argument, around
from tracerun.instrumentation.peers import of_httplib
from tracerun.instrumentation.resends import Counting, sent_before

_TRACER = tracer("requests")


class _Span(HttpClientSpan):
    __slots__ = ()

    def version_of(self, response: Any) -> str | None:
        return VERSIONS.get(getattr(response.raw, "version", None))

    def peer_of(self, response: Any) -> Any:
        return of_httplib(getattr(response.raw, "_original_response", None))

    def body_follows(self, response: Any) -> bool:
        return hold_httplib(self, getattr(response.raw, "_original_response", None))


def _begin(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    request = argument(args, kwargs, 1, "request")
    method, resends = request.method or "GET", resent(request)
    if not resends:
        resends = _take_up(request)
    return start_http_client(_Span, _TRACER, method, request.url, request.headers, resends=resends)


def _follow(_: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    follow(argument(args, kwargs, 1, "prepared_request"), argument(args, kwargs, 2, "response").request)


def _take_up(request: Any) -> int:
    """A request that answers a challenge is a copy of the one before, and the next one may be a redirect."""
    resends = sent_before("requests")
    if resends:
        setattr(request, RESENT, resends)
    return resends


def _challenged(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Counting:
    return Counting("requests", resent(argument(args, kwargs, 1, "r").request) + 1)


PATCHES = {
    "requests.adapters:HTTPAdapter.send": around(_begin, "requests"),
    # Of a redirect alone: the new request, and the answer to the one before.
    "requests.sessions:SessionRedirectMixin.rebuild_method": after(_follow, "requests"),
    "requests.auth:HTTPDigestAuth.handle_401": around(_challenged, "requests"),
    **HTTPLIB,
}
