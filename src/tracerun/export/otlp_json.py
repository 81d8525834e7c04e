"""OTLP as JSON, one request to a line: the OpenTelemetry file format, which a Collector reads too.

The mapping is that of the OTLP specification, "JSON Protobuf Encoding": ids in lowercase hex, bytes in base64, 64-bit
integers as decimal strings, enumerations as numbers, names in lowerCamelCase, fields with default values left out.
Content and mended values are those of :mod:`tracerun.export.protobuf`.
"""

from __future__ import annotations

from binascii import b2a_base64
from json.encoder import encode_basestring_ascii as _quoted

from tracerun.export import otlp

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import Event, ReadableSpan
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope
    from opentelemetry.trace import Link, Status

# As JSON, by the names that float gives them.
_NON_FINITE = {"nan": '"NaN"', "inf": '"Infinity"', "-inf": '"-Infinity"'}


def encode_request(spans: Sequence[ReadableSpan]) -> str:
    """``ExportTraceServiceRequest`` of ended spans, in their order, as one line without its newline."""
    return frame_request([(*otlp.source(span), encode_span(span)) for span in spans])


def frame_request(encoded: Sequence[tuple[Resource, InstrumentationScope | None, str]]) -> str:
    """``ExportTraceServiceRequest`` of spans that were encoded before, as one line without its newline.

    Args:
        encoded: For each span its resource, its scope, and what :func:`encode_span` gave. Resources and scopes stand
            in the request in the order of their first appearance, the spans of each in theirs.
    """
    groups = ",".join([_resource_spans(*group) for group in otlp.grouped(encoded)])
    return f'{{"resourceSpans":[{groups}]}}'


def _resource_spans(resource: Resource, scopes: list[tuple[InstrumentationScope | None, list[str]]]) -> str:
    head, tail = otlp.remembered(_resources, resource, _resource)
    groups = ",".join([_scope_spans(*group) for group in scopes])
    return f'{{"resource":{head},"scopeSpans":[{groups}]{tail}}}'


def _scope_spans(scope: InstrumentationScope | None, spans: list[str]) -> str:
    head, tail = otlp.remembered(_scopes, scope, _scope)
    return f'{{"scope":{head},"spans":[{",".join(spans)}]{tail}}}'


_resources: dict[int, tuple[object, tuple[str, str]]] = {}
_scopes: dict[int, tuple[object, tuple[str, str]]] = {}


def _resource(resource: Resource) -> tuple[str, str]:
    return "{" + _attributes(resource.attributes)[1:] + "}", _field("schemaUrl", resource.schema_url)


def _scope(scope: InstrumentationScope | None) -> tuple[str, str]:
    if scope is None:
        return "{}", ""
    members = _field("name", scope.name) + _field("version", scope.version) + _attributes(scope.attributes)
    return "{" + members[1:] + "}", _field("schemaUrl", scope.schema_url)


def encode_span(span: ReadableSpan) -> str:
    """One ``Span`` as a JSON object that starts with exactly ``{"traceId":"<32 hex>","spanId":"<16 hex>"``.

    Nothing else in a request does: in a link the span id comes first, and in text quotes are escaped. So the spans of
    a file are counted without parsing it.

    Args:
        span: A span that has ended; its attributes, events and links no longer change.
    """
    (
        context,
        parent,
        name,
        kind,
        start,
        end,
        status,
        attributes,
        dropped_attributes,
        events,
        dropped_events,
        links,
        dropped_links,
    ) = otlp.fields(span)
    parts = [
        f'{{"traceId":"{context.trace_id:032x}","spanId":"{context.span_id:016x}"',
        f',"parentSpanId":"{parent.span_id:016x}"' if parent is not None else "",
        f',"flags":{otlp.flags(context.trace_flags, parent)},"kind":{otlp.kind_number(kind)}',
        f',"startTimeUnixNano":"{otlp.unix_nano(start)}","endTimeUnixNano":"{otlp.unix_nano(end)}"',
        _field("name", name),
        _attributes(attributes, dropped_attributes),
    ]
    if context.trace_state:
        parts.append(_field("traceState", otlp.trace_state_text(context.trace_state)))
    if events or dropped_events:
        parts.append(_list("events", [_event(event) for event in events], "droppedEventsCount", dropped_events))
    if links or dropped_links:
        parts.append(_list("links", [_link(link) for link in links], "droppedLinksCount", dropped_links))
    if status is not None:
        parts.append(_status(status))
    parts.append("}")
    return "".join(parts)


