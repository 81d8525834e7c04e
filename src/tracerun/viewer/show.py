"""``tracerun --show``: a trace from the span files, drawn in the terminal as a call chain."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.text import Text

from tracerun import terminal
from tracerun.calltree import Trace, clean, to_ascii
from tracerun.errors import say
from tracerun.viewer.chain import Chain
from tracerun.viewer.files import SpanFiles
from tracerun.viewer.totals import counted, draw_calls, draw_header

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console, ConsoleOptions

_NARROWEST = 24  # columns; below this nothing could be read any more, so lines are left to be wrapped
_LISTED = 5  # ids that an ambiguous prefix is answered with


def show(directory: str, which: str = "last", *, verbose: bool = False, console: Console | None = None) -> int:
    """Print one trace: what it adds up to, its spans as a call chain, and which service called which.

    Args:
        directory: The folder of the span files.
        which: A trace id, a prefix of one, or ``last`` for the trace that ended last.
        verbose: Whether every tag of every span is printed, whole stack traces among them.
        console: Where to; the default is stdout. Its width, encoding and colours are kept to.

    Returns:
        The exit code: 0, or 1 when there is no such trace; then one line on stderr says why.
    """
    files, which = SpanFiles(directory), which.strip()
    found = _ids(files, which)
    trace = Trace(files.spans(found[0]) if len(found) == 1 else ())
    if not trace.rows:
        say(clean(_problem(files, which, found)), slug="no-trace")
        return 1
    page = Page(console or terminal.console())
    draw_header(page, trace)
    Chain(page, trace, verbose=verbose).draw()
    draw_calls(page, trace)
    _draw_gaps(page, files)
    page.print()
    return 0


def _draw_gaps(page: Page, files: SpanFiles) -> None:
    gaps = [f"{counted(files.skipped, 'line')} of the span files could not be read"] if files.skipped else []
    gaps += [f"could not open {page.text(path)}" for path in files.unreadable]
    if gaps:
        page.line()
    for gap in gaps:
        page.line((gap, "yellow"))


def _ids(files: SpanFiles, which: str) -> list[str]:
    if which.lower() in ("last", ""):
        return [last] if (last := files.last()) else []
    return files.matching(which)


def _problem(files: SpanFiles, which: str, found: list[str]) -> str:
    if len(found) > 1:
        more = f" and {len(found) - _LISTED:,} more" if len(found) > _LISTED else ""
        return f"{len(found):,} traces begin with '{which}': {', '.join(found[:_LISTED])}{more}"
    traces, spans = files.count()
    if files.unreadable:
        return f"cannot read {files.unreadable[0]}; check its permissions"
    if not traces:
        unread = f" ({counted(files.skipped, 'line')} could not be read)" if files.skipped else ""
        return f"no traces in {files.directory}{unread}; make one with: tracerun python app.py"
    held = f"{counted(traces, 'trace')} ({counted(spans, 'span')}) in {files.directory}"
    return f"no trace begins with '{which}' among the {held}; make one with: tracerun python app.py"


class Page:
    """Lines of styled pieces, kept to what the terminal can show: its width, its encoding, no control characters.

    Args:
        console: Where the lines will go.
    """

    def __init__(self, console: Console) -> None:
        self.width = max(console.width, _NARROWEST)
        self._console = console
        self._ascii = console.options.ascii_only
        self._segments: list[Segment] = []

    def text(self, text: str) -> str:
        """Text from a span as it may stand on the page."""
        safe = clean(text)
        if self._ascii:
            encoding = self._console.encoding
            safe = to_ascii(safe).encode(encoding, "backslashreplace").decode(encoding)
        return safe

    def size(self, text: str) -> int:
        """The columns that a text takes: an East Asian character takes two."""
        return cell_len(text)

    def cut(self, text: str, width: int) -> str:
        """The text in at most ``width`` columns, an ellipsis in place of what had to go."""
        return text if cell_len(text) <= width else set_cell_size(text, max(width - 1, 0)) + "…"[: max(width, 0)]

    def fill(self, text: str, width: int) -> str:
        """The text in exactly ``width`` columns."""
        return set_cell_size(self.cut(text, width), max(width, 0))

    def wrap(self, text: str, width: int) -> list[str]:
        """The text in lines of at most ``width`` columns, broken between words where that is possible."""
        return [line.plain.rstrip() for line in Text(text).wrap(self._console, max(width, 2))] or [""]

    def line(self, *pieces: tuple[str, str]) -> None:
        """Add a line of texts with their styles; what goes beyond the right edge is cut off."""
        room, shown = self.width, []
        for text, style in pieces:
            size = cell_len(text)
            shown.append((text if size <= room else set_cell_size(text, room), style))
            room -= min(size, room)
        while shown and not shown[-1][0].strip():
            shown.pop()
        for place, (text, style) in enumerate(shown, start=1):
            drawn = to_ascii(text) if self._ascii else text
            drawn = drawn.rstrip() if place == len(shown) else drawn
            self._segments.append(Segment(drawn, self._console.get_style(style) if style else None))
        self._segments.append(Segment.line())

    def print(self) -> None:
        """Write the lines in one go."""
        self._console.print(self, end="", crop=False)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Segment]:
        yield from self._segments
