"""Starlette: the SERVER span around the application, and its route."""

from __future__ import annotations

from typing import Any

from tracerun.instrumentation.asgi import template_of, traced_call
from tracerun.instrumentation.context import tracer
from tracerun.instrumentation.http import REQUEST_KEY
from tracerun.instrumentation.patching import argument, around_async


def _set_route(args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    # handle(self, scope, receive, send): Starlette before 1.0 does not leave the route in the scope.
    scope = argument(args, kwargs, 1, "scope")
    server = scope.get(REQUEST_KEY)
    if server is not None:
        server.route = template_of(args[0], scope)


_HANDLE = around_async(_set_route, "starlette")

PATCHES = {
    "starlette.applications:Starlette.__call__": traced_call(tracer("starlette")),
    "starlette.routing:Route.handle": _HANDLE,
    "starlette.routing:WebSocketRoute.handle": _HANDLE,
}
