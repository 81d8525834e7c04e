"""The only door to the environment: its raw text. What a value of it means stands in ``settings``.

On the start-up path of the launcher and of every traced program, so it imports nothing but ``os``.
"""

import os

TYPE_CHECKING = False  # type checkers know the name; importing typing would cost every traced start-up
if TYPE_CHECKING:
    from collections.abc import Mapping, MutableMapping

# What the launcher and the agent tell each other; all else with our prefixes is a setting of the user's.
MARKS = frozenset(("TRACERUN_PID", "TRACERUN_RUN", "TRACERUN_SITE", "TRACERUN_TARGET"))
# The settings that change the launch itself; all others are read in the target.
OF_THE_LAUNCH = frozenset(("OTEL_SDK_DISABLED", "TRACERUN_DEBUG", "TRACERUN_ENABLED", "TRACERUN_STRICT"))
_PREFIXES = ("OTEL_", "TRACERUN_")


def environment() -> "MutableMapping[str, str]":
    """This process's environment, for the few places that hand it on or mark it for child processes."""
    return os.environ


def is_configured(env: "Mapping[str, str]") -> bool:
    """Whether anything is set at all. Where it is not, there are defaults only, and nothing has to be parsed."""
    return any(name.startswith(_PREFIXES) and name not in MARKS for name in env)


def search_path() -> str:
    """``PATH``, or what the system searches without it."""
    return os.environ.get("PATH", os.defpath)


def default_state_directory() -> str:
    """``$XDG_STATE_HOME/tracerun`` (XDG Base Directory Specification); empty where no home is known."""
    base = os.environ.get("XDG_STATE_HOME", "")
    if not os.path.isabs(base):  # the XDG specification: a relative path is to be ignored
        home = os.path.expanduser("~")
        if not os.path.isabs(home):
            return ""
        base = os.path.join(home, ".local", "state")
    return os.path.join(base, "tracerun")


class hidden:  # noqa: N801 - used like contextlib's functions; that module is not loaded at start-up
    """Hides variables while a block runs, for imports that raise or scan where one of them is set."""

    __slots__ = ("kept", "variables")

    def __init__(self, variables: list[str]) -> None:
        self.variables = variables
        self.kept: dict[str, str] = {}

    def __enter__(self) -> None:
        self.kept = {name: os.environ.pop(name) for name in self.variables if name in os.environ}

    def __exit__(self, *_: object) -> None:
        os.environ.update(self.kept)
