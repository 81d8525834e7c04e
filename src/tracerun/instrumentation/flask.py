"""Flask: the SERVER span around the application, its route from the URL rule, its unhandled exceptions."""

from __future__ import annotations

import sys
from typing import Any

from tracerun.instrumentation import serving, wsgi
from tracerun.instrumentation.context import tracer
from tracerun.instrumentation.http import current_request
from tracerun.instrumentation.patching import before


def _set_route(_args: tuple[Any, ...], _kwargs: dict[str, Any]) -> None:
    traced = current_request()
    if traced is None or not traced.recorded:
        return
    request = sys.modules["flask.globals"].request._get_current_object()
    if request.url_rule is not None:
        traced.route = request.script_root + request.url_rule.rule


def _record(args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    serving.record(next((value for value in (*args, *kwargs.values()) if isinstance(value, BaseException)), None))


PATCHES = {
    # Outside of what programs put around app.wsgi_app.
    "flask.app:Flask.__call__": wsgi.traced_call(tracer("flask")),
    "flask.app:Flask.full_dispatch_request": before(_set_route, "flask"),
    "flask.app:Flask.handle_exception": before(_record, "flask"),
}
