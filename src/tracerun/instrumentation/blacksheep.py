"""BlackSheep: the SERVER span around the application; its route is the pattern that matched."""

from __future__ import annotations

from typing import Any

from tracerun.instrumentation import serving
from tracerun.instrumentation.asgi import traced_call
from tracerun.instrumentation.context import tracer
from tracerun.instrumentation.patching import after, argument, around_async

_FALLBACK = "*"


def _set_route(match: Any, _: tuple[Any, ...], __: dict[str, Any]) -> None:
    pattern = getattr(match, "pattern", None)
    route = pattern.decode("utf-8", "replace") if isinstance(pattern, bytes) else pattern
    if route and route.strip("/") != _FALLBACK:
        serving.set_route(route if route.startswith("/") else "/" + route)


def _record(args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    serving.record(argument(args, kwargs, 2, "exc"))


PATCHES = {
    "blacksheep.server.application:Application.__call__": traced_call(tracer("blacksheep")),
    # Where BlackSheep's base class is compiled, its methods can be replaced in the class below it only.
    "blacksheep.server.application:Application.handle_internal_server_error": around_async(_record, "blacksheep"),
    "blacksheep.server.routing:Router.get_match": after(_set_route, "blacksheep"),
    "blacksheep.server.routing:RouterFiltersMixin.get_match?": after(_set_route, "blacksheep"),
}
