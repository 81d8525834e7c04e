"""Flask: the SERVER span around the application, its route from the URL rule, its unhandled exceptions."""

from __future__ import annotations

from typing import Any

from tracerun.instrumentation import wsgi
from tracerun.instrumentation.context import tracer
from tracerun.instrumentation.http import REQUEST_KEY
from tracerun.instrumentation.patching import before, replacing

_TRACER = tracer("flask")


def _call(original: Any, app: Any, environ: dict[str, Any], start_response: Any) -> Any:
    # Flask.__call__(environ, start_response): outside of what programs put around app.wsgi_app.
    return wsgi.run(original.__get__(app), environ, start_response, _TRACER)


def _set_route(_args: tuple[Any, ...], _kwargs: dict[str, Any]) -> None:
    from flask.globals import request  # noqa: PLC0415 - Flask is there by now

    server = request.environ.get(REQUEST_KEY)
    if server is not None and request.url_rule is not None:
        server.route = request.script_root + request.url_rule.rule


def _record(args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    from flask.globals import request  # noqa: PLC0415 - as above

    error = next((value for value in (*args, *kwargs.values()) if isinstance(value, BaseException)), None)
    server = request.environ.get(REQUEST_KEY)
    if server is not None and error is not None:
        server.record(error)


PATCHES = {
    "flask.app:Flask.__call__": replacing(_call),
    "flask.app:Flask.full_dispatch_request": before(_set_route, "flask"),
    "flask.app:Flask.handle_exception": before(_record, "flask"),
}
