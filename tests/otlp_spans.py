"""Spans of every shape, made by the real SDK, and the official encoder's request for them."""

from collections.abc import Sequence
from itertools import count
from typing import Any

from hypothesis import strategies as st
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span as SpanMessage
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanLimits, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import Link, NonRecordingSpan, SpanContext, SpanKind, Status, StatusCode, TraceFlags, Tracer
from opentelemetry.trace.span import TraceState


class Collected(SpanProcessor):
    """The spans that ended, in their order."""

    def __init__(self) -> None:
        self.spans: list[ReadableSpan] = []

    def on_end(self, span: ReadableSpan) -> None:
        self.spans.append(span)


class Counting(IdGenerator):
    """Ids that count on, so that spans of any provider differ and Hypothesis can repeat an example."""

    def __init__(self) -> None:
        self._ids = count(1)

    def generate_span_id(self) -> int:
        return (next(self._ids) * 0x9E3779B97F4A7C15) % 2**64

    def generate_trace_id(self) -> int:
        return (next(self._ids) * 0x9E3779B97F4A7C15F39CC0605CEDC835) % 2**128

    def is_trace_id_random(self) -> bool:
        return True


_IDS = Counting()


def provider(
    collected: Collected, resource: Resource | None = None, limits: SpanLimits | None = None
) -> TracerProvider:
    made = TracerProvider(
        resource=resource or Resource({"service.name": "shop"}),
        span_limits=limits,
        sampler=ALWAYS_ON,
        id_generator=_IDS,
        shutdown_on_exit=False,
    )
    made.add_span_processor(collected)
    return made


def ended_span(name: str = "GET /", **arguments: Any) -> ReadableSpan:
    """One root span from the SDK; the arguments are those of ``start_span``."""
    collected = Collected()
    provider(collected).get_tracer("shop").start_span(
        name, trace.set_span_in_context(trace.INVALID_SPAN), **arguments
    ).end()
    return collected.spans[0]


def handmade_span(**fields: Any) -> ReadableSpan:
    """One span that the SDK has not cleaned, as a program's own span processor may pass on."""
    context = SpanContext(trace_id=1, span_id=2, is_remote=False)
    return ReadableSpan(**{"name": "handmade", "context": context, "resource": Resource({}), **fields})


def official_request(spans: Sequence[ReadableSpan]) -> ExportTraceServiceRequest:
    """What the official encoder gives, plus the one difference we want: the W3C trace flags in bits 0 to 7."""
    request = encode_spans(spans)
    by_id = {span.context.span_id.to_bytes(8, "big"): span for span in spans}
    for message in span_messages(request):
        span = by_id[message.span_id]
        message.flags |= span.context.trace_flags
        for link_message, link in zip(message.links, span.links, strict=True):
            link_message.flags |= link.context.trace_flags
    return request


def span_messages(request: ExportTraceServiceRequest) -> list[SpanMessage]:
    return [span for group in request.resource_spans for scope in group.scope_spans for span in scope.spans]


# Lengths about where a length needs another byte, alone and with what stands around it.
_LONG = st.sampled_from([100, 113, 119, 120, 121, 122, 123, 124, 125, 126, 127, 128, 129, 300, 16_383, 16_384, 70_000])
TEXTS = st.text(max_size=12) | st.builds(lambda length, char: length * char, _LONG, st.sampled_from("aé"))
KEYS = st.sampled_from(["http.route", "k", "traceId"]) | st.text(min_size=1, max_size=8) | TEXTS.filter(bool)
INT64 = st.integers(-(2**63), 2**63 - 1) | st.sampled_from([0, 1, -1, 127, 128, 200, 8080, 2**63 - 1, -(2**63)])
FLOATS = st.floats(allow_nan=False) | st.just(float("nan")) | st.sampled_from([0.0, -0.0, 1.0, 1e300])
SCALARS = st.none() | st.booleans() | INT64 | FLOATS | TEXTS | st.binary(max_size=200)
VALUES = SCALARS | st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4), max_leaves=12
)
ATTRIBUTES = st.dictionaries(KEYS, VALUES, max_size=6)
TIMES = st.integers(1, 2**64 - 1)
TRACE_STATES = st.dictionaries(
    st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True),
    st.from_regex(r"[!-+\--<>-~]{1,9}", fullmatch=True),
    max_size=3,
).map(lambda entries: TraceState(list(entries.items())))
CONTEXTS = st.builds(
    SpanContext,
    trace_id=st.integers(1, 2**128 - 1),
    span_id=st.integers(1, 2**64 - 1),
    is_remote=st.booleans(),
    trace_flags=st.integers(0, 255).map(TraceFlags),
    trace_state=TRACE_STATES,
)
LINKS = st.builds(Link, CONTEXTS, ATTRIBUTES)
EVENTS = st.tuples(TEXTS, ATTRIBUTES, TIMES)
STATUSES = st.builds(Status, st.just(StatusCode.ERROR), TEXTS | st.none()) | st.sampled_from(
    [Status(StatusCode.UNSET), Status(StatusCode.OK)]
)
LIMITS = st.builds(
    SpanLimits,
    max_span_attributes=st.integers(0, 6),
    max_event_attributes=st.integers(0, 4),
    max_link_attributes=st.integers(0, 4),
    max_events=st.integers(0, 3),
    max_links=st.integers(0, 3),
    max_span_attribute_length=st.integers(0, 200) | st.none(),
)
RESOURCES = st.builds(Resource, ATTRIBUTES, st.sampled_from(["", "https://example.com/schema"]))
SCOPES = st.tuples(
    st.sampled_from(["tracerun.flask", "app", "é"]),
    st.sampled_from([None, "", "1.0"]),
    st.sampled_from([None, "https://example.com/scope"]),
    st.none() | ATTRIBUTES,
)


@st.composite
def finished_spans(draw: st.DrawFn) -> list[ReadableSpan]:
    """Up to six spans, of several resources and scopes that may be equal or the same, in mixed order."""
    collected = Collected()
    resources = draw(st.lists(RESOURCES, min_size=1, max_size=2))
    copies = [*resources, Resource(dict(resources[0].attributes), resources[0].schema_url)]
    providers = [provider(collected, resource, draw(st.none() | LIMITS)) for resource in copies]
    scopes = draw(st.lists(SCOPES, min_size=1, max_size=3))
    for _ in range(draw(st.integers(0, 6))):
        name, version, schema_url, attributes = draw(st.sampled_from(scopes))
        tracer = draw(st.sampled_from(providers)).get_tracer(name, version, schema_url, attributes)
        _run_span(draw, tracer)
    return collected.spans


def _run_span(draw: st.DrawFn, tracer: Tracer) -> None:
    parent = draw(st.none() | CONTEXTS)
    span = tracer.start_span(
        draw(TEXTS),
        trace.set_span_in_context(NonRecordingSpan(parent) if parent else trace.INVALID_SPAN),
        draw(st.sampled_from(SpanKind)),
        draw(ATTRIBUTES),
        draw(st.lists(LINKS, max_size=3)),
        draw(TIMES),
    )
    for name, attributes, time in draw(st.lists(EVENTS, max_size=3)):
        span.add_event(name, attributes, time)
    span.set_status(draw(STATUSES))
    span.end(draw(TIMES))
