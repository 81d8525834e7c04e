"""Spans as a call chain: the rows and the words that the terminal view and the live ``tree`` exporter share.

The ``tree`` exporter runs inside the traced program, so importing this module loads nothing but the span model:
no dataclasses, typing, re or enum.
"""

from __future__ import annotations

from tracerun.spanrecord import CLIENT, CONSUMER, ERROR, PRODUCER, SERVER, Event, SpanRecord, spans_of

TYPE_CHECKING = False  # as typing.TYPE_CHECKING, which type checkers know by its name
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = [
    "CLIENT", "CONSUMER", "DEEPEST", "ERROR", "KIND_WORDS", "PRODUCER", "SERVER",
    "Event", "Row", "SpanRecord", "Trace",
    "build", "clean", "duration_text", "event_text", "failure_text", "is_exception", "kind_text", "plain_lines",
    "spans_of", "status_text", "telling_tags", "to_ascii",
]  # fmt: skip

KIND_WORDS = ("", "internal", "server", "client", "producer", "consumer")
DEEPEST = (
    24  # levels that are indented; a deeper span shows its depth as a number, or a chain of 5,000 fills the memory
)
_LONGEST = 300  # characters of a text in the plain lines, which go to a program's stderr

_GRPC_STATUS = (
    "OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS",
    "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED",
    "INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED",
)  # fmt: skip
_ASCII = {ord(drawn): plain for drawn, plain in zip("├└│─━╺╸╼╾╶╴✗•µ…→", "|`|-=====--x*u~>", strict=True)}


class Row:
    """One line of a call chain.

    Args:
        span: What the line shows.
        caller: The span above it; None for a root.
        orphan: Why a root with a parent id is a root: ``parent missing`` or ``parent loop``; empty otherwise.
        last: Whether no sibling follows.
        depth: 0 for a root.
        rails: The lines that pass by on the left, three characters for each level.
    """

    __slots__ = ("caller", "children", "depth", "last", "orphan", "rails", "span")

    def __init__(
        self,
        span: SpanRecord,
        caller: SpanRecord | None = None,
        *,
        orphan: str = "",
        last: bool = True,
        depth: int = 0,
        rails: str = "",
    ) -> None:
        self.span = span
        self.caller = caller
        self.orphan = orphan
        self.last = last
        self.depth = depth
        self.rails = rails
        self.children: list[SpanRecord] = []

    def prefix(self, levels: int = DEEPEST) -> str:
        """What stands before the service: rails and connector; beyond ``levels``, at most ``DEEPEST``, the depth."""
        if not self.depth:
            return ""
        connector = "└─" if self.last else "├─"
        if self.depth <= levels:
            return f"{self.rails[: 3 * (self.depth - 1)]}{connector} "
        return f"{self.rails[: 3 * (levels - 1)]}{connector}{self.depth} "

    def under(self, levels: int = DEEPEST) -> str:
        """What stands before the lines that belong to this one, so that the rails go on beside them."""
        beside = self.rails
        if self.depth:
            beside += "   " if self.last else "│  "
        return beside[: 3 * min(self.depth, levels)] + ("│  " if self.children and self.depth < levels else "   ")


class Trace:
    """One trace: its rows in the order of drawing and what the rows add up to.

    Args:
        spans: All spans of the trace, in any order; doubles are dropped.
    """

    __slots__ = ("end", "errors", "rows", "services", "start", "trace_id")

    def __init__(self, spans: Iterable[SpanRecord]) -> None:
        self.rows = build(spans)
        drawn = [row.span for row in self.rows]
        self.trace_id = drawn[0].trace_id if drawn else ""
        self.start = min((span.start for span in drawn if span.start), default=0)
        self.end = max((span.end for span in drawn), default=0)
        self.errors = sum(span.failed for span in drawn)
        self.services = list(dict.fromkeys(span.service for span in drawn))

    @property
    def duration(self) -> int:
        """Nanoseconds from the first start to the last end."""
        return self.end - self.start


