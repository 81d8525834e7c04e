"""Django, WSGI and ASGI: the SERVER span around the handler, its route from the URL resolver, its exceptions.

Nothing here touches ``django.conf.settings``: in the default layout only manage.py knows where they are.
"""

from __future__ import annotations

from typing import Any

from tracerun.instrumentation import wsgi
from tracerun.instrumentation.asgi import traced_call
from tracerun.instrumentation.context import tracer
from tracerun.instrumentation.http import REQUEST_KEY
from tracerun.instrumentation.patching import after, argument, before, replacing

_TRACER = tracer("django")


def _call(original: Any, handler: Any, environ: dict[str, Any], start_response: Any) -> Any:
    return wsgi.run(original.__get__(handler), environ, start_response, _TRACER)


def _server_of(request: Any) -> Any:
    """Our request behind Django's: in the environ, which is its META, or in the scope."""
    return getattr(request, "scope", request.META).get(REQUEST_KEY)


def _set_route(match: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    server = _server_of(argument(args, kwargs, 1, "request"))
    if server is not None and match is not None:
        server.route = "/" + match.route.lstrip("^/").removesuffix("$")


def _record(args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    server = _server_of(argument(args, kwargs, 0, "request"))
    if server is not None:
        server.record(argument(args, kwargs, 2, "exc_info")[1])


PATCHES = {
    "django.core.handlers.wsgi:WSGIHandler.__call__": replacing(_call),
    "django.core.handlers.asgi:ASGIHandler.__call__": traced_call(_TRACER),
    "django.core.handlers.base:BaseHandler.resolve_request": after(_set_route, "django"),
    "django.core.handlers.exception:handle_uncaught_exception": before(_record, "django"),
}
