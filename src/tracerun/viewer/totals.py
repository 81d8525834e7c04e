"""What stands above and below a drawn call chain: what the trace adds up to, and which service called which."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from tracerun.calltree import Trace, duration_text
from tracerun.viewer.timeline import Calls, calls_of, service_styles

if TYPE_CHECKING:
    from tracerun.viewer.show import Page

_ARROW = " → "
_UNTRACED = " (no spans)"
_TITLES = ("calls", "total", "mean")
_ERRORS = "  errors"
_NARROW = 50  # columns


def counted(number: int, noun: str) -> str:
    """A number with its noun, such as ``1 span`` or ``2 spans``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def draw_header(page: Page, trace: Trace) -> None:
    """Add the trace's id and its sums, on two lines where one has no room for both."""
    name = [("trace ", "dim"), (trace.trace_id, "bold")]
    sums = [
        (f"{counted(len(trace.services), 'service')}, {counted(len(trace.rows), 'span')}, ", ""),
        (duration_text(trace.duration), "bold"),
        (", ", ""),
        (counted(trace.errors, "error"), "bold red") if trace.errors else ("no errors", "green"),
    ]
    begun = (f"   {_begun(trace)}", "dim")
    size = sum(page.size(text) for text, _ in [*name, *sums]) + 3
    if size > page.width:
        page.line(*name)
        page.line(*sums)
    elif size + page.size(begun[0]) > page.width:
        page.line(*name, ("   ", ""), *sums)
    else:
        page.line(*name, ("   ", ""), *sums, begun)
    page.line()


def _begun(trace: Trace) -> str:
    """The local time of the trace's start; empty for a made-up time that no calendar knows."""
    try:
        return dt.datetime.fromtimestamp(trace.start / 1e9).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    except (ValueError, OverflowError, OSError):
        return ""


def draw_calls(page: Page, trace: Trace) -> None:
    """Add the table of who called whom; nothing where no call left its service."""
    calls = calls_of(trace.rows)
    if not calls:
        return
    figures = [_figures(page, *texts) for texts in (_TITLES, *map(_texts, calls))]
    names = [(page.text(call.caller), page.text(call.callee) + ("" if call.traced else _UNTRACED)) for call in calls]
    caller_width, callee_width = _shares(page, names, page.width - len(figures[0]) - len(_ERRORS) - len(_ARROW))
    styles = service_styles(trace)
    page.line()
    page.line(
        (page.fill("who called whom", caller_width + len(_ARROW) + callee_width), "bold"), (figures[0] + _ERRORS, "dim")
    )
    for call, (caller, callee), numbers in zip(calls, names, figures[1:], strict=True):
        page.line(
            (page.fill(caller, caller_width), styles[call.caller]),
            (_ARROW, "dim"),
            (page.fill(callee, callee_width), styles[call.callee] if call.traced else "dim"),
            (numbers, ""),
            (f"{call.errors:>{len(_ERRORS)},}" if call.errors else "", "bold red"),
        )


def _shares(page: Page, names: list[tuple[str, str]], room: int) -> tuple[int, int]:
    """The columns of callers and callees: what they need, and where that is too much, the callers at most half."""
    callers, callees = (max(map(page.size, column)) for column in zip(*names, strict=True))
    callers = min(callers, max(room - callees, room // 2))
    return callers, max(min(callees, room - callers), 0)


def _texts(call: Calls) -> tuple[str, str, str]:
    return f"{call.count:,}", duration_text(call.total), duration_text(call.mean)


def _figures(page: Page, calls: str, total: str, mean: str) -> str:
    """The columns before the errors; a narrow page has room for the most telling one."""
    return f"{calls:>7}{total:>10}{mean:>10}" if page.width >= _NARROW else f"{calls:>7}"
