"""The one file on the injected folder: starts tracerun's agent, then steps aside.

Every Python that inherits PYTHONPATH runs this, so the syntax is that of all of them (2.7 included); where
tracerun cannot run, one line says so in the launched program, and nothing in its children. It is as if it had
not been there: its folder leaves sys.path, and the sitecustomize that it shadows is imported in its place;
where there is none, Python's own "no sitecustomize" error is passed on, which the interpreter takes silently.
"""

import os
import sys


def _boot(folder):
    package = os.path.dirname(os.path.dirname(folder))
    if sys.version_info < (3, 10):
        if os.environ.get("TRACERUN_PID") == str(os.getpid()):
            _say_too_old()
        return
    if "tracerun" not in sys.modules:
        # By its place, not by its name: neither a shadow on PYTHONPATH nor another environment gets in the way.
        # The two frozen modules are importlib's own halves; importlib.util would have to be loaded.
        import _frozen_importlib
        import _frozen_importlib_external

        spec = _frozen_importlib_external.spec_from_file_location(
            "tracerun", os.path.join(package, "__init__.py"), submodule_search_locations=[package]
        )
        sys.modules["tracerun"] = module = _frozen_importlib.module_from_spec(spec)
        spec.loader.exec_module(module)
    if _is_another():  # in which "import tracerun.auto" is possible all the same
        return
    from tracerun.agent.boot import boot

    boot(folder)


def _is_another():
    """Whether this is a child in another environment than its target's: passed over without loading anything.

    The agent would come to the same end, but its modules may have to be compiled for this Python every time.
    """
    target, get = os.environ.get("TRACERUN_TARGET"), os.environ.get
    if not target or get("TRACERUN_PID") == str(os.getpid()) or get("TRACERUN_CHILDREN", "").strip().lower() == "all":
        return False
    return target != "%d.%d:%s" % (sys.version_info[0], sys.version_info[1], sys.prefix)


def _say_too_old():
    del os.environ["TRACERUN_PID"]  # a program that goes on by exec is told once
    strict = os.environ.get("TRACERUN_STRICT", "").lower() in ("true", "1", "yes", "on")
    line = "tracerun: this program is not traced: %s is Python %d.%d, tracerun needs 3.10 or later; %s [%s]\n" % (
        sys.executable,
        sys.version_info[0],
        sys.version_info[1],
        "not started, because of --strict (TRACERUN_STRICT)" if strict else "run it with one of these",
        "python-too-old",
    )
    try:
        os.write(2, line if isinstance(line, bytes) else line.encode("utf-8", "backslashreplace"))
    except OSError:
        pass
    if strict:
        os._exit(2)


_folder = os.path.dirname(__file__)
sys.path[:] = [entry for entry in sys.path if entry != _folder]
sys.path_importer_cache.pop(_folder, None)
_boot(_folder)
del sys.modules["sitecustomize"]
import sitecustomize  # noqa: E402, F401
