"""The SERVER span around an ASGI application: HTTP requests and WebSocket connections.

Source: ASGI specification 3.0, "HTTP & WebSocket ASGI Message Format".
"""

from __future__ import annotations

from functools import update_wrapper
from typing import TYPE_CHECKING, Any

from tracerun.agent.guard import guarded
from tracerun.instrumentation import redaction
from tracerun.instrumentation.context import attach, detach
from tracerun.instrumentation.http import REQUEST_KEY, ServerRequest, request_around, split_host, start_http_server
from tracerun.instrumentation.patching import after
from tracerun.instrumentation.propagation import W3C, HeaderGetter

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.trace import Tracer

SWITCHING_PROTOCOLS, FORBIDDEN = 101, 403
_GUARD = guarded("an ASGI request")


def header(scope: dict[str, Any], name: str) -> str | None:
    """A request header's value; several of one name are joined by commas (RFC 9110, 5.2)."""
    wanted = name.encode("latin-1")
    values = [value.decode("latin-1") for key, value in scope.get("headers") or () if key.lower() == wanted]
    return ",".join(values) if values else None


def _w3c(scope: dict[str, Any]) -> list[str | None] | None:
    found: dict[bytes, list[bytes]] = {}
    for key, value in scope.get("headers") or ():
        name = key.lower()
        if name in _W3C:
            found.setdefault(name, []).append(value)
    if not found:
        return None
    return [b",".join(found[name]).decode("latin-1") if name in found else None for name in _W3C]


_W3C = tuple(name.encode() for name in W3C)
_GETTER = HeaderGetter(header, lambda scope: scope.get("headers") or (), _w3c)


def attributes_of(scope: dict[str, Any]) -> dict[str, Any]:
    """What the scope says of a request before the application runs."""
    get = scope.get
    scheme = get("scheme") or ("ws" if scope["type"] == "websocket" else "http")
    server = get("server") or ("", None)
    authority = header(scope, "host") or (f"{server[0]}:{server[1]}" if server[1] else server[0])
    host, port = split_host(authority or "", scheme)
    attributes: dict[str, Any] = {"url.scheme": scheme, "url.path": get("path") or "/"}
    query = (get("query_string") or b"").decode("latin-1")
    client = get("client")
    more = {
        "server.address": host,
        "server.port": port,
        "url.query": redaction.query(query),
        "user_agent.original": header(scope, "user-agent"),
        "client.address": client and client[0],
        "network.peer.address": client and client[0],
        "network.peer.port": client and client[1],
        "network.protocol.version": get("http_version"),
    }
    attributes.update((name, value) for name, value in more.items() if value)
    return attributes


def route_of(scope: dict[str, Any]) -> str:
    """The route's template as Starlette, those built on it and Litestar leave it in the scope; empty for none."""
    return template_of(scope.get("route"), scope)


def template_of(route: Any, scope: dict[str, Any]) -> str:
    """The whole template of one of Starlette's routes, that of the mounts around it included."""
    mounted = scope.get("root_path", "")
    mounted = mounted.removeprefix(scope.get("app_root_path", mounted)).rstrip("/")
    if hasattr(route, "routes"):  # a mount: of the routes below it none has matched, or there are none
        return "" if route.routes else mounted + "/{path}"
    path = getattr(route, "path_format", None) or getattr(route, "path", None) or scope.get("path_template")
    return mounted + path if isinstance(path, str) else ""


