"""The call chain of one trace as lines on a page: spans on a timeline, with what happened below each."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from tracerun.calltree import (
    CLIENT,
    DEEPEST,
    Event,
    Row,
    SpanRecord,
    Trace,
    duration_text,
    event_text,
    failure_text,
    is_exception,
    kind_text,
    status_text,
    telling_tags,
)
from tracerun.viewer.timeline import bar, mark, service_styles, skew, strokes

if TYPE_CHECKING:
    from tracerun.viewer.show import Page

_NARROW = 50  # columns; a narrower terminal gets no times beside the events
_STACKED_BELOW = 76  # columns; a narrower terminal gets the bars on lines of their own
_LONG_KEY = 32
_LONG_PLACE = 44
_WIDE = 100  # columns; from here on a long gRPC status is shown whole, and the timeline gets a third
_ALIGNED_UP_TO = 26  # columns of the services; beyond it their names would be too far off
_ENDLESS = 1_000_000
_EVENT_LINES = 3  # of a long message, unless everything is asked for
_STATUS_STYLES = {"1": "dim", "2": "green", "3": "cyan", "4": "yellow", "5": "red", "O": "green", "o": "green"}


class Chain:
    """The drawing of a trace.

    Args:
        page: Where to.
        trace: What; it has at least one row.
        verbose: Whether every tag is drawn, and nothing is cut short.
    """

    def __init__(self, page: Page, trace: Trace, *, verbose: bool) -> None:
        self._page = page
        self._trace = trace
        self._verbose = verbose
        self._styles = service_styles(trace)
        self._stacked = page.width < _STACKED_BELOW
        self._share_width()

    def draw(self) -> None:
        """Add the axis, the rows, what is to be said about each, and how to read the bars."""
        self._axis()
        for row in self._trace.rows:
            self._row(row)
            self._notes(row)
        if any(row.children for row in self._trace.rows):
            self._page.line()
            self._page.line(("━ at work   ─ waiting for the spans below it", "dim"))

    # Columns: prefix, service, name | kind | bar | time | status; stacked, kind and bar go below

    def _share_width(self) -> None:
        """What is narrow gets what it needs, names two thirds of the rest or more, the timeline what is left."""
        page, rows = self._page, self._trace.rows
        self._kind = max(len(kind_text(row.span)) for row in rows) + 2
        self._time = max(9, *(len(duration_text(row.span.duration)) + 2 for row in rows))
        status = max(page.size(self._status(row.span)) for row in rows)
        self._after = self._time + min(status + 2 if status else 0, 22 if page.width >= _WIDE else 14)
        room = page.width - self._after - (0 if self._stacked else self._kind + 2)
        bar = room // 3 if page.width >= _WIDE else room // 6
        most = room if self._stacked else room - max(bar, 8)
        self._levels = min(max(2, (most - 16) // 3), DEEPEST)
        self._label, self._text = self._text_columns(most)
        if self._stacked:
            deepest = 3 * min(max(row.depth for row in rows), self._levels) + 3
            self._text, self._before = room, min(deepest + self._kind, page.width // 2)
            self._bar = page.width - self._before
        else:
            self._before = self._text + 2 + self._kind
            self._bar = room - self._text

    def _text_columns(self, most: int) -> tuple[int, int]:
        """The columns of the services, 0 where the names follow them unaligned to save room, and of both together."""
        page = self._page
        rows = self._trace.rows
        labels = [len(row.prefix(self._levels)) + page.size(page.text(row.span.service)) for row in rows]
        names = [page.size(page.text(row.span.name)) for row in rows]
        if max(labels) <= _ALIGNED_UP_TO and (aligned := max(labels) + 2 + max(names)) <= most:
            return max(labels), aligned
        return 0, min(most, max(label + 2 + name for label, name in zip(labels, names, strict=True)))

    def _axis(self) -> None:
        end = duration_text(self._trace.duration)
        if self._bar > len(end) + 2:
            self._page.line((" " * self._before, ""), ("0" + end.rjust(self._bar - 1), "dim"))

    def _status(self, span: SpanRecord) -> str:
        status = self._page.text(status_text(span))
        return f"✗ {status}" if span.failed else f"  {status}" if self._trace.errors else status

    def _row(self, row: Row) -> None:
        span, page = row.span, self._page
        kind, style = kind_text(span), self._styles[span.service]
        drawn = [
            (stroke, f"bold {style}" if works else f"dim {style}")
            for stroke, works in strokes(bar(row, self._trace, self._bar))
        ]
        head = self._head(row)
        tail = [
            (duration_text(span.duration).rjust(self._time), ""),
            ("  " + page.cut(self._status(span), self._after - self._time - 2), _status_style(span)),
        ]
        if self._stacked:
            under = row.under(self._levels)[: self._before]
            page.line(*head, *tail)
            page.line((under, "dim"), (page.fill(kind, self._before - len(under)), "dim"), *drawn)
        else:
            page.line(*head, ("  ", ""), (kind.ljust(self._kind), "dim"), *drawn, *tail)

    def _head(self, row: Row) -> list[tuple[str, str]]:
        """Prefix, service and name; a service is bold where the trace enters it."""
        span, page, style = row.span, self._page, self._styles[row.span.service]
        prefix, label, name = self._widths(row)
        entered = row.caller is None or row.caller.service != span.service
        return [
            (page.cut(row.prefix(self._levels), prefix), "dim"),
            (page.fill(page.text(span.service), label), f"bold {style}" if entered else style),
            ("  ", ""),
            (page.fill(page.text(span.name), name), "bold red" if span.failed else ""),
        ]

    def _widths(self, row: Row) -> tuple[int, int, int]:
        """The columns of a row's prefix, service and name."""
        prefix = min(len(row.prefix(self._levels)), max(self._text - 8, 0))
        label = self._label - prefix if self._label else self._page.size(self._page.text(row.span.service))
        label = min(label, max((self._text - prefix) * 2 // 3, 1))
        return prefix, label, max(self._text - prefix - label - 2, 0)

    # What is said below a row

    def _notes(self, row: Row) -> None:
        span = row.span
        if row.orphan:
            self._note(row, f"! {row.orphan}: {span.parent_id}", "yellow")
        if early := skew(row):
            self._note(row, f"! starts {duration_text(early)} before its caller: the clocks differ", "yellow")
        if self._verbose:
            self._all_tags(row)
        elif tags := self._unseen_tags(row):
            self._note(row, "  ".join(tags), "dim")
        for event in span.events:
            self._event(row, event)
        if failure := failure_text(span):
            self._note(row, self._page.text(failure), "red", lead="✗ ", lines=_EVENT_LINES)

    def _unseen_tags(self, row: Row) -> list[str]:
        """The telling tags that neither the row, its events nor its caller's row show already."""
        span, text = row.span, self._page.text
        shown = [span.name] if self._page.size(text(span.name)) <= self._widths(row)[2] else []
        shown += [status_text(span), *(event_text(event)[0] for event in span.events)]
        if row.caller is not None and row.caller.kind == CLIENT:
            shown += telling_tags(row.caller)
        unseen = []
        for tag in telling_tags(span):
            if not any(tag in other for other in shown):
                shown.append(tag)
                unseen.append(text(tag))
        return unseen

    def _all_tags(self, row: Row) -> None:
        span, text = row.span, self._page.text
        self._note(row, text("  ".join(filter(None, (span.name, span.scope)))), "dim", lead=f"{span.span_id}  ")
        width = min(max(map(len, span.attributes), default=0), _LONG_KEY)
        for key, value in sorted(span.attributes.items()):
            self._note(row, text(str(value)), "", lead=f"{text(key):<{width}}  ")

    def _event(self, row: Row, event: Event) -> None:
        what, where = (self._page.text(text) for text in event_text(event))
        sign, style = ("✗ ", "red") if is_exception(event) else ("• ", "")
        self._note(row, what, style, lead=sign, tail=_nearer(where), time=event.time, lines=_EVENT_LINES)
        if self._verbose:
            for key, value in sorted(event.attributes.items()):
                for line in f"{key} = {value}".splitlines():
                    indent = 2 + len(line) - len(line.lstrip())
                    self._note(row, self._page.text(line.lstrip()), "dim", lead=" " * indent)

    def _note(
        self, row: Row, text: str, style: str, *, lead: str = "", tail: str = "", time: int = 0, lines: int = 1
    ) -> None:
        """Text below a row, beside the rails; what happened at a time, in nanoseconds, stands on the timeline too."""
        page = self._page
        under = row.under(self._levels)[: page.width // 2]
        timed = self._trace.start <= time <= self._trace.end and page.width >= _NARROW
        room = page.width - (self._after if timed else 0) - len(under)
        indent = min(page.size(lead), room // 2)
        most = _ENDLESS if self._verbose else lines
        for place, (line, end) in enumerate(self._fitted(text, tail, room - indent, most)):
            pieces = [(under, "dim"), (page.fill("" if place else lead, indent), style or "dim"), (line, style)]
            if end:
                pieces.append((end, "bold"))
            if timed and not place:
                pieces += self._moment(sum(page.size(piece) for piece, _ in pieces), lead.strip(), style, time)
            page.line(*pieces)

    def _fitted(self, text: str, tail: str, room: int, most: int) -> list[tuple[str, str]]:
        """Text and tail on at most so many lines; a tail that has no room beside the text gets its own."""
        page = self._page
        text = text[: room * (most + 1)]  # more is not shown, and wrapping a megabyte takes its time
        lines = page.wrap(text, room) if most > 1 and page.size(text) > room else [text]
        if len(lines) > most:
            lines[most - 1 :] = [" ".join(lines[most - 1 :])]
        lines = [page.cut(line, room) for line in lines]
        if tail and page.size(lines[-1]) + 2 + page.size(tail) <= room:
            return [(line, "") for line in lines[:-1]] + [(lines[-1], "  " + tail)]
        return [(line, "") for line in lines] + ([("", page.cut(tail, room))] if tail else [])

    def _moment(self, used: int, sign: str, style: str, time: int) -> list[tuple[str, str]]:
        """The rest of an event's line: its mark on the timeline, unless its text runs over it, and its time."""
        at = f"+{duration_text(time - self._trace.start)}".rjust(self._time)
        if used < self._before and not self._stacked:
            drawn = mark(sign, time, self._trace, self._bar)
            return [(" " * (self._before - used), ""), (drawn, style or "bold"), (at, "dim")]
        return [(" " * (self._page.width - self._after - used), ""), (at, "dim")]


def _status_style(span: SpanRecord) -> str:
    return "bold red" if span.failed else _STATUS_STYLES.get(status_text(span)[:1], "")


def _nearer(place: str) -> str:
    """A file's place as seen from here, or its end when that is long."""
    try:
        here = os.getcwd() + os.sep
    except OSError:  # the current folder is gone
        here = ""
    near = place.removeprefix(here)
    return near if len(near) <= _LONG_PLACE else "…/" + "/".join(near.split("/")[-3:])
