"""Our tracer provider: the official SDK's, as the global one that the program may still replace.

Source: OpenTelemetry specification, trace API ("TracerProvider") and SDK.
"""

from __future__ import annotations

import os
from functools import update_wrapper
from random import Random
from types import FunctionType
from typing import TYPE_CHECKING, Any

from opentelemetry import trace
from opentelemetry.context import get_current
from opentelemetry.sdk.trace import SpanProcessor, Tracer, TracerProvider
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.util.instrumentation import InstrumentationInfo

from tracerun.agent import guard, shadows
from tracerun.agent.ambient import AMBIENT, with_parent
from tracerun.agent.forkmark import mark
from tracerun.agent.resource import of_process
from tracerun.agent.threads import RLock, allocate_lock
from tracerun.instrumentation.exclusion import EXCLUDED_KEY

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.context import Context
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace.sampling import Sampler
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope

    from tracerun.settings import Settings


_PYQWEST = "pyqwest"
# From 1.44 on the SDK gives a forked child's provider a new resource itself.
HANDLES_FORKS = hasattr(TracerProvider, "_handle_fork")


class PrivateIdGenerator(IdGenerator):
    """Random ids from a generator of our own: a program that seeds ``random`` must draw what it draws plain.

    It does not claim the W3C *random* flag: receivers that know only version 00's sampled flag reject it.
    """

    def __init__(self) -> None:
        self.on_unseen_fork: Callable[[], None] = self.reseed
        # uWSGI forks in C, past os.register_at_fork: the first span of such a child is where it shows.
        self._mark = mark()
        self._lock = RLock()
        self.reseed()

    def generate_span_id(self) -> int:
        """64 random bits, never all zero."""
        if not self._mark[0]:
            self._see_fork()
        return self._bits(64) or 1

    def generate_trace_id(self) -> int:
        """128 random bits, never all zero."""
        if not self._mark[0]:
            self._see_fork()
        return self._bits(128) or 1

    def generate_id_bits(self) -> int:
        """192 random bits: a trace id above a span id, either of which may be all zero."""
        if not self._mark[0]:
            self._see_fork()
        return self._bits(192)

    def _see_fork(self) -> None:
        with self._lock:  # the child may have several threads by now
            if not self._mark[0]:
                self.on_unseen_fork()

    def reseed(self) -> None:
        """At the start and after a fork: two processes must not draw the same ids."""
        self._bits = Random(os.urandom(16)).getrandbits  # noqa: S311 - ids, not secrets
        self._mark[0] = 1  # last: whoever sees it draws the new ids


class CountingIdGenerator(PrivateIdGenerator):
    """Knows how many spans this process has begun, sampled or not: each asks for an id."""

    started = 0

    def generate_span_id(self) -> int:
        """The same, counted."""
        self.started += 1
        return super().generate_span_id()

    def generate_id_bits(self) -> int:
        """The same, counted."""
        self.started += 1
        return super().generate_id_bits()

    def reseed(self) -> None:
        """The same; a forked process has begun none."""
        self.started = 0
        super().reseed()


class SwitchableTracer(Tracer):
    """A tracer of ours that hands over to the program's provider, once it has set one."""

    successor: trace.Tracer | None

    def start_span(
        self,
        name: str,
        context: Context | None = None,
        kind: trace.SpanKind = trace.SpanKind.INTERNAL,
        *args: Any,
        **kwargs: Any,
    ) -> trace.Span:
        """As the SDK's, or as the successor's; placed where it belongs in this process."""
        start = super().start_span if self.successor is None else self.successor.start_span
        current = get_current() if context is None else context
        if EXCLUDED_KEY in current:
            return no_span(current)
        return start(name, placed(current, kind), kind, *args, **kwargs)


def no_span(context: Context) -> trace.Span:
    """What stands for a span where all is left out."""
    return trace.NonRecordingSpan(trace.get_current_span(context).get_span_context())


def placed(context: Context, kind: trace.SpanKind) -> Context:
    """A new span's context, with the parent that this process has for spans without one."""
    if AMBIENT.span is None or kind is trace.SpanKind.SERVER:
        return context
    return with_parent(context)


