"""The libraries of the catalogue in this process: waiting, hooked at import, patched at the first call.

At the import of a library a trampoline is put on each of its entries, nothing else. The first call of one
loads the instrumentor (and with it OpenTelemetry's API), puts the real wrappers in place and goes on as if nothing had
happened. One library that fails costs only itself.
"""

from __future__ import annotations

import sys

from tracerun.agent import dispositions, forks, guard, hooks
from tracerun.agent.threads import RLock, monotonic
from tracerun.instrumentation.catalog import CATALOG

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType
    from typing import Any

    from tracerun.instrumentation.catalog import Library
    from tracerun.settings import Settings

WAITING, HOOKED, TRACED, CONFLICT, DISABLED, FAILED = "waiting", "hooked", "traced", "conflict", "disabled", "failed"

# A first call may come while another thread imports what the activation needs; rather than wait for each
# other for ever, the second call goes through untraced.
ACTIVATION_TIMEOUT = 10.0
# inspect.CO_COROUTINE: a flag of the code of coroutine functions.
CO_COROUTINE = 0x80
_LOCK = RLock()


def _in_forked_child() -> None:
    """What a thread that is not here had begun is begun anew; the set-up and the SDK, with their imports, are not."""
    sdk, completion = (sys.modules.get(f"tracerun.agent.{name}") for name in ("sdk", "completion"))
    locks = [] if sdk is None else [sdk._LOCK]
    lost = forks.in_child(_LOCK, *locks, *([] if completion is None else [completion.COMPLETION.lock]))
    if not forks.under_way():
        for watched in WATCHED:
            watched.active = watched.active and watched.state == TRACED
    if lost and sdk is not None:
        sdk.give_up()
    if completion is not None:
        completion.in_forked_child()


