"""Spans as a call chain: reading OTLP/JSON, the tree and its words."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tracerun
from tracerun.calltree import (
    CLIENT,
    CONSUMER,
    DEEPEST,
    ERROR,
    SERVER,
    Event,
    SpanRecord,
    Trace,
    build,
    clean,
    duration_text,
    event_text,
    failure_text,
    plain_lines,
    spans_of,
    status_text,
    telling_tags,
)

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
STACK = """Traceback (most recent call last):
  File "/srv/shop/app.py", line 12, in place
    charge(order)
  File "/srv/shop/billing.py", line 41, in charge
    json.loads(body)
  File "/usr/lib/python3.11/json/__init__.py", line 346, in loads
    return _default_decoder.decode(s)
  File "/srv/venv/lib/python3.11/site-packages/hook.py", line 7, in decode
    raise ValueError("no")
ValueError: no
"""


def span(number: int, parent: int = 0, **more: Any) -> SpanRecord:
    more.setdefault("start", number)
    return SpanRecord(
        trace_id=more.pop("trace", TRACE),
        span_id=f"{number:016x}",
        parent_id=f"{parent:016x}" if parent else "",
        **{"service": "shop", "name": f"s{number}", "end": more["start"] + 1_000_000, **more},
    )


def drawn(*spans: SpanRecord) -> list[str]:
    return [f"{row.prefix()}{row.span.name}" for row in build(spans)]


def request(*spans: Any) -> dict[str, Any]:
    attributes = [{"key": "service.name", "value": {"stringValue": "shop"}}]
    scope_spans = [{"scope": {"name": "tracerun.flask"}, "spans": list(spans)}]
    return {"resourceSpans": [{"resource": {"attributes": attributes}, "scopeSpans": scope_spans}]}


def raw(**more: Any) -> dict[str, Any]:
    return {"traceId": TRACE, "spanId": "00000000000000aa", "name": "GET", **more}


# Reading


def test_importing_loads_no_module_of_the_standard_library() -> None:
    """The traced program pays for two small modules of ours and nothing else."""
    program = (
        "import os, sys; sys.path.insert(0, sys.argv[1]); before = set(sys.modules)\n"
        "import tracerun.calltree; print(*sorted(set(sys.modules) - before))"
    )
    source = str(Path(tracerun.__file__).parent.parent)
    output = subprocess.run([sys.executable, "-I", "-S", "-c", program, source], capture_output=True, check=True)
    assert output.stdout.decode().split() == ["__future__", "tracerun", "tracerun.calltree", "tracerun.spanrecord"]


def test_a_span_is_read_whole() -> None:
    """Every field of a span arrives as a plain Python value."""
    event = {"name": "log", "timeUnixNano": "15", "attributes": [{"key": "n", "value": {"intValue": "-3"}}]}
    [record] = spans_of(
        request(
            raw(
                parentSpanId="00000000000000BB",
                kind=2,
                startTimeUnixNano="10",
                endTimeUnixNano="30",
                status={"code": 2, "message": "boom"},
                events=[event],
            )
        )
    )
    assert (record.trace_id, record.span_id, record.parent_id) == (TRACE, "00000000000000aa", "00000000000000bb")
    assert (record.service, record.name, record.kind, record.scope) == ("shop", "GET", SERVER, "tracerun.flask")
    assert (record.start, record.end, record.duration) == (10, 30, 20)
    assert (record.status, record.message, record.failed) == (ERROR, "boom", True)
    assert [(e.name, e.time, e.attributes) for e in record.events] == [("log", 15, {"n": -3})]


@pytest.mark.parametrize(
    ("value", "read"),
    [
        ({"stringValue": "a"}, "a"),
        ({"boolValue": True}, True),
        ({"intValue": "9223372036854775807"}, 2**63 - 1),
        ({"intValue": 5}, 5),
        ({"intValue": "many"}, "many"),
        ({"doubleValue": 0.5}, 0.5),
        ({"bytesValue": "AAE="}, "AAE="),
        ({"arrayValue": {"values": [{"intValue": "1"}, {"stringValue": "b"}]}}, [1, "b"]),
        ({"kvlistValue": {"values": [{"key": "k", "value": {"boolValue": False}}]}}, {"k": False}),
        ({"arrayValue": {}}, []),
        ({}, None),
        ("bare", "bare"),
    ],
)
def test_every_type_of_attribute_value_is_read(value: Any, read: Any) -> None:
    """An attribute becomes the Python value that it stands for."""
    [record] = spans_of(request(raw(attributes=[{"key": "k", "value": value}])))
    assert record.attributes == {"k": read}


def test_numbers_may_be_strings_and_enums_names() -> None:
    """What protobuf's general JSON mapping writes is understood as well."""
    [record] = spans_of(
        request(raw(kind="SPAN_KIND_CONSUMER", startTimeUnixNano=5, status={"code": "STATUS_CODE_ERROR"}))
    )
    assert (record.kind, record.start, record.status) == (CONSUMER, 5, ERROR)


