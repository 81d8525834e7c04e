"""The JSON encoder gives the official messages in the OTLP/JSON mapping, on one line that is easy to count."""

import base64
import json
import re
from typing import Any

import pytest
from google.protobuf import json_format
from google.protobuf.message import Message
from hypothesis import HealthCheck, given, settings
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import Link, SpanContext

from tests.otlp_spans import Collected, ended_span, finished_spans, handmade_span, official_request, provider
from tracerun.export import otlp_json

SPAN_START = re.compile(rb'\{"traceId":"([0-9a-f]{32})","spanId"')
HOSTILE = '{"traceId":"0123456789abcdef0123456789abcdef","spanId":"0123456789abcdef"}'


class Unprintable:
    def __str__(self) -> str:
        raise RuntimeError("no text for you")

    __repr__ = __str__


def with_base64_ids(message: Any) -> Any:
    """The request with its ids in base64, as protobuf's general JSON mapping has them, unlike OTLP's."""
    if isinstance(message, list):
        return [with_base64_ids(item) for item in message]
    if not isinstance(message, dict):
        return message
    ids = ("traceId", "spanId", "parentSpanId")
    return {
        name: base64.b64encode(bytes.fromhex(value)).decode() if name in ids else with_base64_ids(value)
        for name, value in message.items()
    }


def request_of(*spans: ReadableSpan) -> ExportTraceServiceRequest:
    parsed = with_base64_ids(json.loads(otlp_json.encode_request(spans)))
    request: ExportTraceServiceRequest = json_format.ParseDict(parsed, ExportTraceServiceRequest())
    return request


def attributes_of(span: ReadableSpan) -> dict[str, Any]:
    """The span's attributes, each as the JSON of its AnyValue."""
    request = json.loads(otlp_json.encode_request([span]))
    message = request["resourceSpans"][0]["scopeSpans"][0]["spans"][0]
    return {pair["key"]: pair["value"] for pair in message.get("attributes", [])}


def same(request: Message, other: Message) -> bool:
    """Messages are compared by their bytes, in which NaN equals itself."""
    return bool(request.SerializeToString(deterministic=True) == other.SerializeToString(deterministic=True))


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(finished_spans())
@pytest.mark.slow
def test_spans_of_every_shape_equal_the_official_message(spans: list[ReadableSpan]) -> None:
    """Whatever spans the SDK can make, our JSON read by OTLP's mapping is the official encoder's message."""
    assert same(request_of(*spans), official_request(spans))


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(finished_spans())
@pytest.mark.slow
def test_a_request_is_one_line_of_ascii(spans: list[ReadableSpan]) -> None:
    """A request has no newline and nothing but ASCII, so that files of them are split by lines."""
    line = otlp_json.encode_request(spans)
    assert line.isascii()
    assert line.isprintable()


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(finished_spans())
@pytest.mark.slow
def test_spans_are_counted_without_parsing(spans: list[ReadableSpan]) -> None:
    """The pattern of a span's start is found once for each span and never for a link, with its trace id in hex."""
    found = SPAN_START.findall(otlp_json.encode_request(spans).encode())
    assert sorted(found) == sorted(f"{span.context.trace_id:032x}".encode() for span in spans)


def test_text_that_looks_like_a_span_is_not_counted() -> None:
    """A span's start within a name, key, value, resource or scope is escaped, and a link starts with its span id."""
    collected = Collected()
    hostile: dict[str, Any] = {HOSTILE: HOSTILE, "list": [HOSTILE], "map": {HOSTILE: HOSTILE, "traceId": "0" * 32}}
    tracer = provider(collected, Resource(hostile, HOSTILE)).get_tracer(HOSTILE, HOSTILE, HOSTILE, hostile)
    links = [Link(SpanContext(0, 0, is_remote=True), hostile), Link(SpanContext(1, 1, is_remote=True))]
    span = tracer.start_span(HOSTILE, attributes=hostile, links=links)
    span.add_event(HOSTILE, hostile)
    span.end()
    line = otlp_json.encode_request(collected.spans)
    assert len(SPAN_START.findall(line.encode())) == 1
    assert line.count('"links":[{"spanId":"0000000000000000","traceId":"00000000000000000000000000000000"') == 1


