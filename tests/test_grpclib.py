"""grpclib and betterproto: one CLIENT and one SERVER span for each call, always ended; results as they are plain."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conftest import PYTHON, Runner
from tests.environments import CURRENT, Environments, environments
from tests.test_secrets import EVERY_HEADER, SECRETS, markers_in

__all__ = ["environments"]

SERVER, CLIENT = 2, 3
UNSET, ERROR = 0, 2

# A service of the four kinds, and a client that makes the calls that its arguments name, in the same process.
PROGRAM = """
import asyncio, logging, sys
from google.protobuf.wrappers_pb2 import StringValue as Text
from grpclib.client import Channel, UnaryUnaryMethod, UnaryStreamMethod, StreamUnaryMethod, StreamStreamMethod
from grpclib.const import Cardinality, Handler, Status
from grpclib.exceptions import GRPCError
from grpclib.server import Server

logging.disable(logging.CRITICAL)

class Service:
    async def one(self, stream):
        request = await stream.recv_message()
        if request.value == "abort":
            raise GRPCError(Status.NOT_FOUND, "no such thing")
        if request.value == "abort internal":
            raise GRPCError(Status.INTERNAL, "broken")
        if request.value == "status":
            await stream.send_trailing_metadata(status=Status.RESOURCE_EXHAUSTED, status_message="full")
            return
        if request.value == "raise":
            raise ValueError("no")
        if request.value == "nothing":
            return
        if request.value == "metadata":
            await stream.send_message(Text(value=str([k for k in stream.metadata if k.startswith("x-")])))
            return
        if request.value == "answer":
            await stream.send_initial_metadata(metadata={"x-first": "1"})
            await stream.send_message(request)
            await stream.send_trailing_metadata(metadata=[("x-last", "2"), ("x-last", "3"), ("authorization", "hush")])
            return
        if request.value == "refuse":
            await stream.send_trailing_metadata(status=Status.NOT_FOUND, metadata={"x-last": "2"})
            return
        if request.value == "reset":
            await stream.cancel()
            return
        if request.value == "sleep":
            await asyncio.sleep(30)
        await stream.send_message(Text(value=request.value.upper()))
    async def many(self, stream):
        request = await stream.recv_message()
        for number in range(3):
            await stream.send_message(Text(value=f"{request.value}{number}"))
        if request.value == "raise":
            raise ValueError("no")
        if request.value == "sleep":
            await asyncio.sleep(30)
    async def collect(self, stream):
        await stream.send_message(Text(value="".join([message.value async for message in stream])))
    async def echo(self, stream):
        async for message in stream:
            await stream.send_message(message)
    def __mapping__(self):
        return {
            "/pkg.Service/One": Handler(self.one, Cardinality.UNARY_UNARY, Text, Text),
            "/pkg.Service/Many": Handler(self.many, Cardinality.UNARY_STREAM, Text, Text),
            "/pkg.Service/Collect": Handler(self.collect, Cardinality.STREAM_UNARY, Text, Text),
            "/pkg.Service/Echo": Handler(self.echo, Cardinality.STREAM_STREAM, Text, Text),
        }

def texts(*values): return [Text(value=value) for value in values]

async def unary(channel, value="a", name="One", **options):
    return await UnaryUnaryMethod(channel, f"/pkg.Service/{name}", Text, Text)(Text(value=value), **options)

async def many(channel, value):
    return [m.value for m in await UnaryStreamMethod(channel, "/pkg.Service/Many", Text, Text)(Text(value=value))]

async def left(channel, error):
    async with UnaryStreamMethod(channel, "/pkg.Service/Many", Text, Text).open() as stream:
        await stream.send_message(Text(value="sleep"), end=True)
        async for message in stream:
            if error:
                raise error
            await stream.cancel()
            return message.value

async def cancelled(channel):
    task = asyncio.ensure_future(unary(channel, "sleep"))
    await asyncio.sleep(0.1)
    task.cancel()
    await task

async def never_sent(channel):
    async with UnaryUnaryMethod(channel, "/pkg.Service/One", Text, Text).open():
        return "nothing sent"

async def refused(channel):
    other = Channel("127.0.0.1", 1)
    try:
        return await unary(other)
    finally:
        other.close()

