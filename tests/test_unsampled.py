"""Unsampled requests: the sampler decides first, no attribute is made, and the context goes out all the same."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, Decision, ParentBased, Sampler, SamplingResult
from opentelemetry.trace import SpanKind

from tests.conftest import PYTHON, WebServer
from tests.in_process import tracing
from tracerun.agent.ids import PrivateIdGenerator
from tracerun.instrumentation import asgi, http, redaction, wsgi

if TYPE_CHECKING:
    from opentelemetry.trace import Tracer

UNSAMPLED = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"
# What makes attributes; the names by which the modules that span a request call it.
WORK = [
    (redaction, "url"),
    (redaction, "query"),
    (redaction, "path"),
    (redaction, "is_secret"),
    (http, "method_attributes"),
    (http, "address_of"),
    (http, "split_host"),
    (wsgi, "split_host"),
    (asgi, "split_host"),
    (wsgi, "attributes_of"),
    (asgi, "attributes_of"),
]


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The attribute work that was done, by name."""
    done: list[str] = []

    def counting(name: str, original: Any) -> Any:
        def counted(*args: Any) -> Any:
            done.append(name)
            return original(*args)

        return counted

    for module, name in WORK:
        monkeypatch.setattr(module, name, counting(name, getattr(module, name)))
    return done


@pytest.mark.parametrize("library", ["requests", "urllib3", "httpx"])
@pytest.mark.parametrize("sampler", [ALWAYS_OFF, ParentBased(ALWAYS_OFF)], ids=["off", "parent"])
def test_a_client_does_no_attribute_work(web: WebServer, work: list[str], library: str, sampler: Sampler) -> None:
    """An unsampled call makes no attribute, and its traceparent goes out with flags 00."""
    with tracing(library, sampler=sampler, id_generator=PrivateIdGenerator()) as spans:
        call(library, f"{web.url}/404?token=1")
    assert work == []
    assert spans.started == []
    assert web.seen[0]["traceparent"].endswith("-00")


@pytest.mark.parametrize("library", ["requests", "urllib3", "httpx"])
def test_a_sampled_call_does_that_work(web: WebServer, work: list[str], library: str) -> None:
    """The counting counts: a sampled call makes its attributes by these functions."""
    with tracing(library) as spans:
        call(library, f"{web.url}/404?token=1")
    assert {"url", "method_attributes", "address_of"} <= set(work)
    assert len(spans.ended) == 1


def call(library: str, url: str) -> None:
    import httpx
    import requests
    import urllib3

    if library == "urllib3":
        urllib3.request("GET", url, retries=False)
    else:
        (requests if library == "requests" else httpx).get(url)


def wsgi_request(path: str, tracer: Tracer) -> int:
    from wsgiref.util import setup_testing_defaults

    def app(_: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"item"]

    environ: dict[str, Any] = {"PATH_INFO": path.partition("?")[0], "QUERY_STRING": path.partition("?")[2]}
    environ["HTTP_TRACEPARENT"] = UNSAMPLED
    setup_testing_defaults(environ)
    statuses: list[str] = []
    body = wsgi.run(app, environ, lambda status, _: statuses.append(status), tracer)
    assert b"".join(body) == b"item"
    close = getattr(body, "close", None)
    if close is not None:
        close()
    return int(statuses[0].partition(" ")[0])


def asgi_request(path: str, tracer: Tracer) -> int:
    import asyncio

    from starlette.responses import PlainTextResponse

    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": b""}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "GET",
        "path": path.partition("?")[0],
        "query_string": path.partition("?")[2].encode(),
        "headers": [(b"host", b"shop.example"), (b"traceparent", UNSAMPLED.encode())],
    }
    asyncio.run(asgi.run(PlainTextResponse("item"), scope, receive, send, tracer))
    return int(sent[0]["status"])


SERVERS = pytest.mark.parametrize("request_it", [wsgi_request, asgi_request], ids=["wsgi", "asgi"])


