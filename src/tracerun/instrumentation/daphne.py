"""daphne: the SERVER span around whatever ASGI application it serves."""

from __future__ import annotations

from tracerun.instrumentation import asgi
from tracerun.instrumentation.context import tracer

PATCHES = {"daphne.server:Server.__init__": asgi.wrapped_at("application", tracer("daphne"))}
