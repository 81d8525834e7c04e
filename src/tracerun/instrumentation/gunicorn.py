"""gunicorn: the SERVER span around the WSGI (or, under its own ASGI worker, ASGI) application of each worker."""

from __future__ import annotations

from typing import Any

from tracerun.instrumentation.asgi import Middleware
from tracerun.instrumentation.context import tracer
from tracerun.instrumentation.patching import after
from tracerun.instrumentation.wsgi import Application

_TRACER = tracer("gunicorn")
# Workers that call a WSGI application themselves. Those of uvicorn and aiohttp have a load_wsgi too, and keep
# something else in its place, which the library that they bring sees to.
_WSGI_WORKERS = frozenset(f"gunicorn.workers.{name}" for name in ("sync", "gthread", "base_async"))


def _calls_wsgi(worker: Any) -> bool:
    return any(kind.__module__ in _WSGI_WORKERS for kind in type(worker).__mro__)


def _wrap_wsgi(_: None, args: tuple[Any, ...], __: dict[str, Any]) -> None:
    worker = args[0]
    if worker.wsgi is not None and _calls_wsgi(worker):
        worker.wsgi = Application(worker.wsgi, _TRACER)


def _wrap_asgi(_: None, args: tuple[Any, ...], __: dict[str, Any]) -> None:
    args[0].asgi = Middleware(args[0].asgi, _TRACER)


PATCHES = {
    "gunicorn.workers.base:Worker.load_wsgi": after(_wrap_wsgi, "gunicorn"),
    "gunicorn.workers.gasgi:ASGIWorker.load_wsgi?": after(_wrap_asgi, "gunicorn"),
}
