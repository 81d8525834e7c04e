"""The interpreter that a command would run, and the distributions in its environment.

The program itself is never run; an interpreter is, only where its paths cannot be told from a virtual
environment's layout.
"""

from __future__ import annotations

import glob
import json
import os
import subprocess
from typing import TYPE_CHECKING

import importlib_metadata

from tracerun.cli.execute import find
from tracerun.errors import TracerunError
from tracerun.injection import FOLDER

if TYPE_CHECKING:
    from collections.abc import Mapping

_PATHS = "import json, sys; print(json.dumps([sys.executable, list(sys.version_info[:3]), sys.path[1:]]))"
_LONGEST_SHEBANG = 512


class Target:
    """An interpreter and where it finds its packages.

    Attributes:
        python: The interpreter's file.
        version: Its version, such as ``3.11``; empty where it cannot be told.
        paths: Its ``sys.path``, without the script's folder.
    """

    def __init__(self, python: str, version: str, paths: list[str]) -> None:
        self.python = python
        self.version = version
        self.paths = paths

    def installed(self) -> dict[str, str]:
        """The version of each distribution, by its normalised name; the first on the path wins, as at import."""
        versions: dict[str, str] = {}
        for distribution in importlib_metadata.distributions(path=self.paths):
            try:
                name, version = distribution.metadata["Name"], distribution.version
            except Exception:  # noqa: BLE001, S112 - broken metadata of one distribution costs only that one
                continue
            if name and version:
                versions.setdefault(normalised(name), version)
        return versions


def normalised(name: str) -> str:
    """A distribution's name as the simple repository API compares it."""
    return name.lower().replace("_", "-").replace(".", "-")


def of_command(words: list[str], env: Mapping[str, str]) -> Target:
    """The target that a command would run; without a command, the ``python`` on PATH.

    Raises:
        TracerunError: There is no such command, or no interpreter behind it.
    """
    search = env.get("PATH", os.defpath)
    python = _interpreter(words, search) if words else _python_on(search)
    return _from_layout(python) or _asked(python, env)


def _python_on(search: str) -> str:
    try:
        return find("python", search)
    except TracerunError:
        return find("python3", search)


def _interpreter(words: list[str], search: str) -> str:
    """The interpreter behind a command: itself, or that of its first line."""
    path = find(words[0], search)
    if os.path.basename(path).startswith(("python", "pypy")):
        return path
    with open(path, "rb") as file:
        first = file.readline(_LONGEST_SHEBANG)
    if not first.startswith(b"#!"):
        return _python_on(search)
    shebang = os.fsdecode(first[2:]).split()
    if not shebang:
        return _python_on(search)
    if os.path.basename(shebang[0]) == "env":
        names = [word for word in shebang[1:] if not word.startswith("-") and "=" not in word]
        shebang = [find(names[0], search)] if names else shebang
    return shebang[0] if "python" in os.path.basename(shebang[0]) else _python_on(search)


def _from_layout(python: str) -> Target | None:
    """A virtual environment's target, from its folders alone (PEP 405)."""
    prefix = os.path.dirname(os.path.dirname(os.path.abspath(python)))
    if not os.path.isfile(os.path.join(prefix, "pyvenv.cfg")):
        return None
    with open(os.path.join(prefix, "pyvenv.cfg"), encoding="utf-8", errors="replace") as file:
        settings = {key.strip().lower(): value.strip() for key, _, value in (line.partition("=") for line in file)}
    if settings.get("include-system-site-packages", "false").lower() == "true":
        return None
    folders = glob.glob(os.path.join(prefix, "lib", "python3*", "site-packages"))
    folders += glob.glob(os.path.join(prefix, "Lib", "site-packages"))
    version = ".".join(settings.get("version", settings.get("version_info", "")).split(".")[:2])
    return Target(python, version, folders) if folders else None


def _asked(python: str, env: Mapping[str, str]) -> Target:
    """The target as the interpreter itself tells it."""
    rest = [entry for entry in env.get("PYTHONPATH", "").split(os.pathsep) if entry and entry != FOLDER]
    clean = {**env, "PYTHONPATH": os.pathsep.join(rest)}
    try:
        answer = subprocess.run(
            [python, "-c", _PATHS], env=clean, capture_output=True, text=True, timeout=30, check=True
        )
        executable, version, paths = json.loads(answer.stdout)
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        raise TracerunError(
            f"the interpreter {python} does not answer: {error}", slug="no-interpreter", exit_code=1
        ) from None
    return Target(executable or python, f"{version[0]}.{version[1]}", paths)
