"""gRPC: every call as it is without us, and one CLIENT and one SERVER span for each."""

from __future__ import annotations

import logging
import subprocess
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from opentelemetry import trace
from opentelemetry.trace import SpanKind, StatusCode

from tests.conftest import Runner
from tests.environments import CURRENT, Environments, environments
from tests.grpc_clients import AIO_WAYS, SYNC_WAYS, asynchronous, blocking, cases
from tests.grpc_world import GRPC, STYLES, Certificate, serving
from tests.in_process import tracing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

__all__ = ["environments"]


class Case(NamedTuple):
    """One call: by which client API, to which style of server, of which kind, how made and how ended."""

    client: str
    style: str
    kind: str
    way: str
    outcome: str

    def call(self, server: Any) -> dict[str, Any]:
        return CLIENTS[self.client][0](server, self.kind, self.way, self.outcome)


CLIENTS: dict[str, tuple[Callable[..., dict[str, Any]], dict[str, tuple[str, ...]]]] = {
    "threads": (blocking, SYNC_WAYS),
    "asyncio": (asynchronous, AIO_WAYS),
}
STATUS = {"ok": "OK", "abort": "NOT_FOUND", "fail": "UNKNOWN", "code": "INTERNAL", "cancel": "CANCELLED"}
STATUS |= {"deadline": "DEADLINE_EXCEEDED", "half": "CANCELLED"}
BY_CHANCE = ("cancel", "deadline", "half")
# These stand for all in make test-fast.
QUICK = ("ok", "abort", "cancel")


def every_case() -> Iterator[Case]:
    for client, (_, ways) in CLIENTS.items():
        for style in STYLES:
            for each in cases(ways):
                case = Case(client, style, *each)
                if not hangs_plain(case):
                    yield case


def hangs_plain(case: Case) -> bool:
    """Sync generators in an asyncio server: grpc never frees the thread of one whose call has ended early."""
    ends_early = case.outcome in (*BY_CHANCE, "abort")
    return case.style == "asyncio, sync handlers" and case.kind in ("Many", "Chat") and ends_early


def named(some: Iterable[Case]) -> pytest.MarkDecorator:
    """A test for each; only the first way of making a call, and some of its outcomes, are for the impatient."""
    first = {client: {kind: kinds[0] for kind, kinds in ways.items()} for client, (_, ways) in CLIENTS.items()}
    each = [
        pytest.param(
            case,
            id=f"{case.client} to {case.style}: {' '.join(case[2:])}",
            marks=() if case.way == first[case.client][case.kind] and case.outcome in QUICK else pytest.mark.slow,
        )
        for case in some
    ]
    return pytest.mark.parametrize("case", each)


ALL = list(every_case())


@named(ALL)
def test_same_call_and_two_spans(case: Case, caplog: pytest.LogCaptureFixture) -> None:
    """A program gets of a call what it gets without us; the call is one CLIENT and one SERVER span."""
    check(case, None, caplog)


@pytest.mark.slow
@named([case for case in ALL if case.outcome in ("ok", "abort")])
def test_same_call_over_tls(case: Case, caplog: pytest.LogCaptureFixture, certificate: Certificate) -> None:
    """The same holds for calls that are encrypted."""
    check(case, certificate, caplog)


