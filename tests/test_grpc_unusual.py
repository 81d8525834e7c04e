"""gRPC's less usual ways: refused calls, handlers and clients of unusual kinds, and failures of our own."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import sys
import threading
from concurrent import futures
from typing import TYPE_CHECKING, Any

import grpc
import grpc.experimental
import pytest
from grpc import aio
from opentelemetry import trace
from opentelemetry.trace import SpanKind, StatusCode

from tests.conftest import PYTHON, Runner
from tests.grpc_clients import asynchronous, blocking
from tests.grpc_service import echo_pb2, echo_pb2_grpc
from tests.grpc_world import GRPC, LONGEST, STYLES, Server, World, serving
from tests.in_process import tracing
from tracerun.agent import guard
from tracerun.instrumentation import rpc, rpc_server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

EACH_STYLE = pytest.mark.parametrize("style", STYLES)
SERVERS = pytest.mark.parametrize("style", ["threads", "asyncio"])
ASK = echo_pb2.Ask(how="ok", count=1)


class Handled(Server):
    """A server with handlers of a test's own, made by a function from the server."""

    def __init__(self, style: str, add: Callable[[Any], None], **options: Any) -> None:
        self.add = add
        super().__init__(style, World(), None, **options)

    def add_handlers(self, server: Any) -> None:
        self.add(server)


@contextlib.contextmanager
def handling(style: str, add: Callable[[Any], None], **options: Any) -> Iterator[Any]:
    """A channel to a server with handlers of a test's own."""
    server = Handled(style, add, **options)
    try:
        with grpc.insecure_channel(server.target) as channel:
            yield channel
    finally:
        server.close()


def generic(**methods: Any) -> Callable[[Any], None]:
    """Adds a service ``test.Bytes`` of handlers that take and give bytes."""

    def add(server: Any) -> None:
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Bytes", methods),))

    return add


def status_of(call: Callable[[], Any]) -> Any:
    with pytest.raises(grpc.RpcError) as failure:
        call()
    return failure.value.code()


def outcome(span: Any) -> tuple[str, str, StatusCode]:
    return span.name, span.attributes.get("rpc.status_code"), span.status.status_code


# Calls that no handler sees


@SERVERS
def test_unknown_method(style: str) -> None:
    """A call of a method that the server does not have is a SERVER span named after the system."""
    with tracing(*GRPC) as spans, handling(style, generic()) as channel:
        call = channel.unary_unary("/no.Such/Method")
        assert status_of(lambda: call(b"", timeout=LONGEST)) is grpc.StatusCode.UNIMPLEMENTED
    spans.wait(2)
    server, client = spans.one(SpanKind.SERVER), spans.one(SpanKind.CLIENT)
    assert outcome(server) == ("grpc", "UNIMPLEMENTED", StatusCode.ERROR)
    assert server.attributes["rpc.method"] == "_OTHER"
    assert server.attributes["rpc.method_original"] == "no.Such/Method"
    assert server.parent.span_id == client.context.span_id
    assert outcome(client) == ("no.Such/Method", "UNIMPLEMENTED", StatusCode.ERROR)


@SERVERS
@pytest.mark.parametrize("registered", [False, True])
def test_too_many_calls(style: str, registered: bool) -> None:
    """A call that is refused because of ``maximum_concurrent_rpcs`` is a SERVER span that says so."""
    if style == "asyncio" and _grpc_before(1, 76):
        pytest.skip("asyncio servers let calls wait, before grpcio 1.7x")
    began, release = threading.Event(), threading.Event()

    def wait(_: Any, __: Any) -> bytes:
        began.set()
        release.wait(LONGEST)
        return b""

    def add(server: Any) -> None:
        handlers = {"Wait": grpc.unary_unary_rpc_method_handler(wait)}
        generic(**handlers)(server)
        if registered and hasattr(server, "add_registered_method_handlers"):
            server.add_registered_method_handlers("test.Bytes", handlers)

    with tracing(*GRPC) as spans, handling(style, add, maximum_concurrent_rpcs=1) as channel:
        call = channel.unary_unary("/test.Bytes/Wait")
        first = call.future(b"", timeout=LONGEST)
        assert began.wait(LONGEST)
        assert status_of(lambda: call(b"", timeout=LONGEST)) is grpc.StatusCode.RESOURCE_EXHAUSTED
        release.set()
        assert first.result() == b""
        spans.wait(4)
    refused = [span for span in spans.of(SpanKind.SERVER) if span.attributes["rpc.status_code"] != "OK"]
    assert [outcome(span) for span in refused] == [("test.Bytes/Wait", "RESOURCE_EXHAUSTED", StatusCode.UNSET)]