@pytest.mark.parametrize(
    "foreign",
    [
        None,
        [],
        "text",
        {},
        {"resourceMetrics": []},
        {"resourceSpans": 5},
        {"resourceSpans": [5, None]},
        {"resourceSpans": [{"scopeSpans": {}}]},
        request(5),
        request(raw(traceId="xyz")),
        request(raw(traceId="0" * 32)),
        request(raw(spanId=7)),
        request(raw(spanId="")),
    ],
)
def test_what_is_no_span_is_left_out(foreign: Any) -> None:
    """Other JSON and spans without valid ids give no spans and no error."""
    assert spans_of(foreign) == []


def test_ids_are_lower_case_and_a_parent_of_zeros_is_none() -> None:
    """Ids compare equal whatever case a writer chose."""
    [record] = spans_of(request(raw(traceId=TRACE.upper(), parentSpanId="0" * 16)))
    assert (record.trace_id, record.parent_id) == (TRACE, "")


@pytest.mark.parametrize(
    ("start", "end", "read"),
    [
        ("20", "10", (20, 20)),
        ("0", "10", (10, 10)),
        ("10", None, (10, 10)),
        ("-5", "x", (0, 0)),
        ("1", 10**40, (1, 2**64 - 1)),
        (float("nan"), float("inf"), (0, 0)),
    ],
)
def test_impossible_times_become_possible(start: Any, end: Any, read: Any) -> None:
    """A span never ends before it starts, and its times fit OTLP's 64 bits."""
    [record] = spans_of(request(raw(startTimeUnixNano=start, endTimeUnixNano=end)))
    assert (record.start, record.end) == read


def test_a_service_without_a_name_is_unknown() -> None:
    """A resource without service.name gets the name that the specification gives it."""
    [record] = spans_of({"resourceSpans": [{"scopeSpans": [{"spans": [raw()]}]}]})
    assert record.service == "unknown_service"


def test_deeply_nested_attributes_are_cut() -> None:
    """A value nested a hundred thousand levels deep cannot exhaust the stack."""
    value: dict[str, Any] = {"stringValue": "core"}
    for _ in range(100_000):
        value = {"arrayValue": {"values": [value]}}
    [record] = spans_of(request(raw(attributes=[{"key": "k", "value": value}])))
    assert json.dumps(record.attributes["k"]).count("[") == 16
    while value.get("arrayValue"):  # taken apart level by level, as freeing it at once needs C stack
        value = value["arrayValue"]["values"].pop()


KEYS = st.sampled_from(
    [
        *(
            "resourceSpans",
            "resource",
            "attributes",
            "scopeSpans",
            "scope",
            "spans",
            "traceId",
            "spanId",
            "name",
            "kind",
        ),
        *(
            "parentSpanId",
            "startTimeUnixNano",
            "endTimeUnixNano",
            "events",
            "status",
            "code",
            "message",
            "key",
            "value",
        ),
        *("stringValue", "intValue", "arrayValue", "kvlistValue", "values"),
    ]
)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from([TRACE, "aa", "00"])
JSON = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(KEYS, inner), max_leaves=40)


@settings(deadline=None)
@given(JSON, st.dictionaries(KEYS, JSON))
@pytest.mark.slow
def test_no_json_can_break_the_reading_or_the_drawing(anything: Any, fields: Any) -> None:
    """Whatever stands in a line, reading and drawing it raise nothing."""
    plain_lines(build(spans_of(anything)))
    assert len(plain_lines(build(spans_of(request(raw(**{**fields, "traceId": TRACE, "spanId": "aa"})))))) >= 1


