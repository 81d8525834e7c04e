"""Bottle: the SERVER span around the application; its route is the rule, its exceptions those that it answers."""

from __future__ import annotations

from typing import Any

from tracerun.instrumentation import wsgi
from tracerun.instrumentation.context import tracer
from tracerun.instrumentation.http import REQUEST_KEY
from tracerun.instrumentation.patching import after, argument

_TRACER = tracer("bottle")


def _describe(result: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    # _handle(self, environ); that of a mounted application is over first, and has the whole of the path.
    environ = argument(args, kwargs, 1, "environ")
    server, route = environ.get(REQUEST_KEY), environ.get("bottle.route")
    if server is None:
        return
    if route is not None and not server.route:
        server.route = environ.get("SCRIPT_NAME", "").rstrip("/") + route.rule
    error = getattr(result, "exception", None)
    if error is not None:
        server.record(error)


PATCHES = {
    "bottle:Bottle.wsgi": wsgi.traced_call(_TRACER),
    "bottle:Bottle._handle": after(_describe, "bottle"),
}
