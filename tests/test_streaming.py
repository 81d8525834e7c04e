"""Bodies that are read after the call: a client's span ends once, where the body ends, however it does."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import http.client
import threading
import urllib.request
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import aiohttp
import aiosonic  # type: ignore[import-untyped]
import curl_cffi.requests
import httpr
import httpx
import primp
import pytest
import requests
import urllib3
from opentelemetry import trace
from opentelemetry.trace import SpanKind, StatusCode

from tests.conftest import PYTHON, Runner
from tests.in_process import Spans, tracing

if TYPE_CHECKING:
    from collections.abc import Iterator

# Connections are dropped on purpose.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")

PART, LENGTH = b"part", 12


class Streams(BaseHTTPRequestHandler):
    """Sends the first part at once, and the others when it is told to; on /broken it hangs up instead."""

    protocol_version = "HTTP/1.1"
    go_on = threading.Event()

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(LENGTH))
        self.end_headers()
        self.wfile.write(PART)
        self.go_on.wait(20)
        if self.path == "/broken":
            self.close_connection = True
            return
        with contextlib.suppress(OSError):  # nobody reads any more
            self.wfile.write(PART * 2)

    def do_HEAD(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(LENGTH))
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Says nothing."""


def clean_up() -> None:
    while LEFT:
        LEFT.pop()()


