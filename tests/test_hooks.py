"""Post-import hooks: called once for each run of a module's code, and otherwise not to be noticed."""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import importlib.resources
import importlib.util
import pkgutil
import sys
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.conftest import PYTHON, Runner
from tracerun.agent import guard, hooks

# What a module sees of how it is loaded, while its own code runs.
LOOKS_AT_ITSELF = (
    "seen = [__name__, __spec__.name, __loader__ is __spec__.loader, type(__loader__).__name__, __package__]\n"
)


class Hooked:
    """Modules in a folder of the test's own, and what the hooks were called with."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.calls: list[Any] = []
        self.names: list[str] = []

    def write(self, name: str, text: str) -> Path:
        """Writes a file; the finders are told."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        importlib.invalidate_caches()
        return path

    def hook(self, name: str, callback: Any = None) -> None:
        """Waits for a module that is not loaded."""
        sys.modules.pop(name, None)
        self.names.append(name)
        hooks.when_imported(name, callback or self.calls.append)


@pytest.fixture
def hooked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hooked]:
    """The finder in place, a folder on sys.path, and afterwards all as it was."""
    before = dict(sys.modules)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(hooks.FINDER, "waiting", {})
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    monkeypatch.setattr(guard._State, "raise_errors", True)
    hooks.install()
    yield Hooked(tmp_path)
    for name in set(sys.modules) - set(before):
        del sys.modules[name]
    sys.modules.update(before)


def assert_untouched(module: ModuleType) -> None:
    """No trace of ours is left on a module."""
    assert module.__spec__ is not None
    assert not isinstance(module.__spec__.loader, hooks.Loader)
    assert module.__loader__ is module.__spec__.loader


def test_a_module_from_source(hooked: Hooked) -> None:
    """The hook is called once, after the module's code, with the module; a second import is nothing."""
    hooked.write("plain_module.py", LOOKS_AT_ITSELF)
    hooked.hook("plain_module")
    module = importlib.import_module("plain_module")
    importlib.import_module("plain_module")
    assert hooked.calls == [module]
    assert module.seen == ["plain_module", "plain_module", True, "SourceFileLoader", ""]
    assert_untouched(module)


def test_modules_of_one_archive(hooked: Hooked) -> None:
    """The modules of a zip archive share a loader: only the hooked one is hooked."""
    archive = hooked.folder / "archive.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("zipped_module.py", LOOKS_AT_ITSELF)
        file.writestr("zipped_beside.py", LOOKS_AT_ITSELF)
    sys.path.insert(0, str(archive))
    hooked.hook("zipped_module")
    module, beside = importlib.import_module("zipped_module"), importlib.import_module("zipped_beside")
    assert hooked.calls == [module]
    assert module.__loader__ is beside.__loader__
    assert module.seen[2:] == beside.seen[2:] == [True, "zipimporter", ""]
    assert_untouched(module)


# Hooks the first module of some that is not loaded yet, and imports it.
INSIDE = """
import importlib, sys, sysconfig
from pathlib import Path
from tracerun.agent import hooks

folder = Path(sysconfig.get_config_var("DESTSHARED") or "nosuch")
frozen, package, built_in = ["__hello__"], ["__phello__.spam"], sys.builtin_module_names
extension = [name for name in ("_csv", "_json", "_bisect", "_queue") if list(folder.glob(name + ".*"))]
name = next((name for name in {kind} if name not in sys.modules), None)
if name is None:
    sys.exit(77)
hooks.install()
calls = []
hooks.when_imported(name, calls.append)
module = importlib.import_module(name)
loader = module.__spec__.loader
assert calls == [module], (name, calls)
assert module.__loader__ is loader and not isinstance(loader, hooks.Loader), (name, loader)
print(getattr(loader, "__name__", type(loader).__name__))
"""


