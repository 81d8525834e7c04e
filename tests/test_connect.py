"""Connect (connectrpc, connect-python): one CLIENT and one SERVER span for each call, results as they are plain."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conftest import PYTHON, Runner
from tests.environments import CURRENT, Environments, environments

__all__ = ["environments"]

pytest.importorskip("connectrpc", reason="it has no release for Python 3.10 that works with today's pyqwest")

SERVER, CLIENT = 2, 3
UNSET, ERROR = 0, 2

# A service under uvicorn (ASGI) or waitress (WSGI) and a client, asyncio or sync, that makes the calls it is told.
PROGRAM = """
import asyncio, inspect, logging, sys, threading, time
from google.protobuf.wrappers_pb2 import StringValue as Text
from connectrpc.client import ConnectClient, ConnectClientSync
from connectrpc.code import Code
from connectrpc.errors import ConnectError
from connectrpc.method import IdempotencyLevel, MethodInfo
from connectrpc.server import ConnectASGIApplication, ConnectWSGIApplication, Endpoint, EndpointSync

try:  # connectrpc of 2026-09 and later has a Protobuf of its own
    from connectrpc.compat import google_protobuf_binary_codec, google_protobuf_codecs
    codec, codecs = {"codec": google_protobuf_binary_codec()}, {"codecs": google_protobuf_codecs()}
except ImportError:
    codec, codecs = {}, {}

logging.disable(logging.CRITICAL)
side, calls = sys.argv[1], sys.argv[2:]

def method(name, kind):
    more = {}
    if "stream_type" in inspect.signature(MethodInfo).parameters:
        from connectrpc.method import StreamType
        more["stream_type"] = StreamType[kind]
    return MethodInfo(name=name, service_name="pkg.Service", input=Text, output=Text,
                      idempotency_level=IdempotencyLevel.UNKNOWN, **more)

ONE, MISSING = method("One", "UNARY"), method("Missing", "UNARY")
MANY, COLLECT = method("Many", "SERVER_STREAM"), method("Collect", "CLIENT_STREAM")

def answer(request, context):
    if request.value == "abort":
        raise ConnectError(Code.NOT_FOUND, "no such thing")
    if request.value == "abort internal":
        raise ConnectError(Code.INTERNAL, "broken")
    if request.value == "raise":
        raise ValueError("no")
    if request.value == "headers":
        headers = context.request_headers() if callable(context.request_headers) else context.request_headers
        return Text(value=str(sorted(name for name in headers if name.startswith("x-mine"))))
    return Text(value=request.value.upper())

def answers(request, context):
    for number in range(3):
        yield Text(value=f"{request.value}{number}")
    if request.value == "raise":
        raise ValueError("no")
    if request.value == "abort":
        raise ConnectError(Code.ABORTED, "half-way")

async def one(request, context):
    if request.value == "sleep":
        await asyncio.sleep(5)
    return answer(request, context)

async def many(request, context):
    for made in answers(request, context):
        yield made

async def collect(requests, context):
    return Text(value="".join([request.value async for request in requests]))

def slow(request, context):
    if request.value == "sleep":
        time.sleep(1.5)
    return answer(request, context)

