"""A recording span for our own instrumentors that does without what they never use.

The SDK's span makes a lock, two lists, a checked copy of its attributes and, at its end, a copy of itself. This one is
an SDK span too, with the same methods, but has those parts only once somebody asks for them. It stands in for the
SDK's only while nothing is asked of the SDK that only its own does: no processor but ours, the standard limits, a
standard sampler. The program's own tracers, and spans with links, are always the SDK's.

It is switched on by ``install`` alone: without that call, and this file, every span is the SDK's.
Source: OpenTelemetry specification, trace SDK, "Span"; opentelemetry-sdk, ``opentelemetry.sdk.trace.Span``.
"""

from __future__ import annotations

from threading import Lock
from time import time_ns
from typing import TYPE_CHECKING, Any

from opentelemetry.attributes import BoundedAttributes
from opentelemetry.context import get_current
from opentelemetry.sdk.trace import Span
from opentelemetry.sdk.trace.sampling import TraceIdRatioBased
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, Status
from opentelemetry.trace.propagation import _SPAN_KEY

from tracerun.agent.ambient import AMBIENT
from tracerun.agent.provider import SwitchableTracer, no_span, placed
from tracerun.environment import environment
from tracerun.instrumentation.exclusion import EXCLUDED_KEY
from tracerun.instrumentation.span_context import NO_STATE, NOT_SAMPLED, SAMPLED, parts_of, valid_context
from tracerun.values import SAMPLERS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from opentelemetry.context import Context
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import Event
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope
    from opentelemetry.trace import Link

    from tracerun.agent.provider import OurProvider
    from tracerun.export.pipeline import Pipeline
    from tracerun.settings import Settings

# Values that need no check; the SDK makes something of all others, and of more attributes than this.
PLAIN = frozenset((str, int, bool, float))
MOST = 128
_TEXT = frozenset((str,))
LIMITS = (
    "span_attribute_count",
    "span_attribute_length",
    "attribute_count",
    "attribute_length",
    "event_count",
    "event_attribute_count",
    "link_count",
    "link_attribute_count",
)
# Asks for metrics of the SDK's own spans.
METRICS = "OTEL_PYTHON_SDK_INTERNAL_METRICS_ENABLED"
# The part of a trace id that a share of them is told by, and what lies above all of it.
LOW_HALF = TraceIdRatioBased.TRACE_ID_LIMIT
ALL = LOW_HALF + 1
ID_BITS = 64
BY_PARENT = "parentbased_"
_NOTHING: tuple[Any, ...] = ()
_new = object.__new__


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


