"""What both OTLP encodings share: reading a span, its flags and numbers, attribute values, and the grouping.

Names and numbers are those of opentelemetry-proto 1.x: ``trace.proto`` and ``common.proto``.
"""

from __future__ import annotations

# Not collections.abc: os loads this one in every interpreter, the package costs 2 ms where nobody else wants it.
from _collections_abc import Mapping, Sequence

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any, TypeAlias, TypeVar

    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import Event, ReadableSpan
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope
    from opentelemetry.trace import Link, SpanContext, SpanKind, Status

    Encoded = TypeVar("Encoded", str, bytes)
    Made = TypeVar("Made")
    Attributes: TypeAlias = Mapping[str, Any]
    # What fields() gives: context, parent, name, kind, start, end, status, then attributes, events and links,
    # each followed by how many of them the limits dropped.
    Fields: TypeAlias = tuple[
        SpanContext,
        SpanContext | None,
        str,
        SpanKind,
        int | None,
        int | None,
        Status | None,
        Attributes,
        int,
        Iterable[Event],
        int,
        Iterable[Link],
        int,
    ]
    # A value as simple() gives it: a list is an ArrayValue, a tuple of pairs a KeyValueList.
    Simple: TypeAlias = bool | int | float | str | bytes | list[Any] | tuple[tuple[str, Any], ...] | None

# trace.proto, SpanFlags.
_FLAGS_TRACE_FLAGS_MASK = 0xFF
_FLAGS_CONTEXT_HAS_IS_REMOTE = 0x100
_FLAGS_CONTEXT_IS_REMOTE = 0x200

INT64_MIN = -(2**63)
INT64_MAX = 2**63 - 1
UINT64_MAX = 2**64 - 1

# Receivers built on protobuf's C++, upb or Rust's prost refuse a whole request with messages nested more than 100
# deep. A mapping takes three levels and the attribute of an event starts on the seventh: 7 + 3 * 30 = 97.
MAX_DEPTH = 30

_SDK_TRACE = "opentelemetry.sdk.trace"


class Unencodable:
    """The type of :data:`OMITTED`."""


OMITTED = Unencodable()
"""Stands for an attribute value that has no encoding and whose ``str()`` fails too: the attribute is left out."""


def fields(span: ReadableSpan) -> Fields:
    """Everything of a span that OTLP has a field for, read without the copies that its properties make.

    Only the SDK's own classes are read so: a program's subclass may override a property, to redact for example.
    """
    source: Any = span
    own = getattr(source, "tracerun_fields", None)
    if own is not None:
        read: Fields = own()
        return read
    if type(span).__module__ != _SDK_TRACE:
        return _public_fields(span)
    try:
        attributes, events, links = source._attributes, source._events, source._links
        read = (
            source._context,
            source._parent,
            source._name,
            source._kind,
            source._start_time,
            source._end_time,
            source._status,
            attributes._dict,
            attributes.dropped,
            events._dq,
            events.dropped,
            links._dq,
            links.dropped,
        )
    except AttributeError:
        return _public_fields(span)
    return read


def source(span: ReadableSpan) -> tuple[Resource, InstrumentationScope | None]:
    """What made a span: its resource and its scope, or what stands for them while the SDK is not loaded."""
    own = getattr(span, "tracerun_source", None)
    if own is not None:
        made: tuple[Resource, InstrumentationScope | None] = own()
        return made
    return span.resource, span.instrumentation_scope


def _public_fields(span: ReadableSpan) -> Fields:
    return (
        span.context,
        span.parent,
        span.name,
        span.kind,
        span.start_time,
        span.end_time,
        span.status,
        span.attributes or {},
        span.dropped_attributes,
        span.events,
        span.dropped_events,
        span.links,
        span.dropped_links,
    )


def flags(trace_flags: int, related: SpanContext | None) -> int:
    """``Span.flags`` and ``Span.Link.flags``: trace.proto, SpanFlags.

    Args:
        trace_flags: W3C trace flags of the span, or of the linked span; they are bits 0 to 7. The official
            encoder leaves these zero.
        related: The parent, or the linked context; whether it is remote is bit 9, and bit 8 says that this is known.
    """
    known = (trace_flags & _FLAGS_TRACE_FLAGS_MASK) | _FLAGS_CONTEXT_HAS_IS_REMOTE
    return known | _FLAGS_CONTEXT_IS_REMOTE if related is not None and related.is_remote else known


def kind_number(kind: SpanKind) -> int:
    """``Span.SpanKind``: one more than the SDK's number, and 0 (unspecified) for what is no span kind."""
    try:
        # Not value: that is a descriptor written in Python, four times as slow.
        return int(kind._value_) + 1
    except (AttributeError, TypeError, ValueError):
        return 0