def _grpc_before(*version: int) -> bool:
    return tuple(int(part) for part in grpc.__version__.split(".")[:2]) < version


@SERVERS
@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.slow
def test_unreadable_request(style: str, streaming: bool, caplog: pytest.LogCaptureFixture) -> None:
    """A request that cannot be read is the failure of a SERVER span, with the status that the client gets."""

    def unreadable(data: bytes) -> Any:
        raise ValueError("on purpose")

    async def handle(requests: Any, context: Any) -> bytes:
        return b"".join([request async for request in requests])

    def handle_in_thread(requests: Any, context: Any) -> bytes:
        return b"".join(requests)

    maker = grpc.stream_unary_rpc_method_handler if streaming else grpc.unary_unary_rpc_method_handler
    handler = maker(handle if style == "asyncio" else handle_in_thread, request_deserializer=unreadable)
    with tracing(*GRPC) as spans, handling(style, generic(Read=handler)) as channel:
        if streaming:
            code = status_of(lambda: channel.stream_unary("/test.Bytes/Read")(iter([b"a"]), timeout=LONGEST))
        else:
            code = status_of(lambda: channel.unary_unary("/test.Bytes/Read")(b"a", timeout=LONGEST))
    assert caplog.records
    spans.wait(2)
    server = spans.one(SpanKind.SERVER)
    assert outcome(server) == ("test.Bytes/Read", code.name, StatusCode.ERROR)
    assert [event.attributes["exception.message"] for event in server.events] == ["on purpose"]


# Calls that never start


def test_closed_channel() -> None:
    """A call on a closed channel raises what it raises without us; its CLIENT span has the error's type."""
    with tracing(*GRPC) as spans:
        channel = grpc.insecure_channel("127.0.0.1:1")
        calls = channel.unary_unary("/a.B/C"), channel.unary_stream("/a.B/C")
        channel.close()
        for call in (calls[0], calls[0].future, calls[1]):
            with pytest.raises(ValueError, match=r"[Cc]losed"):
                call(b"")
        spans.wait(3)
    assert [span.attributes["error.type"] for span in spans.ended] == ["ValueError"] * 3
    assert {span.status.status_code for span in spans.ended} == {StatusCode.ERROR}


def test_closed_asyncio_channel() -> None:
    """The same for grpc.aio."""

    async def run() -> None:
        channel = aio.insecure_channel("127.0.0.1:1")
        call = channel.unary_unary("/a.B/C")
        await channel.close()
        with pytest.raises(aio.UsageError):
            await call(b"")

    with tracing(*GRPC) as spans:
        asyncio.run(run())
        spans.wait(1)
    assert spans.ended[0].attributes["error.type"] == "grpc._cython.cygrpc.UsageError"


def test_wrong_arguments() -> None:
    """A call with arguments that grpc does not know raises the same TypeError."""

    def call() -> str:
        with grpc.insecure_channel("127.0.0.1:1") as channel, pytest.raises(TypeError) as failure:
            channel.unary_unary("/a.B/C")(b"", nonsense=1)
        return str(failure.value)

    plain = call()
    with tracing(*GRPC):
        assert call() == plain