def _event(event: Event) -> str:
    time, name = otlp.unix_nano(event.timestamp), _field("name", event.name)
    return f'{{"timeUnixNano":"{time}"{name}{_attributes(event.attributes, event.dropped_attributes)}}}'


def _link(link: Link) -> str:
    # The span id first: see encode_span(). Without traceState, which the official encoder leaves out.
    context = link.context
    ids = f'"spanId":"{context.span_id:016x}","traceId":"{context.trace_id:032x}"'
    flags = otlp.flags(context.trace_flags, context)
    return f'{{{ids},"flags":{flags}{_attributes(link.attributes, link.dropped_attributes)}}}'


def _status(status: Status) -> str:
    code = status.status_code._value_
    return f',"status":{{"code":{code}{_field("message", status.description)}}}'


def _attributes(attributes: Mapping[str, Any] | None, dropped: int = 0) -> str:
    """``attributes`` and their dropped count; one that cannot be encoded is left out."""
    pairs = []
    for key, value in attributes.items() if attributes else ():
        # type(), not isinstance(): a subclass may have its own isascii() or comparison.
        if type(value) is str:
            encoded = f'{{"stringValue":{_quoted(value if value.isascii() else otlp.valid_text(value))}}}'
        elif type(value) is int and otlp.INT64_MIN <= value <= otlp.INT64_MAX:
            encoded = f'{{"intValue":"{value}"}}'
        else:
            simple = otlp.simple_or_omitted(value)
            if isinstance(simple, otlp.Unencodable):
                continue
            encoded = _any_value(simple)
        pairs.append(f"{_KEYS[key]}{encoded}}}")
    return _list("attributes", pairs, "droppedAttributesCount", dropped)


# A program has some dozens of keys. Full, the memory of them starts afresh.
_KEYS_LIMIT = 256
_KEY_LENGTH_LIMIT = 256


class _Keys(dict[str, str]):
    """The start of a ``KeyValue``, up to its value."""

    __slots__ = ()

    def __missing__(self, key: str) -> str:
        start = f'{{"key":{_quoted(otlp.text(key))},"value":'
        if type(key) is str and len(start) <= _KEY_LENGTH_LIMIT:
            if len(self) >= _KEYS_LIMIT:
                self.clear()
            self[key] = start
        return start


_KEYS = _Keys()


def _any_value(value: otlp.Simple) -> str:
    """An ``AnyValue`` message: common.proto."""
    if value is None:
        return "{}"
    if isinstance(value, str):
        return f'{{"stringValue":{_quoted(value)}}}'
    if isinstance(value, bool):
        return '{"boolValue":true}' if value else '{"boolValue":false}'
    if isinstance(value, int):
        return f'{{"intValue":"{value}"}}'
    if isinstance(value, float):
        number = float.__repr__(value)
        return f'{{"doubleValue":{_NON_FINITE.get(number, number)}}}'
    if isinstance(value, list):
        return f'{{"arrayValue":{{"values":[{",".join([_any_value(item) for item in value])}]}}}}'
    if isinstance(value, tuple):
        pairs = [f"{_KEYS[key]}{_any_value(item)}}}" for key, item in value]
        return f'{{"kvlistValue":{{"values":[{",".join(pairs)}]}}}}'
    return f'{{"bytesValue":"{b2a_base64(value, newline=False).decode()}"}}'


def _field(name: str, value: object) -> str:
    """A member of text after others, with its comma; nothing for an empty text, which is the default."""
    text = otlp.text(value)
    return f',"{name}":{_quoted(text)}' if text else ""


def _list(name: str, items: list[str], count_name: str, dropped: int) -> str:
    """A list after others and the count of what the limits dropped; nothing for what is empty."""
    listed = f',"{name}":[{",".join(items)}]' if items else ""
    return f'{listed},"{count_name}":{dropped}' if dropped else listed
