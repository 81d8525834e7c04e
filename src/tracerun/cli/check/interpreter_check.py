"""The command and the interpreter behind it: is it there, is it Python, may the agent start in it."""

from __future__ import annotations

import glob
import os
from typing import TYPE_CHECKING

from tracerun.cli import isolation
from tracerun.cli.check.finding import fault, ok, warning
from tracerun.cli.execute import PYTHON_RUNNERS, find
from tracerun.errors import TracerunError
from tracerun.interpreter import is_python, options
from tracerun.versions import OLDEST_PYTHON

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tracerun.cli.check.case import Case
    from tracerun.cli.check.finding import Finding

# What starts other programs in their own environment, where the variables that start the agent do not arrive.
ELSEWHERE = ("docker", "podman", "nerdctl", "kubectl", "ssh", "sudo", "su", "systemd-run", "vagrant", "wsl")
# What starts other programs in this environment: nothing can be said of those, but they are traced.
STARTERS = (
    "sh", "bash", "dash", "zsh", "ksh", "fish", "uv", "uvx", "pixi", "rye", "make", "time", "timeout", "nice", "nohup",
    "setsid", "strace", "xargs", "tini", "dumb-init", "gosu", "supervisord", "uwsgi", "npm", "npx",
)  # fmt: skip


def check(case: Case) -> Iterator[Finding]:
    """From the command to its interpreter; the first fault that hides all else ends it."""
    if case.words and not case.path:
        yield _not_there(case)
        return
    yield from _of_command(case)
    if case.target is None:
        yield _no_interpreter(case)
        return
    shown = f"{case.target.python}, Python {case.target.version}"
    if case.is_too_old:
        fix = f"run it with a Python of {OLDEST_PYTHON} or later"
        yield fault("interpreter", f"{shown}: tracerun needs {OLDEST_PYTHON} or later", fix)
        return
    yield ok("interpreter", shown)
    active = case.env.get("VIRTUAL_ENV", "")
    if active and case.target.prefix and os.path.realpath(active) != os.path.realpath(case.target.prefix):
        own = os.path.join(active, "bin", "python")
        yield warning(
            "interpreter", f"{shown} is not that of the active environment {active}", f"{own}, if it is meant"
        )
    yield from _of_django(case)


def _of_command(case: Case) -> Iterator[Finding]:
    if not case.words:
        return
    obstacle = isolation.obstacle(case.path, case.words)
    if obstacle:
        is_rival = os.path.basename(case.words[0]) == isolation.RIVAL
        yield fault("other-agent", *obstacle) if is_rival else fault("isolated", *obstacle)
    name = os.path.basename(case.words[0])
    if name in PYTHON_RUNNERS:
        what = f"{name} was looked at, and not the program that it starts in an environment of its own"
        yield warning("runner", what, f"{name} run tracerun --check, in that environment")
    elif not case.python:
        yield _not_python(case, name)


def _not_python(case: Case, name: str) -> Finding:
    if name in ELSEWHERE:
        what = f"{name} starts its program elsewhere, where tracerun's variables do not arrive"
        form = "docker" if name in ("docker", "podman", "nerdctl") else "k8s" if name == "kubectl" else "shell"
        return fault("not-python", what, f"give it what this prints: tracerun --print-env {form}")
    if name in STARTERS or _is_script(case.path):
        within = next((word for word in case.words[1:] if is_python(word)), "python")
        what = f"{name} is not Python; what it starts is traced, and was not looked at"
        return warning("not-python", what, f"check that: tracerun --check -- {within} ...")
    return fault(
        "not-python", f"{name} is not Python, and tracerun traces nothing else", "give the command that is Python"
    )


def _is_script(path: str) -> bool:
    with open(path, "rb") as file:
        return file.read(2) == b"#!"


def _not_there(case: Case) -> Finding:
    """The command cannot be run; of a virtual environment the interpreter may be gone."""
    command = case.words[0]
    if os.path.islink(command) and is_python(command):
        what = f"{command} leads to {os.path.realpath(command)}, which is not there"
        folder = os.path.dirname(os.path.dirname(os.path.abspath(command)))
        fix = "install that Python"
        if os.path.isfile(os.path.join(folder, "pyvenv.cfg")):
            fix = f"make the environment anew: python3 -m venv --clear {folder}"
        return fault("no-command", what, fix)
    what, _, meant = case.no_command.partition(" (did you mean")
    return fault("no-command", what, f"give the command as: {meant.strip(' :?)')}" if meant else "correct it, or PATH")


def _no_interpreter(case: Case) -> Finding:
    what = case.no_target
    python = case.python[0] if case.python else ""
    if python and python != case.words[0] and not _is_there(python, case):
        what = f"the first line of {case.path} names {python}, which is not there"
        return fault("interpreter", what, f"install it anew, or run it by: python {case.path}")
    return fault("interpreter", what, "look whether that interpreter runs: " + (python or "python") + " -c pass")


def _is_there(python: str, case: Case) -> bool:
    try:
        return bool(find(python, case.env.get("PATH", os.defpath)))
    except TracerunError:
        return False


def _of_django(case: Case) -> Iterator[Finding]:
    """Django's commands end at once where nobody says which settings are meant."""
    words = _program(case)
    name = os.path.basename(words[0]) if words else ""
    if name not in ("manage.py", "django-admin", "django") or len(words) == 1:
        return
    given = any(word == "--settings" or word.startswith("--settings=") for word in words)
    if given or case.env.get("DJANGO_SETTINGS_MODULE") or (name == "manage.py" and _sets_settings(words[0])):
        return
    found = sorted(glob.glob("*/settings.py")) + sorted(glob.glob("*/settings/__init__.py"))
    module = f"{found[0].partition(os.sep)[0]}.settings" if found else "PROJECT.settings"
    what = f"{name} finds no settings of Django: neither DJANGO_SETTINGS_MODULE nor --settings is there"
    yield fault("django-settings", what, f"set DJANGO_SETTINGS_MODULE={module}")


def _program(case: Case) -> list[str]:
    """The program and its words: a script, or the module behind ``-m``."""
    return options(case.python[1:])[2] if case.python else []


def _sets_settings(path: str) -> bool:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return "DJANGO_SETTINGS_MODULE" in file.read()
    except OSError:
        return False
