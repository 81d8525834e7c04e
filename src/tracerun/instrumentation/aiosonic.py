"""aiosonic: one CLIENT span for each attempt, redirects and retries included."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from tracerun.agent.guard import guarded
from tracerun.instrumentation import bodies
from tracerun.instrumentation.context import tracer
from tracerun.instrumentation.http import HttpClientSpan, start_http_client
from tracerun.instrumentation.patching import after, after_async, argument, around_async, replacing
from tracerun.instrumentation.peers import KEY, of_transport
from tracerun.instrumentation.resends import counting, sent_before

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

_TRACER = tracer("aiosonic")
_GUARD = guarded("aiosonic")


class _Span(HttpClientSpan):
    __slots__ = ()

    def version_of(self, response: Any) -> str | None:
        version = response.response_initial.get("version")
        return version.decode() if isinstance(version, bytes) else version

    def peer_of(self, response: Any) -> Any:
        return vars(response).pop(KEY, None)

    def body_follows(self, response: Any) -> bool:
        # How much is still to come where that is known; what is not left to the program has been read already.
        follows = response.chunked or getattr(response, "_remaining", None)
        return bool(follows) and bodies.hold(self, response)


class _Headers:
    """aiosonic's own copy of the program's headers: a mapping, or, where there are none, a list of pairs."""

    def __init__(self, headers: Any) -> None:
        self._headers = headers

    def __setitem__(self, name: str, value: str) -> None:
        if isinstance(self._headers, list):
            self._headers[:] = [pair for pair in self._headers if pair[0].lower() != name]
            self._headers.append((name, value))
        else:
            self._headers[name] = value

    def items(self) -> Any:
        return self._headers if isinstance(self._headers, list) else self._headers.items()


def _begin(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    spec = argument(args, kwargs, 0, "spec")
    if hasattr(spec, "headers"):
        url, method, headers, params = spec.url, spec.method, spec.headers, spec.params
    else:  # of releases that pass a function which makes the head; it knows all of it
        known = argument(args, kwargs, 1, "headers_data").keywords
        url, method, headers, params = (known[name] for name in ("url", "method", "headers", "params"))
    if params:
        url = url._replace(query="&".join(filter(None, (url.query, urlencode(params)))))
    resends = sent_before("aiosonic")
    return start_http_client(_Span, _TRACER, method, url.geturl(), _Headers(headers), resends=resends)


async def _reading(original: Any, response: Any) -> AsyncIterator[bytes]:
    """Reads a body, and tells its span of the end."""
    parts, failure = original(response), None
    try:
        async for part in parts:
            yield part
    except GeneratorExit:  # the program wants no more
        raise
    except BaseException as error:
        failure = error
        raise
    finally:
        with _GUARD:
            bodies.ended(response, failure)
        await parts.aclose()


def _connected(_: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """A response is told its connection, which is closed on the way to the program where it says so."""
    setattr(args[0], KEY, of_transport(argument(args, kwargs, 1, "connection").writer))


def _closed(_: Any, args: tuple[Any, ...], __: dict[str, Any]) -> None:
    bodies.ended(args[0], None)


PATCHES = {
    "aiosonic:HTTPClient.request": counting("aiosonic"),
    "aiosonic:_do_request?": around_async(_begin, "aiosonic"),
    "aiosonic.client:_do_request": around_async(_begin, "aiosonic"),
    "aiosonic:HttpResponse._set_connection": after(_connected, "aiosonic"),
    "aiosonic:HttpResponse.read_chunks": replacing(_reading),
    "aiosonic:HttpResponse.aclose?": after_async(_closed, "aiosonic"),
}
