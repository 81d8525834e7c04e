"""What is said at the end of a run: what was traced and how to see it, or why nothing was."""

from __future__ import annotations

import os
import sys

from tracerun.agent import guard
from tracerun.agent.boot import Process

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# Files of other processes of this run are counted up to this size; more would delay the program's end.
MOST_COUNTED = 8 * 1024 * 1024
# Messages after which it has been said why there are no spans.
SAID_BEFORE = ("report", "sampler-off", "all-disabled", "no-folder", "opentelemetry-misfit", "own-provider")


def say_goodbye() -> None:
    """The lines at the end of the process; those for a person only on a terminal and by the target alone."""
    if not Process.traced:  # or the program has taken our modules away, and this one has been loaded anew
        return
    if not hasattr(Process, "settings"):  # the program has imported nothing
        from tracerun.settings import Settings  # noqa: PLC0415 - not needed before

        Process.settings = Settings.from_env()
    sdk = sys.modules.get("tracerun.agent.sdk")
    pipeline = sdk.State.pipeline if sdk is not None else None
    if pipeline is None and Process.settings.report:
        from tracerun.export import report  # noqa: PLC0415 - only where asked for

        report.tell(None)
    if not Process.is_target or not guard.stderr_is_terminal() or Process.settings.exporter == ("none",):
        return
    folder, traces, spans = _kept(pipeline)
    if spans:
        kept = f"{_count(traces, 'trace')}, {_count(spans, 'span')}"
        guard.say(f"{kept}; to see the last one: {_show(folder)}", slug="traces-kept")
    elif (pipeline is None or not pipeline.ended) and not any(map(guard.has_said, SAID_BEFORE)):
        guard.say(f"nothing was traced: {why_nothing()}", slug="nothing-traced")


def _kept(pipeline: Any) -> tuple[str, int, int]:
    """The folder of the span files, and how many traces and spans of this run are in it."""
    settings = Process.settings
    folder = settings.state_directory
    exporters = set(settings.exporter)
    if pipeline is not None:
        from tracerun.export.destinations import file_destination  # noqa: PLC0415 - loaded with the pipeline

        if not any(file_destination(lane) for lane in pipeline.lanes):
            return folder, 0, 0
    elif not exporters & {"auto", "file"}:
        return folder, 0, 0
    traces, spans = _counted(folder, settings.run)
    return folder, traces, spans


def _counted(folder: str, run: str) -> tuple[int, int]:
    """Traces and spans in this run's files: every process of it has written its own."""
    import re  # noqa: PLC0415 - at exit only

    span = re.compile(rb'\{"traceId":"([0-9a-f]{32})","spanId"')
    traces: set[bytes] = set()
    spans = read = 0
    try:
        names = sorted(os.listdir(folder))
    except OSError:
        return 0, 0
    for name in names:
        if f"-{run or '0'}-" in name and read < MOST_COUNTED:
            with open(os.path.join(folder, name), "rb") as file:
                data = file.read(MOST_COUNTED - read)
            found = span.findall(data)
            read += len(data)
            spans += len(found)
            traces.update(found)
    return len(traces), spans


def _show(folder: str) -> str:
    """The command that shows the last trace, with the folder where it is not the one that is looked into."""
    return (
        "tracerun --show" if folder == Process.settings.default_directory else f"TRACERUN_DIR={folder} tracerun --show"
    )


def why_nothing() -> str:
    """Why no span was made."""
    from tracerun.agent import libraries  # noqa: PLC0415 - at exit only

    if Process.settings.exporter == ("none",):
        return "the exporter is none"
    used = libraries.used()
    for watched in used:
        if watched.state in (libraries.CONFLICT, libraries.FAILED):
            return f"{watched.library.name}: {watched.reason}"
    called = [watched.library.name for watched in used if watched.state == libraries.TRACED]
    if called:
        return f"calls of {', '.join(called)} were made or served, but none was sampled, or all were left out"
    if used:
        names = ", ".join(dict.fromkeys(watched.library.name for watched in used))
        return f"{names} was imported, but no call was made or served"
    disabled = [watched for watched in libraries.WATCHED if watched.state == libraries.DISABLED]
    if len(disabled) == len(libraries.WATCHED):
        return "every library is disabled"
    return "no library that is traced was used (see tracerun --list-instrumentations)"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
