"""The protobuf encoder gives the official encoder's messages, and mends what that one would lose."""

import os
import subprocess
import sys
from collections.abc import Callable
from types import MappingProxyType
from typing import Any

import pytest
from google.protobuf.message import Message
from hypothesis import HealthCheck, given, settings
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.trace import Link, SpanContext, SpanKind, TraceFlags

import tracerun
from tests.otlp_spans import (
    Collected,
    ended_span,
    finished_spans,
    handmade_span,
    official_request,
    provider,
    span_messages,
)
from tracerun.export import protobuf


class Unprintable:
    def __str__(self) -> str:
        raise RuntimeError("no text for you")

    __repr__ = __str__


class Printable:
    def __str__(self) -> str:
        return "a printable \ud800"


def request_of(*spans: ReadableSpan) -> ExportTraceServiceRequest:
    request: ExportTraceServiceRequest = ExportTraceServiceRequest.FromString(protobuf.encode_request(spans))
    return request


def attributes_of(span: ReadableSpan) -> dict[str, AnyValue]:
    """The span's attributes, each as the AnyValue that we encoded."""
    (message,) = span_messages(request_of(span))
    return {pair.key: pair.value for pair in message.attributes}


def same(request: Message, other: Message) -> bool:
    """Messages are compared by their bytes, in which NaN equals itself and unknown fields count."""
    return bool(request.SerializeToString(deterministic=True) == other.SerializeToString(deterministic=True))


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(finished_spans())
@pytest.mark.slow
def test_spans_of_every_shape_equal_the_official_encoding(spans: list[ReadableSpan]) -> None:
    """Whatever spans the SDK can make, our request parses to the official encoder's message."""
    assert same(request_of(*spans), official_request(spans))


def test_framing_later_gives_the_same_bytes() -> None:
    """Spans encoded one by one and framed later are the request that encoding them at once gives."""
    spans = [ended_span("one"), ended_span("two", attributes={"a": 1})]
    encoded = [(span.resource, span.instrumentation_scope, protobuf.encode_span(span)) for span in spans]
    assert protobuf.frame_request(encoded) == protobuf.encode_request(spans)


def test_no_spans_are_an_empty_request() -> None:
    """A request of no spans is the empty message."""
    assert protobuf.encode_request([]) == b""


def test_resources_and_scopes_keep_the_order_of_their_first_span() -> None:
    """Spans of mixed resources and scopes are grouped by them, in the order in which each first appeared."""
    collected = Collected()
    tracers = [
        provider(collected, Resource({"service.name": service})).get_tracer(scope)
        for service, scope in [("b", "y"), ("a", "x"), ("b", "x"), ("a", "x"), ("b", "y")]
    ]
    for number, tracer in enumerate(tracers):
        tracer.start_span(str(number)).end()
    seen = [
        (group.resource.attributes[0].value.string_value, scope.scope.name, [span.name for span in scope.spans])
        for group in request_of(*collected.spans).resource_spans
        for scope in group.scope_spans
    ]
    assert seen == [("b", "y", ["0", "4"]), ("b", "x", ["2"]), ("a", "x", ["1", "3"])]


def test_a_span_without_a_scope_has_an_empty_one() -> None:
    """A span that no tracer made is in a scope without a name, as with the official encoder."""
    span = handmade_span()
    assert same(request_of(span), official_request([span]))


def test_a_resource_that_cannot_be_hashed_is_grouped_as_itself() -> None:
    """A resource that the SDK fails to write as JSON, and so to hash, still has its spans together."""
    resource = Resource({"huge": 10**5000, "service.name": "shop"})
    (group,) = request_of(handmade_span(resource=resource), handmade_span(resource=resource)).resource_spans
    assert [pair.key for pair in group.resource.attributes] == ["service.name"]
    assert len(group.scope_spans[0].spans) == 2


def test_flags_hold_the_w3c_flags_and_whether_the_parent_is_remote() -> None:
    """Bits 0 to 7 are the W3C trace flags, bit 8 says that remoteness is known, bit 9 that the parent is remote."""
    context = SpanContext(1, 2, is_remote=False, trace_flags=TraceFlags(0x03))
    link = Link(SpanContext(3, 4, is_remote=True, trace_flags=TraceFlags(0x81)))
    parent = SpanContext(1, 5, is_remote=True)
    (message,) = span_messages(request_of(handmade_span(context=context, parent=parent, links=[link])))
    assert (message.flags, message.links[0].flags) == (0x303, 0x381)


