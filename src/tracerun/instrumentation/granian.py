"""granian: the SERVER span around whatever ASGI or WSGI application its workers call."""

from __future__ import annotations

from typing import Any

from tracerun.agent.guard import guarded
from tracerun.instrumentation.asgi import Middleware
from tracerun.instrumentation.context import tracer
from tracerun.instrumentation.patching import replacing
from tracerun.instrumentation.wsgi import Application

_TRACER = tracer("granian")
_GUARD = guarded("the application of granian")


def _wrapping(kind: Any) -> Any:
    # _callback_wrapper(callback, scope_opts, ...) makes what the Rust part calls, once in each worker.
    def wrap(original: Any, callback: Any, *args: Any, **kwargs: Any) -> Any:
        with _GUARD:
            callback = kind(callback, _TRACER)
        return original(callback, *args, **kwargs)

    return replacing(wrap)


PATCHES = {
    "granian.asgi:_callback_wrapper": _wrapping(Middleware),
    "granian.wsgi:_callback_wrapper": _wrapping(Application),
}
