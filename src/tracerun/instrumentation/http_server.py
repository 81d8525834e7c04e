"""http.server: the SERVER span around one request of a handler; under wsgiref and werkzeug theirs is the span."""

from __future__ import annotations

from contextvars import ContextVar, Token
from typing import Any

from tracerun.instrumentation import serving
from tracerun.instrumentation.context import tracer
from tracerun.instrumentation.headers import CAPTURED
from tracerun.instrumentation.patching import after, argument, around, before

_TRACER = tracer("http_server")
_FINAL = 200


class _OneRequest:
    """A call of ``handle_one_request``: what it reads becomes a request once its headers are parsed."""

    __slots__ = ("handler", "serving", "token")

    def __init__(self, handler: Any) -> None:
        self.handler = handler
        self.serving: serving.Serving | None = None
        self.token: Token[_OneRequest | None] = _CURRENT.set(self)

    def ended(self, result: Any) -> Any:
        self._leave()
        return result if self.serving is None else self.serving.ended(result)

    def failed(self, error: BaseException) -> None:
        self._leave()
        if self.serving is not None:
            self.serving.failed(error)

    def _leave(self) -> None:
        _CURRENT.reset(self.token)

    def parsed(self) -> None:
        """The request line and the headers are there."""
        handler = self.handler
        incoming = serving.Incoming(
            handler.command,
            handler.path,
            handler.headers,
            version=handler.request_version.removeprefix("HTTP/"),
            peer=handler.client_address,
        )
        request = serving.open_request(incoming, _TRACER)
        if request is not None:
            self.serving = serving.Serving(request)


_CURRENT: ContextVar[_OneRequest | None] = ContextVar("tracerun.http_server", default=None)


def _of(handler: Any) -> _OneRequest | None:
    current = _CURRENT.get()
    return current if current is not None and current.handler is handler else None


def _begin(args: tuple[Any, ...], _: dict[str, Any]) -> _OneRequest | None:
    # werkzeug's handler, which hands over to a WSGI application. wsgiref's does not come by handle_one_request.
    return None if hasattr(type(args[0]), "run_wsgi") else _OneRequest(args[0])


def _parsed(good: bool, args: tuple[Any, ...], _: dict[str, Any]) -> None:
    current = _of(args[0])
    if good and current is not None and current.serving is None:
        current.parsed()


def _set_status(args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    current, code = _of(args[0]), argument(args, kwargs, 1, "code")
    if current is not None and current.serving is not None and code >= _FINAL:
        current.serving.request.status = int(code)


def _answer(args: tuple[Any, ...], _: dict[str, Any]) -> None:
    current = None if CAPTURED.server_response is None else _of(args[0])
    if current is None or current.serving is None:
        return
    request = current.serving.request
    if request.status is None or not request.recorded:
        return  # this is no final answer, or nobody will see it
    lines = [line.decode("latin-1") for line in getattr(args[0], "_headers_buffer", ())]
    fields = (line.partition(":") for line in lines if not line.startswith("HTTP/"))
    request.answered([(name, value.strip()) for name, _, value in fields])


PATCHES = {
    "http.server:BaseHTTPRequestHandler.handle_one_request": around(_begin, "http.server"),
    "http.server:BaseHTTPRequestHandler.parse_request": after(_parsed, "http.server"),
    "http.server:BaseHTTPRequestHandler.send_response_only": before(_set_status, "http.server"),
    "http.server:BaseHTTPRequestHandler.end_headers": before(_answer, "http.server"),
}
