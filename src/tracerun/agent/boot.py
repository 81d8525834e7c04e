"""Start-up in the target: what must stand before the program's first line, in order.

Imports nothing that the interpreter has not loaded anyway, but for tracerun's own few modules; no
OpenTelemetry module is touched before a library is used that can be traced.
"""

from __future__ import annotations

import os
import sys

from tracerun.agent import guard, hooks
from tracerun.settings import Settings, environment

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import MutableMapping

WRONG_USAGE = 2


class Process:
    """What this process knows of itself once it has booted.

    Attributes:
        settings: Of this process.
        is_target: Whether this is the program that was launched, not a child of it.
        booted: Whether boot has been here.
        traced: Whether it has started anything.
    """

    settings: Settings
    is_target: bool = False
    booted: bool = False
    traced: bool = False


def boot(folder: str) -> None:
    """Starts the agent, once in a process.

    Args:
        folder: The injected folder, as it stands in PYTHONPATH.
    """
    if Process.booted:
        return
    Process.booted = True
    env = environment()
    settings = Process.settings = Settings.from_env()
    guard.configure(raise_errors=settings.raise_errors, debug=settings.debug)
    with guard.guarded("start-up"):
        if not _is_followed(settings):
            return
        Process.is_target = _is_target(settings)
        if Process.is_target and not settings.run:
            _begin_run(env, settings)
        _mark_for_children(env, settings, folder)
        if settings.off:
            return
        _say_what_is_wrong(settings)
        _arm(settings)
        Process.traced = True


def identity() -> str:
    """What makes two interpreters the same: version and ``sys.prefix``."""
    return f"{sys.version_info[0]}.{sys.version_info[1]}:{sys.prefix}"


def _is_target(settings: Settings) -> bool:
    """The launcher's own process, across every exec; else (behind a shell, say) the first Python below it."""
    return settings.launcher_pid == os.getpid() or not settings.target


def _is_followed(settings: Settings) -> bool:
    """Whether this process is to be traced, by the setting ``children``."""
    if _is_target(settings) or settings.children == "all":
        return True
    return settings.children == "same" and settings.target == identity()


def _begin_run(env: MutableMapping[str, str], settings: Settings) -> None:
    """Makes this process the target of a run of its own: what starts us was pasted, and no launcher was there."""
    from tracerun.injection import new_run  # noqa: PLC0415 - the launcher has done it, mostly

    env["TRACERUN_PID"], env["TRACERUN_RUN"] = new_run()
    settings.values["run"] = env["TRACERUN_RUN"]


def _mark_for_children(env: MutableMapping[str, str], settings: Settings, folder: str) -> None:
    if settings.children == "none":
        rest = [entry for entry in env.get("PYTHONPATH", "").split(os.pathsep) if entry != folder]
        if any(rest):
            env["PYTHONPATH"] = os.pathsep.join(rest)
        else:
            env.pop("PYTHONPATH", None)
    elif not settings.target or Process.is_target:
        env["TRACERUN_TARGET"] = identity()


def _say_what_is_wrong(settings: Settings) -> None:
    """Each wrong value once, in the target only: its children have the same environment."""
    if not Process.is_target:
        return
    problems = settings.problems
    if settings.only or settings.disable:
        from tracerun.agent import names, shadows  # noqa: PLC0415 - only where libraries are named

        with shadows.out_of_the_way():
            problems = problems + names.unknown_instrumentations(settings)
    if settings.strict:
        from tracerun.agent.names import unknown_names  # noqa: PLC0415 - looks into installed packages

        problems = problems + unknown_names(settings)
    for problem in problems:
        guard.say(problem)
    if settings.strict and problems:
        guard.say("not started, because of --strict (TRACERUN_STRICT)")
        os._exit(WRONG_USAGE)  # sys.exit() would become "Fatal Python error: init_import_site"
    if settings.exporter == ("none",):
        guard.say("nothing is exported: the exporter is none (--exporter, OTEL_TRACES_EXPORTER)")


def _arm(settings: Settings) -> None:
    """From here on: libraries are patched as they are imported, and spans are flushed at the end."""
    from tracerun.agent import exits, libraries  # noqa: PLC0415 - not needed in a process that is not traced

    hooks.install()
    libraries.watch(settings)
    exits.arm(settings)
    if settings.root_span and Process.is_target:
        from tracerun.agent import root_span  # noqa: PLC0415 - only where asked for; it loads the SDK

        root_span.begin()
