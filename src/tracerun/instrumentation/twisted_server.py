"""twisted.web: the SERVER span from a request's processing to its finish, or to the loss of its connection."""

from __future__ import annotations

from typing import Any

from tracerun.instrumentation import serving, wsgi
from tracerun.instrumentation.context import tracer
from tracerun.instrumentation.http import REQUEST_KEY, ServerRequest
from tracerun.instrumentation.patching import after, argument, around, before

_TRACER = tracer("twisted")
# Left on Twisted's request: its processing, its failure and its finish come in different calls.
_OURS = "_tracerun_request"


class _Processing(serving.Serving):
    """The call that finds the resource and renders it; a resource may answer long after it."""

    __slots__ = ()

    def _end(self, _: Any) -> None:
        self.leave()


class _Headers:
    """Twisted's headers, which are bytes, as a mapping of text."""

    __slots__ = ("raw",)

    def __init__(self, raw: Any) -> None:
        self.raw = raw

    def get(self, name: str) -> str | None:
        values = self.raw.getRawHeaders(name)
        return ",".join(values) if values else None

    def items(self) -> Any:
        return [(name, value) for name, values in self.raw.getAllRawHeaders() for value in values]


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode("latin-1")


def _begin(args: tuple[Any, ...], _: dict[str, Any]) -> Any:
    theirs = args[0]
    peer = theirs.client
    incoming = serving.Incoming(
        _text(theirs.method) or "GET",
        _text(theirs.uri) or "/",
        _Headers(theirs.requestHeaders),
        scheme="https" if theirs.isSecure() else "http",
        version=(_text(theirs.clientproto) or "").removeprefix("HTTP/"),
        peer=(getattr(peer, "host", None), getattr(peer, "port", None)),
    )
    request = serving.open_request(incoming, _TRACER)
    if request is None:
        return None
    setattr(theirs, _OURS, request)
    return _Processing(request)


def _of(theirs: Any) -> ServerRequest | None:
    request: ServerRequest | None = getattr(theirs, _OURS, None)
    return request


def _record(args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    request = _of(args[0])
    if request is not None:
        request.record(argument(args, kwargs, 1, "reason").value)


def _finished(_: Any, args: tuple[Any, ...], __: dict[str, Any]) -> None:
    request = _of(args[0])
    if request is not None:
        request.status = request.status or args[0].code
        request.answered(_Headers(args[0].responseHeaders).items())
        request.end()


def _lost(args: tuple[Any, ...], _: dict[str, Any]) -> None:
    request = _of(args[0])
    if request is not None:
        if args[0].startedWriting:
            request.status = args[0].code
        request.end()


class _InRequest:
    """A WSGI application below twisted.web: it runs on another thread, in the request that is there already."""

    __slots__ = ("app", "request")

    def __init__(self, app: Any, request: ServerRequest) -> None:
        self.app = app
        self.request = request

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        environ[REQUEST_KEY] = self.request
        return wsgi.run_in(self.request, self.app, environ, start_response)


def _hand_down(_: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    # Made as _WSGIResponse(reactor, threadpool, application, request), and run on a thread of the pool.
    response, request = args[0], _of(argument(args, kwargs, 4, "request"))
    if request is not None:
        response.application = _InRequest(response.application, request)


PATCHES = {
    "twisted.web.server:Request.process": around(_begin, "twisted.web"),
    "twisted.web.server:Request.processingFailed": before(_record, "twisted.web"),
    "twisted.web.server:Request.finish": after(_finished, "twisted.web"),
    "twisted.web.server:Request.connectionLost": before(_lost, "twisted.web"),
    "twisted.web.wsgi:_WSGIResponse.__init__": after(_hand_down, "twisted.web"),
}
