"""Each library of ours that upstream instruments too, traced by both: the same spans, but for what is listed."""

from __future__ import annotations

import contextlib
import http.client
import json
import signal
from concurrent import futures
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import grpc
import pytest

from tests.conftest import TRACERUN, Done, Runner, WebServer
from tests.environments import Environments, environments, pinned
from tests.receiver import Receiver, Spans
from tests.side_by_side import (
    CLIENT,
    COMPARED_ON,
    LIBRARIES,
    RELEASE,
    SDK,
    SERVER,
    Difference,
    Found,
    compare,
    facts,
    not_seen,
    unexplained,
)
from tests.side_by_side_differences import DIFFERENCES
from tests.side_by_side_programs import CLIENTS, GRPC_CLIENTS, GRPC_SERVERS, SERVERS, SIDES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

__all__ = ["environments"]  # the fixture

# What is asked: its method and path. The number of each is its trace id, and nobody calls the last.
ASKED_BY_CLIENTS = {
    "ok": ("GET", "/200/ok"),
    "query": ("GET", "/200/query?page=2"),
    "post": ("POST", "/200/post"),
    "not found": ("GET", "/404/missing"),
    "failed": ("GET", "/500/failed"),
    "redirected": ("GET", "/302/away"),
    "unknown method": ("PURGE", "/200/purge"),
    "refused": ("GET", "/200/refused"),
    "root": ("GET", "/200/root"),
}
ASKED_OF_SERVERS = {
    "ok": ("GET", "/item/7"),
    "query": ("GET", "/item/7?page=2"),
    "post": ("POST", "/item/7"),
    "not found": ("GET", "/missing"),
    "forbidden": ("GET", "/refused"),
    "failed": ("GET", "/fails"),
    "unknown method": ("PURGE", "/item/7"),
    "secret": ("GET", "/item/7?token=hush&page=2"),
    "root": ("GET", "/item/7"),
}
CALLED = {
    "ok": ("unary", "/shop.Echo/One"),
    "stream": ("stream", "/shop.Echo/Many"),
    "not found": ("unary", "/shop.Echo/Missing"),
    "failed": ("unary", "/shop.Echo/Fails"),
    "unimplemented": ("unary", "/shop.Echo/Nothing"),
    "refused": ("unary", "/shop.Echo/One"),
    "root": ("unary", "/shop.Echo/One"),
}
OURS, THEIRS = "ours", "theirs"
Tracing: TypeAlias = "Callable[[str, str], Traced]"


@pytest.fixture
def scripts(environments: Environments) -> Path:
    """The scripts of an environment with the libraries and upstream's packages for them, of one release."""
    packages = {f"opentelemetry-instrumentation-{side.package}=={RELEASE}" for side in SIDES.values()}
    options = (*sorted(packages), f"opentelemetry-distro=={RELEASE}", *pinned(*LIBRARIES))
    python = environments.python(COMPARED_ON, f"opentelemetry-exporter-otlp-proto-http=={SDK}", options=options)
    return Path(python).parent


class Traced:
    """The command of one library's program under one of the two, and the spans that it has sent."""

    def __init__(self, run: Runner, scripts: Path, name: str, under: str, receiver: Receiver) -> None:
        side, self.receiver = SIDES[name], receiver
        self._run, self._is_ours = run, under == OURS
        self.env: dict[str, str | None] = {
            "OTEL_SEMCONV_STABILITY_OPT_IN": "http",
            "OTEL_TRACES_EXPORTER": "otlp",
            "OTEL_METRICS_EXPORTER": "none",
            "OTEL_LOGS_EXPORTER": "none",
            "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
            "OTEL_EXPORTER_OTLP_ENDPOINT": self.receiver.endpoint,
            "TRACERUN_EXPORTER": None,
            "DJANGO_SETTINGS_MODULE": "app",
        }
        self.words = [str(scripts / "python"), run.program(side.program)]
        if under == OURS:
            self.words[:0] = [TRACERUN, "--only", side.ours]
        else:
            self.words[:0] = [str(scripts / "opentelemetry-instrument")]
            others = {other.theirs for other in SIDES.values()} - {side.theirs, ""}
            self.env["OTEL_PYTHON_DISABLED_INSTRUMENTATIONS"] = ",".join(sorted(others))

    def to_its_end(self, *arguments: str) -> Done:
        """Runs a client."""
        return self._run.command(*self.words, *arguments, env=self.env)

    def serving(self, port: int) -> Any:
        """Runs a server."""
        return self._run.serving(*self.words, str(port), port=port, env=self.env, stop=signal.SIGINT)

    def spans(self) -> Spans:
        """All spans of the program, which has ended; of nobody but the one that it ran under."""
        spans = self.receiver.spans
        assert {span.scope.startswith("tracerun.") for span in spans} == {self._is_ours}
        return spans


