"""Launching: `tracerun COMMAND ...` becomes COMMAND, by exec, with the environment that starts the agent.

On this path nothing is imported but ``os``, ``sys`` and tracerun's own few modules: without options the
launcher costs one bare interpreter start. Options, and a ``[tool.tracerun]`` table, take the other way.
"""

import os
import sys

from tracerun.cli.execute import execute
from tracerun.environment import environment
from tracerun.errors import TracerunError, say

TABLE_HEADER = b"[tool.tracerun"


def main() -> None:
    """The command ``tracerun``; does not return where the launched command takes over."""
    try:
        _main(sys.argv[1:])
    except TracerunError as error:
        say(str(error), slug=error.slug)
        sys.exit(error.exit_code)


def _main(words: list[str]) -> None:
    if words and not words[0].startswith("-"):
        table = nearest_table()
        if not table:
            execute(words, dict(environment()))
            return
    before = sys.path[:]
    _leave_the_programs_folders()
    try:
        from tracerun.cli.command import run  # noqa: PLC0415 - click is loaded for options only
    except ImportError:  # there, each on its own, lie also what we need
        sys.path[:] = before
        from tracerun.cli.command import run  # noqa: PLC0415 - as above

    run(words)


def _leave_the_programs_folders() -> None:
    """What lies on PYTHONPATH, and for ``-m`` in the current folder, is the program's; not a click for us."""
    here = _current_folder()
    entries = environment().get("PYTHONPATH", "").split(os.pathsep)
    given = {os.path.normpath(os.path.join(here, entry)) for entry in (here, *entries)}
    ours = os.path.dirname(os.path.dirname(os.path.dirname(os.path.normpath(__file__))))
    sys.path[:] = [entry for entry in sys.path if entry == ours or os.path.normpath(entry) not in given]


def _current_folder() -> str:
    try:
        return os.getcwd()
    except OSError:  # it is gone
        return ""


def nearest_table() -> str:
    """The nearest pyproject.toml, if it has a table for us; empty where it has none."""
    folder = _current_folder()
    while folder:
        path = os.path.join(folder, "pyproject.toml")
        try:
            with open(path, "rb") as file:
                return path if TABLE_HEADER in file.read() else ""
        except OSError:
            pass
        parent = os.path.dirname(folder)
        folder = parent if parent != folder else ""
    return ""
