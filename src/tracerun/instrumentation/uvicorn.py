"""uvicorn: the SERVER span around whatever ASGI application it loads."""

from __future__ import annotations

from typing import Any

from tracerun.instrumentation.asgi import Middleware
from tracerun.instrumentation.context import tracer
from tracerun.instrumentation.patching import after

_TRACER = tracer("uvicorn")


def _wrap_application(_: None, args: tuple[Any, ...], __: dict[str, Any]) -> None:
    config = args[0]
    config.loaded_app = Middleware(config.loaded_app, _TRACER)


PATCHES = {"uvicorn.config:Config.load": after(_wrap_application, "uvicorn")}
