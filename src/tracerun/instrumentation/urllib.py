"""urllib.request: one CLIENT span for each request, redirects and authentication steps included."""

from __future__ import annotations

import copy
from typing import Any

from tracerun.instrumentation.bodies import HTTPLIB, hold_httplib
from tracerun.instrumentation.context import client_suppressed, tracer
from tracerun.instrumentation.http import HttplibSpan, start_http_client
from tracerun.instrumentation.patching import argument, around, around_changed, with_argument
from tracerun.instrumentation.peers import of_httplib
from tracerun.instrumentation.resends import Counting, sent_before

_TRACER = tracer("urllib")


class _Headers:
    """Spells names as ``Request.add_header`` does, so that what the program has put there is replaced."""

    def __init__(self, request: Any) -> None:
        self._request = request

    def __setitem__(self, name: str, value: str) -> None:
        self._request.unredirected_hdrs[name.capitalize()] = value

    def items(self) -> Any:
        return self._request.header_items()


class _Span(HttplibSpan):
    __slots__ = ()

    def peer_of(self, response: Any) -> Any:
        return of_httplib(response)

    def body_follows(self, response: Any) -> bool:
        return hold_httplib(self, response)


def _begin(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    if client_suppressed():
        return None
    # A copy with headers of its own: the program may use its request again. These do not go along a redirect.
    request = copy.copy(argument(args, kwargs, 2, "req"))
    request.unredirected_hdrs = dict(request.unredirected_hdrs)
    method, resends = request.get_method(), max(_redirects(request), sent_before("urllib"))
    span = start_http_client(_Span, _TRACER, method, request.full_url, _Headers(request), resends=resends)
    return None if span is None else (span, *with_argument(args, kwargs, 2, "req", request))


def _redirects(request: Any) -> int:
    # How often each URL was redirected to, which the request that follows takes over.
    return sum(getattr(request, "redirect_dict", {}).values())


def _resending(position: int) -> Any:
    """Around a method that sends a request again, with the answer to a challenge."""

    def begin(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Counting:
        redirects = _redirects(argument(args, kwargs, position, "req"))
        return Counting("urllib", max(redirects + 1, sent_before("urllib")))

    return around(begin, "urllib")


PATCHES = {
    "urllib.request:AbstractBasicAuthHandler.retry_http_basic_auth": _resending(2),
    "urllib.request:AbstractDigestAuthHandler.retry_http_digest_auth": _resending(1),
    "urllib.request:AbstractHTTPHandler.do_open": around_changed(_begin, "urllib"),
    **HTTPLIB,
}
