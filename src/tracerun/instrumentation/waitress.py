"""waitress: the SERVER span around whatever WSGI application it serves."""

from __future__ import annotations

from tracerun.instrumentation import wsgi
from tracerun.instrumentation.context import tracer

PATCHES = {"waitress.server:BaseWSGIServer.__init__": wsgi.wrapped_at("application", tracer("waitress"))}
