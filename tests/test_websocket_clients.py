"""A websocket that a client opens: its upgrade is one CLIENT span, ended while the websocket is open."""

from __future__ import annotations

import asyncio

import pytest
from opentelemetry import trace
from opentelemetry.trace import SpanKind

from tests.conftest import PYTHON, Runner, free_port
from tests.environments import CURRENT, Environments, environments
from tests.in_process import tracing

__all__ = ["environments"]  # the fixture
CLIENT, ERROR, UNSET = 3, 2, 0
# Writes down with which context each websocket comes.
SERVES = """
import asyncio, sys, tornado.web, tornado.websocket

class Echo(tornado.websocket.WebSocketHandler):
    def open(self):
        with open("seen.txt", "a") as seen:
            print(self.request.headers.get_list("traceparent"), file=seen)
    def on_message(self, message):
        self.write_message(message)

async def main():
    tornado.web.Application([("/echo", Echo)]).listen(int(sys.argv[1]), "127.0.0.1")
    await asyncio.Event().wait()

asyncio.run(main())
"""
CONNECTS = """
import asyncio, sys
from tornado.httpclient import HTTPRequest
from tornado.websocket import WebSocketClientConnection, websocket_connect

address, closed = sys.argv[1:]

async def talk(target, **options):
    socket = await websocket_connect(target, **options)
    await socket.write_message("hello")
    print(type(socket) is WebSocketClientConnection, await socket.read_message())
    socket.close()
    print(await socket.read_message(), socket.close_code)

async def main():
    await talk(f"ws://{address}/echo?token=hush")
    given = {"X-A": "1"}
    await talk(HTTPRequest(f"ws://{address}/echo", headers=given), compression_options={})
    print(given)
    for target in (f"ws://{address}/missing", f"ws://{closed}/echo", f"http://{address}/echo"):
        try:
            await websocket_connect(target)
        except Exception as error:
            print(type(error), error)

asyncio.run(main())
"""


@pytest.mark.parametrize(
    "packages", [pytest.param((), id="newest"), pytest.param(("tornado==6.3",), id="oldest", marks=pytest.mark.slow)]
)
def test_tornado(run: Runner, port: int, environments: Environments, packages: tuple[str, ...]) -> None:
    """By a URL and by a request, refused, and where nobody listens: a span each, whose context the server gets."""
    python = environments.python(CURRENT, *packages) if packages else PYTHON
    program, closed = run.program(CONNECTS), free_port()
    with run.serving(PYTHON, run.program(SERVES, "serves.py"), str(port), port=port):
        arguments = (python, program, f"127.0.0.1:{port}", f"127.0.0.1:{closed}")
        plain, traced = run.plain(*arguments), run.traced(*arguments)
    assert plain.status == 0, plain
    assert (traced.status, traced.out, traced.theirs) == (0, plain.out, plain.err), traced
    opened, given, refused, lost, wrong = traced.spans
    seen = (run.folder / "seen.txt").read_text().splitlines()
    sent = [str([f"00-{span.trace_id}-{span.span_id}-01"]) for span in (opened, given)]
    assert seen == ["[]", "[]", *sent]
    for span in (opened, given):
        assert (span.kind, span.name, span.status, span.scope) == (CLIENT, "GET", UNSET, "tracerun.tornado_client")
    assert opened.attributes == {
        "http.request.method": "GET",
        "url.full": f"ws://127.0.0.1:{port}/echo?token=REDACTED",
        "server.address": "127.0.0.1",
        "server.port": port,
        "http.response.status_code": 101,
        "network.protocol.version": "1.1",
        "network.peer.address": "127.0.0.1",
        "network.peer.port": port,
    }
    assert (refused.status, refused.attributes["error.type"]) == (ERROR, "404")
    assert (lost.status, lost.attributes["server.port"]) == (ERROR, closed)
    assert (wrong.status, wrong.attributes["error.type"]) == (ERROR, "KeyError")


def test_a_websocket_of_tornado_is_open_after_its_span(port: int) -> None:
    """The span ends with the upgrade; what a message's callback does is no part of it."""
    from tornado.web import Application
    from tornado.websocket import WebSocketHandler, websocket_connect

    class Echo(WebSocketHandler):
        def on_message(self, message: str | bytes) -> None:
            self.write_message(message)

    async def talk() -> None:
        server = Application([("/", Echo)]).listen(port, "127.0.0.1")
        came = asyncio.Event()
        around: list[str] = []

        def on_message(_: str | bytes | None) -> None:
            around.append(getattr(trace.get_current_span(), "name", ""))
            came.set()

        with spans.tracer.start_as_current_span("work"):
            socket = await websocket_connect(f"ws://127.0.0.1:{port}/", on_message_callback=on_message)
        assert spans.one(SpanKind.CLIENT).attributes["http.response.status_code"] == 101
        await socket.write_message("hello")
        await came.wait()
        assert around == ["work"]
        socket.close()
        server.stop()

    with tracing("tornado_client") as spans:
        asyncio.run(talk())
    work, call = sorted(spans.wait(2), key=lambda span: span.kind is SpanKind.CLIENT)
    assert call.parent.span_id == work.context.span_id
