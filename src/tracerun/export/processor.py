"""The SDK's end of the pipeline: what a tracer provider hands its spans to.

Source: OpenTelemetry specification, trace SDK, "Span processor".
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from opentelemetry.sdk.trace import SpanProcessor
from opentelemetry.trace import TraceFlags

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import ReadableSpan, Span

    from tracerun.export.pipeline import Pipeline

SAMPLED = TraceFlags.SAMPLED


class Processor(SpanProcessor):
    """Hands ended spans to the pipeline."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:  # noqa: ARG002 - the interface's
        """In a forked process, notes which spans are its own."""
        own = self._pipeline.own
        if own is not None:
            own.add(span.context.span_id)

    def on_end(self, span: ReadableSpan) -> None:
        """Queues a sampled span."""
        context = span.context
        if context is not None and context.trace_flags & SAMPLED:
            self._pipeline.take(span)

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """Sends all that waits; whether that went within the timeout."""
        return self._pipeline.flush(timeout_millis / 1000)

    def shutdown(self) -> None:
        """The program shuts its provider down: what waits is sent, spans that come later are still taken."""
        self._pipeline.flush(self._pipeline.settings.exit_timeout)


class CountingProcessor(Processor):
    """Knows how many of the spans that begin are sampled, for the report."""

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """The same, counted."""
        self._pipeline.sampled += span.context.trace_flags & SAMPLED
        super().on_start(span, parent_context)


def of(pipeline: Pipeline) -> Processor:
    """The pipeline's processor, one for all providers."""
    if pipeline.processor is None:
        pipeline.processor = CountingProcessor(pipeline) if pipeline.settings.report else Processor(pipeline)
    return pipeline.processor
