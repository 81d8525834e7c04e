"""hypercorn: the SERVER span around whatever ASGI or WSGI application it serves."""

from __future__ import annotations

from tracerun.instrumentation import asgi, wsgi
from tracerun.instrumentation.context import tracer

_TRACER = tracer("hypercorn")

PATCHES = {
    "hypercorn.app_wrappers:ASGIWrapper.__init__": asgi.wrapped_at("app", _TRACER),
    "hypercorn.app_wrappers:WSGIWrapper.__init__": wsgi.wrapped_at("app", _TRACER),
}