@pytest.mark.parametrize(
    ("kind", "loader"),
    [
        ("frozen", "FrozenImporter"),
        ("package", "FrozenImporter"),
        ("built_in", "BuiltinImporter"),
        ("extension", "ExtensionFileLoader"),
    ],
)
def test_modules_without_source(run: Runner, kind: str, loader: str) -> None:
    """Frozen and built-in modules, whose loaders are classes, and shared objects are hooked like others."""
    done = run.plain(PYTHON, run.program(INSIDE.format(kind=kind)))
    if done.status == 77:
        pytest.skip(f"no {kind} module in this Python that is not loaded at start")
    assert (done.status, done.err) == (0, "")
    assert done.out.split()[-1] == loader


def test_a_lazy_module(hooked: Hooked) -> None:
    """Under importlib's LazyLoader the hook waits, as the module's code does, for the first attribute."""
    hooked.write("lazy_module.py", LOOKS_AT_ITSELF)
    hooked.hook("lazy_module", lambda module: hooked.calls.append(module.seen))
    spec = importlib.util.find_spec("lazy_module")
    assert spec is not None
    assert spec.loader is not None
    spec.loader = importlib.util.LazyLoader(spec.loader)
    module = importlib.util.module_from_spec(spec)
    sys.modules["lazy_module"] = module
    assert spec.loader is not None
    spec.loader.exec_module(module)
    assert hooked.calls == []
    assert module.seen == ["lazy_module", "lazy_module", True, "SourceFileLoader", ""]
    assert hooked.calls == [module.seen]


def test_reload(hooked: Hooked) -> None:
    """A reload runs the code again, and so the hook."""
    hooked.write("changing_module.py", "value = 1\n")
    hooked.hook("changing_module")
    module = importlib.import_module("changing_module")
    hooked.write("changing_module.py", "value = 'two'\n")
    assert importlib.reload(module) is module
    assert module.value == "two"
    assert hooked.calls == [module, module]
    assert_untouched(module)


def test_a_spec_without_an_import(hooked: Hooked) -> None:
    """Who only asks for a spec gets a loader that answers as the real one, and nothing is called."""
    path = hooked.write("asked_package/__init__.py", "text = 'source'\n")
    hooked.hook("asked_package")
    spec = importlib.util.find_spec("asked_package")
    assert spec is not None
    loader: Any = spec.loader
    real = importlib.machinery.SourceFileLoader("asked_package", str(path))
    assert loader.get_source("asked_package") == "text = 'source'\n"
    assert loader.is_package("asked_package")
    assert loader.get_filename("asked_package") == str(path) == loader.path
    assert loader.get_data(str(path)) == real.get_data(str(path))
    assert loader.get_code("asked_package") == real.get_code("asked_package")
    assert hooked.calls == []
    assert "asked_package" not in sys.modules
    assert not hasattr(loader, "no_such_attribute")


def test_who_asks_for_the_code_runs_it_himself(hooked: Hooked) -> None:
    """After `get_code`, as `python -m` uses it, the spec has its real loader again."""
    hooked.write("main_module.py", "")
    hooked.hook("main_module")
    spec: Any = importlib.util.find_spec("main_module")
    spec.loader.get_code("main_module")
    assert type(spec.loader) is importlib.machinery.SourceFileLoader


def test_module_from_spec(hooked: Hooked) -> None:
    """The recipe of importlib's documentation runs the hook."""
    hooked.write("recipe_module.py", LOOKS_AT_ITSELF)
    hooked.hook("recipe_module")
    spec: Any = importlib.util.find_spec("recipe_module")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert hooked.calls == [module]
    assert_untouched(module)


