"""What ``tracerun --check`` asks of the agent in a target's interpreter: where spans go, and what becomes of one.

Runs after the boot, in a process that has no program. All of the way is the agent's own: its SDK set-up, its
resource, its queue, its transport. The answer is made of plain values, for the launcher to read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tracerun import __version__
from tracerun.agent import guard, names, sdk
from tracerun.agent.boot import Process
from tracerun.agent.threads import monotonic

if TYPE_CHECKING:
    from opentelemetry.trace import Tracer

    from tracerun.export.lane import Destination, Lane
    from tracerun.export.pipeline import Pipeline

# Seconds for the answer to the test span.
PATIENCE = 5.0
SPAN = "tracerun --check"
# Where nothing leaves this machine: a span of ours would be the last trace that the user is shown.
_KEPT = ("files", "tree")
# By the destination's class; all others are exporters by the SDK's interface.
KINDS = {"OtlpHttp": "http", "OtlpGrpc": "grpc", "SpanFiles": "files", "Tree": "tree"}


def prove(*, send: bool) -> dict[str, Any]:
    """Sets the SDK up as a first call does, and sends a span if it is asked to."""
    said = _kept_lines()
    settings = Process.settings
    report: dict[str, Any] = {
        "agent": __version__,
        "traced": Process.traced,
        "said": said,
        "unknown": names.unknown_names(settings) + names.unknown_instrumentations(settings),
        "ready": _is_ready(),
        "lanes": [],
        "attached": True,
    }
    pipeline = sdk.State.pipeline
    if not report["ready"] or pipeline is None:
        return report
    # No thread is started for the span: what becomes of it is to be seen here.
    pipeline._parked = True
    report["attached"] = _is_attached(pipeline)
    report["lanes"] = [_described(lane.destination) for lane in pipeline.lanes]
    if send:
        report["logged"] = _send(pipeline, report["lanes"])
    for lane in pipeline.lanes:
        lane.give_up("not sent")
    return report


def _is_ready() -> bool:
    """Whether spans can be made; the program's own too, which need the SDK."""
    if not sdk.ready():
        return False
    from tracerun.agent import completion  # noqa: PLC0415 - loaded by now

    completion.complete()
    return not completion.COMPLETION.failed


def _kept_lines() -> list[tuple[str, str]]:
    """What the agent says from now on, by slug: the launcher tells it, with the fix."""
    said: list[tuple[str, str]] = []

    def say(line: str, *_: str, slug: str) -> None:
        said.append((slug, line))

    guard.say = say
    return said


def _described(destination: Destination) -> dict[str, Any]:
    """A destination in plain values; what ``auto`` decides for is described in its place."""
    from tracerun.export.destinations import Auto  # noqa: PLC0415 - loaded with the pipeline

    if isinstance(destination, Auto):
        destination.prepare()
        assert destination.destination is not None  # noqa: S101 - decided just now
        return {**_described(destination.destination), "auto": True}
    shown = {"kind": KINDS.get(type(destination).__name__, "official"), "where": destination.where}
    route = getattr(destination, "_route", None)
    if route is not None:
        shown |= {"host": route.host, "port": route.port, "https": route.https, "target": route.target}
        shown["first_hop"] = route.first_hop
    return shown


def _provider_is_ours() -> bool:
    from opentelemetry import trace  # noqa: PLC0415 - loaded by now

    return type(trace.get_tracer_provider()).__module__ == "tracerun.agent.provider"


def _is_attached(pipeline: Pipeline) -> bool:
    """Whether spans come to us: the official configurator may have exporters of its own instead."""
    from opentelemetry import trace  # noqa: PLC0415 - loaded by now

    from tracerun.export import processor  # noqa: PLC0415 - builds on the SDK

    processors = getattr(trace.get_tracer_provider(), "_active_span_processor", None)
    return processor.of(pipeline) in getattr(processors, "_span_processors", ())


def _send(pipeline: Pipeline, lanes: list[dict[str, Any]]) -> list[str]:
    """Ends a span and notes in each description what became of it; gives what official packages have logged."""
    with _Listening() as logged:
        _tracer().start_span(SPAN).end()
        for lane, shown in zip(pipeline.lanes, lanes, strict=True):
            if shown["kind"] not in _KEPT and len(lane):
                shown["outcome"] = _outcome(lane, shown["kind"])
        if not _provider_is_ours():
            _flush()
    return logged


def _tracer() -> Tracer:
    """Of a provider whose sampler takes everything: which part of the traces is kept is another question."""
    from opentelemetry import trace  # noqa: PLC0415 - loaded by now
    from opentelemetry.sdk.trace.sampling import ALWAYS_ON  # noqa: PLC0415 - as above

    provider: Any = trace.get_tracer_provider()
    provider.sampler = ALWAYS_ON  # this process has no other spans
    tracer: Tracer = provider.get_tracer("tracerun")
    return tracer


def _outcome(lane: Lane, kind: str) -> dict[str, Any] | None:
    bodies = _kept_bodies(lane.destination) if kind == "http" else []
    step = lane.step(monotonic() + PATIENCE)
    if step is None:
        return None
    outcome = step[1]
    return {
        "delivered": outcome.delivered,
        "dropped": sorted(outcome.dropped),
        "unanswered": outcome.unanswered,
        "too_large": outcome.too_large,
        "why": outcome.why,
        "is_otlp": all(map(_is_answer, bodies)),
    }


def _kept_bodies(destination: Any) -> list[bytes]:
    """The bodies of the answers that come: any web server may answer 200."""
    destination = getattr(destination, "destination", destination)
    bodies: list[bytes] = []
    answer_to = destination._answer_to

    def kept(*arguments: Any) -> Any:
        answer = answer_to(*arguments)
        bodies.append(answer.body)
        return answer

    destination._answer_to = kept
    return bodies


def _is_answer(body: bytes) -> bool:
    """Whether a body may be an ``ExportTraceServiceResponse``: nothing, one field, or an object."""
    from tracerun.export import protobuf  # noqa: PLC0415 - loaded with the transport

    if body[:1] in (b"", b"{"):
        return True
    try:
        return set(protobuf.fields_of(body)) <= {1}
    except (ValueError, IndexError):
        return False


def _flush() -> None:
    from opentelemetry import trace  # noqa: PLC0415 - loaded by now

    flush = getattr(trace.get_tracer_provider(), "force_flush", None)
    if flush is not None:
        flush(int(PATIENCE * 1000))


class _Listening:
    """What OpenTelemetry's packages log while a block runs: their exporters report in no other way."""

    def __enter__(self) -> list[str]:
        import logging  # noqa: PLC0415 - loaded by now

        logged: list[str] = []

        class Handler(logging.Handler):
            def emit(self, record: logging.LogRecord) -> None:
                logged.append(record.getMessage())

        self._logger, self._handler = logging.getLogger("opentelemetry"), Handler(logging.WARNING)
        self._logger.addHandler(self._handler)
        return logged

    def __exit__(self, *_: object) -> None:
        self._logger.removeHandler(self._handler)
