"""What became of the spans of this process: lines at its end, and the document behind ``--report`` and ``--status``.

docs/report.md describes the document; ``runreport.py`` makes lines of it.
"""

from __future__ import annotations

import json
import os
import sys
from time import time
from typing import TYPE_CHECKING, Any

from tracerun import __version__, runreport
from tracerun.agent import guard, libraries
from tracerun.agent.boot import Process
from tracerun.agent.service import name_of
from tracerun.agent.threads import monotonic

if TYPE_CHECKING:
    from tracerun.export.lane import Lane
    from tracerun.export.pipeline import Pipeline

STATES = {libraries.HOOKED: "imported", libraries.CONFLICT: "unsupported version"}
# Never waits for a reader, should it be a named pipe.
_APPEND = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)
_dumps = json.dumps


class _Told:
    """How many spans had come to their end when it was told the last time: a failed exec is no end of a process."""

    settled = -1


def tell(pipeline: Pipeline | None) -> None:
    """At the process's end: the report where it is asked for; else what was lost, if anything.

    Args:
        pipeline: Of this process; none where the SDK was never set up.
    """
    lanes = pipeline.lanes if pipeline is not None else []
    settled = sum(lane.settled for lane in lanes)
    if settled <= _Told.settled or (not settled and not is_main()):
        return
    _Told.settled = settled
    wanted = Process.settings.report
    if wanted:
        made = document(pipeline, final=True)
        if wanted is True or not _written(wanted, made):
            guard.say(*runreport.lines(made), slug="report")
            return
    for lane in lanes:
        if lane.dropped or lane.unknown:
            guard.say(line(lane), slug="spans-lost")


def start_over() -> None:
    """In a forked child: nothing has been told of its spans."""
    _Told.settled = -1


def is_main() -> bool:
    """Whether this is the process that was launched, and not a fork of it."""
    return Process.is_target and Process.pid == os.getpid()


def line(lane: Lane) -> str:
    """Of so many spans, how many arrived, and why the others did not."""
    return runreport.of_destination(_destination(lane))


def _written(path: str, made: dict[str, Any]) -> bool:
    """Adds a report to the file of all processes, in one write; whether that was possible."""
    try:
        descriptor = os.open(path, _APPEND, 0o600)
        try:
            os.write(descriptor, as_json(made))
        finally:
            os.close(descriptor)
    except OSError as error:
        guard.say(f"the report cannot be written to {path}: {error.strerror}", slug="report-not-written")
        return False
    return True


def as_json(made: dict[str, Any]) -> bytes:
    """A document as one line."""
    return _dumps(made).encode("ascii") + b"\n"


def document(pipeline: Pipeline | None, *, final: bool = False) -> dict[str, Any]:
    """What there is to say of this process.

    Args:
        pipeline: Of this process.
        final: Whether this is its end.
    """
    spans, others = _spans(pipeline), _others() if final else None
    of_others = others["spans"] if others is not None else 0
    sdk = sys.modules.get("tracerun.agent.sdk")
    set_up = sdk.State.seconds if sdk is not None else None
    return {
        "schema": runreport.SCHEMA,
        "tracerun": __version__,
        "python": ".".join(map(str, sys.version_info[:3])),
        "service": pipeline.service if pipeline is not None else name_of(Process.settings),
        "pid": os.getpid(),
        "parent_pid": os.getppid(),
        "run": Process.settings.run or None,
        "launched": is_main(),
        "time": round(time(), 3),
        "seconds": round(monotonic() - Process.began, 3),
        "final": final,
        "setup": {
            "start_ms": round(Process.seconds * 1e3, 3),
            "sdk_ms": round(set_up * 1e3, 3) if set_up is not None else None,
        },
        "libraries": _libraries(),
        "nothing": _why_nothing() if final and not (spans["ended"] or of_others) else None,
        "spans": spans,
        "destinations": [_destination(lane) for lane in pipeline.lanes] if pipeline is not None else [],
        "processes": others,
        "errors": [{"where": where, "kind": kind, "count": count} for (where, kind), count in guard.errors()],
    }


def _others() -> dict[str, Any] | None:
    from tracerun.export.status import others  # noqa: PLC0415 - loaded with the queue, if there is one

    return others(Process.settings)


def _why_nothing() -> str:
    from tracerun.agent.farewell import why_nothing  # noqa: PLC0415 - only then

    return why_nothing()


def _spans(pipeline: Pipeline | None) -> dict[str, int | None]:
    succession = sys.modules.get("tracerun.agent.succession")
    started = succession.started() if succession is not None else None
    counts = started is not None and pipeline is not None
    return {
        "started": started,
        "sampled": pipeline.sampled if counts and pipeline is not None else None,
        "ended": pipeline.ended if pipeline is not None else 0,
    }


def _destination(lane: Lane) -> dict[str, Any]:
    return {
        "where": lane.destination.where,
        "delivered": lane.delivered,
        "waiting": len(lane),
        "dropped": lane.dropped,
        "unknown": lane.unknown,
    }


def _libraries() -> list[dict[str, Any]]:
    """Those that the program uses; one that is left out too, if the program has imported it."""
    rows = [_library(watched) for watched in (*libraries.used(), *libraries.left_out())]
    upstream = sys.modules.get("tracerun.agent.upstream")
    return rows + [_activation(activation) for activation in (upstream.ACTIVATIONS if upstream is not None else ())]


def _library(watched: libraries.Watched) -> dict[str, Any]:
    return {
        "name": watched.library.name,
        "version": watched.version or None,
        "state": STATES.get(watched.state, watched.state),
        "at": round(watched.at - Process.began, 3) if watched.at else None,
        "reason": watched.reason or None,
    }


def _activation(activation: Any) -> dict[str, Any]:
    state = "traced" if activation.state == "active" else activation.state
    at = round(activation.at - Process.began, 3) if activation.at else None
    by = activation.found.package
    reason = f"by {by}" if not activation.why else f"{by}: {activation.why}"
    return {"name": activation.found.name, "version": None, "state": state, "at": at, "reason": reason}
