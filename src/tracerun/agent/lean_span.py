"""The spans that ``agent.lean`` makes: to whoever looks at one, it is the SDK's.

They are made of the API alone. What only the SDK's span has is had by loading the SDK (``agent.completion``), whose
class is then the base of this one, in place of the API's.
"""

from __future__ import annotations

import traceback
from operator import attrgetter
from threading import Lock
from time import time_ns
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from opentelemetry.attributes import BoundedAttributes
from opentelemetry.trace import NonRecordingSpan, Span, SpanContext, SpanKind, Status, StatusCode

from tracerun.agent import completion
from tracerun.instrumentation.context import type_name
from tracerun.instrumentation.span_context import NO_STATE, NOT_SAMPLED, valid_context

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import Event
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope
    from opentelemetry.trace import Link

    from tracerun.agent.lean import LeanTracer

# Values that need no check; the SDK makes something of all others, and of more attributes or events than this.
PLAIN = frozenset((str, int, bool, float))
MOST = 128
_TEXT = frozenset((str,))
_NOTHING: tuple[Any, ...] = ()
# A random number is a trace id above a span id.
ID_BITS = 64
LOW_HALF = (1 << ID_BITS) - 1


class _OnDemand:
    """An attribute of the SDK's span that is made when somebody first asks for it, once."""

    def __init__(self, make: Callable[[Any], Any]) -> None:
        self._make = make

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, span: Any, owner: type) -> Any:
        if span is None:
            return self
        return vars(span).setdefault(self._name, self._make(span))


def checked(attributes: Mapping[str, Any]) -> BoundedAttributes:
    """Attributes as the SDK keeps them, within the standard limits."""
    return BoundedAttributes(MOST, attributes, immutable=False)


def is_plain(attributes: Mapping[str, Any]) -> bool:
    """Whether the SDK would make nothing else of these."""
    return (
        len(attributes) <= MOST
        and PLAIN.issuperset(map(type, attributes.values()))
        and _TEXT.issuperset(map(type, attributes))
        and "" not in attributes
    )


class LeanEvent:
    """An event, as the encoders read one; the SDK's own kind is made of it where somebody asks for that."""

    __slots__ = ("attributes", "name", "timestamp")

    def __init__(self, name: str, attributes: Any, timestamp: int) -> None:
        self.name, self.attributes, self.timestamp = name, attributes, timestamp

    @property
    def dropped_attributes(self) -> int:
        """How many attributes the limits, or their names, have dropped."""
        return getattr(self.attributes, "dropped", 0)