def test_nothing_listens() -> None:
    """A call to nowhere is a CLIENT span with the status UNAVAILABLE."""
    with tracing(*GRPC) as spans, grpc.insecure_channel("127.0.0.1:1") as channel:
        code = status_of(lambda: channel.unary_unary("/a.B/C")(b"", timeout=LONGEST))
        assert code is grpc.StatusCode.UNAVAILABLE
        spans.wait(1)
    assert outcome(spans.ended[0]) == ("a.B/C", "UNAVAILABLE", StatusCode.ERROR)


# Handlers of unusual kinds


@EACH_STYLE
def test_registered_methods(style: str) -> None:
    """Code that newer grpcio-tools generate registers its methods beforehand; such calls are traced alike."""
    if not hasattr(grpc._server._Server, "add_registered_method_handlers"):
        pytest.skip("this grpcio knows no registered methods")
    servicer = STYLES[style][0](World())

    def add(server: Any) -> None:
        handlers = {
            "One": grpc.unary_unary_rpc_method_handler(
                servicer.One, echo_pb2.Ask.FromString, echo_pb2.Answer.SerializeToString
            )
        }
        # Both, as generated code does: not every release's asyncio server looks at the second.
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("echo.v1.Echo", handlers),))
        server.add_registered_method_handlers("echo.v1.Echo", handlers)

    with tracing(*GRPC) as spans, handling(style, add) as channel:
        call = channel.unary_unary(
            "/echo.v1.Echo/One", echo_pb2.Ask.SerializeToString, echo_pb2.Answer.FromString, _registered_method=True
        )
        assert call(ASK).text == "ok"
    spans.wait(2)
    assert {outcome(span) for span in spans.ended} == {("echo.v1.Echo/One", "OK", StatusCode.UNSET)}


@SERVERS
def test_generic_handler_of_the_programs_own(style: str) -> None:
    """A handler that serves every method, with bytes and no serializer, is traced under each method's name."""

    class Proxy(grpc.GenericRpcHandler):
        def service(self, details: Any) -> Any:
            return grpc.stream_stream_rpc_method_handler(lambda requests, _: (data[::-1] for data in requests))

    with (
        tracing(*GRPC) as spans,
        handling(style, lambda server: server.add_generic_rpc_handlers((Proxy(),))) as channel,
    ):
        assert list(channel.stream_stream("/any.Thing/AtAll")(iter([b"ab", b"cd"]))) == [b"ba", b"dc"]
    spans.wait(2)
    assert {outcome(span) for span in spans.ended} == {("any.Thing/AtAll", "OK", StatusCode.UNSET)}


def test_list_of_responses() -> None:
    """An asyncio server sends a list that a sync handler returns; the threaded one refuses it, as without us."""
    handler = grpc.unary_stream_rpc_method_handler(lambda _, __: [b"a", b"b"])
    for style, works in (("asyncio, sync handlers", True), ("threads", False)):
        with tracing(*GRPC) as spans, handling(style, generic(List=handler)) as channel:
            responses = channel.unary_stream("/test.Bytes/List")(b"", timeout=LONGEST)
            if works:
                assert list(responses) == [b"a", b"b"]
            else:
                assert status_of(lambda responses=responses: list(responses)) is grpc.StatusCode.UNKNOWN  # type: ignore[misc]
        spans.wait(2)
        assert spans.one(SpanKind.SERVER).attributes["rpc.status_code"] == ("OK" if works else "UNKNOWN")


