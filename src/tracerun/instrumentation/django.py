"""Django, WSGI and ASGI: the SERVER span around the handler, its route from the URL resolver, its exceptions.

Nothing here touches ``django.conf.settings``: in the default layout only manage.py knows where they are.
"""

from __future__ import annotations

from typing import Any

from tracerun.instrumentation import asgi, wsgi
from tracerun.instrumentation.context import tracer
from tracerun.instrumentation.http import REQUEST_KEY
from tracerun.instrumentation.patching import after, argument, around, around_async, before
from tracerun.instrumentation.serving import Serving

_TRACER = tracer("django")


class _InTest(Serving):
    """A request of Django's test client, which calls a handler of its own that gives the response."""

    __slots__ = ()

    def describe(self, result: Any) -> None:
        self.request.status = getattr(result, "status_code", None)


def _begin_test(args: tuple[Any, ...], kwargs: dict[str, Any]) -> _InTest | None:
    request = wsgi.open_request(argument(args, kwargs, 1, "environ"), _TRACER)
    return None if request is None else _InTest(request)


def _begin_async_test(args: tuple[Any, ...], kwargs: dict[str, Any]) -> _InTest | None:
    request = asgi.open_request(argument(args, kwargs, 1, "scope"), _TRACER)
    return None if request is None else _InTest(request)


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
    "django.core.handlers.wsgi:WSGIHandler.__call__": wsgi.traced_call(_TRACER),
    "django.core.handlers.asgi:ASGIHandler.__call__": asgi.traced_call(_TRACER),
    "django.test.client:ClientHandler.__call__": around(_begin_test, "django"),
    "django.test.client:AsyncClientHandler.__call__": around_async(_begin_async_test, "django"),
    "django.core.handlers.base:BaseHandler.resolve_request": after(_set_route, "django"),
    "django.core.handlers.exception:handle_uncaught_exception": before(_record, "django"),
}