class Watched:
    """One library in this process.

    Attributes:
        library: Its record in the catalogue.
        state: One of the words above.
        reason: Why, where the state needs a reason.
        version: The one that is imported, once that was looked at.
        at: When it came into its state, by the monotonic clock; 0 at the start.
    """

    __slots__ = ("active", "at", "library", "originals", "patches", "reason", "state", "version", "wrapped")

    def __init__(self, library: Library) -> None:
        self.library = library
        self.state = WAITING
        self.reason = self.version = ""
        self.at = 0.0
        self.active = False
        self.originals: dict[tuple[Any, str], Any] = {}
        # What stands in each place for the original now: a trampoline, then the wrapper.
        self.wrapped: dict[tuple[Any, str], Any] = {}
        self.patches: dict[str, Callable[[Any], Any]] = {}

    def on_import(self, module: ModuleType) -> None:
        """The module's code has run: trampolines, or, at a reload of a patched module, the wrappers again."""
        if self.state in (CONFLICT, FAILED, DISABLED):
            return
        if self.state == TRACED:
            for target, factory in self.patches.items():
                if target.partition(":")[0] == module.__name__:
                    self._put(target, factory)
            return
        self.state, self.at = HOOKED, monotonic()
        guard.debug("{} is to be patched at its first call", self.library.name)
        dispositions.prepare()
        for closed in self.library.opened:
            if closed.partition(":")[0] == module.__name__:
                _open(module, closed.partition(":")[2])
        for entry in self.library.entries:
            if entry.partition(":")[0] == module.__name__:
                self._put(entry, self._trampoline)

    def _put(self, target: str, factory: Callable[[Any], Any]) -> None:
        """Replaces what a target such as ``module:Class.method`` names; one ending in ``?`` may be missing."""
        try:
            owner, name = _resolve(target.rstrip("?"))
        except AttributeError:
            if target.endswith("?"):
                return
            raise
        current = vars(owner).get(name) or getattr(owner, name, None)
        if current is None:
            if target.endswith("?"):
                return
            raise AttributeError(f"{target} is not there; is this release newer than {self.library.name}'s patch?")
        place = (owner, name)
        ours = self.wrapped.get(place)
        if ours is None or vars(owner).get(name) is ours or self.state == TRACED:
            original = self.originals[place] if ours is not None and current is ours else current
            self.originals[place] = original
            self.wrapped[place] = made = factory(original)
            setattr(owner, name, made)
        else:
            # A mock or the program's own patch stands there, over our trampoline: it stays, and the trampoline,
            # which it may call as "the original", leads to the wrapper.
            self.wrapped[place] = factory(self.originals[place])

    def _trampoline(self, original: Any) -> Any:
        """Stands in for an entry until its first call."""
        from functools import update_wrapper  # noqa: PLC0415 - every hooked library has loaded it

        def next_call() -> Any:
            self.activate()
            place = next(place for place, value in self.originals.items() if value is original)
            made = self.wrapped.get(place)
            return original if made is trampoline or made is None else made

        def first_call(*args: Any, **kwargs: Any) -> Any:
            return next_call()(*args, **kwargs)

        async def first_await(*args: Any, **kwargs: Any) -> Any:
            return await next_call()(*args, **kwargs)

        # Mocks and frameworks ask what kind of function it is; so they are told, without loading inspect.
        flags = getattr(getattr(original, "__code__", None), "co_flags", 0)
        trampoline: Any = first_await if flags & CO_COROUTINE else first_call
        trampoline.tracerun_trampoline = True
        return update_wrapper(trampoline, original)

    def activate(self) -> None:
        """Loads the instrumentor and puts its wrappers in place of the trampolines, once."""
        if sys.is_finalizing() or not _LOCK.acquire(timeout=ACTIVATION_TIMEOUT):
            return
        try:
            if self.state == HOOKED and not self.active:
                self.active = True
                # SystemExit too: what it means for a library to be untraceable is not for it to end the program.
                what = f"the instrumentation of {self.library.name}"
                with forks.loading(), guard.guarded(what, (Exception, SystemExit)):
                    self._patch()
                if self.state == HOOKED:
                    self.state, self.reason = FAILED, "an internal error, named on stderr"
                if self.state != TRACED:
                    self.restore()
        finally:
            _LOCK.release()

    def _patch(self) -> None:
        from tracerun.agent import installed, sdk, shadows  # noqa: PLC0415 - OpenTelemetry is loaded here

        self.version = installed.version(self.library)
        conflict = installed.conflict(self.library, self.version)
        if conflict:
            self.state, self.reason = CONFLICT, conflict
            guard.say(f"{self.library.name} is not traced: {conflict}", slug="version-conflict")
            return
        if not sdk.ready():
            self.state, self.reason = FAILED, "the OpenTelemetry SDK could not be set up"
            return
        name = f"tracerun.instrumentation.{self.library.instrumentor}"
        with shadows.out_of_the_way():
            __import__(name)
        self.patches = sys.modules[name].PATCHES
        for target, factory in self.patches.items():
            # A module that the program has not imported is none that we import: on_import comes for it.
            module = target.partition(":")[0]
            if module in sys.modules or module not in self.library.modules:
                self._put(target, factory)
        self.restore(only_trampolines=True)
        self.state, self.at = TRACED, monotonic()
        guard.debug("{} {} is patched: {}", self.library.name, self.version, ", ".join(self.patches))

    def restore(self, *, only_trampolines: bool = False) -> None:
        """Puts back what was there before us, or what was under the trampolines that no wrapper has replaced."""
        for (owner, name), original in self.originals.items():
            ours = self.wrapped.get((owner, name))
            if only_trampolines and not getattr(ours, "tracerun_trampoline", False):
                continue
            self.wrapped.pop((owner, name), None)
            if vars(owner).get(name) is ours:
                setattr(owner, name, original)

    def stand_back(self, reason: str) -> None:
        """Takes everything out: from here on the program itself traces this library."""
        self.restore()
        self.state, self.reason, self.active = DISABLED, reason, False

    def take_up(self) -> None:
        """The opposite: waits for the next call, as after the import."""
        self.state, self.reason = WAITING, ""
        for name in self.library.modules:
            if name in sys.modules:
                self.on_import(sys.modules[name])


WATCHED = [Watched(library) for library in CATALOG]


