"""What HTTP clients differ in: redirects, headers given by the program, callbacks, cancelled and abandoned requests."""

from __future__ import annotations

import asyncio
import urllib.request
from typing import Any

import pytest
from opentelemetry.trace import SpanKind, StatusCode

from tests.conftest import PYTHON, Runner
from tests.in_process import tracing

ASYNC = "import asyncio, sys\n{imports}\n\nasync def main():\n{body}\n\nasyncio.run(main())"


def program(imports: str, *lines: str) -> str:
    """A program of asyncio's."""
    return ASYNC.format(imports=imports, body="\n".join(f"    {line}" for line in lines))


TREQ = (
    "import sys, treq\nfrom twisted.internet.task import react\n\nasync def main(reactor):\n"
    "    r = await treq.get(sys.argv[1])\n    print(r.code, await r.text())\n\nreact(main)"
)
PYCURL = (
    "import pycurl, sys\ncurl = pycurl.Curl()\ncurl.setopt(curl.URL, sys.argv[1])\n"
    "curl.setopt(curl.FOLLOWLOCATION, 1)\nprint(curl.perform_rs(), curl.getinfo(curl.RESPONSE_CODE))"
)
# Each follows a redirect; how many requests of it are to be seen.
REDIRECTS = {
    "aiohttp": (
        program(
            "import aiohttp",
            "async with aiohttp.ClientSession() as session, session.get(sys.argv[1]) as r:",
            "    print(r.status, len(r.history))",
        ),
        2,
    ),
    "tornado": (
        program(
            "from tornado.httpclient import AsyncHTTPClient", "print((await AsyncHTTPClient().fetch(sys.argv[1])).code)"
        ),
        2,
    ),
    "httplib2": ("import httplib2, sys\nprint(httplib2.Http().request(sys.argv[1])[0].status)", 2),
    "aiosonic": (
        program(
            "import aiosonic",
            "async with aiosonic.HTTPClient() as client:",
            "    print((await client.get(sys.argv[1], follow=True)).status_code)",
        ),
        2,
    ),
    "treq": (TREQ, 2),
    "httpx2": ("import httpx2, sys\nprint(httpx2.get(sys.argv[1], follow_redirects=True).status_code)", 2),
    "urllib": ("import sys, urllib.request\nprint(urllib.request.urlopen(sys.argv[1]).status)", 2),
    "curl_cffi": ("import sys\nfrom curl_cffi import requests\nprint(requests.get(sys.argv[1]).status_code)", 1),
    "pycurl": (PYCURL, 1),
    "primp": ("import primp, sys\nprint(primp.get(sys.argv[1]).status_code)", 1),
    "httpr": ("import httpr, sys\nprint(httpr.get(sys.argv[1]).status_code)", 1),
}


@pytest.mark.parametrize("library", list(REDIRECTS))
@pytest.mark.slow
def test_redirects(run: Runner, web: Any, library: str) -> None:
    """Each request of a redirect is a span with a header of its own, where the library itself makes it."""
    text, count = REDIRECTS[library]
    path = run.program(text)
    plain, traced = (start(PYTHON, path, f"{web.url}/302/x") for start in (run.plain, run.traced))
    assert plain.status == 0, plain
    assert (traced.status, traced.out) == (0, plain.out), traced
    # In the order of their requests: a body that nobody reads may end after the next request's.
    spans = sorted(traced.spans, key=lambda span: span.start)
    statuses = [span.attributes["http.response.status_code"] for span in spans]
    assert statuses == ([302, 200] if count == 2 else [200])
    sent = [seen["traceparent"] for seen in web.seen[2:]]
    ours = [f"00-{span.trace_id}-{span.span_id}-01" for span in spans]
    assert sent == (ours if count == 2 else ours * 2)


