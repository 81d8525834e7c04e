"""curl_cffi's sessions, sync and async: one CLIENT span for each request; libcurl follows redirects by itself.

The span begins where the options of a transfer are set, when its whole URL is known, and waits on the transfer's
handle. It ends with the transfer: that is the end of the body, whether it goes to a buffer, a callback or a stream.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from opentelemetry.trace import INVALID_SPAN

from tracerun.instrumentation import bodies
from tracerun.instrumentation.context import fail, tracer
from tracerun.instrumentation.http import CURL_VERSIONS, start_http_client
from tracerun.instrumentation.late_span import KEY, LateSpan, take
from tracerun.instrumentation.patching import after, argument, around, before

if TYPE_CHECKING:
    from contextvars import Token

    from opentelemetry.context import Context
    from opentelemetry.trace import Span

_TRACER = tracer("curl_cffi")
# Where a handle keeps its span from the options to the transfer's end, whoever else has it by then.
_TRANSFER = "_tracerun_transfer"


class _Span(LateSpan):
    """Between two threads where the body is streamed: one makes the transfer, the other reads the response's head."""

    __slots__ = ("error", "has_begun", "is_over", "stop")

    def __init__(self, span: Span, token: Token[Context]) -> None:
        super().__init__(span, token)
        self.has_begun = self.is_over = False
        self.error: BaseException | None = None
        # Of a stream: the event by which close() stops the transfer, which takes that for a failure.
        self.stop: Any = None

    def version_of(self, response: Any) -> str | None:
        return CURL_VERSIONS.get(response.http_version)

    def body_follows(self, response: Any) -> bool:  # noqa: ARG002 - the response does not know it
        if self.error is not None:
            fail(self.span, self.error, describe=False)
        return self.stop is not None

    def over(self, handle: Any, error: BaseException | None) -> None:
        """The transfer has ended."""
        if error is not None and (self.stop is None or not self.stop.is_set()):
            self.error = error
        self.is_over = True
        bodies.ended(handle, self.error)


class _Transfer:
    """The transfer of a handle's, made by one call."""

    __slots__ = ("_handle", "_span")

    def __init__(self, span: _Span, handle: Any) -> None:
        self._span = span
        self._handle = handle

    def ended(self, result: Any) -> Any:
        self._span.over(self._handle, None)
        return result

    def failed(self, error: BaseException) -> None:
        self._span.over(self._handle, error)


def _options_are_set(handle: Any, result: Any) -> None:
    request, stop = result[0], result[5]
    if not request.url.lower().startswith(("http://", "https://")):
        return
    own = {name.lower(): value for name, value in request.headers.items()}
    headers = dict(own)
    span = start_http_client(_Span, _TRACER, request.method, request.url, headers)
    if isinstance(span, _Span):
        span.let_go()
        span.stop = stop
        setattr(handle, KEY, span)
        setattr(handle, _TRANSFER, span)
        # Lines are added to those that are there. A traceparent of the program's own goes out instead of ours.
        lines = [f"{name}: {value}".encode() for name, value in headers.items() if name not in own]
        handle.setopt(sys.modules["curl_cffi"].CurlOpt.HTTPHEADER, lines)


def _by_function(result: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    _options_are_set(argument(args, kwargs, 0, "curl"), result)


def _by_method(result: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    _options_are_set(argument(args, kwargs, 1, "curl"), result)


def _begin(args: tuple[Any, ...], _: dict[str, Any]) -> _Transfer | None:
    span = vars(args[0]).get(_TRANSFER)
    if span is None:
        return None
    span.has_begun = True
    return _Transfer(span, args[0])


def _added(args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    span = vars(argument(args, kwargs, 1, "curl")).get(_TRANSFER)
    if span is not None:
        span.has_begun = True


def _succeeded(args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    _over(argument(args, kwargs, 1, "curl"), None)


def _failed(args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    _over(argument(args, kwargs, 1, "curl"), argument(args, kwargs, 2, "exception"))


def _over(handle: Any, error: BaseException | None) -> None:
    span = vars(handle).get(_TRANSFER)
    if span is not None:
        span.over(handle, error)


def _parsed(response: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    handle = argument(args, kwargs, 1, "curl")
    span: Any = take(handle)
    if span is None:
        return
    if span.error is not None and response.status_code == 0:
        span.failed(span.error)  # parsed for the exception that the program gets
        return
    if span.span.is_recording():
        span.reached((response.primary_ip, handle.getinfo(sys.modules["curl_cffi"].CurlInfo.PRIMARY_PORT)))
    span.ended(response)
    if span.stop is None:
        return
    bodies.hold(span, handle)
    # The transfer's thread says that it is over before it looks for what is held: one of the two finds the other.
    if span.is_over:
        bodies.ended(handle, span.error)


def _reset(args: tuple[Any, ...], _: dict[str, Any]) -> None:
    handle = args[0]
    vars(handle).pop(_TRANSFER, None)
    given_up: Any = take(handle)
    if given_up is not None:
        _give_up(given_up, given_up.error or sys.exc_info()[1])
    bodies.ended(handle, None)


def _give_up(span: _Span, error: BaseException | None) -> None:
    if not span.has_begun:
        span.span = INVALID_SPAN  # no request has been sent: there was an answer in the session's cache
    elif error is not None:
        span.failed(error)
    else:
        span.finish()


PATCHES = {
    "curl_cffi.requests.session:set_curl_options?": after(_by_function, "curl_cffi"),
    "curl_cffi.requests.session:BaseSession._set_curl_options?": after(_by_method, "curl_cffi"),
    "curl_cffi.requests.session:BaseSession._parse_response": after(_parsed, "curl_cffi"),
    "curl_cffi.curl:Curl.perform": around(_begin, "curl_cffi"),
    "curl_cffi.aio:AsyncCurl.add_handle": before(_added, "curl_cffi"),
    "curl_cffi.aio:AsyncCurl.set_result": before(_succeeded, "curl_cffi"),
    "curl_cffi.aio:AsyncCurl.set_exception": before(_failed, "curl_cffi"),
    "curl_cffi.curl:Curl.reset": before(_reset, "curl_cffi"),
}
