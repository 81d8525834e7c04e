"""Recording spans for our own instrumentors that do without what they never use, and without the SDK.

The SDK's span makes a lock, two lists, a checked copy of its attributes and, at its end, a copy of itself; to load the
SDK takes as long as all else that a traced application needs at its start. These spans (``agent.lean_span``) are made
of the API alone. They stand in for the SDK's only while nothing is asked of the SDK that only its own do: no
processor but ours, the standard limits, a standard sampler. The program's own tracers, and spans with links, are
always the SDK's, which is loaded for them (``agent.completion``).

It is switched on by ``install`` alone: without that call every span is the SDK's, and this file, ``lean_span`` and
``completion`` could go.
Source: OpenTelemetry specification, trace SDK, "Span" and "Sampler".
"""

from __future__ import annotations

import os
from time import time_ns
from typing import TYPE_CHECKING, Any

from opentelemetry.context import get_current
from opentelemetry.trace import NoOpTracer, SpanContext, SpanKind, Tracer
from opentelemetry.trace.propagation import _SPAN_KEY

from tracerun.agent import completion, resource, succession
from tracerun.agent.ambient import AMBIENT, no_span, placed, start_in_place
from tracerun.agent.lean_span import ID_BITS, LOW_HALF, MOST, PLAIN, LeanSpan, UnsampledSpan, checked
from tracerun.agent.succession import SUCCESSION
from tracerun.environment import environment
from tracerun.instrumentation.exclusion import EXCLUDED_KEY
from tracerun.instrumentation.span_context import NO_STATE, SAMPLED, parts_of, valid_context
from tracerun.values import SAMPLERS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from opentelemetry.context import Context
    from opentelemetry.trace import TracerProvider

    from tracerun.agent.ids import PrivateIdGenerator
    from tracerun.agent.provider import OurProvider
    from tracerun.export.pipeline import Pipeline
    from tracerun.settings import Settings

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
# Above every number that a share of the traces is told by.
ALL = LOW_HALF + 1
BY_PARENT = "parentbased_"
_new = object.__new__


class _Source:
    """What the encoders read of the SDK's resource, or of its scope, while the SDK is not loaded."""

    def __init__(
        self, attributes: Mapping[str, Any], schema_url: str | None, name: str = "", version: str = ""
    ) -> None:
        self.attributes, self.schema_url, self.name, self.version = attributes, schema_url, name, version


class _Lean:
    """Where lean spans go, and how it is decided which are made; set while there are any.

    Attributes:
        pipeline: Takes the spans; none while there are no lean ones.
        take: Called with each lean span that ends.
        ids: Where ids come from.
        bound: A span is sampled whose trace id is below it: 0 for none.
        by_parent: Whether that is decided of spans without a parent alone, and others follow theirs.
        counts: Whether it is counted how many spans are sampled.
        resource: Of the process, as long as the SDK is not loaded.
        tracers: All that were made, by name.
        process: Whose ids and resource these are.
    """

    take: Callable[[Any], None]
    ids: PrivateIdGenerator

    def __init__(self) -> None:
        self.pipeline: Pipeline | None = None
        self.bound = self.process = 0
        self.by_parent = self.counts = False
        self.resource: Any = None
        self.tracers: dict[str, LeanTracer] = {}


# An object, as other state that each request reads: before Python 3.12 reading an attribute of a class takes longer.
LEAN = _Lean()


class LeanTracer(Tracer):
    """A tracer of one of our instrumentors.

    Attributes:
        name: As the next two, of its instrumentation scope.
        version: As above.
        schema_url: As above.
        official: Makes the spans that are not lean: of the SDK, or of the program's provider; none until there is one.
    """

    def __init__(self, name: str, version: str, schema_url: str | None) -> None:
        self.name, self.version, self.schema_url = name, version, schema_url
        self._instrumentation_scope: Any = _Source({}, schema_url, name, version)
        self.official: Tracer | None = None

    @property
    def resource(self) -> Any:
        """Of the process."""
        provider = completion.COMPLETION.provider
        return LEAN.resource if provider is None else provider.resource

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
        return start_in_place(self._official().start_span, name, context, kind, attributes, *args, **kwargs)

    def start_as_current_span(self, *args: Any, **kwargs: Any) -> Any:
        """As the SDK's, whose spans these are: no instrumentor of ours asks for one."""
        return self._official().start_as_current_span(*args, **kwargs)

    def _official(self) -> Tracer:
        if self.official is None:
            provider = SUCCESSION.successor or completion.complete()
            if provider is None:
                return NoOpTracer()
            self.official = provider.get_tracer(self.name, self.version, schema_url=self.schema_url)
        return self.official

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
        if pipeline is None:
            return None
        parent, trace_id, bound = None, 0, LEAN.bound
        if current or AMBIENT.span is not None:
            if EXCLUDED_KEY in current:
                return no_span(current)
            parent, trace_id, bound = _belonging(current if AMBIENT.span is None else placed(current, kind))
        # Drawn also where nobody may ask for them: a fork shows at the generator, and both sides have the same ids.
        if parent is not None:
            bits = LEAN.ids.generate_span_id()
        else:
            bits = LEAN.ids.generate_id_bits()
            trace_id = (bits >> ID_BITS or 1) if bound else 0
        if trace_id & LOW_HALF < bound:
            span = self._sampled(pipeline, parent, trace_id, bits & LOW_HALF or 1)
            span._name, span._kind, span._attributes = name, kind, _as_kept(attributes_of(*args))
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

    def on_end(self, span: LeanSpan) -> None:
        """A span has ended; to our own processor, or to all of them where there are more by now."""
        LEAN.take(span)


