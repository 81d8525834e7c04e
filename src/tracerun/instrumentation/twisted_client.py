"""twisted.web.client's agents, and treq over them: one CLIENT span for each request, redirects included."""

from __future__ import annotations

import sys
from typing import Any

from tracerun.agent.guard import guarded
from tracerun.instrumentation.bodies import ended, hold
from tracerun.instrumentation.context import tracer
from tracerun.instrumentation.http import start_http_client
from tracerun.instrumentation.late_span import LateSpan
from tracerun.instrumentation.patching import after, argument, around, around_changed, before, with_argument
from tracerun.instrumentation.peers import KEY
from tracerun.instrumentation.resends import Counting, sent_before

_TRACER = tracer("twisted_client")
_GUARD = guarded("twisted_client")
# Left on what a body's reader has for a transport, once the reader has closed it.
_CLOSED = "_tracerun_closed"


class _Span(LateSpan):
    __slots__ = ()

    def status_of(self, response: Any) -> int | None:
        return response.code  # type: ignore[no-any-return]

    def version_of(self, response: Any) -> str | None:
        return f"{response.version[1]}.{response.version[2]}"

    def headers_of(self, response: Any) -> Any:
        return _pairs(response.headers)

    def peer_of(self, response: Any) -> Any:
        peer = vars(response).get(KEY)
        return (peer.host, peer.port) if hasattr(peer, "host") else _text(getattr(peer, "name", None))

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


def _text(path: Any) -> Any:
    return path.decode("utf-8", "replace") if isinstance(path, bytes) else path


def _made(_: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """A response knows its connection until its body has come, which may be there with the head."""
    producer = getattr(argument(args, kwargs, 5, "_transport"), "_producer", None)
    if producer is not None:
        vars(args[0])[KEY] = producer.getPeer()


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
    word, resends = method.decode("ascii", "replace"), sent_before("twisted")
    span = start_http_client(_Span, _TRACER, word, url, _Headers(headers), resends=resends)
    if not isinstance(span, LateSpan):
        return None
    span.let_go()
    return (_Call(span), *with_argument(args, kwargs, 5, "headers", headers))


def _redirect(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Counting:
    return Counting("twisted", argument(args, kwargs, 5, "redirectCount", 0) + 1)


def _close(args: tuple[Any, ...], _: dict[str, Any]) -> None:
    setattr(args[0], _CLOSED, True)


def _over(_: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """The body is whole, or there is a reason: it may be, it is not, or its reader does not want it."""
    response, reason = args[0], argument(args, kwargs, 1, "reason")
    lost = reason is not None and not reason.check(sys.modules["twisted.web.http"].PotentialDataLoss)
    ended(response, reason.value if lost and not getattr(response._transport, _CLOSED, False) else None)


PATCHES = {
    "twisted.web.client:RedirectAgent._handleRedirect": around(_redirect, "twisted_client"),
    "twisted.web.client:_AgentBase._requestWithEndpoint": around_changed(_begin, "twisted_client"),
    "twisted.web._newclient:Response.__init__": after(_made, "twisted_client"),
    "twisted.web._newclient:Response._bodyDataFinished": after(_over, "twisted_client"),
    "twisted.web._newclient:TransportProxyProducer.loseConnection": before(_close, "twisted_client"),
    "twisted.web._newclient:TransportProxyProducer.stopProducing": before(_close, "twisted_client"),
}
