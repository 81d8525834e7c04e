"""Pyramid: the SERVER span around the router; its route is the pattern of the route that matched."""

from __future__ import annotations

from typing import Any

from tracerun.instrumentation import wsgi
from tracerun.instrumentation.context import tracer
from tracerun.instrumentation.http import REQUEST_KEY
from tracerun.instrumentation.patching import argument, around


class _Invocation:
    """One request through Pyramid's tweens: afterwards it is known which route has matched."""

    __slots__ = ("request",)

    def __init__(self, request: Any) -> None:
        self.request = request

    def ended(self, result: Any) -> Any:
        self._set_route()
        return result

    def failed(self, _: BaseException) -> None:
        self._set_route()

    def _set_route(self) -> None:
        server, route = self.request.environ.get(REQUEST_KEY), getattr(self.request, "matched_route", None)
        if server is not None and route is not None:
            server.route = f"{self.request.script_name.rstrip('/')}/{route.pattern.lstrip('/')}"


def _begin(args: tuple[Any, ...], kwargs: dict[str, Any]) -> _Invocation:
    return _Invocation(argument(args, kwargs, 1, "request"))


PATCHES = {
    "pyramid.router:Router.__call__": wsgi.traced_call(tracer("pyramid")),
    "pyramid.router:Router.invoke_request": around(_begin, "pyramid"),
}