# The tree


def test_callees_stand_below_their_caller_by_start_time() -> None:
    """Roots come first, children follow by start, with rails beside what is still open."""
    spans = [span(5, 3), span(4, 1), span(3, 2), span(2, 1), span(1), span(6)]
    assert drawn(*spans) == ["s1", "├─ s2", "│  └─ s3", "│     └─ s5", "└─ s4", "s6"]


def test_lines_below_a_row_keep_the_rails() -> None:
    """What is said about a span stands beside the rails that go on to the next spans."""
    rows = build([span(1), span(2, 1), span(3, 2), span(4, 1)])
    assert [row.under() for row in rows] == ["│  ", "│  │  ", "│        ", "      "]
    assert [row.depth for row in rows] == [0, 1, 2, 1]


def test_a_span_without_its_parent_is_a_marked_root() -> None:
    """An orphan is drawn as a root that says why it is one."""
    rows = build([span(1), span(2, 99), span(3, 2)])
    assert [(row.span.name, row.depth, row.orphan) for row in rows] == [
        ("s1", 0, ""),
        ("s2", 0, "parent missing"),
        ("s3", 1, ""),
    ]


def test_a_span_that_is_its_own_parent_is_a_root() -> None:
    """A self-parent neither loops nor vanishes."""
    rows = build([span(1, 1), span(2, 1)])
    assert [(row.span.name, row.depth, row.orphan) for row in rows] == [("s1", 0, "parent loop"), ("s2", 1, "")]


def test_a_ring_of_parents_is_cut_at_its_earliest_span() -> None:
    """Every span of a ring is drawn once, and so is what hangs on it, even if that began earlier."""
    rows = build([span(3, 5), span(4, 3), span(5, 4), span(1, 4), span(2)])
    assert [(row.span.name, row.depth, row.orphan) for row in rows] == [
        ("s2", 0, ""),
        ("s3", 0, "parent loop"),
        ("s4", 1, ""),
        ("s1", 2, ""),
        ("s5", 2, ""),
    ]


def test_a_span_that_came_twice_is_drawn_once() -> None:
    """A retried export does not double a span."""
    assert drawn(span(1), span(2, 1), span(1), span(2, 1)) == ["s1", "└─ s2"]


def test_equal_span_ids_of_two_traces_are_two_spans() -> None:
    """A span id means something only within its trace."""
    assert len(build([span(1), span(1, trace="a" * 32), span(2, 1)])) == 3


def test_a_child_that_starts_before_its_parent_stays_its_child() -> None:
    """Clocks that differ change the order of siblings at most."""
    assert drawn(span(1, start=100), span(2, 1, start=50), span(3, 1, start=20)) == ["s1", "├─ s3", "└─ s2"]


def test_a_chain_of_5000_spans_needs_no_recursion_and_little_room() -> None:
    """Beyond the drawable depth a row says its depth, so that prefixes stay short."""
    rows = build([span(n, n - 1) for n in range(1, 5001)])
    assert [row.depth for row in rows] == list(range(5000))
    assert rows[-1].prefix().endswith("└─4999 ")
    assert max(len(row.prefix()) for row in rows) <= 3 * DEEPEST + 5
    assert max(len(row.under()) for row in rows) <= 3 * DEEPEST + 3
    assert rows[10].prefix(4) == "         └─10 "