def test_lone_surrogates_become_the_replacement_character_everywhere() -> None:
    """Text that is not valid Unicode loses only its lone surrogates, wherever it stands."""
    bad, good = "a\ud800b", "a\ufffdb"
    span = ended_span(bad, attributes={bad: bad, "list": [bad], "map": {bad: bad}})
    (message,) = span_messages(request_of(span))
    attributes = {pair.key: pair.value for pair in message.attributes}
    pair = attributes["map"].kvlist_value.values[0]
    assert message.name == good
    assert attributes[good].string_value == good
    assert attributes["list"].array_value.values[0].string_value == good
    assert (pair.key, pair.value.string_value) == (good, good)


def test_integers_beyond_64_bits_become_their_digits() -> None:
    """An integer that int64 cannot hold becomes its decimal digits, alone, in a list and in a mapping."""
    attributes = attributes_of(ended_span(attributes={"a": 2**63, "l": [1, -(2**63) - 1], "m": {"n": 2**70}}))
    assert attributes["a"].string_value == str(2**63)
    assert [value.WhichOneof("value") for value in attributes["l"].array_value.values] == ["int_value", "string_value"]
    assert attributes["l"].array_value.values[1].string_value == str(-(2**63) - 1)
    assert attributes["m"].kvlist_value.values[0].value.string_value == str(2**70)


def test_an_integer_too_long_for_digits_is_left_out() -> None:
    """An integer that Python itself refuses to write as text is left out, and the rest stays."""
    assert list(attributes_of(ended_span(attributes={"huge": 10**5000, "kept": 1}))) == ["kept"]


def test_a_value_of_an_unknown_type_becomes_its_text() -> None:
    """An object that AnyValue cannot hold becomes its str(), alone and in a list."""
    attributes = attributes_of(handmade_span(attributes={"object": Printable(), "list": [Printable(), 1]}))
    assert attributes["object"].string_value == "a printable \ufffd"
    assert attributes["list"].array_value.values[0].string_value == "a printable \ufffd"


def test_a_value_without_text_is_left_out_and_the_rest_stays() -> None:
    """An object whose str() fails is left out with its key; the span and its other attributes stay."""
    attributes = attributes_of(handmade_span(attributes={"bad": Unprintable(), "list": [Unprintable()], "kept": 1}))
    assert list(attributes) == ["kept"]


def test_types_that_equal_one_another_stay_apart() -> None:
    """1, 1.0 and True are equal in Python but keep their kinds under one key, whichever came first."""
    kinds = [attributes_of(ended_span(attributes={"k": value}))["k"].WhichOneof("value") for value in (1, 1.0, True, 1)]
    assert kinds == ["int_value", "double_value", "bool_value", "int_value"]


def test_keys_that_equal_one_another_stay_apart() -> None:
    """Keys of other types than text become their own str(), also where Python takes them for equal."""
    keys: list[Any] = [1, True, 1.0]
    assert [list(attributes_of(handmade_span(attributes={key: "v"}))) for key in keys] == [["1"], ["True"], ["1.0"]]


def test_subclasses_of_the_plain_types_are_their_plain_values() -> None:
    """A string, number or sequence of a class of its own is encoded as the type that it extends."""

    class Text(str):
        __slots__ = ()

        def encode(self, *_: str) -> bytes:
            raise RuntimeError("not this one")

    values = {
        "s": Text("x"),
        "i": type("I", (int,), {})(7),
        "f": type("F", (float,), {})(0.5),
        "r": range(2),
        "d": bytearray(b"a"),
    }
    span = handmade_span(attributes=values)
    assert same(request_of(span), official_request([span]))


def test_mappings_of_any_class_keep_all_of_their_keys() -> None:
    """A mapping that is not a dict is a KeyValueList, and keys that have the same text both stay."""
    span = handmade_span(attributes={"m": MappingProxyType({1: "a", "1": "b"})})
    assert same(request_of(span), official_request([span]))


@pytest.mark.parametrize("container", [lambda inner: [inner], lambda inner: {"k": inner}])
def test_nesting_ends_before_receivers_refuse_the_request(container: Callable[[Any], Any]) -> None:
    """Values nested past protobuf's limit of 100 messages end in text, so that the request still parses."""
    value: Any = "bottom"
    for _ in range(100):
        value = container(value)
    span = handmade_span(events=[Event("deep", {"value": value})])
    (message,) = span_messages(request_of(span))
    assert b"bottom" in message.SerializeToString()


def test_a_value_that_contains_itself_ends() -> None:
    """A list that contains itself is encoded up to the depth limit."""
    value: list[Any] = []
    value.append(value)
    assert attributes_of(handmade_span(attributes={"self": value}))["self"].HasField("array_value")


