"""aiohttp.web: the SERVER span from a request's headers to its response's last byte; its route is the resource's."""

from __future__ import annotations

from typing import Any

from tracerun.instrumentation import serving
from tracerun.instrumentation.context import tracer
from tracerun.instrumentation.http import SERVER_ERROR, ServerRequest
from tracerun.instrumentation.patching import argument, around_async, before

_TRACER = tracer("aiohttp-server")


class _Handling(serving.Serving):
    __slots__ = ("theirs",)

    def __init__(self, request: ServerRequest, theirs: Any) -> None:
        super().__init__(request)
        self.theirs = theirs

    def describe(self, result: Any) -> None:
        # A low-level server's request has no match_info; that of a 404 has a route without a resource.
        match = getattr(self.theirs, "_match_info", None)
        resource = getattr(getattr(match, "route", None), "resource", None)
        self.request.route = getattr(resource, "canonical", "")
        if result is not None:
            self.request.status = getattr(result[0], "status", None)
            self.request.answered(getattr(result[0], "headers", None))


def _begin(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    # _handle_request(self, request, start_time, request_handler) runs the handler and writes the response.
    theirs = argument(args, kwargs, 1, "request")
    if theirs.method == "UNKNOWN" and not theirs.headers:
        return None  # what aiohttp makes of bytes that are no request
    transport = args[0].transport
    incoming = serving.Incoming(
        theirs.method,
        theirs.raw_path,
        theirs.headers,
        scheme=theirs.scheme,
        version=f"{theirs.version.major}.{theirs.version.minor}",
        peer=transport and transport.get_extra_info("peername"),
    )
    request = serving.open_request(incoming, _TRACER)
    return None if request is None else _Handling(request, theirs)


def _record(args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    if argument(args, kwargs, 2, "status", SERVER_ERROR) >= SERVER_ERROR:
        serving.record(argument(args, kwargs, 3, "exc"))


PATCHES = {
    "aiohttp.web_protocol:RequestHandler._handle_request": around_async(_begin, "aiohttp.web"),
    "aiohttp.web_protocol:RequestHandler.handle_error": before(_record, "aiohttp.web"),
}