GIVEN = "{'X-A': '1', 'Traceparent': 'mine'}"
# Each sends these headers, and prints its own afterwards.
HEADERS = {
    "aiohttp": program(
        "import aiohttp",
        f"headers = {GIVEN}",
        "async with aiohttp.ClientSession() as session, session.get(sys.argv[1], headers=headers) as r:",
        "    print(r.status, headers)",
    ),
    "tornado": program(
        "from tornado.httpclient import AsyncHTTPClient",
        f"headers = {GIVEN}",
        "print((await AsyncHTTPClient().fetch(sys.argv[1], headers=headers)).code, headers)",
    ),
    "httplib2": f"import httplib2, sys\nheaders = {GIVEN}\n"
    "print(httplib2.Http().request(sys.argv[1], headers=headers)[0].status, headers)",
    "aiosonic": program(
        "import aiosonic",
        f"headers = {GIVEN}",
        "async with aiosonic.HTTPClient() as client:",
        "    print((await client.get(sys.argv[1], headers=headers)).status_code, headers)",
    ),
    "treq": f"import sys, treq\nfrom twisted.internet.task import react\n\nasync def main(reactor):\n"
    f"    headers = {GIVEN}\n    r = await treq.get(sys.argv[1], headers=headers)\n"
    "    print(r.code, await r.text(), headers)\n\nreact(main)",
    "httpx2": f"import httpx2, sys\nheaders = {GIVEN}\n"
    "print(httpx2.get(sys.argv[1], headers=headers).status_code, headers)",
    "http_client": f"import http.client, sys\nheaders = {GIVEN}\n"
    "connection = http.client.HTTPConnection(sys.argv[1].split('/')[2])\n"
    "connection.request('GET', '/200', headers=headers)\nprint(connection.getresponse().read(), headers)",
    "pycurl": "import pycurl, sys\nheaders = ['X-A: 1', 'Traceparent: mine']\ncurl = pycurl.Curl()\n"
    "curl.setopt(curl.URL, sys.argv[1])\ncurl.setopt(curl.HTTPHEADER, headers)\nprint(curl.perform_rs(), headers)",
    "primp": f"import primp, sys\nheaders = {GIVEN}\nclient = primp.Client(headers={{'X-B': '2'}})\n"
    "print(client.get(sys.argv[1], headers=headers).status_code, headers)",
    "httpr": f"import httpr, sys\nheaders = {GIVEN}\nclient = httpr.Client(headers={{'X-B': '2'}})\n"
    "print(client.get(sys.argv[1], headers=headers).status_code, headers)",
}


@pytest.mark.parametrize("library", list(HEADERS))
@pytest.mark.slow
def test_headers_of_the_program(run: Runner, web: Any, library: str) -> None:
    """Headers of the program's go out as without us, but for a traceparent, which is ours; its own object stays."""
    path = run.program(HEADERS[library])
    plain, traced = (start(PYTHON, path, f"{web.url}/200") for start in (run.plain, run.traced))
    assert plain.status == 0, plain
    assert (traced.status, traced.out) == (0, plain.out), traced
    span = traced.spans.one()
    before, after = (dict(seen) for seen in web.seen)
    assert before.pop("traceparent") == "mine"
    assert after.pop("traceparent") == f"00-{span.trace_id}-{span.span_id}-01"
    assert after == before
    assert after["x-a"] == "1"


@pytest.mark.parametrize("library", ["primp", "httpr"])
def test_headers_of_a_client_stay(run: Runner, web: Any, library: str) -> None:
    """Headers that were given to the client go out beside ours, where the call itself gives none."""
    path = run.program(
        f"import sys, {library}\nclient = {library}.Client(headers={{'X-B': '2'}})\n"
        "print(client.get(sys.argv[1], params={'q': 'a b'}).status_code)\n"
    )
    plain, traced = (start(PYTHON, path, f"{web.url}/200") for start in (run.plain, run.traced))
    assert (traced.status, traced.out) == (0, plain.out), traced
    assert [seen.get("x-b") for seen in web.seen] == ["2", "2"]
    assert [seen["path"] for seen in web.seen] == ["/200?q=a+b"] * 2
    assert traced.spans.one().attributes["url.full"] == f"{web.url}/200?q=a+b"


