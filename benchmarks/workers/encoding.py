"""Encoding spans for OTLP, by tracerun's encoder or by the official one."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import SpanKind

from benchmarks.workers.timing import Plan, measured, report

if TYPE_CHECKING:
    from collections.abc import Callable

_BATCH = 512


def _spans() -> list[Any]:
    """Spans of a server, each with the attributes that its request gives."""
    provider = TracerProvider(resource=Resource.create({"service.name": "bench"}), shutdown_on_exit=False)
    tracer = provider.get_tracer("bench", "1.0")
    made = []
    for number in range(_BATCH):
        attributes: dict[str, str | int] = {
            "http.request.method": "GET",
            "url.scheme": "http",
            "url.path": f"/items/{number}",
            "url.query": "page=1",
            "http.route": "/items/<int:number>",
            "http.response.status_code": 200,
            "network.protocol.version": "1.1",
            "network.peer.address": "127.0.0.1",
            "network.peer.port": 40000 + number,
            "server.address": "127.0.0.1",
            "server.port": 8000,
            "user_agent.original": "bench/1.0",
        }
        span = tracer.start_span("GET /items/<int:number>", kind=SpanKind.SERVER, attributes=attributes)
        span.end()
        made.append(span)
    return made


def _encoder(name: str) -> Callable[[list[Any]], bytes]:
    if name == "tracerun":
        from tracerun.export.protobuf import encode_request

        return encode_request
    from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans

    return lambda spans: encode_spans(spans).SerializeToString()


def main() -> None:
    """Measures the encoder that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("encoder", choices=("tracerun", "official"))
    encode, spans = _encoder(parser.parse_args().encoder), _spans()

    def batch(count: int) -> None:
        for _ in range(count // _BATCH):
            encode(spans)
        encode(spans[: count % _BATCH])

    report(measured(batch, Plan(seconds=0.5, batches=5)))


if __name__ == "__main__":
    main()
