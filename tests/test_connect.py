"""Connect (connectrpc, connect-python): one CLIENT and one SERVER span for each call, results as they are plain."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from opentelemetry.trace import SpanKind

from tests.conftest import PYTHON, Runner
from tests.environments import CURRENT, Environments, environments
from tests.in_process import tracing
from tests.test_secrets import EVERY_HEADER, SECRETS, markers_in

__all__ = ["environments"]

pytest.importorskip("connectrpc", reason="it has no release for Python 3.10 that works with today's pyqwest")

SERVER, CLIENT = 2, 3
UNSET, ERROR = 0, 2

# A service, ASGI or WSGI, and a client, asyncio or sync, Connect's or gRPC's own, that makes the calls it is told.
# Servers are uvicorn and waitress; gRPC, which needs HTTP/2 and trailers, is served by hypercorn.
PROGRAM = """
import asyncio, contextlib, inspect, io, logging, socket, sys, threading, time
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
side, protocol, calls = sys.argv[1], sys.argv[2], sys.argv[3:]
grpc_is_spoken = protocol in ("grpc", "grpcio")

def method(name, kind):
    more = {}
    if "stream_type" in inspect.signature(MethodInfo).parameters:
        from connectrpc.method import StreamType
        more["stream_type"] = StreamType[kind]
    return MethodInfo(name=name, service_name="pkg.Service", input=Text, output=Text,
                      idempotency_level=IdempotencyLevel.UNKNOWN, **more)

ONE, MISSING = method("One", "UNARY"), method("Missing", "UNARY")
MANY, COLLECT = method("Many", "SERVER_STREAM"), method("Collect", "CLIENT_STREAM")
ECHO = method("Echo", "BIDI_STREAM")
ECHO_COLLECTED = method("Echo", "CLIENT_STREAM")

def add_metadata(context):
    context.response_headers["x-shop"] = "7"
    for name, value in (("x-total", "8"), ("authorization", "hush")):
        context.response_trailers[name] = value

def answer(request, context):
    if request.value == "abort":
        raise ConnectError(Code.NOT_FOUND, "no such thing")
    if request.value == "abort internal":
        raise ConnectError(Code.INTERNAL, "broken")
    if request.value == "raise":
        raise ValueError("no")
    if request.value.startswith("metadata"):
        add_metadata(context)
    if request.value == "metadata and abort":
        raise ConnectError(Code.NOT_FOUND, "no such thing")
    if request.value == "headers":
        headers = context.request_headers() if callable(context.request_headers) else context.request_headers
        return Text(value=str(sorted(name for name in headers if name.startswith("x-mine"))))
    return Text(value=request.value.upper())

def answers(request, context):
    if request.value == "metadata":
        add_metadata(context)
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

async def echo(requests, context):
    async for request in requests:
        yield answer(request, context)

def slow(request, context):
    if request.value == "sleep":
        time.sleep(1.5)
    return answer(request, context)

def echo_sync(requests, context):
    for request in requests:
        yield answer(request, context)

def asgi():
    endpoints = {
        "/pkg.Service/One": Endpoint.unary(method=ONE, function=one),
        "/pkg.Service/Many": Endpoint.server_stream(method=MANY, function=many),
        "/pkg.Service/Collect": Endpoint.client_stream(method=COLLECT, function=collect),
        "/pkg.Service/Echo": Endpoint.bidi_stream(method=ECHO, function=echo),
    }
    class Application(ConnectASGIApplication):
        path = "/pkg.Service"
        def __init__(self):
            if "service" in inspect.signature(ConnectASGIApplication.__init__).parameters:
                super().__init__(service=None, endpoints=lambda _: endpoints, **codecs)
            else:
                super().__init__(endpoints=endpoints, **codecs)
    return Application()

