"""Sanic, under its own server and as an ASGI application: the SERVER span, its route, its exceptions.

Sanic compiles its own methods anew at its start (sanic.touchup), from their source: what stands in the place of
``Sanic.handle_request`` is lost then. So the patches are on what calls it and on what it calls.
"""

from __future__ import annotations

from typing import Any

from tracerun.instrumentation import serving
from tracerun.instrumentation.asgi import SWITCHING_PROTOCOLS, traced_call
from tracerun.instrumentation.context import tracer
from tracerun.instrumentation.http import ServerRequest
from tracerun.instrumentation.patching import after, argument, around_async, before

_TRACER = tracer("sanic")


class _Handling(serving.Serving):
    __slots__ = ("theirs",)

    def __init__(self, request: ServerRequest, theirs: Any) -> None:
        super().__init__(request)
        self.theirs = theirs

    def describe(self, _: Any) -> None:
        response = getattr(self.theirs.stream, "response", None)
        if self.theirs.scheme in ("ws", "wss"):
            self.request.status = SWITCHING_PROTOCOLS
        elif response is not None:
            self.request.status = response.status
            self.request.answered(response.headers)


def _begin(args: tuple[Any, ...], _: dict[str, Any]) -> Any:
    theirs = args[0]
    incoming = serving.Incoming(
        theirs.method,
        theirs.raw_url.decode("latin-1"),
        theirs.headers,
        scheme=theirs.scheme,
        version=theirs.version,
        peer=getattr(theirs.conn_info, "peername", None),
    )
    request = serving.open_request(incoming, _TRACER)
    return None if request is None else _Handling(request, theirs)


_AROUND_HANDLER = around_async(_begin, "sanic")


def _wrap_handler(_: None, args: tuple[Any, ...], __: dict[str, Any]) -> None:
    # A connection takes its application's handler when it is made.
    args[0].request_handler = _AROUND_HANDLER(args[0].request_handler)


def _set_route(found: tuple[Any, ...], _: tuple[Any, ...], __: dict[str, Any]) -> None:
    serving.set_route("/" + found[0].path)


def _record(args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    from sanic.exceptions import SanicException  # noqa: PLC0415 - Sanic is there by now

    error = argument(args, kwargs, 2, "exception")
    if not isinstance(error, SanicException):
        serving.record(error)


PATCHES = {
    "sanic.app:Sanic.__call__": traced_call(_TRACER),
    "sanic.server.protocols.http_protocol:HttpProtocolMixin._setup": after(_wrap_handler, "sanic"),
    "sanic.router:Router.get": after(_set_route, "sanic"),
    "sanic.handlers:ErrorHandler.response": before(_record, "sanic"),
}
