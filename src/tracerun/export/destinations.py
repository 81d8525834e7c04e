"""Which destinations the settings name, and what is said about them on stderr.

``auto`` is OTLP where an endpoint is set, else OTLP where a collector answers on this machine, else span
files; a collector that comes up later is found within a minute.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from opentelemetry import context

from tracerun.agent import guard
from tracerun.agent.threads import monotonic
from tracerun.export import endpoints, hints
from tracerun.export.lane import Outcome

if TYPE_CHECKING:
    from collections.abc import Sequence

    from opentelemetry.sdk.trace import ReadableSpan

    from tracerun.export.lane import Destination, Lane
    from tracerun.settings import Settings

# Seconds between two questions whether a collector has come up, and between two lines on the same trouble.
ASK_AGAIN = 60.0
TELL_AGAIN = 300.0
# The specification's default is 5 s; a second costs one request more and loses less to a SIGKILL.
DELAY, FILE_DELAY = 1.0, 0.2


def delay(settings: Settings) -> float:
    """Seconds between two exports where OTEL_BSP_SCHEDULE_DELAY is not set."""
    return DELAY if "otlp" in settings.exporter or endpoints.is_set(settings) else FILE_DELAY


def chosen(settings: Settings, *, is_target: bool) -> list[Destination]:
    """The destinations that the setting ``exporter`` names; one that cannot be had costs only itself."""
    made = []
    names = settings.exporter
    by_itself = "auto" in names and not endpoints.is_set(settings)  # it keeps files, or the copy, by itself
    if settings.also_file and not by_itself and not {"file", "none"} & set(names):
        names = (*names, "file")
    for name in names:
        with guard.guarded(f"the exporter {name}"):
            destination = _make(name, settings, is_target=is_target)
            if destination is not None:
                made.append(destination)
                guard.debug("the exporter {} sends to {}", name, destination.where)
    return made


def _make(name: str, settings: Settings, *, is_target: bool) -> Destination | None:
    if name == "none":
        return None
    if name == "auto":
        return _otlp(settings) if endpoints.is_set(settings) else Auto(settings, is_target=is_target)
    if name == "otlp":
        return _otlp(settings)
    if name == "file":
        return _files(settings)
    if name == "tree":
        from tracerun.export.tree import Tree  # noqa: PLC0415 - each exporter is loaded where it is named

        return Tree()
    return _official(name, settings, is_target=is_target)


def _files(settings: Settings) -> Destination:
    from tracerun.export.span_files import SpanFiles  # noqa: PLC0415 - as above

    return SpanFiles(settings.state_directory, settings.run)


def _otlp(settings: Settings, endpoint: str = "") -> Destination:
    protocol, url = endpoints.traces(settings, endpoint)
    if protocol != "grpc":
        from tracerun.export.otlp_http import OtlpHttp  # noqa: PLC0415 - as above

        return OtlpHttp(url, settings)
    from tracerun.export.otlp_grpc import OtlpGrpc, missing  # noqa: PLC0415 - as above

    absent = missing()
    if not absent:
        return OtlpGrpc(url, settings)
    if settings.protocol:
        guard.say(
            f"OTLP over gRPC is not possible here: {absent}; spans go to files. Set "
            "OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf and the receiver's HTTP endpoint, such as http://localhost:4318",
            slug="no-grpc",
        )
        return _files(settings)
    from tracerun.export.otlp_http import OtlpHttp  # noqa: PLC0415 - as above

    # gRPC was only our reading of port 4317: every receiver of it has HTTP beside it.
    return OtlpHttp(endpoints.http_beside(url), settings)


def _official(name: str, settings: Settings, *, is_target: bool) -> Destination | None:
    from tracerun.agent import names  # noqa: PLC0415 - as above
    from tracerun.export.official import Official  # noqa: PLC0415 - as above

    if name == "console":
        from opentelemetry.sdk.trace.export import ConsoleSpanExporter  # noqa: PLC0415 - as above

        return Official(name, ConsoleSpanExporter())
    try:
        return Official(name, names.load(names.EXPORTER_GROUP, name)())
    except LookupError:
        from tracerun.values import EXPORTERS  # noqa: PLC0415 - as above

        alone = len(settings.exporter) == 1
        instead = "using auto" if alone else "left out"
        line = names.unknown("OTEL_TRACES_EXPORTER", name, names.EXPORTER_GROUP, EXPORTERS, instead)
    if is_target:
        guard.say(line, slug="unknown-name")
    return _make("auto", settings, is_target=is_target) if alone else None


class Auto:
    """Span files until a collector answers on this machine, then that collector."""

    def __init__(self, settings: Settings, *, is_target: bool) -> None:
        self._settings = settings
        self._is_target = is_target
        self._ask_at = 0.0
        self._to: Destination | None = None
        self._copy: Destination | None = None
        self._told_of_copy = False
        self.on_files = True

    @property
    def where(self) -> str:
        """Where spans go at the moment."""
        return self._to.where if self._to is not None else "(not decided yet)"

    @property
    def destination(self) -> Destination | None:
        """What is behind it at the moment; none before the first batch."""
        return self._to

    def prepare(self) -> None:
        """Decides early, so that the first batch need not wait for the answer."""
        self._decide(None)

    def send(self, spans: Sequence[ReadableSpan], deadline: float | None) -> Outcome:
        """Sends a batch wherever spans go now; a collector that has gone is followed by files."""
        outcome = self._decide(deadline).send(spans, deadline)
        if self._copy is not None and outcome.retry_after is None:
            self._keep(self._copy, spans, deadline)
        if self.on_files or outcome.retry_after is None:
            return outcome
        self._use_files()
        assert self._to is not None  # noqa: S101 - set by _use_files
        line = f"the collector on this machine has gone ({outcome.why}); spans go to files in {self._to.where}"
        guard.say(line, slug="collector-gone")
        return self._to.send(spans, deadline)

    def _keep(self, copy: Destination, spans: Sequence[ReadableSpan], deadline: float | None) -> None:
        """The copy in files; that it fails is said once, since the spans have gone where they are counted."""
        why = copy.send(spans, deadline).why
        if why and not self._told_of_copy:
            self._told_of_copy = True
            guard.say(f"the copy of the spans cannot be kept in {copy.where}: {why}", slug="no-copy")

    def _decide(self, deadline: float | None) -> Destination:
        at_exit = deadline is not None and self._to is not None
        if self.on_files and monotonic() >= self._ask_at and not at_exit:
            self._ask_at = monotonic() + ASK_AGAIN
            endpoint = endpoints.answering()
            guard.debug("a collector on this machine: {}", endpoint or "none answers")
            if endpoint:
                self._leave()
                self._to, self.on_files = _otlp(self._settings, endpoint), False
                self._copy = _files(self._settings) if self._settings.also_file else None
        if self._to is None:
            self._use_files()
        assert self._to is not None  # noqa: S101 - set by either way
        return self._to

    def _use_files(self) -> None:
        self._leave()
        self._copy = None
        self._to, self.on_files = _files(self._settings), True
        self._ask_at = monotonic() + ASK_AGAIN

    def _leave(self) -> None:
        if self._to is not None:
            self._to.close()

    def close(self) -> None:
        """Closes what is behind it."""
        self._leave()

    def forget(self) -> None:
        """In a forked child: as the destination behind it."""
        if self._to is not None:
            self._to.forget()


def file_destination(lane: Lane) -> Any:
    """The span files that a lane writes to at the moment, or none."""
    # Not imported here, on the export thread: the program may have emptied sys.modules.
    span_files = sys.modules.get("tracerun.export.span_files")
    destination = getattr(lane.destination, "destination", lane.destination)
    return destination if span_files is not None and isinstance(destination, span_files.SpanFiles) else None


class _Told:
    """What has been said about a destination, so that it is not said again with every batch."""

    trouble: dict[int, float] = {}  # noqa: RUF012 - one process, one state
    files: set[int] = set()  # noqa: RUF012 - as above
    pruned = False


def tell(lane: Lane, outcome: Outcome) -> None:
    """Says when a destination fails, at most every five minutes, and when it works again."""
    guard.debug("a batch for {}: {}", lane.destination.where, outcome)
    key, now = id(lane), monotonic()
    if outcome.why and key not in _Told.trouble and file_destination(lane) and guard.has_said("no-folder"):
        _Told.trouble[key] = now  # the first line of the process has said it
    last = _Told.trouble.get(key)
    if outcome.why and (last is None or now - last > TELL_AGAIN):
        _Told.trouble[key] = now
        fate = "trying again" if outcome.retry_after is not None else "these spans are lost"
        advice = hints.advice(outcome.why, lane.destination.where)
        line = f"spans cannot be sent to {lane.destination.where}: {outcome.why}; {fate}{advice}"
        guard.say(line, slug="cannot-send")
    elif outcome.delivered and not outcome.why and last is not None:
        del _Told.trouble[key]
        guard.say(f"spans reach {lane.destination.where} again", slug="sending-again")


def tell_of_files(lane: Lane, spans: Sequence[ReadableSpan]) -> None:
    """One line at the first batch of a server that keeps its spans in files, and one where the oldest had to go."""
    files = file_destination(lane)
    if files is not None and files.pruned and not _Told.pruned:
        _Told.pruned = True
        line = f"the oldest span files in {files.folder} are dropped: together they may take 64 MB"
        guard.say(line, slug="oldest-dropped")
    if files is not None and id(lane) not in _Told.files and any(span.kind.name == "SERVER" for span in spans):
        _Told.files.add(id(lane))
        guard.say(
            f"spans are kept in {files.folder} (64 MB at most, the oldest are dropped first); "
            "to see them: tracerun --show",
            slug="spans-kept",
        )


def suppress_tracing() -> None:
    """Makes the current thread's context one in which nothing is traced: exporting is not the program's doing."""
    context.attach(context.set_value(context._SUPPRESS_INSTRUMENTATION_KEY, True))
