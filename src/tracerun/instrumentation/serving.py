"""The SERVER span of servers that hand over a request object of their own, neither an environ nor a scope."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from opentelemetry import context as otel_context

from tracerun.instrumentation import redaction
from tracerun.instrumentation.context import detach
from tracerun.instrumentation.http import ServerRequest, current_request, split_host, start_http_server
from tracerun.instrumentation.propagation import HeaderGetter

if TYPE_CHECKING:
    from opentelemetry.trace import Tracer

_GETTER = HeaderGetter(lambda incoming, name: incoming.header(name))


class Incoming:
    """What a server's request object says of a request, for any server.

    Attributes:
        method: The request's method.
        target: The request line's target: path and query.
        headers: The request's headers, a mapping.
        scheme: ``http`` or ``https``.
        version: Of the protocol, such as ``1.1``.
        peer: Address and port of the connection's other end; a Unix socket has none.
    """

    __slots__ = ("headers", "method", "peer", "scheme", "target", "version")

    def __init__(
        self,
        method: str,
        target: str,
        headers: Any,
        *,
        scheme: str = "http",
        version: str = "",
        peer: Any = None,
    ) -> None:
        self.method = method
        self.target = target
        self.headers = headers
        self.scheme = scheme
        self.version = version
        self.peer = peer if isinstance(peer, tuple) and len(peer) > 1 else (None, None)

    def header(self, name: str) -> str | None:
        """A header's value; none where it is missing."""
        value: str | None = self.headers.get(name)
        return value

    def attributes(self) -> dict[str, Any]:
        """The attributes that are known before the program's handler runs."""
        host, port = split_host(self.header("host") or "", self.scheme)
        path, _, query = self.target.partition("?")
        if "://" in path:  # the absolute form, as proxies are sent it
            path = "/" + path.partition("://")[2].partition("/")[2]
        more = {
            "server.address": host,
            "server.port": port if host else None,
            "url.query": redaction.query(query),
            "user_agent.original": self.header("user-agent"),
            "client.address": self.peer[0],
            "network.peer.address": self.peer[0],
            "network.peer.port": self.peer[1],
            "network.protocol.version": self.version,
        }
        known: dict[str, Any] = {"url.scheme": self.scheme, "url.path": unquote(path) or "/"}
        known.update((name, value) for name, value in more.items() if value)
        return known


def _path_of(target: str) -> str:
    return unquote(target.partition("?")[0])


def open_request(incoming: Incoming, tracer: Tracer) -> ServerRequest | None:
    """Starts the request's span; none where nothing is to be traced."""
    request = start_http_server(tracer, incoming, _GETTER, incoming.method, Incoming.attributes)
    if request is not None:
        request.target = (incoming.method, _path_of, incoming.target)
    return request


def set_route(route: str) -> None:
    """The template of the route that the framework has found for the running request."""
    request = current_request()
    if request is not None:
        request.route = route


def record(error: BaseException | None) -> None:
    """Keeps an exception that the framework answers for the program."""
    request = current_request()
    if request is not None:
        request.handled = request.handled or error


class Serving:
    """A call of the program's handler in its request's context, for ``patching.around``: it ends the span."""

    __slots__ = ("request", "token")

    def __init__(self, request: ServerRequest) -> None:
        self.request = request
        self.token = otel_context.attach(request.context)

    def describe(self, result: Any) -> None:
        """Subclasses set route and status, of what was returned or, where it is None, of what is there."""

    def ended(self, result: Any) -> Any:
        """The handler has returned, and the response has gone."""
        self._end(result)
        return result

    def failed(self, error: BaseException) -> None:
        """The handler's error goes on to the server."""
        self.request.record(error)
        self._end(None)

    def leave(self) -> None:
        """The request's context is no longer the current one."""
        detach(self.token)

    def _end(self, result: Any) -> None:
        self.leave()
        try:
            self.describe(result)
        finally:
            self.request.end()
