"""What is known before the program's first line: the settings, if anything is set, and what is wrong with them."""

import os
import sys

from tracerun.agent import guard
from tracerun.agent.boot import Process, identity
from tracerun.environment import environment
from tracerun.settings import TABLE, Settings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import MutableMapping

WRONG_USAGE = 2


def configure(folder: str) -> bool:
    """Reads the settings before the program's first line, and says what is wrong with them.

    Args:
        folder: The injected folder, as it stands in PYTHONPATH.

    Returns:
        Whether this process is to be traced.
    """
    env = environment()
    settings = Process.settings = Settings.from_env()
    guard.configure(raise_errors=settings.raise_errors, debug=settings.debug, began=Process.began)
    if not _is_followed(settings):
        guard.debug("process {} is no child that is traced (--children {})", Process.pid, settings.children)
        return False
    Process.is_target = _is_target(settings)
    if settings.debug:
        _explain(settings)
    begins = Process.is_target and not settings.run
    if begins:
        _begin_run(env, settings)
    _mark_for_children(env, settings, folder)
    if settings.off:
        if begins:  # else the launcher has said it
            guard.say(f"nothing is traced: {settings.off}", slug="switched-off")
        return False
    _say_what_is_wrong(settings)
    return True


def _is_target(settings: Settings) -> bool:
    """The launcher's own process, across every exec; else (behind a shell, say) the first Python below it."""
    return settings.launcher_pid == os.getpid() or not settings.target


def _is_followed(settings: Settings) -> bool:
    """Whether this process is to be traced, by the setting ``children``."""
    if _is_target(settings) or settings.children == "all":
        return True
    return settings.children == "same" and settings.target == identity()


def _explain(settings: Settings) -> None:
    what = "the program that was launched" if Process.is_target else "a child of it"
    guard.debug("process {} is {}; Python {} in {}", Process.pid, what, sys.version.partition(" ")[0], sys.prefix)
    secret = {variable for setting in TABLE if setting.secret for variable in setting.variables}
    for variable, value in settings.raw.items():
        guard.debug("{} is {}", variable, "set, and not shown" if variable in secret else value)


def _begin_run(env: "MutableMapping[str, str]", settings: Settings) -> None:
    """Makes this process the target of a run of its own: what starts us was pasted, and no launcher was there."""
    from tracerun.injection import new_run  # noqa: PLC0415 - the launcher has done it, mostly

    env["TRACERUN_PID"], env["TRACERUN_RUN"] = new_run()
    settings.values["run"] = env["TRACERUN_RUN"]


def _mark_for_children(env: "MutableMapping[str, str]", settings: Settings, folder: str) -> None:
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
        guard.say(problem, slug="wrong-setting")
    if settings.strict and problems:
        guard.say("not started, because of --strict (TRACERUN_STRICT)", slug="not-started")
        os._exit(WRONG_USAGE)  # sys.exit() would become "Fatal Python error: init_import_site"
    if _is_in_doubt(settings):
        from tracerun.agent import outlook  # noqa: PLC0415 - only where a setting may mean that nothing is exported

        outlook.tell(settings)


def _is_in_doubt(settings: Settings) -> bool:
    """Whether the settings may mean that nothing is exported."""
    exporter = settings.exporter
    chosen = "sampler" in settings.values or settings.only or settings.disable or exporter == ("none",)
    return bool(chosen) or (exporter == ("file",) and not can_be_written(settings.state_directory))


def can_be_written(folder: str) -> bool:
    """Whether files can be made in a folder, which may be one that is still to be made."""
    while folder and not os.path.lexists(folder) and folder != os.path.dirname(folder):
        folder = os.path.dirname(folder)
    return bool(folder) and os.path.isdir(folder) and os.access(folder, os.W_OK | os.X_OK)
