"""Litestar: the SERVER span around the application; its route is in the scope."""

from __future__ import annotations

from typing import Any

from tracerun.instrumentation import serving
from tracerun.instrumentation.asgi import traced_call
from tracerun.instrumentation.context import tracer
from tracerun.instrumentation.patching import around_async


def _record(_: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    from litestar.exceptions import HTTPException  # noqa: PLC0415 - Litestar is there by now

    # handle_request_exception(*, litestar_app, scope, receive, send, exc): an HTTPException is an answer.
    error = kwargs.get("exc")
    if not isinstance(error, HTTPException):
        serving.record(error)


PATCHES = {
    "litestar.app:Litestar.__call__": traced_call(tracer("litestar")),
    "litestar.middleware._internal.exceptions.middleware:"
    "ExceptionHandlerMiddleware.handle_request_exception": around_async(_record, "litestar"),
}
