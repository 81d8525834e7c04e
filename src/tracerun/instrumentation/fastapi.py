"""FastAPI: the SERVER span around the application, in place of the one that FastAPI makes itself.

FastAPI of 2026 (0.160 and later) depends on opentelemetry-api and, once a provider exists, makes one SERVER
and three INTERNAL spans for each request. Its SERVER span gives way to ours, which starts before any
middleware; its INTERNAL spans are off, unless the application asks for them with
``FastAPI(telemetry={"operation_spans": True})``.
"""

from __future__ import annotations

import sys
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from opentelemetry.trace import Span, SpanKind, Tracer

from tracerun.instrumentation.asgi import traced_call
from tracerun.instrumentation.context import tracer
from tracerun.instrumentation.http import REQUEST_KEY, ServerRequest
from tracerun.instrumentation.lending import LentSpan
from tracerun.instrumentation.patching import after, before

if TYPE_CHECKING:
    from collections.abc import Iterator


# FastAPI extracts the caller's context anew, onto nothing; through it our request would not be found again.
_REQUEST: ContextVar[ServerRequest | None] = ContextVar("tracerun.fastapi", default=None)
# The applications whose own tracing has been seen to.
_KNOWN: WeakSet[Any] = WeakSet()


class _Native:
    """FastAPI's own tracing of one application, told which request of ours it is in."""

    def __init__(self, real: Any) -> None:
        self._real = real
        real_tracer = real._get_tracer
        real._get_tracer = lambda *, provider: _InsideTracer(real_tracer(provider=provider))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    async def __call__(self, *, scope: Any, **rest: Any) -> None:
        token = _REQUEST.set(scope.get(REQUEST_KEY))
        try:
            await self._real(scope=scope, **rest)
        finally:
            _REQUEST.reset(token)


class _InsideTracer(Tracer):
    """FastAPI's own tracer, but for SERVER spans: for those there is ours already."""

    def __init__(self, real: Tracer) -> None:
        self._real = real

    def start_span(
        self, name: str, context: Any = None, kind: SpanKind = SpanKind.INTERNAL, *args: Any, **kwargs: Any
    ) -> Span:
        request = _REQUEST.get()
        if kind is SpanKind.SERVER and request is not None:
            return LentSpan(request.span)
        return self._real.start_span(name, context, kind, *args, **kwargs)

    def start_as_current_span(self, *args: Any, **kwargs: Any) -> Iterator[Span]:  # type: ignore[override]
        return self._real.start_as_current_span(*args, **kwargs)  # type: ignore[return-value]


def _give_way(_: None, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """After ``FastAPI.__init__``: what FastAPI's own tracing does from now on."""
    app = args[0]
    _KNOWN.add(app)
    config, native = getattr(app, "_telemetry", None), getattr(app, "_native_telemetry", None)
    asked = kwargs.get("telemetry") or {}
    if config is None or native is None or asked.get("tracer_provider") is not None:
        return  # a FastAPI without tracing of its own, or one that is told where its spans go
    if not asked.get("operation_spans"):
        config["tracing"] = False
        return
    app._native_telemetry = _Native(native)


def _catch_up(args: tuple[Any, ...], _: dict[str, Any]) -> None:
    """Before ``FastAPI.__call__``: an application that is older than ``import tracerun.auto``."""
    if args[0] not in _KNOWN:
        _give_way(None, args, {})


def _call(original: Any) -> Any:
    if "tracerun.auto" in sys.modules:  # the launcher sees every application from its beginning
        original = before(_catch_up, "fastapi")(original)
    return traced_call(tracer("fastapi"))(original)


PATCHES = {
    "fastapi.applications:FastAPI.__init__": after(_give_way, "fastapi"),
    "fastapi.applications:FastAPI.__call__": _call,
}
