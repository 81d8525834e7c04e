"""OTLP over gRPC: the official exporter, driven by our queue.

It brings grpc and protobuf with it; a program that did not import grpc has it then. Its log messages stay out of
the program's logging.
"""

from __future__ import annotations

import _thread
import sys
from typing import TYPE_CHECKING, Any

from tracerun.agent.threads import monotonic
from tracerun.environment import hidden
from tracerun.export.lane import Outcome

if TYPE_CHECKING:
    from collections.abc import Sequence

    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace import ReadableSpan

    from tracerun.settings import Settings

_MODULE = "opentelemetry.exporter.otlp.proto.grpc.exporter"


class _Logger:
    """The exporter's logger: what it has to say while it works for us is kept, all else is logged as ever.

    Not a filter: a log record would make our thread one that ``threading.enumerate()`` shows.
    """

    def __init__(self) -> None:
        self.real: Any = None
        self.working: set[int] = set()
        self.last = self.code = ""

    def __getattr__(self, name: str) -> Any:
        return self._keep if _thread.get_ident() in self.working else getattr(self.real, name)

    def _keep(self, message: object, *arguments: object, **_: object) -> None:
        self.last = str(message) % arguments
        # Of the arguments one is a grpc.StatusCode, if it is about an answer.
        self.code = next((str(part).partition(".")[2] for part in arguments if type(part).__name__ == "StatusCode"), "")

    def __enter__(self) -> None:
        self.working.add(_thread.get_ident())
        self.last = self.code = ""

    def __exit__(self, *_: object) -> None:
        self.working.discard(_thread.get_ident())


_LOGGER = _Logger()
# After these the same request may be taken (OTLP specification, "Failures"); after DEADLINE_EXCEEDED it may have been.
RETRYABLE = frozenset(
    ("CANCELLED", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED", "ABORTED", "OUT_OF_RANGE", "UNAVAILABLE", "DATA_LOSS")
)
# What gRPC says where a request is larger than the receiver takes (4 MiB as a rule).
TOO_LARGE = "larger than max"
# Channels of a parent process: closing one in the child would wait for threads that are not there.
_KEPT: list[OTLPSpanExporter] = []


def missing() -> str:
    """What is not there of what OTLP over gRPC needs; empty where all of it is.

    The exporter's modules are loaded here, at the SDK's set-up, and not on the export thread: they use a thread
    pool while they are imported, which fails once the main thread has ended.
    """
    try:
        import opentelemetry.exporter.otlp.proto.grpc.trace_exporter  # noqa: PLC0415, F401 - asked, not assumed
    except Exception as error:  # noqa: BLE001 - grpcio and protobuf fail in many ways where versions do not fit
        name = getattr(error, "name", None)
        return f"{name} cannot be imported" if name else f"{type(error).__name__}: {error}"
    return ""


class OtlpGrpc:
    """One receiver of OTLP/gRPC.

    Args:
        endpoint: ``http://HOST:PORT`` or ``https://HOST:PORT``.
        settings: Headers, timeout, compression and TLS files (the exporter reads the last three itself).
    """

    def __init__(self, endpoint: str, settings: Settings) -> None:
        self._endpoint = endpoint
        self._headers = tuple(settings.headers.items())
        self._timeout = settings.timeout
        self._unreadable = settings.unreadable_for_sdk
        self._exporter: OTLPSpanExporter | None = None
        self.where = endpoint

    def prepare(self) -> None:
        """Loads what a send will need."""
        self._make()

    def _make(self) -> OTLPSpanExporter:
        if self._exporter is None:
            from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter  # noqa: PLC0415

            module = sys.modules[_MODULE]
            if module.logger is not _LOGGER:
                _LOGGER.real, module.logger = module.logger, _LOGGER  # type: ignore[attr-defined]
            # It reads variables also where their values are handed over, and raises at a wrong one.
            with _LOGGER, hidden(self._unreadable):
                self._exporter = OTLPSpanExporter(
                    endpoint=self._endpoint,
                    insecure=self._endpoint.startswith("http://"),
                    headers=self._headers or None,
                    timeout=self._timeout,
                )
            # It would try again by itself, for the whole timeout, whatever the reason; the queue does that.
            self._exporter._retryable_error_codes = frozenset()
        return self._exporter

    def send(self, spans: Sequence[ReadableSpan], deadline: float | None) -> Outcome:
        """Exports one batch, once."""
        from opentelemetry.sdk.trace.export import SpanExportResult  # noqa: PLC0415 - loaded with the exporter

        exporter = self._make()
        exporter._timeout = self._timeout if deadline is None else max(0.05, min(self._timeout, deadline - monotonic()))
        with _LOGGER:
            result = exporter.export(spans)
        if result is SpanExportResult.SUCCESS:
            return Outcome(len(spans))
        if TOO_LARGE in _LOGGER.last:
            return Outcome(too_large=True)
        code, why = _LOGGER.code, _LOGGER.last[:200] or "the gRPC export failed"
        if code and code not in RETRYABLE:
            return Outcome(dropped={f"rejected with gRPC status {code}": len(spans)}, why=why)
        return Outcome(retry_after=0.0, unanswered=code == "DEADLINE_EXCEEDED", why=why)

    def close(self) -> None:
        """Closes the channel."""
        exporter, self._exporter = self._exporter, None
        if exporter is not None:
            with _LOGGER:
                exporter.shutdown()

    def forget(self) -> None:
        """In a forked child: the parent's channel is neither used nor closed; the first export makes one anew."""
        if self._exporter is not None:
            _KEPT.append(self._exporter)
        self._exporter = None
