"""The HTTP span, client and server: names, attributes and status rules, once for all libraries.

Source: semantic conventions for HTTP spans, stable (1.23 and later).
"""

from __future__ import annotations

from functools import lru_cache
from time import time_ns
from typing import TYPE_CHECKING, Any

from opentelemetry.context import Context
from opentelemetry.trace import Status, StatusCode
from opentelemetry.trace.propagation import _SPAN_KEY

from tracerun.instrumentation import headers as captured
from tracerun.instrumentation import redaction
from tracerun.instrumentation.context import (
    SERVER,
    ClientSpan,
    Later,
    client_suppressed,
    excluded,
    fail,
    get_current,
    library_of,
    record_exception,
    start_client,
    start_span,
    suppressed,
)
from tracerun.instrumentation.exclusion import EXCLUSION, excludes_incoming, excludes_outgoing
from tracerun.instrumentation.headers import CAPTURED
from tracerun.instrumentation.methods import method_attributes, span_name
from tracerun.instrumentation.propagation import NOBODY, HeaderGetter, extract, inject_into
from tracerun.instrumentation.theirs import is_traced

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.trace import Span, Tracer

# Under this key the first wrapper of ours that sees an environ or a scope leaves its request.
REQUEST_KEY = "tracerun.request"
# Where a request of a library's notes how often it was sent before.
RESENT = "_tracerun_resent"
# How http.client and urllib3 give a response's version.
VERSIONS: dict[Any, str] = {9: "0.9", 10: "1.0", 11: "1.1", 20: "2", 30: "3"}
# How libcurl gives it (CURL_HTTP_VERSION_*).
CURL_VERSIONS: dict[Any, str] = {1: "1.0", 2: "1.1", 3: "2", 30: "3"}
DEFAULT_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}
CLIENT_ERROR, SERVER_ERROR = 400, 500
# Hosts that are remembered with their ports, and how long one may be (RFC 1035: 253 characters, and the port).
HOSTS, LONGEST_HOST = 1024, 260


class HttpClientSpan(ClientSpan):
    """A CLIENT span of one HTTP request; subclasses say where a response keeps its status and version."""

    __slots__ = ()

    def status_of(self, response: Any) -> int | None:
        """The status code of the library's response."""
        return getattr(response, "status_code", None)

    def version_of(self, response: Any) -> str | None:
        """The protocol version of the library's response, such as ``1.1``."""

    def headers_of(self, response: Any) -> Any:
        """The headers of the library's response: a mapping or pairs."""
        return getattr(response, "headers", None)

    def peer_of(self, response: Any) -> Any:
        """The other end of the connection that the response came over (``reached``), where that is not known before."""

    def reached(self, peer: Any) -> None:
        """The other end of the connection is known: an address and a port, or the path of a Unix socket."""
        address, port = peer[:2] if isinstance(peer, tuple) else (peer, None)
        if address and isinstance(address, str):
            self.span.set_attribute("network.peer.address", address)
            if isinstance(port, int) and port > 0:  # libcurl gives -1 with a path
                self.span.set_attribute("network.peer.port", port)

    def ended(self, result: Any) -> Any:
        """A response has come."""
        follows = False
        try:
            if self.span.is_recording():
                self._describe(result)
                follows = self.body_follows(result)
        finally:  # the context must not stay attached, whatever a response is like
            self.let_go()
            if not follows:
                self.span.end()
        return result

    def body_follows(self, response: Any) -> bool:  # noqa: ARG002 - for subclasses
        """Whether the body is still to be read, and somebody ends the span with it (``bodies.hold``)."""
        return False

    def _describe(self, response: Any) -> None:
        span, status, version = self.span, self.status_of(response), self.version_of(response)
        if status is not None:
            span.set_attribute("http.response.status_code", status)
            if status >= CLIENT_ERROR:
                span.set_attribute("error.type", str(status))
                span.set_status(Status(StatusCode.ERROR))
        if version:
            span.set_attribute("network.protocol.version", version)
        peer = self.peer_of(response)
        if peer is not None:
            self.reached(peer)
        wanted = CAPTURED.client_response
        if wanted is not None:
            pairs = captured.items_of(self.headers_of(response))
            span.set_attributes(captured.attributes(wanted, captured.HTTP_RESPONSE, pairs))


class HttplibSpan(HttpClientSpan):
    """For responses that are like those of ``http.client``."""

    __slots__ = ()

    def status_of(self, response: Any) -> int | None:
        """The status code."""
        return getattr(response, "status", None)

    def version_of(self, response: Any) -> str | None:
        """The protocol version."""
        return VERSIONS.get(getattr(response, "version", None))


