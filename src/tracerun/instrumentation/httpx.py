"""httpx, sync and async: one CLIENT span for each request sent, redirects and authentication steps included."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tracerun.agent.guard import guarded
from tracerun.instrumentation.bodies import broke, hold, over
from tracerun.instrumentation.context import tracer
from tracerun.instrumentation.http import HttpClientSpan, follow, resent, start_http_client
from tracerun.instrumentation.patching import after, after_async, argument, around, around_async, replacing
from tracerun.instrumentation.peers import of_stream
from tracerun.instrumentation.theirs import is_instrumented

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

_TRACER = tracer("httpx")
_GUARD = guarded("httpx")
UNAUTHORIZED = 401


class HttpxSpan(HttpClientSpan):
    """For the responses of httpx and httpx2."""

    __slots__ = ()

    def ended(self, result: Any) -> Any:
        """A response has come; after a challenge the client may send the same request again, with an answer."""
        super().ended(result)
        if result.status_code == UNAUTHORIZED:
            follow(result.request, result.request)
        return result

    def version_of(self, response: Any) -> str | None:
        """The protocol version."""
        return str(response.http_version).removeprefix("HTTP/")

    def peer_of(self, response: Any) -> Any:
        """The connection's other end, where the transport is of a network."""
        stream = response.extensions.get("network_stream")
        return stream and of_stream(stream)

    def body_follows(self, response: Any) -> bool:
        """Whether it is still to be read."""
        # httpx closes what it has put around the body when that is read, or no longer wanted.
        return hasattr(response.stream, "_response") and hold(self, response.stream)


def _begin(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    if is_instrumented(args[0]):
        return None
    request = argument(args, kwargs, 1, "request")
    url, resends = str(request.url), resent(request)
    return start_http_client(HttpxSpan, _TRACER, request.method, url, request.headers, resends=resends)


def following(request: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """A request that follows a redirect has been made of the one before."""
    follow(request, argument(args, kwargs, 1, "request"))


def reading(original: Any, stream: Any) -> Iterator[bytes]:
    """Reads a body, and tells its span should it break off."""
    try:
        yield from original(stream)
    except Exception as error:
        with _GUARD:
            broke(stream, error)
        raise


async def reading_async(original: Any, stream: Any) -> AsyncIterator[bytes]:
    """The same of an async client's."""
    try:
        async for part in original(stream):
            yield part
    except Exception as error:
        with _GUARD:
            broke(stream, error)
        raise


PATCHES = {
    "httpx._client:Client._send_single_request": around(_begin, "httpx"),
    "httpx._client:AsyncClient._send_single_request": around_async(_begin, "httpx"),
    "httpx._client:BaseClient._build_redirect_request": after(following, "httpx"),
    "httpx._client:BoundSyncStream.__iter__": replacing(reading),
    "httpx._client:BoundAsyncStream.__aiter__": replacing(reading_async),
    "httpx._client:BoundSyncStream.close": after(over, "httpx"),
    "httpx._client:BoundAsyncStream.aclose": after_async(over, "httpx"),
}
