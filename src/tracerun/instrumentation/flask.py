"""Flask: the SERVER span around the application, its route from the URL rule, its unhandled exceptions."""

from __future__ import annotations

import sys
from functools import partial, update_wrapper
from types import MethodType
from typing import Any

from tracerun.agent.guard import guarded
from tracerun.instrumentation import serving, wsgi
from tracerun.instrumentation.context import tracer
from tracerun.instrumentation.http import ServerRequest, current_request
from tracerun.instrumentation.patching import before

_GUARD = guarded("flask")


def _dispatching(original: Any) -> Any:
    def wrapper(*args: Any, **kwargs: Any) -> Any:
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

    return update_wrapper(wrapper, original)


def _set_route(traced: ServerRequest) -> None:
    request = sys.modules["flask.globals"].request._get_current_object()
    if request.url_rule is not None:
        traced.route = request.script_root + request.url_rule.rule


def _is_all_there(response: Any, body: Any) -> bool:
    """Whether nothing of the program's runs while a body is sent.

    It is what werkzeug makes of a usual response, of a text or bytes; not of a stream, one of the program's own
    classes or methods or with callbacks for its end, nor what a middleware has made of the body.
    """
    modules = sys.modules
    if (
        type(body) is not modules["werkzeug.wsgi"].ClosingIterator
        or type(response) is not (usual := modules["flask.wrappers"].Response)
        or response._on_close
        or len(body._callbacks) != 2  # noqa: PLR2004 - that of what encodes it, and the response's own
    ):
        return False
    parts, (encoded, close) = response.response, body._callbacks
    return (
        type(parts) is list
        and len(parts) == 1
        and type(parts[0]) in _PLAIN
        and type(close) is MethodType
        and close.__self__ is response
        and close.__func__ is usual.close
        and getattr(getattr(encoded, "__self__", None), "gi_code", None)
        is modules["werkzeug.wrappers.response"]._iter_encoded.__code__
    )


_PLAIN = (bytes, str)


def _record(args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    serving.record(next((value for value in (*args, *kwargs.values()) if isinstance(value, BaseException)), None))


PATCHES = {
    # Outside of what programs put around app.wsgi_app.
    "flask.app:Flask.__call__": wsgi.traced_call(tracer("flask")),
    "flask.app:Flask.full_dispatch_request": _dispatching,
    "flask.app:Flask.handle_exception": before(_record, "flask"),
}
