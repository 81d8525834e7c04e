"""Start-up in the target: what must stand before the program's first line, and no more.

That is what is wrong with the settings (``agent.configuring``), where there are any, and a finder, which waits for
the program's first import; what can be traced, and what is to be seen to at the end, is loaded then
(``agent.arming``). Imports nothing that the interpreter has not loaded anyway, but for tracerun's own few modules; no
OpenTelemetry module is touched before a library is used that can be traced.
"""

import os
import sys
import time

from tracerun.agent import guard, hooks
from tracerun.environment import environment, is_configured

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from tracerun.settings import Settings

# Those of Python's own modules whose import somebody waits for.
PYTHONS_OWN = frozenset(("http", "multiprocessing", "urllib", "wsgiref"))
_OURS = frozenset(("tracerun", "sitecustomize", "usercustomize"))
# Needed early by us, not by the interpreter.
_NEEDED = ("__future__", "atexit")


class Process:
    """What this process knows of itself once it has booted.

    Attributes:
        settings: Of this process; there from the start where anything is set, else once the process is armed.
        is_target: Whether this is the program that was launched, not a child of it.
        booted: Whether boot has been here.
        traced: Whether it has started anything.
        pid: Its id; a fork of it has another.
        began: When boot came, by the monotonic clock.
        seconds: How long start-up took.
        finish: Flushes at the end, once the process is armed; the program may have taken the module away by then.
    """

    settings: "Settings"
    is_target: bool = False
    booted: bool = False
    traced: bool = False
    pid: int = 0
    began: float = 0.0
    seconds: float = 0.0
    finish: "Callable[[], None] | None" = None


class _unseen:  # noqa: N801 - used like contextlib's functions; that module is not loaded at start-up
    """The program's own import of what we need early is the first, as its finders see it."""

    __slots__ = ("before", "began")
    inside = False

    def __enter__(self) -> None:
        # One within another is part of that one's time.
        self.began = 0.0 if _unseen.inside else time.monotonic()
        _unseen.inside = True
        self.before = [name for name in _NEEDED if name in sys.modules]

    def __exit__(self, *_: object) -> None:
        for name in _NEEDED:
            if name not in self.before:
                sys.modules.pop(name, None)
        if self.began:
            Process.seconds += time.monotonic() - self.began
            _unseen.inside = False


def boot(folder: str, *, at_once: bool = False) -> None:
    """Starts the agent, once in a process.

    Args:
        folder: The injected folder, as it stands in PYTHONPATH.
        at_once: Whether to arm now, for a program that has begun.
    """
    if Process.booted:
        return
    Process.booted = True
    Process.pid, Process.began = os.getpid(), time.monotonic()
    guard.begin()
    with _unseen(), guard.guarded("start-up"):
        env = environment()
        # A run that nobody has begun: what starts us was pasted, and there was no launcher.
        if is_configured(env) or "TRACERUN_RUN" not in env:
            from tracerun.agent import configuring  # noqa: PLC0415 - where something is set only

            Process.traced = configuring.configure(folder)
            at_once = at_once or (Process.traced and Process.settings.root_span)
        else:
            _take_defaults()
        if Process.traced:
            _wait(at_once=at_once or any(map(_may_matter, tuple(sys.modules))))


def identity() -> str:
    """What makes two interpreters the same: version and ``sys.prefix``."""
    return f"{sys.version_info[0]}.{sys.version_info[1]}:{sys.prefix}"


def _take_defaults() -> None:
    """As ``configuring.configure`` where nothing is set."""
    env = environment()
    target = env.get("TRACERUN_TARGET", "")
    Process.is_target = not target or env.get("TRACERUN_PID") == str(Process.pid)
    Process.traced = Process.is_target or target == identity()
    if Process.is_target:
        env["TRACERUN_TARGET"] = identity()


def _may_matter(name: str) -> bool:
    """Whether a module that is loaded already, by a .pth file, may be one that somebody waits for."""
    top = name.partition(".")[0]
    if top in sys.stdlib_module_names:
        return top in PYTHONS_OWN
    # A namespace package that a .pth file makes has no file, and no code that anybody could wait for.
    return top not in _OURS and not top.startswith("_") and getattr(sys.modules[name], "__file__", None) is not None


def _wait(*, at_once: bool) -> None:
    """Has everything armed at the program's first import; registered first, our end comes last of all."""
    import atexit  # noqa: PLC0415 - not before it is clear that this process is traced

    atexit.register(_at_exit)
    hooks.install()
    if at_once:
        _arm()
    else:
        hooks.FINDER.before_first = _arm


def _arm() -> None:
    with _unseen():
        from tracerun.agent import shadows  # noqa: PLC0415 - not before the program's first import

        with shadows.out_of_the_way():  # the program's folder is on sys.path by now
            from tracerun.agent import arming  # noqa: PLC0415 - as above

            arming.arm()


def _at_exit() -> None:
    with guard.guarded("the flush at exit"):
        if Process.finish is not None:
            Process.finish()
    if guard.stderr_is_terminal() or (hasattr(Process, "settings") and Process.settings.report):
        with guard.guarded("the line at the end of the run"):
            try:
                _say_goodbye()
            except (ImportError, OSError):
                if _can_open():
                    raise


def _say_goodbye() -> None:
    from tracerun.agent import shadows  # noqa: PLC0415 - not needed before

    with shadows.out_of_the_way():
        from tracerun.agent import farewell  # noqa: PLC0415 - as above

        farewell.say_goodbye()


def _can_open() -> bool:
    """Whether the program has left a file descriptor; without one nothing can be imported."""
    try:
        os.close(os.open(os.devnull, os.O_RDONLY))
    except OSError:
        return False
    return True