def test_handler_that_does_not_block() -> None:
    """A handler that answers from elsewhere (grpc.experimental) is a span until its call is over."""

    def handle(request: Any, context: Any, send: Any) -> None:
        def answer_later() -> None:
            for part in (b"a", b"b", None):
                send(part)

        threading.Thread(target=answer_later).start()

    pool = futures.ThreadPoolExecutor(1)
    handle.experimental_non_blocking = True  # type: ignore[attr-defined]
    handle.experimental_thread_pool = pool  # type: ignore[attr-defined]
    handler = grpc.unary_stream_rpc_method_handler(handle)
    with tracing(*GRPC) as spans, handling("threads", generic(Later=handler)) as channel:
        assert list(channel.unary_stream("/test.Bytes/Later")(b"")) == [b"a", b"b"]
        assert pool._threads
    pool.shutdown()
    spans.wait(2)
    assert spans.one(SpanKind.SERVER).attributes["rpc.status_code"] == "OK"


@EACH_STYLE
def test_spans_across_yields(style: str, caplog: pytest.LogCaptureFixture) -> None:
    """A handler's own span that lasts over several yields is the parent of what is made between them."""
    tracer: list[Any] = []

    def many(request: Any, context: Any) -> Any:
        with tracer[0].start_as_current_span("outer"):
            for number in range(2):
                with tracer[0].start_as_current_span(f"inner {number}"):
                    yield b"x"

    async def many_asynchronously(request: Any, context: Any) -> Any:
        with tracer[0].start_as_current_span("outer"):
            for number in range(2):
                with tracer[0].start_as_current_span(f"inner {number}"):
                    yield b"x"
                    await asyncio.sleep(0)

    handler = grpc.unary_stream_rpc_method_handler(many_asynchronously if style == "asyncio" else many)
    with tracing(*GRPC) as spans:
        tracer.append(spans.tracer)
        with handling(style, generic(Many=handler)) as channel:
            assert list(channel.unary_stream("/test.Bytes/Many")(b"")) == [b"x", b"x"]
        spans.wait(5)
    by_name = {span.name: span for span in spans.ended if span.kind is SpanKind.INTERNAL}
    assert by_name["outer"].parent.span_id == spans.one(SpanKind.SERVER).context.span_id
    for name in ("inner 0", "inner 1"):
        assert by_name[name].parent.span_id == by_name["outer"].context.span_id
    assert [record for record in caplog.records if record.name.startswith("opentelemetry")] == []


@EACH_STYLE
def test_calls_of_a_handler_are_its_children(style: str) -> None:
    """A gRPC call that a handler makes is a child of the handler's SERVER span."""
    with tracing(*GRPC) as spans, serving("threads") as behind:

        def one(request: Any, context: Any) -> bytes:
            with grpc.insecure_channel(behind.target) as channel:
                return bytes(echo_pb2_grpc.EchoStub(channel).One(ASK).text, "ascii")

        async def one_asynchronously(request: Any, context: Any) -> bytes:
            async with aio.insecure_channel(behind.target) as channel:
                return bytes((await echo_pb2_grpc.EchoStub(channel).One(ASK)).text, "ascii")

        works_async = style in ("asyncio", "asyncio, context.write")
        handler = grpc.unary_unary_rpc_method_handler(one_asynchronously if works_async else one)
        with handling(style, generic(Front=handler)) as channel:
            assert channel.unary_unary("/test.Bytes/Front")(b"") == b"ok"
    spans.wait(4)
    front = next(span for span in spans.of(SpanKind.SERVER) if span.name == "test.Bytes/Front")
    back = next(span for span in spans.of(SpanKind.CLIENT) if span.name == "echo.v1.Echo/One")
    assert back.parent.span_id == front.context.span_id
    assert len({span.context.trace_id for span in spans.ended}) == 1


# Clients of unusual kinds


def test_simple_stubs(recwarn: pytest.WarningsRecorder) -> None:
    """Calls by ``grpc.experimental``'s functions, without a stub or a channel, are traced too."""
    with tracing(*GRPC) as spans, serving("threads") as server:
        response = grpc.experimental.unary_unary(
            ASK,
            server.target,
            "/echo.v1.Echo/One",
            request_serializer=echo_pb2.Ask.SerializeToString,
            response_deserializer=echo_pb2.Answer.FromString,
            insecure=True,
        )
    assert response.text == "ok"
    spans.wait(2)
    assert outcome(spans.one(SpanKind.CLIENT)) == ("echo.v1.Echo/One", "OK", StatusCode.UNSET)


