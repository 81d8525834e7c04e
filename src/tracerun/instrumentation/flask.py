"""Flask: the SERVER span around the application, its route from the URL rule, its unhandled exceptions."""

from __future__ import annotations

import sys
from functools import update_wrapper
from typing import Any

from tracerun.agent.guard import guarded
from tracerun.instrumentation import serving, wsgi
from tracerun.instrumentation.context import get_current, tracer
from tracerun.instrumentation.http import REQUEST_KEY, ServerRequest
from tracerun.instrumentation.patching import before

_GUARD = guarded("flask")


def _dispatching(original: Any) -> Any:
    def wrapper(self: Any, *args: Any, **kwargs: Any) -> Any:
        traced: Any = None
        try:
            traced = get_current().get(REQUEST_KEY)
            if traced is not None and traced.recorded:
                _set_route(traced)
        except Exception as error:
            if not _GUARD.swallows(error):
                raise
        # What Flask calls it with, by the shorter way.
        response = original(self, *args, **kwargs) if args or kwargs else original(self)
        if traced is not None:
            traced.answer = (response, _is_all_there)
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
    iterator, usual, close, encoding = _USUAL
    if type(body) is not iterator or type(response) is not usual or response._on_close:
        return False
    parts, callbacks = response.response, body._callbacks
    if type(parts) is not list or len(parts) != 1 or type(parts[0]) not in _PLAIN or len(callbacks) != _OF_ITS_OWN:
        return False
    if "iter_encoded" in response.__dict__:
        return False
    try:
        encoded, closed = callbacks
        return closed.__self__ is response and closed.__func__ is close and encoded.__self__.gi_code is encoding
    except AttributeError:  # something else than the two methods
        return False


_PLAIN = frozenset((bytes, str))
# A body's callbacks: that of what encodes it, and the response's own.
_OF_ITS_OWN = 2


def _usual() -> tuple[Any, Any, Any, Any]:
    """Of a usual body and its response the classes, what closes it, and the code that encodes it."""
    try:
        response = sys.modules["flask.wrappers"].Response
        encoding, close = sys.modules["werkzeug.wrappers.response"]._iter_encoded.__code__, response.close
        if close.__code__.co_filename == encoding.co_filename:  # else somebody has put another one there
            return sys.modules["werkzeug.wsgi"].ClosingIterator, response, close, encoding
    except (AttributeError, KeyError):  # an older release
        pass
    return None, None, None, None  # no body is usual


_USUAL = _usual()


def _record(args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    serving.record(next((value for value in (*args, *kwargs.values()) if isinstance(value, BaseException)), None))


PATCHES = {
    # Outside of what programs put around app.wsgi_app.
    "flask.app:Flask.__call__": wsgi.traced_call(tracer("flask")),
    "flask.app:Flask.full_dispatch_request": _dispatching,
    "flask.app:Flask.handle_exception": before(_record, "flask"),
}
