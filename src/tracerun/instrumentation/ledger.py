"""The spans of responses that are Rust's: they take no attributes, and nobody is told when they are collected.

So they are known by their addresses. A span ends where the response is read to its end, breaks off or is closed. Of one
that is dropped without that, it ends when another response gets its address, when a later one comes after a while in
which nobody has begun to read it, or with the process: as of the time when the program was last seen to read.
"""

from __future__ import annotations

import os
from collections import deque
from time import time_ns
from typing import TYPE_CHECKING, Any

from tracerun.agent import exits
from tracerun.instrumentation import bodies
from tracerun.instrumentation.context import type_name
from tracerun.instrumentation.http import HttpClientSpan
from tracerun.instrumentation.patching import after, around, around_async

if TYPE_CHECKING:
    from tracerun.instrumentation.context import ClientSpan

# Responses with these statuses, and those to HEAD, have no body.
_WITHOUT_BODY = (204, 304)
_BY_ADDRESS: dict[int, _Entry] = {}
# In the order in which they came; those that have been read since are among them.
_UNREAD: deque[_Entry] = deque()
# Nanoseconds for which the span of a response is kept that nobody has begun to read.
_PATIENCE = 10_000_000_000


class _Entry:
    """One span, and the objects by which its body is read."""

    __slots__ = ("_addresses", "_open", "_seen", "is_read")

    def __init__(self, client: ClientSpan) -> None:
        self._open = [client]
        self._addresses: list[int] = []
        self._seen = 0
        self.is_read = False

    def read_by(self, reader: Any) -> None:
        """Takes note of an object by which the body is read."""
        address = id(reader)
        if _BY_ADDRESS.get(address) is not self:
            vacate(reader)
            _BY_ADDRESS[address] = self
            self._addresses.append(address)
        self.seen()

    def seen(self) -> None:
        """The program reads."""
        self._seen = time_ns()

    def over(self, error: BaseException | None = None, at: int | None = None) -> None:
        """The body has ended."""
        try:
            client = self._open.pop()  # once, whichever thread comes first
        except IndexError:
            return
        for address in self._addresses:
            if _BY_ADDRESS.get(address) is self:
                del _BY_ADDRESS[address]
        bodies.end(client.span, "" if error is None else type_name(error), at)

    def is_settled(self, given_up: int) -> bool:
        """Whether the body is read or the span has ended, which it does here if the response came before a time."""
        if not self.is_read and self._seen < given_up:
            self.dropped()
        return self.is_read or not self._open

    def dropped(self) -> None:
        """Nobody is going to read it."""
        self.over(at=self._seen)


class LedgerSpan(HttpClientSpan):
    """A CLIENT span for such responses."""

    __slots__ = ()

    def ended(self, result: Any) -> Any:
        """A response has come, which may stand where a dropped one has stood."""
        vacate(result)
        return super().ended(result)


def hold(span: HttpClientSpan, response: Any) -> bool:
    """Keeps a span until the end of a response's body; gives whether there is one."""
    if getattr(span.span, "name", "") == "HEAD" or response.status_code in _WITHOUT_BODY:
        return False
    if response.headers.get("content-length") == "0":
        return False
    _give_up()
    entry = _Entry(span)
    entry.read_by(response)
    _UNREAD.append(entry)
    return True


def _give_up() -> None:
    """Ends the spans of responses that have been left alone for long."""
    given_up = time_ns() - _PATIENCE
    while _UNREAD:
        try:
            first = _UNREAD.popleft()
        except IndexError:  # another thread was here
            return
        if not first.is_settled(given_up):
            _UNREAD.appendleft(first)
            return


def vacate(newcomer: Any) -> None:
    """Ends the span of what has stood at an address before."""
    before = _BY_ADDRESS.get(id(newcomer))
    if before is not None:
        before.dropped()


def _drop_all() -> None:
    while _BY_ADDRESS:
        _BY_ADDRESS.popitem()[1].dropped()


def _forget() -> None:
    _BY_ADDRESS.clear()
    _UNREAD.clear()


exits.end_before_flush(_drop_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)


class _Reading:
    """A call that reads all of the body, or ends it."""

    __slots__ = ("entry",)

    def __init__(self, entry: _Entry) -> None:
        self.entry = entry
        entry.is_read = True

    def ended(self, result: Any) -> Any:
        self.entry.over()
        return result

    def failed(self, error: BaseException) -> None:
        # What has come may still be no JSON, or not of its encoding.
        self.entry.over(None if isinstance(error, (ValueError, StopIteration, StopAsyncIteration)) else error)


class _Step(_Reading):
    """A call that reads a part, or nothing at the end."""

    __slots__ = ()

    def ended(self, result: Any) -> Any:
        if result is None:
            self.entry.over()
        else:
            self.entry.seen()
        return result


def _reading(args: tuple[Any, ...], _: dict[str, Any]) -> _Reading | None:
    entry = _BY_ADDRESS.get(id(args[0]))
    return None if entry is None else _Reading(entry)


def _step(args: tuple[Any, ...], _: dict[str, Any]) -> _Step | None:
    entry = _BY_ADDRESS.get(id(args[0]))
    return None if entry is None else _Step(entry)


def _opened(reader: Any, args: tuple[Any, ...], _: dict[str, Any]) -> None:
    entry = _BY_ADDRESS.get(id(args[0]))
    if entry is not None:
        entry.is_read = True
        entry.read_by(reader)
    else:
        vacate(reader)


class Watch:
    """What is put around the methods of a library's responses, by what they do with the body.

    Attributes:
        reads: Around one that reads all of it, or closes.
        reads_async: The same of a coroutine function's kind.
        steps: Around one that reads a part, or gives nothing at the end.
        steps_async: The same of a coroutine function's kind.
        opens: Around one that gives another object to read by.
    """

    def __init__(self, library: str) -> None:
        self.reads = around(_reading, library)
        self.reads_async = around_async(_reading, library)
        self.steps = around(_step, library)
        self.steps_async = around_async(_step, library)
        self.opens = after(_opened, library)

    def shows(self, attribute: Any) -> Any:
        """In place of an attribute that reads all of it when it is looked at."""
        get = self.reads(attribute.__get__)
        return property(get, attribute.__set__, attribute.__delete__, attribute.__doc__)