@pytest.mark.parametrize("api", ["threads", "asyncio"])
def test_request_iterator_stays_in_the_programs_span(api: str) -> None:
    """The program's request iterator, which runs on while the call lasts, sees its own current span."""
    current: list[Any] = []

    def requests() -> Any:
        current.append(trace.get_current_span())
        yield ASK

    async def call(target: str) -> str:
        async with aio.insecure_channel(target) as channel:
            return str((await echo_pb2_grpc.EchoStub(channel).Sum(requests())).text)

    with tracing(*GRPC) as spans, serving("threads") as server, spans.tracer.start_as_current_span("own") as own:
        if api == "asyncio":
            assert asyncio.run(call(server.target)) == "1"
        else:
            assert echo_pb2_grpc.EchoStub(grpc.insecure_channel(server.target)).Sum(requests()).text == "1"
    assert current == [own]


def test_span_is_current_in_a_blocking_call() -> None:
    """What a blocking call runs of the program's, such as its serializer, has the CLIENT span as current."""
    current: list[Any] = []

    def serialize(request: Any) -> bytes:
        current.append(trace.get_current_span())
        return bytes(request.SerializeToString())

    with tracing(*GRPC) as spans, serving("threads") as server, grpc.insecure_channel(server.target) as channel:
        assert channel.unary_unary("/echo.v1.Echo/One", request_serializer=serialize)(ASK)
        assert trace.get_current_span() is trace.INVALID_SPAN
    spans.wait(2)
    assert current[0].get_span_context() == spans.one(SpanKind.CLIENT).context


def test_span_has_ended_when_a_done_callback_runs() -> None:
    """The program's done callbacks come after the end of the span."""
    open_spans: list[bool] = []
    called = threading.Event()

    with tracing(*GRPC) as spans, serving("threads") as server:
        future = echo_pb2_grpc.EchoStub(grpc.insecure_channel(server.target)).One.future(ASK)

        def note(_: Any) -> None:
            open_spans.append(any(span.kind is SpanKind.CLIENT and span.is_recording() for span in spans.started))
            called.set()

        future.add_done_callback(note)
        assert future.result().text == "ok"
        assert called.wait(LONGEST)
    assert open_spans == [False]


def test_dropped_call_is_cancelled_as_soon_as_without_us() -> None:
    """We keep no stream alive: the last reference gone, grpc cancels it when it would without us."""

    def dropped() -> tuple[bool, bool]:
        """Whether a dropped stream is cancelled before the collector runs: threads, asyncio."""
        with serving("threads") as server, grpc.insecure_channel(server.target) as channel:
            call = echo_pb2_grpc.EchoStub(channel).Many(echo_pb2.Ask(how="endless"))
            next(call)
            state = call._state
            del call
            return state.code is grpc.StatusCode.CANCELLED, asyncio.run(dropped_by_asyncio(server.target))

    async def dropped_by_asyncio(target: str) -> bool:
        async with aio.insecure_channel(target) as channel:
            call = echo_pb2_grpc.EchoStub(channel).Many(echo_pb2.Ask(how="endless"))
            await call.read()
            inner = call._cython_call
            del call
            await asyncio.sleep(0)
            return bool(inner.done())

    gc.collect()
    gc.disable()
    try:
        plain = dropped()
        with tracing(*GRPC):
            assert dropped() == plain
    finally:
        gc.enable()
        gc.collect()


# Failures of our own


