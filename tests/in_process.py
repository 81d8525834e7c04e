"""Instrumentors in the test's own process: patched while a block runs, their spans in memory."""

from __future__ import annotations

import contextlib
import importlib
import threading
from typing import TYPE_CHECKING, Any

from opentelemetry.sdk.trace import SpanProcessor, TracerProvider

from tracerun.agent.libraries import Watched
from tracerun.instrumentation.catalog import by_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.trace import SpanKind

PATIENCE = 5.0


class Spans(SpanProcessor):
    """Every span that was started, and every one that was ended."""

    def __init__(self, provider: TracerProvider) -> None:
        self.started: list[Any] = []
        self.ended: list[Any] = []
        self.tracer = provider.get_tracer("program")
        self._changed = threading.Condition()

    def on_start(self, span: Any, parent_context: Any = None) -> None:
        self.started.append(span)

    def on_end(self, span: ReadableSpan) -> None:
        with self._changed:
            self.ended.append(span)
            self._changed.notify_all()

    def wait(self, count: int = 0) -> list[Any]:
        """All spans, once so many have been started and none is open."""
        with self._changed:
            self._changed.wait_for(lambda: len(self.started) >= count and self._none_is_open(), PATIENCE)
            assert self._none_is_open(), [span.name for span in self.started if span.is_recording()]
            return list(self.ended)

    def _none_is_open(self) -> bool:
        return len(self.ended) == len(self.started)

    def of(self, kind: SpanKind) -> list[Any]:
        """The ended spans of a kind."""
        return [span for span in self.ended if span.kind is kind]

    def one(self, kind: SpanKind) -> Any:
        """The only one of its kind."""
        (span,) = self.of(kind)
        return span


@contextlib.contextmanager
def tracing(*names: str, **options: Any) -> Iterator[Spans]:
    """Applies instrumentors' patches while a block runs, as the agent does at the first call."""
    provider = TracerProvider(shutdown_on_exit=False, **options)
    spans = Spans(provider)
    provider.add_span_processor(spans)
    libraries = []
    for name in names:
        library = by_name(name)
        assert library is not None
        module = importlib.import_module(f"tracerun.instrumentation.{library.instrumentor}")
        module._TRACER = provider.get_tracer(f"tracerun.{name}")  # type: ignore[attr-defined]
        libraries.append(Watched(library))
        for target, factory in module.PATCHES.items():
            libraries[-1]._put(target, factory)
    try:
        yield spans
    finally:
        for library_in_use in libraries:
            library_in_use.restore()
