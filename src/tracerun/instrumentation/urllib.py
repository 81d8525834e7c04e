"""urllib.request: one CLIENT span for each request, redirects and authentication steps included."""

from __future__ import annotations

import copy
from typing import Any

from tracerun.instrumentation.bodies import HTTPLIB, hold_httplib
from tracerun.instrumentation.context import client_suppressed, tracer
from tracerun.instrumentation.http import HttplibSpan, start_http_client
from tracerun.instrumentation.patching import argument, around_changed, with_argument

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

    def body_follows(self, response: Any) -> bool:
        return hold_httplib(self, response)


def _begin(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    if client_suppressed():
        return None
    # A copy with headers of its own: the program may use its request again. These do not go along a redirect.
    request = copy.copy(argument(args, kwargs, 2, "req"))
    request.unredirected_hdrs = dict(request.unredirected_hdrs)
    # How often each URL was redirected to, which the request that follows takes over.
    resends = sum(getattr(request, "redirect_dict", {}).values())
    span = start_http_client(_Span, _TRACER, request.get_method(), request.full_url, _Headers(request), resends=resends)
    return None if span is None else (span, *with_argument(args, kwargs, 2, "req", request))


PATCHES = {"urllib.request:AbstractHTTPHandler.do_open": around_changed(_begin, "urllib"), **HTTPLIB}