metadata = {"x-b": "1", "x-a": "2"}
CALLS = {
    "unary": lambda c: unary(c, metadata=metadata),
    "metadata": lambda c: unary(c, "metadata", metadata=metadata),
    "answer": lambda c: unary(c, "answer"),
    "refuse": lambda c: unary(c, "refuse"),
    "own traceparent": lambda c: unary(c, metadata=[("traceparent", "00-" + "1" * 32 + "-" + "2" * 16 + "-01")]),
    "many": lambda c: many(c, "a"),
    "collect": lambda c: StreamUnaryMethod(c, "/pkg.Service/Collect", Text, Text)(texts("a", "b")),
    "echo": lambda c: StreamStreamMethod(c, "/pkg.Service/Echo", Text, Text)(texts("a", "b")),
    "abort": lambda c: unary(c, "abort"),
    "abort internal": lambda c: unary(c, "abort internal"),
    "status": lambda c: unary(c, "status"),
    "raise": lambda c: unary(c, "raise"),
    "raise half-way": lambda c: many(c, "raise"),
    "nothing": lambda c: unary(c, "nothing"),
    "reset": lambda c: unary(c, "reset"),
    "unknown": lambda c: unary(c, name="Other"),
    "deadline": lambda c: unary(c, "sleep", timeout=0.3),
    "cancelled": cancelled,
    "left": lambda c: left(c, None),
    "left by an error": lambda c: left(c, ValueError("mine")),
    "never sent": never_sent,
    "refused": refused,
}

async def main():
    server = Server([Service()])
    await server.start("127.0.0.1", 0)
    port = server._server.sockets[0].getsockname()[1]
    async with Channel("127.0.0.1", port) as channel:
        for name in sys.argv[1:]:
            try:
                print(name, repr(await CALLS[name](channel)))
            except BaseException as error:
                print(name, type(error).__name__, getattr(error, "status", None), getattr(error, "message", error))
    print(metadata)
    await asyncio.sleep(0.1)
    server.close()
    await server.wait_closed()

