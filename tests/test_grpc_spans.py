"""gRPC beyond the matrix of calls: attributes, metadata, interceptors, refusals, unusual handlers and clients."""

from __future__ import annotations

import asyncio
import contextlib
import time
from concurrent import futures
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from grpc import aio
from opentelemetry import context as otel_context
from opentelemetry import propagate, trace
from opentelemetry.context import _SUPPRESS_INSTRUMENTATION_KEY
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import SpanKind, StatusCode

from tests.grpc_clients import AIO_WAYS, METADATA, SYNC_WAYS, asynchronous, blocking
from tests.grpc_service import echo_pb2, echo_pb2_grpc
from tests.grpc_world import GRPC, LONGEST, STYLES, Threaded, World, answer, serving
from tests.in_process import tracing
from tracerun.instrumentation import headers, rpc, rpc_server
from tracerun.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

EACH_STYLE = pytest.mark.parametrize("style", STYLES)
EACH_CLIENT = pytest.mark.parametrize("call", [blocking, asynchronous], ids=["threads", "asyncio"])
WAY = {blocking: "call", asynchronous: "await"}
ASK = echo_pb2.Ask(how="ok", count=1)


def stub_of(target: str) -> Any:
    return echo_pb2_grpc.EchoStub(grpc.insecure_channel(target))


def status_of(call: Callable[[], Any]) -> grpc.StatusCode:
    with pytest.raises(grpc.RpcError) as failure:
        call()
    return failure.value.code()


# What a span says


@EACH_CLIENT
@EACH_STYLE
def test_attributes_of_the_stable_conventions(call: Any, style: str) -> None:
    """A span has the attributes that the stable RPC conventions (1.45.0) name, and no other."""
    with tracing(*GRPC) as spans, serving(style) as server:
        call(server, "One", WAY[call], "ok")
    host, _, port = server.target.rpartition(":")
    spans.wait(2)
    client, server_span = spans.one(SpanKind.CLIENT), spans.one(SpanKind.SERVER)
    same = {"rpc.system.name": "grpc", "rpc.method": "echo.v1.Echo/One", "rpc.status_code": "OK"}
    assert dict(client.attributes) == {**same, "server.address": host, "server.port": int(port)}
    peer_port = server_span.attributes["network.peer.port"]
    assert isinstance(peer_port, int)
    assert dict(server_span.attributes) == {
        **same,
        "network.peer.address": "127.0.0.1",
        "network.peer.port": peer_port,
    }


@EACH_STYLE
def test_failure_is_described(style: str) -> None:
    """A handler's exception is an event of its SERVER span, and both spans say what went wrong."""
    with tracing(*GRPC) as spans, serving(style) as server:
        blocking(server, "One", "call", "fail")
    spans.wait(2)
    server_span = spans.one(SpanKind.SERVER)
    assert server_span.status.description == "ZeroDivisionError: on purpose"
    (event,) = server_span.events
    assert event.attributes["exception.message"] == "on purpose"
    assert "_end" in event.attributes["exception.stacktrace"]
    assert "on purpose" in spans.one(SpanKind.CLIENT).status.description


@EACH_STYLE
def test_details_describe_an_error(style: str) -> None:
    """The text that a handler gives with an error status is in the status of both spans."""
    with tracing(*GRPC) as spans, serving(style) as server:
        blocking(server, "One", "call", "code")
    spans.wait(2)
    assert [span.status.description for span in spans.ended] == ["half done", "half done"]


CAPTURED = "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_"


@pytest.fixture
def answers_are_wanted() -> Iterator[None]:
    names = {f"{CAPTURED}{side}_RESPONSE": "initial,trailing" for side in ("CLIENT", "SERVER")}
    headers.configure(Settings.from_env({**names, f"{CAPTURED}SANITIZE_FIELDS": "trail"}))
    yield
    headers.configure(Settings.from_env({}))


