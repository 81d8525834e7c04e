"""Other people's instrumentations in this process: each activated once its library has been imported.

Loaded only where there are some (`packages.py`). Nothing of opentelemetry-instrumentation is imported before a library
is that it instruments; what has no library, or the standard library, is activated after the SDK's set-up.
"""

from __future__ import annotations

import sys
from _frozen_importlib_external import PathFinder
from _thread import get_ident

from tracerun import entrypoints
from tracerun.agent import guard, hooks, patience
from tracerun.agent.boot import Process
from tracerun.agent.threads import monotonic
from tracerun.instrumentation.catalog import CATALOG
from tracerun.instrumentation.upstream import TRIGGERS, has_nothing_to_give, is_ours

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import ModuleType
    from typing import Any

    from tracerun.entrypoints import Instrumentor

WAITING, ACTIVE, LEFT_OUT = "waiting", "active", "left out"
# The threads that activate something for us, as against a program that does it itself.
ACTIVATING: set[int] = set()


class Unfit(Exception):  # noqa: N818 - what it is, not that it is an error
    """The package cannot instrument what is installed; the message says why."""


class Activation:
    """One entry point in this process.

    Attributes:
        found: The entry point.
        state: One of the words above.
        why: Why it is left out, where that was said.
        at: When it was activated, by the monotonic clock.
    """

    __slots__ = ("at", "found", "state", "why")

    def __init__(self, found: Instrumentor) -> None:
        self.found = found
        self.state = WAITING
        self.why = ""
        self.at = 0.0

    def on_import(self, module: ModuleType) -> None:
        """The library's code has run."""
        spec = getattr(module, "__spec__", None)
        if spec is not None:
            # True by now, and said here already: other threads need not wait for this import.
            spec._initializing = False
        self.activate()

    def activate(self) -> None:
        """Loads the package and has it instrument its library, once."""
        from tracerun.agent import sdk  # noqa: PLC0415 - OpenTelemetry is loaded here

        # The set-up of the SDK may have come by here itself.
        if self.state != WAITING or sys.is_finalizing() or not sdk.ready() or self.state != WAITING:
            return
        self.state = LEFT_OUT
        if patience.call(self._try):
            what = f"has not come to its end within {patience.LIMIT:g} s; the program goes on without it"
            self.why = what
            guard.say(f"{self} {what}", slug="instrumentation-slow")

    def _try(self) -> None:
        try:
            self._instrument()
        except Unfit as why:
            self.why = str(why)
            guard.say(f"{self} is left out: {why}", slug="instrumentation-left-out")
        except BaseException as error:  # noqa: BLE001 - also what would end the program, or this thread silently
            what = f"failed ({type(error).__name__}: {guard.first_line(error)}); the program is not affected"
            self.why = what
            guard.say(f"{self} {what}", slug="instrumentation-failed")

    def __str__(self) -> str:
        return f"the instrumentation {self.found.name} of {self.found.package}"

    def _instrument(self) -> None:
        from tracerun.agent import shadows  # noqa: PLC0415 - as above

        if not self.found.target:
            raise Unfit("its entry point cannot be read")
        with shadows.out_of_the_way():
            conflict = entrypoints.conflict(self.found.folder, _version_of)
            if conflict:
                raise Unfit(conflict)
            instrumentor = _loaded(self.found.target)()
            if getattr(instrumentor, "is_instrumented_by_opentelemetry", False):
                return  # the program was first
            ACTIVATING.add(get_ident())
            try:
                instrumentor.instrument(skip_dep_check=True)
            finally:
                ACTIVATING.discard(get_ident())
        self.state, self.at = ACTIVE, monotonic()
        guard.debug("{} is active", self)


ACTIVATIONS: list[Activation] = []


def wait_for(found: list[Instrumentor], first: str) -> None:
    """Has each that is to be activated wait for its library.

    Args:
        found: The entry points.
        first: The module that is about to be imported. What waits for one that is there already is activated after
            this one, because now the import system's lock is held, without which no other thread can import.
    """
    for instrumentor in found:
        with guard.guarded(f"the instrumentation of {instrumentor.package}"):
            activation = Activation(instrumentor)
            ACTIVATIONS.append(activation)
            triggers = _triggers(instrumentor)
            if triggers is None or not _is_wanted(instrumentor):
                activation.state = LEFT_OUT
                guard.debug("{} is not activated: {}", activation, _why_not(triggers, instrumentor))
                continue
            for trigger in triggers:
                hooks.when_imported(first if trigger in sys.modules and first else trigger, activation.on_import)


def _why_not(triggers: Iterable[str] | None, found: Instrumentor) -> str:
    if triggers is None:
        return "its library is not installed"
    return "tracerun traces its library itself" if is_ours(found, CATALOG) else "not wanted by the settings"


def activate_the_rest() -> None:
    """Activates those that wait for no library, or for one that is there."""
    for activation in ACTIVATIONS:
        if activation.state == WAITING:
            triggers = _triggers(activation.found) or ()
            if not triggers or any(map(hooks.has_run, triggers)):
                activation.activate()


def leave_to_program(instrumentor: Any) -> None:
    """The program calls a package's object itself: ours is undone, or will not be."""
    for activation in ACTIVATIONS:
        module, _, name = activation.found.target.partition(":")
        if getattr(sys.modules.get(module), name or "?", None) is type(instrumentor):
            if activation.state == ACTIVE:
                instrumentor.uninstrument()
            activation.state = LEFT_OUT


def _is_wanted(found: Instrumentor) -> bool:
    from tracerun.agent.libraries import why_disabled  # noqa: PLC0415 - it is what loads this module

    settings = Process.settings
    unwanted = has_nothing_to_give(found.name, settings) or why_disabled(found.name, settings)
    return not unwanted and not is_ours(found, CATALOG)


def _triggers(found: Instrumentor) -> Iterable[str] | None:
    """The modules to wait for: none where it is the standard library, None where the library is not installed."""
    if found.name in TRIGGERS:
        return (TRIGGERS[found.name],)
    libraries = entrypoints.libraries(found.folder)
    if libraries:
        return [module for name in libraries for module in entrypoints.modules(name, list(sys.path))] or None
    # It does not say what it instruments; most are called after that.
    module = found.name.replace("-", "_")
    known = module not in sys.stdlib_module_names and module.isidentifier()
    return (module,) if known and PathFinder.find_spec(module) is not None else ()


def _version_of(distribution: str) -> str:
    from importlib import metadata  # noqa: PLC0415 - the instrumentation itself loads it

    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return ""


def _loaded(target: str) -> Any:
    module, _, path = target.partition(":")
    __import__(module)
    loaded: Any = sys.modules[module]
    for name in path.split("."):
        loaded = getattr(loaded, name)
    return loaded
