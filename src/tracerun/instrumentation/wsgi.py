"""The SERVER span around a WSGI application: its call, each step of its body, and its close.

The request's context is attached for each of them alone and in the context of the caller: context variables
that the program sets go where they go without us, no token is held across a ``yield``, and a body that is
dropped half-way leaves nothing behind in the server's thread.
Source: PEP 3333.
"""

from __future__ import annotations

from functools import update_wrapper
from io import IOBase
from typing import TYPE_CHECKING, Any

from tracerun.agent.guard import guarded
from tracerun.instrumentation import redaction
from tracerun.instrumentation.context import attach, get_current, reset
from tracerun.instrumentation.http import (
    REQUEST_KEY,
    ServerRequest,
    current_request,
    request_around,
    split_host,
    start_http_server,
)
from tracerun.instrumentation.patching import after
from tracerun.instrumentation.propagation import HeaderGetter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from opentelemetry.context import Context
    from opentelemetry.trace import Tracer


def _headers(environ: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """The request's headers; PEP 3333 has two of them under names of their own."""
    for key, value in environ.items():
        if key.startswith("HTTP_") or key in ("CONTENT_TYPE", "CONTENT_LENGTH"):
            yield key.removeprefix("HTTP_").replace("_", "-"), value


def _header(environ: dict[str, Any], name: str) -> Any:
    return environ.get("HTTP_" + name.upper().replace("-", "_"))


def _w3c(environ: dict[str, Any]) -> tuple[str | None, str | None, str | None] | None:
    if "HTTP_TRACEPARENT" not in environ and "HTTP_TRACESTATE" not in environ and "HTTP_BAGGAGE" not in environ:
        return None
    get = environ.get
    return get("HTTP_TRACEPARENT"), get("HTTP_TRACESTATE"), get("HTTP_BAGGAGE")


_GETTER = HeaderGetter(_header, _headers, _w3c)
_GUARD = guarded("a WSGI request")
# A body that is all there: servers look at its type and length, and no code of the program follows.
_WHOLE = frozenset((list, tuple))


def path_of(environ: dict[str, Any]) -> str:
    """The request's path."""
    return _joined((environ.get("SCRIPT_NAME", ""), environ.get("PATH_INFO", "")))


def _joined(parts: tuple[str, str]) -> str:
    """The path of its two parts. PEP 3333 hands them over as latin-1 text of UTF-8 bytes."""
    path = parts[0] + parts[1]
    if not path.isascii():
        path = path.encode("latin-1", "replace").decode("utf-8", "replace")
    return path or "/"


def attributes_of(environ: dict[str, Any]) -> dict[str, Any]:
    """What the environ says of a request before the application runs."""
    get = environ.get
    scheme = get("wsgi.url_scheme", "http")
    authority = get("HTTP_HOST") or f"{get('SERVER_NAME', '')}:{get('SERVER_PORT', '')}"
    host, port = split_host(authority, scheme)
    attributes: dict[str, Any] = {"url.scheme": scheme, "url.path": path_of(environ), "server.address": host}
    if port:
        attributes["server.port"] = port
    query, agent, peer = get("QUERY_STRING"), get("HTTP_USER_AGENT"), get("REMOTE_ADDR")
    version, peer_port = get("SERVER_PROTOCOL", "").removeprefix("HTTP/"), str(get("REMOTE_PORT", ""))
    if query:
        attributes["url.query"] = redaction.query(query)
    if agent:
        attributes["user_agent.original"] = agent
    if peer:
        attributes["client.address"] = attributes["network.peer.address"] = peer
    if version:
        attributes["network.protocol.version"] = version
    if peer_port.isdigit():
        attributes["network.peer.port"] = int(peer_port)
    return attributes


class Body:
    """The application's body: each step and the close run in the request's context; its end ends the span."""

    __slots__ = ("_body", "_context", "_iterator", "_request")

    _body: Any
    # As the last step left it: a span that the body holds open across a yield stays the current one in it.
    _context: Context
    _iterator: Iterator[bytes] | None
    _request: ServerRequest

    def __iter__(self) -> Body:
        return self

    def __next__(self) -> bytes:
        token = attach(self._context)
        try:
            if self._iterator is None:
                self._iterator = iter(self._body)
            part = next(self._iterator)
            self._context = get_current()
            return part
        except StopIteration:
            try:
                self._request.end()
            except Exception as error:
                if not _GUARD.swallows(error):
                    raise
            raise
        except BaseException as error:
            self._request.record(error)
            raise
        finally:
            reset(token)

    def close(self) -> None:
        """PEP 3333: called by the server when the request is over, however it ended."""
        token = attach(self._context)
        try:
            close = getattr(self._body, "close", None)
            if close is not None:
                close()
        except BaseException as error:
            self._request.record(error)
            raise
        finally:
            reset(token)
            if not self._request.ended:
                with _GUARD:
                    self._request.end()

    def __del__(self) -> None:
        # Neither exhausted nor closed: test clients do that.
        if not self._request.ended:
            with _GUARD:
                self._request.end()


class SizedBody(Body):
    """A body with a length: wsgiref and others make a Content-Length of a body of one block."""

    __slots__ = ()

    def __len__(self) -> int:
        return len(self._body)


def run(application: Callable[..., Any], environ: dict[str, Any], start_response: Any, tracer: Tracer) -> Any:
    """Calls a WSGI application inside its SERVER span; without one, where a wrapper further out has it."""
    request = None
    try:
        request = open_request(environ, tracer)
    except Exception as error:
        if not _GUARD.swallows(error):
            raise
    if request is None:
        return application(environ, start_response)
    return run_in(request, application, environ, start_response)


def open_request(environ: dict[str, Any], tracer: Tracer) -> ServerRequest | None:
    """The request of an environ, its span started; none where the code that runs is in it already."""
    known: ServerRequest | None = environ.get(REQUEST_KEY)
    if known is not None and not known.ended:  # an ended one: the program uses an environ a second time
        return None if current_request() is known else known
    method = environ.get("REQUEST_METHOD", "GET")
    outer = request_around(method, path_of, environ) if get_current() else None
    if outer is not None:
        environ[REQUEST_KEY] = outer
        return None
    request = start_http_server(tracer, environ, _GETTER, method, attributes_of)
    if request is not None:
        # As they are now, for middleware changes them; put together if somebody asks.
        request.target = (method, _joined, (environ.get("SCRIPT_NAME", ""), environ.get("PATH_INFO", "")))
        environ[REQUEST_KEY] = request
    return request


def run_in(request: ServerRequest, application: Callable[..., Any], environ: dict[str, Any], start: Any) -> Any:
    """Calls a WSGI application in a request, whose span ends with the body."""
    start_response = start
    if request.recorded:
        try:
            start_response = _watched(start, request)
        except Exception as error:
            if not _GUARD.swallows(error):
                raise
    token = attach(request.context)
    try:
        body = application(environ, start_response)
    except BaseException as error:
        with _GUARD:
            request.left_by(error)
            request.end()
        raise
    finally:
        reset(token)
    try:
        if not _is_whole(body, environ, request):
            return _stepped(body, request)
        request.end()
    except Exception as error:
        if not _GUARD.swallows(error):
            raise
    return body


def _stepped(body: Any, request: ServerRequest) -> Body:
    """A body around the application's; without an ``__init__``, which would take as long as all that it sets."""
    made = SizedBody() if hasattr(body, "__len__") else Body()
    made._body = body
    made._context = request.context
    made._iterator = None
    made._request = request
    return made


def _watched(start: Any, request: ServerRequest) -> Any:
    """The server's ``start_response``, with a look at what is handed to it."""

    def start_response(status: str, *args: Any, **kwargs: Any) -> Any:
        try:
            request.status = int(status.partition(" ")[0])
            request.answered(args[0] if args else kwargs.get("response_headers"))
        except Exception as error:
            if not _GUARD.swallows(error):
                raise
        return start(status, *args, **kwargs)

    return start_response


def _is_whole(body: Any, environ: dict[str, Any], request: ServerRequest) -> bool:
    """Whether nothing of the program's runs while a body is sent."""
    # The request stays in the environ, for as long as the server keeps that: it is not to keep the answer too.
    answer, request.answer = request.answer, None
    if type(body) in _WHOLE:
        return True
    try:
        if answer is not None:
            response, is_all_there = answer
            if is_all_there(response, body):
                return True
    except Exception as error:  # one that cannot be told is wrapped
        if not _GUARD.swallows(error):
            raise
    return _is_file(body, environ)


def _is_file(body: Any, environ: dict[str, Any]) -> bool:
    """Whether the server will send a file by itself (PEP 3333, ``wsgi.file_wrapper``), if it gets it as it is."""
    wrapper = environ.get("wsgi.file_wrapper")
    if wrapper is None:
        return False
    # uWSGI's is a function that hands out the very file that it was given, and looks for that.
    return isinstance(body, wrapper if isinstance(wrapper, type) else IOBase)


class Application:
    """A WSGI application around another one, for servers that are handed an application as a value."""

    __slots__ = ("app", "tracer")

    def __init__(self, app: Any, tracer: Tracer) -> None:
        self.app = app
        self.tracer = tracer

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        """PEP 3333."""
        return run(self.app, environ, start_response, self.tracer)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.app, name)


def wrapped_at(name: str, tracer: Tracer) -> Callable[[Any], Any]:
    """A factory of wrappers around a server's ``__init__``, which leaves the application in that attribute."""

    def wrap(_: Any, args: tuple[Any, ...], __: dict[str, Any]) -> None:
        application = getattr(args[0], name)
        if application is not None:  # a subclass that puts one there later
            setattr(args[0], name, Application(application, tracer))

    return after(wrap, "the application of a WSGI server")


def traced_call(tracer: Tracer) -> Callable[[Any], Any]:
    """A factory of wrappers around ``__call__(self, environ, start_response)`` of an application's class."""

    def factory(original: Any) -> Any:
        # The arguments by name: Falcon counts them to tell a WSGI application from an ASGI one.
        def wrapper(self: Any, environ: dict[str, Any], start_response: Any) -> Any:
            return run(original.__get__(self), environ, start_response, tracer)

        return update_wrapper(wrapper, original)

    return factory
