"""The SDK's half for traces without the API of metrics, which it imports to measure itself if it is asked to.

That API is a quarter of what this half takes to load. So while it loads, that API and the SDK's own module that would
measure have stand-ins, which give way to the real modules as soon as anything is asked of them; afterwards
neither is in ``sys.modules``, and whoever imports them gets the real ones.
Source: opentelemetry-sdk, ``opentelemetry.sdk.trace._tracer_metrics``.
"""

from __future__ import annotations

import sys
from types import ModuleType

from tracerun.environment import environment

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

# Asks for metrics of the SDK's own spans.
VARIABLE = "OTEL_PYTHON_SDK_INTERNAL_METRICS_ENABLED"
API, MEASURING, TRACE = "opentelemetry.metrics", "opentelemetry.sdk.trace._tracer_metrics", "opentelemetry.sdk.trace"


class _StandIn(ModuleType):
    """A module that is loaded when something is asked of it."""

    def __getattr__(self, name: str) -> Any:
        if name == "__path__" and self.__name__ == MEASURING:  # asked at each import; no package
            raise AttributeError(name)
        _give_way(self)
        return getattr(_loaded(self.__name__), name)


def _loaded(name: str) -> Any:
    __import__(name)
    return sys.modules[name]


def _give_way(module: ModuleType) -> None:
    if sys.modules.get(module.__name__) is module:
        del sys.modules[module.__name__]


class MeterProvider:
    """The program's provider of meters, asked for when it is used."""

    def __getattr__(self, name: str) -> Any:
        return getattr(_loaded(API).get_meter_provider(), name)


class _NotMeasuring:
    """As the SDK's of that purpose."""

    def start_span(self, *_: object, **__: object) -> Callable[[], None]:
        return _nothing

    def __getattr__(self, name: str) -> Any:
        return getattr(_loaded(MEASURING).NoOpTracerMetrics(), name)


def _nothing() -> None:
    pass


def _create_tracer_metrics(meter_provider: Any = None, enabled: Any = None, **more: Any) -> Any:
    if enabled is False and not more:
        return _NotMeasuring()
    return _loaded(MEASURING).create_tracer_metrics(meter_provider, enabled, **more)


class loading:  # noqa: N801 - used like contextlib's functions
    """``with unmetered.loading():`` the SDK's half for traces is imported without what measures it."""

    __slots__ = ("_stand_ins",)

    def __enter__(self) -> None:
        self._stand_ins: list[ModuleType] = []
        if VARIABLE in environment() or not sys.modules.keys().isdisjoint((API, MEASURING, TRACE)):
            return
        api, measuring = _StandIn(API), _StandIn(MEASURING)
        # For annotations, which are looked at as the module is loaded.
        vars(api)["MeterProvider"] = MeterProvider
        vars(measuring)["create_tracer_metrics"] = _create_tracer_metrics
        self._stand_ins += (api, measuring)
        sys.modules.update({API: api, MEASURING: measuring})

    def __exit__(self, *_: object) -> None:
        for module in self._stand_ins:
            _give_way(module)
            vars(module).pop("MeterProvider", None)
        if self._stand_ins and TRACE in sys.modules:
            _annotate(sys.modules[TRACE])


def _annotate(trace: Any) -> None:
    """Annotations that name the real class, for who resolves them."""
    for kind in (trace.Tracer, trace.TracerProvider):
        annotations = kind.__init__.__annotations__
        if "meter_provider" in annotations:
            annotations["meter_provider"] = "metrics_api.MeterProvider | None"


def has_taken_place() -> bool:
    """Whether the SDK was loaded so, and is to be given a provider of meters lest it loads the API for one."""
    return isinstance(getattr(sys.modules.get(TRACE), "metrics_api", None), _StandIn)
