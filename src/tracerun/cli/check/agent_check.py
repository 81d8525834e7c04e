"""Whether the agent starts in the target's interpreter, and what it says there."""

from __future__ import annotations

import difflib
import os
import re
from typing import TYPE_CHECKING

from tracerun.cli import isolation
from tracerun.cli.check.case import GRPC_EXPORTER
from tracerun.cli.check.finding import fault, ok, warning
from tracerun.injection import FOLDER

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tracerun.cli.check.case import Case
    from tracerun.cli.check.finding import Finding
    from tracerun.cli.check.trial import Trial

MISFIT, NO_GRPC, OFFICIAL = "opentelemetry-misfit", "no-grpc", "official-setup-failed"
# As the agent says it (`agent/releases.py`).
_TOO_OLD = re.compile(r"has (opentelemetry-[a-z-]+) \S+, .* works with (\S+) and later")
IMPORT = "import tracerun.auto"
# The settings of signals that are not traces.
OTHER_SIGNALS = ("OTEL_METRICS_EXPORTER", "OTEL_LOGS_EXPORTER")
# What installs a propagator that is known by its name (opentelemetry-python and -contrib).
PACKAGES = {
    "b3": "opentelemetry-propagator-b3",
    "b3multi": "opentelemetry-propagator-b3",
    "jaeger": "opentelemetry-propagator-jaeger",
    "ottrace": "opentelemetry-propagator-ot-trace",
    "xray": "opentelemetry-propagator-aws-xray",
}


def check(case: Case) -> Iterator[Finding]:
    """What came of starting that interpreter with nothing to do."""
    trial = case.trial
    if trial is None:
        return
    if not trial.found:
        fix = f"look at it: {' '.join(trial.words)} -c pass"
        yield fault("interpreter", f"the interpreter does not run ({trial.trouble})", fix)
        return
    if not trial.report:
        yield from _not_started(case, trial)
        return
    yield from _of_report(case, trial)
    own = trial.found["sitecustomize"]
    if own:
        yield ok("sitecustomize", f"the environment's own {own} is run after tracerun's")


def _not_started(case: Case, trial: Trial) -> Iterator[Finding]:
    """Who was first, or what does not arrive; the options that keep it out have been named already."""
    other = trial.found["sitecustomize"]
    if case.path and isolation.obstacle(case.path, case.words):
        return
    if other and FOLDER in trial.found["pythonpath"]:
        fix = f"take {os.path.dirname(other)} from the path, or begin the program with: {IMPORT}"
        yield fault("foreign-sitecustomize", f"{other} is loaded in the place of tracerun's", fix)
    elif FOLDER not in trial.found["pythonpath"]:
        what = "PYTHONPATH, by which tracerun starts, does not reach that interpreter"
        yield fault("agent", what, f"do not clear the environment (env -i), or begin the program with: {IMPORT}")
    else:
        yield fault("agent", "the agent does not start in that interpreter", f"begin the program with: {IMPORT}")


def _of_report(case: Case, trial: Trial) -> Iterator[Finding]:
    report = trial.report
    yield from (_of_unknown(case, line) for line in report["unknown"])
    # Unknown names are in both, and wrong values in the settings' part.
    said = [(slug, line) for slug, line in report["said"] if slug not in ("unknown-name", "wrong-setting")]
    yield from (_of_said(case, slug, line) for slug, line in said)
    if not report["ready"] and not any(slug == MISFIT for slug, _ in said):
        yield fault("agent", "the SDK cannot be set up in that interpreter", "run the command with TRACERUN_DEBUG=true")
    if report["ready"] and report["traced"]:
        yield ok("agent", f"the agent starts there (tracerun {report['agent']})")


def _of_unknown(case: Case, line: str) -> Finding:
    """A name that neither we nor a package there knows."""
    what, _, rest = line.partition("; allowed")
    variable, _, name = what.partition(": ")
    name = name.partition(" ")[0]
    allowed = [word.strip() for word in rest.removeprefix(": ").rpartition("; ")[0].split(",")]
    made = warning if variable in OTHER_SIGNALS else fault
    return made("unknown-name", what, _fix_of_name(case, variable, name, allowed))


def _fix_of_name(case: Case, variable: str, name: str, allowed: list[str]) -> str:
    package = PACKAGES.get(name) if variable == "OTEL_PROPAGATORS" else None
    if package:
        return case.installing(package)
    close = difflib.get_close_matches(name, allowed, n=1)
    if close and variable in case.settings.raw:
        names = [close[0] if part.strip() == name else part.strip() for part in case.settings.raw[variable].split(",")]
        return f"set {variable}={','.join(names)}"
    if len(allowed) == 1:  # a sentence
        return f"set {variable} to names of tracerun --list-instrumentations"
    return f"set {variable} to one of {', '.join(allowed)}, or install the package that has it"


def _of_said(case: Case, slug: str, line: str) -> Finding:
    if slug == MISFIT:
        what, _, fix = line.partition(": ")[2].rpartition("; ")
        old = _TOO_OLD.search(line)
        fix = case.installing(f"{old[1]}>={old[2]}") if old else fix
        return fault("version-conflict", what or line, fix)
    if slug == NO_GRPC:
        fix = f"{case.installing(GRPC_EXPORTER)}, or set OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf"
        return fault("no-grpc", line.partition(";")[0], fix)
    if slug == OFFICIAL:
        variables, _, why = line.partition("; left out")[0].partition(": ")
        package = why.partition("pip install ")[2].partition(" ")[0]
        fix = case.installing(package) if package else f"correct {variables}, or unset it"
        made = warning if set(variables.split(", ")) <= set(OTHER_SIGNALS) else fault
        return made("official-setup", f"{variables}: {why.partition(' Install it')[0]}", fix)
    what, _, fix = line.partition("; ")
    return warning("agent-says", what, fix)
