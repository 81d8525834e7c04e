"""wsgiref: the SERVER span around the WSGI application that a handler runs (servers, CGI, Django's runserver)."""

from __future__ import annotations

from typing import Any

from tracerun.agent.guard import guarded
from tracerun.instrumentation.context import tracer
from tracerun.instrumentation.patching import replacing
from tracerun.instrumentation.wsgi import Application

_TRACER = tracer("wsgiref")
_GUARD = guarded("the application of wsgiref")


def _run(original: Any, handler: Any, application: Any) -> Any:
    with _GUARD:
        application = Application(application, _TRACER)
    return original(handler, application)


PATCHES = {"wsgiref.handlers:BaseHandler.run": replacing(_run)}
