"""werkzeug's development server: the SERVER span around whatever WSGI application it serves."""

from __future__ import annotations

from tracerun.instrumentation import wsgi
from tracerun.instrumentation.context import tracer

PATCHES = {"werkzeug.serving:BaseWSGIServer.__init__": wsgi.wrapped_at("app", tracer("werkzeug"))}
