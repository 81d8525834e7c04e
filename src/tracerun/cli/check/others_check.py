"""Other agents: two that patch the same libraries double spans, or break each other."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from tracerun.cli.check.agents import AGENTS, UPSTREAM
from tracerun.cli.check.finding import ok, warning

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tracerun.cli.check.agents import Agent
    from tracerun.cli.check.case import Case
    from tracerun.cli.check.finding import Finding


def check(case: Case) -> Iterator[Finding]:
    """Those that start with the program, and those that only lie there."""
    found = [finding for agent in AGENTS for finding in _of_agent(case, agent)]
    yield from found or [ok("other-agent", "no other agent is there")]


def _of_agent(case: Case, agent: Agent) -> Iterator[Finding]:
    entries = case.env.get("PYTHONPATH", "").split(os.pathsep)
    entry = next((entry for entry in entries if agent.folder in entry), "")
    version = case.installed.get(agent.distribution)
    if case.words and os.path.basename(case.words[0]) == agent.starter:
        if agent is not UPSTREAM:  # which keeps ours out: a fault, told with the command
            yield _beside(agent, f"{agent.starter} starts it", f"leave {agent.starter} out of the command")
    elif entry:
        yield _beside(agent, f"by {entry} on PYTHONPATH", f"take {entry} from PYTHONPATH")
    elif case.trial and agent.module in case.trial.found.get("rivals", ()):
        yield _beside(agent, f"{agent.module} is loaded before the program", f"uninstall {agent.distribution}")
    elif version and agent is not UPSTREAM:
        yield ok("other-agent", f"{agent.distribution} {version} is installed, and does not start by itself")


def _beside(agent: Agent, how: str, fix: str) -> Finding:
    return warning("other-agent", f"{agent.distribution} traces the program too ({how}): calls get two spans", fix)
