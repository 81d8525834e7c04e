"""urllib3: one CLIENT span for each attempt; a retry or redirect that the pool makes is one more."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from tracerun.agent.guard import guarded
from tracerun.instrumentation import backends, peers
from tracerun.instrumentation.bodies import HTTPLIB, hold_httplib
from tracerun.instrumentation.context import client_suppressed, tracer
from tracerun.instrumentation.http import HttplibSpan, authority, start_http_client
from tracerun.instrumentation.late_span import KEY
from tracerun.instrumentation.patching import argument, around, around_async

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.trace import Tracer

_TRACER = tracer("urllib3")
_GUARD = guarded("urllib3")
# A program's own, in whatever case, is replaced and not doubled.
_FIELDS = ("traceparent", "tracestate")


class Urllib3Span(HttplibSpan):
    """For the responses of urllib3 and urllib3-future."""

    __slots__ = ("connection",)
    connection: Any

    def ended(self, result: Any) -> Any:
        """A response has come; or the promise of one, where urllib3-future sends several requests at once."""
        if not hasattr(result, "is_ready"):
            return super().ended(result)
        self.let_go()
        setattr(result, KEY, self)
        return result

    def peer_of(self, response: Any) -> Any:  # noqa: ARG002 - which may have let its connection go
        """As urllib3-future notes it; with urllib3 it is known by now."""
        connection = getattr(self, "connection", None)
        return connection and getattr(connection.conn_info, "destination_address", None)

    def body_follows(self, response: Any) -> bool:
        """Whether it is still to be read."""
        # Of releases before 2.0 the response is http.client's own.
        origin = getattr(response, "_original_response", response)
        return hold_httplib(self, origin) or backends.hold(self, origin)


class _Span(Urllib3Span):
    __slots__ = ()


def begin(kind: type[Urllib3Span], tracer: Tracer, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Starts the span of an attempt, and puts its context into a copy of the headers."""
    if client_suppressed():  # before the headers are copied: requests is over this
        return None
    # _make_request(self, conn, method, url, body=None, headers=None, ...) in every release since 1.26; it is
    # one attempt, where urlopen calls itself for retries and redirects. urlopen passes headers by name.
    pool, method, target = args[0], argument(args, kwargs, 2, "method"), argument(args, kwargs, 3, "url")
    given = kwargs.get("headers") or pool.headers or {}
    # A copy, of the same kind: urllib3's own has several values for a name. The program's stays as it was.
    headers = given.copy() if hasattr(given, "copy") else dict(given)
    for name in [name for name in headers if name.lower() in _FIELDS and name != name.lower()]:
        del headers[name]
    url = target if "://" in target else f"{pool.scheme}://{authority(pool.host, pool.port)}{target}"
    # From 2.0 on an attempt is told of those before it.
    resends = len(getattr(kwargs.get("retries"), "history", ()))
    span = start_http_client(kind, tracer, method, url, headers, resends=resends)
    if isinstance(span, Urllib3Span):
        kwargs["headers"] = headers
        connection = argument(args, kwargs, 1, "conn")
        if hasattr(connection, "conn_info"):
            span.connection = connection
        else:
            peers.tell(span, connection)
    return span


def _begin(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    return begin(_Span, _TRACER, args, kwargs)


def _watched(response: property) -> property:
    """A promise's property ``response``, which is set when the response has come."""

    def set_response(promise: Any, value: Any) -> None:
        response.fset(promise, value)  # type: ignore[misc]
        with _GUARD:
            span = vars(promise).pop(KEY, None)
            if span is not None:
                span.ended(value)

    return property(response.fget, set_response, response.fdel, response.__doc__)


def patches(package: str, begin: Callable[[tuple[Any, ...], dict[str, Any]], Any]) -> dict[str, Callable[[Any], Any]]:
    """The patches of urllib3, and of urllib3-future where that is what the package is."""
    made = {
        f"{package}.connectionpool:HTTPConnectionPool._make_request": around(begin, package),
        **HTTPLIB,
        **peers.HTTPLIB,
    }
    if f"{package}._async.connectionpool" in sys.modules:
        attempt = f"{package}._async.connectionpool:AsyncHTTPConnectionPool._make_request"
        made[attempt] = around_async(begin, package)
        made[f"{package}.backend._base:ResponsePromise.response"] = _watched
        made.update(backends.patches(package))
    return made


PATCHES = patches("urllib3", _begin)
