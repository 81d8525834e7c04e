"""The libraries of the catalogue in this process: waiting, hooked at import, patched at the first call.

At the import of a library a trampoline is put on each of its entries, nothing else. The first call of one
loads the instrumentor (and with it the SDK), puts the real wrappers in place and goes on as if nothing had
happened. One library that fails costs only itself.
"""

from __future__ import annotations

import sys

from tracerun.agent import dispositions, guard, hooks
from tracerun.agent.threads import RLock
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


class Watched:
    """One library in this process.

    Attributes:
        library: Its record in the catalogue.
        state: One of the words above.
        reason: Why, where the state needs a reason.
    """

    __slots__ = ("active", "library", "originals", "patches", "reason", "state", "wrapped")

    def __init__(self, library: Library) -> None:
        self.library = library
        self.state = WAITING
        self.reason = ""
        self.active = False
        self.originals: dict[tuple[Any, str], Any] = {}
        # What stands in each place for the original now: a trampoline, then the wrapper.
        self.wrapped: dict[tuple[Any, str], Any] = {}
        self.patches: dict[str, Callable[[Any], Any]] = {}

    def on_import(self, module: ModuleType) -> None:
        """The module's code has run: trampolines, or, at a reload of a patched module, the wrappers again."""
        if self.state in (CONFLICT, FAILED):
            return
        if self.state == TRACED:
            for target, factory in self.patches.items():
                if target.partition(":")[0] == module.__name__:
                    self._put(target, factory)
            return
        self.state = HOOKED
        dispositions.prepare()
        for entry in self.library.entries:
            if entry.partition(":")[0] == module.__name__:
                self._put(entry, self._trampoline)

    def _put(self, target: str, factory: Callable[[Any], Any]) -> None:
        """Replaces what a target such as ``module:Class.method`` names; one ending in ``?`` may be missing."""
        owner, name = _resolve(target.rstrip("?"))
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
                with guard.guarded(f"the instrumentation of {self.library.name}", (Exception, SystemExit)):
                    self._patch()
                if self.state == HOOKED:
                    self.state, self.reason = FAILED, "an internal error, named on stderr"
                if self.state != TRACED:
                    self.restore()
        finally:
            _LOCK.release()

    def _patch(self) -> None:
        from tracerun.agent import installed, sdk, shadows  # noqa: PLC0415 - the SDK is loaded here, and not before

        conflict = installed.conflict(self.library)
        if conflict:
            self.state, self.reason = CONFLICT, conflict
            guard.say(f"{self.library.name} is not traced: {conflict}")
            return
        if not sdk.ready():
            self.state, self.reason = FAILED, "the OpenTelemetry SDK could not be set up"
            return
        name = f"tracerun.instrumentation.{self.library.instrumentor}"
        with shadows.out_of_the_way():
            __import__(name)
        self.patches = sys.modules[name].PATCHES
        for target, factory in self.patches.items():
            self._put(target, factory)
        self.restore(only_trampolines=True)
        self.state = TRACED

    def restore(self, *, only_trampolines: bool = False) -> None:
        """Puts back what was there before us, or what was under the trampolines that no wrapper has replaced."""
        for (owner, name), original in self.originals.items():
            ours = self.wrapped.get((owner, name))
            if only_trampolines and not getattr(ours, "tracerun_trampoline", False):
                continue
            self.wrapped.pop((owner, name), None)
            if vars(owner).get(name) is ours:
                setattr(owner, name, original)


WATCHED = [Watched(library) for library in CATALOG]


def watch(settings: Settings) -> None:
    """Waits for the import of each library that is to be traced, and for the program's own OpenTelemetry."""
    for watched in WATCHED:
        reason = _disabled(watched.library.name, settings)
        if reason:
            watched.state, watched.reason = DISABLED, reason
            continue
        for module in watched.library.modules:
            hooks.when_imported(module, watched.on_import)
    hooks.when_imported("opentelemetry.trace", _on_opentelemetry)


def activate_servers() -> None:
    """For ``tracerun.auto``: an application that exists already would never come by a server library's entry."""
    for watched in WATCHED:
        if watched.state == HOOKED and watched.library.kind == "server":
            watched.activate()


def _disabled(name: str, settings: Settings) -> str:
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
        if trace.get_tracer_provider is get_tracer_provider:
            trace.get_tracer_provider = original  # type: ignore[attr-defined]
            if trace._TRACER_PROVIDER is None:
                with guard.guarded("the set-up of the OpenTelemetry SDK"):
                    from tracerun.agent import sdk  # noqa: PLC0415 - as above

                    sdk.ready()
        return original()

    get_tracer_provider.__doc__, get_tracer_provider.__module__ = original.__doc__, original.__module__
    trace.get_tracer_provider = get_tracer_provider  # type: ignore[attr-defined]


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


def used() -> list[Watched]:
    """The libraries that the program has imported."""
    return [watched for watched in WATCHED if watched.state not in (WAITING, DISABLED)]
