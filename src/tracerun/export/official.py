"""Any other exporter: the SDK's console exporter, or one that an installed package registers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tracerun.export.lane import Outcome

if TYPE_CHECKING:
    from collections.abc import Sequence

    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.trace.export import SpanExporter


class Official:
    """A span exporter by the SDK's interface.

    Args:
        name: As the user named it.
        exporter: Made from the entry point's class.
    """

    def __init__(self, name: str, exporter: SpanExporter) -> None:
        self.where = f"the exporter {name}"
        self._exporter = exporter

    def send(self, spans: Sequence[ReadableSpan], deadline: float | None) -> Outcome:  # noqa: ARG002 - it takes none
        """Exports one batch; the exporter retries by itself."""
        from opentelemetry.sdk.trace.export import SpanExportResult  # noqa: PLC0415 - loaded with the exporter

        if self._exporter.export(spans) is SpanExportResult.SUCCESS:
            return Outcome(len(spans))
        return Outcome(dropped={f"{self.where} failed": len(spans)}, why="it reported a failure")

    def close(self) -> None:
        """Shuts the exporter down."""
        self._exporter.shutdown()

    def forget(self) -> None:
        """In a forked child: exporters of the SDK look after forks themselves."""
