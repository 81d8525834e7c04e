"""The service's name where nobody set one: from the command that the program was started with."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from tracerun.environment import environment
from tracerun.interpreter import options

if TYPE_CHECKING:
    from tracerun.settings import Settings

# Commands that run an application given as module[:attribute] or as a path.
SERVERS = ("uvicorn", "gunicorn", "hypercorn", "granian", "daphne", "fastapi", "waitress-serve", "waitress")
# What a file's name ends in without being part of its stem.
_SUFFIXES = (".py", ".pyw", ".pyc", ".pyz", ".pyzw", ".zip", ".exe")


def name_of(settings: Settings) -> str:
    """The service's name: what the user has set, else what the command says."""
    return settings.service_name or settings.resource.get("service.name") or derived_name()


def derived_name(argv: list[str] | None = None) -> str:
    """The WSGI or ASGI application's module, the ``-m`` module, the script's stem, or the project's name.

    Args:
        argv: The command as it was typed, interpreter first; this process's own by default.
    """
    if argv is None:
        # A frozen program has no interpreter in front.
        argv = ["", *sys.argv] if getattr(sys, "frozen", False) else sys.orig_argv
    _, option, words = options(argv[1:])
    if option == "c" and words and words[0].startswith("from multiprocessing."):
        # A child that was not forked has been given its parent's arguments by now.
        _, option, words = options(sys.argv)
    if option == "c" or words[:1] in ([], ["-"]):
        return _project_name() or "python"
    command = words[0] if option == "m" else _stem(words[0])
    return _application(command, words[1:]) or command.removesuffix(".__main__") or "python"


def _stem(path: str) -> str:
    """A script's or an archive's name without its suffix; a folder's name, also for the ``__main__.py`` in it."""
    try:
        path = os.path.abspath(path)
    except OSError:  # the current folder is gone
        pass
    folder, name = os.path.split(path)
    stem, suffix = os.path.splitext(name)
    if suffix.lower() not in _SUFFIXES or os.path.isdir(path):
        return name
    return os.path.basename(folder) if stem == "__main__" else stem


def _application(command: str, words: list[str]) -> str:
    """The application that a server's command line names."""
    if command == "flask":
        return _of_flask(words)
    if command not in SERVERS:
        return ""
    if command == "fastapi":  # its first word is `run` or `dev`
        words = words[1:]
    words = [word.removeprefix("--app=") for word in words]
    with_attribute = next((name for name in map(_with_attribute, words) if name), "")
    ends = [word for word in words[:1] + words[-1:] if not word.startswith("-")]
    return with_attribute or (_module(ends[0]) if ends else "")


def _of_flask(words: list[str]) -> str:
    for index, word in enumerate(words):
        if word in ("--app", "-A") and index + 1 < len(words):
            return _module(words[index + 1])
        if word.startswith("--app="):
            return _module(word.partition("=")[2])
    return _module(environment().get("FLASK_APP", ""))


def _with_attribute(word: str) -> str:
    """The module of ``shop.web:app`` or ``shop.web:make()``; addresses such as ``localhost:80`` are nothing."""
    if word.count(":") == 2:  # noqa: PLR2004 - hypercorn's asgi:shop.web:app
        word = word.partition(":")[2]
    module, _, attribute = word.partition(":")
    is_one = attribute.partition("(")[0].replace(".", "_").isidentifier() and module not in ("unix", "fd", "tcp")
    return _module(module) if is_one else ""


def _module(application: str) -> str:
    """``shop.web:make()`` is ``shop.web``, ``shop/web.py`` is ``web``; what can be neither is nothing."""
    module = application.partition(":")[0]
    if module.endswith(".py") or "/" in module:
        return os.path.splitext(os.path.basename(module))[0]
    return module if all(part.isidentifier() for part in module.split(".")) else ""


def _project_name() -> str:
    """``[project] name`` of a pyproject.toml in the current folder."""
    try:
        with open("pyproject.toml", encoding="utf-8") as file:
            lines = file.read(100_000).splitlines()
    except (OSError, ValueError):
        return ""
    section = ""
    for line in lines:
        stripped = line.strip()
        if stripped.startswith("["):
            section = stripped
        elif section == "[project]" and stripped.partition("=")[0].strip() == "name":
            return stripped.partition("=")[2].partition("#")[0].strip().strip("\"'")
    return ""
