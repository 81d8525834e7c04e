"""Starlette: the SERVER span around the application; its route is in the scope."""

from __future__ import annotations

from tracerun.instrumentation.asgi import traced_call
from tracerun.instrumentation.context import tracer

PATCHES = {"starlette.applications:Starlette.__call__": traced_call(tracer("starlette"))}
