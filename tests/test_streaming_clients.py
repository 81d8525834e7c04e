"""Streamed bodies in real programs, with newest and oldest releases: the same outcome, and spans to the end."""

from __future__ import annotations

import contextlib
import threading
import time
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from opentelemetry.trace import SpanKind, StatusCode

from tests.conftest import PYTHON, Runner
from tests.environments import CURRENT, Environments, environments
from tests.in_process import tracing
from tests.test_http_clients_releases import with_both

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["environments"]  # the fixture
ERROR, UNSET = 2, 0
PARTS = 3


class Chunks(BaseHTTPRequestHandler):
    """Sends a body in parts, those after the first when the program has made its mark.

    On /broken it hangs up after the first, on /empty and to HEAD there is none.
    """

    protocol_version = "HTTP/1.1"
    marks = Path()
    gated = True

    def do_GET(self) -> None:
        self.send_response(200)
        if self.path == "/empty":
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_header("Transfer-Encoding", "chunked")
        before = self._marks()
        self.end_headers()
        with contextlib.suppress(OSError):  # nobody reads any more
            self.wfile.write(b"4\r\npart\r\n")
            self._wait_for_more_than(before)
            if self.path == "/broken":
                self.close_connection = True
            else:
                self.wfile.write(b"4\r\npart\r\n" * (PARTS - 1) + b"0\r\n\r\n")

    def _marks(self) -> int:
        return len(self.marks.read_bytes().splitlines()) if self.marks.is_file() else 0

    def _wait_for_more_than(self, before: int) -> None:
        until = time.monotonic() + 10
        while self.gated and self._marks() <= before and time.monotonic() < until:
            time.sleep(0.005)

    def do_HEAD(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "12")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    Chunks.marks, Chunks.gated = tmp_path / "marks.txt", True
    with ThreadingHTTPServer(("127.0.0.1", 0), Chunks) as made:
        threading.Thread(target=made.serve_forever, args=(0.05,), daemon=True).start()
        yield f"http://127.0.0.1:{made.server_port}"
        made.shutdown()


