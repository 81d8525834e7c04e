"""The program instruments itself (``RequestsInstrumentor().instrument()``): each operation is exported once.

Its own call counts, with the hooks and options that it passes: for a library of ours ours stands back, and a package
that we have activated is activated anew as the program says.
"""

from __future__ import annotations

import sys
from _thread import get_ident
from functools import update_wrapper

from tracerun.agent import guard
from tracerun.entrypoints import normalised
from tracerun.instrumentation.upstream import STAND_BACK

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any

    from tracerun.agent.libraries import Watched

_PACKAGES = "opentelemetry.instrumentation."
_WHAT = "giving way to the program's own instrumentation"
# Said once for each class, however often a program calls it.
_SAID: set[str] = set()


def on_import(module: ModuleType) -> None:
    """Patches the two modules of opentelemetry-instrumentation through which all of it goes."""
    if module.__name__.endswith(".utils"):
        from tracerun.instrumentation import lending  # noqa: PLC0415 - needs the API, which that module has loaded

        name = "_start_internal_or_server_span"
        if hasattr(module, name):
            setattr(module, name, lending.lending(getattr(module, name)))
        return
    base = module.BaseInstrumentor
    base.instrument = _instrumenting(base.instrument)
    base.uninstrument = _uninstrumenting(base.uninstrument)


def _instrumenting(original: Any) -> Any:
    def instrument(self: Any, **kwargs: Any) -> Any:
        with guard.guarded(_WHAT):
            _give_way(self)
        return original(self, **kwargs)

    return update_wrapper(instrument, original)


def _uninstrumenting(original: Any) -> Any:
    def uninstrument(self: Any, **kwargs: Any) -> Any:
        result = original(self, **kwargs)
        with guard.guarded(_WHAT):
            for watched in _libraries(self):
                if watched.reason == _reason(self):
                    watched.take_up()
        return result

    return update_wrapper(uninstrument, original)


def _give_way(instrumentor: Any) -> None:
    upstream = sys.modules.get("tracerun.agent.upstream")
    if upstream is not None:
        if get_ident() in upstream.ACTIVATING:
            return
        upstream.leave_to_program(instrumentor)
    for watched in _libraries(instrumentor):
        if watched.state not in ("disabled", "conflict"):
            watched.stand_back(_reason(instrumentor))
            _say_once(
                f"{watched.library.name} is left to the program, which calls {type(instrumentor).__name__} itself"
            )


def _reason(instrumentor: Any) -> str:
    return f"the program calls {type(instrumentor).__name__} itself"


def _say_once(line: str) -> None:
    if line not in _SAID:
        _SAID.add(line)
        guard.say(line, slug="left-to-program")


def _libraries(instrumentor: Any) -> list[Watched]:
    """The libraries of ours that a package's class instruments, and that stand back for it."""
    from tracerun.agent.libraries import WATCHED  # noqa: PLC0415 - it is what loads this module

    kinds = [kind.__name__ for kind in type(instrumentor).__mro__ if kind.__module__.startswith(_PACKAGES)]
    name = next((STAND_BACK[kind] for kind in kinds if kind in STAND_BACK), None)
    return [watched for watched in WATCHED if normalised(watched.library.name) == name]
