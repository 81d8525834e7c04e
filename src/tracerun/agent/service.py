"""The service's name where nobody set one: from the command that the program was started with."""

from __future__ import annotations

import os
import sys

# Commands that run an application given as module[:attribute] or as a path.
SERVERS = ("uvicorn", "gunicorn", "hypercorn", "granian", "daphne", "waitress-serve", "waitress")


def derived_name(argv: list[str] | None = None) -> str:
    """The WSGI or ASGI application's module, the ``-m`` module, the script's stem, or the project's name.

    Args:
        argv: The command as it was typed, interpreter first; this process's own by default.
    """
    words = list(sys.orig_argv if argv is None else argv)[1:]
    while words and words[0].startswith("-") and words[0] not in ("-m", "-c", "-"):
        # Interpreter options with a value of their own.
        words = words[2:] if words[0] in ("-W", "-X", "--check-hash-based-pycs") else words[1:]
    if not words or words[0] in ("-c", "-"):
        return _project_name() or "python"
    if words[0] == "-m":
        command, rest = (words[1] if len(words) > 1 else "python"), words[2:]
    else:
        command, rest = os.path.splitext(os.path.basename(os.path.abspath(words[0])))[0], words[1:]
    application = _application(command, rest)
    if application:
        return application
    if command == "__main__" and words[0] != "-m":  # a folder or archive is named by itself
        command = os.path.basename(os.path.dirname(os.path.abspath(words[0])))
    return command.removesuffix(".__main__") or "python"


def _application(command: str, words: list[str]) -> str:
    """The application that a server's command line names."""
    if command == "flask":
        for index, word in enumerate(words):
            if word in ("--app", "-A") and index + 1 < len(words):
                return _module(words[index + 1])
            if word.startswith("--app="):
                return _module(word.partition("=")[2])
        return ""
    if command in SERVERS:
        named = [word for word in words if not word.startswith("-") and (":" in word or word.endswith(".py"))]
        for word in named:
            name = _module(word)
            if name:
                return name
    return ""


def _module(application: str) -> str:
    """``shop.web:create_app()`` is ``shop.web``, ``shop/web.py`` is ``web``; an address is nothing."""
    module = application.partition(":")[0]
    if not module or module[0].isdigit() or module in ("localhost", "unix", "fd", "tcp"):
        return ""
    return os.path.splitext(os.path.basename(module))[0] if module.endswith(".py") or "/" in module else module


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