# A program has `whole`, which reads a body, and `closed`, which does not; mark() says when the first part is there.
SYNC = """
import sys, time
url = sys.argv[1]
def mark():
    with open("marks.txt", "a") as marks:
        print(time.time_ns(), file=marks)
{}
print(whole(url + "/"), type(whole))
closed(url + "/")
try:
    whole(url + "/broken")
except Exception as error:
    print(type(error))
"""
ASYNC = (
    SYNC.partition("print(whole")[0]
    + """
async def main():
    print(await whole(url + "/"), type(whole))
    await closed(url + "/")
    try:
        await whole(url + "/broken")
    except Exception as error:
        print(type(error))
import asyncio
asyncio.run(main())
"""
)
CURL_CFFI = """
from curl_cffi import requests
session = requests.Session()
def whole(url):
    r = session.get(url, stream=True)
    parts = r.iter_content()
    got = next(parts)
    mark()
    got += b"".join(parts)
    r.close()
    return r.status_code, type(r), got
def closed(url):
    with session.stream("GET", url) as r:
        next(r.iter_content())
        mark()
"""
CURL_CFFI_ASYNC = """
from curl_cffi import requests
async def whole(url):
    async with requests.AsyncSession() as session:
        r = await session.get(url, stream=True)
        parts = r.aiter_content()
        got = await anext(parts)
        mark()
        async for part in parts:
            got += part
        await r.aclose()
        return r.status_code, type(r), got
async def closed(url):
    async with requests.AsyncSession() as session, session.stream("GET", url) as r:
        await anext(r.aiter_content())
        mark()
"""
PRIMP = """
import primp
def whole(url):
    r = primp.get(url)
    parts = r.iter_bytes()
    got = next(parts)
    mark()
    return r.status_code, type(r), type(parts), got + b"".join(parts)
def closed(url):
    with primp.Client().get(url) as r:
        mark()
"""
PRIMP_ASYNC = """
import primp
client = primp.AsyncClient()
async def whole(url):
    r = await client.get(url)
    mark()
    return r.status_code, type(r), await r.aread()
async def closed(url):
    r = await client.get(url)
    mark()
    await r.aclose()
"""
HTTPR = """
import httpr
client = httpr.Client()
def whole(url):
    with client.stream("GET", url) as r:
        mark()
        lines = r.iter_lines()
        return r.status_code, type(r), type(lines), "".join(lines)
def closed(url):
    with client.stream("GET", url) as r:
        next(r)
        mark()
"""
HTTPR_ASYNC = """
import httpr
client = httpr.AsyncClient()
async def whole(url):
    async with client.stream("GET", url) as r:
        mark()
        return r.status_code, type(r), r.read()
async def closed(url):
    async with client.stream("GET", url) as r:
        mark()
"""
AIOSONIC = """
import aiosonic
async def whole(url):
    r = await aiosonic.HTTPClient().get(url)
    parts = r.read_chunks()
    got = await anext(parts)
    mark()
    async for part in parts:
        got += part
    return r.status_code, type(r), type(parts), got
async def closed(url):
    r = await aiosonic.HTTPClient().get(url)
    parts = r.read_chunks()
    await anext(parts)
    mark()
    await parts.aclose()
"""
NIQUESTS = """
import niquests
session = niquests.Session()
def whole(url):
    r = session.get(url, stream=True)
    parts = r.iter_content(4)
    got = next(parts)
    mark()
    return r.status_code, type(r), type(r.raw), got + b"".join(parts)
def closed(url):
    with session.get(url, stream=True) as r:
        mark()
"""
NIQUESTS_ASYNC = """
import niquests
async def whole(url):
    async with niquests.AsyncSession() as session:
        r = await session.get(url, stream=True)
        mark()
        return r.status_code, type(r), await r.content
async def closed(url):
    async with niquests.AsyncSession() as session:
        r = await session.get(url, stream=True)
        mark()
        await r.close()
"""
HTTPX2 = """
import httpx2
client = httpx2.Client()
def whole(url):
    with client.stream("GET", url) as r:
        parts = r.iter_bytes()
        got = next(parts)
        mark()
        return r.status_code, type(r), type(parts), got + b"".join(parts)
def closed(url):
    with client.stream("GET", url) as r:
        parts = r.iter_bytes()
        next(parts)
        mark()
"""
HTTPX2_ASYNC = """
import httpx2
async def whole(url):
    async with httpx2.AsyncClient() as client, client.stream("GET", url) as r:
        mark()
        return r.status_code, type(r), await r.aread()
async def closed(url):
    async with httpx2.AsyncClient() as client, client.stream("GET", url) as r:
        mark()
"""
TWISTED = """
import threading
from twisted.internet import reactor
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.protocol import Protocol
from twisted.internet.threads import blockingCallFromThread
from twisted.web.client import Agent, ResponseDone
class Parts(Protocol):
    def __init__(self, stop):
        self.got, self.stop, self.over = b"", stop, Deferred()
    def dataReceived(self, data):
        if not self.got:
            mark()
        self.got += data
        if self.stop:
            self.transport.loseConnection()
    def connectionLost(self, reason):
        self.over.callback(None) if self.stop or reason.check(ResponseDone) else self.over.errback(reason)
async def read(url, stop):
    r = await Agent(reactor).request(b"GET", url.encode())
    parts = Parts(stop)
    r.deliverBody(parts)
    await parts.over
    return r.code, type(r), parts.got
def whole(url):
    return blockingCallFromThread(reactor, lambda: ensureDeferred(read(url, False)))
def closed(url):
    blockingCallFromThread(reactor, lambda: ensureDeferred(read(url, True)))
threading.Thread(target=reactor.run, args=(False,), daemon=True).start()
"""
# The program, and the packages of its releases; those of this environment have no name.
PROGRAMS: dict[str, tuple[str, tuple[tuple[str, ...], ...]]] = {
    "curl_cffi": (SYNC.format(CURL_CFFI), ((), ("curl_cffi==0.7.0",))),
    "curl_cffi async": (ASYNC.format(CURL_CFFI_ASYNC), ((), ("curl_cffi==0.7.0",))),
    # Before 2024-12 it reads the body before it returns.
    "primp": (SYNC.format(PRIMP), ((),)),
    "primp async": (ASYNC.format(PRIMP_ASYNC), ((),)),
    "urllib3_future": (SYNC.format(NIQUESTS), (("niquests",), ("niquests==3.10.0", "urllib3-future==2.11.906"))),
    "urllib3_future async": (
        ASYNC.format(NIQUESTS_ASYNC),
        (("niquests",), ("niquests==3.10.0", "urllib3-future==2.11.906")),
    ),
    "httpr": (SYNC.format(HTTPR), ((), ("httpr==0.2.2",))),
    "httpr async": (ASYNC.format(HTTPR_ASYNC), ((), ("httpr==0.2.2",))),
    "aiosonic": (ASYNC.format(AIOSONIC), ((), ("aiosonic==0.21.0",))),
    "httpx2": (SYNC.format(HTTPX2), ((), ("httpx2==2.0.0",))),
    "httpx2 async": (ASYNC.format(HTTPX2_ASYNC), ((), ("httpx2==2.0.0",))),
    "twisted_client": (SYNC.format(TWISTED), ((), ("twisted==22.10.0",))),
}
RELEASES = [
    pytest.param(library, packages, marks=pytest.mark.slow, id=f"{library}-{packages[0] if packages else 'newest'}")
    for library, (_, releases) in PROGRAMS.items()
    for packages in releases
]


