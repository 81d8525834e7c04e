"""The span of a client that is given its response before the body is there: it ends where the body ends.

The object by which the library knows of that end keeps the span. What is still open when the process ends is ended
then, so that it is not lost; what a fork finds open stays the parent's.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

from opentelemetry.trace import Status, StatusCode

from tracerun.agent import exits
from tracerun.agent.guard import guarded
from tracerun.instrumentation.context import type_name
from tracerun.instrumentation.patching import after, before

if TYPE_CHECKING:
    from opentelemetry.trace import Span

    from tracerun.instrumentation.context import ClientSpan

KEY = "_tracerun_body"
# Whose frames may meet an error that has to do with the body.
READERS = ("urllib3", "http", "httpx", "httpcore", "aiohttp")
# Whom both they and programs call, beside the standard library; and our own wrappers.
_BETWEEN = frozenset(("anyio", "h11", "h2", "hpack", "sniffio", "tracerun", "trio"))
_OPEN: set[ClientSpan] = set()
_GUARD = guarded("the end of a body")


def end(span: Span, error_type: str = "", at: int | None = None) -> None:
    """Ends a span whose body has ended, with what that failed by, if it has."""
    if error_type:
        span.set_attribute("error.type", error_type)
        span.set_status(Status(StatusCode.ERROR))
    span.end(at)


class _Held:
    """What the holder keeps: where it is dropped without a word, the body has ended too."""

    __slots__ = ("client",)

    def __init__(self, client: ClientSpan) -> None:
        self.client = client

    def end(self, error_type: str = "") -> None:
        try:
            _OPEN.remove(self.client)  # once, whichever thread comes first
        except KeyError:
            return
        end(self.client.span, error_type)

    def __del__(self) -> None:
        with _GUARD:
            self.end()


def hold(span: ClientSpan, holder: Any) -> bool:
    """Keeps a span until the body's end.

    Args:
        span: Detached, and not ended.
        holder: The library's object for this one response.
    """
    setattr(holder, KEY, _Held(span))
    _OPEN.add(span)
    return True


def hold_httplib(span: ClientSpan, response: Any) -> bool:
    """The same for ``http.client``'s response, whoever reads it; not where its body has been read already."""
    is_closed = getattr(response, "isclosed", None)
    return hasattr(response, "_close_conn") and is_closed is not None and not is_closed() and hold(span, response)


def over(_: Any, args: tuple[Any, ...], __: dict[str, Any]) -> None:
    """After a method of the holder's that is the body's end: read to the end, closed, or broken off."""
    error = sys.exc_info()[1]
    _end(args[0], type_name(error) if error is not None and _is_of_body(error) else "")


def broke(holder: Any, error: BaseException) -> None:
    """The body has broken off."""
    ended(holder, error)


def ended(holder: Any, error: BaseException | None) -> None:
    """The body has ended: read to the end, closed, or, with an error, broken off."""
    _end(holder, "" if error is None else type_name(error))


def _end(holder: Any, error_type: str) -> None:
    held = vars(holder).pop(KEY, None)
    if held is not None:
        held.end(error_type)


def _is_of_body(error: BaseException) -> bool:
    """Whether an error that is being handled is the library's: the program may read a body while it handles another."""
    if isinstance(error, GeneratorExit):  # a generator of the program's is left early
        return False
    # A context manager of the library's stands around the program's block: what counts is who was at work inside.
    of_body, traceback = False, error.__traceback__
    while traceback is not None:
        top = traceback.tb_frame.f_globals.get("__name__", "").partition(".")[0]
        if top in READERS:
            of_body = True
        elif top not in _BETWEEN and top not in sys.stdlib_module_names:
            of_body = False
        traceback = traceback.tb_next
    return of_body


def _end_all() -> None:
    while _OPEN:
        _OPEN.pop().span.end()


exits.end_before_flush(_end_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_OPEN.clear)


def _closed(args: tuple[Any, ...], _: dict[str, Any]) -> None:
    over(None, args, {})


def _read(_: None, args: tuple[Any, ...], __: dict[str, Any]) -> None:
    # Nobody has closed it, so this is the end of the connection: too early where more was announced.
    _end(args[0], "http.client.IncompleteRead" if args[0].length else "")


# http.client calls one or the other at every end, and its responses are closed when they are collected.
HTTPLIB = {
    "http.client:HTTPResponse.close": before(_closed, "http.client"),
    "http.client:HTTPResponse._close_conn": after(_read, "http.client"),
}