class LeanSpan(Span):
    """A span of one of our tracers."""

    _tracer: LeanTracer
    _attributes: Any
    # What a span has that nobody has touched.
    _sampler = _trace_config = _record_end_metrics = _instrumentation_info = None
    _record_exception = _set_status_on_exception = True
    _end_time = None
    _status = Status()
    _events: Any = _NOTHING
    _links: Any = _NOTHING
    _lock = _OnDemand(lambda _: Lock())
    _limits = _OnDemand(lambda span: span._tracer._span_limits)
    _span_processor = _OnDemand(lambda span: span._tracer.span_processor)
    _instrumentation_scope = _OnDemand(lambda span: span._tracer._instrumentation_scope)
    _resource = _OnDemand(lambda span: span._tracer.resource)

    @property
    def resource(self) -> Resource:
        """As the SDK's."""
        return self._tracer.resource

    @property
    def instrumentation_scope(self) -> InstrumentationScope | None:
        """As the SDK's."""
        return self._tracer._instrumentation_scope

    def get_span_context(self) -> SpanContext:
        """As the SDK's."""
        return self._context  # type: ignore[return-value]

    def set_attribute(self, key: str, value: Any) -> None:
        """As the SDK's; a plain value of an open span is only put there."""
        attributes = self._attributes
        plain = type(attributes) is dict and type(value) in PLAIN and self._end_time is None
        if plain and type(key) is str and key and (len(attributes) < MOST or key in attributes):
            attributes.pop(key, None)  # a value set anew comes last, as in the SDK's
            attributes[key] = value
            return
        self._make_checked()
        super().set_attribute(key, value)

    def set_attributes(self, attributes: Mapping[str, Any]) -> None:
        """As the SDK's; the same goes for several plain ones."""
        own = self._attributes
        if (
            type(own) is dict
            and self._end_time is None
            and len(own) + len(attributes) <= MOST
            and PLAIN.issuperset(map(type, attributes.values()))
            and _TEXT.issuperset(map(type, attributes))
            and "" not in attributes
        ):
            for key in attributes:
                own.pop(key, None)
            own.update(attributes)
            return
        self._make_checked()
        super().set_attributes(attributes)

    def _make_checked(self) -> None:
        """From here on the attributes are the SDK's own kind."""
        if type(self._attributes) is dict:
            self._attributes = self._tracer.checked(self._attributes)

    def _add_event(self, event: Event) -> None:
        if self._events is _NOTHING:
            self._events = self._new_events()  # type: ignore[no-untyped-call]
        super()._add_event(event)

    def _add_link(self, link: Link) -> None:
        if self._links is _NOTHING:
            self._links = self._new_links(_NOTHING)
        super()._add_link(link)

    def update_name(self, name: str) -> None:
        """As the SDK's."""
        if self._end_time is None:
            self._name = name
        else:
            super().update_name(name)

    def end(self, end_time: int | None = None) -> None:
        """As the SDK's; the span itself goes on its way, for it does not change any more."""
        if self._end_time is not None:
            self._make_checked()
            super().end(end_time)  # says so
            return
        self._end_time = time_ns() if end_time is None else end_time
        self._tracer.on_end(self)

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


class _Lean:
    """Where lean spans go, and how it is decided which are made; set while there are any.

    Attributes:
        pipeline: Takes the spans.
        bound: A span is sampled whose trace id is below it: 0 for none.
        by_parent: Whether that is decided of spans without a parent alone, and others follow theirs.
        counts: Whether it is counted how many spans are sampled.
    """

    def __init__(self) -> None:
        self.pipeline: Pipeline | None = None
        self.bound = 0
        self.by_parent = self.counts = False


# An object, as other state that each request reads: before Python 3.12 reading an attribute of a class takes longer.
LEAN = _Lean()


