"""The SDK's half for traces without the API of metrics, which it imports to measure itself if it is asked to.

That API is a quarter of what this half takes to load. So it, and the SDK's own module that would measure, are
executed only when something is asked of them, as ``importlib.util.LazyLoader`` does it; the SDK, which asks at its
import, is answered by stand-ins for the two names that it needs. For everybody else they are modules as any other.
Source: opentelemetry-sdk, ``opentelemetry.sdk.trace._tracer_metrics``.
"""

from __future__ import annotations

import sys
from _frozen_importlib import _DeadlockError, _ModuleLockManager  # type: ignore[attr-defined]
from _thread import get_ident
from types import ModuleType

from tracerun.agent import forks, hooks
from tracerun.environment import environment

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from importlib.machinery import ModuleSpec
    from typing import Any

# Asks for metrics of the SDK's own spans.
VARIABLE = "OTEL_PYTHON_SDK_INTERNAL_METRICS_ENABLED"
API, MEASURING, TRACE = "opentelemetry.metrics", "opentelemetry.sdk.trace._tracer_metrics", "opentelemetry.sdk.trace"


class MeterProvider:
    """The program's provider of meters, asked for when it is used; stands in annotations, too."""

    def __getattr__(self, name: str) -> Any:
        return getattr(_loaded(API).get_meter_provider(), name)


def _loaded(name: str) -> Any:
    __import__(name)
    return sys.modules[name]


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


# What the SDK is answered with, by module and name.
_STAND_INS: dict[str, dict[str, Any]] = {
    API: {"MeterProvider": MeterProvider},
    MEASURING: {"create_tracer_metrics": _create_tracer_metrics},
}
_under_way: set[str] = set()


class Lazy(ModuleType):
    """A module that has not been executed yet."""

    def __getattr__(self, name: str) -> Any:
        own = self.__name__
        if loading.under_way and name in _STAND_INS[own] and sys._getframe(1).f_globals.get("__name__") == TRACE:
            return _STAND_INS[own][name]
        # Asked by each import (__path__), or by who goes through all modules: those that there are, are there already.
        if name.startswith("__") and name != "__all__":
            raise AttributeError(name)
        if _execute(self):
            return getattr(self, name)
        return ModuleType.__getattribute__(self, name)

    # What somebody puts there is not to be overwritten later.

    def __setattr__(self, name: str, value: Any) -> None:
        _execute(self)
        ModuleType.__setattr__(self, name, value)

    def __delattr__(self, name: str) -> None:
        _execute(self)
        ModuleType.__delattr__(self, name)

    def __dir__(self) -> Any:
        _execute(self)
        return ModuleType.__dir__(self)


def _execute(module: Any) -> bool:
    """Executes a module, once; whether it is one as any other now, and not under way on this very thread."""
    try:
        # The lock of its import, as always: others wait, and the import system knows a deadlock when it sees one.
        with _ModuleLockManager(module.__name__):
            if _is_lazy(module) and module.__name__ not in _under_way:
                _under_way.add(module.__name__)
                try:
                    with forks.loading():  # a child could not go on with half of it
                        module.__spec__.loader.exec_module(module)
                finally:
                    _under_way.discard(module.__name__)
                ModuleType.__setattr__(module, "__class__", ModuleType)
    except _DeadlockError:
        pass
    return not _is_lazy(module)


def _is_lazy(module: Any) -> bool:
    return type(module) is Lazy


class _LazyLoader:
    """A loader that leaves the execution for later."""

    def __init__(self, loader: Any) -> None:
        self._loader = loader

    def create_module(self, spec: ModuleSpec) -> Any:
        return self._loader.create_module(spec)

    def exec_module(self, module: Any) -> None:
        module.__spec__.loader = module.__loader__ = self._loader
        module.__class__ = Lazy


class loading:  # noqa: N801 - used like contextlib's functions
    """``with unmetered.loading():`` the SDK's half for traces is imported without what measures it."""

    under_way = False

    def __init__(self) -> None:
        self._asked: set[tuple[int, str]] = set()

    def __enter__(self) -> None:
        if VARIABLE not in environment() and TRACE not in sys.modules:
            loading.under_way = True
            hooks.FINDER.inner = self

    def __exit__(self, *_: object) -> None:
        loading.under_way = False
        if hooks.FINDER.inner is self:
            hooks.FINDER.inner = None
        if has_taken_place():
            _annotate(sys.modules[TRACE])

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        """The specification that any other finder has, of the two modules (``importlib.abc.MetaPathFinder``)."""
        asked = (get_ident(), name)
        # Another finder may ask all of them again, and so this one.
        if name not in _STAND_INS or asked in self._asked:
            return None
        self._asked.add(asked)
        try:
            spec = hooks.spec_of_others(hooks.FINDER, name, path, target)
        finally:
            self._asked.discard(asked)
        if spec is not None and hasattr(spec.loader, "exec_module"):
            spec.loader = _LazyLoader(spec.loader)  # type: ignore[assignment]
        return spec


def _annotate(trace: Any) -> None:
    """Annotations that name the real class, for who resolves them."""
    for kind in (trace.Tracer, trace.TracerProvider):
        annotations = kind.__init__.__annotations__
        if "meter_provider" in annotations:
            annotations["meter_provider"] = "metrics_api.MeterProvider | None"


def has_taken_place() -> bool:
    """Whether the SDK was loaded so, and is to be given a provider of meters lest it loads the API for one."""
    return getattr(sys.modules.get(TRACE), "create_tracer_metrics", None) is _create_tracer_metrics