def watch(settings: Settings) -> None:
    """Waits for the import of each library that is to be traced, and for the program's own OpenTelemetry."""
    for watched in WATCHED:
        reason = why_disabled(watched.library.name, settings)
        if reason:
            watched.state, watched.reason = DISABLED, reason
            guard.debug("{} is left out: {}", watched.library.name, reason)
            continue
        for module in watched.library.modules:
            hooks.when_imported(module, watched.on_import)
    hooks.when_imported("opentelemetry.trace", _on_opentelemetry)
    hooks.when_imported("opentelemetry.sdk.trace", _on_sdk)
    hooks.when_imported("multiprocessing.spawn", _on_spawn)
    for module in ("opentelemetry.instrumentation.instrumentor", "opentelemetry.instrumentation.utils"):
        hooks.when_imported(module, _on_instrumentation)
    hooks.FINDER.before_first_package = _look_for_packages
    forks.watch(_in_forked_child)


def activate_servers() -> None:
    """For ``tracerun.auto``: an application that exists already would never come by a server library's entry."""
    for watched in WATCHED:
        if watched.state == HOOKED and watched.library.kind == "server":
            watched.activate()


def why_disabled(name: str, settings: Settings) -> str:
    """Why a library is not to be traced, by ``--only`` and ``--disable``; empty where it is."""
    if settings.only and name not in settings.only:
        return "--only names others"
    if name in settings.disable or "*" in settings.disable:
        return "--disable (OTEL_PYTHON_DISABLED_INSTRUMENTATIONS)"
    return ""


def _on_opentelemetry(trace: ModuleType) -> None:
    """The program uses OpenTelemetry itself: its manual spans are to land in the same traces.

    Not at the import, which many libraries make and which may be half-way through the API's own modules, but
    when somebody first asks for the provider; every tracer is made through that.
    """
    original = vars(trace)["get_tracer_provider"]

    def get_tracer_provider() -> Any:
        if trace._TRACER_PROVIDER is None:
            settle: Callable[[], bool] | None = None
            with guard.guarded("the set-up of the OpenTelemetry SDK"):
                from tracerun.agent import sdk  # noqa: PLC0415 - as above

                settle = sdk.provide
            if settle is not None and settle() and trace.get_tracer_provider is get_tracer_provider:
                trace.get_tracer_provider = original  # type: ignore[attr-defined]
        return original()

    get_tracer_provider.__doc__, get_tracer_provider.__module__ = original.__doc__, original.__module__
    trace.get_tracer_provider = get_tracer_provider  # type: ignore[attr-defined]


def _on_sdk(_: ModuleType) -> None:
    """The SDK is loaded: whoever has our own spans is to find that they are its."""
    completion = sys.modules.get("tracerun.agent.completion")
    if completion is not None:
        completion.on_sdk()


def _on_instrumentation(module: ModuleType) -> None:
    """The program, or a package that we activate, instruments with OpenTelemetry's own packages."""
    from tracerun.agent import programs_own  # noqa: PLC0415 - not before it is needed

    programs_own.on_import(module)


def _on_spawn(spawn: ModuleType) -> None:
    from tracerun.agent import prepared  # noqa: PLC0415 - as above

    prepared.on_import(spawn)


def _look_for_packages(first: str) -> None:
    from tracerun.agent import packages  # noqa: PLC0415 - as above

    packages.at_first_import(first)


def _resolve(target: str) -> tuple[Any, str]:
    """The object that holds a target's last name, and that name."""
    module_name, _, path = target.partition(":")
    owner: Any = sys.modules.get(module_name)
    if owner is None:
        __import__(module_name)
        owner = sys.modules[module_name]
    *parents, name = path.split(".")
    for parent in parents:
        owner = getattr(owner, parent)
    return owner, name


def _open(module: ModuleType, name: str) -> None:
    """Puts a subclass of the same name in place of a class made in C, whose methods cannot be replaced."""
    closed = getattr(module, name)
    namespace = {"__module__": closed.__module__, "__doc__": closed.__doc__, "__slots__": ()}
    setattr(module, name, type(closed)(name, (closed,), namespace))


def used() -> list[Watched]:
    """The libraries that the program has imported; Python's own, which everybody imports, where they were called."""
    return [
        watched
        for watched in WATCHED
        if watched.state not in (WAITING, DISABLED) and (watched.library.distribution or watched.state != HOOKED)
    ]


def left_out() -> list[Watched]:
    """The libraries that the program has imported and that are not to be traced."""
    return [
        watched
        for watched in WATCHED
        if watched.state == DISABLED
        and watched.library.distribution
        and any(map(hooks.has_run, watched.library.modules))
    ]
