"""Our tracer provider: the official SDK's, as the global one that the program may still replace.

Source: OpenTelemetry specification, trace API ("TracerProvider") and SDK.
"""

from __future__ import annotations

import os
from functools import partial, update_wrapper
from types import FunctionType
from typing import TYPE_CHECKING, Any

from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, Tracer, TracerProvider
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.util.instrumentation import InstrumentationInfo

from tracerun.agent import shadows, succession
from tracerun.agent.ambient import start_in_place
from tracerun.agent.ids import PrivateIdGenerator
from tracerun.agent.resource import of_process
from tracerun.agent.succession import SUCCESSION
from tracerun.agent.threads import allocate_lock

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.context import Context
    from opentelemetry.sdk.trace.sampling import Sampler
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope

    from tracerun.settings import Settings

_PYQWEST = "pyqwest"
# From 1.44 on the SDK gives a forked child's provider a new resource itself.
HANDLES_FORKS = hasattr(TracerProvider, "_handle_fork")
IdGenerator.register(PrivateIdGenerator)


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
        return start_in_place(start, name, context, kind, *args, **kwargs)


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
        return start_in_place(partial(original, self), name, context, kind, *args, **kwargs)

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


class OurProvider(TracerProvider):
    """The SDK's provider, with tracers that can be switched over and a resource that is right after a fork.

    Attributes:
        on_processor: Called where a processor is added.
    """

    on_processor: Callable[[], None] | None = None

    def __init__(self, **options: Any) -> None:
        self._given: dict[InstrumentationScope, Tracer] = {}
        super().__init__(**options)
        if not HANDLES_FORKS and hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._handle_fork)

    def get_tracer(self, *args: Any, **kwargs: Any) -> trace.Tracer:
        """The SDK's tracer for a scope, or the successor's once there is one."""
        successor = SUCCESSION.successor
        if successor is not None:
            return successor.get_tracer(*args, **kwargs)
        if _PYQWEST in (*args[:1], kwargs.get("instrumenting_module_name")):
            return _pyqwest_tracer()
        tracer: trace.Tracer = _get_tracer(self, *args, **kwargs)
        if type(tracer) is not Tracer:
            return tracer
        # Of the tracer, not of its class, where it would take longer to read; before that is one that reads it.
        tracer.successor = None  # type: ignore[attr-defined]
        tracer.__class__ = SwitchableTracer
        # Releases before 1.41 make a new tracer at each call.
        return self._given.setdefault(tracer._instrumentation_scope, tracer)

    def add_span_processor(self, span_processor: SpanProcessor) -> None:
        """As the SDK's."""
        super().add_span_processor(span_processor)
        if self.on_processor is not None:
            self.on_processor()

    def _handle_fork(self) -> None:
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

    def hand_over(self, successor: trace.TracerProvider) -> None:
        """From now on spans are made by another provider; also by the tracers that are in use."""
        _place_spans_of_others()
        for scope, tracer in list(self._given.items()):
            if isinstance(tracer, SwitchableTracer):
                tracer.successor = successor.get_tracer(
                    scope.name, scope.version, schema_url=scope.schema_url, attributes=scope.attributes
                )


def made(
    *,
    sampler: Sampler,
    attributes: dict[str, Any],
    ids: PrivateIdGenerator,
    processor: SpanProcessor,
    after_fork: Callable[[], None],
) -> OurProvider:
    """Makes a provider.

    Args:
        sampler: Of the provider.
        attributes: Of its resource.
        ids: Where ids come from.
        processor: Gets every span.
        after_fork: What else a child has to do that was forked past Python.
    """
    provider = OurProvider(sampler=sampler, resource=Resource(attributes), shutdown_on_exit=False, id_generator=ids)
    provider.add_span_processor(processor)

    def on_unseen_fork() -> None:
        try:
            after_fork()
        finally:
            provider._handle_fork()  # sets the mark anew

    ids.on_unseen_fork = on_unseen_fork
    return provider


def install(provider: OurProvider) -> None:
    """Makes a provider the global one, so that the program's ``set_tracer_provider`` still works once."""
    if succession.be_global(provider) is None:
        succession.watch(provider.hand_over)
    else:
        _place_spans_of_others()


def configure_officially(settings: Settings, processor: SpanProcessor, attributes: dict[str, Any]) -> None:
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
    OpenTelemetryConfigurator().configure(resource_attributes=attributes)  # type: ignore[no-untyped-call]
    provider = trace.get_tracer_provider()
    if not named and isinstance(provider, TracerProvider):
        provider.add_span_processor(processor)