EVERY_WAY = [
    (call, kind, way, outcome)
    for call, ways in ((blocking, SYNC_WAYS), (asynchronous, AIO_WAYS))
    for kind in ways
    for way in ways[kind]
    for outcome in ("ok", "abort")
    if (kind, outcome) != ("Chat", "ok")  # the only one that sends nothing after its messages
]


@pytest.mark.usefixtures("answers_are_wanted")
@pytest.mark.parametrize(("call", "kind", "way", "outcome"), EVERY_WAY)
@pytest.mark.parametrize("style", ["threads", "asyncio"])
@pytest.mark.slow
def test_metadata_of_the_answer(call: Any, kind: str, way: str, outcome: str, style: str) -> None:
    """What comes before and after the messages, where named; asyncio's server does not show what goes before."""
    with tracing(*GRPC) as spans, serving(style) as server:
        call(server, kind, way, outcome)
    spans.wait(2)
    everything = {"rpc.response.metadata.initial": ("yes",), "rpc.response.metadata.trailing": ("[REDACTED]",)}
    assert answer_of(spans.one(SpanKind.CLIENT)) == everything
    seen = everything if style == "threads" else {"rpc.response.metadata.trailing": ("[REDACTED]",)}
    assert answer_of(spans.one(SpanKind.SERVER)) == seen


def answer_of(span: Any) -> dict[str, Any]:
    """A span's attributes that are metadata of the answer."""
    return {name: value for name, value in span.attributes.items() if name.startswith("rpc.response.metadata.")}


@pytest.mark.parametrize(
    ("target", "address", "port"),
    [
        ("localhost:50051", "localhost", 50051),
        ("localhost", "localhost", None),
        ("dns:example.com:1", "example.com", 1),
        ("dns:///example.com:1", "example.com", 1),
        ("dns://8.8.8.8/example.com:1", "example.com", 1),
        ("ipv4:1.2.3.4:5", "1.2.3.4", 5),
        ("ipv4:1.2.3.4:5,6.7.8.9:10", "1.2.3.4", 5),
        ("ipv6:[::1]:5", "::1", 5),
        ("ipv6:%5B::1%5D:5", "::1", 5),
        ("[::1]:5", "::1", 5),
        ("unix:/run/echo.sock", "/run/echo.sock", None),
        ("unix:///run/echo.sock", "/run/echo.sock", None),
        ("unix:", "", None),
        ("unix-abstract:echo", "echo", None),
        ("xds:///echo", "xds:///echo", None),
        ("vsock:2:5", "vsock:2:5", None),
    ],
)
def test_addresses(target: str, address: str, port: int | None) -> None:
    """Targets and peers are read as gRPC's name resolution writes them."""
    assert rpc.address_of_target(target) == (address, port)


def test_unix_socket(tmp_path: Any) -> None:
    """A call over a Unix socket has the socket's path for an address, and no port."""
    target = f"unix:{tmp_path}/echo.sock"
    with tracing(*GRPC) as spans:
        server = grpc.server(futures.ThreadPoolExecutor(1))
        echo_pb2_grpc.add_EchoServicer_to_server(Threaded(World()), server)
        server.add_insecure_port(target)
        server.start()
        assert stub_of(target).One(ASK).text == "ok"
        server.stop(LONGEST).wait()
    spans.wait(2)
    client = spans.one(SpanKind.CLIENT)
    assert client.attributes["server.address"] == f"{tmp_path}/echo.sock"
    assert "server.port" not in client.attributes
    assert "network.peer.port" not in spans.one(SpanKind.SERVER).attributes