def build(spans: Iterable[SpanRecord]) -> list[Row]:
    """The rows of a call chain: roots first, callees below their caller by start time, each span once."""
    known: dict[tuple[str, str], SpanRecord] = {}
    for span in spans:
        known.setdefault((span.trace_id, span.span_id), span)
    cut = _loop_heads(known)
    roots: list[Row] = []
    callees: dict[tuple[str, str], list[SpanRecord]] = {}
    for key, span in sorted(known.items(), key=_by_start):
        above = (span.trace_id, span.parent_id)
        if above in known and key not in cut:
            callees.setdefault(above, []).append(span)
        else:
            orphan = "parent loop" if key in cut else "parent missing" if span.parent_id else ""
            roots.append(Row(span, orphan=orphan))
    return _drawn(roots, callees)


def _drawn(roots: list[Row], callees: dict[tuple[str, str], list[SpanRecord]]) -> list[Row]:
    rows: list[Row] = []
    waiting = roots[::-1]  # a stack of our own: Python's would end at a depth of 1,000
    while waiting:
        row = waiting.pop()
        rows.append(row)
        row.children = callees.get((row.span.trace_id, row.span.span_id), [])
        rails = row.rails if not row.depth or row.depth > DEEPEST else row.rails + ("   " if row.last else "│  ")
        waiting.extend(
            Row(child, row.span, last=child is row.children[-1], depth=row.depth + 1, rails=rails)
            for child in reversed(row.children)
        )
    return rows


def _by_start(item: tuple[tuple[str, str], SpanRecord]) -> tuple[int, str]:
    return item[1].start, item[1].span_id


def _loop_heads(known: dict[tuple[str, str], SpanRecord]) -> set[tuple[str, str]]:
    """The earliest span of each ring of parents, where the ring is cut to be drawn."""
    settled: set[tuple[str, str]] = set()
    heads = set()
    for first in known:
        key, path = first, dict[tuple[str, str], None]()
        while key in known and key not in settled and key not in path:
            path[key] = None
            key = (key[0], known[key].parent_id)
        if key in path:
            way = list(path)
            heads.add(min(((step, known[step]) for step in way[way.index(key) :]), key=_by_start)[0])
        settled.update(path)
    return heads


# Words


def clean(text: str) -> str:
    """The text on one line and safe for a terminal: white space as blanks, other unprintable characters escaped."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else " " if char.isspace() else repr(char)[1:-1] for char in text)


def duration_text(nanoseconds: int) -> str:
    """A duration in three digits and the unit that suits it, such as ``14.3 ms``."""
    if nanoseconds < 1_000:  # noqa: PLR2004
        return "<1 µs"
    for unit, size in (("µs", 1e3), ("ms", 1e6), ("s", 1e9)):
        value = nanoseconds / size
        if value < (59.5 if unit == "s" else 999.5):
            return f"{value:.{2 if value < 9.995 else 1 if value < 99.95 else 0}f} {unit}"  # noqa: PLR2004
    minutes, seconds = divmod(round(nanoseconds / 1e9), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    return f"{days}d {hours:02}h" if days else f"{hours}h {minutes:02}m" if hours else f"{minutes}m {seconds:02}s"


def kind_text(span: SpanRecord) -> str:
    """The span's kind as a word; empty when the span does not say."""
    return KIND_WORDS[span.kind] if 0 <= span.kind < len(KIND_WORDS) else ""


def status_text(span: SpanRecord) -> str:
    """How the call ended: the HTTP code, else the gRPC status by name, else ``error`` or ``ok``, else nothing."""
    http = _first(span, "http.response.status_code", "http.status_code")
    grpc = _first(span, "rpc.status_code", "rpc.response.status_code", "rpc.grpc.status_code")
    if grpc.isdecimal() and len(grpc) <= 2 and int(grpc) < len(_GRPC_STATUS):  # noqa: PLR2004
        grpc = _GRPC_STATUS[int(grpc)]
    return http or grpc or ("", "ok", "error")[span.status]


