"""cheroot, CherryPy's server: the SERVER span around whatever WSGI application it serves."""

from __future__ import annotations

from tracerun.instrumentation import wsgi
from tracerun.instrumentation.context import tracer

PATCHES = {"cheroot.wsgi:Server.__init__": wsgi.wrapped_at("wsgi_app", tracer("cheroot"))}