asyncio.run(main())
"""

# name of the call: method, status and error.type of the client, status of the server, whether the server's is an error
SPANS: dict[str, tuple[str, str, str, str, bool]] = {
    "unary": ("One", "OK", "", "OK", False),
    "own traceparent": ("One", "OK", "", "OK", False),
    "many": ("Many", "OK", "", "OK", False),
    "collect": ("Collect", "OK", "", "OK", False),
    "echo": ("Echo", "OK", "", "OK", False),
    "abort": ("One", "NOT_FOUND", "NOT_FOUND", "NOT_FOUND", False),
    "abort internal": ("One", "INTERNAL", "INTERNAL", "INTERNAL", True),
    "status": ("One", "RESOURCE_EXHAUSTED", "RESOURCE_EXHAUSTED", "RESOURCE_EXHAUSTED", False),
    "raise": ("One", "UNKNOWN", "UNKNOWN", "UNKNOWN", True),
    "raise half-way": ("Many", "UNKNOWN", "UNKNOWN", "UNKNOWN", True),
    "nothing": ("One", "UNKNOWN", "UNKNOWN", "UNKNOWN", True),
    "reset": ("One", "", "grpclib.exceptions.StreamTerminatedError", "CANCELLED", False),
    # grpclib's client takes its own server's answer for one without a content type, and says UNKNOWN.
    "unknown": ("Other", "UNKNOWN", "UNKNOWN", "UNIMPLEMENTED", True),
    "deadline": ("One", "DEADLINE_EXCEEDED", "DEADLINE_EXCEEDED", "DEADLINE_EXCEEDED", True),
    "cancelled": ("One", "CANCELLED", "CANCELLED", "CANCELLED", False),
    "left": ("Many", "CANCELLED", "CANCELLED", "CANCELLED", False),
    "left by an error": ("Many", "CANCELLED", "CANCELLED", "CANCELLED", False),
}


def both(run: Runner, python: str, text: str, *calls: str) -> Any:
    """Runs the program plain and traced; the outcome must be the same."""
    program = run.program(text)
    plain = run.plain(python, program, *calls)
    traced = run.traced(python, program, *calls)
    assert plain.status == 0, plain
    assert (traced.status, traced.out, traced.theirs) == (plain.status, plain.out, plain.err), traced
    return traced


def check(done: Any, name: str) -> None:
    """One CLIENT and one SERVER span, in one trace, with the right names and status."""
    method, client_status, client_error, server_status, server_fails = SPANS[name]
    (client,) = (span for span in done.spans if span.kind == CLIENT)
    (server,) = (span for span in done.spans if span.kind == SERVER)
    assert len(done.spans) == 2
    assert (server.trace_id, server.parent_id) == (client.trace_id, client.span_id)
    assert (client.scope, server.scope) == ("tracerun.grpclib_client", "tracerun.grpclib_server")
    assert client.name == f"pkg.Service/{method}"
    assert client.attributes["rpc.method"] == client.name
    assert client.attributes["rpc.system.name"] == server.attributes["rpc.system.name"] == "grpc"
    assert client.attributes["server.address"] == "127.0.0.1"
    assert client.attributes.get("rpc.status_code", "") == client_status
    assert client.attributes.get("error.type", "") == client_error
    assert client.status == (ERROR if client_error else UNSET)
    assert server.name == ("grpc" if method == "Other" else client.name)
    assert server.attributes["rpc.status_code"] == server_status
    assert server.status == (ERROR if server_fails else UNSET)
    if method != "Other":
        assert server.attributes["network.peer.address"] == "127.0.0.1"
    assert [event.name for event in server.events] == (["exception"] if name.startswith("raise") else [])


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name == "unary" else pytest.mark.slow) for name in SPANS]
)
def test_calls(run: Runner, name: str) -> None:
    """Each kind of call, and each way that one can end."""
    check(both(run, PYTHON, PROGRAM, name), name)


@pytest.mark.slow
def test_several_calls_on_one_channel(run: Runner) -> None:
    """A call that fails leaves nothing behind for the next one."""
    names = ["abort", "unary", "cancelled", "many", "left by an error", "metadata", "echo"]
    done = both(run, PYTHON, PROGRAM, *names)
    assert len(done.spans) == 2 * len(names)
    assert len({span.trace_id for span in done.spans}) == len(names)


@pytest.mark.slow
def test_calls_that_are_none(run: Runner) -> None:
    """A stream that sends nothing is no call; a connection that is refused is one that failed."""
    done = both(run, PYTHON, PROGRAM, "never sent", "refused")
    span = done.spans.one()
    assert (span.kind, span.attributes["error.type"]) == (CLIENT, "ConnectionRefusedError")
    assert "rpc.status_code" not in span.attributes


@pytest.mark.slow
def test_the_context_is_the_handlers(run: Runner) -> None:
    """Calls that a handler makes are children of its SERVER span, and so is what it starts itself."""
    text = PROGRAM.replace(
        'if request.value == "nothing":',
        'if request.value == "nested":\n            request = await unary(self.channel, "inner")\n'
        '        if request.value == "nothing":',
    ).replace(
        "        for name in sys.argv[1:]:", "        Service.channel = channel\n        for name in sys.argv[1:]:"
    )
    text = text.replace("CALLS = {", 'CALLS = {\n    "nested": lambda c: unary(c, "nested"),')
    done = both(run, PYTHON, text, "nested")
    by_id = {span.span_id: span for span in done.spans}
    chains = []
    for last in done.spans:
        chain = [last]
        while chain[-1].parent_id:
            chain.append(by_id[chain[-1].parent_id])
        chains.append([span.kind for span in chain])
    assert max(chains, key=len) == [SERVER, CLIENT, SERVER, CLIENT]


@pytest.mark.slow
def test_metadata_of_the_answer(run: Runner) -> None:
    """What comes before and after the messages, or in place of them, where it is named and on both ends."""
    start = "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_"
    named: dict[str, str | None] = dict.fromkeys(
        (f"{start}CLIENT_RESPONSE", f"{start}SERVER_RESPONSE"), "x-first,x-last,authorization"
    )
    program = run.program(PROGRAM)
    done = run.traced(PYTHON, program, "answer", "refuse", env=named)
    assert done.out == run.plain(PYTHON, program, "answer", "refuse").out
    answer = {"x-first": ["1"], "x-last": ["2", "3"], "authorization": ["[REDACTED]"]}
    for kind in (CLIENT, SERVER):
        spans = sorted((span for span in done.spans if span.kind == kind), key=lambda span: span.start)
        assert [metadata_of(span) for span in spans] == [answer, {"x-last": ["2"]}]


def metadata_of(span: Any, which: str = "response") -> dict[str, Any]:
    """The metadata, of the answer or of the request, that a span has as attributes."""
    start = f"rpc.{which}.metadata."
    return {name.removeprefix(start): value for name, value in span.attributes.items() if name.startswith(start)}


@pytest.mark.slow
def test_what_is_shown(run: Runner) -> None:
    """No secret of metadata, an exception or a status; nothing of a call that is excluded, nor of what is in it."""
    text = SECRETS + PROGRAM.replace('"no")', "SECRETS)").replace('"broken")', "SECRETS)")
    text = text.replace(
        "async def collect(self, stream):",
        "async def collect(self, stream):\n        from opentelemetry import trace\n"
        "        trace.get_tracer('shop').start_span('manual').end()",
    ).replace('metadata = {"x-b": "1"', 'metadata = {"authorization": "hush13", "x-api-key": "hush14", "x-b": "1"')
    text = text.replace('unary(c, "raise")', 'unary(c, "raise", metadata=metadata)')
    env = {**EVERY_HEADER, "TRACERUN_EXCLUDE_URL": "/pkg.Service/Collect"}
    done = run.traced(PYTHON, run.program(text), "collect", "raise", "abort internal", env=dict(env))
    assert done.out.startswith('collect value: "ab"'), done
    assert sorted(span.name for span in done.spans) == ["pkg.Service/One"] * 4
    data = b"".join(path.read_bytes() for path in run.state.glob("*.jsonl"))
    assert markers_in(data) == []
    assert data.count(b"password=REDACTED") >= 4  # of both ends, for both calls
    sent = {"authorization": ["[REDACTED]"], "x-api-key": ["[REDACTED]"], "x-b": ["1"], "x-a": ["2"]}
    raised = [span for span in done.spans if span.attributes["rpc.status_code"] == "UNKNOWN"]
    assert [metadata_of(span, "request").items() >= sent.items() for span in raised] == [True, True]


@pytest.mark.slow
def test_oldest_release(run: Runner, environments: Environments) -> None:
    """The oldest release that the catalogue has, in a program without grpcio."""
    python = environments.python(CURRENT, "grpclib==0.4.5", "protobuf<5", "opentelemetry-sdk==1.45.1")
    for name in ("unary", "echo", "abort", "raise", "deadline", "cancelled", "left"):
        for path in run.state.glob("*"):
            path.unlink()
        check(both(run, python, PROGRAM, name), name)


BETTERPROTO = """
import asyncio
from dataclasses import dataclass
import betterproto
import grpclib.const
from betterproto.grpc.grpclib_server import ServiceBase
from grpclib.client import Channel
from grpclib.server import Server

