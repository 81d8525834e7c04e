"""Programs that cannot be started traced: their interpreter is told to ignore what tracerun starts by."""

from __future__ import annotations

from tracerun.errors import TracerunError, say
from tracerun.interpreter import behind, options

TYPE_CHECKING = False
if TYPE_CHECKING:
    from tracerun.settings import Settings

REASONS = {
    "I": "ignores PYTHONPATH",
    "E": "ignores PYTHONPATH",
    "S": "loads no sitecustomize",
}


def check(path: str, words: list[str], settings: Settings) -> None:
    """Says that a program cannot be traced, and why; refuses it where ``--strict`` is given.

    Args:
        path: The command's file.
        words: The command as it was typed.
        settings: Of the launcher.
    """
    python = behind(path, words)
    letters = options(python[1:])[0] if python else ""
    letter = next((letter for letter in letters if letter in REASONS), "")
    if not letter:
        return
    where = f"python -{letter}" if python[-1] != path else f"{path} begins with python -{letter}, which"
    line = f"{where} {REASONS[letter]}, by which tracerun starts: this program is not traced"
    if settings.strict:
        raise TracerunError(
            f"{line}; not started, because of --strict (TRACERUN_STRICT)", slug="not-traceable", exit_code=2
        )
    say(f"{line}; {_fix(letter, python, path)}")


def _fix(letter: str, python: list[str], path: str) -> str:
    leave_out = f"start it without -{letter}"
    if python[-1] == path:
        leave_out = f"start it by: tracerun {python[0]} {path}"
    # Without site there is no site-packages either, from which the import could come.
    return leave_out if letter == "S" else f'{leave_out}, or put "import tracerun.auto" on its first line'