class LeanTracer(SwitchableTracer):
    """A tracer of one of our instrumentors."""

    def start_span(
        self,
        name: str,
        context: Context | None = None,
        kind: SpanKind = SpanKind.INTERNAL,
        attributes: Any = None,
        *args: Any,
        start_time: int | None = None,
        **kwargs: Any,
    ) -> Any:
        """As the SDK's."""
        if not args and not kwargs:
            current = get_current() if context is None else context
            span = self.start_described(name, current, kind, _copy_of, (attributes,), start_time)
            if span is not None:
                return span
        if start_time is not None:
            kwargs["start_time"] = start_time
        return super().start_span(name, context, kind, attributes, *args, **kwargs)

    def start_described(  # noqa: PLR0917 - by position, for each request comes here
        self,
        name: str,
        current: Context,
        kind: SpanKind,
        attributes_of: Callable[..., dict[str, Any]],
        args: tuple[Any, ...],
        start_time: int | None = None,
    ) -> Any:
        """Starts a span whose attributes are ``attributes_of(*args)``, made once it is known to be sampled.

        Returns:
            None where ``start_span`` is to be asked.
        """
        pipeline = LEAN.pipeline
        if pipeline is None or self.successor is not None:
            return None
        parent, trace_id, bound = None, 0, LEAN.bound
        if current or AMBIENT.span is not None:
            if EXCLUDED_KEY in current:
                return no_span(current)
            parent, trace_id, bound = _belonging(current if AMBIENT.span is None else placed(current, kind))
        # Drawn also where nobody may ask for them: a fork shows at the generator, and both sides have the same ids.
        if parent is not None:
            bits = self.id_generator.generate_span_id()
        else:
            bits = self.id_generator.generate_id_bits()  # type: ignore[attr-defined]
            trace_id = (bits >> ID_BITS or 1) if bound else 0
        if trace_id & LOW_HALF < bound:
            span = self._sampled(pipeline, parent, trace_id, bits & LOW_HALF or 1)
            span._name, span._kind, span._attributes = name, kind, self._plain(attributes_of(*args))
            span._start_time = time_ns() if start_time is None else start_time
            return span
        unsampled = UnsampledSpan()
        unsampled._bits = bits
        if parent is not None:
            unsampled._parent = parent
        return unsampled

    def _sampled(self, pipeline: Pipeline, parent: SpanContext | None, trace_id: int, span_id: int) -> LeanSpan:
        if LEAN.counts:
            pipeline.sampled += 1
        if pipeline.own is not None:
            pipeline.own.add(span_id)
        span: LeanSpan = _new(LeanSpan)
        span._tracer, span._parent = self, parent
        state = NO_STATE if parent is None else parent.trace_state
        span._context = valid_context(trace_id, span_id, False, SAMPLED, state)
        return span

    def _plain(self, own: dict[str, Any]) -> Any:
        """A span's attributes, as they are where they need no check."""
        if len(own) <= MOST and PLAIN.issuperset(map(type, own.values())):
            return own
        return self.checked(own)

    def checked(self, attributes: dict[str, Any]) -> BoundedAttributes:
        """Attributes as the SDK keeps them."""
        limits = self._span_limits
        return BoundedAttributes(
            limits.max_span_attributes, attributes, immutable=False, max_value_len=limits.max_span_attribute_length
        )

    def on_end(self, span: LeanSpan) -> None:
        """A span has ended; to our own processor, or to all of them where there are more by now."""
        pipeline = LEAN.pipeline
        if pipeline is not None:
            pipeline.processor.take(span)
        else:
            self.span_processor.on_end(span)


def install(provider: OurProvider, pipeline: Pipeline, settings: Settings) -> None:
    """Has our instrumentors' tracers make lean spans, if nothing speaks against it.

    Args:
        provider: Ours, whose only processor is the pipeline's; another one ends this.
        pipeline: Where the spans go.
        settings: Of this process.
    """
    if any(name in settings.values for name in LIMITS) or METRICS in environment():
        return
    bound = _bound(settings)
    if bound is None:
        return
    LEAN.pipeline, LEAN.bound, LEAN.counts = pipeline, bound, bool(settings.report)
    LEAN.by_parent = settings.sampler.startswith(BY_PARENT)
    provider.kind_of_tracer = _kind_of_tracer
    provider.on_processor = _stop


def _stop() -> None:
    """The program has added a processor: from here on it gets to see all spans, as the SDK makes them."""
    LEAN.pipeline = None


def _kind_of_tracer(scope: str) -> type[SwitchableTracer]:
    return LeanTracer if scope.startswith("tracerun.") else SwitchableTracer


def _copy_of(attributes: Mapping[str, Any] | None) -> dict[str, Any]:
    return {} if attributes is None else attributes.copy()  # type: ignore[attr-defined]


def _belonging(context: Context) -> tuple[SpanContext | None, int, int]:
    """What a new span belongs to: its parent, the trace's id, and below which trace id it is sampled."""
    around: Any = context.get(_SPAN_KEY)
    if around is not None:
        parent: SpanContext | None = around.get_span_context()
        if parent is not None:
            trace_id, _, _, flags, _, valid = parts_of(parent)
            if valid:
                bound = LEAN.bound if not LEAN.by_parent else ALL if flags & SAMPLED else 0
                return parent, trace_id, bound
    return None, 0, LEAN.bound


def _bound(settings: Settings) -> int | None:
    """Below which trace id the standard samplers take a span, all by the same rule; none for another sampler."""
    name, _, argument = settings.sampler.partition(":")
    if name not in SAMPLERS:
        return None
    share = {"always_on": 1.0, "always_off": 0.0}.get(name.removeprefix(BY_PARENT))
    return TraceIdRatioBased(float(argument or settings.sampler_argument or 1.0) if share is None else share).bound
