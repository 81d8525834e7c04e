"""Programs that cannot be started traced: their interpreter is told to ignore what tracerun starts by."""

import os

from tracerun.errors import TracerunError, say
from tracerun.interpreter import behind, options

REASONS = {
    "I": "ignores PYTHONPATH",
    "E": "ignores PYTHONPATH",
    "S": "loads no sitecustomize",
}
# Its sitecustomize is put in front of ours, and runs no other.
RIVAL = "opentelemetry-instrument"


def check(path: str, words: list[str], *, strict: bool) -> None:
    """Says that a program cannot be traced, and why.

    Args:
        path: The command's file.
        words: The command as it was typed.
        strict: Whether it is refused.
    """
    found = obstacle(path, words)
    if found:
        _say(*found, strict=strict)


def obstacle(path: str, words: list[str]) -> tuple[str, str] | None:
    """Why a program cannot be traced by its command, and what to do; none where it can."""
    if os.path.basename(words[0]) == RIVAL:
        return f"{RIVAL} starts tracing of its own in the program, and keeps tracerun's out", "leave it out"
    python = behind(path, words)
    letters = options(python[1:])[0] if python else ""
    letter = next((letter for letter in letters if letter in REASONS), "")
    if not letter:
        return None
    where = f"python -{letter}" if python[-1] != path else f"{path} begins with python -{letter}, which"
    line = f"{where} {REASONS[letter]}, by which tracerun starts: this program is not traced"
    return line, _fix(letter, python, path)


def _say(line: str, fix: str, *, strict: bool) -> None:
    if strict:
        raise TracerunError(
            f"{line}; not started, because of --strict (TRACERUN_STRICT)", slug="not-traceable", exit_code=2
        )
    say(f"{line}; {fix}", slug="not-traceable")


def _fix(letter: str, python: list[str], path: str) -> str:
    leave_out = f"start it without -{letter}"
    if python[-1] == path:
        leave_out = f"start it by: tracerun {python[0]} {path}"
    # Without site there is no site-packages either, from which the import could come.
    return leave_out if letter == "S" else f'{leave_out}, or put "import tracerun.auto" on its first line'