def test_deadline_and_cancellation_are_told_apart() -> None:
    """A call cancelled when nearly all of its time is used up ran into its deadline; any other was cancelled."""

    class Call(rpc_server.ServerCall):
        left: float | None = None

        def remaining(self) -> float | None:
            return self.left

    call = Call(trace.get_tracer("test"), "/a/b", ())
    for total, left, expected in (
        (None, None, "CANCELLED"),
        (0.3, 0.0, "DEADLINE_EXCEEDED"),
        (0.3, 0.02, "DEADLINE_EXCEEDED"),
        (0.3, 0.2, "CANCELLED"),
        (10.0, 0.1, "DEADLINE_EXCEEDED"),
        (10.0, 9.0, "CANCELLED"),
        (9.2e18, 9.2e18, "CANCELLED"),
    ):
        call.left = left
        if total is not None and left is not None and total < 1e9:
            call._arrived = time.time_ns() - int((total - left) * 1e9)
        assert call.deserted() == expected, (total, left)


# Metadata


def seen_metadata(call: Callable[[str], Any]) -> tuple[list[Any], Any]:
    """What a server gets of a call's metadata, plain and traced; and the traced call's CLIENT span."""
    worlds = []
    for traced in (False, True):
        world = World()
        with contextlib.ExitStack() as stack:
            spans = stack.enter_context(tracing(*GRPC)) if traced else None
            server = stack.enter_context(serving("threads"))
            server.world.begin = lambda context, world=world: world.log.extend(context.invocation_metadata())  # type: ignore[method-assign, misc]
            call(server.target)
        worlds.append([(key, value) for key, value in world.log if key != "user-agent"])
    assert spans is not None
    return worlds, spans.one(SpanKind.CLIENT)


def assert_names(span: Any, metadata: list[Any]) -> None:
    """There is one traceparent, and it names the span."""
    (context,) = [value for key, value in metadata if key == "traceparent"]
    assert context.startswith(f"00-{span.context.trace_id:032x}-{span.context.span_id:016x}-")


async def _await(target: str, metadata: Any) -> Any:
    async with aio.insecure_channel(target) as channel:
        return await echo_pb2_grpc.EchoStub(channel).One(ASK, metadata=metadata)


def _call(target: str, metadata: Any) -> Any:
    with grpc.insecure_channel(target) as channel:
        return echo_pb2_grpc.EchoStub(channel).One(ASK, LONGEST, metadata)


KINDS_OF_METADATA = ["none", "empty", "tuple", "list", "Metadata"]


@pytest.mark.parametrize(
    ("api", "kind"),
    # grpc.aio takes no generator.
    [*(("threads", kind) for kind in [*KINDS_OF_METADATA, "generator"]), *(("asyncio", k) for k in KINDS_OF_METADATA)],
)
def test_metadata_keeps_its_entries_and_order(api: str, kind: str) -> None:
    """The server gets the program's own entries in their order and the context after them; its object stays."""
    makers: dict[str, Callable[[], Any]] = {
        "none": lambda: None,
        "empty": lambda: (),
        "tuple": lambda: METADATA,
        "list": lambda: list(METADATA),
        "generator": lambda: iter(METADATA),
        "Metadata": lambda: aio.Metadata(*METADATA),
    }
    made = makers[kind]()
    before = list(made) if kind in ("tuple", "list", "Metadata") else None

    def call(target: str) -> None:
        metadata = makers[kind]() if kind == "generator" else made
        if api == "threads":
            _call(target, metadata)
        else:
            asyncio.run(_await(target, metadata))

    (plain, traced), client = seen_metadata(call)
    assert [entry for entry in traced if entry[0] != "traceparent"] == plain
    assert_names(client, traced)
    if before is not None:
        assert list(made) == before


@pytest.mark.parametrize("api", ["threads", "asyncio"])
def test_context_passed_on_by_hand_is_replaced(api: str) -> None:
    """A program that forwards its caller's traceparent sends ours instead, so the chain has no gap."""
    metadata = (("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"), ("a", "b"))

    def call(target: str) -> None:
        if api == "threads":
            _call(target, metadata)
        else:
            asyncio.run(_await(target, metadata))

    (_, traced), client = seen_metadata(call)
    assert [entry for entry in traced if entry[0] != "traceparent"] == [("a", "b")]
    assert_names(client, traced)