def test_a_websocket_of_aiohttp() -> None:
    """A websocket's upgrade is a span with the status 101; it has ended while the websocket is open."""
    import aiohttp
    from aiohttp import web

    async def echo(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        async for message in socket:
            await socket.send_str(message.data)
        return socket

    async def talk() -> None:
        application = web.Application()
        application.router.add_get("/", echo)
        runner = web.AppRunner(application)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = runner.addresses[0][1]
        async with aiohttp.ClientSession() as session, session.ws_connect(f"http://127.0.0.1:{port}/") as socket:
            assert [span.attributes["http.response.status_code"] for span in spans.ended] == [101]
            await socket.send_str("hello")
            assert (await socket.receive()).data == "hello"
        await runner.cleanup()

    with tracing("aiohttp-client") as spans:
        asyncio.run(talk())
    assert len(spans.wait()) == 1


def test_a_cancelled_request_of_aiohttp(silent: str) -> None:
    """A request that is cancelled ends its span with the cancellation."""
    import aiohttp

    async def give_up() -> None:
        async with aiohttp.ClientSession() as session:
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(session.get(silent), 0.2)

    with tracing("aiohttp-client") as spans:
        asyncio.run(give_up())
    span = spans.one(SpanKind.CLIENT)
    assert span.status.status_code is StatusCode.ERROR
    assert span.attributes["error.type"] in ("asyncio.exceptions.CancelledError", "TimeoutError")


@pytest.fixture
def silent() -> Any:
    """The address of a server that takes connections and never answers."""
    import socket

    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/"


def test_a_cancelled_request_of_curl_cffi(silent: str, web: Any) -> None:
    """A request that is cancelled ends its span, and the session goes on."""
    from curl_cffi.requests import AsyncSession

    async def give_up() -> None:
        async with AsyncSession(max_clients=1) as session:
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(session.get(silent), 0.2)
            assert (await session.get(f"{web.url}/200")).status_code == 200

    with tracing("curl_cffi") as spans:
        asyncio.run(give_up())
    assert len(spans.wait()) == 2


def test_callbacks_of_tornado_are_the_programs(web: Any) -> None:
    """What a callback of tornado's client calls is no part of the fetch: it has its own span, beside it."""
    from tornado.httpclient import AsyncHTTPClient

    def on_chunk(_: bytes) -> None:
        urllib.request.urlopen(f"{web.url}/200/inner").read()

    async def fetch() -> None:
        with spans.tracer.start_as_current_span("work"):
            client = AsyncHTTPClient(force_instance=True)
            await client.fetch(f"{web.url}/200/outer", streaming_callback=on_chunk)
            client.close()

    with tracing("tornado_client", "urllib") as spans:
        asyncio.run(fetch())
    (work,) = (span for span in spans.ended if span.name == "work")
    calls = spans.of(SpanKind.CLIENT)
    assert sorted(span.attributes["url.full"] for span in calls) == [f"{web.url}/200/inner", f"{web.url}/200/outer"]
    assert {span.parent.span_id for span in calls} == {work.context.span_id}


def test_pycurl_is_what_it_is(run: Runner, web: Any) -> None:
    """The class that stands in pycurl's place looks and works as the original; a handle is used again and copied."""
    path = run.program(
        "import pycurl, sys\n"
        "from pycurl import Curl\n"
        "class Mine(Curl):\n    pass\n"
        "curl = Mine()\n"
        "print(type(Curl()), isinstance(curl, pycurl.Curl), Curl.__name__, Curl.__qualname__, bool(Curl.__doc__))\n"
        "curl.setopt(pycurl.URL, sys.argv[1])\n"
        "curl.setopt(pycurl.POSTFIELDS, 'a=1')\n"
        "curl.setopt(pycurl.HTTPHEADER, ['X-A: 1'])\n"
        "print(curl.perform_rs())\n"
        "curl.setopt(pycurl.HTTPGET, 1)\n"
        "print(curl.perform_rs(), curl.duphandle().perform_rs())\n"
        "curl.reset()\n"
        "curl.setopt(curl.URL, sys.argv[1] + '/head')\n"
        "curl.setopt(curl.NOBODY, True)\n"
        "curl.perform()\n"
        "multi = pycurl.CurlMulti()\n"
        "curl.setopt(curl.CUSTOMREQUEST, 'PUT')\n"
        "multi.add_handle(curl)\n"
        "multi.remove_handle(curl)\n"
        "try:\n    curl.setopt(curl.URL, 1)\nexcept TypeError as error:\n    print(error)\n"
        "curl.close()\nmulti.close()\n"
    )
    plain, traced = (start(PYTHON, path, f"{web.url}/200") for start in (run.plain, run.traced))
    assert plain.status == 0, plain
    assert (traced.status, traced.out, traced.theirs) == (0, plain.out, ""), traced
    assert [span.name for span in traced.spans] == ["POST", "GET", "GET", "HEAD", "PUT"]
    half = len(web.seen) // 2
    assert [seen.get("x-a") for seen in web.seen[half:]] == [seen.get("x-a") for seen in web.seen[:half]]
    assert len({seen.get("traceparent") for seen in web.seen[half:]}) == half


def test_a_stream_of_httpx2(web: Any) -> None:
    """The span of a streamed response ends with its body."""
    import httpx2

    with tracing("httpx2") as spans:
        with httpx2.stream("GET", f"{web.url}/200") as response:
            assert not spans.ended
            response.read()
        assert len(spans.ended) == 1


def test_a_stream_of_curl_cffi(web: Any) -> None:
    """A streamed response is a span with its status, read to the end or not."""
    from curl_cffi import requests

    with tracing("curl_cffi") as spans:
        with requests.Session() as session:
            for path, is_read in (("/200", True), ("/404", False)):
                response = session.get(web.url + path, stream=True)
                if is_read:
                    assert b"".join(response.iter_content()) == b"body of /200"
                response.close()
        spans.wait(2)
    assert [span.attributes["http.response.status_code"] for span in spans.ended] == [200, 404]
