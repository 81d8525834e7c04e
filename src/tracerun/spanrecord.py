"""A finished span as the viewer and the live ``tree`` exporter see it, and how it is read from OTLP/JSON.

This is loaded inside the traced program too, so it imports nothing: no dataclasses, typing, re or enum.
What it reads was written by any program, so it trusts nothing of it.
"""

from __future__ import annotations

TYPE_CHECKING = False  # as typing.TYPE_CHECKING, which type checkers know by its name
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

SERVER, CLIENT, PRODUCER, CONSUMER = 2, 3, 4, 5
ERROR = 2

_LATEST = 2**64 - 1  # nanoseconds, the largest time that OTLP can carry
_NESTING = 16  # levels of lists and maps that are read from an attribute's value
_INT64_DIGITS = 20


class Event:
    """Something that happened during a span: a log line, or an exception.

    Args:
        name: The event's name; ``exception`` for a recorded exception.
        time: Nanoseconds since the epoch; 0 when unknown.
        attributes: Plain Python values by semantic-convention key.
    """

    __slots__ = ("attributes", "name", "time")

    def __init__(self, name: str, time: int, attributes: dict[str, Any]) -> None:
        self.name = name
        self.time = time
        self.attributes = attributes


class SpanRecord:
    """One finished span, as OTLP describes it, with plain Python values.

    Args:
        trace_id: 32 lower-case hex digits.
        span_id: 16 lower-case hex digits.
        parent_id: The caller's span id; empty for the first span of a trace.
        service: ``service.name`` of the resource.
        name: The span's name.
        kind: OTLP's number, 0 to 5; ``KIND_WORDS`` has the words.
        start: Nanoseconds since the epoch; 0 when unknown, which makes it the end.
        end: Nanoseconds since the epoch; an end before the start becomes the start.
        status: OTLP's status code: 0 unset, 1 ok, 2 error.
        message: The status message.
        attributes: Plain Python values by semantic-convention key.
        events: What happened meanwhile, in the order of recording.
        scope: The name of the instrumentation scope.
    """

    __slots__ = (
        "attributes",
        "end",
        "events",
        "kind",
        "message",
        "name",
        "parent_id",
        "scope",
        "service",
        "span_id",
        "start",
        "status",
        "trace_id",
    )

    def __init__(
        self,
        *,
        trace_id: str,
        span_id: str,
        parent_id: str = "",
        service: str = "",
        name: str = "",
        kind: int = 1,
        start: int = 0,
        end: int = 0,
        status: int = 0,
        message: str = "",
        attributes: dict[str, Any] | None = None,
        events: list[Event] | None = None,
        scope: str = "",
    ) -> None:
        self.trace_id = trace_id
        self.span_id = span_id
        self.parent_id = parent_id
        self.service = service
        self.name = name
        self.kind = kind
        self.start = start or end
        self.end = max(start, end)
        self.status = status
        self.message = message
        self.attributes = attributes or {}
        self.events = events or []
        self.scope = scope

    @property
    def duration(self) -> int:
        """Nanoseconds between start and end."""
        return self.end - self.start

    @property
    def failed(self) -> bool:
        """Whether the status says error."""
        return self.status == ERROR


# Reading OTLP/JSON


def spans_of(request: Any) -> list[SpanRecord]:
    """The spans of one parsed OTLP/JSON ExportTraceServiceRequest, in its order; what is no valid span is left out."""
    return [
        record for service, scope, raw in raw_spans(request) if (record := _record(raw, service, scope)) is not None
    ]


def raw_spans(request: Any) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Each span of a parsed request as it stands there, with its service's and its scope's name."""
    for resource_spans in _dicts(request, "resourceSpans"):
        resource = _attributes(_dict(resource_spans, "resource"))
        service = str(resource.get("service.name") or "unknown_service")
        for scope_spans in _dicts(resource_spans, "scopeSpans"):
            scope = str(_dict(scope_spans, "scope").get("name") or "")
            for raw in _dicts(scope_spans, "spans"):
                yield service, scope, raw


def hex_id(value: Any) -> str:
    """A trace or span id in lower case; empty for what is none, the all-zero id included."""
    if not isinstance(value, str):
        return ""
    lower = value.lower()
    return "" if lower.strip("0123456789abcdef") or not lower.strip("0") else lower


def _record(raw: dict[str, Any], service: str, scope: str) -> SpanRecord | None:
    trace_id, span_id = hex_id(raw.get("traceId")), hex_id(raw.get("spanId"))
    if not trace_id or not span_id:
        return None
    status = _dict(raw, "status")
    return SpanRecord(
        trace_id=trace_id,
        span_id=span_id,
        parent_id=hex_id(raw.get("parentSpanId")),
        service=service,
        name=str(raw.get("name") or ""),
        kind=_number_of(raw.get("kind"), ("UNSPECIFIED", "INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER")),
        start=_nanoseconds(raw.get("startTimeUnixNano")),
        end=_nanoseconds(raw.get("endTimeUnixNano")),
        status=_number_of(status.get("code"), ("UNSET", "OK", "ERROR")),
        message=str(status.get("message") or ""),
        attributes=_attributes(raw),
        events=[
            Event(str(event.get("name") or ""), _nanoseconds(event.get("timeUnixNano")), _attributes(event))
            for event in _dicts(raw, "events")
        ],
        scope=scope,
    )


def _dict(holder: Any, key: str) -> dict[str, Any]:
    value = holder.get(key) if isinstance(holder, dict) else None
    return value if isinstance(value, dict) else {}


def _dicts(holder: Any, key: str) -> list[dict[str, Any]]:
    value = holder.get(key) if isinstance(holder, dict) else None
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _nanoseconds(value: Any) -> int:
    try:
        return min(max(int(value), 0), _LATEST)
    except (TypeError, ValueError, OverflowError):
        return 0


def _number_of(value: Any, words: tuple[str, ...]) -> int:
    """An enum's number: OTLP/JSON demands numbers, protobuf's general JSON mapping writes names."""
    if isinstance(value, str) and not value.isdecimal():
        value = next((number for number, word in enumerate(words) if value.endswith("_" + word)), 0)
    number = _nanoseconds(value)
    return number if number < len(words) else 0


def _attributes(holder: dict[str, Any]) -> dict[str, Any]:
    return {str(item.get("key")): _value(item.get("value"), _NESTING) for item in _dicts(holder, "attributes")}


def _value(any_value: Any, levels: int) -> Any:
    kind, value = next(iter(any_value.items()), ("", None)) if isinstance(any_value, dict) else ("", any_value)
    if kind == "intValue":
        return (
            int(value)
            if isinstance(value, str) and value.lstrip("-").isdecimal() and len(value) <= _INT64_DIGITS
            else value
        )
    if kind not in ("arrayValue", "kvlistValue"):
        return value
    if not levels:
        return "..."
    if kind == "arrayValue":
        return [_value(item, levels - 1) for item in _dicts(value, "values")]
    return {str(item.get("key")): _value(item.get("value"), levels - 1) for item in _dicts(value, "values")}