def test_fields_that_grpc_would_refuse_are_left_out() -> None:
    """Names are sent in lower case, and a value that is not printable ASCII is not sent: gRPC refuses both."""

    class Propagator:
        def inject(self, carrier: Any, context: Any = None, setter: Any = None) -> None:
            carrier.update({"X-B3-TraceId": "1", "bad": "ä", "worse": "a\nb"})

    original = propagate.get_global_textmap()
    propagate.set_global_textmap(Propagator())  # type: ignore[arg-type]
    try:
        assert rpc.with_context(None, otel_context.Context()) == (("x-b3-traceid", "1"),)
    finally:
        propagate.set_global_textmap(original)


def test_baggage_arrives() -> None:
    """What the program puts in its baggage is in the baggage of the handler."""
    from opentelemetry import baggage

    seen = []

    class Servicer(echo_pb2_grpc.EchoServicer):
        def One(self, request: Any, context: Any) -> Any:
            seen.append(baggage.get_all())
            return answer("ok")

    with tracing(*GRPC), _threads(Servicer()) as target:
        token = otel_context.attach(baggage.set_baggage("who", "we & they"))
        try:
            stub_of(target).One(ASK)
        finally:
            otel_context.detach(token)
    assert seen == [{"who": "we & they"}]


@contextlib.contextmanager
def _threads(servicer: Any) -> Iterator[str]:
    server = grpc.server(futures.ThreadPoolExecutor(4))
    echo_pb2_grpc.add_EchoServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.stop(LONGEST).wait()


# Untraced and unsampled calls


@pytest.mark.parametrize(
    "key", [_SUPPRESS_INSTRUMENTATION_KEY, "suppress_instrumentation"], ids=["api", "instrumentation"]
)
@EACH_CLIENT
def test_suppressed_client(call: Any, key: str) -> None:
    """Inside suppress_instrumentation a call is untraced, and carries no context."""
    with tracing(*GRPC) as spans, serving("threads") as server:
        token = otel_context.attach(otel_context.set_value(key, True))
        try:
            call(server, "One", WAY[call], "ok")
        finally:
            otel_context.detach(token)
        spans.wait(1)
        assert spans.of(SpanKind.CLIENT) == []
        assert spans.one(SpanKind.SERVER).parent is None


def test_suppressed_server() -> None:
    """An asyncio server that was started inside suppress_instrumentation is untraced."""

    async def run() -> str:
        token = otel_context.attach(otel_context.set_value(_SUPPRESS_INSTRUMENTATION_KEY, True))
        server = aio.server()
        echo_pb2_grpc.add_EchoServicer_to_server(STYLES["asyncio"][0](World()), server)
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        otel_context.detach(token)
        reply = await _await(f"127.0.0.1:{port}", None)
        await server.stop(None)
        return str(reply.text)

    with tracing(*GRPC) as spans:
        assert asyncio.run(run()) == "ok"
        spans.wait(1)
    assert [span.kind for span in spans.ended] == [SpanKind.CLIENT]


@EACH_CLIENT
@EACH_STYLE
def test_unsampled_call(call: Any, style: str) -> None:
    """A call that is not sampled carries that decision to its server, and neither records a span."""
    with tracing(*GRPC, sampler=ALWAYS_OFF) as spans, serving(style) as server:
        traced = call(server, "Sum", WAY[call], "ok")
    assert (traced["messages"], spans.started) == (["3"], [])
    assert len(set(server.world.current)) == 1
    assert set(server.world.current) != {0}


# Interceptors


class ServerInterceptor(grpc.ServerInterceptor):
    """Notes which span is current when it comes to its turn, and while the handler runs."""

    def __init__(self, seen: list[Any], *, fail: bool = False) -> None:
        self.seen = seen
        self.fail = fail

    def intercept_service(self, continuation: Any, details: Any) -> Any:
        self.seen.append(trace.get_current_span().get_span_context().trace_id)
        if self.fail:
            raise LookupError("on purpose")
        handler = continuation(details)

        def around(request: Any, context: Any) -> Any:
            self.seen.append(trace.get_current_span().get_span_context().span_id)
            return handler.unary_unary(request, context)

        return handler._replace(unary_unary=around)