@SERVERS
def test_a_server_does_no_attribute_work(work: list[str], request_it: Any) -> None:
    """A request whose caller was not sampled makes no attribute and leaves no span."""
    with tracing() as spans:
        assert request_it("/items/7?token=1", spans.tracer) == 200
    assert work == []
    assert spans.started == []


@SERVERS
def test_the_counting_of_servers_counts(work: list[str], request_it: Any) -> None:
    """With a sampler that takes every request the same request makes its attributes by these functions."""
    with tracing(sampler=ALWAYS_ON) as spans:
        assert request_it("/items/7?token=1", spans.tracer) == 200
    assert {"attributes_of", "query", "method_attributes", "split_host"} <= set(work)
    assert spans.one(SpanKind.SERVER).attributes["url.query"] == "token=REDACTED"


def test_an_unsampled_body_runs_in_its_requests_context(web: WebServer) -> None:
    """What a streamed body calls belongs to the caller's trace, also where a sampler would take a new one's calls."""
    import requests

    closed: list[bool] = []

    class Stream:
        def __iter__(self) -> Any:
            requests.get(f"{web.url}/200/1")
            yield b"one"
            requests.get(f"{web.url}/200/2")
            yield b"two"

        def close(self) -> None:
            requests.get(f"{web.url}/200/3")
            closed.append(True)

    class Sized(Stream):
        def __len__(self) -> int:
            return 2

    with tracing("requests", sampler=ParentBased(ALWAYS_ON), id_generator=PrivateIdGenerator()) as spans:
        for stream in (Stream, Sized):
            environ = {"HTTP_TRACEPARENT": UNSAMPLED}
            body = wsgi.run(lambda *_, kind=stream: kind(), environ, lambda *_: None, spans.tracer)
            assert hasattr(body, "__len__") is (stream is Sized)
            assert list(body) == [b"one", b"two"]
            body.close()
            assert environ["tracerun.request"].ended  # type: ignore[attr-defined]
    assert spans.started == []
    assert closed == [True, True]
    trace_id = UNSAMPLED.split("-")[1]
    sent = [headers["traceparent"].split("-") for headers in web.seen]
    assert [(parts[1], parts[3]) for parts in sent] == [(trace_id, "00")] * 6


class ByPath(Sampler):
    """A sampler that looks at attributes, as those of programs do."""

    def should_sample(
        self, parent_context: Any, trace_id: int, name: str, kind: Any = None, attributes: Any = None, *_: Any
    ) -> SamplingResult:
        wanted = attributes.get("url.path") == "/items/8" or str(attributes.get("url.full", "")).endswith("/8")
        return SamplingResult(Decision.RECORD_AND_SAMPLE if wanted else Decision.DROP, attributes)

    def get_description(self) -> str:
        return "by path"


@SERVERS
def test_a_sampler_gets_the_attributes_that_it_asks_for(request_it: Any) -> None:
    """A program's own sampler decides by attributes, as the specification lets it."""
    with tracing(sampler=ByPath()) as spans:
        request_it("/items/7", spans.tracer)
        request_it("/items/8", spans.tracer)
    assert [span.attributes["url.path"] for span in spans.ended] == ["/items/8"]


def test_a_sampler_gets_a_clients_attributes(web: WebServer) -> None:
    """The same of a client's span."""
    with tracing("requests", sampler=ByPath()) as spans:
        call("requests", f"{web.url}/200/7")
        call("requests", f"{web.url}/200/8")
    assert [span.attributes["url.full"] for span in spans.ended] == [f"{web.url}/200/8"]


def test_a_chain_stays_unsampled(run: Any, web: WebServer) -> None:
    """Under a ratio of 0 nothing is exported, and every service behind is told so by flags 00."""
    program = run.program("import sys, requests\nprint(requests.get(sys.argv[1]).status_code)\n")
    done = run.traced(PYTHON, program, web.url, flags=("--sampler", "parentbased_traceidratio:0"))
    assert (done.out, len(done.spans)) == ("200\n", 0), done
    assert web.seen[0]["traceparent"].endswith("-00")