class LeanSpan(Span):
    """A span of one of our tracers."""

    _tracer: LeanTracer
    _name: str
    _kind: SpanKind
    _context: SpanContext
    _parent: SpanContext | None
    _start_time: int
    _attributes: Any
    # What a span has that nobody has touched.
    _instrumentation_info = None
    _end_time: int | None = None
    _status = Status()
    _events: Any = _NOTHING
    _links: Any = _NOTHING
    _lock = _OnDemand(lambda _: Lock())
    _limits = _OnDemand(lambda _: completion.provider_of_ours()._span_limits)
    _span_processor = _OnDemand(lambda _: completion.provider_of_ours()._active_span_processor)  # `lending` asks too
    _instrumentation_scope = _OnDemand(lambda span: span.instrumentation_scope)
    _resource = _OnDemand(lambda span: span.resource)

    name = property(attrgetter("_name"))
    context = property(attrgetter("_context"))
    kind = property(attrgetter("_kind"))
    parent = property(attrgetter("_parent"))
    start_time = property(attrgetter("_start_time"))
    end_time = property(attrgetter("_end_time"))
    status = property(attrgetter("_status"))
    instrumentation_info = property(lambda span: span._sdks().instrumentation_info)
    start = property(lambda span: span._sdks().start)
    to_json = property(lambda span: span._sdks().to_json)
    _readable_span = property(lambda span: span._sdks()._readable_span)

    def __repr__(self) -> str:
        return f'{type(self).__name__}(name="{self._name}", context={self._context})'

    @property
    def resource(self) -> Resource:
        """As the SDK's."""
        completion.complete()
        return self.tracerun_source()[0]

    @property
    def instrumentation_scope(self) -> InstrumentationScope:
        """As the SDK's."""
        completion.complete()
        return self.tracerun_source()[1]

    def get_span_context(self) -> SpanContext:
        """As the SDK's."""
        return self._context

    def is_recording(self) -> bool:
        """As the SDK's."""
        return self._end_time is None

    @property
    def attributes(self) -> Mapping[str, Any]:
        """As the SDK's; whoever goes through them while they change goes through a copy, as there."""
        return MappingProxyType(self._checked())

    @property
    def events(self) -> Sequence[Event]:
        """As the SDK's, of its own kind."""
        if type(self._events) is list:
            self._sdks()
        return tuple(self._events)

    @property
    def links(self) -> Sequence[Link]:
        """As the SDK's."""
        return tuple(self._links)

    @property
    def dropped_attributes(self) -> int:
        """As the SDK's."""
        return getattr(self._attributes, "dropped", 0)

    @property
    def dropped_events(self) -> int:
        """As the SDK's."""
        return getattr(self._events, "dropped", 0)

    @property
    def dropped_links(self) -> int:
        """As the SDK's."""
        return getattr(self._links, "dropped", 0)

    def set_attribute(self, key: str, value: Any) -> None:
        """As the SDK's; a plain value of an open span is only put there."""
        attributes = self._attributes
        plain = type(attributes) is dict and type(value) in PLAIN and self._end_time is None
        if plain and type(key) is str and key and (len(attributes) < MOST or key in attributes):
            attributes.pop(key, None)  # a value set anew comes last, as in the SDK's
            attributes[key] = value
        elif self._end_time is not None:
            self._sdks().set_attribute(key, value)  # says so
        else:
            self._checked()[key] = value

    def set_attributes(self, attributes: Mapping[str, Any]) -> None:
        """As the SDK's; the same goes for several plain ones."""
        own = self._attributes
        if self._end_time is not None:
            self._sdks().set_attributes(attributes)  # says so
        elif type(own) is dict and len(own) + len(attributes) <= MOST and is_plain(attributes):
            for key in attributes:
                own.pop(key, None)
            own.update(attributes)
        elif hasattr(BoundedAttributes, "_set_items"):
            self._checked()._set_items(attributes)
        else:  # before 1.44
            for key, value in attributes.items():
                self._checked()[key] = value

    def _checked(self) -> Any:
        """Its attributes, which are of the SDK's own kind from here on."""
        if type(self._attributes) is dict:
            self._attributes = checked(self._attributes)
        return self._attributes

    def add_event(self, name: str, attributes: Any = None, timestamp: int | None = None) -> None:
        """As the SDK's; the first ones of an open span are only noted."""
        known = {} if attributes is None else attributes
        plain = type(known) is dict and is_plain(known)
        kept = known.copy() if plain else BoundedAttributes(MOST, known, immutable=True)
        with self._lock:
            events = self._events
            if events is _NOTHING:
                events = self._events = []
            if self._end_time is None and type(events) is list and len(events) < MOST:
                events.append(LeanEvent(name, kept, time_ns() if timestamp is None else timestamp))
                return
        self._sdks().add_event(name, kept, timestamp)

    def add_link(self, context: SpanContext, attributes: Any = None) -> None:
        """As the SDK's."""
        self._sdks().add_link(context, attributes)

    def record_exception(
        self,
        exception: BaseException,
        attributes: Any = None,
        timestamp: int | None = None,
        escaped: bool = False,
    ) -> None:
        """As the SDK's."""
        told: dict[str, Any] = {"exception.type": type_name(exception), "exception.message": str(exception)}
        given = isinstance(attributes, dict) and attributes.get("exception.stacktrace")
        told["exception.stacktrace"] = given or "".join(traceback.format_exception(exception))
        told["exception.escaped"] = str(escaped)
        told.update(attributes or ())
        self.add_event("exception", told, timestamp)

    def set_status(self, status: Status | StatusCode, description: str | None = None) -> None:
        """As the SDK's: what is OK stays that."""
        is_code = isinstance(status, StatusCode)
        if self._end_time is not None or not (is_code or (isinstance(status, Status) and description is None)):
            self._sdks().set_status(status, description)  # says so
            return
        code = status if isinstance(status, StatusCode) else status.status_code
        if self._status.status_code is not StatusCode.OK and code is not StatusCode.UNSET:
            self._status = Status(status, description) if isinstance(status, StatusCode) else status

    def update_name(self, name: str) -> None:
        """As the SDK's."""
        if self._end_time is None:
            self._name = name
        else:
            self._sdks().update_name(name)

    def __exit__(self, *raised: object) -> None:
        """As the SDK's."""
        error = raised[1]
        if isinstance(error, BaseException) and self.is_recording():
            self.record_exception(error, escaped=True)
            self.set_status(Status(StatusCode.ERROR, f"{type(error).__name__}: {error}"))
        self.end()

    def end(self, end_time: int | None = None) -> None:
        """As the SDK's; the span itself goes on its way, for it does not change any more."""
        if self._end_time is not None:
            self._sdks().end(end_time)  # says so
            return
        self._end_time = time_ns() if end_time is None else end_time
        self._tracer.on_end(self)

    def _sdks(self) -> Any:
        """Itself with the SDK's own methods, and what they find of its own kinds; the API's where there is no SDK."""
        if completion.complete() is None:
            return super()
        from opentelemetry.sdk.trace import Event  # noqa: PLC0415 - loaded by now

        self._checked()
        with self._lock:
            events = self._events
            if events is _NOTHING or type(events) is list:
                made = self._new_events()  # type: ignore[attr-defined]
                for event in events:
                    plain = type(event.attributes) is dict
                    kept = BoundedAttributes(MOST, event.attributes, immutable=True) if plain else event.attributes
                    made.append(Event(event.name, kept, event.timestamp))
                self._events = made
            if self._links is _NOTHING:
                self._links = self._new_links(_NOTHING)  # type: ignore[attr-defined]
        return super()

    def tracerun_source(self) -> tuple[Resource, InstrumentationScope]:
        """What ``export.otlp.source`` reads of a span, without loading the SDK."""
        return self._tracer.resource, self._tracer._instrumentation_scope

    def tracerun_fields(self) -> tuple[Any, ...]:
        """What ``export.otlp.fields`` reads of a span, without the copies that properties make."""
        attributes, events, links = self._attributes, self._events, self._links
        plain = type(attributes) is dict
        return (
            self._context,
            self._parent,
            self._name,
            self._kind,
            self._start_time,
            self._end_time,
            self._status,
            attributes if plain else attributes._dict,
            0 if plain else attributes.dropped,
            events,
            0 if events is _NOTHING else self.dropped_events,
            links,
            0 if links is _NOTHING else self.dropped_links,
        )


class UnsampledSpan(NonRecordingSpan):
    """A span that is not sampled: its ids, which nobody may ask for, are only random bits until somebody does."""

    # The API's takes a context. Calling the class is quicker with object's own than with any of Python's.
    __init__ = object.__init__

    _bits: int
    _parent: SpanContext | None = None
    _context = _OnDemand(lambda span: span._made())

    def _made(self) -> SpanContext:
        parent, span_id = self._parent, self._bits & LOW_HALF or 1
        if parent is None:
            return valid_context(self._bits >> ID_BITS or 1, span_id, False, NOT_SAMPLED, NO_STATE)
        return valid_context(parent.trace_id, span_id, False, NOT_SAMPLED, parent.trace_state)