def wsgi():
    endpoints = {
        "/pkg.Service/One": EndpointSync.unary(method=ONE, function=slow),
        "/pkg.Service/Many": EndpointSync.server_stream(method=MANY, function=answers),
        "/pkg.Service/Collect": EndpointSync.client_stream(
            method=COLLECT, function=lambda requests, _: Text(value="".join(request.value for request in requests))),
        "/pkg.Service/Echo": EndpointSync.bidi_stream(method=ECHO, function=echo_sync),
    }
    class Application(ConnectWSGIApplication):
        path = "/pkg.Service"
        def __init__(self):
            super().__init__(endpoints=endpoints, **codecs)
    return Application()

def with_trailers(application):
    # An ASGI application that runs a WSGI one, and offers it what Connect needs for gRPC.
    async def adapter(scope, receive, send):
        if scope["type"] != "http":
            return
        more, body, trailers, started = True, b"", [], []
        while more:
            message = await receive()
            more, body = message.get("more_body", False), body + message.get("body", b"")
        environ = {
            "REQUEST_METHOD": scope["method"], "PATH_INFO": scope["path"], "SCRIPT_NAME": "", "QUERY_STRING": "",
            "SERVER_NAME": "127.0.0.1", "SERVER_PORT": "0", "SERVER_PROTOCOL": "HTTP/2", "wsgi.url_scheme": "http",
            "wsgi.input": io.BytesIO(body), "wsgi.errors": sys.stderr, "wsgi.ext.http.send_trailers": trailers.extend,
            "CONTENT_LENGTH": str(len(body)),
        }
        for name, value in scope["headers"]:
            name = name.decode().upper().replace("-", "_")
            environ["CONTENT_TYPE" if name == "CONTENT_TYPE" else "HTTP_" + name] = value.decode()
        made = await asyncio.to_thread(
            lambda: b"".join(application(environ, lambda status, headers: started.extend((status, headers)))))
        pairs = lambda headers: [(name.lower().encode(), value.encode()) for name, value in headers]
        await send({"type": "http.response.start", "status": int(started[0][:3]), "headers": pairs(started[1]),
                    "trailers": bool(trailers)})
        await send({"type": "http.response.body", "body": made})
        if trailers:
            await send({"type": "http.response.trailers", "headers": pairs(trailers)})
    return adapter

