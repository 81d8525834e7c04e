"""gevent.pywsgi: the SERVER span around whatever WSGI application it serves."""

from __future__ import annotations

from tracerun.instrumentation import wsgi
from tracerun.instrumentation.context import tracer

PATCHES = {"gevent.pywsgi:WSGIServer.__init__": wsgi.wrapped_at("application", tracer("gevent"))}
