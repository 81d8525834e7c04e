"""Post-import hooks: a function is called with a module right after its code has run.

A finder of our own stands first on ``sys.meta_path``. For the few modules that somebody waits for it asks
the other finders for the spec and puts a delegating loader into it, which takes itself out again before the
module's code runs. A loader's own attributes are never touched: the modules of one zip archive share a
loader, and the loader of frozen modules is a class.

wrapt's hooks do the same for 60 ms of imports (asyncio, importlib.metadata); these cost none.
Source: PEP 451.
"""

import sys

from tracerun.agent.guard import debug, guarded

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType
    from typing import Any

    Callback = Callable[[ModuleType], None]

# Whose imports the interpreter itself makes before the program's first line.
SITES_OWN = ("sitecustomize", "usercustomize")


class Loader:
    """Stands in a spec for the module's real loader until the module's code runs, then calls back."""

    def __init__(self, spec: "ModuleSpec", callbacks: "list[Callback]") -> None:
        self._tracerun = (spec, spec.loader, callbacks)

    def __getattr__(self, name: str) -> "Any":
        spec, loader, _ = self._tracerun
        if name == "get_code":  # who asks for the code runs it himself, as `python -m` does: we step aside
            spec.loader = loader
        return getattr(loader, name)

    def create_module(self, spec: "ModuleSpec") -> "ModuleType | None":
        """What the real loader makes (extension modules are made here)."""
        create = getattr(self._tracerun[1], "create_module", None)
        return None if create is None else create(spec)

    def exec_module(self, module: "ModuleType") -> None:
        """Puts the real loader back, lets it run the module's code, and calls back."""
        spec, loader, callbacks = self._tracerun
        assert loader is not None  # noqa: S101 - the finder wraps no spec without one
        spec.loader = loader
        module.__loader__ = loader
        if module.__spec__ is not None:
            module.__spec__.loader = loader
        loader.exec_module(module)
        # A module may put another object in its place.
        call(spec.name, callbacks, sys.modules.get(spec.name, module))


class Finder:
    """The finder on ``sys.meta_path``; it finds nothing itself."""

    def __init__(self) -> None:
        self.waiting: dict[str, list[Callback]] = {}
        self.before_first: Callable[[], None] | None = None
        self.before_first_package: Callable[[str], None] | None = None

    def find_spec(
        self, name: str, path: "Sequence[str] | None" = None, target: "ModuleType | None" = None
    ) -> "ModuleSpec | None":
        """The spec that the finders after this one give, with our loader in it where somebody waits."""
        if self.before_first is not None and name not in SITES_OWN:
            begin, self.before_first = self.before_first, None
            with guarded("start-up"):
                begin()
        if self.before_first_package is not None and path is None and _is_package(name):
            then, self.before_first_package = self.before_first_package, None
            with guarded("the search for instrumentation packages"):
                then(name)
        callbacks = self.waiting.get(name)
        if callbacks is None:
            return None
        spec = self._spec_of_others(name, path, target)
        if spec is not None and hasattr(spec.loader, "exec_module"):
            spec.loader = Loader(spec, callbacks)  # type: ignore[assignment]
        return spec

    def _spec_of_others(
        self, name: str, path: "Sequence[str] | None", target: "ModuleType | None"
    ) -> "ModuleSpec | None":
        """What the import system would find without us."""
        finders = list(sys.meta_path)
        # Those that stand before this one were asked, and have found nothing.
        before = next((at for at, finder in enumerate(finders) if finder is self), -1)
        for finder in finders[before + 1 :]:
            if not hasattr(finder, "find_spec"):
                find_module = getattr(finder, "find_module", None)
                if sys.version_info < (3, 12) and find_module is not None and find_module(name, path) is not None:
                    return None  # of the protocol before PEP 451: the import system asks it again, as without us
                continue
            spec = finder.find_spec(name, path, target)
            if spec is not None:
                return spec
        return None


def _is_package(name: str) -> bool:
    """Whether a module is none of the standard library's, nor one that the interpreter itself looks for."""
    return name not in sys.stdlib_module_names and name not in SITES_OWN


FINDER = Finder()


def install() -> None:
    """Puts the finder in front. Again is nothing."""
    if FINDER not in sys.meta_path:
        sys.meta_path.insert(0, FINDER)


def when_imported(name: str, callback: "Callback") -> None:
    """Calls back after each run of a module's code (a reload is one more); now, where it has run already."""
    FINDER.waiting.setdefault(name, []).append(callback)
    if has_run(name):
        call(name, [callback], sys.modules[name])


def has_run(name: str) -> bool:
    """Whether a module has been imported to its end."""
    module = sys.modules.get(name)
    return module is not None and not _is_importing(module)


def forget(name: str, callback: "Callback") -> None:
    """Takes a callback back."""
    callbacks = FINDER.waiting.get(name, [])
    if callback in callbacks:
        callbacks.remove(callback)


def call(name: str, callbacks: "list[Callback]", module: "ModuleType") -> None:
    """Calls each; one that fails costs only itself."""
    debug("{} has been imported; callbacks: {}", name, len(callbacks))
    for callback in list(callbacks):
        with guarded(f"the import hook of {name}"):
            callback(module)


def _is_importing(module: "ModuleType") -> bool:
    return bool(getattr(getattr(module, "__spec__", None), "_initializing", False))
