"""The set-up at the first use that needs it: API, resource, sampler, propagators, destination.

The SDK's own provider is loaded then where lean spans will not do (``agent.lean``), else once somebody asks for it
(``agent.completion``). A program that makes and serves no call pays for neither.
"""

from __future__ import annotations

import sys

from tracerun.agent import exits, forks, guard, packages, shadows
from tracerun.agent.boot import Process
from tracerun.agent.threads import RLock, monotonic
from tracerun.environment import hidden

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from opentelemetry.propagators.textmap import TextMapPropagator
    from opentelemetry.sdk.trace.sampling import Sampler

    from tracerun.agent.ids import PrivateIdGenerator
    from tracerun.agent.provider import OurProvider
    from tracerun.export.pipeline import Pipeline
    from tracerun.settings import Settings

NOT_YET, UNDER_WAY, READY, IMPOSSIBLE = "not yet", "under way", "ready", "impossible"
SET_UP_TIMEOUT = 10.0
SET_UP = "the set-up of the OpenTelemetry SDK"
_LOCK = RLock()


class State:
    """How far the set-up is, what it made, how long it took; and whether a part of it asked for the provider."""

    phase = NOT_YET
    was_asked = False
    pipeline: Pipeline | None = None
    seconds: float | None = None


def give_up() -> None:
    """In a forked child whose parent was half-way through the set-up: modules that it needs can never be loaded."""
    if State.phase == UNDER_WAY:
        State.phase = IMPOSSIBLE
        line = "this child process is not traced: it was forked while another thread was loading OpenTelemetry"
        guard.say(line, slug="child-not-loading")


def ready() -> bool:
    """Sets the SDK up unless that has been done; whether it can be used.

    True also while it is being set up by this same thread: imports of ours trip our own hooks. Another thread
    waits, though not for ever: it may hold the lock of a module that the set-up has to import.
    """
    first = False
    if State.phase in (NOT_YET, UNDER_WAY) and not sys.is_finalizing() and _LOCK.acquire(timeout=SET_UP_TIMEOUT):
        try:
            if State.phase == NOT_YET:
                State.phase, began = UNDER_WAY, monotonic()
                with forks.loading(), guard.guarded(SET_UP), shadows.out_of_the_way():
                    State.phase = READY if _set_up(Process.settings) else IMPOSSIBLE
                if State.phase == UNDER_WAY:
                    State.phase = IMPOSSIBLE
                first, State.seconds = State.phase == READY, monotonic() - began
                guard.debug("the set-up of the SDK has come to its end in {:.3f} s: {}", State.seconds, State.phase)
        finally:
            _LOCK.release()
    if first and State.was_asked:
        with guard.guarded(SET_UP):
            provide()
    if first:
        with guard.guarded("the search for instrumentation packages"):
            packages.at_first_use()
    return State.phase in (READY, UNDER_WAY)


def provide() -> bool:
    """For who asks for the tracer provider: sets up and loads what there is; whether that has come to its end.

    Raises:
        Exception: What the program's handler of a signal has raised, while the SDK was imported.
    """
    with guard.guarded(SET_UP):
        ready()
    if State.phase != READY:
        State.was_asked = State.phase == UNDER_WAY
        return State.phase == IMPOSSIBLE
    from tracerun.agent import completion, succession  # noqa: PLC0415 - loaded by now

    provider = completion.complete() or succession.SUCCESSION.provider
    if provider is not None:
        succession.be_global(provider)  # the program may have put back what was there before
    return provider is not None or completion.COMPLETION.failed


def _set_up(settings: Settings) -> bool:
    from tracerun.agent import releases  # noqa: PLC0415 - not before somebody needs it

    # The official packages raise where one of these is wrong, or scan every installed distribution at import.
    with hidden(settings.unreadable_for_sdk + _unknown_to_sdk(settings)):
        try:
            releases.load(settings)
            is_lean = _can_be_lean(settings)
            if not is_lean or settings.asks_for_official_setup:
                releases.load_sdk()
        except releases.Unfit as why:
            if Process.is_target:
                guard.say(f"nothing is traced: {why}", slug="opentelemetry-misfit")
            return False
        _make_provider(settings, is_lean=is_lean)
    guard.debug("service {}, sampler {}", State.pipeline and State.pipeline.service, settings.sampler)
    guard.debug("propagators: {}", ", ".join(settings.propagators))
    if "OTEL_PROPAGATORS" in settings.raw and not settings.config_file:
        from opentelemetry.propagate import set_global_textmap  # noqa: PLC0415 - loaded by now

        set_global_textmap(_propagator(settings))
    _prepare_context(settings)
    return True


def _can_be_lean(settings: Settings) -> bool:
    from tracerun.agent import lean  # noqa: PLC0415 - builds on the API

    return lean.is_possible(settings)


def _prepare_context(settings: Settings) -> None:
    """Where the context comes from and where it goes along; what the instrumentation is told."""
    from tracerun.agent import ambient, carrying, child_processes  # noqa: PLC0415 - load the API
    from tracerun.instrumentation import configuration  # noqa: PLC0415 - as above

    for line in configuration.apply(settings):
        if Process.is_target:
            guard.say(line, slug="wrong-setting")
    ambient.inherit(settings)
    carrying.install()
    child_processes.install()


