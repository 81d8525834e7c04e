"""What the launcher refuses or fails at: one class, from which the exit code and the message follow."""

import sys

from tracerun import printable


def say(line: str, *, slug: str) -> None:
    """Writes one line of ours to stderr, if the launcher has one and it can be written to.

    Args:
        line: What there is to say.
        slug: Names the message in docs/messages.md; shown at the end of the line.
    """
    try:
        if sys.stderr is not None:
            sys.stderr.write(f"tracerun: {printable(line)} [{slug}]\n")
    except OSError:  # there is nobody to tell, and the program is to start all the same
        pass


class TracerunError(Exception):
    """An error with a message for the user.

    Args:
        message: What is wrong, what is allowed, how to fix it; without a prefix, without secrets.
        slug: Names the error in docs/messages.md.
        exit_code: Of the launcher.
    """

    def __init__(self, message: str, *, slug: str, exit_code: int) -> None:
        super().__init__(message)
        self.slug = slug
        self.exit_code = exit_code


class WrongUsage(TracerunError):  # noqa: N818 - what it is, not that it is an error
    """An option, or a value of one, that does not exist."""

    def __init__(self, message: str) -> None:
        super().__init__(message, slug="wrong-usage", exit_code=2)


class NotExecutable(TracerunError):  # noqa: N818 - as above
    """The command is there but cannot be run."""

    def __init__(self, message: str) -> None:
        super().__init__(message, slug="not-executable", exit_code=126)


class CommandNotFound(TracerunError):  # noqa: N818 - as above
    """There is no such command."""

    def __init__(self, message: str) -> None:
        super().__init__(message, slug="command-not-found", exit_code=127)
