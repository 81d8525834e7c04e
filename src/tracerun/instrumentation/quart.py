"""Quart: the SERVER span around the application, its route from the URL rule, its unhandled exceptions."""

from __future__ import annotations

from typing import Any

from tracerun.instrumentation import serving
from tracerun.instrumentation.asgi import traced_call
from tracerun.instrumentation.context import tracer
from tracerun.instrumentation.patching import argument, around_async


def _set_route(args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    # full_dispatch_request(self, request_context), and the same for a websocket's.
    context = args[1] if len(args) > 1 else next(iter(kwargs.values()), None)
    theirs = getattr(context, "request", None) or getattr(context, "websocket", None)
    if theirs is not None and theirs.url_rule is not None:
        serving.set_route(theirs.root_path.rstrip("/") + theirs.url_rule.rule)


def _record(args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    serving.record(argument(args, kwargs, 1, "error"))


_DISPATCH, _HANDLE = around_async(_set_route, "quart"), around_async(_record, "quart")

PATCHES = {
    "quart.app:Quart.__call__": traced_call(tracer("quart")),
    "quart.app:Quart.full_dispatch_request": _DISPATCH,
    "quart.app:Quart.full_dispatch_websocket": _DISPATCH,
    "quart.app:Quart.handle_exception": _HANDLE,
    "quart.app:Quart.handle_websocket_exception": _HANDLE,
}
