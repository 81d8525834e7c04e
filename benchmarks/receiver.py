"""Where all spans go: takes OTLP over HTTP and what ddtrace sends to its agent, counts the spans, and keeps nothing.

A process of its own (``python -m benchmarks.receiver``), so that its work is nobody's figure. It prints its port.
"""

from __future__ import annotations

import gzip
import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_LENGTH_DELIMITED = 2
_FIXED = {1: 8, 5: 4}
# By field number: ExportTraceServiceRequest.resource_spans, ResourceSpans.scope_spans, ScopeSpans.spans.
_WAY_TO_SPANS = (1, 2, 2)


def spans_in(message: bytes, way: tuple[int, ...] = _WAY_TO_SPANS) -> int:
    """How many spans an export request has."""
    field, *more = way
    bodies = [body for number, body in _blocks(memoryview(message)) if number == field]
    return sum(spans_in(bytes(body), tuple(more)) for body in bodies) if more else len(bodies)


def _blocks(message: memoryview) -> Iterator[tuple[int, memoryview]]:
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        if tag & 7 == _LENGTH_DELIMITED:
            length, at = _varint(message, at)
            yield tag >> 3, message[at : at + length]
            at += length
        elif tag & 7 in _FIXED:
            at += _FIXED[tag & 7]
        else:
            _, at = _varint(message, at)


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        byte = message[at]
        at += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, at
        shift += 7


class _Counts:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._spans = 0

    def add(self, spans: int) -> None:
        with self._lock:
            self._spans += spans

    def take(self) -> int:
        """Gives the count, and starts again."""
        with self._lock:
            spans, self._spans = self._spans, 0
        return spans


_COUNTS = _Counts()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Headers and body would go out as two packets, the second of which waits for the first one's acknowledgement.
    wbufsize = -1
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        """The count, and what ddtrace asks of an agent."""
        if self.path == "/count":
            self._answer({"spans": _COUNTS.take()})
        else:
            self._answer({"endpoints": ["/v0.4/traces", "/v0.5/traces"], "client_drop_p0s": False})

    def do_POST(self) -> None:
        """Spans."""
        body = self._body()
        traces = self.headers.get("X-Datadog-Trace-Count")
        if traces is not None:
            _COUNTS.add(int(traces))
        elif self.path == "/v1/traces":
            _COUNTS.add(spans_in(body))
        self._answer({} if traces is not None or self.path != "/v1/traces" else None)

    do_PUT = do_POST  # noqa: N815 - by this name it is called

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") == "chunked":
            body = b""
            while size := int(self.rfile.readline().partition(b";")[0] or b"0", 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        else:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        return gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body

    def _answer(self, content: dict[str, object] | None) -> None:
        data = b"" if content is None else json.dumps(content).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/x-protobuf" if content is None else "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Nothing: the bench has the terminal."""


def main() -> None:
    """Serves until its standard input ends, which is when the bench does."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_port, flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