@pytest.fixture
def hasty(server: str) -> str:
    """The same, which waits for no mark."""
    Chunks.gated = False
    return server


def check(run: Runner, server: str, python: str, library: str) -> None:
    """Runs a library's program plain and traced."""
    program = run.program(PROGRAMS[library][0])
    plain, traced = run.plain(python, program, server), run.traced(python, program, server)
    assert plain.status == 0, plain
    assert (traced.status, traced.out, traced.theirs) == (0, plain.out, plain.err), traced
    marks = [int(line) for line in (run.folder / "marks.txt").read_text().splitlines()]
    whole, closed, broken = sorted(traced.spans, key=lambda span: span.start)
    assert len(marks) == 6
    assert [span.end >= mark for span, mark in zip((whole, closed, broken), marks[3:], strict=True)] == [True] * 3
    assert [span.status for span in (whole, closed, broken)] == [UNSET, UNSET, ERROR]
    assert {span.attributes["http.response.status_code"] for span in (whole, closed, broken)} == {200}
    assert broken.attributes["error.type"]


@pytest.mark.parametrize(("library", "packages"), RELEASES)
def test_read_to_the_end(
    run: Runner, server: str, environments: Environments, library: str, packages: tuple[str, ...]
) -> None:
    """Read, closed and broken off: the program gets what it gets without us, and each span ends with the body."""
    check(run, server, environments.python(CURRENT, *packages) if packages else PYTHON, library)


@pytest.mark.parametrize("library", ["urllib3_future", "urllib3_future async"])
@pytest.mark.slow
def test_read_to_the_end_beside_urllib3(run: Runner, server: str, environments: Environments, library: str) -> None:
    """The same where urllib3-future has a name of its own."""
    check(run, server, with_both(environments), library)
    assert {span.scope for span in run.spans()} == {"tracerun.urllib3_future"}


DROPS = """
import sys, time, primp
client, url, kept = primp.Client(), sys.argv[1], []
for number in range(4):
    response = client.get(url + "/")
    kept.append(response if number < 2 else None)
    with open("marks.txt", "a") as marks:
        print(time.time_ns(), file=marks)
print(len(kept), [response.text for response in kept[:1]])
time.sleep(0.2)
"""


def test_responses_that_nobody_reads(run: Runner, server: str) -> None:
    """Rust tells nobody that a response is collected: its span is there at the end, as of when it was last used."""
    done = run.traced(PYTHON, run.program(DROPS), server)
    assert (done.status, done.out) == (0, f"4 ['{'part' * PARTS}']\n"), done
    marks = [int(line) for line in (run.folder / "marks.txt").read_text().splitlines()]
    read, *others = sorted(done.spans, key=lambda span: span.start)
    assert read.end >= marks[-1]
    assert [span.end <= mark for span, mark in zip(others, marks[1:], strict=True)] == [True] * 3


