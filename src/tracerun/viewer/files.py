"""The span files of a directory: finding one trace in lines of OTLP/JSON that any process may be writing right now.

Lines are searched as bytes and only those parsed that can matter: 64 MB hold some 200,000 spans.
"""

from __future__ import annotations

import json
import os
import re
from typing import TYPE_CHECKING, Any

from tracerun.calltree import SpanRecord, spans_of
from tracerun.spanrecord import hex_id, raw_spans

if TYPE_CHECKING:
    from collections.abc import Iterator

_END = re.compile(rb'"endTimeUnixNano"\s*:\s*"?(\d{1,20})')
_REQUEST = b'"resourceSpans"'


class SpanFiles:
    """The ``*.jsonl`` files of one directory.

    Args:
        directory: A path; one that does not exist holds no files.

    Attributes:
        skipped: Lines of the last search that are broken or hold no spans; one that is still being written is neither.
        unreadable: Paths that the last search could not open.
    """

    def __init__(self, directory: str) -> None:
        self.directory = directory
        self.skipped = 0
        self.unreadable: list[str] = []

    def last(self) -> str:
        """The id of the trace whose latest span ended last; empty when there is none."""
        latest, trace_id = -1, ""
        for line in self._lines():
            if max(map(int, _END.findall(line)), default=0) <= latest:
                continue
            for span in spans_of(self._parsed(line)):
                if span.end > latest:
                    latest, trace_id = span.end, span.trace_id
        return trace_id

    def matching(self, prefix: str) -> list[str]:
        """The ids of the traces that begin with ``prefix``, in either case, sorted."""
        wanted = prefix.lower()
        if wanted.strip("0123456789abcdef"):
            return []
        found: set[str] = set()
        for line in self._lines_with(wanted):
            found.update(trace_id for trace_id, _ in _ids(self._parsed(line)) if trace_id.startswith(wanted))
        return sorted(found)

    def spans(self, trace_id: str) -> list[SpanRecord]:
        """Every span of the trace, from all files, doubles included."""
        return [
            span
            for line in self._lines_with(trace_id)
            for span in spans_of(self._parsed(line))
            if span.trace_id == trace_id
        ]

    def count(self) -> tuple[int, int]:
        """How many traces and how many spans there are."""
        found = {ids for line in self._lines() for ids in _ids(self._parsed(line))}
        return len({trace_id for trace_id, _ in found}), len(found)

    def _lines_with(self, prefix: str) -> Iterator[bytes]:
        holder = re.compile(rb'"traceId"\s*:\s*"(?i:' + prefix.encode() + rb")")
        return (line for line in self._lines() if holder.search(line))

    def _lines(self) -> Iterator[bytes]:
        """The lines that can hold spans, the newest first; anything else is counted."""
        self.skipped, self.unreadable = 0, []
        for path in self._paths():
            try:
                with open(path, "rb") as file:
                    *whole, rest = file.read().split(b"\n")
            except FileNotFoundError:  # the oldest file was dropped since the folder was listed
                continue
            except OSError:
                self.unreadable.append(path)
                continue
            if _is_request(rest) and _loaded(rest) is not None:  # otherwise it is being written at this moment
                yield rest
            for line in reversed(whole):
                if _is_request(line):
                    yield line
                else:
                    self.skipped += bool(line.strip())

    def _paths(self) -> list[str]:
        """The span files, newest first; pipes and folders of such a name are none."""
        try:
            with os.scandir(self.directory) as entries:
                found = [entry.path for entry in entries if entry.name.endswith(".jsonl")]
        except FileNotFoundError:
            return []
        except OSError:
            self.unreadable.append(self.directory)
            return []
        return sorted(filter(os.path.isfile, found), key=_age)

    def _parsed(self, line: bytes) -> Any:
        request = _loaded(line)
        self.skipped += request is None
        return request


def _age(path: str) -> float:
    try:
        return -os.stat(path).st_mtime
    except OSError:
        return 0


def _is_request(line: bytes) -> bool:
    return _REQUEST in line and line.rstrip().endswith(b"}")


def _loaded(line: bytes) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def _ids(request: Any) -> Iterator[tuple[str, str]]:
    for _, _, raw in raw_spans(request):
        trace_id, span_id = hex_id(raw.get("traceId")), hex_id(raw.get("spanId"))
        if trace_id and span_id:
            yield trace_id, span_id