def asgi():
    import uvicorn
    endpoints = {
        "/pkg.Service/One": Endpoint.unary(method=ONE, function=one),
        "/pkg.Service/Many": Endpoint.server_stream(method=MANY, function=many),
        "/pkg.Service/Collect": Endpoint.client_stream(method=COLLECT, function=collect),
    }
    class Application(ConnectASGIApplication):
        path = "/pkg.Service"
        def __init__(self):
            if "service" in inspect.signature(ConnectASGIApplication.__init__).parameters:
                super().__init__(service=None, endpoints=lambda _: endpoints, **codecs)
            else:
                super().__init__(endpoints=endpoints, **codecs)
    server = uvicorn.Server(uvicorn.Config(Application(), port=0, log_level="critical"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    def stop():
        server.should_exit = True
        thread.join()
    return server.servers[0].sockets[0].getsockname()[1], stop

def wsgi():
    from waitress.server import create_server
    endpoints = {
        "/pkg.Service/One": EndpointSync.unary(method=ONE, function=slow),
        "/pkg.Service/Many": EndpointSync.server_stream(method=MANY, function=answers),
        "/pkg.Service/Collect": EndpointSync.client_stream(
            method=COLLECT, function=lambda requests, _: Text(value="".join(request.value for request in requests))),
    }
    class Application(ConnectWSGIApplication):
        path = "/pkg.Service"
        def __init__(self):
            super().__init__(endpoints=endpoints, **codecs)
    server = create_server(Application(), host="127.0.0.1", port=0)
    threading.Thread(target=server.run, daemon=True).start()
    return server.effective_port, server.task_dispatcher.shutdown

headers = {"x-mine-b": "1", "x-mine-a": "2"}

def unary(client, value, method=ONE, **options):
    return client.execute_unary(request=Text(value=value), method=method, **options)

def texts(*values):
    for value in values:
        yield Text(value=value)

async def atexts(*values):
    for value in values:
        yield Text(value=value)

def streamed(client, value, stop=9):
    made = []
    stream = client.execute_server_stream(request=Text(value=value), method=MANY)
    try:
        for message in stream:
            made.append(message.value)
            if len(made) == stop:
                break
    finally:
        stream.close()
    return made

async def astreamed(client, value, stop=9):
    made = []
    stream = client.execute_server_stream(request=Text(value=value), method=MANY)
    try:
        async for message in stream:
            made.append(message.value)
            if len(made) == stop:
                break
    finally:
        await stream.aclose()
    return made

async def cancelled(client):
    task = asyncio.ensure_future(unary(client, "sleep"))
    await asyncio.sleep(0.3)
    task.cancel()
    return await task

COMMON = {
    "unary": lambda c: unary(c, "a"),
    "headers": lambda c: unary(c, "headers", headers=headers),
    "abort": lambda c: unary(c, "abort"),
    "abort internal": lambda c: unary(c, "abort internal"),
    "raise": lambda c: unary(c, "raise"),
    "missing": lambda c: unary(c, "a", MISSING),
    "deadline": lambda c: unary(c, "sleep", timeout_ms=300),
}
SYNC = {
    **COMMON,
    "many": lambda c: streamed(c, "a"),
    "raise half-way": lambda c: streamed(c, "raise"),
    "abort half-way": lambda c: streamed(c, "abort"),
    "left": lambda c: streamed(c, "a", 1),
    "collect": lambda c: c.execute_client_stream(request=texts("a", "b"), method=COLLECT),
}
ASYNC = {
    **COMMON,
    "many": lambda c: astreamed(c, "a"),
    "raise half-way": lambda c: astreamed(c, "raise"),
    "abort half-way": lambda c: astreamed(c, "abort"),
    "left": lambda c: astreamed(c, "a", 1),
    "collect": lambda c: c.execute_client_stream(request=atexts("a", "b"), method=COLLECT),
    "cancelled": cancelled,
}

def tell(name, error):
    print(name, type(error).__name__, getattr(error, "code", None), getattr(error, "message", error))

async def with_asyncio(port):
    async with ConnectClient(f"http://127.0.0.1:{port}", **codec) as client:
        for name in calls:
            try:
                print(name, repr(await ASYNC[name](client)))
            except (Exception, asyncio.CancelledError) as error:
                tell(name, error)

def with_threads(port):
    with ConnectClientSync(f"http://127.0.0.1:{port}", **codec) as client:
        for name in calls:
            try:
                print(name, repr(SYNC[name](client)))
            except Exception as error:
                tell(name, error)

port, stop = asgi() if "asgi" in side else wsgi()
try:
    asyncio.run(with_asyncio(port)) if "asyncio" in side else with_threads(port)
    print(headers)
finally:
    stop()
"""

# name of the call: method, code of the client's span, of the server's, whether the server's is an error
SPANS: dict[str, tuple[str, str, str, bool]] = {
    "unary": ("One", "", "", False),
    "headers": ("One", "", "", False),
    "many": ("Many", "", "", False),
    "collect": ("Collect", "", "", False),
    "abort": ("One", "not_found", "not_found", False),
    "abort internal": ("One", "internal", "internal", True),
    "abort half-way": ("Many", "aborted", "aborted", False),
    "raise": ("One", "unknown", "unknown", True),
    "raise half-way": ("Many", "unknown", "unknown", True),
}
# Servers close the connection after an exception, which the client's next call may or may not notice in time.
GO_ON = [name for name in SPANS if not name.startswith("raise")]
SIDES = ["asyncio asgi", "sync asgi", "asyncio wsgi", "sync wsgi"]


def both(run: Runner, python: str, *arguments: str) -> Any:
    """Runs the program plain and traced; the outcome must be the same."""
    program = run.program(PROGRAM)
    plain = run.plain(python, program, *arguments)
    traced = run.traced(python, program, *arguments)
    assert plain.status == 0, plain
    assert (traced.status, traced.out) == (plain.status, plain.out), traced
    return traced


def check(done: Any, names: list[str]) -> None:
    """One CLIENT and one SERVER span for each call, in one trace, with the right names and codes."""
    clients = sorted((span for span in done.spans if span.kind == CLIENT), key=lambda span: span.start)
    servers = {span.parent_id: span for span in done.spans if span.kind == SERVER}
    assert len(done.spans) == 2 * len(names) == 2 * len(clients), [(s.scope, s.name) for s in done.spans]
    for name, client in zip(names, clients, strict=True):
        method, client_code, server_code, fails = SPANS[name]
        server = servers[client.span_id]
        assert client.trace_id == server.trace_id
        assert client.scope == "tracerun.connect_client"
        assert client.name == server.name == f"pkg.Service/{method}"
        for span in (client, server):
            assert (span.attributes["rpc.system.name"], span.attributes["rpc.method"]) == ("connectrpc", span.name)
        assert client.attributes["server.address"] == "127.0.0.1"
        assert client.attributes.get("rpc.status_code", "") == client.attributes.get("error.type", "") == client_code
        assert client.status == (ERROR if client_code else UNSET)
        assert server.attributes.get("rpc.status_code", "") == server_code, name
        assert server.status == (ERROR if fails else UNSET), name
        assert [event.name for event in server.events] == (["exception"] if name.startswith("raise") else []), name


@pytest.mark.parametrize("side", [SIDES[0], *(pytest.param(side, marks=pytest.mark.slow) for side in SIDES[1:])])
def test_calls(run: Runner, side: str) -> None:
    """Each kind of call, and each way that one can end, one after another over one client."""
    check(both(run, PYTHON, side, *GO_ON), GO_ON)


@pytest.mark.slow
@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("name", ["raise", "raise half-way"])
def test_handlers_that_fail(run: Runner, side: str, name: str) -> None:
    """An exception of the handler's is in the server's span, and Connect answers as without us."""
    check(both(run, PYTHON, side, name), [name])


@pytest.mark.slow
@pytest.mark.parametrize("side", SIDES)
def test_calls_cut_short(run: Runner, side: str) -> None:
    """A deadline and a stream that is left half-way end both spans; what comes next is as always."""
    done = both(run, PYTHON, side, "deadline", "left", "unary")
    clients = sorted((span for span in done.spans if span.kind == CLIENT), key=lambda span: span.start)
    assert [span.attributes.get("rpc.status_code") for span in clients] == ["deadline_exceeded", "canceled", None]
    assert {span.parent_id for span in done.spans if span.kind == SERVER} == {span.span_id for span in clients}


@pytest.mark.slow
def test_cancelled(run: Runner) -> None:
    """A task that is cancelled ends the call."""
    done = both(run, PYTHON, "asyncio asgi", "cancelled", "unary")
    clients = sorted((span for span in done.spans if span.kind == CLIENT), key=lambda span: span.start)
    assert [span.attributes.get("rpc.status_code") for span in clients] == ["canceled", None]


@pytest.mark.slow
def test_unknown_method(run: Runner) -> None:
    """A path that is none of a method is a request like any other on the server."""
    done = both(run, PYTHON, "sync asgi", "missing")
    (client,) = (span for span in done.spans if span.kind == CLIENT)
    (server,) = (span for span in done.spans if span.kind == SERVER)
    assert (client.name, client.attributes["rpc.status_code"]) == ("pkg.Service/Missing", "unimplemented")
    assert (server.name, server.attributes["http.response.status_code"]) == ("POST", 404)


@pytest.mark.slow
@pytest.mark.parametrize("release", ["connectrpc==0.9.0", "connect-python==0.5.0"])
def test_oldest_releases(run: Runner, environments: Environments, release: str) -> None:
    """The oldest release of connectrpc, and an older one by the name that it had before."""
    python = environments.python(CURRENT, release, "uvicorn==0.54.0", "opentelemetry-sdk==1.45.1")
    check(both(run, python, "asyncio asgi", *GO_ON), GO_ON)
