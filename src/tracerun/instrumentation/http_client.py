"""http.client used directly: one CLIENT span for each request, from its last header to the end of the answer's body.

Below another client that is traced there is nothing to do but to see that, at little cost.
"""

from __future__ import annotations

from http.client import HTTPS_PORT
from typing import Any

from tracerun.instrumentation.bodies import HTTPLIB, hold_httplib
from tracerun.instrumentation.context import client_suppressed, tracer
from tracerun.instrumentation.http import HttplibSpan, authority, start_http_client
from tracerun.instrumentation.late_span import KEY, LateSpan, keeps, take
from tracerun.instrumentation.patching import around, before, only_if
from tracerun.instrumentation.peers import of_socket

_TRACER = tracer("http_client")


class _Span(HttplibSpan, LateSpan):
    __slots__ = ("connection",)
    connection: Any

    def body_follows(self, response: Any) -> bool:
        return hold_httplib(self, response)

    def sent(self, result: Any) -> None:  # noqa: ARG002 - endheaders() gives nothing
        setattr(self.connection, KEY, self)
        if self.span.is_recording():
            self.reached(of_socket(self.connection.sock))
        del self.connection


class _Lines:
    """The lines of the request that http.client has gathered, as headers that take items."""

    def __init__(self, lines: list[bytes]) -> None:
        self._lines = lines

    def __setitem__(self, name: str, value: str) -> None:
        start = name.encode("latin-1") + b":"
        self._lines[1:] = [line for line in self._lines[1:] if not line.lower().startswith(start)]
        self._lines.append(start + b" " + value.encode("latin-1"))

    def items(self) -> Any:
        for line in self._lines[1:]:
            name, _, value = line.decode("latin-1").partition(":")
            yield name, value.strip()


def _is_traced_here(_: Any) -> bool:
    return not client_suppressed()


def _begin(args: tuple[Any, ...], _: dict[str, Any]) -> Any:
    connection = args[0]
    lines, method = connection._buffer, connection._method
    # Without a request line endheaders() is about to raise.
    if not lines or not method or connection._HTTPConnection__state != "Request-started":
        return None
    target = lines[0].decode("utf-8", "replace")[len(method) + 1 :].rpartition(" ")[0]
    span = start_http_client(_Span, _TRACER, method, url_of(connection, target), _Lines(lines))
    if span is not None:
        span.connection = connection  # type: ignore[attr-defined]
    return span


def url_of(connection: Any, target: str) -> str:
    """The whole URL of a request over a connection of http.client's."""
    if "://" in target.partition("?")[0]:  # to a proxy
        return target
    scheme = "https" if connection.default_port == HTTPS_PORT else "http"
    host, port = connection.host, connection.port
    if connection._tunnel_host:
        host, port = connection._tunnel_host, connection._tunnel_port
    return f"{scheme}://{authority(host, port)}{target}"


def _begin_answer(args: tuple[Any, ...], _: dict[str, Any]) -> Any:
    return take(args[0])


def _closed(args: tuple[Any, ...], _: dict[str, Any]) -> None:
    given_up = take(args[0])
    if given_up is not None:
        given_up.finish()


PATCHES = {
    "http.client:HTTPConnection.endheaders": only_if(_is_traced_here, around(_begin, "http_client")),
    "http.client:HTTPConnection.getresponse": only_if(keeps, around(_begin_answer, "http_client")),
    "http.client:HTTPConnection.close": only_if(keeps, before(_closed, "http_client")),
    **HTTPLIB,
}
