"""httpx2, httpx's successor, which has its shape."""

from __future__ import annotations

from typing import Any

from tracerun.instrumentation.bodies import hold, over
from tracerun.instrumentation.context import tracer
from tracerun.instrumentation.http import resent, start_http_client
from tracerun.instrumentation.httpx import HttpxSpan, following, reading, reading_async
from tracerun.instrumentation.patching import after, after_async, argument, around, around_async, replacing

_TRACER = tracer("httpx2")


class _Span(HttpxSpan):
    __slots__ = ()

    def body_follows(self, response: Any) -> bool:
        # Its own stream around the body keeps the time in late releases, and the response in early ones.
        known = hasattr(response.stream, "elapsed") or hasattr(response.stream, "_response")
        return known and hold(self, response.stream)


def _begin(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    request = argument(args, kwargs, 1, "request")
    return start_http_client(_Span, _TRACER, request.method, str(request.url), request.headers, resends=resent(request))


PATCHES = {
    "httpx2._client:Client._send_single_request": around(_begin, "httpx2"),
    "httpx2._client:AsyncClient._send_single_request": around_async(_begin, "httpx2"),
    "httpx2._client:BaseClient._build_redirect_request": after(following, "httpx2"),
    "httpx2._client:BoundSyncStream.__iter__": replacing(reading),
    "httpx2._client:BoundAsyncStream.__aiter__": replacing(reading_async),
    "httpx2._client:BoundSyncStream.close": after(over, "httpx2"),
    "httpx2._client:BoundAsyncStream.aclose": after_async(over, "httpx2"),
}
