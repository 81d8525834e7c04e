"""The ``tree`` exporter: each trace, once its first span in this process has ended, as a tree on stderr."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tracerun import calltree
from tracerun.agent import guard
from tracerun.export import otlp_json
from tracerun.export.lane import Outcome

if TYPE_CHECKING:
    from collections.abc import Sequence

    from opentelemetry.sdk.trace import ReadableSpan

# Spans of traces whose first span has not ended yet; beyond this the oldest trace is printed as far as it goes.
MOST_OPEN = 5000


class Tree:
    """Collects spans by trace and prints each finished one."""

    where = "stderr"

    def __init__(self) -> None:
        self._open: dict[int, list[ReadableSpan]] = {}
        self._held = 0

    def send(self, spans: Sequence[ReadableSpan], deadline: float | None) -> Outcome:  # noqa: ARG002 - nothing to wait for
        """Takes a batch; prints the traces that are complete as far as this process goes."""
        complete: dict[int, None] = {}
        for span in spans:
            trace_id = span.context.trace_id if span.context else 0
            self._open.setdefault(trace_id, []).append(span)
            self._held += 1
            if span.parent is None or span.parent.is_remote:
                complete[trace_id] = None
        # Not before the batch is through: a program that calls itself has a span behind the remote parent too.
        for trace_id in complete:
            self._print(trace_id)
        while self._held > MOST_OPEN:
            self._print(next(iter(self._open)))
        return Outcome(len(spans))

    def _print(self, trace_id: int) -> None:
        spans = self._open.pop(trace_id)
        self._held -= len(spans)
        request = json.loads(otlp_json.encode_request(spans))
        lines = calltree.plain_lines(calltree.build(calltree.spans_of(request)))
        guard.say(f"trace {trace_id:032x}", *lines, slug="trace")

    def close(self) -> None:
        """Prints what is left."""
        for trace_id in list(self._open):
            self._print(trace_id)

    def forget(self) -> None:
        """In a forked child: the open traces are the parent's."""
        self._open, self._held = {}, 0
