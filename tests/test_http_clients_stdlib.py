"""http.client and urllib.request: whatever a program does with them, one span for each request, and never ours."""

from __future__ import annotations

import contextlib
import gc
import http.client
import socket
import urllib.request
from typing import Any

import pytest
from opentelemetry.trace import SpanKind, StatusCode

from tests.conftest import PYTHON, Runner
from tests.in_process import tracing
from tests.receiver import Receiver


@pytest.fixture
def connect(web: Any) -> Any:
    with contextlib.ExitStack() as opened:

        def connection() -> http.client.HTTPConnection:
            made = http.client.HTTPConnection("127.0.0.1", web.port, timeout=10)
            opened.callback(made.close)
            return made

        yield connection


def test_a_connection_is_used_again(web: Any, connect: Any) -> None:
    """Each request over a kept-alive connection is a span of its own."""
    with tracing("http_client") as spans:
        connection = connect()
        for path in ("/200/a", "/404/b"):
            connection.request("GET", path)
            connection.getresponse().read()
        connection.close()
    assert [span.attributes["url.full"] for span in spans.ended] == [f"{web.url}/200/a", f"{web.url}/404/b"]
    assert [span.status.status_code for span in spans.ended] == [StatusCode.UNSET, StatusCode.ERROR]
    assert "_tracerun_span" not in vars(connection)


def test_a_request_line_by_line(web: Any, connect: Any) -> None:
    """A request made of putrequest, putheader and endheaders is traced; a traceparent in it is replaced."""
    with tracing("http_client") as spans:
        connection = connect()
        connection.putrequest("POST", "/200?page=1")
        connection.putheader("TraceParent", "mine")
        connection.putheader("Content-Length", "2")
        connection.endheaders(b"ab")
        assert connection.getresponse().read()
    span = spans.one(SpanKind.CLIENT)
    assert span.name == "POST"
    assert web.seen[0]["traceparent"][:52] == f"00-{span.context.trace_id:032x}-{span.context.span_id:016x}"


@pytest.mark.parametrize("way", ["close", "collect"])
def test_an_answer_that_nobody_takes(web: Any, way: str) -> None:
    """The span ends with the connection where the program never asks for the answer."""
    with tracing("http_client") as spans:
        connection = http.client.HTTPConnection("127.0.0.1", web.port, timeout=10)
        connection.request("GET", "/200")
        assert not spans.ended
        answered = connection.sock
        while b"body of" not in answered.recv(65536, socket.MSG_PEEK):
            """The server is not to find the connection closed."""
        if way == "close":
            connection.close()
        else:
            del connection
            gc.collect()
        span = spans.one(SpanKind.CLIENT)
        answered.close()
    assert "http.response.status_code" not in span.attributes


def test_between_request_and_answer_the_context_is_the_programs(web: Any, connect: Any) -> None:
    """Two connections at once are two requests, neither the parent of the other."""
    with tracing("http_client") as spans:
        first, second = connect(), connect()
        first.request("GET", "/200/1")
        second.request("GET", "/200/2")
        second.getresponse().read()
        first.getresponse().read()
    assert [span.parent for span in spans.ended] == [None, None]


def test_misuse_raises_what_it_raises(web: Any, connect: Any) -> None:
    """Calls in the wrong order raise http.client's own errors and leave no span open."""
    with tracing("http_client") as spans:
        connection = connect()
        with pytest.raises(http.client.CannotSendHeader):
            connection.endheaders()
        connection.request("GET", "/200")
        with pytest.raises(http.client.CannotSendRequest):
            connection.request("GET", "/200")
        connection.getresponse().read()
        with pytest.raises(http.client.ResponseNotReady):
            connection.getresponse()
    assert len(spans.wait()) == 1


def test_urls_behind_proxies() -> None:
    """The URL is the one that was asked for, not the proxy's: in a tunnel, and in absolute form."""
    sent: list[bytes] = []

    class Sender(http.client.HTTPSConnection):
        def send(self, data: Any) -> None:
            sent.append(data)

    with tracing("http_client") as spans:
        tunnel = Sender("proxy.invalid", 3128)
        tunnel.set_tunnel("::1", 8443)
        tunnel.request("GET", "/a")
        tunnel.close()
        plain = Sender("proxy.invalid", 3128)
        plain.request("GET", "http://user:hush@origin.invalid/b?x=http://y")
        plain.close()
    urls = [span.attributes["url.full"] for span in spans.ended]
    assert urls[0] == "https://[::1]:8443/a"
    assert urls[1] == "http://REDACTED:REDACTED@origin.invalid/b?x=http://y"
    assert all(b"\r\ntraceparent: 00-" in data for data in sent)


def test_a_request_object_stays_the_programs(web: Any) -> None:
    """A Request has no header of ours after the call, can be used again, and its own traceparent is replaced."""
    with tracing("urllib", "http_client") as spans:
        request = urllib.request.Request(f"{web.url}/200", headers={"Traceparent": "mine"})
        for _ in range(2):
            urllib.request.urlopen(request).read()
        assert request.headers == {"Traceparent": "mine"}
        assert set(request.unredirected_hdrs) == {"Host", "User-agent"}
    sent = [seen["traceparent"][:52] for seen in web.seen]
    assert sent == [f"00-{span.context.trace_id:032x}-{span.context.span_id:016x}" for span in spans.ended]


def test_redirects_of_urllib(web: Any) -> None:
    """Each request of a redirect is one span of urllib's, and none of http.client's."""
    with tracing("urllib", "http_client") as spans:
        urllib.request.urlopen(f"{web.url}/302").read()
    assert [span.attributes["http.response.status_code"] for span in spans.ended] == [302, 200]
    assert {span.instrumentation_scope.name for span in spans.ended} == {"tracerun.urllib"}
    assert web.seen[0]["traceparent"] != web.seen[1]["traceparent"]


def test_what_runs_over_http_client(run: Runner, web: Any) -> None:
    """A client that nobody knows (xmlrpc) is one span of http.client's; so is a known one that is disabled."""
    program = run.program(
        "import sys, urllib.request, xmlrpc.client\n"
        "urllib.request.urlopen(sys.argv[1]).read()\n"
        "try:\n    xmlrpc.client.ServerProxy(sys.argv[1]).add(1, 2)\n"
        "except xmlrpc.client.ProtocolError as error:\n    print(error.errcode)\n"
        "except Exception as error:\n    print(type(error))\n"
    )
    spans = run.traced(PYTHON, program, web.url, flags=("--disable", "urllib")).spans
    assert [span.name for span in spans] == ["GET", "POST"]
    assert {span.scope for span in spans} == {"tracerun.http_client"}


@pytest.mark.slow
@pytest.mark.parametrize("library", ["http.client", "requests"])
def test_our_own_export_is_not_traced(run: Runner, receiver: Receiver, web: Any, library: str) -> None:
    """The exporter uses http.client too; of that there is no span, however often it sends, and no header of ours."""
    call = {
        "http.client": "    c = http.client.HTTPConnection(sys.argv[1][7:])\n    c.request('GET', '/')\n"
        "    c.getresponse().read()\n",
        "requests": "    requests.get(sys.argv[1])\n",
    }[library]
    program = run.program(f"import sys, time\nimport {library}\nfor _ in range(3):\n{call}    time.sleep(1.2)\n")
    env = {"TRACERUN_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.endpoint}
    done = run.traced(PYTHON, program, web.url, env=env)
    assert done.status == 0, done
    assert len(receiver.requests) > 1
    assert len(receiver.spans) == 3
    assert not any("traceparent" in headers for headers in receiver.headers)