def is_possible(settings: Settings) -> bool:
    """Whether nothing speaks against lean spans; asked once the API is loaded."""
    return not (
        any(name in settings.values for name in LIMITS)
        or METRICS in environment()
        or settings.resource_detectors
        or settings.sampler.partition(":")[0] not in SAMPLERS
        or succession.has_begun()
    )


def install(
    pipeline: Pipeline,
    settings: Settings,
    attributes: dict[str, Any],
    ids: PrivateIdGenerator,
    make: Callable[..., OurProvider],
) -> None:
    """Has our instrumentors' tracers make lean spans, and the SDK wait until somebody asks for it.

    Args:
        pipeline: Where the spans go.
        settings: Of this process.
        attributes: Of its resource.
        ids: Where ids come from.
        make: Makes a provider of the SDK's of a resource's attributes and a generator of ids, once it is asked for.
    """
    LEAN.pipeline, LEAN.take, LEAN.ids = pipeline, pipeline.take, ids
    LEAN.bound, LEAN.counts = _bound(settings), bool(settings.report)
    LEAN.by_parent = settings.sampler.startswith(BY_PARENT)
    LEAN.resource, LEAN.process = _Source(attributes, ""), os.getpid()
    LEAN.ids.on_unseen_fork = lambda: _see_unseen_fork(pipeline)
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=_start_over)
    SUCCESSION.tracer_of = tracer_of
    succession.watch(_hand_over)
    completion.wait(lambda: make(LEAN.resource.attributes, LEAN.ids), _adopt)


def tracer_of(name: str, version: str, schema_url: str | None) -> Tracer:
    """An instrumentor's tracer; the program's or the SDK's, where those have taken over."""
    official = completion.COMPLETION.provider
    ids: Any = LEAN.ids if official is None else official.id_generator  # the program may put another one there
    if SUCCESSION.successor is not None or ids is not LEAN.ids:
        return succession.of_the_global_provider(name, version, schema_url)
    made = LEAN.tracers.setdefault(name, LeanTracer(name, version, schema_url))
    if completion.COMPLETION.provider is not None:
        _describe(made)
    return made


def _adopt(provider: OurProvider) -> None:
    """The SDK is loaded: lean spans, also those that are open, are spans of its own from here on."""
    from opentelemetry.sdk.trace import Span  # noqa: PLC0415 - loaded by now

    provider.on_processor = lambda: _stop(provider)
    LeanSpan.__bases__ = (Span,)
    # In this order: other threads may ask for tracers, for the provider, or for what only the SDK's span has.
    completion.COMPLETION.provider = provider
    for tracer in list(LEAN.tracers.values()):
        _describe(tracer)
    programs = succession.be_global(provider)
    if programs is not None:
        LEAN.pipeline = None
        provider.hand_over(programs)


def _describe(tracer: LeanTracer) -> None:
    """Gives a tracer the SDK's own description of itself."""
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope  # noqa: PLC0415 - loaded by now

    tracer._instrumentation_scope = InstrumentationScope(tracer.name, tracer.version, tracer.schema_url)


def _stop(provider: OurProvider) -> None:
    """The program has added a processor: from here on it gets to see all spans, as the SDK makes them."""
    LEAN.pipeline, LEAN.take = None, provider._active_span_processor.on_end


def _hand_over(successor: TracerProvider) -> None:
    """From now on spans are made by the program's provider, also by the tracers that are in use."""
    LEAN.pipeline = None
    if completion.COMPLETION.provider is not None:
        completion.COMPLETION.provider.hand_over(successor)


def _start_over() -> None:
    """In a forked child: ids and a resource of its own. The SDK's provider, where there is one, sees to that itself.

    Once: a span that begins in another handler of the fork comes first.
    """
    if completion.COMPLETION.provider is None and LEAN.process != os.getpid():
        LEAN.process = os.getpid()
        LEAN.resource = _Source({**LEAN.resource.attributes, **resource.of_process()}, "")
        LEAN.ids.reseed()


def _see_unseen_fork(pipeline: Pipeline) -> None:
    """The same, in a child that was forked past Python: what ``os.register_at_fork`` would have done."""
    try:
        pipeline.start_over()
    finally:
        _start_over()


def _copy_of(attributes: Mapping[str, Any] | None) -> dict[str, Any]:
    return {} if attributes is None else attributes.copy()  # type: ignore[attr-defined]


def _as_kept(own: dict[str, Any]) -> Any:
    """A span's attributes, as they are where they need no check."""
    return own if len(own) <= MOST and PLAIN.issuperset(map(type, own.values())) else checked(own)


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


def _bound(settings: Settings) -> int:
    """Below which number in its id's lower half a standard sampler takes a trace (specification: TraceIdRatioBased)."""
    name, _, argument = settings.sampler.partition(":")
    known = {"always_on": 1.0, "always_off": 0.0}.get(name.removeprefix(BY_PARENT))
    return round(ALL * (float(argument or settings.sampler_argument or 1.0) if known is None else known))
