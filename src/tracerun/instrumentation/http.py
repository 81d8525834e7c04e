"""The HTTP span, client and server: names, attributes and status rules, once for all libraries.

Source: semantic conventions for HTTP spans, stable (1.23 and later).
"""

from __future__ import annotations

from time import time_ns
from typing import TYPE_CHECKING, Any

from opentelemetry.context import Context
from opentelemetry.trace import SpanKind, Status, StatusCode
from opentelemetry.trace.propagation import _SPAN_KEY

from tracerun.instrumentation import redaction
from tracerun.instrumentation.context import (
    ClientSpan,
    HeaderGetter,
    client_suppressed,
    extract,
    fail,
    inject_into,
    record_exception,
    start_client,
    suppressed,
)

if TYPE_CHECKING:
    from opentelemetry.trace import Span, Tracer

# Under this key the first wrapper of ours that sees an environ or a scope leaves its request.
REQUEST_KEY = "tracerun.request"
# RFC 9110 and PATCH of RFC 5789; the conventions give every other method as _OTHER.
METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "QUERY"))
DEFAULT_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}
CLIENT_ERROR, SERVER_ERROR = 400, 500


def method_attributes(method: str) -> tuple[str, dict[str, Any]]:
    """The method as spans name it (``HTTP`` for one that nobody knows), and its attributes."""
    if method in METHODS:
        return method, {"http.request.method": method}
    upper = method.upper()
    if upper in METHODS:
        return upper, {"http.request.method": upper, "http.request.method_original": method}
    return "HTTP", {"http.request.method": "_OTHER", "http.request.method_original": method}


class HttpClientSpan(ClientSpan):
    """A CLIENT span of one HTTP request; subclasses say where a response keeps its status and version."""

    __slots__ = ()

    def status_of(self, response: Any) -> int | None:
        """The status code of the library's response."""
        return getattr(response, "status_code", None)

    def version_of(self, response: Any) -> str | None:
        """The protocol version of the library's response, such as ``1.1``."""

    def ended(self, result: Any) -> Any:
        """A response has come."""
        try:
            self._describe(result)
        finally:  # the context must not stay attached, whatever a response is like
            self.finish()
        return result

    def _describe(self, response: Any) -> None:
        span, status, version = self.span, self.status_of(response), self.version_of(response)
        if status is not None:
            span.set_attribute("http.response.status_code", status)
            if status >= CLIENT_ERROR:
                span.set_attribute("error.type", str(status))
                span.set_status(Status(StatusCode.ERROR))
        if version:
            span.set_attribute("network.protocol.version", version)


def start_http_client(
    kind: type[HttpClientSpan], tracer: Tracer, method: str, url: str, headers: Any
) -> ClientSpan | None:
    """Starts the span of an outgoing request and puts its context into the request's headers.

    Args:
        kind: The library's span class.
        tracer: Of the library's instrumentation.
        method: The request's method.
        url: The whole URL.
        headers: The request's headers, which take items.

    Returns:
        None where nothing is to be traced.
    """
    if client_suppressed():
        return None
    name, attributes = method_attributes(method)
    attributes["url.full"] = redaction.url(url)
    host, port = address_of(url)
    if host:
        attributes["server.address"] = host
    if port:
        attributes["server.port"] = port
    return start_client(kind, tracer, name, attributes, lambda context: inject_into(headers, context))


def address_of(url: str) -> tuple[str, int | None]:
    """Host and port of an absolute URL; the scheme's own port where none stands there."""
    scheme, _, rest = url.partition("://")
    for end in "/?#":
        rest = rest.partition(end)[0]
    return split_host(rest.rpartition("@")[2], scheme.lower())


def split_host(authority: str, scheme: str) -> tuple[str, int | None]:
    """Host and port of ``host``, ``host:port`` or ``[v6]:port``; the scheme's own port where none is given."""
    host, colon, port = authority.rpartition(":")
    if not colon or port.endswith("]"):
        host, port = authority, ""
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    if port.isascii() and port.isdigit() and len(port) <= 5:  # noqa: PLR2004 - 65535
        return host, int(port)
    return host, DEFAULT_PORTS.get(scheme)


class ServerRequest:
    """A SERVER span from the first sight of a request to the end of its response's body.

    Attributes:
        span: The span.
        context: The context in which the application runs.
        route: The route's template, set by the framework's instrumentor; empty where none is known.
    """

    __slots__ = ("_ended", "_method", "body_end", "context", "error", "route", "span", "status")

    def __init__(self, span: Span, values: dict[str, object], method: str) -> None:
        self.span = span
        # Beside the span the request itself, for those below that have neither environ nor scope at hand.
        self.context = Context({**values, REQUEST_KEY: self})
        self.route = ""
        self.status: int | None = None
        self.error: BaseException | None = None
        self.body_end: int | None = None
        self._method = method
        self._ended = False

    def record(self, error: BaseException) -> None:
        """Keeps the exception that made the application fail, once."""
        if self.error is None:
            self.error = error

    def end(self) -> None:
        """Ends the span, once, with what is known by now."""
        if self._ended:
            return
        self._ended = True
        span = self.span
        if span.is_recording():
            self._describe(span)
        span.end(self.body_end)

    def _describe(self, span: Span) -> None:
        if self.route:
            span.update_name(f"{self._method} {self.route}")
            span.set_attribute("http.route", self.route)
        if self.status is not None:
            span.set_attribute("http.response.status_code", self.status)
        if self.error is not None:
            record_exception(span, self.error)
            fail(span, self.error)
        elif self.status is not None and self.status >= SERVER_ERROR:
            span.set_attribute("error.type", str(self.status))
            span.set_status(Status(StatusCode.ERROR))

    def body_is_over(self) -> None:
        """The last of the body has gone; what runs after it (background work) is not part of the request.

        A failed request stays open: the exception behind it comes only now.
        """
        self.body_end = time_ns()
        if self.status is not None and self.status < SERVER_ERROR:
            self.end()


def start_http_server(
    tracer: Tracer, carrier: Any, getter: HeaderGetter, method: str, attributes: dict[str, Any]
) -> ServerRequest | None:
    """Starts the span of an incoming request.

    Args:
        tracer: Of the framework's or server's instrumentation.
        carrier: What holds the request's headers.
        getter: Reads them.
        method: The request's method.
        attributes: All else that is known before the application runs.

    Returns:
        None where nothing is to be traced.
    """
    if suppressed():
        return None
    parent = extract(carrier, getter)
    name, method_part = method_attributes(method)
    span = tracer.start_span(name, parent, SpanKind.SERVER, {**method_part, **attributes})
    values = dict(parent)
    values[_SPAN_KEY] = span
    return ServerRequest(span, values, name)
