"""The command that installs a package into the target's environment, with what the project is kept by."""

from __future__ import annotations

import os
import shlex
from typing import TYPE_CHECKING

from tracerun.versions import as_numbers

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tracerun.cli.target import Target

# Releases of the instrumentations are 0.(N+21) where opentelemetry-api is 1.N.
_AHEAD = 21
_UV, _POETRY = "uv", "poetry"


def install_line(package: str, target: Target, versions: Mapping[str, str]) -> str:
    """What to type, quoted for a shell.

    Args:
        package: With the release that the launcher knows, such as ``opentelemetry-instrumentation-redis==0.66b2``.
        target: Where it is to be.
        versions: What is installed there.
    """
    return shlex.join([*_installer(target, versions), _fitting(package, versions.get("opentelemetry-api", ""))])


def _fitting(package: str, api: str) -> str:
    """The release that belongs to the API that is there; all of them are pre-releases, which must be named."""
    name, equals, release = package.partition("==")
    numbers = as_numbers(api)
    if not equals or numbers[:1] != (1,) or len(numbers) == 1:
        return package
    minor = numbers[1] + _AHEAD
    return package if as_numbers(release)[:2] == (0, minor) else f"{name}>=0.{minor}b0,<0.{minor + 1}b0"


def _installer(target: Target, versions: Mapping[str, str]) -> list[str]:
    manager, folder = _project()
    prefix = os.path.realpath(target.prefix) + os.sep
    in_project = bool(folder) and prefix.startswith(os.path.realpath(folder) + os.sep)
    if manager == _UV and in_project:
        return ["uv", "add"]
    if manager == _POETRY and (in_project or f"{os.sep}pypoetry{os.sep}" in prefix):
        return ["poetry", "add"]
    if target.made_by_uv:
        return ["uv", "pip", "install", "--python", target.python]
    if "pip" in versions:
        return [target.python, "-m", "pip", "install"]
    return ["pip", "--python", target.python, "install"]


def _project() -> tuple[str, str]:
    """What keeps the project of the current folder, and its folder; empty where that is none of these."""
    try:
        folder = os.getcwd()
    except OSError:  # it is gone
        return "", ""
    while True:
        table = _text(os.path.join(folder, "pyproject.toml"))
        for manager in (_UV, _POETRY):
            if os.path.exists(os.path.join(folder, f"{manager}.lock")) or f"\n[tool.{manager}" in f"\n{table}":
                return manager, folder
        parent = os.path.dirname(folder)
        if table or parent == folder:
            return "", ""
        folder = parent


def _text(file: str) -> str:
    try:
        with open(file, encoding="utf-8", errors="replace") as opened:
            return opened.read()
    except OSError:
        return ""