def check(case: Case, certificate: Certificate | None, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    with serving(case.style, certificate) as server:
        plain = case.call(server)
    plain_log, plain_words = server.world.log, words_of(case, caplog)
    with (
        tracing(*GRPC) as spans,
        serving(case.style, certificate) as server,
        spans.tracer.start_as_current_span("root") as root,
    ):
        traced = case.call(server)
        assert trace.get_current_span() is root
    if case.outcome == "deadline":
        leave_out_what_came_too_late(plain, traced)
    assert traced == plain
    sure = 1 if case.outcome in BY_CHANCE else None  # how far the handler came is then a matter of chance
    assert server.world.log[:sure] == plain_log[:sure]
    assert words_of(case, caplog) == plain_words
    assert len(spans.wait(3)) == 3
    check_spans(case, root, spans.one(SpanKind.CLIENT), spans.one(SpanKind.SERVER))
    assert set(server.world.current) == {spans.one(SpanKind.SERVER).context.span_id}


def leave_out_what_came_too_late(*results: dict[str, Any]) -> None:
    """On a busy machine the deadline may come before the server's first word."""
    for fact in ("initial", "messages"):
        if not all(result.get(fact) for result in results):
            for result in results:
                result.pop(fact, None)


def check_spans(case: Case, root: Any, client: Any, server: Any) -> None:
    assert client.parent == root.get_span_context()
    assert (server.parent.span_id, server.context.trace_id) == (client.context.span_id, client.context.trace_id)
    assert server.parent.is_remote
    assert client.name == server.name == f"echo.v1.Echo/{case.kind}"
    code = STATUS.get(case.outcome) or ("INTERNAL" if case.style == "threads" else "UNKNOWN")
    told = server.attributes["rpc.status_code"]
    if case.style == "asyncio, sync handlers" and case.outcome in BY_CHANCE and told == "OK":
        # Such a handler is not told of its client's end; it may have come to its own first.
        assert client.attributes["rpc.status_code"] == code
        return
    assert client.attributes["rpc.status_code"] == told == code
    for span, is_error in ((client, code != "OK"), (server, code not in ("OK", "NOT_FOUND", "CANCELLED"))):
        assert span.status.status_code is (StatusCode.ERROR if is_error else StatusCode.UNSET)
        assert span.attributes.get("error.type") == (code if is_error else None)
    assert [event.attributes for event in server.events if event.name != "exception"] == []
    failures = {"fail": ["ZeroDivisionError"], "wrong": ["TypeError"]}
    assert [event.attributes["exception.type"] for event in server.events] == failures.get(case.outcome, [])
    assert client.events == ()


def words_of(case: Case, caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    """What was logged since the last time, without tracebacks, and without what is a matter of chance."""
    records = [(record.name, record.getMessage().partition("\n")[0]) for record in caplog.records]
    caplog.clear()
    if case.outcome in BY_CHANCE:
        return [record for record in records if record[0].startswith(("opentelemetry", "tracerun"))]
    # grpc.aio's poller complains where a process has more than one event loop.
    return sorted(record for record in records if record[0] != "asyncio")


PROGRAM = """
import asyncio, grpc
from concurrent import futures
from grpc import aio

def ended(request, context):
    context.set_trailing_metadata((("x-last", "2"),))
    if request == b"abort":
        context.abort(grpc.StatusCode.NOT_FOUND, "no such thing")
    return request.upper()

def one(request, context):
    context.send_initial_metadata((("x-first", "1"),))
    return ended(request, context)

def many(request, context):
    yield request
    yield ended(request, context)

def collect(requests, context):
    return ended(b"".join(requests), context)

def chat(requests, context):
    for request in requests:
        yield ended(request, context)

async def aended(request, context):
    context.set_trailing_metadata((("x-last", "2"),))
    if request == b"abort":
        await context.abort(grpc.StatusCode.NOT_FOUND, "no such thing")
    return request.upper()

async def aone(request, context):
    await context.send_initial_metadata((("x-first", "1"),))
    return await aended(request, context)

async def amany(request, context):
    yield request
    yield await aended(request, context)

async def acollect(requests, context):
    return await aended(b"".join([request async for request in requests]), context)

async def achat(requests, context):
    async for request in requests:
        await context.write(await aended(request, context))

def handlers(one, many, collect, chat):
    return [grpc.method_handlers_generic_handler("shop.Shop", {
        "One": grpc.unary_unary_rpc_method_handler(one),
        "Many": grpc.unary_stream_rpc_method_handler(many),
        "Collect": grpc.stream_unary_rpc_method_handler(collect),
        "Chat": grpc.stream_stream_rpc_method_handler(chat),
    })]

def tell(call):
    try:
        print(call())
    except grpc.RpcError as error:
        print(error.code(), error.details(), error.trailing_metadata())

async def atell(call):
    try:
        print(await call())
    except grpc.RpcError as error:
        print(error.code(), error.details(), tuple(error.trailing_metadata()))

def main():
    server = grpc.server(futures.ThreadPoolExecutor(2), handlers=handlers(one, many, collect, chat))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        for request in (b"a", b"abort"):
            tell(lambda: channel.unary_unary("/shop.Shop/One")(request))
            tell(lambda: list(channel.unary_stream("/shop.Shop/Many")(request)))
            tell(lambda: channel.stream_unary("/shop.Shop/Collect")(iter([request])))
            tell(lambda: list(channel.stream_stream("/shop.Shop/Chat")(iter([request]))))
    server.stop(1).wait()

async def amain():
    async def listed(call):
        return [message async for message in call]
    server = aio.server(handlers=handlers(aone, amany, acollect, achat))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        for request in (b"a", b"abort"):
            async def one():
                return await channel.unary_unary("/shop.Shop/One")(request)
            async def collect():
                return await channel.stream_unary("/shop.Shop/Collect")(iter([request]))
            await atell(one)
            await atell(lambda: listed(channel.unary_stream("/shop.Shop/Many")(request)))
            await atell(collect)
            await atell(lambda: listed(channel.stream_stream("/shop.Shop/Chat")(iter([request]))))
    await server.stop(1)

main()
asyncio.run(amain())
"""


@pytest.mark.slow
def test_oldest_release(run: Runner, environments: Environments) -> None:
    """The oldest release that the catalogue has, of 2023: each kind of call, with threads and asyncio, its metadata."""
    python = environments.python(CURRENT, "grpcio==1.59.0", "opentelemetry-sdk==1.45.1")
    start = "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_"
    named: dict[str, str | None] = dict.fromkeys((f"{start}CLIENT_RESPONSE", f"{start}SERVER_RESPONSE"), "x-.*")
    program = run.program(PROGRAM)
    plain, traced = run.plain(python, program), run.traced(python, program, env=named)
    assert plain.status == 0, plain
    assert (traced.status, traced.out, traced.theirs) == (plain.status, plain.out, plain.err)
    servers = {span.parent_id: span for span in traced.spans if span.kind == SpanKind.SERVER.value + 1}
    assert len(traced.spans) == 32
    assert len(servers) == 16
    for client in (span for span in traced.spans if span.kind == SpanKind.CLIENT.value + 1):
        server = servers[client.span_id]
        assert client.name == server.name
        assert client.attributes["rpc.status_code"] == server.attributes["rpc.status_code"]
        assert client.attributes["rpc.response.metadata.x-last"] == ["2"]
        assert server.attributes["rpc.response.metadata.x-last"] == ["2"]
        assert ("rpc.response.metadata.x-first" in client.attributes) == (client.name == "shop.Shop/One")


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    folder = tmp_path_factory.mktemp("certificate")
    make = "openssl req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out certificate.pem -subj /CN=localhost"
    subprocess.run(
        [*make.split(), "-addext", "subjectAltName=DNS:localhost"], cwd=folder, check=True, capture_output=True
    )
    return Certificate(folder)
