"""What a span is in facts that can be compared, and each difference between ours and upstream's, with its reason."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tests.receiver import Spans

# The Python of the comparison, whatever the tests run on: constraints.txt has pins of its own for the oldest.
COMPARED_ON = "3.11"
# Upstream's release that is compared, and the SDK that belongs to it.
RELEASE, SDK = "0.66b1", "1.45.1"
# The libraries under them, at the releases of constraints.txt.
LIBRARIES = (
    *("requests", "urllib3", "httpx", "httpx2", "aiohttp", "tornado", "flask", "django", "falcon", "pyramid"),
    *("fastapi", "starlette", "uvicorn", "grpcio"),
)
SERVER, CLIENT = 2, 3
KINDS = {1: "INTERNAL", SERVER: "SERVER", CLIENT: "CLIENT"}
STATUSES = {0: "UNSET", 1: "OK", 2: "ERROR"}
# The ends of a connection that the kernel numbers.
PORTS = ("network.peer.port", "client.port", "net.peer.port")
ADDRESS = re.compile(r"0x[0-9a-f]+")
COUNT = "spans of its kind"


class Found(NamedTuple):
    """One difference as it was seen; None stands for what is not there."""

    side: str
    request: str
    fact: str
    ours: Any
    theirs: Any


class Difference(NamedTuple):
    """One difference as it is expected.

    Attributes:
        sides: The libraries that have it, as they are called in side_by_side_programs.py.
        fact: An attribute's name, or another fact of a span.
        ours: Our value, with wildcards; None where it is not there.
        theirs: Upstream's.
        reason: Why ours is not theirs.
        requests: Those that it is in; empty for whatever request has it.
    """

    sides: tuple[str, ...]
    fact: str
    ours: str | None
    theirs: str | None
    reason: str
    requests: tuple[str, ...] = ()

    def covers(self, found: Found) -> bool:
        """Whether what was seen is this."""
        return (
            found.side in self.sides
            and found.fact == self.fact
            and (not self.requests or found.request in self.requests)
            and _is_like(found.ours, self.ours)
            and _is_like(found.theirs, self.theirs)
        )


def _is_like(value: Any, pattern: str | None) -> bool:
    return value is None if pattern is None else value is not None and fnmatchcase(str(value), pattern)


def facts(spans: Spans, kind: int, sent: str | None = None) -> dict[str, Any]:
    """The facts of one request's spans, by name; what a span does not have is not there.

    Args:
        spans: All spans of the request's trace.
        kind: Of the one that is compared, the first where there are several.
        sent: The ``traceparent`` that the request had, where it is known.
    """
    main, others = (
        sorted(spans.all(kind=kind), key=lambda span: span.start),
        [span.name for span in spans if span.kind != kind],
    )
    made: dict[str, Any] = {COUNT: len(main)}
    if others:
        made["spans besides"] = ", ".join(sorted(others))
    for span in main[:1]:
        made |= {"name": span.name, "kind": KINDS[span.kind], "parent": span.parent_id or "root"}
        made |= span.attributes
        made |= {name: "a port" for name in PORTS if name in made}
        if sent is not None:
            made["traceparent sent"] = sent.replace(span.trace_id, "TRACE").replace(span.span_id, "SPAN")
        made["status"] = STATUSES[span.status]
        if span.message:
            made["status description"] = ADDRESS.sub("0x", span.message)
        exceptions = [event.attributes["exception.type"] for event in span.events if event.name == "exception"]
        if exceptions:
            made["exception event"] = ", ".join(exceptions)
    return made


def compare(side: str, request: str, ours: dict[str, Any], theirs: dict[str, Any]) -> Iterator[Found]:
    """The facts of one request that differ; of a span that only one of the two has made, no more than that."""
    names = sorted(ours.keys() | theirs.keys()) if ours[COUNT] and theirs[COUNT] else (COUNT,)
    for fact in names:
        pair = ours.get(fact), theirs.get(fact)
        if pair[0] != pair[1] or type(pair[0]) is not type(pair[1]):
            yield Found(side, request, fact, *pair)


def unexplained(found: Iterable[Found], listed: Iterable[Difference]) -> list[Found]:
    """What is not listed."""
    return [seen for seen in found if not any(difference.covers(seen) for difference in listed)]


def not_seen(side: str, found: list[Found], listed: Iterable[Difference]) -> list[Difference]:
    """What is listed for that library and does not occur, in one of its requests or in all."""
    return [
        difference
        for difference in listed
        if side in difference.sides
        for request in difference.requests or ("",)
        if not any(difference.covers(seen) for seen in found if request in ("", seen.request))
    ]
