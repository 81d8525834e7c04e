"""The report on stdout: a list by section for people, JSON for programs.

The JSON is documented in docs/check.md; what is there keeps its meaning while ``SCHEMA`` is the same.
"""

from __future__ import annotations

import io
import json
import sys
from typing import TYPE_CHECKING

from tracerun import __version__, printable
from tracerun.cli.check.finding import FAULT, LEVELS, OK, WARNING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tracerun.cli.check.case import Case
    from tracerun.cli.check.finding import Finding
    from tracerun.cli.check.settings_check import Shown

SCHEMA = 1
STYLES = {OK: "green", WARNING: "yellow", FAULT: "red bold"}
SETTINGS = "settings"


def counts(sections: Mapping[str, Sequence[Finding]]) -> dict[str, int]:
    """How many findings there are of each level."""
    levels = [finding.level for findings in sections.values() for finding in findings]
    return {level: levels.count(level) for level in LEVELS}


def document(case: Case, shown: Sequence[Shown], sections: Mapping[str, Sequence[Finding]]) -> str:
    """One object."""
    number = counts(sections)
    made = {
        "schema": SCHEMA,
        "tracerun": __version__,
        "command": case.words or None,
        "python": case.target.python if case.target else None,
        "python_version": case.target.version if case.target else None,
        "arrives": not number[FAULT],
        "settings": [setting._asdict() for setting in shown],
        "findings": [
            {"section": section, **{key: value or None for key, value in finding._asdict().items()}}
            for section, findings in sections.items()
            for finding in findings
        ],
        "summary": number,
    }
    return json.dumps(made, indent=2) + "\n"


def print_text(shown: Sequence[Shown], sections: Mapping[str, Sequence[Finding]]) -> None:
    """A line for each setting and finding; colours on a terminal alone."""
    # Not for JSON: it takes as long to load as all the rest.
    from rich.text import Text  # noqa: PLC0415

    from tracerun import terminal  # noqa: PLC0415

    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a value may have what the terminal's encoding has not
    console = terminal.console(highlight=False, soft_wrap=True)

    def line(level: str, *parts: tuple[str, str]) -> None:
        text = Text("  ")
        text.append(f"{level:<8} ", STYLES[level])
        for part, style in parts:
            text.append(printable(part), style)
        console.print(text)

    for section, findings in sections.items():
        if not findings and not (section == SETTINGS and shown):
            continue
        console.print(Text(section, "bold"))
        for setting in shown if section == SETTINGS else ():
            line(OK, (f"{setting.name} = {setting.value or '-'}", ""), (f"  ({_origin(setting)})", "dim"))
        for finding in findings:
            fix = ((" -> ", "dim"), (finding.fix, "bold")) if finding.fix else ()
            line(finding.level, (finding.what, ""), *fix, (f"  [{finding.slug}]" * (finding.level != OK), "dim"))
    console.print(Text(_verdict(counts(sections)), "bold"))
    sys.stdout.flush()


def _origin(setting: Shown) -> str:
    if setting.source == "environment":
        return f"environment: {setting.variable}" if setting.name != setting.variable else "environment"
    return setting.source


def _verdict(number: Mapping[str, int]) -> str:
    more = [f"{number[level]} {level}{'s' * (number[level] > 1)}" for level in (FAULT, WARNING) if number[level]]
    said = "a trace would not arrive as it is meant to" if number[FAULT] else "a trace would arrive"
    return f"{said}: {', '.join(more)}" if more else said
