"""What is checked: a command, its environment, and what the agent says in its interpreter."""

from __future__ import annotations

import os
import sys
from functools import cached_property
from typing import TYPE_CHECKING, Any

from tracerun.cli import target
from tracerun.cli.check.trial import Trial, interpreter_words, program_folder
from tracerun.cli.execute import child_env, find
from tracerun.cli.installing import install_line
from tracerun.errors import TracerunError
from tracerun.interpreter import behind
from tracerun.settings import Settings
from tracerun.versions import OLDEST_PYTHON, as_numbers

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tracerun.cli.target import Target
    from tracerun.settings import Setting

# What would keep the agent out, or end the process before it has said anything: findings of their own; and what
# would have it write where the user looks.
_IN_THE_WAY = (
    "TRACERUN_ENABLED", "OTEL_SDK_DISABLED", "TRACERUN_STRICT", "TRACERUN_RAISE_ERRORS", "TRACERUN_DEBUG",
    "TRACERUN_REPORT",
)  # fmt: skip


# Brings OTLP over gRPC, with grpcio.
GRPC_EXPORTER = "opentelemetry-exporter-otlp-proto-grpc"


class Case:
    """One question: would a trace of this command arrive?

    Args:
        words: The command; may be empty.
        env: The environment, with what options and pyproject.toml set.
        sources: What has set a variable, where that is an option or pyproject.toml.
        given: The settings that options have set.
    """

    def __init__(
        self, words: list[str], env: dict[str, str], sources: Mapping[str, str], given: Sequence[Setting[Any]] = ()
    ) -> None:
        self.words = words
        self.env = env
        self.sources = sources
        self.given = given
        self.settings = Settings.from_env(env)

    @cached_property
    def path(self) -> str:
        """The command's file; empty where there is no command, or no such one."""
        try:
            return find(self.words[0], self.env.get("PATH", os.defpath)) if self.words else ""
        except TracerunError as error:
            self.no_command = str(error)
            return ""

    no_command = ""

    @cached_property
    def python(self) -> list[str]:
        """The words of the Python command line behind the command; none where it is no Python."""
        return behind(self.path, self.words) if self.path else []

    @cached_property
    def target(self) -> Target | None:
        """The interpreter and its packages; none where there is no such command or it does not answer."""
        try:
            return target.of_command(self.words, self.env)
        except TracerunError as error:
            self.no_target = str(error)
            return None

    no_target = ""

    @cached_property
    def installed(self) -> dict[str, str]:
        """The version of each distribution there, by its normalised name."""
        return self.target.installed() if self.target else {}

    def installing(self, package: str) -> str:
        """The command that installs a package where the program runs."""
        if self.target is None:
            return f"python -m pip install {package}"
        return install_line(package, self.target, self.installed)

    @property
    def is_too_old(self) -> bool:
        """Whether the interpreter is older than the agent can run on."""
        version = self.target.version if self.target else ""
        return bool(version) and as_numbers(version) < as_numbers(OLDEST_PYTHON)

    @cached_property
    def trial(self) -> Trial | None:
        """The agent's own report from the target's interpreter, where nothing has been sent yet."""
        if self.target is None or self.is_too_old:
            return None
        return self._tried(interpreter_words(self.words, self.python, self.path, self.target), send=False)

    @cached_property
    def way(self) -> Trial:
        """The report by which the destination is known: where no agent works in the target, from our own Python."""
        there = self.trial
        return there if there is not None and there.report.get("ready") else self._tried(None, send=False)

    @cached_property
    def sent(self) -> Trial:
        """The same with a span sent."""
        return self._tried(self.way.words if self.way is self.trial else None, send=True)

    def _tried(self, words: list[str] | None, *, send: bool) -> Trial:
        """A trial of the target's interpreter, or of our own, which has what it needs and nothing of the target's."""
        env = {name: value for name, value in self.env.items() if name not in _IN_THE_WAY}
        if words is None:
            env.pop("PYTHONPATH", None)
        folder = program_folder(self.python) if words else ""
        return Trial(words or [sys.executable], child_env(env, self.words or ["python"]), send=send, folder=folder)