@pytest.fixture
def server() -> Iterator[str]:
    Streams.go_on = threading.Event()
    with ThreadingHTTPServer(("127.0.0.1", 0), Streams) as made:
        threading.Thread(target=made.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{made.server_port}"
        Streams.go_on.set()
        clean_up()
        made.shutdown()


# What a test leaves behind: sessions, loops.
LEFT: list[Callable[[], object]] = []


class Reader:
    """A library's response while its body is read; each library's calls under the same names."""

    def __init__(self, address: str, path: str, method: str = "GET") -> None:
        self.response: Any
        self.open(address, path, method)

    def open(self, address: str, path: str, method: str) -> None:
        raise NotImplementedError

    def first(self) -> bytes:
        return bytes(self.response.read(len(PART)))

    def rest(self) -> bytes:
        return bytes(self.response.read())

    def close(self) -> None:
        self.response.close()


class AsyncReader(Reader):
    """The same on an event loop that runs while it is asked for something."""

    parts: Any

    def __init__(self, address: str, path: str, method: str = "GET") -> None:
        self.loop = asyncio.new_event_loop()
        LEFT.append(self.close_the_loop)
        super().__init__(address, path, method)

    def close_the_loop(self) -> None:
        # What a library closed last is closed by a callback, which a loop that is closed never calls.
        self.loop.run_until_complete(self.loop.shutdown_asyncgens())
        self.loop.run_until_complete(asyncio.sleep(0))
        self.loop.close()

    def open(self, address: str, path: str, method: str) -> None:
        self.loop.run_until_complete(self.start(f"http://{address}{path}", method))

    async def start(self, url: str, method: Any) -> None:
        raise NotImplementedError

    async def first_part(self) -> bytes:
        return bytes(await anext(self.parts, b""))

    async def read(self) -> bytes:
        return b"".join([part async for part in self.parts])

    async def end(self) -> None:
        await self.response.aclose()

    def first(self) -> bytes:
        return self.loop.run_until_complete(self.first_part())

    def rest(self) -> bytes:
        return self.loop.run_until_complete(self.read())

    def close(self) -> None:
        self.loop.run_until_complete(self.end())


class Requests(Reader):
    def open(self, address: str, path: str, method: str) -> None:
        self.response = requests.request(method, f"http://{address}{path}", stream=True, timeout=20)
        self.parts = self.response.iter_content(len(PART))

    def first(self) -> bytes:
        return next(self.parts, b"")

    def rest(self) -> bytes:
        return b"".join(self.parts)


class Urllib3(Reader):
    def open(self, address: str, path: str, method: str) -> None:
        pool = urllib3.PoolManager()
        self.response = pool.request(method, f"http://{address}{path}", preload_content=False, retries=False)


class Httpx(Reader):
    def open(self, address: str, path: str, method: str) -> None:
        client = httpx.Client()
        LEFT.append(client.close)
        self.response = client.send(client.build_request(method, f"http://{address}{path}"), stream=True)
        self.parts = self.response.iter_bytes(len(PART))

    def first(self) -> bytes:
        return next(self.parts, b"")

    def rest(self) -> bytes:
        return b"".join(self.parts)


class HttpxAsync(AsyncReader):
    async def start(self, url: str, method: Any) -> None:
        client = httpx.AsyncClient()
        LEFT.append(lambda: self.loop.run_until_complete(client.aclose()))
        self.response = await client.send(client.build_request(method, url), stream=True)
        self.parts = self.response.aiter_bytes(len(PART))


class Aiohttp(AsyncReader):
    async def start(self, url: str, method: Any) -> None:
        session = aiohttp.ClientSession()
        LEFT.append(lambda: self.loop.run_until_complete(session.close()))
        self.response = await session.request(method, url)

    async def first_part(self) -> bytes:
        return bytes(await self.response.content.read(len(PART)))

    async def read(self) -> bytes:
        return bytes(await self.response.read())

    async def end(self) -> None:
        self.response.close()


class HttpClient(Reader):
    def open(self, address: str, path: str, method: str) -> None:
        connection = http.client.HTTPConnection(address)
        connection.request(method, path)
        self.response = connection.getresponse()


class Urllib(Reader):
    def open(self, address: str, path: str, method: str) -> None:
        self.response = urllib.request.urlopen(urllib.request.Request(f"http://{address}{path}", method=method))


class CurlCffi(Reader):
    def open(self, address: str, path: str, method: Any) -> None:
        session: Any = curl_cffi.requests.Session()
        LEFT.append(session.close)
        self.response = session.request(method, f"http://{address}{path}", stream=True)
        self.parts = self.response.iter_content()

    def first(self) -> bytes:
        return next(self.parts, b"")

    def rest(self) -> bytes:
        return b"".join(self.parts)

    def close(self) -> None:
        Streams.go_on.set()  # libcurl sees that it is to stop when the next part comes
        self.response.close()


class CurlCffiAsync(AsyncReader):
    async def start(self, url: str, method: Any) -> None:
        session: Any = curl_cffi.requests.AsyncSession()
        LEFT.append(lambda: self.loop.run_until_complete(session.close()))
        self.response = await session.request(method, url, stream=True)
        self.parts = self.response.aiter_content()

    async def end(self) -> None:
        Streams.go_on.set()  # which waits for the end itself
        await self.response.aclose()


class Primp(Reader):
    def open(self, address: str, path: str, method: str) -> None:
        self.response = primp.Client().request(method, f"http://{address}{path}")
        self.parts = self.response.iter_bytes()

    def first(self) -> bytes:
        return next(self.parts, b"")

    def rest(self) -> bytes:
        return b"".join(self.parts)


class PrimpAsync(AsyncReader):
    async def start(self, url: str, method: Any) -> None:
        self.response = await primp.AsyncClient().request(method, url)
        self.parts = self.response.aiter_bytes()


class Httpr(Reader):
    def open(self, address: str, path: str, method: Any) -> None:
        self.stack = contextlib.ExitStack()
        self.response = self.stack.enter_context(httpr.Client().stream(method, f"http://{address}{path}"))

    def first(self) -> bytes:
        return next(self.response, b"")

    def close(self) -> None:
        self.stack.close()


class HttprAsync(AsyncReader):
    async def start(self, url: str, method: Any) -> None:
        self.client = httpr.AsyncClient()
        self.stack = contextlib.AsyncExitStack()
        self.response = await self.stack.enter_async_context(self.client.stream(method, url))
        self.parts = self.response.aiter_bytes()

    async def read(self) -> bytes:
        return bytes(await self.response.aread())

    async def end(self) -> None:
        await self.stack.aclose()


class Aiosonic(AsyncReader):
    async def start(self, url: str, method: Any) -> None:
        self.response = await aiosonic.HTTPClient().request(url, method, stream=True)
        self.parts = self.response.iter_bytes()


READERS: dict[str, type[Reader]] = {
    "requests": Requests,
    "urllib3": Urllib3,
    "httpx": Httpx,
    "httpx async": HttpxAsync,
    "aiohttp-client": Aiohttp,
    "http_client": HttpClient,
    "urllib": Urllib,
    "curl_cffi": CurlCffi,
    "curl_cffi async": CurlCffiAsync,
    "httpr": Httpr,
    "httpr async": HttprAsync,
    "aiosonic": Aiosonic,
    "primp": Primp,
    "primp async": PrimpAsync,
}


# Of these nobody is told that they are collected, or only by a loop that still runs.
UNSEEN = ("primp", "primp async", "httpr async")


# A thread of httpr's reads on, and its close() waits for that with the interpreter's lock.
CANCELLABLE = [name for name, kind in READERS.items() if issubclass(kind, AsyncReader) and kind is not HttprAsync]


@pytest.fixture(params=list(READERS))
def library(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def spans(library: str) -> Iterator[Spans]:
    with tracing(library.partition(" ")[0]) as made:
        yield made
    gc.collect()


def test_read_to_the_end(server: str, spans: Spans, library: str) -> None:
    """The span is open until the last byte is read, and not current meanwhile."""
    reader = READERS[library](server, "/")
    assert reader.first() == PART
    assert spans.ended == []
    assert not trace.get_current_span().get_span_context().is_valid
    Streams.go_on.set()
    assert reader.rest() == PART * 2
    if library == "urllib":  # which only then asks for what is not there
        reader.close()
    assert spans.one(SpanKind.CLIENT).status.status_code is StatusCode.UNSET


@pytest.mark.slow
def test_closed_early(server: str, spans: Spans, library: str) -> None:
    """Closing is the end, once."""
    reader = READERS[library](server, "/")
    reader.first()
    assert spans.ended == []
    reader.close()
    reader.close()
    assert spans.one(SpanKind.CLIENT).status.status_code is StatusCode.UNSET


@pytest.mark.slow
def test_broken_off(server: str, spans: Spans, library: str) -> None:
    """A body that breaks off is the span's error."""
    reader = READERS[library](server, "/broken")
    reader.first()
    Streams.go_on.set()
    with pytest.raises(Exception, match=r"^") as caught:
        reader.rest()
    del caught
    reader.close()
    span = spans.one(SpanKind.CLIENT)
    assert (span.status.status_code, bool(span.attributes["error.type"])) == (StatusCode.ERROR, True)


@pytest.mark.slow
def test_while_another_error_is_handled(server: str, spans: Spans, library: str) -> None:
    """An error of the program's own is no error of the body's."""
    reader = READERS[library](server, "/")
    Streams.go_on.set()
    try:
        READERS[""]
    except KeyError:
        reader.rest()
        reader.close()
    assert spans.one(SpanKind.CLIENT).status.status_code is StatusCode.UNSET


@pytest.mark.parametrize("library", CANCELLABLE, indirect=True)
def test_cancelled(server: str, spans: Spans, library: str) -> None:
    """A read that is cancelled, and what the program does about it: the end, once."""
    reader = READERS[library](server, "/")
    assert isinstance(reader, AsyncReader)
    reader.first()
    with pytest.raises(asyncio.TimeoutError):
        reader.loop.run_until_complete(asyncio.wait_for(reader.read(), 0.05))
    reader.close()
    assert len(spans.wait(1)) == 1


@pytest.mark.slow
def test_without_a_body(server: str, spans: Spans, library: str) -> None:
    """A response that has none."""
    reader = READERS[library](server, "/", "HEAD")
    assert reader.rest() == b""
    reader.close()
    assert spans.one(SpanKind.CLIENT).attributes["http.response.status_code"] == 200


@pytest.mark.slow
@pytest.mark.parametrize("library", [name for name in READERS if name not in UNSEEN], indirect=True)
def test_dropped(server: str, spans: Spans, library: str) -> None:
    """A response that nobody wants any more has ended where it is collected."""
    reader = READERS[library](server, "/")
    reader.first()
    del reader
    if library == "curl_cffi":  # whose thread reads on
        Streams.go_on.set()
    clean_up()  # an event loop keeps what it serves
    gc.collect()
    assert len(spans.wait(1)) == 1


OPEN_AT_THE_END = {
    "primp": "import primp; kept = primp.get(url)",
    "httpr": "import httpr; kept = httpr.Client()._stream('GET', url)",
    "requests": "import requests; kept = requests.get(url, stream=True)",
    "httpx": "import httpx; kept = httpx.Client().send(httpx.Request('GET', url), stream=True)",
    "http_client": "import http.client; c = http.client.HTTPConnection(url.split('/')[2]); c.request('GET', '/')\n"
    "kept = c.getresponse()",
    "urllib": "import urllib.request; kept = urllib.request.urlopen(url)",
}


@pytest.mark.slow
@pytest.mark.parametrize("program", OPEN_AT_THE_END.values(), ids=OPEN_AT_THE_END.keys())
@pytest.mark.parametrize("end", ["", "os._exit(0)", "sys.exit()"])
def test_open_at_the_end(run: Runner, server: str, program: str, end: str) -> None:
    """What is open when the process ends is not lost, and what a forked child finds open is the parent's."""
    fork = "import os\nif not os.fork():\n    kept.close()\n    os._exit(0)\nos.wait()\n"
    text = f"import sys\nurl = sys.argv[1]\n{program}\n{fork}{end}"
    done = run.traced(PYTHON, run.program(text), f"http://{server}/")
    assert done.err == ""
    assert done.spans.one().attributes["http.response.status_code"] == 200