def test_20000_spans_are_each_drawn_once() -> None:
    """A large trace loses nothing."""
    rows = build([span(n, n // 3) for n in range(1, 20_001)])
    assert len({row.span.span_id for row in rows}) == len(rows) == 20_000


def test_a_trace_adds_its_spans_up() -> None:
    """Start, end, services and errors are those of all spans together."""
    trace = Trace([span(2, 1, start=5, end=90, service="b", status=ERROR), span(1, start=10, end=70)])
    assert (trace.trace_id, trace.start, trace.end, trace.duration, trace.errors) == (TRACE, 5, 90, 85, 1)
    assert trace.services == ["shop", "b"]


def test_a_span_without_times_does_not_stretch_the_trace() -> None:
    """A time of zero means unknown, not 1970."""
    trace = Trace([span(1, start=10**18, end=10**18 + 5), span(2, 1, start=0, end=0)])
    assert trace.duration == 5


def test_a_trace_of_nothing_is_empty() -> None:
    """No spans are no error."""
    assert (Trace([]).rows, Trace([]).duration, plain_lines([])) == ([], 0, [])


# Words


@pytest.mark.parametrize(
    ("kind", "attributes", "tags"),
    [
        (
            CLIENT,
            {
                "http.request.method": "GET",
                "url.full": "http://a:80/x",
                "http.response.status_code": 200,
                "server.address": "a",
                "server.port": 80,
            },
            ["GET", "http://a:80/x", "200", "a:80"],
        ),
        (
            SERVER,
            {"http.request.method": "GET", "http.route": "/x/<id>", "url.path": "/x/7", "server.address": "me"},
            ["GET", "/x/<id>", "/x/7"],
        ),
        (SERVER, {"http.method": "PUT", "http.target": "/y", "http.status_code": 404}, ["PUT", "/y", "404"]),
        (
            CLIENT,
            {"rpc.service": "a.B", "rpc.method": "C", "rpc.grpc.status_code": 5, "server.address": "h"},
            ["a.B/C", "NOT_FOUND", "h"],
        ),
        (CLIENT, {"rpc.method": "a.B/C", "rpc.response.status_code": "OK"}, ["a.B/C", "OK"]),
        (CLIENT, {"db.query.text": "SELECT 1", "server.address": "db"}, ["db", "SELECT 1"]),
        (CLIENT, {"messaging.destination.name": "jobs", "error.type": "Timeout"}, ["jobs", "Timeout"]),
        (CLIENT, {"http.response.status_code": 500, "error.type": "500"}, ["500"]),
        (CLIENT, {}, []),
    ],
)
def test_telling_tags_are_the_few_that_tell_most(kind: Any, attributes: Any, tags: Any) -> None:
    """Method, route or URL, RPC, status, peer and error type, in today's and yesterday's names, none twice."""
    assert telling_tags(span(1, kind=kind, attributes=attributes)) == tags


def test_the_type_of_an_exception_is_a_telling_tag() -> None:
    """A span with a recorded exception says its type even without error.type."""
    assert telling_tags(span(1, events=[Event("exception", 1, {"exception.type": "KeyError"})])) == ["KeyError"]


@pytest.mark.parametrize(
    ("attributes", "status", "text"),
    [
        ({"http.response.status_code": 503}, ERROR, "503"),
        ({"rpc.grpc.status_code": 14}, ERROR, "UNAVAILABLE"),
        ({"rpc.grpc.status_code": 99}, 0, "99"),
        ({"rpc.response.status_code": "DEADLINE_EXCEEDED"}, 0, "DEADLINE_EXCEEDED"),
        ({}, ERROR, "error"),
        ({}, 1, "ok"),
        ({}, 0, ""),
    ],
)
def test_the_status_is_the_protocols_else_the_spans(attributes: Any, status: Any, text: Any) -> None:
    """An HTTP code or a gRPC name says more than OTLP's three states."""
    assert status_text(span(1, attributes=attributes, status=status)) == text


@pytest.mark.parametrize(
    ("nanoseconds", "text"),
    [
        (0, "<1 µs"),
        (999, "<1 µs"),
        (1_000, "1.00 µs"),
        (870_400, "870 µs"),
        (999_499, "999 µs"),
        (999_500, "1.00 ms"),
        (9_995_000, "10.0 ms"),
        (143_200_000, "143 ms"),
        (1_240_000_000, "1.24 s"),
        (59_600_000_000, "1m 00s"),
        (3_725_000_000_000, "1h 02m"),
        (93_600_000_000_000, "1d 02h"),
    ],
)
def test_a_duration_has_three_digits_and_its_unit(nanoseconds: Any, text: Any) -> None:
    """Rounding never leaves four digits or a unit too small."""
    assert duration_text(nanoseconds) == text


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("GET /käse 東京", "GET /käse 東京"),
        ("a\nb\tc\r\u2028d\xa0e", "a b c  d e"),
        ("\x1b[31mred\x07", "\\x1b[31mred\\x07"),
        ("\x9b2J", "\\x9b2J"),
        ("\u202egpj", "\\u202egpj"),
        ("\ud800", "\\ud800"),
    ],
)
def test_clean_text_has_one_line_and_no_control_characters(text: Any, safe: Any) -> None:
    """Nothing in a span can steer a terminal, reorder its text or be unencodable in UTF-8."""
    assert clean(text) == safe
    safe.encode()


def exception(stack: str = "") -> Event:
    attributes = {"exception.type": "ValueError", "exception.message": "no", "exception.stacktrace": stack}
    return Event("exception", 1, attributes)


def test_an_exception_says_type_message_and_place_in_the_programs_own_code() -> None:
    """The place is the last frame that is neither of a package nor of the standard library."""
    assert event_text(exception(STACK)) == ("ValueError: no", "/srv/shop/billing.py:41")


@pytest.mark.parametrize(
    ("stack", "place"),
    [
        ("", ""),
        ("java.lang.Error\n at a.B.c(B.java:4)", ""),
        ('  File "/v/site-packages/a.py", line 1, in a\n  File "/v/site-packages/b.py", line 2, in b', "b.py:2"),
        ('  File "/usr/lib/python3.11/x.py", line 3, in a\n  File "/v/site-packages/b.py", line 2, in b', "x.py:3"),
        ('  | File "/srv/a.py", line 5, in a\n  | ValueError', "/srv/a.py:5"),
        ('  File "/srv/\x1b[2Ja.py", line 5, in a', "/srv/\\x1b[2Ja.py:5"),
    ],
)
def test_the_place_is_the_nearest_to_the_program_that_the_stack_trace_has(stack: Any, place: Any) -> None:
    """Without a frame of the program's own, one outside of packages stands in, else the last."""
    found = event_text(exception(stack))[1]
    assert found.endswith(place)
    assert bool(found) == bool(place)


@pytest.mark.parametrize(
    ("event", "text"),
    [
        (Event("log", 1, {"log.severity": "WARNING", "log.message": "low\nstock"}), "WARNING low stock"),
        (Event("cache.miss", 1, {"key": "a", "size": 3}), "cache.miss key=a size=3"),
        (Event("", 0, {}), "event"),
        (Event("exception", 1, {"exception.message": "no"}), "exception: no"),
    ],
)
def test_an_event_is_one_line_of_text(event: Any, text: Any) -> None:
    """A log line says its level and message, any other event its name and attributes."""
    assert event_text(event)[0] == text


def test_the_status_message_is_said_once() -> None:
    """A message that an exception event carries already is not repeated, and only failures have one."""
    assert failure_text(span(1, status=ERROR, message="boom")) == "boom"
    assert failure_text(span(1, status=ERROR, message="ValueError: no", events=[exception()])) == ""
    assert failure_text(span(1, message="fine")) == ""


def test_plain_lines_are_aligned_text() -> None:
    """The live tree shows service, name, kind, duration, status and events without any escape code."""
    spans = [
        span(1, kind=CLIENT, service="web", name="GET", end=2_000_001),
        span(2, 1, kind=SERVER, name="GET /x", status=ERROR, message="late", events=[exception(STACK)]),
        span(3, 9, name="audit"),
    ]
    assert plain_lines(build(spans)) == [
        "web  GET         client    2.00 ms",
        "└─ shop  GET /x  server    1.00 ms  ✗ error",
        "      ✗ ValueError: no  /srv/shop/billing.py:41",
        "      ✗ late",
        "shop  audit      internal  1.00 ms    (parent missing)",
    ]


def test_plain_lines_in_ascii_are_ascii() -> None:
    """Where only ASCII can go, the tree is drawn with it and other characters are escaped."""
    lines = plain_lines(build([span(1, name="käse"), span(2, 1), span(3, 1)]), ascii_only=True)
    assert "".join(lines).isascii()
    assert [line.split("  ")[0] for line in lines] == ["shop", "|- shop", "`- shop"]
    assert "k\\xe4se" in lines[0]


def test_plain_lines_are_safe_and_short() -> None:
    """Escape codes are shown, not sent, and a text of a megabyte does not flood stderr."""
    event = Event("log", 1, {"message": "m" * 1_000_000})
    lines = plain_lines(build([span(1, name="\x1b[2J" + "n" * 1_000_000, service="a\nb", events=[event])]))
    assert len(lines) == 2
    assert max(map(len, lines)) < 700
    assert all(line.isprintable() for line in lines)