@pytest.mark.parametrize("broken", ["start", "end", "inject", "extract"])
@pytest.mark.parametrize("call", [blocking, asynchronous], ids=["threads", "asyncio"])
@EACH_STYLE
@pytest.mark.slow
def test_failure_of_ours_changes_nothing(
    call: Any, style: str, broken: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Whatever fails in our part of a call, the program gets what it gets without us, and one line says so."""

    def fail(*_: Any, **__: Any) -> Any:
        raise LookupError("ours")

    def outcomes() -> list[Any]:
        found = []
        for kind, how in (("One", "fail"), ("Many", "ok"), ("Sum", "ok"), ("Chat", "wrong")):
            way = ("stream" if kind in ("Many", "Chat") else "call") if call is blocking else WAYS[kind]
            with serving(style) as server:
                found.append((call(server, kind, way, how), server.world.log))
        return found

    monkeypatch.setattr(guard._State, "raise_errors", False)
    plain = outcomes()
    with tracing(*GRPC):
        if broken == "start":
            monkeypatch.setattr(rpc, "Context", fail)
            monkeypatch.setattr(rpc_server, "Context", fail)
        elif broken == "end":
            monkeypatch.setattr(rpc.ClientCall, "finish", fail)
            monkeypatch.setattr(rpc_server.ServerCall, "end", fail)
        else:
            monkeypatch.setattr(*_BREAKS[broken], fail)
        assert outcomes() == plain
    assert "internal error in a gRPC" in capfd.readouterr().err
    guard._State.errors.clear()


WAYS = {"One": "await", "Many": "for", "Sum": "await", "Chat": "for"}
_BREAKS: dict[str, tuple[Any, str]] = {"inject": (rpc, "inject_into"), "extract": (rpc_server, "extract")}


# Whole programs

PROGRAM = """
import asyncio, sys
from concurrent import futures
import grpc
from grpc import aio, insecure_channel

def handle(request, context):
    return request[::-1]

async def handle_asynchronously(request, context):
    return request[::-1]

def handlers(function):
    return (grpc.method_handlers_generic_handler("t.T", {"Turn": grpc.unary_unary_rpc_method_handler(function)}),)

def threads():
    server = grpc.server(futures.ThreadPoolExecutor(1), handlers=handlers(handle))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    with insecure_channel(f"127.0.0.1:{port}") as channel:
        print(channel.unary_unary("/t.T/Turn")(b"abc"))
    server.stop(None).wait()

async def asynchronous():
    server = aio.server(handlers=handlers(handle_asynchronously))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        print(await channel.unary_unary("/t.T/Turn")(b"abc"))
    await server.stop(None)

threads() if sys.argv[1] == "threads" else asyncio.run(asynchronous())
"""


@pytest.mark.parametrize("api", ["threads", "asyncio"])
def test_whole_program(run: Runner, api: str) -> None:
    """A program that serves and calls itself prints the same, and its first call is traced already."""
    program = run.program(PROGRAM)
    plain = run.plain(PYTHON, program, api)
    traced = run.traced(PYTHON, program, api)
    assert (traced.status, traced.out) == (plain.status, plain.out) == (0, "b'cba'\n"), traced
    names = [(span.kind, span.name, span.scope) for span in traced.spans]
    middle = "aio_" if api == "asyncio" else ""
    assert sorted(names) == [
        (2, "t.T/Turn", f"tracerun.grpc_{middle}server"),
        (3, "t.T/Turn", f"tracerun.grpc_{middle}client"),
    ]
    server, client = sorted(traced.spans, key=lambda span: span.kind)
    assert (server.trace_id, server.parent_id) == (client.trace_id, client.span_id)


def test_only_what_the_program_uses_is_loaded(run: Runner) -> None:
    """A program that imports grpc and makes no channel loads neither an instrumentor nor the SDK."""
    text = (
        "import grpc, sys\nprint([n for n in sys.modules if n.startswith(('tracerun.instrumentation.', 'opentele'))])"
    )
    done = run.traced(PYTHON, run.program(text))
    assert done.out == "['tracerun.instrumentation.catalog']\n", (done, sys.version)