def test_responses_of_primp_without_a_body(hasty: str) -> None:
    """Of these nothing is waited for."""
    import primp

    with tracing("primp") as spans:
        primp.head(f"{hasty}/")
        primp.get(f"{hasty}/empty")
        assert len(spans.ended) == 2


def test_responses_of_primp_that_wait(hasty: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that nobody begins to read is given up when a later one comes; one that is being read is not."""
    import primp

    from tracerun.instrumentation import ledger

    monkeypatch.setattr(ledger, "_PATIENCE", 0)
    with tracing("primp") as spans:
        begun = primp.get(f"{hasty}/")
        part = begun.next() or b""
        left = primp.get(f"{hasty}/")
        last = primp.get(f"{hasty}/")
        assert [span.context for span in spans.ended] == [spans.started[1].context]
        body = b"part" * PARTS
        assert [part + begun.read(), left.content, last.content] == [body] * 3
        assert len(spans.ended) == 3


SHOWS = """
import pickle, sys, primp
r = primp.get(sys.argv[1], stream=True)
print(type(r), type(r) is primp.Response, isinstance(r, primp.Response), sorted(vars(type(r))))
print(r.status_code, sorted(r.headers), r.encoding, r.url)
for name in ("content", "nothing"):
    try:
        setattr(r, name, 1)
    except Exception as error:
        print(type(error), error)
try:
    pickle.dumps(r)
except Exception as error:
    print(type(error), error)
with r as same:
    print(same is r, r.next(), type(r.read))
r.close()
try:
    r.content
except Exception as error:
    print(type(error), error)
r = primp.get(sys.argv[1])
try:
    r.json()
except Exception as error:
    print(type(error), error)
"""


def test_responses_of_primp_are_its_own(run: Runner, hasty: str) -> None:
    """They are what they are without us; a body that is no JSON has ended, and has not failed."""
    program = run.program(SHOWS)
    plain, traced = (start(PYTHON, program, f"{hasty}/") for start in (run.plain, run.traced))
    assert plain.status == 0, plain
    assert traced.out.replace("<class 'method'>", "<class 'builtin_function_or_method'>") == plain.out
    assert [span.status for span in traced.spans] == [UNSET, UNSET]


def test_curl_cffi_without_a_stream(hasty: str) -> None:
    """A body that breaks off is an error, wherever it goes; one before it, which the program handles, is none."""
    from curl_cffi import requests

    came: list[bytes] = []

    def keep(part: bytes) -> int:
        came.append(part)
        return len(part)

    with tracing("curl_cffi") as spans, requests.Session() as session:
        try:
            session.get(f"{hasty}/broken")
        except requests.exceptions.RequestException:
            session.get(f"{hasty}/", content_callback=keep)
        with pytest.raises(requests.exceptions.RequestException):
            session.get(f"{hasty}/broken", content_callback=keep)
    assert b"".join(came) == b"part" * (PARTS + 1)
    statuses = [span.status.status_code for span in spans.of(SpanKind.CLIENT)]
    assert statuses == [StatusCode.ERROR, StatusCode.UNSET, StatusCode.ERROR]
    assert [span.attributes.get("error.type") for span in spans.ended] == [
        "curl_cffi.curl.CurlError",
        None,
        "curl_cffi.curl.CurlError",
    ]


def test_a_cached_answer_of_curl_cffi(hasty: str, tmp_path: Path) -> None:
    """What comes from the session's cache is no request."""
    from curl_cffi import requests
    from curl_cffi.requests.cache import FileCacheBackend

    cache = FileCacheBackend(expires=timedelta(seconds=60), path=tmp_path)
    with tracing("curl_cffi") as spans, requests.Session(cache=cache) as session:
        texts = {session.get(f"{hasty}/").text for _ in range(3)}
    assert texts == {"part" * PARTS}
    assert spans.one(SpanKind.CLIENT).attributes["http.response.status_code"] == 200
