"""From the words of a command to the process: find the file as a shell does, set the environment, exec."""

import _signal
import errno
import os

from tracerun.cli import isolation
from tracerun.environment import OF_THE_LAUNCH
from tracerun.errors import CommandNotFound, NotExecutable, say
from tracerun.injection import inject

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

    from tracerun.settings import Settings

# Runners that are Python themselves, in an environment other than their program's: `same` would trace nothing.
PYTHON_RUNNERS = ("poetry", "pdm", "hatch", "pipenv", "conda", "tox", "nox")


def execute(words: list[str], env: dict[str, str]) -> "NoReturn":
    """Becomes the command; raises where that cannot be.

    Args:
        words: The command as it was typed; argv[0] stays so, because CPython derives its prefix from it.
        env: The environment with what options have set.
    """
    path = find(words[0], env.get("PATH", os.defpath))
    settings = None if OF_THE_LAUNCH.isdisjoint(env) else _settings(env)
    if settings is not None and settings.off:
        say(f"nothing is traced: {settings.off}", slug="switched-off")
    else:
        isolation.check(path, words, strict=settings is not None and settings.strict)
        env = child_env(env, words)
        if settings is not None and settings.debug:
            say(f"{words[0]} is {path}; PYTHONPATH is {env['PYTHONPATH']}", slug="debug")
    exec_program(path, words, env)


def _settings(env: dict[str, str]) -> "Settings":
    from tracerun.settings import Settings  # noqa: PLC0415 - where something is set only

    return Settings.from_env(env)


def child_env(base: dict[str, str], words: list[str]) -> dict[str, str]:
    """The environment of the command: what it had, our folder on PYTHONPATH, and marks for the agent.

    Args:
        base: The environment with what options have set.
        words: The command.
    """
    env = dict(base)
    inject(env)
    if os.path.basename(words[0]) in PYTHON_RUNNERS and not env.get("TRACERUN_CHILDREN", "").strip():
        env["TRACERUN_CHILDREN"] = "all"
    return env


def find(command: str, search: str) -> str:
    """The file that a shell would run for a command."""
    if os.path.dirname(command):
        return _executable(command, command)
    found = ""
    for folder in search.split(os.pathsep):
        path = os.path.join(folder or os.curdir, command)
        if os.path.isfile(path):
            if os.access(path, os.X_OK):
                return path
            found = found or path
    if found:
        return _executable(found, command)
    raise CommandNotFound(f"command not found: {command}{_hint(command, search)}")


def _executable(path: str, command: str) -> str:
    if os.path.isdir(path):
        raise NotExecutable(f"{command} is a directory, not a command{_hint(command, '')}")
    if not os.path.exists(path):
        raise CommandNotFound(f"command not found: {command}{_hint(command, '')}")
    if not os.access(path, os.X_OK):
        raise NotExecutable(f"{command} is not executable{_hint(command, '')}")
    return path


def _hint(command: str, search: str) -> str:
    """What was probably meant."""
    if command.endswith(".py") and os.path.isfile(command):
        return f" (did you mean: tracerun python {command})"
    if os.path.isfile(os.path.join(command, "__main__.py")):
        return f" (did you mean: tracerun python {command})"
    import difflib  # noqa: PLC0415 - only where the command is wrong

    names: set[str] = set()
    for folder in search.split(os.pathsep) if search else ():
        try:
            names.update(os.listdir(folder or os.curdir))
        except OSError:
            continue
    close = difflib.get_close_matches(command, names, n=1, cutoff=0.75)
    return f" (did you mean {close[0]}?)" if close else ""


def exec_program(path: str, words: list[str], env: dict[str, str]) -> "NoReturn":
    """Replaces this process by the program: same pid, same terminal, its own exit status."""
    if os.name == "nt":
        from tracerun.cli.windows import wait_for  # noqa: PLC0415 - Windows has no exec

        wait_for(path, words, env)
    # Python ignores these two, and exec would hand that on; `yes | head` would complain then.
    for name in ("SIGPIPE", "SIGXFSZ"):
        _signal.signal(getattr(_signal, name), _signal.SIG_DFL)
    try:
        os.execve(path, words, env)
    except OSError as error:
        if error.errno == errno.ENOEXEC:  # a script without "#!": a shell runs it with sh
            os.execve("/bin/sh", ["sh", path, *words[1:]], env)
        if error.errno == errno.ENOENT:
            raise CommandNotFound(f"{words[0]}: its interpreter (first line, #!) is not there") from None
        raise NotExecutable(f"{words[0]} cannot be run: {error.strerror}") from None