def _place_spans_of_others() -> None:
    """The same for the SDK's tracers that are not ours, of the official configurator or the program's provider."""
    original = Tracer.start_span

    def start_span(
        self: Tracer,
        name: str,
        context: Context | None = None,
        kind: trace.SpanKind = trace.SpanKind.INTERNAL,
        *args: Any,
        **kwargs: Any,
    ) -> trace.Span:
        current = get_current() if context is None else context
        if EXCLUDED_KEY in current:
            return no_span(current)
        return original(self, name, placed(current, kind), kind, *args, **kwargs)

    if not hasattr(original, "__wrapped__"):
        Tracer.start_span = update_wrapper(start_span, original)  # type: ignore[method-assign]


def _without_warnings(method: Any) -> Any:
    """A method of the SDK's that leaves ``warnings`` alone.

    Each ``get_tracer`` puts a filter before the program's own, for a deprecated class that it makes itself;
    whereupon Python forgets which of the program's warnings it has shown already.
    """
    init = InstrumentationInfo.__init__

    def info(*arguments: Any) -> InstrumentationInfo:
        made = object.__new__(InstrumentationInfo)
        getattr(init, "__wrapped__", init)(made, *arguments)
        return made

    names = {**method.__globals__, "filterwarnings": lambda *_, **__: None, "InstrumentationInfo": info}
    return FunctionType(method.__code__, names, method.__name__, method.__defaults__, method.__closure__)


_get_tracer = _without_warnings(TracerProvider.get_tracer)


def _pyqwest_tracer() -> trace.Tracer:
    """The tracer of a library that traces itself, and knows nothing of what is not to be in a span."""
    from tracerun.agent import libraries  # noqa: PLC0415 - which has loaded this module

    (watched,) = (watched for watched in libraries.WATCHED if watched.library.name == _PYQWEST)
    if watched.state == libraries.DISABLED:
        return trace.NoOpTracer()
    with shadows.out_of_the_way():
        from tracerun.instrumentation.pyqwest import PyqwestTracer  # noqa: PLC0415 - only where it is used
    return PyqwestTracer()


def _switchable(_: str) -> type[SwitchableTracer]:
    return SwitchableTracer


class OurProvider(TracerProvider):
    """The SDK's provider, with tracers that can be switched over and a resource that is right after a fork.

    Attributes:
        kind_of_tracer: Gives the class of the tracers of a scope, by its name.
        on_processor: Called where a processor is added.
    """

    kind_of_tracer: Callable[[str], type[SwitchableTracer]] = staticmethod(_switchable)
    on_processor: Callable[[], None] | None = None

    def __init__(self, **options: Any) -> None:
        self._given: dict[InstrumentationScope, Tracer] = {}
        super().__init__(**options)
        if not HANDLES_FORKS and hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._handle_fork)

    def get_tracer(self, *args: Any, **kwargs: Any) -> trace.Tracer:
        """The SDK's tracer for a scope, or the successor's once there is one."""
        successor = _Global.successor
        if successor is not None:
            return successor.get_tracer(*args, **kwargs)
        if _PYQWEST in (*args[:1], kwargs.get("instrumenting_module_name")):
            return _pyqwest_tracer()
        tracer: trace.Tracer = _get_tracer(self, *args, **kwargs)
        if type(tracer) is not Tracer:
            return tracer
        # Of the tracer, not of its class, where it would take longer to read; before that is one that reads it.
        tracer.successor = None  # type: ignore[attr-defined]
        ours = isinstance(tracer.id_generator, PrivateIdGenerator)  # the program may put another one there
        kind = self.kind_of_tracer if ours else _switchable
        tracer.__class__ = kind(tracer._instrumentation_scope.name)
        # Releases before 1.41 make a new tracer at each call.
        return self._given.setdefault(tracer._instrumentation_scope, tracer)

    def add_span_processor(self, span_processor: SpanProcessor) -> None:
        """As the SDK's."""
        super().add_span_processor(span_processor)
        if self.on_processor is not None:
            self.on_processor()

    def _handle_fork(self) -> None:
        from opentelemetry.sdk.resources import Resource  # noqa: PLC0415 - loaded by now

        # Not the SDK's own handler: it asks detectors on a thread pool, while that still has the locks of the
        # parent's fork, and a daemon's second fork hung there for ever.
        if HANDLES_FORKS:
            self._tracers_lock = allocate_lock()
        if isinstance(self.id_generator, PrivateIdGenerator):
            self.id_generator.reseed()
        self._update_resource(Resource(of_process()))

    def _update_resource(self, resource: Resource) -> None:
        self._resource = self._resource.merge(resource)
        for tracer in list(self._given.values()):
            tracer.resource = self._resource

    def watch_unseen_forks(self, after_fork: Callable[[], None]) -> None:
        """Has a child that was forked past Python do what ``os.register_at_fork`` would have done."""
        generator = self.id_generator
        if isinstance(generator, PrivateIdGenerator):

            def on_unseen_fork() -> None:
                try:
                    after_fork()
                finally:
                    self._handle_fork()  # sets the mark anew

            generator.on_unseen_fork = on_unseen_fork

    def hand_over(self, successor: trace.TracerProvider) -> None:
        """From now on spans are made by another provider; also by the tracers that are in use."""
        for scope, tracer in list(self._given.items()):
            if isinstance(tracer, SwitchableTracer):
                tracer.successor = successor.get_tracer(
                    scope.name, scope.version, schema_url=scope.schema_url, attributes=scope.attributes
                )


