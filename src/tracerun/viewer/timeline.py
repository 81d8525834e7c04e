"""What a drawn trace says about time: the bar of a span, and who called whom how long."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

from tracerun.calltree import CLIENT, CONSUMER, PRODUCER, SERVER, Row, SpanRecord, Trace, clean

if TYPE_CHECKING:
    from collections.abc import Iterable

_WAITING, _WORKING = 1, 2  # what a half of a cell shows; 0 is nothing
_THIN = " ╶╴─"
_HALVES = " ╶╺╴─╼╸╾━"  # by 3 * left half + right half
_SKEW = 1_000_000
_SERVICE_STYLES = ("cyan", "magenta", "green", "yellow", "bright_blue", "bright_magenta", "bright_cyan", "bright_green")


def service_styles(trace: Trace) -> dict[str, str]:
    """A colour for each service, in the order in which the trace enters them; red is left to errors."""
    return {service: _SERVICE_STYLES[place % len(_SERVICE_STYLES)] for place, service in enumerate(trace.services)}


def bar(row: Row, trace: Trace, width: int) -> str:
    """The span on the trace's timeline: heavy where it works itself, light where it waits for the spans below it.

    Args:
        row: The span and its callees.
        trace: Gives the timeline's ends.
        width: Cells of the timeline; a bar is precise to half a cell, and never shorter than that.
    """
    halves = 2 * width
    scale = halves / max(trace.duration, 1)
    first = min(max(int((row.span.start - trace.start) * scale), 0), halves - 1)
    after = max(round((row.span.end - trace.start) * scale), first + 1)
    drawn = [0] * first + [_WORKING] * (after - first) + [0] * (halves - after)
    reached = first
    for callee in row.children:  # by start time, so each half is filled once however many callees there are
        begin = max(round((callee.start - trace.start) * scale), reached)
        end = min(round((callee.end - trace.start) * scale), after)
        if end > begin:
            drawn[begin:end] = [_WAITING] * (end - begin)
            reached = end
    return "".join(_HALVES[3 * left + right] for left, right in zip(drawn[::2], drawn[1::2], strict=True))


def strokes(drawn: str) -> list[tuple[str, bool]]:
    """A bar in runs, each with whether the span works there."""
    return [("".join(run), works) for works, run in groupby(drawn, lambda char: char not in _THIN)]


class Calls:
    """How often one service called another.

    Args:
        caller: The calling service.
        callee: The called service, or the address of a peer that sent no spans.
        traced: Whether the callee sent spans.
    """

    __slots__ = ("callee", "caller", "count", "errors", "total", "traced")

    def __init__(self, caller: str, callee: str, traced: bool) -> None:
        self.caller = caller
        self.callee = callee
        self.traced = traced
        self.count = 0
        self.errors = 0
        self.total = 0

    @property
    def mean(self) -> int:
        """Nanoseconds of one call."""
        return self.total // max(self.count, 1)

    def add(self, span: SpanRecord) -> None:
        """Count one call, with the time that its span took in nanoseconds."""
        self.count += 1
        self.errors += span.failed
        self.total += span.duration


def calls_of(rows: Iterable[Row]) -> list[Calls]:
    """Who called whom, in the order of the first calls: traced services, and peers that sent no spans."""
    found: dict[tuple[str, str, bool], Calls] = {}
    for row in rows:
        span, caller = row.span, row.caller
        if caller is not None and _crosses(caller, span):
            key = (caller.service, span.service, True)
        elif not row.children and span.kind in (CLIENT, PRODUCER) and (peer := peer_of(span)):
            key = (span.service, peer, False)
        else:
            continue
        found.setdefault(key, Calls(*key)).add(span)
    return list(found.values())


def peer_of(span: SpanRecord) -> str:
    """The other end of an outgoing call, as ``host:port``, database or queue; empty when the span does not say."""
    known = span.attributes
    address = known.get("server.address") or known.get("net.peer.name")
    port = known.get("server.port") or known.get("net.peer.port")
    if address:
        return clean(f"{address}:{port}" if port else str(address))
    name = known.get("messaging.destination.name") or known.get("db.system.name") or known.get("db.system")
    return clean(str(name or ""))


def _crosses(caller: SpanRecord, span: SpanRecord) -> bool:
    """Whether a call left its service, be it to another process of the same one."""
    return caller.service != span.service or (caller.kind in (CLIENT, PRODUCER) and span.kind in (SERVER, CONSUMER))


def mark(sign: str, time: int, trace: Trace, width: int) -> str:
    """A sign where a moment of the trace, in nanoseconds since the epoch, lies on the timeline."""
    place = min((time - trace.start) * width // max(trace.duration, 1), width - 1)
    return " " * place + sign + " " * (width - place - 1)


def skew(row: Row) -> int:
    """By how many nanoseconds a span starts before its caller, from 1 ms: two clocks are never quite the same."""
    early = row.caller.start - row.span.start if row.caller is not None else 0
    return early if early >= _SKEW else 0