@pytest.mark.parametrize(
    ("time", "nanoseconds"),
    [(None, 0), (1.5e18, 1_500_000_000_000_000_000), (-1, 0), (2**70, 2**64 - 1), (float("nan"), 0), ("noon", 0)],
)
def test_a_time_that_is_none_becomes_the_nearest_that_is(time: Any, nanoseconds: int) -> None:
    """A start or end time that fixed64 cannot hold becomes the nearest that it can, and 0 where there is none."""
    (message,) = span_messages(request_of(handmade_span(start_time=time, end_time=time, events=[Event("e", None, 5)])))
    assert (message.start_time_unix_nano, message.end_time_unix_nano) == (nanoseconds, nanoseconds)
    assert message.events[0].time_unix_nano == 5


def test_what_is_remembered_is_bounded() -> None:
    """Names, keys and numbers that never come again do not stay, and are encoded as the others."""
    for number in range(protobuf._VARINTS_LIMIT + 100):
        attributes = {f"key {number}": "x" * number, "number": number * 10, "text": "y" * number}
        (message,) = span_messages(request_of(handmade_span(name=f"name {number}", attributes=attributes)))
        assert message.name == f"name {number}"
        assert {pair.key for pair in message.attributes} == set(attributes)
    assert len(protobuf._names) <= protobuf._KEYS_LIMIT
    assert len(protobuf._VARINT) <= protobuf._VARINTS_LIMIT
    for prefixes in (protobuf._SPAN_ATTRIBUTES._strings, protobuf._SPAN_ATTRIBUTES._values):
        assert len(prefixes.known) <= protobuf._KEYS_LIMIT
        assert all(max(lengths) <= protobuf._VALUE_LENGTH_LIMIT for lengths in prefixes.known.values())


@pytest.mark.parametrize(
    ("name", "text"),
    [(None, ""), (404, "404"), (ValueError("no"), "no"), (b"x", "b'x'"), (["a"], "['a']"), (Unprintable(), "")],
)
def test_a_name_that_is_no_text_becomes_text(name: Any, text: str) -> None:
    """A span's or event's name of a wrong type becomes its str(), or empty."""
    (message,) = span_messages(request_of(handmade_span(name=name, events=[Event(name)])))
    assert (message.name, message.events[0].name) == (text, text)


def test_a_kind_that_is_none_is_unspecified() -> None:
    """A span kind of a wrong type is SPAN_KIND_UNSPECIFIED; the SDK's are numbered from one."""
    kinds = [*SpanKind, 3, None]
    messages = span_messages(request_of(*[handmade_span(kind=kind) for kind in kinds]))
    assert [message.kind for message in messages] == [1, 2, 3, 4, 5, 0, 0]


def test_a_span_class_of_the_program_is_read_through_its_properties() -> None:
    """A program's subclass that redacts attributes in a property is not read behind its back."""

    class Redacted(ReadableSpan):
        @property
        def attributes(self) -> dict[str, str]:
            return dict.fromkeys(super().attributes or (), "***")

    span = ended_span("login", attributes={"password": "1234"})
    span.__class__ = Redacted
    assert attributes_of(span)["password"].string_value == "***"


def test_a_span_without_the_sdks_private_attributes_is_read_through_its_properties(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Should the SDK rename a private attribute, spans are read through their public properties."""
    span = ended_span(attributes={"a": 1})
    monkeypatch.setattr(ReadableSpan, "name", property(lambda _: "public"))
    del span.__dict__["_name"]
    assert span_messages(request_of(span))[0].name == "public"


def test_more_keys_and_numbers_than_are_remembered_stay_right() -> None:
    """Thousands of keys, lengths and numbers, more than the encoder remembers, are all encoded right."""
    spans = [
        ended_span(attributes={f"{prefix}{number}": number * 7, "text": "x" * number, "k" * (number + 1): "v"})
        for prefix in "ab"
        for number in range(0, 3000, 2)
    ]
    assert same(request_of(*spans), official_request(spans))


def test_importing_the_encoder_imports_next_to_nothing() -> None:
    """In a program that uses none of them, the encoder brings in no protobuf, typing, re, logging or dataclasses."""
    folder = os.path.dirname(os.path.dirname(tracerun.__file__))
    program = (
        f"import os, sys; sys.path.insert(0, {folder!r}); before = set(sys.modules); import tracerun.export.protobuf;"
        "print(*sorted(name for name in set(sys.modules) - before if not name.startswith('tracerun')))"
    )
    ran = subprocess.run([sys.executable, "-I", "-S", "-c", program], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == ["__future__", "_struct", "struct"]