def follow(request: Any, before: Any) -> None:
    """Notes that a library makes a request because of the answer to another one: a redirect."""
    setattr(request, RESENT, resent(before) + 1)


def resent(request: Any) -> int:
    """How often a request has been sent before, in another form."""
    count: int = getattr(request, RESENT, 0)
    return count


def start_http_client(
    kind: type[HttpClientSpan], tracer: Tracer, method: str, url: str, headers: Any, *, resends: int = 0
) -> ClientSpan | None:
    """Starts the span of an outgoing request and puts its context into the request's headers.

    Args:
        kind: The library's span class.
        tracer: Of the library's instrumentation.
        method: The request's method.
        url: The whole URL.
        headers: The request's headers, which take items.
        resends: How many requests for the same call of the program's went before it.

    Returns:
        None where nothing is to be traced.
    """
    parent = get_current()
    if client_suppressed(parent):
        return None
    if EXCLUSION.on and excludes_outgoing(library_of(tracer), url):
        parent = excluded(parent)
    return start_client(
        kind,
        tracer,
        span_name(method),
        _outgoing,
        (method, url, headers, resends),
        lambda context: inject_into(headers, context, lambda: address_of(url)[0]),
        parent,
    )


def _outgoing(method: str, url: str, headers: Any, resends: int = 0) -> dict[str, Any]:
    """What is known of an outgoing request before it is sent."""
    _, attributes = method_attributes(method)
    attributes["url.full"] = redaction.url(url)
    host, port = address_of(url)
    if host:
        attributes["server.address"] = host
    if port:
        attributes["server.port"] = port
    if resends:
        attributes["http.request.resend_count"] = resends
    wanted = CAPTURED.client_request
    if wanted is not None:
        attributes.update(captured.attributes(wanted, captured.HTTP_REQUEST, captured.items_of(headers)))
    return attributes


def address_of(url: str) -> tuple[str, int | None]:
    """Host and port of an absolute URL; the scheme's own port where none stands there."""
    scheme, _, rest = url.partition("://")
    for end in "/?#":
        rest = rest.partition(end)[0]
    return split_host(rest.rpartition("@")[2], scheme.lower())


def authority(host: str, port: int | None) -> str:
    """``host:port`` as URLs have it."""
    if ":" in host and not host.startswith("["):
        host = f"[{host}]"
    return f"{host}:{port}" if port else host


def split_host(authority: str, scheme: str) -> tuple[str, int | None]:
    """Host and port of ``host``, ``host:port`` or ``[v6]:port``; the scheme's own port where none is given."""
    # What is remembered is bounded in number and in length: clients send what they like.
    if type(authority) is str and len(authority) <= LONGEST_HOST and scheme in _REMEMBERED_SCHEMES:
        return _remembered(authority, scheme)
    return _split_host(authority, scheme)


def _split_host(authority: str, scheme: str) -> tuple[str, int | None]:
    host, colon, port = authority.rpartition(":")
    if not colon or port.endswith("]"):
        host, port = authority, ""
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    if port.isascii() and port.isdigit() and len(port) <= 5:  # noqa: PLR2004 - 65535
        return host, int(port)
    return host, DEFAULT_PORTS.get(scheme)


_remembered = lru_cache(HOSTS)(_split_host)
_REMEMBERED_SCHEMES = frozenset(("", *DEFAULT_PORTS))


# A context lets nobody put anything in; this is one that nobody has seen yet.
_put = dict.update


