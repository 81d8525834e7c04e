"""gRPC: one CLIENT and one SERVER span for each call, and every call as it is without us."""

from __future__ import annotations

import contextlib
import importlib
import logging
import subprocess
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.trace import SpanKind, StatusCode

from tests.grpc_clients import AIO_WAYS, METADATA, SYNC_WAYS, asynchronous, blocking, cases
from tests.grpc_world import LONGEST, STYLES, Certificate, serving
from tracerun.agent import guard
from tracerun.agent.libraries import Watched
from tracerun.instrumentation.catalog import by_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from opentelemetry.sdk.trace import ReadableSpan

LIBRARIES = ("grpc_client", "grpc_server", "grpc_aio_client", "grpc_aio_server")
CLIENTS: dict[str, tuple[Callable[..., dict[str, Any]], dict[str, tuple[str, ...]]]] = {
    "threads": (blocking, SYNC_WAYS),
    "asyncio": (asynchronous, AIO_WAYS),
}


class Spans(SpanProcessor):
    """Every span that was started and every one that was ended."""

    def __init__(self) -> None:
        self.started: list[Any] = []
        self.ended: list[ReadableSpan] = []
        self._changed = threading.Condition()

    def on_start(self, span: Any, parent_context: Any = None) -> None:
        self.started.append(span)

    def on_end(self, span: ReadableSpan) -> None:
        with self._changed:
            self.ended.append(span)
            self._changed.notify_all()

    def all(self, count: int) -> list[ReadableSpan]:
        """The spans, once so many have ended and none is open."""
        with self._changed:
            self._changed.wait_for(lambda: len(self.ended) >= max(count, len(self.started)), LONGEST)
        assert [span.name for span in self.ended] == [span.name for span in self.started] or sorted(
            span.name for span in self.ended
        ) == sorted(span.name for span in self.started), "a span is open"
        return self.ended

    def of(self, kind: SpanKind) -> list[ReadableSpan]:
        return [span for span in self.ended if span.kind is kind]


@contextlib.contextmanager
def tracing(*names: str) -> Iterator[Spans]:
    """Patches gRPC while a block runs."""
    spans = Spans()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(spans)
    watched = []
    for name in names or LIBRARIES:
        module = importlib.import_module(f"tracerun.instrumentation.{name}")
        module._TRACER = provider.get_tracer(f"tracerun.{name}")  # type: ignore[attr-defined]
        library = by_name(name)
        assert library is not None
        watched.append(Watched(library))
        for target, factory in module.PATCHES.items():
            watched[-1]._put(target, factory)
    spans.tracer = provider.get_tracer("program")  # type: ignore[attr-defined]
    try:
        yield spans
    finally:
        for each in watched:
            each.restore()


@pytest.fixture(autouse=True)
def strict(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An error of ours fails the test."""
    monkeypatch.setattr(guard._State, "raise_errors", True)
    monkeypatch.setattr(guard._State, "errors", {})
    yield
    assert guard._State.errors == {}


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    folder = tmp_path_factory.mktemp("certificate")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "key.pem", "-out", "certificate.pem"]
        + ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"],
        cwd=folder,
        check=True,
        capture_output=True,
    )
    return Certificate(folder)


def hangs_plain(style: str, kind: str, outcome: str) -> bool:
    """asyncio's server never frees the thread of a sync generator whose client has gone."""
    return style == "asyncio, sync handlers" and kind in ("Many", "Chat") and outcome in ("cancel", "deadline", "half")


MATRIX = [
    pytest.param(client, style, *case, id=f"{client} to {style}: {' '.join(case)}")
    for client, (_, ways) in CLIENTS.items()
    for style in STYLES
    for case in cases(ways)
    if not hangs_plain(style, case[0], case[2])
]

CODES = {
    "ok": "OK",
    "abort": "NOT_FOUND",
    "fail": "UNKNOWN",
    "code": "INTERNAL",
    "cancel": "CANCELLED",
    "deadline": "DEADLINE_EXCEEDED",
    "half": "CANCELLED",
}


@pytest.mark.parametrize(("client", "style", "kind", "way", "outcome"), MATRIX)
def test_same_call_and_two_spans(
    client: str, style: str, kind: str, way: str, outcome: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A program gets of a call what it gets without us; the call is one CLIENT and one SERVER span."""
    check(client, style, kind, way, outcome, None, caplog)


def check(
    client: str, style: str, kind: str, way: str, outcome: str, secure: Certificate | None, caplog: Any
) -> tuple[ReadableSpan, ReadableSpan]:
    call = CLIENTS[client][0]
    caplog.set_level(logging.WARNING)
    with serving(style, secure) as server:
        plain = call(server, kind, way, outcome)
    plain_log, plain_said = server.world.log, said(caplog)
    with tracing() as spans, serving(style, secure) as server, spans.tracer.start_as_current_span("root") as root:  # type: ignore[attr-defined]
        traced = call(server, kind, way, outcome)
        assert trace.get_current_span() is root
    assert traced == plain
    assert server.world.log == plain_log
    assert said(caplog) == plain_said
    spans.all(3)
    (client_span,), (server_span,) = spans.of(SpanKind.CLIENT), spans.of(SpanKind.SERVER)
    assert client_span.parent == root.get_span_context()
    assert server_span.parent.span_id == client_span.context.span_id
    assert server_span.context.trace_id == client_span.context.trace_id
    assert server.world.current
    assert set(server.world.current) == {server_span.context.span_id}
    assert client_span.name == server_span.name == f"echo.v1.Echo/{kind}"
    code = CODES.get(outcome) or ("INTERNAL" if style == "threads" else "UNKNOWN")
    check_ends(client_span, server_span, code, failed=outcome in ("fail", "wrong"))
    return client_span, server_span


def check_ends(client: ReadableSpan, server: ReadableSpan, code: str, *, failed: bool) -> None:
    assert client.attributes["rpc.status_code"] == server.attributes["rpc.status_code"] == code
    for span, is_error in ((client, code != "OK"), (server, code not in ("OK", "NOT_FOUND", "CANCELLED"))):
        assert span.status.status_code is (StatusCode.ERROR if is_error else StatusCode.UNSET)
        assert span.attributes.get("error.type") == (code if is_error else None)
    assert [event.name for event in server.events] == (["exception"] if failed else [])
    assert client.events == ()


def said(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    """What was logged since the last time, but for addresses of objects and of tracebacks."""
    records = [(record.name, record.getMessage().partition("\n")[0]) for record in caplog.records]
    caplog.clear()
    return sorted(records)
