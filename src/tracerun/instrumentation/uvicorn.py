"""uvicorn: the SERVER span around whatever ASGI application it loads, and WSGI under ``--interface wsgi``."""

from __future__ import annotations

from typing import Any

from tracerun.instrumentation import wsgi
from tracerun.instrumentation.asgi import Middleware
from tracerun.instrumentation.context import tracer
from tracerun.instrumentation.http import REQUEST_KEY
from tracerun.instrumentation.patching import after, argument

_TRACER = tracer("uvicorn")


def _wrap_application(_: None, args: tuple[Any, ...], __: dict[str, Any]) -> None:
    config = args[0]
    config.loaded_app = Middleware(config.loaded_app, _TRACER)


def _hand_down(environ: dict[str, Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    # uvicorn's own adapter calls a WSGI application on a thread that knows nothing of the request.
    request = argument(args, kwargs, 0, "scope").get(REQUEST_KEY)
    if request is not None:
        environ[REQUEST_KEY] = request


PATCHES = {
    "uvicorn.config:Config.load": after(_wrap_application, "uvicorn"),
    "uvicorn.middleware.wsgi:build_environ": after(_hand_down, "uvicorn"),
    "uvicorn.middleware.wsgi:_WSGIMiddleware.__init__": wsgi.wrapped_at("app", _TRACER),
}