class _Connection:
    """One request or connection: follows the messages that the application sends."""

    __slots__ = ("_request", "_scope", "_send", "_trailers")

    def __init__(self, request: ServerRequest, scope: dict[str, Any], send: Callable[..., Any]) -> None:
        self._request = request
        self._scope = scope
        self._send = send
        self._trailers = False

    async def send(self, message: dict[str, Any]) -> None:
        try:
            self._before(message)
        except Exception as error:
            if not _GUARD.swallows(error):
                raise
        await self._send(message)
        try:
            self._after(message)
        except Exception as error:
            if not _GUARD.swallows(error):
                raise

    def _before(self, message: dict[str, Any]) -> None:
        kind, request = message["type"], self._request
        if kind in ("http.response.start", "websocket.http.response.start"):
            request.status = message["status"]
            _list_headers(message)
            request.answered(message.get("headers"))
            self._trailers = message.get("trailers", False)
        elif kind == "websocket.accept":
            request.status = SWITCHING_PROTOCOLS
        elif kind == "websocket.close" and request.status is None:
            request.status = FORBIDDEN

    def _after(self, message: dict[str, Any]) -> None:
        kind = message["type"]
        last_of_body = kind == "http.response.body" and not message.get("more_body", False) and not self._trailers
        if last_of_body or (kind == "http.response.trailers" and not message.get("more_trailers", False)):
            self._request.route = self._request.route or route_of(self._scope)
            self._request.body_is_over()


async def run(application: Callable[..., Any], scope: Any, receive: Any, send: Any, tracer: Tracer) -> None:
    """Calls an ASGI application inside its SERVER span; without one, where a wrapper further out has it."""
    request = None
    try:
        request = open_request(scope, tracer)
    except Exception as error:
        if not _GUARD.swallows(error):
            raise
    if request is None:
        await application(scope, receive, send)
        return
    # Attached and detached in this coroutine, which runs in one task: never across a yield of its own.
    token = attach(request.context)
    if request.recorded:
        with _GUARD:
            send = _Connection(request, scope, send).send
    try:
        await application(scope, receive, send)
    except BaseException as error:
        with _GUARD:
            request.left_by(error)
        raise
    finally:
        with _GUARD:
            detach(token)
            if request.recorded:
                request.route = request.route or route_of(scope)
            request.end()


def _list_headers(holder: dict[str, Any]) -> None:
    """The specification says iterable: headers that can be gone through only once must be there for the program."""
    headers: Any = holder.get("headers")
    if hasattr(headers, "__next__"):
        holder["headers"] = list(headers)


def open_request(scope: dict[str, Any], tracer: Tracer) -> ServerRequest | None:
    """Starts the span of the request of a scope; none where a wrapper further out has it."""
    known = scope.get(REQUEST_KEY)
    if scope["type"] not in ("http", "websocket") or (known is not None and not known.ended):
        return None
    method, path = scope.get("method") or "GET", scope.get("path") or "/"
    outer = request_around(method, str, path)
    if outer is not None:
        scope[REQUEST_KEY] = outer
        return None
    _list_headers(scope)
    request = start_http_server(tracer, scope, _GETTER, method, attributes_of)
    if request is not None:
        request.target = (method, str, path)
        scope[REQUEST_KEY] = request
    return request


class Middleware:
    """An ASGI application around another one, for servers that are handed an application as a value."""

    __slots__ = ("app", "tracer")

    def __init__(self, app: Any, tracer: Tracer) -> None:
        self.app = app
        self.tracer = tracer

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """ASGI 3.0."""
        await run(self.app, scope, receive, send, self.tracer)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.app, name)


def wrapped_at(name: str, tracer: Tracer) -> Callable[[Any], Any]:
    """A factory of wrappers around a server's ``__init__``, which leaves the application in that attribute."""

    def wrap(_: Any, args: tuple[Any, ...], __: dict[str, Any]) -> None:
        setattr(args[0], name, Middleware(getattr(args[0], name), tracer))

    return after(wrap, "the application of an ASGI server")


def traced_call(tracer: Tracer) -> Callable[[Any], Any]:
    """A factory of wrappers around ``__call__(self, scope, receive, send)`` of an application's class."""

    def factory(original: Any) -> Any:
        # A coroutine function like the original: servers ask which kind of application they have.
        async def wrapper(self: Any, scope: Any, receive: Any, send: Any) -> None:
            await run(original.__get__(self), scope, receive, send, tracer)

        return update_wrapper(wrapper, original)

    return factory