class ServerRequest:
    """A SERVER span from the first sight of a request to the end of its response's body.

    Attributes:
        span: The span.
        context: The context in which the application runs.
        recorded: Whether anything that is found out about the request goes anywhere.
        route: The route's template, set by the framework's instrumentor; empty where none is known.
        handled: The exception that the framework answers for the program, which gets no further.
        answer: The framework's answer, and what tells of it and a body whether nothing of the program's runs while
            that is sent.
        target: The method, and a function with its argument that give the path. By both an adapter's inner request is
            known to be this one.
        describe: Describes the span in place of HTTP's rules (RPC over HTTP), and gives whether it has.
        ended: Whether the span has ended.

    Made by ``start_http_server`` alone, and without an ``__init__``, which would take as long as all that it sets.
    """

    span: Span
    context: Context
    recorded: bool
    _method: str
    # What nothing is known of yet; each request sets only what it has.
    route = ""
    status: int | None = None
    error: BaseException | None = None
    handled: BaseException | None = None
    body_end: int | None = None
    answer: tuple[Any, Callable[[Any, Any], bool]] | None = None
    target: tuple[str, Callable[[Any], str], Any] | None = None
    describe: Callable[[ServerRequest], bool] | None = None
    ended = False

    def record(self, error: BaseException) -> None:
        """Keeps the exception that made the application fail, once."""
        if self.error is None:
            self.error = error

    def left_by(self, error: BaseException) -> None:
        """An exception has left the application: where nothing was answered yet, WSGI and ASGI servers say 500."""
        self.record(error)
        if self.status is None and isinstance(error, Exception):
            self.status = SERVER_ERROR

    def end(self) -> None:
        """Ends the span, once, with what is known by now."""
        if self.ended:
            return
        self.ended = True
        # They refer to each other: what has ended is not to wait for the garbage collector.
        self.context = NOBODY
        if self.recorded:
            span = self.span
            if span.is_recording():
                self._describe(span)
            span.end(self.body_end)
        # An error refers to the frames that it went through, and these to this.
        self.error = self.handled = self.answer = None

    def _describe(self, span: Span) -> None:
        if self.describe is not None and self.describe(self):
            return
        if self.route:
            span.update_name(f"{self._method} {self.route}")
            span.set_attribute("http.route", self.route)
        if self.status is not None:
            span.set_attribute("http.response.status_code", self.status)
        failed = self.status is not None and self.status >= SERVER_ERROR
        # What the framework answers with less than 500 is no failure, whatever was raised underneath.
        error = self.error or (self.handled if failed else None)
        if error is not None:
            record_exception(span, error)
            fail(span, error)
        elif failed:
            span.set_attribute("error.type", str(self.status))
            span.set_status(Status(StatusCode.ERROR))

    def answered(self, headers: Any) -> None:
        """The response's headers, a mapping or pairs, are known."""
        wanted = CAPTURED.server_response
        if wanted is not None and self.span.is_recording():
            pairs = captured.items_of(headers)
            self.span.set_attributes(captured.attributes(wanted, captured.HTTP_RESPONSE, pairs))

    def body_is_over(self) -> None:
        """The last of the body has gone; what runs after it (background work) is not part of the request.

        A failed request stays open: the exception behind it comes only now.
        """
        self.body_end = time_ns()
        if self.status is not None and self.status < SERVER_ERROR:
            self.end()


def current_request() -> ServerRequest | None:
    """The request that the running code belongs to, for parts of a framework that are handed something else."""
    request = get_current().get(REQUEST_KEY)
    return request if isinstance(request, ServerRequest) else None


def request_around(method: str, path_of: Callable[[Any], str], carrier: Any) -> ServerRequest | None:
    """The request in progress, if it is this one: adapters (ASGI to WSGI, say) make an environ or scope anew."""
    request = current_request()
    target = None if request is None else request.target
    if request is None or target is None or request.ended:
        return None
    its_method, its_path_of, argument = target
    return request if its_method == method and its_path_of(argument) == path_of(carrier) else None


def start_http_server(
    tracer: Tracer,
    carrier: Any,
    getter: HeaderGetter,
    method: str,
    attributes: Callable[[Any], dict[str, Any]],
) -> ServerRequest | None:
    """Starts the span of an incoming request.

    Args:
        tracer: Of the framework's or server's instrumentation.
        carrier: What holds the request's headers.
        getter: Reads them.
        method: The request's method.
        attributes: Makes all else that is known before the application runs, of the carrier; it is not called for a
            request that is not sampled.

    Returns:
        None where nothing is to be traced.
    """
    around = get_current()
    if around and (suppressed(around) or is_traced(SERVER, around)):
        return None
    parent = extract(carrier, getter)
    name, args = span_name(method), (method, carrier, getter, attributes)
    if EXCLUSION.on and excludes_incoming(Later(_incoming, *args)):
        parent = excluded(parent)
    request = ServerRequest()
    request.span = span = start_span(tracer, name, parent, SERVER, _incoming, args)
    request.recorded = span.is_recording()
    request._method = name
    # Beside the span the request itself, for those below that have neither environ nor scope at hand.
    if parent is NOBODY:
        request.context = Context({_SPAN_KEY: span, REQUEST_KEY: request})
    else:
        _put(parent, {_SPAN_KEY: span, REQUEST_KEY: request})
        request.context = parent
    return request


def _incoming(
    method: str, carrier: Any, getter: HeaderGetter, attributes: Callable[[Any], dict[str, Any]]
) -> dict[str, Any]:
    """What is known of an incoming request before the application runs."""
    made = attributes(carrier)
    made.update(method_attributes(method)[1])
    path = made.get("url.path")
    if path:
        made["url.path"] = redaction.path(path)
    wanted = CAPTURED.server_request
    if wanted is not None:
        pairs = getter.items(carrier, CAPTURED.server_request_names)
        made.update(captured.attributes(wanted, captured.HTTP_REQUEST, pairs))
    return made
