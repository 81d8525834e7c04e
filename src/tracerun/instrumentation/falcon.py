"""Falcon, WSGI and ASGI: the SERVER span around the application, its route's URI template, its exceptions."""

from __future__ import annotations

from typing import Any

from tracerun.instrumentation import asgi, serving, wsgi
from tracerun.instrumentation.context import tracer
from tracerun.instrumentation.patching import after, argument, around_async, before

_TRACER = tracer("falcon")


def _set_route(found: tuple[Any, ...], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    # _get_responder(self, req) gives (responder, params, resource, uri_template).
    template = found[3]
    if template:
        serving.set_route(argument(args, kwargs, 1, "req").root_path.rstrip("/") + template)


def _record(args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    # _python_error_handler(self, req, resp, error, params): Falcon's own, for what the program does not handle.
    serving.record(argument(args, kwargs, 3, "error"))


PATCHES = {
    "falcon.app:App.__call__": wsgi.traced_call(_TRACER),
    "falcon.app:App._get_responder": after(_set_route, "falcon"),
    "falcon.app:App._python_error_handler": before(_record, "falcon"),
    "falcon.asgi.app:App.__call__": asgi.traced_call(_TRACER),
    "falcon.asgi.app:App._python_error_handler": around_async(_record, "falcon"),
}
