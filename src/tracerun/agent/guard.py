"""The one guard: whatever happens in our code, the program goes on; and the one way to say something.

Lines go straight to file descriptor 2: not through ``sys.stderr``, which programs replace, capture and
close, and not through ``logging``, which is the program's.
"""

import os
import sys

from tracerun import printable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType

PREFIX = "tracerun: "


class _State:
    """What the guard remembers of this process."""

    raise_errors = False
    debug = False
    began = 0.0
    # Where the program starts with stderr closed, the descriptor's number may be a file of its own soon.
    stderr_open = True
    # What descriptor 2 was at the start; a program that closes it may have a file of its own there later.
    stderr: tuple[int, int] | None = None
    # The slugs of all messages so far.
    said: set[str] = set()  # noqa: RUF012 - one process, one state
    # What happened, for the report: (where, kind of error) to how often.
    errors: dict[tuple[str, str], int] = {}  # noqa: RUF012 - one process, one state


def begin() -> None:
    """Called at boot: what stands for stderr now is where our lines go."""
    _State.stderr = _file(2)
    _State.stderr_open = _State.stderr is not None


def configure(*, raise_errors: bool, debug: bool, began: float = 0.0) -> None:
    """Called where anything is set.

    Args:
        raise_errors: Whether internal errors are raised (our tests).
        debug: Whether decisions are said, and the tracebacks of internal errors.
        began: When this process did, by the monotonic clock.
    """
    _State.raise_errors, _State.debug, _State.began = raise_errors, debug, began


def _file(descriptor: int) -> tuple[int, int] | None:
    """What a descriptor stands for; none where it is closed."""
    try:
        status = os.fstat(descriptor)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _stderr_is_there() -> bool:
    """Whether descriptor 2 is what it was, or one with stdout, as a daemon's log is; anything else may be data."""
    return _State.stderr_open and (_State.stderr is None or _file(2) in (_State.stderr, _file(1)))


def say(line: str, *more: str, slug: str) -> None:
    """Writes a line of ours to stderr. Never raises, never blocks on a Python-level buffer.

    Args:
        line: What there is to say.
        more: Lines that belong to it; all go in one write, so that no other process's come between.
        slug: Names the message in docs/messages.md; shown at the end of the line.
    """
    _State.said.add(slug)
    if _stderr_is_there():
        lines = (f"{line} [{slug}]", *more)
        data = "".join([f"{PREFIX}{printable(text)}\n" for text in lines]).encode()
        try:
            os.write(2, data)
        except OSError:  # a closed pipe or a full disk: there is nobody to tell
            _State.stderr_open = False


def debug(text: str, *values: object) -> None:
    """Says a decision, with ``--debug`` alone.

    Args:
        text: As for ``str.format``.
        values: What goes into it.
    """
    if _State.debug:
        from tracerun.agent.threads import monotonic  # noqa: PLC0415 - with --debug only

        say(f"{monotonic() - _State.began:.3f} s: {text.format(*values)}", slug="debug")


def has_said(slug: str) -> bool:
    """Whether this process has said a message, by its slug."""
    return slug in _State.said


def stderr_is_terminal() -> bool:
    """Whether somebody is reading along."""
    try:
        return _stderr_is_there() and os.isatty(2)
    except OSError:
        return False


def record(what: str, error: BaseException) -> None:
    """Counts an error of ours; the first of its kind is said in one line."""
    key = (what, type(error).__name__)
    _State.errors[key] = _State.errors.get(key, 0) + 1
    if _State.errors[key] == 1:
        said = f"internal error in {what}: {type(error).__name__}: {first_line(error)}; the program is not affected"
        say(said, *(_traceback(error) if _State.debug else ()), slug="internal-error")


def _traceback(error: BaseException) -> list[str]:
    import traceback  # noqa: PLC0415 - only to debug tracerun itself

    return "".join(traceback.format_exception(type(error), error, error.__traceback__)).splitlines()


def errors() -> list[tuple[tuple[str, str], int]]:
    """The errors of ours so far: where, their kind, how often."""
    return list(_State.errors.items())


def first_line(error: BaseException) -> str:
    """What an error says, as far as one line can hold it."""
    try:
        lines = str(error).splitlines()
    except Exception:  # noqa: BLE001 - an error whose own text fails is still an error to report
        return "(no text)"
    return lines[0][:200] if lines else "(no text)"


class guarded:  # noqa: N801 - used like contextlib's functions; that module is not loaded at start-up
    """``with guarded("SDK set-up"):`` swallows an ``Exception`` of ours, says so once and counts it.

    ``BaseException`` passes, unless ``catch`` says otherwise: code of third parties may raise ``SystemExit``
    at import. In our own tests the error is raised.
    """

    __slots__ = ("catch", "what")

    def __init__(self, what: str, catch: type[BaseException] | tuple[type[BaseException], ...] = Exception) -> None:
        self.what = what
        self.catch = catch

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: "TracebackType | None"
    ) -> bool:
        return error is not None and isinstance(error, self.catch) and self.swallows(error)

    def swallows(self, error: BaseException) -> bool:
        """Whether an error of ours goes no further; it is said, and counted.

        For ``except`` on the path of a request, which costs nothing there, as a ``with`` block does.
        """
        if sys.is_finalizing() or not sys.meta_path or sys.modules.get("sys") is not sys:
            return True  # modules are half gone, also where the program has seen to that: not worth a word
        record(self.what, error)
        return not _State.raise_errors
