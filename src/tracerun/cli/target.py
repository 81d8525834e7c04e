"""The interpreter that a command would run, and the distributions in its environment.

The program itself is never run; an interpreter is, only where its paths cannot be told from a virtual
environment's layout.
"""

from __future__ import annotations

import glob
import json
import os
import shlex
import subprocess
from typing import TYPE_CHECKING

import importlib_metadata

from tracerun.cli.execute import find
from tracerun.entrypoints import normalised
from tracerun.errors import TracerunError
from tracerun.injection import FOLDER
from tracerun.interpreter import behind, is_python

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

# Understood by every Python, 2.7 included.
_PATHS = "import json, sys; print(json.dumps([sys.executable, list(sys.version_info[:3]), sys.path[1:], sys.prefix]))"
_LONGEST_SHEBANG = 512


class Target:
    """An interpreter and where it finds its packages.

    Attributes:
        python: The interpreter's file.
        version: Its version, such as ``3.11``; empty where it cannot be told.
        paths: Its ``sys.path``, without the script's folder.
        prefix: Its ``sys.prefix``.
        made_by_uv: Whether it is a virtual environment that uv has made, mostly without pip.
    """

    def __init__(
        self, python: str, version: str, paths: list[str], prefix: str = "", *, made_by_uv: bool = False
    ) -> None:
        self.python = python
        self.version = version
        self.paths = paths
        self.prefix = prefix
        self.made_by_uv = made_by_uv

    def installed(self) -> dict[str, str]:
        """The version of each distribution, by its normalised name; the first on the path wins, as at import."""
        versions: dict[str, str] = {}
        for distribution in importlib_metadata.distributions(path=self.paths):
            try:
                name, version = _named(distribution.read_text)
            except Exception:  # noqa: BLE001, S112 - broken metadata of one distribution costs only that one
                continue
            if name and version:
                versions.setdefault(normalised(name), version)
        return versions


def _named(read: Callable[[str], str | None]) -> tuple[str, str]:
    """A distribution's name and version; the whole of its metadata, as a message, would take ten times as long."""
    fields = {"name": "", "version": ""}
    texts = map(read, ("METADATA", "PKG-INFO", ""))
    for line in next(filter(None, texts), "").splitlines():
        if not line:
            break
        field, _, value = line.partition(":")
        if field.lower() in fields:
            fields[field.lower()] = value.strip()
    return fields["name"], fields["version"]


def of_command(words: list[str], env: Mapping[str, str]) -> Target:
    """The target that a command would run; without a command, the ``python`` on PATH.

    Raises:
        TracerunError: There is no such command, or no interpreter behind it.
    """
    search = env.get("PATH", os.defpath)
    python = _interpreter(words, search) if words else _python_on(search)
    return _from_layout(python, env) or _asked(python, env)


def _python_on(search: str) -> str:
    try:
        return find("python", search)
    except TracerunError:
        return find("python3", search)


def _interpreter(words: list[str], search: str) -> str:
    """The interpreter behind a command: itself, or that of its first line."""
    path = find(words[0], search)
    python = behind(path, words)
    if python:
        return path if is_python(words[0]) else find(python[0], search)
    return _behind_shell(path) or _python_on(search)


def _behind_shell(path: str) -> str:
    """The interpreter of a script that sh starts by it, as installers write where its path is long or has spaces."""
    with open(path, "rb") as file:
        first, second = file.readline(_LONGEST_SHEBANG), file.readline(_LONGEST_SHEBANG)
    if first.split() != [b"#!/bin/sh"] or not second.startswith(b"'''exec'"):
        return ""
    try:
        words = shlex.split(os.fsdecode(second.removeprefix(b"'''exec'")))
    except ValueError:
        return ""
    return words[0] if words and is_python(words[0]) else ""


def _from_layout(python: str, env: Mapping[str, str]) -> Target | None:
    """A virtual environment's target, from its folders alone (PEP 405)."""
    prefix = os.path.dirname(os.path.dirname(os.path.abspath(python)))
    if not os.path.isfile(os.path.join(prefix, "pyvenv.cfg")):
        return None
    with open(os.path.join(prefix, "pyvenv.cfg"), encoding="utf-8", errors="replace") as file:
        settings = {key.strip().lower(): value.strip() for key, _, value in (line.partition("=") for line in file)}
    if settings.get("include-system-site-packages", "false").lower() == "true":
        return None
    version = ".".join(settings.get("version", settings.get("version_info", "")).split(".")[:2])
    folders = _site_packages(prefix, version)
    made_by_uv = "uv" in settings
    return Target(python, version, _of_user(env) + folders, prefix, made_by_uv=made_by_uv) if folders else None


def _site_packages(prefix: str, version: str) -> list[str]:
    """Where an environment's packages lie; one that was made anew by another Python keeps the old folder."""
    for pattern in (f"lib/python{version}", "lib/python3*", "lib/pypy3*", "Lib"):
        found = glob.glob(os.path.join(glob.escape(prefix), pattern, "site-packages"))
        if found:
            return found
    return []


def _of_user(env: Mapping[str, str]) -> list[str]:
    """The entries of PYTHONPATH that are not ours."""
    return [entry for entry in env.get("PYTHONPATH", "").split(os.pathsep) if entry and entry != FOLDER]


def _asked(python: str, env: Mapping[str, str]) -> Target:
    """The target as the interpreter itself tells it."""
    clean = {**env, "PYTHONPATH": os.pathsep.join(_of_user(env))}
    try:
        answer = subprocess.run(
            [python, "-c", _PATHS], env=clean, capture_output=True, text=True, timeout=30, check=True
        )
        executable, version, paths, prefix = json.loads(answer.stdout)
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        raise TracerunError(
            f"the interpreter {python} does not answer: {error}", slug="no-interpreter", exit_code=1
        ) from None
    return Target(executable or python, f"{version[0]}.{version[1]}", paths, prefix)
