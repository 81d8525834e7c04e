"""OTLP over gRPC: the official exporter, driven by our queue.

It brings grpc and protobuf with it; a program that did not import grpc has it then. Its log messages stay out of
the program's logging.
"""

from __future__ import annotations

import _thread
import logging
from typing import TYPE_CHECKING

from tracerun.agent.threads import monotonic
from tracerun.export.lane import Outcome
from tracerun.settings import hidden

if TYPE_CHECKING:
    from collections.abc import Sequence

    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace import ReadableSpan

    from tracerun.settings import Settings

_LOGGER = "opentelemetry.exporter.otlp.proto.grpc.exporter"


class _NotFromUs(logging.Filter):
    """Drops what the exporter logs while it works for us; the program's own use of it logs as ever."""

    def __init__(self) -> None:
        super().__init__()
        self.working: int | None = None
        self.last = ""

    def filter(self, record: logging.LogRecord) -> bool:
        if record.thread != self.working:
            return True
        self.last = record.getMessage()
        return False


_FILTER = _NotFromUs()
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

            logging.getLogger(_LOGGER).addFilter(_FILTER)
            _FILTER.working = _thread.get_ident()
            # It reads variables also where their values are handed over, and raises at a wrong one.
            with hidden(self._unreadable):
                self._exporter = OTLPSpanExporter(
                    endpoint=self._endpoint,
                    insecure=self._endpoint.startswith("http://"),
                    headers=self._headers or None,
                    timeout=self._timeout,
                )
        return self._exporter

    def send(self, spans: Sequence[ReadableSpan], deadline: float | None) -> Outcome:
        """Exports one batch; the exporter's own retries are part of it."""
        from opentelemetry.sdk.trace.export import SpanExportResult  # noqa: PLC0415 - loaded with the exporter

        exporter = self._make()
        _FILTER.working, _FILTER.last = _thread.get_ident(), ""
        exporter._timeout = self._timeout if deadline is None else max(0.05, min(self._timeout, deadline - monotonic()))
        try:
            result = exporter.export(spans)
        finally:
            _FILTER.working = None
        if result is SpanExportResult.SUCCESS:
            return Outcome(len(spans))
        return Outcome(retry_after=0.0, why=_FILTER.last[:200] or "the gRPC export failed")

    def close(self) -> None:
        """Closes the channel."""
        exporter, self._exporter = self._exporter, None
        if exporter is not None:
            _FILTER.working = _thread.get_ident()
            exporter.shutdown()
            _FILTER.working = None

    def forget(self) -> None:
        """In a forked child: the parent's channel is neither used nor closed; the first export makes one anew."""
        if self._exporter is not None:
            _KEPT.append(self._exporter)
        self._exporter = None