@dataclass
class Text(betterproto.Message):
    value: str = betterproto.string_field(1)

class Stub(betterproto.ServiceStub):
    async def one(self, message):
        return await self._unary_unary("/pkg.Service/One", message, Text)
    async def many(self, message):
        async for answer in self._unary_stream("/pkg.Service/Many", message, Text):
            yield answer

class Service(ServiceBase):
    async def one(self, stream):
        request = await stream.recv_message()
        await stream.send_message(Text(request.value.upper()))
    async def many(self, stream):
        await self._call_rpc_handler_server_stream(self.answers, stream, await stream.recv_message())
    async def answers(self, request):
        for number in range(3):
            yield Text(f"{request.value}{number}")
    def __mapping__(self):
        kinds = grpclib.const.Cardinality
        return {
            "/pkg.Service/One": grpclib.const.Handler(self.one, kinds.UNARY_UNARY, Text, Text),
            "/pkg.Service/Many": grpclib.const.Handler(self.many, kinds.UNARY_STREAM, Text, Text),
        }

async def main():
    server = Server([Service()])
    await server.start("127.0.0.1", 0)
    async with Channel("127.0.0.1", server._server.sockets[0].getsockname()[1]) as channel:
        stub = Stub(channel)
        print(await stub.one(Text("a")))
        print([answer.value async for answer in stub.many(Text("b"))])
        async for answer in stub.many(Text("c")):
            print(answer.value)
    server.close()
    await server.wait_closed()

asyncio.run(main())
"""


@pytest.mark.slow
def test_betterproto(run: Runner, environments: Environments) -> None:
    """Stubs and services of betterproto are grpclib's."""
    python = environments.python(CURRENT, "betterproto==2.0.0b7", "opentelemetry-sdk==1.45.1")
    done = both(run, python, BETTERPROTO)
    assert sorted((span.kind, span.name, span.attributes["rpc.status_code"]) for span in done.spans) == sorted(
        (kind, f"pkg.Service/{name}", "OK") for kind in (SERVER, CLIENT) for name in ("One", "Many", "Many")
    )
