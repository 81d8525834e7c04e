"""Where spans go: each destination that the agent has chosen, by the agent's own report."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from tracerun.cli.check import answer_check, files_check, way_check
from tracerun.cli.check.finding import FAULT, fault, ok, warning
from tracerun.cli.check.receiver import Receiver
from tracerun.cli.print_env import MASK

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tracerun.cli.check.case import Case
    from tracerun.cli.check.finding import Finding


# A part of a URL's path that may be a key.
_KEY = re.compile(r"/[^\s/:]{20,}")


def check(case: Case) -> Iterator[Finding]:
    """Each destination; where no agent can start in the target, as tracerun's own Python sees it."""
    report = case.way.report
    if case.settings.exporter == ("none",):
        return
    if not report.get("ready"):
        trouble = (
            case.way.trouble or "; ".join(line for _, line in report.get("said", ())) or "no agent starts there either"
        )
        yield fault("agent", f"tracerun's own Python cannot say where spans go ({trouble})", "install tracerun anew")
        return
    if case.way is not case.trial:
        yield ok("own-python", "no agent starts in the target: the destination is tried from tracerun's own Python")
    if not report["attached"]:
        yield from _official(case)
        return
    for index, lane in enumerate(report["lanes"]):
        yield from _of_lane(case, lane, index)
    if not report["lanes"]:
        yield fault("no-destination", "no exporter can be had", "set OTEL_TRACES_EXPORTER=otlp, or unset it")


def _of_lane(case: Case, lane: dict[str, Any], index: int) -> Iterator[Finding]:
    kind, by_itself = lane["kind"], lane.get("auto")
    if kind == "files":
        if by_itself:
            yield ok("auto", "no endpoint is set, and nothing on this machine takes OTLP on port 4318 or 4317")
        yield from files_check.check(lane["where"])
    elif kind == "tree":
        yield ok("tree", "each trace is drawn on stderr")
    elif kind == "official":
        yield _of_official(case, lane, index)
    else:
        if by_itself:
            yield ok("auto", f"no endpoint is set; on this machine {lane['where']} takes OTLP")
        yield from _of_receiver(Receiver(case, lane, index))


def _of_receiver(receiver: Receiver, failure: str = "") -> Iterator[Finding]:
    """One finding for each step; after a fault there is nothing more to be learned.

    Args:
        receiver: What is checked.
        failure: What an exporter that is not ours has said of it.
    """
    for finding in way_check.check(receiver):
        yield finding
        if finding.level == FAULT:
            return
    yield answer_check.of_failure(receiver, failure) if failure else answer_check.check(receiver)


def _of_official(case: Case, lane: dict[str, Any], index: int) -> Finding:
    """An exporter of a package: it says whether it has failed, and little more."""
    sent = case.sent.report.get("lanes", [])
    outcome = sent[index].get("outcome") if index < len(sent) else None
    if outcome and outcome["delivered"]:
        return ok("delivered", f"{lane['where']} took a test span")
    why = _logged(case) or (outcome or {}).get("why") or case.sent.trouble or "no reason given"
    return fault("exporter-failed", f"{lane['where']} failed to send a test span ({why})", "correct its settings")


def _official(case: Case) -> Iterator[Finding]:
    """The official configurator, or the environment's own code, has set up tracing with exporters of its own."""
    logged = _logged(case)
    whose = ", ".join(case.settings.asks_for_official_setup) or "the environment's own code"
    if not logged:
        what = f"{whose} has set up tracing; the test span went to its exporters, which reported no failure"
        yield warning("official", what, "look for the span 'tracerun --check' in the back end")
        return
    yield fault(
        "exporter-failed",
        f"the set-up by {whose} failed to send a test span ({logged})",
        "correct the exporters that are configured there",
    )
    if case.settings.asks_for_official_setup and not (case.settings.config_file or case.settings.configurator):
        # By the same variables as ours would: what is wrong there can be named.
        for index, lane in enumerate(case.way.report["lanes"]):
            if lane["kind"] in ("http", "grpc"):
                yield from _of_receiver(Receiver(case, lane, index), logged)


def _logged(case: Case) -> str:
    """The first and the last that official packages have logged: what happened, and what became of it."""
    logged = case.sent.report.get("logged", [])
    text = "; ".join(line[:300] for line in dict.fromkeys((*logged[:1], *logged[-1:])))
    return _KEY.sub(f"/{MASK}", text)