def _unknown_to_sdk(settings: Settings) -> list[str]:
    """Variables with names that no installed package has; said here, once."""
    if not (settings.context or settings.resource_detectors):
        return []
    from tracerun.agent import names  # noqa: PLC0415 - looks into installed packages

    lines = names.unknown_to_sdk(settings)
    for line in lines:
        guard.say(line, slug="unknown-name")
    return [line.partition(":")[0] for line in lines]


def _make_provider(settings: Settings, *, is_lean: bool) -> None:
    from tracerun.agent import lean, resource  # noqa: PLC0415 - build on the API
    from tracerun.agent.ids import CountingIdGenerator, PrivateIdGenerator  # noqa: PLC0415 - as above
    from tracerun.agent.succession import SUCCESSION  # noqa: PLC0415 - as above
    from tracerun.export import pipeline  # noqa: PLC0415

    State.pipeline = pipeline.start(settings, is_target=Process.is_target)
    exits.flush_at_the_end(State.pipeline)
    attributes = resource.attributes(settings)
    State.pipeline.service = str(attributes.get("service.name", ""))
    if settings.asks_for_official_setup and _set_up_officially(settings, State.pipeline, attributes):
        return
    SUCCESSION.ids = ids = CountingIdGenerator() if settings.report else PrivateIdGenerator()
    if is_lean:
        lean.install(State.pipeline, settings, attributes, ids, _made)
        return
    from tracerun.agent import provider  # noqa: PLC0415 - builds on the SDK

    provider.install(_made(resource.with_detected(settings, attributes), ids))


def _made(attributes: dict[str, Any], ids: PrivateIdGenerator) -> OurProvider:
    """A provider of ours, for spans of the SDK's."""
    from tracerun.agent import provider  # noqa: PLC0415 - builds on the SDK
    from tracerun.export import processor  # noqa: PLC0415 - as above

    pipeline, sampler = State.pipeline, _sampler(Process.settings)
    assert pipeline is not None  # noqa: S101 - made before any provider
    ours = processor.of(pipeline)
    return provider.made(
        sampler=sampler, attributes=attributes, ids=ids, processor=ours, after_fork=pipeline.start_over
    )


def _set_up_officially(settings: Settings, pipeline: Pipeline, attributes: dict[str, Any]) -> bool:
    """Leaves the set-up to the official configurator; whether it has done it."""
    from tracerun.agent import provider, resource  # noqa: PLC0415 - builds on the SDK
    from tracerun.export import processor  # noqa: PLC0415 - as above

    try:
        known = resource.with_detected(settings, attributes)
        provider.configure_officially(settings, processor.of(pipeline), known)
    except Exception as error:  # noqa: BLE001 - packages' code; any failure of it means our own set-up
        asked = ", ".join(settings.asks_for_official_setup)
        line = f"{asked}: {guard.first_line(error)}; left out, traces are set up without"
        guard.say(line, slug="official-setup-failed")
        return False
    return True


def _sampler(settings: Settings) -> Sampler:
    from opentelemetry.sdk.trace import sampling  # noqa: PLC0415

    name, _, argument = settings.sampler.partition(":")
    argument = argument or settings.sampler_argument
    known = sampling._KNOWN_SAMPLERS.get(name)
    if known is not None:
        return known(float(argument or 1.0)) if name.endswith("traceidratio") else known  # type: ignore[operator,return-value]
    from tracerun.agent import names  # noqa: PLC0415 - for names off the built-in list only

    try:
        factory = names.load(names.SAMPLER_GROUP, name)
        made = factory(argument or None)
    except Exception as error:  # noqa: BLE001 - a package's code; any failure of it means the default sampler
        guard.say(_why("OTEL_TRACES_SAMPLER", name, names.SAMPLER_GROUP, error), slug="unknown-name")
        return sampling.DEFAULT_ON
    return made if isinstance(made, sampling.Sampler) else sampling.DEFAULT_ON


def _propagator(settings: Settings) -> TextMapPropagator:
    from opentelemetry.baggage.propagation import W3CBaggagePropagator  # noqa: PLC0415
    from opentelemetry.propagators.composite import CompositePropagator  # noqa: PLC0415
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator  # noqa: PLC0415

    from tracerun.agent import names  # noqa: PLC0415

    made: list[TextMapPropagator] = []
    for name in settings.propagators:
        if name == "tracecontext":
            made.append(TraceContextTextMapPropagator())
        elif name == "baggage":
            made.append(W3CBaggagePropagator())
        elif name != "none":
            try:
                made.append(names.load(names.PROPAGATOR_GROUP, name)())
            except Exception as error:  # noqa: BLE001 - a package's code; the other propagators go on
                guard.say(_why("OTEL_PROPAGATORS", name, names.PROPAGATOR_GROUP, error), slug="unknown-name")
    return CompositePropagator([] if "none" in settings.propagators else made)


def _why(variable: str, name: str, group: str, error: Exception) -> str:
    """The line for a name that could not be had: unknown, or known and broken."""
    from tracerun.agent import names  # noqa: PLC0415
    from tracerun.values import PROPAGATORS, SAMPLERS  # noqa: PLC0415

    instead = "left out" if group == names.PROPAGATOR_GROUP else "using parentbased_always_on"
    if isinstance(error, LookupError):
        allowed = PROPAGATORS if group == names.PROPAGATOR_GROUP else SAMPLERS
        return names.unknown(variable, name, group, allowed, instead)
    return f"{variable}: {name} failed to load ({type(error).__name__}: {error}); {instead}"