def test_a_span_starts_with_its_ids() -> None:
    """A span's object starts with its trace id and span id in lowercase hex, without spaces."""
    span = handmade_span(context=SpanContext(0xABC, 0xDEF, is_remote=False))
    start = '{"traceId":"00000000000000000000000000000abc","spanId":"0000000000000def",'
    assert otlp_json.encode_span(span).startswith(start)


def test_framing_later_gives_the_same_line() -> None:
    """Spans encoded one by one and framed later are the request that encoding them at once gives."""
    spans = [ended_span("one"), ended_span("two", attributes={"a": 1})]
    encoded = [(span.resource, span.instrumentation_scope, otlp_json.encode_span(span)) for span in spans]
    assert otlp_json.frame_request(encoded) == otlp_json.encode_request(spans)


def test_no_spans_are_an_empty_list() -> None:
    """A request of no spans says so."""
    assert otlp_json.encode_request([]) == '{"resourceSpans":[]}'


def test_a_span_without_a_scope_has_an_empty_one() -> None:
    """A span that no tracer made is in a scope without a name, as with the official encoder."""
    span = handmade_span()
    assert same(request_of(span), official_request([span]))


def test_each_value_has_the_json_of_its_type() -> None:
    """Values are written as the OTLP mapping says: integers as strings, bytes in base64, non-finite numbers by name."""
    values: dict[str, Any] = {
        "none": None,
        "bool": False,
        "text": "",
        "int": -(2**63),
        "float": 1e16,
        "nan": float("nan"),
        "inf": [float("inf"), float("-inf")],
        "bytes": b"\x00\xff",
        "map": {"a": (None, {})},
    }
    assert attributes_of(ended_span(attributes=values)) == {
        "none": {},
        "bool": {"boolValue": False},
        "text": {"stringValue": ""},
        "int": {"intValue": "-9223372036854775808"},
        "float": {"doubleValue": 1e16},
        "nan": {"doubleValue": "NaN"},
        "inf": {"arrayValue": {"values": [{"doubleValue": "Infinity"}, {"doubleValue": "-Infinity"}]}},
        "bytes": {"bytesValue": "AP8="},
        "map": {
            "kvlistValue": {
                "values": [{"key": "a", "value": {"arrayValue": {"values": [{}, {"kvlistValue": {"values": []}}]}}}]
            }
        },
    }


def test_lone_surrogates_become_the_replacement_character_everywhere() -> None:
    """Text that is not valid Unicode loses only its lone surrogates, wherever it stands."""
    bad = "a\ud800b"
    line = otlp_json.encode_request([ended_span(bad, attributes={bad: bad, "list": [bad], "map": {bad: bad}})])
    assert "\\ud800" not in line
    assert line.count("a\\ufffdb") == 6


def test_characters_beyond_the_basic_plane_stay_whole() -> None:
    """A character that JSON escapes as two surrogates is still that character to a reader."""
    assert attributes_of(ended_span(attributes={"k": "\U0001f600"}))["k"] == {"stringValue": "\U0001f600"}


def test_integers_beyond_64_bits_become_text() -> None:
    """An integer that int64 cannot hold becomes its digits as text, alone and in a list."""
    attributes = attributes_of(ended_span(attributes={"a": 2**63, "l": [-(2**70)]}))
    assert attributes["a"] == {"stringValue": str(2**63)}
    assert attributes["l"] == {"arrayValue": {"values": [{"stringValue": str(-(2**70))}]}}


def test_a_value_without_text_is_left_out_and_the_rest_stays() -> None:
    """An object whose str() fails is left out with its key; another becomes its str()."""
    attributes = attributes_of(handmade_span(attributes={"bad": Unprintable(), "kind": complex(1, 2), "kept": 1}))
    assert attributes == {"kind": {"stringValue": "(1+2j)"}, "kept": {"intValue": "1"}}


def test_keys_that_equal_one_another_stay_apart() -> None:
    """Keys of other types than text become their own str(), also where Python takes them for equal."""
    keys: list[Any] = [1, True, 1.0]
    assert [list(attributes_of(handmade_span(attributes={key: "v"}))) for key in keys] == [["1"], ["True"], ["1.0"]]


def test_more_keys_than_are_remembered_stay_right() -> None:
    """Hundreds of keys, more than the encoder remembers, and keys too long to remember are all encoded right."""
    spans = [ended_span(attributes={f"key {number}": number, number * 3 * "k" + "l": "v"}) for number in range(600)]
    assert same(request_of(*spans), official_request(spans))
