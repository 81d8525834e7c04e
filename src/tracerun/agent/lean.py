"""A recording span for our own instrumentors that does without what they never use.

The SDK's span makes a lock, two lists, a checked copy of its attributes and, at its end, a copy of itself. This one is
an SDK span too, with the same methods, but has those parts only once somebody asks for them. It stands in for the
SDK's only while nothing is asked of the SDK that only its own does: no processor but ours, the standard limits, a
standard sampler. The program's own tracers, and spans with links, are always the SDK's.

Nothing but ``install`` is called from elsewhere: without it, and this file, every span is the SDK's.
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

from tracerun.agent.ambient import Ambient
from tracerun.agent.provider import SwitchableTracer, no_span, placed
from tracerun.environment import environment
from tracerun.instrumentation.exclusion import EXCLUDED_KEY
from tracerun.instrumentation.span_context import NO_STATE, NOT_SAMPLED, SAMPLED, valid_context
from tracerun.values import SAMPLERS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from opentelemetry.context import Context
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import Event
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope
    from opentelemetry.trace import Link, TraceState

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
    _trace_id = 0
    _trace_state = NO_STATE
    _context = _OnDemand(lambda span: span._made())

    def _made(self) -> SpanContext:
        trace_id, span_id = self._trace_id or self._bits >> 64 or 1, self._bits & LOW_HALF or 1
        return valid_context(trace_id, span_id, False, NOT_SAMPLED, self._trace_state)


class Lean:
    """Where lean spans go, and how it is decided which are made; set while there are any.

    Attributes:
        pipeline: Takes the spans.
        bound: Gives, by a span's parent, below which trace id it is sampled: 0 for never.
        counts: Whether it is counted how many spans are sampled.
    """

    pipeline: Pipeline | None = None
    bound: Callable[[SpanContext | None], int]
    counts = False


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
        if args or kwargs or Lean.pipeline is None or self.successor is not None:
            if start_time is not None:
                kwargs["start_time"] = start_time
            return super().start_span(name, context, kind, attributes, *args, **kwargs)
        current = get_current() if context is None else context
        if EXCLUDED_KEY in current:
            return no_span(current)
        if Ambient.span is not None:
            current = placed(current, kind)
        around: Any = current.get(_SPAN_KEY)
        parent = None if around is None else around.get_span_context()
        if parent is not None and parent.is_valid:
            trace_id, state = parent.trace_id, parent.trace_state
        else:
            parent, trace_id, state = None, 0, NO_STATE
        bound = Lean.bound(parent)
        if bound and not trace_id:
            trace_id = self.id_generator.generate_trace_id()
        if not bound or trace_id & LOW_HALF >= bound:
            return self._unsampled(trace_id, state)
        span_id = self.id_generator.generate_span_id()
        if Lean.counts:
            Lean.pipeline.sampled += 1
        if Lean.pipeline.own is not None:
            Lean.pipeline.own.add(span_id)
        span = _new(LeanSpan)
        span._name, span._kind, span._tracer, span._parent = name, kind, self, parent
        span._context = valid_context(trace_id, span_id, False, SAMPLED, state)
        span._attributes = self._plain(attributes)
        span._start_time = time_ns() if start_time is None else start_time
        return span

    def _unsampled(self, trace_id: int, state: TraceState) -> UnsampledSpan:
        span: UnsampledSpan = UnsampledSpan()
        # Now, and not when they are asked for: a fork shows at the generator, and both sides of it have the same ids.
        span._bits = self.id_generator.generate_id_bits()  # type: ignore[attr-defined]
        if trace_id:
            span._trace_id, span._trace_state = trace_id, state
        return span

    def _plain(self, attributes: Any) -> Any:
        """A span's own attributes, as they are where they need no check."""
        if attributes is None:
            return {}
        own = attributes.copy()
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
        if Lean.pipeline is not None:
            Lean.pipeline.processor.on_end(span)
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
    Lean.pipeline, Lean.bound, Lean.counts = pipeline, bound, bool(settings.report)
    provider.kind_of_tracer = _kind_of_tracer
    provider.on_processor = _stop


def _stop() -> None:
    """The program has added a processor: from here on it gets to see all spans, as the SDK makes them."""
    Lean.pipeline = None


def _kind_of_tracer(scope: str) -> type[SwitchableTracer]:
    return LeanTracer if scope.startswith("tracerun.") else SwitchableTracer


def _bound(settings: Settings) -> Callable[[SpanContext | None], int] | None:
    """What the standard samplers decide, all by the same rule; none for another sampler."""
    name, _, argument = settings.sampler.partition(":")
    root, by_parent = name.removeprefix("parentbased_"), name.startswith("parentbased_")
    if name not in SAMPLERS:
        return None
    share = {"always_on": 1.0, "always_off": 0.0}.get(root)
    own = TraceIdRatioBased(float(argument or settings.sampler_argument or 1.0) if share is None else share).bound

    def bound(parent: SpanContext | None) -> int:
        if parent is not None and by_parent:
            return ALL if parent.trace_flags & SAMPLED else 0
        return own

    return bound
