"""A real OTLP receiver on loopback, over HTTP and gRPC, and spans in a form that tests can ask."""

from __future__ import annotations

import gzip
import threading
import time
from concurrent import futures
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import grpc
from google.protobuf import json_format
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc

from tracerun.calltree import spans_of

Request = trace_service_pb2.ExportTraceServiceRequest
Response = trace_service_pb2.ExportTraceServiceResponse


class Spans(list[Any]):
    """Spans (``tracerun.spanrecord.SpanRecord``), with what tests ask of them."""

    def named(self, name: str) -> Any:
        """The one span of that name."""
        return self.one(name=name)

    def one(self, **wanted: Any) -> Any:
        """The one span with these properties."""
        found = self.all(**wanted)
        assert len(found) == 1, f"{len(found)} spans with {wanted}: {[describe(s) for s in self]}"
        return found[0]

    def all(self, **wanted: Any) -> Spans:
        """The spans with these properties."""
        return Spans(span for span in self if all(getattr(span, key) == value for key, value in wanted.items()))


def describe(span: Any) -> str:
    """A span in one line, for the message of a failed test."""
    return f"{span.service} {span.kind} {span.name} [{span.trace_id[:6]} {span.span_id} < {span.parent_id}]"


def records(request: Any) -> Spans:
    """The spans of an export request (the protobuf message)."""
    data = json_format.MessageToDict(request)
    for resource in data.get("resourceSpans", ()):
        for scope in resource.get("scopeSpans", ()):
            for span in scope.get("spans", ()):
                _restore_ids(span)
                span["kind"] = KINDS.get(span.get("kind"), 0)
                span["status"]["code"] = STATUSES.get(span.get("status", {}).get("code"), 0) if "status" in span else 0
                span["status"] = span["status"] if isinstance(span["status"], dict) else {"code": 0}
    return Spans(spans_of(data))


KINDS = {
    f"SPAN_KIND_{name}": number
    for number, name in enumerate(("INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER"), 1)
}
STATUSES = {"STATUS_CODE_OK": 1, "STATUS_CODE_ERROR": 2}


def _restore_ids(span: dict[str, Any]) -> None:
    """Protobuf's JSON has ids in base64, OTLP's has them in hex."""
    import base64

    span.setdefault("status", {})
    for key in ("traceId", "spanId", "parentSpanId"):
        if key in span:
            span[key] = base64.b64decode(span[key]).hex()


def chunks(file: Any) -> bytes:
    """A body in chunks (RFC 9112, 7.1), as OpenTelemetry's JavaScript SDK sends it."""
    body = b""
    while size := int(file.readline().partition(b";")[0] or b"0", 16):
        body += file.read(size)
        file.readline()
    file.readline()
    return body


class Receiver:
    """Takes OTLP over HTTP on one port; remembers requests, headers and spans."""

    def __init__(self, port: int = 0) -> None:
        self.requests: list[Any] = []
        self.headers: list[dict[str, str]] = []
        self.status = 200
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                if self.headers.get("Transfer-Encoding") == "chunked":
                    body = chunks(self.rfile)
                else:
                    body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                receiver.headers.append({**{k.lower(): v for k, v in self.headers.items()}, ":path": self.path})
                if receiver.status == 200:
                    receiver.requests.append(receiver._parsed(body, self.headers.get("Content-Type", "")))
                answer = Response().SerializeToString()
                self.send_response(receiver.status)
                self.send_header("Content-Type", "application/x-protobuf")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *args: Any) -> None:
                """Nothing: tests have their own output."""

        self.server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.server.daemon_threads = True
        self.endpoint = f"http://127.0.0.1:{self.server.server_port}"
        self._thread = threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def _parsed(self, body: bytes, kind: str) -> Any:
        if kind == "application/json":
            import json

            return Spans(spans_of(json.loads(body)))
        return records(Request.FromString(body))

    @property
    def spans(self) -> Spans:
        """All spans so far, in the order of arrival."""
        return Spans(span for request in self.requests for span in request)

    def wait_for(self, count: int, seconds: float = 20) -> Spans:
        """All spans, once there are so many; fails when they do not come."""
        until = time.monotonic() + seconds
        while len(self.spans) < count and time.monotonic() < until:
            time.sleep(0.02)
        assert len(self.spans) >= count, f"{len(self.spans)} of {count}: {[describe(s) for s in self.spans]}"
        return self.spans

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self._thread.join()


class GrpcReceiver(trace_service_pb2_grpc.TraceServiceServicer):
    """Takes OTLP over gRPC."""

    def __init__(self, port: int = 0, largest: int = 4 << 20) -> None:
        self.requests: list[Spans] = []
        self.metadata: list[dict[str, Any]] = []
        self.refuses: grpc.StatusCode | None = None
        options = [("grpc.max_receive_message_length", largest)]
        self.server = grpc.server(futures.ThreadPoolExecutor(4), options=options)
        trace_service_pb2_grpc.add_TraceServiceServicer_to_server(self, self.server)
        self.port = self.server.add_insecure_port(f"127.0.0.1:{port}")
        self.endpoint = f"http://127.0.0.1:{self.port}"
        self.server.start()

    def Export(self, request: Any, context: Any) -> Any:
        self.metadata.append(dict(context.invocation_metadata()))
        if self.refuses is not None:
            context.abort(self.refuses, "not now")
        self.requests.append(records(request))
        return Response()

    @property
    def spans(self) -> Spans:
        """All spans so far, in the order of arrival."""
        return Spans(span for request in self.requests for span in request)

    def close(self) -> None:
        self.server.stop(0).wait()