@pytest.fixture
def traced(run: Runner, scripts: Path) -> Iterator[Tracing]:
    """Makes commands, each with a receiver of its own."""
    with contextlib.ExitStack() as receivers:

        def made(name: str, under: str) -> Traced:
            return Traced(run, scripts, name, under, receivers.enter_context(contextlib.closing(Receiver())))

        yield made


def by_request(spans: Spans, asked: Any, kind: int, sent: Mapping[str, str] = {}) -> dict[str, dict[str, Any]]:
    """The facts of each request, which is known by its trace; ``sent`` has the headers that a server saw."""
    numbers = {f"{number:032x}": name for number, name in enumerate(asked, 1)}
    found = {name: Spans() for name in asked}
    for span in spans:
        found[numbers.get(span.trace_id, "root")].append(span)
    return {name: facts(found[name], kind, sent.get(name)) for name in asked}


def differences(name: str, both: dict[str, dict[str, dict[str, Any]]]) -> list[Found]:
    requests = both[OURS]
    return [found for asked in requests for found in compare(name, asked, requests[asked], both[THEIRS][asked])]


def judge(name: str, both: dict[str, dict[str, dict[str, Any]]]) -> None:
    """Fails for a difference that is not listed, and for a listed one that is not there."""
    found = differences(name, both)
    problems = [f"not listed: {seen}" for seen in unexplained(found, DIFFERENCES)]
    problems += [f"listed, and not there: {listed}" for listed in not_seen(name, found, DIFFERENCES)]
    assert not problems, "\n".join(problems)


def calls(asked: dict[str, tuple[str, str]], base: str, nowhere: str) -> str:
    """What a client's program is to do, as its argument."""
    last = len(asked)
    return json.dumps(
        [
            [number % last, method, (nowhere if name == "refused" else base) + path]
            for number, (name, (method, path)) in enumerate(asked.items(), 1)
        ]
    )


@pytest.mark.parametrize("name", list(CLIENTS))
@pytest.mark.slow
def test_clients(traced: Tracing, name: str, web: WebServer, port: int) -> None:
    """A client's CLIENT spans are upstream's."""
    argument = calls(ASKED_BY_CLIENTS, web.url, f"http://127.0.0.1:{port}")
    both, outcomes = {}, {}
    for under in (OURS, THEIRS):
        web.seen.clear()
        program = traced(name, under)
        outcomes[under] = program.to_its_end(argument)
        by_path = {seen["path"]: seen.get("traceparent", "") for seen in web.seen}
        sent = {asked: by_path[path] for asked, (_, path) in ASKED_BY_CLIENTS.items() if path in by_path}
        both[under] = by_request(program.spans(), ASKED_BY_CLIENTS, CLIENT, sent)
    assert outcomes[OURS].status == outcomes[THEIRS].status == 0, outcomes
    assert outcomes[OURS].out == outcomes[THEIRS].out, outcomes
    judge(name, both)


@pytest.mark.parametrize("name", list(SERVERS))
@pytest.mark.slow
def test_servers(traced: Tracing, name: str, port: int) -> None:
    """A server's SERVER spans are upstream's."""
    both, answers = {}, {}
    for under in (OURS, THEIRS):
        program = traced(name, under)
        with program.serving(port):
            answers[under] = [ask(port, *words) for words in numbered(ASKED_OF_SERVERS)]
        both[under] = by_request(program.spans(), ASKED_OF_SERVERS, SERVER)
    assert answers[OURS] == answers[THEIRS]
    judge(name, both)


def numbered(asked: dict[str, tuple[str, str]]) -> Iterator[tuple[int, str, str]]:
    for number, words in enumerate(asked.values(), 1):
        yield number % len(asked), *words


def traceparent(number: int) -> dict[str, str]:
    """A caller's header, none for number 0."""
    return {"traceparent": f"00-{number:032x}-{number:016x}-01"} if number else {}


def ask(port: int, number: int, method: str, path: str) -> int:
    """An untraced request's status."""
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=20)) as connection:
        connection.request(method, path, headers={"User-Agent": "raw/1", **traceparent(number)})
        answer = connection.getresponse()
        answer.read()
        return answer.status


