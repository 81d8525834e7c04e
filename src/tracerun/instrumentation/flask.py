"""Flask: the SERVER span around the application, its route from the URL rule, its unhandled exceptions."""

from __future__ import annotations

import sys
from functools import partial
from typing import Any

from tracerun.agent.guard import guarded
from tracerun.instrumentation import serving, wsgi
from tracerun.instrumentation.context import tracer
from tracerun.instrumentation.http import ServerRequest, current_request
from tracerun.instrumentation.patching import before, replacing

_GUARD = guarded("flask")


def _dispatch(original: Any, *args: Any, **kwargs: Any) -> Any:
    traced = None
    try:
        traced = current_request()
        if traced is not None and traced.recorded:
            _set_route(traced)
    except Exception as error:
        if not _GUARD.swallows(error):
            raise
    response = original(*args, **kwargs)
    if traced is not None:
        traced.answer = partial(_is_all_there, response)
    return response


def _set_route(traced: ServerRequest) -> None:
    request = sys.modules["flask.globals"].request._get_current_object()
    if request.url_rule is not None:
        traced.route = request.script_root + request.url_rule.rule


def _is_all_there(response: Any, body: Any) -> bool:
    """Whether nothing of the program's runs while a body is sent.

    It is what werkzeug makes of a usual response, of a text or bytes; not of a stream, one of the program's own
    classes or with callbacks for its end, nor what a middleware has made of the body.
    """
    return (
        type(body) is sys.modules["werkzeug.wsgi"].ClosingIterator
        and type(response) is sys.modules["flask.wrappers"].Response
        and type(response.response) in wsgi.WHOLE
        and not response._on_close
        and body._callbacks[1:] == [response.close]  # after the close of what encodes it
    )


def _record(args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    serving.record(next((value for value in (*args, *kwargs.values()) if isinstance(value, BaseException)), None))


PATCHES = {
    # Outside of what programs put around app.wsgi_app.
    "flask.app:Flask.__call__": wsgi.traced_call(tracer("flask")),
    "flask.app:Flask.full_dispatch_request": replacing(_dispatch),
    "flask.app:Flask.handle_exception": before(_record, "flask"),
}