def uvicorn(application):
    import uvicorn
    server = uvicorn.Server(uvicorn.Config(application, port=0, log_level="critical"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    def stop():
        server.should_exit = True
        thread.join()
    return server.servers[0].sockets[0].getsockname()[1], stop

def waitress(application):
    from waitress.server import create_server
    server = create_server(application, host="127.0.0.1", port=0)
    threading.Thread(target=server.run, daemon=True).start()
    return server.effective_port, server.task_dispatcher.shutdown

def hypercorn(application):
    from hypercorn.asyncio import serve
    from hypercorn.config import Config
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    config, end = Config.from_mapping(bind=f"127.0.0.1:{port}", graceful_timeout=2), threading.Event()
    async def ended():
        while not end.is_set():
            await asyncio.sleep(0.01)
    thread = threading.Thread(target=lambda: asyncio.run(serve(application, config, shutdown_trigger=ended)))
    thread.start()
    while socket.socket().connect_ex(("127.0.0.1", port)):
        time.sleep(0.01)
    def stop():
        end.set()
        thread.join()
    return port, stop

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

async def aecho(client):
    return [m.value async for m in client.execute_bidi_stream(request=atexts("a", "b"), method=ECHO)]

async def cancelled(client):
    task = asyncio.ensure_future(unary(client, "sleep"))
    await asyncio.sleep(0.3)
    task.cancel()
    return await task

COMMON = {
    "unary": lambda c: unary(c, "a"),
    "headers": lambda c: unary(c, "headers", headers=headers),
    "metadata": lambda c: unary(c, "metadata", headers=headers),
    "metadata and abort": lambda c: unary(c, "metadata and abort"),
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
    "too many": lambda c: c.execute_client_stream(request=texts("a", "b"), method=ECHO_COLLECTED),
    "no iterator": lambda c: c.execute_client_stream(request=1, method=COLLECT),
    "metadata of many": lambda c: streamed(c, "metadata"),
    "echo": lambda c: [m.value for m in c.execute_bidi_stream(request=texts("a", "b"), method=ECHO)],
}
ASYNC = {
    **COMMON,
    "many": lambda c: astreamed(c, "a"),
    "raise half-way": lambda c: astreamed(c, "raise"),
    "abort half-way": lambda c: astreamed(c, "abort"),
    "left": lambda c: astreamed(c, "a", 1),
    "collect": lambda c: c.execute_client_stream(request=atexts("a", "b"), method=COLLECT),
    "too many": lambda c: c.execute_client_stream(request=atexts("a", "b"), method=ECHO_COLLECTED),
    "no iterator": lambda c: c.execute_client_stream(request=1, method=COLLECT),
    "metadata of many": lambda c: astreamed(c, "metadata"),
    "echo": aecho,
    "cancelled": cancelled,
}

def tell(name, error):
    # Whoever notices a deadline first, the client or the server, words it.
    text = "code" if name == "deadline" else "details" if protocol == "grpcio" else "message"
    said = [getattr(error, part, error) for part in ("code", text)]
    words = [str(value() if callable(value) else value).replace(f":{port}/", ":PORT/") for value in said]
    print(name, type(error).__name__, *words)

# gRPC's own clients, by the methods that Connect's have.

class Grpc:
    def __init__(self, channel):
        self.channel = channel
    def call(self, kind, request, method, headers=None, timeout_ms=None):
        made = getattr(self.channel, kind)(f"/pkg.Service/{method.name}", Text.SerializeToString, Text.FromString)
        return made(request, metadata=tuple((headers or {}).items()), timeout=timeout_ms and timeout_ms / 1000)
    def execute_unary(self, *, request, method, **options):
        return self.call("unary_unary", request, method, **options)
    def execute_client_stream(self, *, request, method):
        return self.call("stream_unary", request, method)
    def execute_bidi_stream(self, *, request, method):
        return self.call("stream_stream", request, method)
    def execute_server_stream(self, *, request, method):
        call = self.call("unary_stream", request, method)
        try:
            yield from call
        finally:
            call.cancel()

class GrpcAsync(Grpc):
    async def execute_server_stream(self, *, request, method):
        call = self.call("unary_stream", request, method)
        try:
            async for message in call:
                yield message
        finally:
            call.cancel()

def options(client, transport):
    made = dict(codec)
    if protocol != "connect":
        from connectrpc.protocol import ProtocolType
        made["protocol"] = {"grpc": ProtocolType.GRPC, "grpc-web": ProtocolType.GRPC_WEB}[protocol]
    if protocol == "grpc":
        import pyqwest
        http2 = getattr(pyqwest, transport)(http_version=pyqwest.HTTPVersion.HTTP2)
        made["http_client"] = getattr(pyqwest, client)(http2)
    return made

@contextlib.asynccontextmanager
async def asyncios(port):
    if protocol == "grpcio":
        import grpc.aio
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            yield GrpcAsync(channel)
    else:
        async with ConnectClient(f"http://127.0.0.1:{port}", **options("Client", "HTTPTransport")) as client:
            yield client

@contextlib.contextmanager
def threads(port):
    if protocol == "grpcio":
        import grpc
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            yield Grpc(channel)
    else:
        with ConnectClientSync(f"http://127.0.0.1:{port}", **options("SyncClient", "SyncHTTPTransport")) as client:
            yield client

async def with_asyncio(port):
    async with asyncios(port) as client:
        for name in calls:
            try:
                print(name, repr(await ASYNC[name](client)))
            except (Exception, asyncio.CancelledError) as error:
                tell(name, error)

def with_threads(port):
    with threads(port) as client:
        for name in calls:
            try:
                print(name, repr(SYNC[name](client)))
            except Exception as error:
                tell(name, error)

if "asgi" in side:
    port, stop = (hypercorn if grpc_is_spoken else uvicorn)(asgi())
elif grpc_is_spoken:
    port, stop = hypercorn(with_trailers(wsgi()))
else:
    port, stop = waitress(wsgi())
try:
    asyncio.run(with_asyncio(port)) if "asyncio" in side else with_threads(port)
    print(headers)
finally:
    stop()
"""

# name of the call: method, code, whether the server's span is an error
SPANS: dict[str, tuple[str, str, bool]] = {
    "unary": ("One", "", False),
    "headers": ("One", "", False),
    "many": ("Many", "", False),
    "collect": ("Collect", "", False),
    "echo": ("Echo", "", False),
    "abort": ("One", "not_found", False),
    "abort internal": ("One", "internal", True),
    "abort half-way": ("Many", "aborted", False),
    "raise": ("One", "unknown", True),
    "raise half-way": ("Many", "unknown", True),
}
# Servers close the connection after an exception, which the client's next call may or may not notice in time.
GO_ON = [name for name in SPANS if not name.startswith("raise")]
PROTOCOLS = ["connect", "grpc", "grpc-web", "grpcio"]
ENDS = ["asyncio asgi", "sync asgi", "asyncio wsgi", "sync wsgi"]
SIDES = [(end, protocol) for protocol in PROTOCOLS for end in ENDS]
FAST = [("asyncio asgi", "connect"), ("sync asgi", "grpc")]


def both(run: Runner, python: str, *arguments: str) -> Any:
    """Runs the program plain and traced; the outcome must be the same."""
    program = run.program(PROGRAM)
    plain = run.plain(python, program, *arguments)
    traced = run.traced(python, program, *arguments)
    assert plain.status == 0, plain
    assert (traced.status, traced.out) == (plain.status, plain.out), traced
    return traced


def code_of(name: str, protocol: str) -> str | None:
    """A code as the protocol has it: Connect's own has none for a success."""
    if protocol == "connect":
        return name or None
    return {"": "OK", "canceled": "CANCELLED"}.get(name, name.upper())


def clients_of(done: Any) -> list[Any]:
    """The CLIENT spans, in order."""
    return sorted((span for span in done.spans if span.kind == CLIENT), key=lambda span: span.start)


def check(done: Any, names: list[str], protocol: str = "connect") -> None:
    """One CLIENT and one SERVER span for each call, in one trace, with the right names and codes."""
    clients = clients_of(done)
    servers = {span.parent_id: span for span in done.spans if span.kind == SERVER}
    assert len(done.spans) == 2 * len(names) == 2 * len(clients), [(s.scope, s.name) for s in done.spans]
    for name, client in zip(names, clients, strict=True):
        method, word, fails = SPANS[name]
        code, server = code_of(word, protocol), servers[client.span_id]
        assert client.trace_id == server.trace_id
        assert ("connect_client" in client.scope) == (protocol != "grpcio")
        assert client.name == server.name == f"pkg.Service/{method}"
        for span in (client, server):
            assert span.attributes["rpc.system.name"] == ("connectrpc" if protocol == "connect" else "grpc")
            assert span.attributes["rpc.method"] == span.name
            assert span.attributes.get("rpc.status_code") == code, name
        assert client.attributes["server.address"] == "127.0.0.1"
        assert client.attributes.get("error.type") == (code if word else None)
        assert client.status == (ERROR if word else UNSET)
        assert server.attributes.get("error.type") == (code if fails else None)
        assert server.status == (ERROR if fails else UNSET), name
        assert [event.name for event in server.events] == (["exception"] if name.startswith("raise") else []), name


@pytest.mark.parametrize(
    ("side", "protocol"), [*FAST, *(pytest.param(*way, marks=pytest.mark.slow) for way in SIDES if way not in FAST)]
)
def test_calls(run: Runner, side: str, protocol: str) -> None:
    """Each kind of call, and each way that one can end, one after another over one client."""
    check(both(run, PYTHON, side, protocol, *GO_ON), GO_ON, protocol)


@pytest.mark.slow
@pytest.mark.parametrize(("side", "protocol"), SIDES)
@pytest.mark.parametrize("name", ["raise", "raise half-way"])
def test_handlers_that_fail(run: Runner, side: str, protocol: str, name: str) -> None:
    """An exception of the handler's is in the server's span, and Connect answers as without us."""
    check(both(run, PYTHON, side, protocol, name), [name], protocol)


@pytest.mark.slow
@pytest.mark.parametrize(("side", "protocol"), SIDES)
def test_calls_cut_short(run: Runner, side: str, protocol: str) -> None:
    """A deadline and a stream that is left half-way end both spans; what comes next is as always."""
    done = both(run, PYTHON, side, protocol, "deadline", "left", "unary")
    clients = clients_of(done)
    codes = [code_of(name, protocol) for name in ("deadline_exceeded", "canceled", "")]
    assert [span.attributes.get("rpc.status_code") for span in clients] == codes
    assert {span.parent_id for span in done.spans if span.kind == SERVER} == {span.span_id for span in clients}


@pytest.mark.slow
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_cancelled(run: Runner, protocol: str) -> None:
    """A task that is cancelled ends the call."""
    done = both(run, PYTHON, "asyncio asgi", protocol, "cancelled", "unary")
    codes = [code_of(name, protocol) for name in ("canceled", "")]
    assert [span.attributes.get("rpc.status_code") for span in clients_of(done)] == codes


@pytest.mark.slow
@pytest.mark.parametrize("protocol", PROTOCOLS[:3])
@pytest.mark.parametrize("side", ENDS)
def test_what_the_client_itself_refuses(run: Runner, side: str, protocol: str) -> None:
    """Two answers where one was asked for, and requests that are none, end the client's span with what it raises."""
    done = both(run, PYTHON, side, protocol, "too many", "no iterator", "collect")
    codes = [code_of(name, protocol) for name in ("unimplemented", "unavailable", "")]
    assert [span.attributes.get("rpc.status_code") for span in clients_of(done)] == codes


@pytest.mark.slow
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_unknown_method(run: Runner, protocol: str) -> None:
    """A path that is none of a method is a request like any other on the server."""
    done = both(run, PYTHON, "sync asgi", protocol, "missing")
    (client,) = clients_of(done)
    (server,) = (span for span in done.spans if span.kind == SERVER)
    assert (client.name, client.attributes["rpc.status_code"]) == (
        "pkg.Service/Missing",
        code_of("unimplemented", protocol),
    )
    assert (server.name, server.attributes["http.response.status_code"]) == ("POST", 404)


def test_a_request_that_connect_refuses_has_no_status() -> None:
    """A codec that the server does not have is answered by HTTP, before there is a call that could succeed."""
    from connectrpc.server import ConnectASGIApplication, Endpoint

    method: Any = SimpleNamespace(service_name="pkg.Service", name="One")

    class Application(ConnectASGIApplication[None]):
        path = "/pkg.Service"

    async def calls() -> list[Any]:
        endpoint = Endpoint.unary(method=method, function=lambda *_: None)  # type: ignore[arg-type]
        application = Application(service=None, endpoints=lambda _: {"/pkg.Service/One": endpoint})
        sent: list[Any] = []

        async def send(message: Any) -> None:
            sent.append(message)

        headers = [(b"content-type", b"application/grpc-web+nothing")]
        scope = {"type": "http", "method": "POST", "path": "/pkg.Service/One", "root_path": "", "headers": headers}
        await application(scope, None, send)  # type: ignore[arg-type]
        return sent

    with tracing("connect_server") as spans:
        assert asyncio.run(calls())[0]["status"] == 415
    span = spans.one(SpanKind.SERVER)
    assert (span.name, span.attributes["http.response.status_code"]) == ("pkg.Service/One", 415)
    assert "rpc.status_code" not in span.attributes


CAPTURED = "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_"
NAMED: dict[str, str | None] = {
    **dict.fromkeys((f"{CAPTURED}CLIENT_REQUEST", f"{CAPTURED}SERVER_REQUEST"), "x-mine.*"),
    **dict.fromkeys((f"{CAPTURED}CLIENT_RESPONSE", f"{CAPTURED}SERVER_RESPONSE"), "x-shop,x-total,authorization"),
}


@pytest.mark.slow
@pytest.mark.parametrize("protocol", PROTOCOLS[:3])
@pytest.mark.parametrize("side", ENDS)
def test_metadata(run: Runner, side: str, protocol: str) -> None:
    """Headers and trailers, of a single answer and of a stream, where they are named and on both ends."""
    program = run.program(PROGRAM)
    done = run.traced(PYTHON, program, side, protocol, "metadata", "metadata of many", "metadata and abort", env=NAMED)
    assert done.status == 0, done
    answer = {"x-shop": ["7"], "x-total": ["8"], "authorization": ["[REDACTED]"]}
    assert [metadata_of(span, "response") for span in clients_of(done)] == [answer] * 3
    assert [metadata_of(span, "response") for span in done.spans if span.kind == SERVER] == [answer] * 3
    mine = {"x-mine-a": ["2"], "x-mine-b": ["1"]}
    for kind in (CLIENT, SERVER):
        assert [metadata_of(span, "request") for span in done.spans if span.kind == kind] == [mine, {}, {}]


def metadata_of(span: Any, which: str) -> dict[str, Any]:
    """The metadata that a span has as attributes."""
    start = f"rpc.{which}.metadata."
    return {name.removeprefix(start): value for name, value in span.attributes.items() if name.startswith(start)}


@pytest.mark.slow
@pytest.mark.parametrize(("side", "protocol"), [*FAST, ("sync wsgi", "grpc-web")])
def test_what_is_shown(run: Runner, side: str, protocol: str) -> None:
    """No secret of headers, an exception or an error; nothing of a call that is excluded, nor of what is in it."""
    text = SECRETS + PROGRAM.replace('"no")', "SECRETS)").replace('"broken")', "SECRETS)")
    text = text.replace(
        'headers = {"x-mine-b"', 'headers = {"authorization": "hush13", "x-api-key": "hush14", "x-mine-b"'
    )
    manual = "trace.get_tracer('shop').start_span('manual').end()"
    text = f"from opentelemetry import trace\n{text}".replace(
        "def answers(request, context):", f"def answers(request, context):\n    {manual}"
    )
    env = {**EVERY_HEADER, "TRACERUN_EXCLUDE_URL": "/pkg.Service/Many"}
    done = run.traced(
        PYTHON, run.program(text), side, protocol, "many", "headers", "abort internal", "raise", env=dict(env)
    )
    assert done.out.startswith("many ['a0', 'a1', 'a2']"), done
    assert sorted(span.name for span in done.spans) == ["pkg.Service/One"] * 6
    data = b"".join(path.read_bytes() for path in run.state.glob("*.jsonl"))
    assert markers_in(data) == []
    assert b"password=REDACTED" in data
    sent = {"authorization": ["[REDACTED]"], "x-api-key": ["[REDACTED]"], "x-mine-b": ["1"], "x-mine-a": ["2"]}
    shown = [metadata_of(span, "request") for span in done.spans]
    assert [metadata.items() >= sent.items() for metadata in shown].count(True) == 2


@pytest.mark.slow
@pytest.mark.parametrize(
    ("release", "protocol"),
    [*(("connectrpc==0.9.0", protocol) for protocol in PROTOCOLS[:3]), ("connect-python==0.5.0", "connect")],
)
def test_oldest_releases(run: Runner, environments: Environments, release: str, protocol: str) -> None:
    """The oldest release of connectrpc, and an older one by the name that it had before, which knew no gRPC."""
    python = environments.python(CURRENT, release, "uvicorn==0.54.0", "hypercorn==0.18.0", "opentelemetry-sdk==1.45.1")
    check(both(run, python, "asyncio asgi", protocol, *GO_ON), GO_ON, protocol)