def unix_nano(time: float | None) -> int:
    """A time in nanoseconds since the epoch as a fixed64, whatever a program gave as a start or end time.

    None is 0 (unknown in OTLP); a fraction is cut off; a time outside of fixed64 becomes the nearest inside.
    """
    try:
        return max(0, min(int(time or 0), UINT64_MAX))
    except (TypeError, ValueError, OverflowError):
        return 0


def trace_state_text(trace_state: Mapping[str, str]) -> str:
    """The W3C ``tracestate`` header: trace.proto, Span.trace_state."""
    return valid_text(",".join([f"{key}={value}" for key, value in trace_state.items()]))


def valid_text(value: str) -> str:
    """The same text, with U+FFFD for each lone surrogate: neither protobuf nor JSON may carry one."""
    try:
        str.encode(value)
    except UnicodeEncodeError:
        return "".join(["\ufffd" if "\ud800" <= char <= "\udfff" else char for char in value])
    return value


def text(value: object) -> str:
    """Valid text for a field that should hold text, whatever a program put there; "" for None. Never raises."""
    if isinstance(value, str):
        return valid_text(value)
    shown = "" if value is None else _first_that_works(value, _shown)
    return shown if isinstance(shown, str) else ""


def simple_or_omitted(value: object) -> Simple | Unencodable:
    """An attribute value as :func:`simple` gives it, else its ``str()``, else :data:`OMITTED`. Never raises."""
    return _first_that_works(value, simple, _shown)


def simple(value: object, depth: int = MAX_DEPTH) -> Simple:
    """An attribute value reduced to what ``common.proto`` AnyValue can hold.

    An integer beyond 64 bits becomes its decimal digits (the official encoder leaves such an attribute out), and
    what AnyValue has no kind for, or what is nested too deep, becomes its ``str()``.

    Args:
        value: Any object.
        depth: How many sequences and mappings may still enclose one another.

    Raises:
        Exception: Whatever the methods of the value's own class raise.
    """
    if value is None or isinstance(value, (bool, float, bytes)):
        return value
    if isinstance(value, str):
        return valid_text(value)
    if isinstance(value, int):
        return int(value) if INT64_MIN <= value <= INT64_MAX else str(int(value))
    if depth and isinstance(value, Sequence):
        return [simple(item, depth - 1) for item in value]
    if depth and isinstance(value, Mapping):
        return tuple([(_shown(key), simple(item, depth - 1)) for key, item in value.items()])
    return _shown(value)


def _shown(value: object) -> str:
    return valid_text(str(value))


def _first_that_works(value: object, *ways: Callable[[object], Simple]) -> Simple | Unencodable:
    for way in ways:
        try:
            return way(value)
        except Exception:  # noqa: BLE001, S112 - code of the value's own class ran, so anything may come
            continue
    return OMITTED


def grouped(
    encoded: Sequence[tuple[Resource, InstrumentationScope | None, Encoded]],
) -> list[tuple[Resource, list[tuple[InstrumentationScope | None, list[Encoded]]]]]:
    """Encoded spans by resource, and within it by scope; all in the order in which they first appear.

    Equal resources are one, as are equal scopes. They are compared only where they are not the same object:
    hashing a resource means writing it as JSON.
    """
    by_identity: dict[tuple[int, int], list[Encoded]] = {}
    by_equality: dict[object, tuple[Resource, dict[object, tuple[InstrumentationScope | None, list[Encoded]]]]] = {}
    for resource, scope, span in encoded:
        identity = (id(resource), id(scope))
        spans = by_identity.get(identity)
        if spans is None:
            scopes = by_equality.setdefault(_equality_key(resource), (resource, {}))[1]
            spans = scopes.setdefault(_equality_key(scope), (scope, []))[1]
            by_identity[identity] = spans
        spans.append(span)
    return [(resource, list(scopes.values())) for resource, scopes in by_equality.values()]


def _equality_key(member: object) -> object:
    try:
        hash(member)
    except (TypeError, ValueError):
        return id(member)
    return member


# A process has a handful of resources and a scope per instrumented library.
_REMEMBERED_LIMIT = 256


def remembered(known: dict[int, tuple[object, Made]], source: object, make: Callable[[Any], Made]) -> Made:
    """What ``make`` gives for a source that never changes, made once while it is among the last few hundred.

    Args:
        known: Where it is remembered, by identity; each entry keeps its source alive, so no identity is reused.
        source: An object that is expensive to hash, such as a resource.
        make: Gives the result for the source.
    """
    found = known.get(id(source))
    if found is None:
        if len(known) >= _REMEMBERED_LIMIT:
            known.clear()
        found = known[id(source)] = (source, make(source))
    return found[1]