def telling_tags(span: SpanRecord) -> list[str]:
    """The few tags that tell most about a call: method, route or URL, RPC, status, peer, query, queue, error type."""
    method, service = _first(span, "rpc.method"), _first(span, "rpc.service")
    address, port = _first(span, "server.address", "net.peer.name"), _first(span, "server.port", "net.peer.port")
    serves = span.kind in (SERVER, CONSUMER)  # there the server is the span's own, not its peer
    tags = [
        _first(span, "http.request.method", "http.method"),
        _first(span, "http.route", "url.full", "http.url", "url.path", "http.target"),
        _first(span, "url.path", "http.target") if serves else "",  # the route with its parameters filled in
        f"{service}/{method}" if service and method and "/" not in method else method or service,
        status_text(span),
        "" if serves or not address else f"{address}:{port}" if port else address,
        _first(span, "db.query.summary", "db.query.text", "db.statement"),
        _first(span, "messaging.destination.name"),
        _first(span, "error.type") or next((_first(event, "exception.type") for event in span.events), ""),
    ]
    return list(dict.fromkeys(clean(tag) for tag in tags if tag))


def event_text(event: Event) -> tuple[str, str]:
    """What happened and where: an exception's type and message with its ``file:line``, or a log line's text."""
    kind, message = _first(event, "exception.type"), _first(event, "exception.message")
    if kind or event.name == "exception":
        return clean(": ".join(part for part in (kind or "exception", message) if part)), _place(event)
    message = _first(event, "message", "log.message", "log.body", "body")
    level = _first(event, "log.severity", "severity", "level", "log.level", "log.severity_text")
    if message:
        return clean(" ".join(part for part in (level, message) if part)), ""
    pairs = (f"{key}={value}" for key, value in event.attributes.items())
    return clean(" ".join((event.name or "event", *pairs))), ""


def failure_text(span: SpanRecord) -> str:
    """The message of a failed span's status, unless one of its exception events says it already."""
    message = clean(span.message) if span.failed else ""
    said = (event_text(event)[0] for event in span.events if is_exception(event))
    return "" if any(message in headline or headline in message for headline in said) else message


def to_ascii(text: str) -> str:
    """The text with this package's drawing characters, one for one, in ASCII; other characters stay."""
    return text.translate(_ASCII)


def is_exception(event: Event) -> bool:
    """Whether the event is a recorded exception."""
    return event.name == "exception" or "exception.type" in event.attributes


def _place(event: Event) -> str:
    """``file:line`` of the last frame of the program's own code, else outside site-packages, else of any."""
    best, rank = "", -1
    for line in str(event.attributes.get("exception.stacktrace") or "").splitlines():
        path, found, rest = line.strip(" |+-").partition('", line ')
        if not found or not path.startswith('File "'):
            continue
        path = path[6:]
        of_package = "site-packages" in path or "dist-packages" in path
        standing = 0 if of_package else 1 if "/lib/python3" in path or path.startswith("<") else 2
        if standing >= rank:
            best, rank = f"{path}:{rest.partition(',')[0]}", standing
    return clean(best)


def _first(holder: SpanRecord | Event, *keys: str) -> str:
    return next((str(value) for key in keys if (value := holder.attributes.get(key)) not in (None, "")), "")


def plain_lines(rows: list[Row], *, ascii_only: bool = False) -> list[str]:
    """The call chain as lines of text: service, name, kind, duration and status, below them the events.

    Args:
        rows: From ``build``.
        ascii_only: Whether the lines go where other characters cannot.
    """
    heads = [f"{row.prefix()}{_brief(row.span.service)}  {_brief(row.span.name)}" for row in rows]
    width = min(max(map(len, heads), default=0), 60)
    lines = []
    for row, head in zip(rows, heads, strict=True):
        span = row.span
        mark = "✗ " if span.failed else ""
        tail = f"{kind_text(span):<8}  {duration_text(span.duration):>7}  {mark}{status_text(span)}"
        note = f"  ({row.orphan})" if row.orphan else ""
        lines.append(f"{head:<{width}}  {tail}{note}".rstrip())
        lines += [f"{row.under()}{happened}" for happened in _happenings(span)]
    if ascii_only:
        return [to_ascii(line).encode("ascii", "backslashreplace").decode() for line in lines]
    return lines


def _happenings(span: SpanRecord) -> Iterator[str]:
    for event in span.events:
        what, where = event_text(event)
        yield f"{'✗' if is_exception(event) else '•'} {_brief(what)}{f'  {where}' if where else ''}"
    if failure := failure_text(span):
        yield f"✗ {_brief(failure)}"


def _brief(text: str) -> str:
    safe = clean(text)
    return safe if len(safe) <= _LONGEST else f"{safe[: _LONGEST - 1]}…"