class CallServer:
    """A gRPC server that answers calls by their names, with the headers that it saw."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        methods = {"One": self._one, "Missing": self._missing, "Fails": self._fails}
        handlers = {name: grpc.unary_unary_rpc_method_handler(self._noting(method)) for name, method in methods.items()}
        handlers["Many"] = grpc.unary_stream_rpc_method_handler(self._noting(lambda ask, _: iter([ask, ask])))
        self._server = grpc.server(futures.ThreadPoolExecutor(2))
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("shop.Echo", handlers),))
        self.target = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        self._server.start()

    def _noting(self, method: Callable[..., Any]) -> Callable[..., Any]:
        def noting(ask: bytes, context: Any) -> Any:
            self.seen.append(dict(context.invocation_metadata()).get("traceparent", ""))
            return method(ask, context)

        return noting

    def _one(self, ask: bytes, _: Any) -> bytes:
        return ask

    def _missing(self, ask: bytes, context: Any) -> None:
        context.abort(grpc.StatusCode.NOT_FOUND, "no such thing")

    def _fails(self, ask: bytes, context: Any) -> None:
        context.abort(grpc.StatusCode.INTERNAL, "on purpose")

    def close(self) -> None:
        self._server.stop(0).wait()


@pytest.fixture
def call_server() -> Iterator[CallServer]:
    made = CallServer()
    yield made
    made.close()


@pytest.mark.parametrize("name", list(GRPC_CLIENTS))
@pytest.mark.slow
def test_grpc_clients(traced: Tracing, name: str, call_server: CallServer, port: int) -> None:
    """A gRPC client's CLIENT spans are upstream's."""
    argument = calls(CALLED, call_server.target, f"127.0.0.1:{port}")
    both, outcomes = {}, {}
    answered = [asked for asked in CALLED if asked not in ("unimplemented", "refused")]
    for under in (OURS, THEIRS):
        call_server.seen.clear()
        program = traced(name, under)
        outcomes[under] = program.to_its_end(argument)
        sent = dict(zip(answered, call_server.seen, strict=True))
        both[under] = by_request(program.spans(), CALLED, CLIENT, sent)
    assert outcomes[OURS].status == outcomes[THEIRS].status == 0, outcomes
    assert outcomes[OURS].out == outcomes[THEIRS].out, outcomes
    judge(name, both)


@pytest.mark.parametrize("name", list(GRPC_SERVERS))
@pytest.mark.slow
def test_grpc_servers(traced: Tracing, name: str, port: int) -> None:
    """A gRPC server's SERVER spans are upstream's."""
    asked = {label: words for label, words in CALLED.items() if label != "refused"}
    both, answers = {}, {}
    for under in (OURS, THEIRS):
        program = traced(name, under)
        with program.serving(port), grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            answers[under] = [call(channel, *words) for words in numbered(asked)]
        both[under] = by_request(program.spans(), asked, SERVER)
    assert answers[OURS] == answers[THEIRS]
    judge(name, both)


def call(channel: grpc.Channel, number: int, kind: str, path: str) -> str:
    """An untraced call's outcome."""
    metadata = tuple(traceparent(number).items())
    try:
        if kind == "stream":
            return repr(list(channel.unary_stream(path)(b"ask", metadata=metadata)))
        return repr(channel.unary_unary(path)(b"ask", metadata=metadata))
    except grpc.RpcError as error:
        return f"{error.code()}: {error.details()}"


def test_the_list_is_held_both_ways() -> None:
    """What is not listed is found, and so is what is listed and does not occur in each request that it names."""
    listed = [
        Difference(("flask",), "name", "GET", "GET /*", "why", ("ok", "root")),
        Difference(("flask",), "x", None, "*", ""),
    ]
    same = {"spans of its kind": 1, "name": "GET", "parent": "root"}
    assert list(compare("flask", "ok", same, dict(same))) == []
    found = list(compare("flask", "ok", {**same, "port": 1}, {**same, "name": "GET /a", "x": "1", "port": "1"}))
    assert [seen.fact for seen in found] == ["name", "port", "x"]
    assert [seen.fact for seen in unexplained(found, listed)] == ["port"]
    assert not_seen("flask", found, listed) == [listed[0]]
    assert not_seen("django", [], listed) == []
    (none,) = compare("flask", "ok", same, {"spans of its kind": 0})
    assert (none.fact, none.ours, none.theirs) == ("spans of its kind", 1, 0)


def test_the_list_is_of_these_libraries_and_requests() -> None:
    """No difference names a library or a request that is not compared, and each has a reason."""
    asked = {*ASKED_BY_CLIENTS, *ASKED_OF_SERVERS, *CALLED}
    assert {side for difference in DIFFERENCES for side in difference.sides} <= set(SIDES)
    assert {request for difference in DIFFERENCES for request in difference.requests} <= asked
    assert all(difference.sides and difference.reason for difference in DIFFERENCES)
