"""``--check``: all checks in order, and the exit code."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from tracerun.cli.check import (
    agent_check,
    destination_check,
    interpreter_check,
    libraries_check,
    others_check,
    settings_check,
    variables_check,
)
from tracerun.cli.check.case import Case
from tracerun.cli.check.finding import FAULT, fault
from tracerun.cli.check.output import SETTINGS, counts, document, print_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from tracerun.cli.check.finding import Finding
    from tracerun.settings import Setting

# In this order: what is set, what runs, where it goes.
CHECKS: dict[str, Callable[[Case], Iterator[Finding]]] = {
    SETTINGS: settings_check.check,
    "variables": variables_check.check,
    "interpreter": interpreter_check.check,
    "agent": agent_check.check,
    "libraries": libraries_check.check,
    "other agents": others_check.check,
    "destination": destination_check.check,
}


def check(
    words: list[str], env: dict[str, str], sources: Mapping[str, str], given: Sequence[Setting[Any]], *, as_json: bool
) -> int:
    """Prints what was found; 0 where a trace would arrive, 1 on a fault.

    Args:
        words: The command; may be empty.
        env: The environment, with what options and pyproject.toml set.
        sources: What has set a variable, where that is an option or pyproject.toml.
        given: The settings that options have set.
        as_json: Whether JSON is printed.
    """
    case = Case(words, env, sources, given)
    shown = list(settings_check.shown(case))
    sections = {name: _findings(name, case) for name in CHECKS}
    if as_json:
        sys.stdout.write(document(case, shown, sections))
    else:
        print_text(shown, sections)
    return 1 if counts(sections)[FAULT] else 0


def _findings(name: str, case: Case) -> list[Finding]:
    """What one check has found; one that fails costs only its own section."""
    found = []
    try:
        for finding in CHECKS[name](case):
            found.append(finding)  # noqa: PERF402 - what came before a failure is kept
    except Exception as error:
        if case.settings.raise_errors or case.settings.debug:
            raise
        what = f"the {name} could not be looked at any further ({type(error).__name__}: {error})"
        found.append(fault("check-failed", what, "report it, with what TRACERUN_DEBUG=true shows"))
    return found