class AioServerInterceptor(aio.ServerInterceptor):
    """The same for asyncio's servers."""

    def __init__(self, seen: list[Any], *, fail: bool = False) -> None:
        self.seen = seen
        self.fail = fail

    async def intercept_service(self, continuation: Any, details: Any) -> Any:
        self.seen.append(trace.get_current_span().get_span_context().trace_id)
        if self.fail:
            raise LookupError("on purpose")
        handler = await continuation(details)

        async def around(request: Any, context: Any) -> Any:
            self.seen.append(trace.get_current_span().get_span_context().span_id)
            return await handler.unary_unary(request, context)

        return handler._replace(unary_unary=around)


@pytest.mark.parametrize("style", ["threads", "asyncio"])
def test_server_interceptors_run_inside_the_call(style: str) -> None:
    """A program's server interceptors run within the call's trace, and what they wrap within its span."""
    seen: list[Any] = []
    kind = AioServerInterceptor if style == "asyncio" else ServerInterceptor
    with tracing(*GRPC) as spans, serving(style, interceptors=[kind(seen)]) as server:
        blocking(server, "One", "call", "ok")
    spans.wait(2)
    span = spans.one(SpanKind.SERVER)
    assert seen == [span.context.trace_id, span.context.span_id]


@pytest.mark.parametrize("style", ["threads", "asyncio"])
def test_failing_server_interceptor(style: str, caplog: pytest.LogCaptureFixture) -> None:
    """A call whose interceptor fails is a SERVER span with the status that the client gets."""
    kind = AioServerInterceptor if style == "asyncio" else ServerInterceptor
    with tracing(*GRPC) as spans, serving(style, interceptors=[kind([], fail=True)]) as server:
        assert status_of(lambda: stub_of(server.target).One(ASK)) is grpc.StatusCode.UNKNOWN
    assert caplog.records
    spans.wait(2)
    span = spans.one(SpanKind.SERVER)
    assert (span.attributes["rpc.status_code"], span.status.status_code) == ("UNKNOWN", StatusCode.ERROR)
    assert span.parent.span_id == spans.one(SpanKind.CLIENT).context.span_id


class Retrying(grpc.UnaryUnaryClientInterceptor):
    """Calls twice."""

    def intercept_unary_unary(self, continuation: Any, details: Any, request: Any) -> Any:
        assert not any(key == "traceparent" for key, _ in details.metadata or ())
        continuation(details, request).result()
        return continuation(details, request)


class AioRetrying(aio.UnaryUnaryClientInterceptor):
    """Calls twice."""

    async def intercept_unary_unary(self, continuation: Any, details: Any, request: Any) -> Any:
        assert not any(key == "traceparent" for key, _ in details.metadata or ())
        await (await continuation(details, request))
        return await continuation(details, request)


@pytest.mark.parametrize("api", ["threads", "asyncio"])
def test_client_interceptors_stay_above(api: str) -> None:
    """A program's client interceptors see no metadata of ours, and each call that they make is a span."""

    async def ask(target: str) -> str:
        async with aio.insecure_channel(target, interceptors=[AioRetrying()]) as channel:
            call = echo_pb2_grpc.EchoStub(channel).One(ASK)
            assert isinstance(call, aio.UnaryUnaryCall)
            return str((await call).text)

    with tracing(*GRPC) as spans, serving("threads") as server:
        if api == "asyncio":
            assert asyncio.run(ask(server.target)) == "ok"
        else:
            channel = grpc.intercept_channel(grpc.insecure_channel(server.target), Retrying())
            assert echo_pb2_grpc.EchoStub(channel).One(ASK).text == "ok"
    spans.wait(4)
    clients = {span.context.span_id for span in spans.of(SpanKind.CLIENT)}
    assert {span.parent.span_id for span in spans.of(SpanKind.SERVER)} == clients
    assert len(clients) == 2
