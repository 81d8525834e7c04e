"""twisted.web.client's agents, and treq over them: one CLIENT span for each request, redirects included."""

from __future__ import annotations

import sys
from typing import Any

from tracerun.agent.guard import guarded
from tracerun.instrumentation.bodies import hold, over
from tracerun.instrumentation.context import tracer
from tracerun.instrumentation.http import start_http_client
from tracerun.instrumentation.late_span import LateSpan
from tracerun.instrumentation.patching import after, argument, around_changed, with_argument

_TRACER = tracer("twisted_client")
_GUARD = guarded("twisted_client")


class _Span(LateSpan):
    __slots__ = ()

    def status_of(self, response: Any) -> int | None:
        return response.code  # type: ignore[no-any-return]

    def version_of(self, response: Any) -> str | None:
        return f"{response.version[1]}.{response.version[2]}"

    def headers_of(self, response: Any) -> Any:
        return _pairs(response.headers)

    def body_follows(self, response: Any) -> bool:
        return getattr(response, "_state", "") == "INITIAL" and hold(self, response)


class _Call:
    """The call that gives a Deferred, which is told of the response."""

    def __init__(self, span: LateSpan) -> None:
        self._span = span

    def ended(self, result: Any) -> Any:
        result.addBoth(self._answered)
        return result

    def failed(self, error: BaseException) -> None:
        self._span.failed(error)

    def _answered(self, result: Any) -> Any:
        with _GUARD:
            error = getattr(result, "value", None)
            if isinstance(error, BaseException):  # a Failure
                self._span.failed(error)
            else:
                self._span.ended(result)
        return result


class _Headers:
    """twisted's headers as such that take items."""

    def __init__(self, headers: Any) -> None:
        self._headers = headers

    def __setitem__(self, name: str, value: str) -> None:
        self._headers.setRawHeaders(name.encode(), [value.encode()])

    def items(self) -> Any:
        return _pairs(self._headers)


def _pairs(headers: Any) -> list[tuple[str, str]]:
    return [
        (name.decode("latin-1"), value.decode("latin-1"))
        for name, values in headers.getAllRawHeaders()
        for value in values
    ]


def _begin(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    method, uri = argument(args, kwargs, 3, "method"), argument(args, kwargs, 4, "parsedURI")
    if not isinstance(method, bytes):
        return None  # the library is about to raise
    given = argument(args, kwargs, 5, "headers")
    headers = sys.modules["twisted.web.http_headers"].Headers() if given is None else given.copy()
    url = uri.toBytes().decode("utf-8", "replace")
    span = start_http_client(_Span, _TRACER, method.decode("ascii", "replace"), url, _Headers(headers))
    if not isinstance(span, LateSpan):
        return None
    span.let_go()
    return (_Call(span), *with_argument(args, kwargs, 5, "headers", headers))


PATCHES = {
    "twisted.web.client:_AgentBase._requestWithEndpoint": around_changed(_begin, "twisted_client"),
    "twisted.web._newclient:Response._bodyDataFinished": after(over, "twisted_client"),
}