def test_two_threads(hooked: Hooked, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two threads that import at once both get the finished module, and the hook is called once."""
    started, go_on = threading.Event(), threading.Event()
    monkeypatch.setattr(sys, "slow_module", (started, go_on), raising=False)
    hooked.write(
        "slow_module.py",
        "import sys\nstarted, go_on = sys.slow_module\nstarted.set()\nfinished = go_on.wait(30)\n",
    )
    hooked.hook("slow_module")
    seen: list[bool] = []

    def load() -> None:
        seen.append(importlib.import_module("slow_module").finished)

    threads = [threading.Thread(target=load) for _ in range(2)]
    threads[0].start()
    assert started.wait(30)
    threads[1].start()
    go_on.set()
    for thread in threads:
        thread.join(30)
    assert seen == [True, True]
    assert len(hooked.calls) == 1


def test_a_module_that_puts_another_object_in_its_place(hooked: Hooked) -> None:
    """The hook gets what is in sys.modules, be it no module at all."""
    hooked.write("replaced_module.py", "import sys\nsys.modules[__name__] = 42\n")
    hooked.hook("replaced_module")
    assert importlib.import_module("replaced_module") == 42  # type: ignore[comparison-overlap]
    assert hooked.calls == [42]


def test_a_failing_hook_on_a_nameless_object(hooked: Hooked, monkeypatch: pytest.MonkeyPatch) -> None:
    """The import goes well also where the hook fails and what was imported has no name."""
    monkeypatch.setattr(guard._State, "raise_errors", False)
    monkeypatch.setattr(guard, "record", lambda what, error: hooked.calls.append((what, type(error))))
    hooked.write("nameless_module.py", "import sys\nsys.modules[__name__] = 42\n")
    hooked.hook("nameless_module", lambda module: module.attribute)
    assert importlib.import_module("nameless_module") == 42  # type: ignore[comparison-overlap]
    assert hooked.calls == [("the import hook of nameless_module", AttributeError)]


def test_a_failing_hook_costs_only_itself(hooked: Hooked, monkeypatch: pytest.MonkeyPatch) -> None:
    """The import succeeds, and the other hooks of the same module are called."""
    monkeypatch.setattr(guard._State, "raise_errors", False)
    monkeypatch.setattr(guard, "say", lambda line, *_, slug: hooked.calls.append(f"{line} [{slug}]"))
    monkeypatch.setattr(guard._State, "errors", {})
    hooked.write("unlucky_module.py", "")
    hooked.hook("unlucky_module", lambda _: 1 / 0)
    hooked.hook("unlucky_module")
    module = importlib.import_module("unlucky_module")
    assert len(hooked.calls) == 2
    assert hooked.calls[0].startswith("internal error in the import hook of unlucky_module: ZeroDivisionError")
    assert hooked.calls[1] is module


class LegacyLoader:
    """A loader of before PEP 451; still served by the import system, with a warning."""

    def load_module(self, name: str) -> ModuleType:
        module = ModuleType(name)
        module.__loader__ = self
        sys.modules[name] = module
        return module


class LegacyFinder(importlib.abc.MetaPathFinder):
    def find_spec(self, name: str, path: Any, target: Any = None) -> Any:
        if name == "legacy_module":
            return importlib.machinery.ModuleSpec(name, LegacyLoader())  # type: ignore[arg-type]
        return None


@pytest.mark.filterwarnings("ignore::ImportWarning", "ignore::DeprecationWarning")
def test_a_loader_that_knows_only_load_module(hooked: Hooked) -> None:
    """Its modules are imported as without us; they are not hooked."""
    sys.meta_path.append(LegacyFinder())
    hooked.hook("legacy_module")
    assert type(importlib.import_module("legacy_module").__loader__) is LegacyLoader
    assert hooked.calls == []


class OldFinder:
    """A finder of before PEP 451, which Python asked until 3.11."""

    def find_module(self, name: str, path: Any = None) -> Any:
        return LegacyLoader() if name == "old_module" else None


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="find_module is gone since 3.12")
@pytest.mark.filterwarnings("ignore::ImportWarning", "ignore::DeprecationWarning")
def test_a_finder_that_knows_only_find_module(hooked: Hooked) -> None:
    """It keeps its place in the order: what it finds is not found by the finders after it."""
    hooked.write("old_module.py", "")
    hooked.write("new_module.py", "")
    hooked.hook("old_module")
    hooked.hook("new_module")
    sys.meta_path.insert(1, OldFinder())  # type: ignore[arg-type]
    assert type(importlib.import_module("old_module").__loader__) is LegacyLoader
    assert hooked.calls == []
    new = importlib.import_module("new_module")
    assert hooked.calls == [new]


def test_namespace_packages(hooked: Hooked) -> None:
    """A folder without code has none to wait for; a module in it is hooked."""
    hooked.write("name_space/inner.py", "")
    hooked.hook("name_space")
    hooked.hook("name_space.inner")
    inner = importlib.import_module("name_space.inner")
    assert hooked.calls == [inner]
    assert list(sys.modules["name_space"].__path__) == [str(hooked.folder / "name_space")]


def test_an_import_that_fails(hooked: Hooked) -> None:
    """The module's error is the program's, the hook is not called; at the import that succeeds it is."""
    hooked.write("failing_module.py", "raise LookupError('not today')")
    hooked.hook("failing_module")
    with pytest.raises(LookupError, match="not today"):
        importlib.import_module("failing_module")
    assert hooked.calls == []
    assert "failing_module" not in sys.modules
    hooked.write("failing_module.py", "today = True  # another length, so that no old bytecode is used")
    module = importlib.import_module("failing_module")
    assert hooked.calls == [module]


def test_a_module_that_is_not_there(hooked: Hooked) -> None:
    """Its import fails as without us."""
    hooked.hook("missing_module")
    with pytest.raises(ModuleNotFoundError) as raised:
        importlib.import_module("missing_module")
    assert raised.value.name == "missing_module"
    assert importlib.util.find_spec("missing_module") is None


def test_a_module_that_is_loaded_already(hooked: Hooked) -> None:
    """The hook is called at once; one that is taken back is not called any more."""
    hooked.write("loaded_module.py", "")
    module = importlib.import_module("loaded_module")
    hooks.when_imported("loaded_module", hooked.calls.append)
    assert hooked.calls == [module]
    hooks.forget("loaded_module", hooked.calls.append)
    hooks.forget("loaded_module", print)
    importlib.reload(module)
    assert hooked.calls == [module]


def test_installed_once(hooked: Hooked) -> None:
    """The finder stands once on sys.meta_path, first."""
    hooks.install()
    assert sys.meta_path[0] is hooks.FINDER
    assert sys.meta_path.count(hooks.FINDER) == 1


def test_resources_of_a_hooked_package(hooked: Hooked) -> None:
    """A package's data and modules are found by pkgutil and importlib.resources."""
    hooked.write("data_package/__init__.py", "")
    hooked.write("data_package/words.txt", "some words")
    hooked.write("data_package/module.py", "")
    hooked.hook("data_package")
    assert pkgutil.get_data("data_package", "words.txt") == b"some words"
    assert importlib.resources.files("data_package").joinpath("words.txt").read_text() == "some words"
    assert [module.name for module in pkgutil.iter_modules(sys.modules["data_package"].__path__)] == ["module"]
    assert pkgutil.resolve_name("data_package.module:__name__") == "data_package.module"
    assert len(hooked.calls) == 1


# Each is the name of a module that the catalogue waits for, so that a traced run hooks it.
@pytest.mark.parametrize(
    "words",
    [
        ["-m", "flask.app"],
        ["-c", "import flask.app; flask.app.show()"],
        ["-c", "import runpy; runpy.run_module('flask.app', run_name='__main__')"],
        ["-c", "import importlib.util as u; s = u.find_spec('flask.app'); print(s.name, s.origin, s.cached, s.parent)"],
    ],
)
def test_a_hooked_module_sees_itself_as_plain(run: Runner, words: list[str]) -> None:
    """Its name, spec and loader are the same inside its own code, imported or run with `python -m`."""
    run.program("", "flask/__init__.py")
    run.program(
        "def show():\n"
        "    print(__name__, __package__, type(__loader__), __loader__.path, __file__, __cached__)\n"
        "    print(__spec__, __spec__.loader is __loader__)\n"
        "class Flask:\n"
        "    def __init__(self):\n"
        "        pass\n"
        "show()\n",
        "flask/app.py",
    )
    plain, traced = run.plain(PYTHON, *words), run.traced(PYTHON, *words)
    assert plain.status == 0
    assert without_addresses(traced.out) == without_addresses(plain.out)
    assert (traced.status, traced.err) == (plain.status, plain.err)


def without_addresses(text: str) -> str:
    """What is printed, without where objects lie in memory."""
    return " ".join(word for word in text.split() if not word.startswith("0x"))
