"""What a request holds is let go at its end, and not when the garbage collector finds it."""

from __future__ import annotations

import gc
import weakref
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON

from tests.in_process import tracing
from tracerun.instrumentation import asgi, wsgi
from tracerun.instrumentation.propagation import NOBODY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SAMPLERS = pytest.mark.parametrize("sampler", [ALWAYS_ON, ALWAYS_OFF], ids=["on", "off"])


class Environ(dict[str, Any]):
    """An environ, or a scope, that can be referred to weakly."""


@pytest.fixture(autouse=True)
def _without_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def _whole(_: Any, start_response: Any) -> Any:
    start_response("200 OK", [])
    return [b"text"]


def _stepwise(_: Any, start_response: Any) -> Any:
    start_response("200 OK", [])
    return (part for part in [b"text"])


def _keeping(environ: Any, start_response: Any) -> Any:
    """What the environ has in it is the application's answer, as some frameworks keep it."""
    environ["own.body"] = body = iter([b"text"])
    start_response("200 OK", [])
    return body


def _raising(_: Any, __: Any) -> Any:
    raise ValueError("nothing")


def _raising_later(_: Any, start_response: Any) -> Any:
    start_response("200 OK", [])
    yield b"text"
    raise ValueError("nothing")


def _drain(body: Any) -> None:
    try:
        for _ in body:
            pass
    finally:
        getattr(body, "close", int)()


def _drop(_: Any) -> None:
    pass


@SAMPLERS
@pytest.mark.parametrize("app", [_whole, _stepwise, _keeping, _raising, _raising_later])
@pytest.mark.parametrize("take", [_drain, _drop])
def test_wsgi(app: Any, take: Callable[[Any], None], sampler: Any) -> None:
    """Its environ is gone with the answer, taken or dropped, or with the exception."""
    with tracing(sampler=sampler) as spans:
        environ = Environ({"REQUEST_METHOD": "GET", "SCRIPT_NAME": "/app", "PATH_INFO": "/7"})
        reference = weakref.ref(environ)
        try:
            take(wsgi.run(app, environ, lambda *_: None, spans.tracer))
        except ValueError:
            assert app in (_raising, _raising_later)
        del environ
        assert reference() is None
        assert len(spans.ended) == (sampler is ALWAYS_ON)


@SAMPLERS
@pytest.mark.parametrize("fails", [False, True])
def test_asgi(fails: bool, sampler: Any) -> None:
    """So is an ASGI application's scope."""

    async def app(_: Any, __: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        if fails:
            raise ValueError("nothing")
        await send({"type": "http.response.body", "body": b""})

    async def send(_: Any) -> None:
        pass

    with tracing(sampler=sampler) as spans:
        scope = Environ({"type": "http", "method": "GET", "path": "/7", "headers": []})
        reference = weakref.ref(scope)
        running = asgi.run(app, scope, send, send, spans.tracer)
        with pytest.raises(ValueError if fails else StopIteration):  # without a loop, which keeps errors itself
            running.send(None)
        del running, scope
        assert reference() is None
        assert len(spans.ended) == (sampler is ALWAYS_ON)


@SAMPLERS
def test_requests_without_a_caller_share_nothing(sampler: Any) -> None:
    """They all belong to one empty context, into which none of them puts anything."""
    with tracing(sampler=sampler) as spans:
        for path in ("/1", "/2"):
            _drain(wsgi.run(_whole, {"PATH_INFO": path}, lambda *_: None, spans.tracer))
    assert not NOBODY
    assert [span.parent for span in spans.ended] == [None] * len(spans.ended)