class _Global:
    provider: OurProvider | None = None
    successor: trace.TracerProvider | None = None


def started() -> int | None:
    """How many spans have begun in this process, where that is counted."""
    ours = _Global.provider
    return getattr(ours.id_generator, "started", None) if ours is not None and _Global.successor is None else None


def install(
    *,
    sampler: Sampler,
    resource: Resource,
    processor: SpanProcessor,
    after_fork: Callable[[], None],
    counting: bool = False,
) -> OurProvider | None:
    """Makes the provider and sets it globally, so that the program's ``set_tracer_provider`` still works once.

    Args:
        sampler: Of the provider.
        resource: Of the provider.
        processor: Gets every span.
        after_fork: What else a child has to do that was forked past Python.
        counting: Whether all spans that begin are counted, for the report.

    Returns:
        The provider, where it is the global one.
    """
    ids = CountingIdGenerator() if counting else PrivateIdGenerator()
    provider = OurProvider(sampler=sampler, resource=resource, shutdown_on_exit=False, id_generator=ids)
    provider.add_span_processor(processor)
    provider.watch_unseen_forks(after_fork)
    if trace._TRACER_PROVIDER is not None:
        # The program was first (a sitecustomize, say): its provider stays, and ours stands aside.
        _Global.successor = trace._TRACER_PROVIDER
        _place_spans_of_others()
        line = "the program has a tracer provider of its own; spans go where that one sends them"
        guard.say(line, slug="own-provider")
        return None
    _Global.provider = provider
    # Not through set_tracer_provider: that one can be called only once, and the call is the program's.
    trace._TRACER_PROVIDER = provider
    _watch_for_successor()
    return provider


def _watch_for_successor() -> None:
    original = trace._set_tracer_provider

    def set_tracer_provider(tracer_provider: trace.TracerProvider, log: bool) -> None:
        original(tracer_provider, log)
        with guard.guarded("handing over to the program's tracer provider"):
            ours, current = _Global.provider, trace._TRACER_PROVIDER
            if ours is not None and current is not None and current is not ours and _Global.successor is None:
                _Global.successor = current
                _place_spans_of_others()
                ours.hand_over(current)
                line = "the program has set a tracer provider of its own; spans go where that one sends them"
                guard.say(line, slug="own-provider")

    trace._set_tracer_provider = set_tracer_provider


def configure_officially(settings: Settings, processor: SpanProcessor, resource: Resource) -> None:
    """Leaves the whole set-up to the official configurator, for what it has and we have not.

    Our own destination is added only where the environment names no exporter of traces, which the official
    one would then not export at all.
    """
    from opentelemetry.distro import OpenTelemetryConfigurator  # noqa: PLC0415 - only where asked for

    _place_spans_of_others()
    if settings.configurator:
        from tracerun.agent import names  # noqa: PLC0415 - as above

        names.load("opentelemetry_configurator", settings.configurator)().configure()
        return
    if settings.config_file:
        OpenTelemetryConfigurator().configure()  # type: ignore[no-untyped-call]
        return
    named = "OTEL_TRACES_EXPORTER" in settings.raw and "OTEL_TRACES_EXPORTER" not in settings.unreadable_for_sdk
    OpenTelemetryConfigurator().configure(resource_attributes=dict(resource.attributes))  # type: ignore[no-untyped-call]
    provider = trace.get_tracer_provider()
    if not named and isinstance(provider, TracerProvider):
        provider.add_span_processor(processor)
