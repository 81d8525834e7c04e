"""Tornado: the SERVER span around a handler's execution; its route is the pattern that matched the path."""

from __future__ import annotations

from typing import Any

from tracerun.instrumentation import serving, wsgi
from tracerun.instrumentation.context import tracer
from tracerun.instrumentation.http import ServerRequest
from tracerun.instrumentation.patching import after, argument, around_async, before

_TRACER = tracer("tornado")
# Left on Tornado's request by the matcher, which runs before there is a handler.
_ROUTE = "_tracerun_route"


class _Handling(serving.Serving):
    __slots__ = ("handler",)

    def __init__(self, request: ServerRequest, handler: Any) -> None:
        super().__init__(request)
        self.handler = handler

    def describe(self, _: Any) -> None:
        from tornado.web import ErrorHandler  # noqa: PLC0415 - Tornado is there by now

        self.request.status = self.handler.get_status()
        self.request.answered(self.handler._headers.get_all())
        if not isinstance(self.handler, ErrorHandler):
            self.request.route = getattr(self.handler.request, _ROUTE, "")


def _begin(args: tuple[Any, ...], _: dict[str, Any]) -> Any:
    from tornado.web import FallbackHandler  # noqa: PLC0415 - as above

    handler = args[0]
    if isinstance(handler, FallbackHandler):
        return None  # hands the request to something else (a WSGIContainer), and is over before that is
    theirs = handler.request
    incoming = serving.Incoming(
        theirs.method or "GET",
        theirs.uri or "/",
        theirs.headers,
        scheme=theirs.protocol,
        version=theirs.version.removeprefix("HTTP/"),
        peer=getattr(getattr(theirs.connection, "context", None), "address", None),
    )
    request = serving.open_request(incoming, _TRACER)
    return None if request is None else _Handling(request, handler)


def _record(args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    from tornado.web import Finish, HTTPError  # noqa: PLC0415 - as above

    error = argument(args, kwargs, 1, "e")
    if not isinstance(error, (Finish, HTTPError)):
        serving.record(error)


def _set_route(match: Any, args: tuple[Any, ...], _: dict[str, Any]) -> None:
    if match is not None:
        setattr(args[1], _ROUTE, args[0].regex.pattern.removesuffix("$"))


PATCHES = {
    "tornado.web:RequestHandler._execute": around_async(_begin, "tornado"),
    "tornado.web:RequestHandler._handle_request_exception": before(_record, "tornado"),
    "tornado.routing:PathMatches.match": after(_set_route, "tornado"),
    "tornado.wsgi:WSGIContainer.__init__": wsgi.wrapped_at("wsgi_application", _TRACER),
}
