"""Every HTTP client: one CLIENT span per request, its context on the wire, the program's result its own."""

from __future__ import annotations

import contextlib
import signal
import socket
import tempfile
import textwrap
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import PYTHON, Runner

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CLIENT, ERROR, UNSET = 3, 2, 0

TORNADO = (
    "import asyncio, sys\nfrom tornado.httpclient import AsyncHTTPClient, HTTPClientError\n\nasync def main():\n"
    "    try:\n        r = await AsyncHTTPClient().fetch(sys.argv[1])\n"
    "    except HTTPClientError as error:\n        r = error.response\n        if r is None:\n            raise\n"
    "    print(r.code, r.body.decode())\n\nasyncio.run(main())"
)
PYCURL_MULTI = (
    "import io, pycurl, sys\nbody, curl, multi = io.BytesIO(), pycurl.Curl(), pycurl.CurlMulti()\n"
    "curl.setopt(curl.URL, sys.argv[1])\ncurl.setopt(curl.WRITEDATA, body)\nmulti.add_handle(curl)\nwhile True:\n"
    "    multi.perform()\n    waiting, done, failed = multi.info_read()\n    if failed:\n"
    "        raise pycurl.error(*failed[0][1:])\n    if done:\n        break\n    multi.select(1.0)\n"
    "multi.remove_handle(curl)\nprint(curl.getinfo(curl.RESPONSE_CODE), body.getvalue().decode())"
)
TWISTED = (
    "import sys\nfrom twisted.internet.task import react\nfrom twisted.web.client import Agent, readBody\n\n"
    "async def main(reactor):\n    r = await Agent(reactor).request(b'GET', sys.argv[1].encode())\n"
    "    print(r.code, (await readBody(r)).decode())\n\nreact(main)"
)
# Each makes a GET of the first argument and prints status and body.
GET = {
    "requests": "import requests, sys\nr = requests.get(sys.argv[1])\nprint(r.status_code, r.text)",
    "urllib3": "import urllib3, sys\nr = urllib3.PoolManager().request('GET', sys.argv[1], retries=False)\n"
    "print(r.status, r.data.decode())",
    "urllib": "import sys, urllib.error, urllib.request\n"
    "try:\n    r = urllib.request.urlopen(sys.argv[1])\nexcept urllib.error.HTTPError as error:\n    r = error\n"
    "print(r.status, r.read().decode())",
    "http_client": "import http.client, sys\nfrom urllib.parse import urlsplit\nparts = urlsplit(sys.argv[1])\n"
    "connection = http.client.HTTPConnection(parts.hostname, parts.port)\n"
    "connection.request('GET', (parts.path or '/') + ('?' + parts.query if parts.query else ''))\n"
    "r = connection.getresponse()\nprint(r.status, r.read().decode())",
    "aiohttp-client": "import aiohttp, asyncio, sys\n\nasync def main():\n"
    "    async with aiohttp.ClientSession() as session, session.get(sys.argv[1]) as r:\n"
    "        print(r.status, await r.text())\n\nasyncio.run(main())",
    "httplib2": "import httplib2, sys\nr, body = httplib2.Http().request(sys.argv[1])\nprint(r.status, body.decode())",
    "tornado_client": TORNADO,
    "tornado_client curl": "from tornado.httpclient import AsyncHTTPClient\n"
    "AsyncHTTPClient.configure('tornado.curl_httpclient.CurlAsyncHTTPClient')\n" + TORNADO,
    "pycurl": "import pycurl, sys\ncurl = pycurl.Curl()\ncurl.setopt(pycurl.URL, sys.argv[1])\n"
    "body = curl.perform_rb()\nprint(curl.getinfo(pycurl.RESPONSE_CODE), body.decode())",
    "pycurl multi": PYCURL_MULTI,
    "twisted_client": TWISTED,
    "twisted_client treq": "import sys, treq\nfrom twisted.internet.task import react\n\nasync def main(reactor):\n"
    "    r = await treq.get(sys.argv[1])\n    print(r.code, await r.text())\n\nreact(main)",
    "httpx2": "import httpx2, sys\nr = httpx2.get(sys.argv[1])\nprint(r.status_code, r.text)",
    "httpx2 async": "import asyncio, httpx2, sys\n\nasync def main():\n    async with httpx2.AsyncClient() as client:\n"
    "        r = await client.get(sys.argv[1])\n        print(r.status_code, r.text)\n\nasyncio.run(main())",
    "curl_cffi": "import sys\nfrom curl_cffi import requests\nr = requests.get(sys.argv[1])\n"
    "print(r.status_code, r.text)",
    "curl_cffi async": "import asyncio, sys\nfrom curl_cffi.requests import AsyncSession\n\nasync def main():\n"
    "    async with AsyncSession() as session:\n        r = await session.get(sys.argv[1])\n"
    "        print(r.status_code, r.text)\n\nasyncio.run(main())",
    "aiosonic": "import aiosonic, asyncio, sys\n\nasync def main():\n    async with aiosonic.HTTPClient() as client:\n"
    "        r = await client.get(sys.argv[1])\n        print(r.status_code, await r.text())\n\nasyncio.run(main())",
    "primp": "import primp, sys\nr = primp.Client().get(sys.argv[1])\nprint(r.status_code, r.text)",
    "primp function": "import primp, sys\nr = primp.get(sys.argv[1])\nprint(r.status_code, r.text)",
    "primp async": "import asyncio, primp, sys\n\nasync def main():\n"
    "    r = await primp.AsyncClient().get(sys.argv[1])\n    print(r.status_code, r.text)\n\nasyncio.run(main())",
    "httpr": "import httpr, sys\nr = httpr.get(sys.argv[1])\nprint(r.status_code, r.text)",
    "httpr async": "import asyncio, httpr, sys\n\nasync def main():\n    async with httpr.AsyncClient() as client:\n"
    "        r = await client.get(sys.argv[1])\n        print(r.status_code, r.text)\n\nasyncio.run(main())",
    "pyqwest": "import pyqwest, sys\nr = pyqwest.SyncClient().get(sys.argv[1])\nprint(r.status, r.text())",
    # A process that ends right after an answer is aborted by pyqwest's threads now and then, traced or not.
    "pyqwest async": "import asyncio, pyqwest, sys\n\nasync def main():\n"
    "    r = await pyqwest.Client().get(sys.argv[1])\n    print(r.status, r.text())\n    await asyncio.sleep(0.2)\n\n"
    "asyncio.run(main())",
    "httpx": "import httpx, sys\nr = httpx.get(sys.argv[1])\nprint(r.status_code, r.text)",
    "httpx async": "import asyncio, httpx, sys\n\nasync def main():\n    async with httpx.AsyncClient() as client:\n"
    "        r = await client.get(sys.argv[1])\n        print(r.status_code, r.text)\n\nasyncio.run(main())",
}
# Their responses do not say what they came over.
WITHOUT_VERSION = ("tracerun.primp", "tracerun.httpr")
# From Rust nothing is heard of the connection.
WITHOUT_PEER = (*WITHOUT_VERSION, "tracerun.pyqwest")
# These stand for all in make test-fast.
FAST = ("requests", "urllib3", "httpx", "http_client", "aiohttp-client")
LIBRARIES = pytest.mark.parametrize(
    "library", [pytest.param(name, marks=() if name in FAST else pytest.mark.slow) for name in GET]
)


def both(run: Runner, library: str, *arguments: str) -> Any:
    """Runs the program plain and traced; the outcome must be the same."""
    program = run.program(GET[library])
    plain = settled(library, lambda: run.plain(PYTHON, program, *arguments))
    traced = settled(library, lambda: run.traced(PYTHON, program, *arguments))
    assert (traced.status, traced.out) == (plain.status, plain.out), traced
    return traced


def settled(library: str, start: Callable[[], Any]) -> Any:
    """The threads of pyqwest abort a process now and then that ends by an exception, also one that nobody traces."""
    tries = 5 if library.startswith("pyqwest") else 1
    done = start()
    while done.status == -signal.SIGABRT and tries > 1:
        tries, done = tries - 1, start()
    return done


@LIBRARIES
def test_one_span_with_the_stable_conventions(run: Runner, web: Any, library: str) -> None:
    """A request is one CLIENT span with the attributes of the stable HTTP conventions."""
    done = both(run, library, f"{web.url}/200/thing?page=2")
    span = done.spans.one()
    assert (span.kind, span.name, span.status, span.parent_id) == (CLIENT, "GET", UNSET, "")
    assert span.scope == f"tracerun.{library.partition(' ')[0]}"
    assert span.attributes == {
        "http.request.method": "GET",
        "url.full": f"{web.url}/200/thing?page=2",
        "server.address": "127.0.0.1",
        "server.port": web.port,
        "http.response.status_code": 200,
        **({} if span.scope in WITHOUT_VERSION else {"network.protocol.version": "1.1"}),
        **({} if span.scope in WITHOUT_PEER else {"network.peer.address": "127.0.0.1", "network.peer.port": web.port}),
    }


class Closing(BaseHTTPRequestHandler):
    """Answers with nothing but a head, and hangs up."""

    def do_GET(self) -> None:
        self.send_response(204)
        self.send_header("Connection", "close")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Says nothing."""


class OnSocket(ThreadingHTTPServer):
    """A server at a path."""

    address_family = socket.AF_UNIX

    def server_bind(self) -> None:
        self.socket.bind(self.server_address)  # what the class does beside that is for ports

    def get_request(self) -> Any:
        return self.socket.accept()[0], ("", 0)


@contextlib.contextmanager
def serving(
    kind: type[ThreadingHTTPServer], address: Any, handler: type[BaseHTTPRequestHandler] = Closing
) -> Iterator[ThreadingHTTPServer]:
    """A server that hangs up after each answer."""
    with kind(address, handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield server
        server.shutdown()


def peer_of(span: Any) -> tuple[Any, Any]:
    return span.attributes.get("network.peer.address"), span.attributes.get("network.peer.port")


@LIBRARIES
@pytest.mark.slow
def test_peer_of_a_connection_that_closes(run: Runner, library: str) -> None:
    """The other end is known also where the connection is closed with the head, before the program gets it."""
    with serving(ThreadingHTTPServer, ("127.0.0.1", 0)) as server:
        span = both(run, library, f"http://127.0.0.1:{server.server_port}/").spans.one()
    assert span.attributes["http.response.status_code"] == 204
    known = span.scope not in WITHOUT_PEER
    assert peer_of(span) == (("127.0.0.1", server.server_port) if known else (None, None))


@pytest.mark.parametrize("library", ["requests", "urllib", "httpx", "httpx async", "httpx2", "pycurl", "curl_cffi"])
@pytest.mark.slow
def test_peer_is_the_proxy(run: Runner, web: Any, library: str) -> None:
    """Through a proxy the other end is the proxy, and the server the one that was asked for."""
    run.env["http_proxy"] = web.url
    span = both(run, library, "http://shop.invalid/200").spans.one()
    assert (span.attributes["server.address"], span.attributes["server.port"]) == ("shop.invalid", 80)
    assert peer_of(span) == ("127.0.0.1", web.port)


# Each makes a GET by the socket at a path.
ON_SOCKETS = {
    "http_client": "import http.client, socket, sys\nclass Connection(http.client.HTTPConnection):\n"
    "    def connect(self):\n        self.sock = socket.socket(socket.AF_UNIX)\n"
    "        self.sock.connect(sys.argv[1])\n"
    "connection = Connection('shop')\nconnection.request('GET', '/')\nprint(connection.getresponse().status)",
    "httpx": "import httpx, sys\nwith httpx.Client(transport=httpx.HTTPTransport(uds=sys.argv[1])) as client:\n"
    "    print(client.get('http://shop/').status_code)",
    "httpx async": "import asyncio, httpx, sys\nasync def main():\n"
    "    async with httpx.AsyncClient(transport=httpx.AsyncHTTPTransport(uds=sys.argv[1])) as client:\n"
    "        print((await client.get('http://shop/')).status_code)\nasyncio.run(main())",
    "aiohttp-client": "import aiohttp, asyncio, sys\nasync def main():\n"
    "    async with aiohttp.ClientSession(connector=aiohttp.UnixConnector(sys.argv[1])) as session:\n"
    "        print((await session.get('http://shop/')).status)\nasyncio.run(main())",
    "pycurl": "import pycurl, sys\ncurl = pycurl.Curl()\ncurl.setopt(pycurl.URL, 'http://shop/')\n"
    "curl.setopt(pycurl.UNIX_SOCKET_PATH, sys.argv[1])\ncurl.perform()\nprint(curl.getinfo(pycurl.RESPONSE_CODE))",
    "twisted_client": "import sys\nfrom twisted.internet.endpoints import UNIXClientEndpoint\n"
    "from twisted.internet.task import react\nfrom twisted.web.client import Agent\nclass Endpoints:\n"
    "    def endpointForURI(self, uri):\n        return UNIXClientEndpoint(reactor, sys.argv[1])\n"
    "from twisted.internet import reactor\nfrom zope.interface import directlyProvides\n"
    "from twisted.web.iweb import IAgentEndpointFactory\nmade = Endpoints()\n"
    "directlyProvides(made, IAgentEndpointFactory)\nasync def main(reactor):\n"
    "    agent = Agent.usingEndpointFactory(reactor, made)\n"
    "    print((await agent.request(b'GET', b'http://shop/')).code)\nreact(main)",
}


@pytest.mark.parametrize("library", ON_SOCKETS)
@pytest.mark.slow
def test_peer_is_a_path(run: Runner, library: str) -> None:
    """Of a Unix socket the other end is its path, and there is no port."""
    with tempfile.TemporaryDirectory() as folder:  # a short one: a path of a socket has a hundred bytes at most
        path = f"{folder}/socket"
        with serving(OnSocket, path):
            done = run.traced(PYTHON, run.program(ON_SOCKETS[library]), path)
    assert (done.status, done.out) == (0, "204\n"), done
    assert peer_of(done.spans.one()) == (path, None)


@LIBRARIES
def test_context_goes_out_in_w3c_headers(run: Runner, web: Any, library: str) -> None:
    """The request carries a traceparent that names the span; a plain run sends none."""
    span = both(run, library, f"{web.url}/200").spans.one()
    plain, traced = web.seen
    assert "traceparent" not in plain
    assert traced["traceparent"] == f"00-{span.trace_id}-{span.span_id}-01"


@LIBRARIES
@pytest.mark.parametrize("status", [404, 503])
@pytest.mark.slow
def test_error_status(run: Runner, web: Any, library: str, status: int) -> None:
    """A status of 4xx or 5xx is an error of the client's span."""
    span = both(run, library, f"{web.url}/{status}").spans.one()
    assert (span.status, span.attributes["error.type"]) == (ERROR, str(status))


@LIBRARIES
def test_failed_connection(run: Runner, port: int, library: str) -> None:
    """A connection that fails ends the span with the exception's type, and the program gets its exception."""
    done = both(run, library, f"http://127.0.0.1:{port}/?token=hush")
    assert done.status == 1
    span = done.spans.one()
    assert span.status == ERROR
    assert f"{span.attributes['error.type']}: " in done.err
    assert span.attributes["url.full"].endswith("?token=REDACTED")
    assert "http.response.status_code" not in span.attributes


@LIBRARIES
def test_credentials_stay_out_of_the_span(run: Runner, web: Any, library: str) -> None:
    """Userinfo, fragment and the values of secret query keys are not in the span."""
    url = f"http://user:hush1@127.0.0.1:{web.port}/200?token=hush2&page=1&X-Amz-Signature=hush3#hush4"
    both(run, library, url)
    data = b"".join(path.read_bytes() for path in run.state.glob("*.jsonl"))
    assert b"hush" not in data
    assert b"page=1" in data


def inside(library: str, opening: str) -> str:
    """A library's program inside of a ``with`` statement."""
    return f"{opening}\n{textwrap.indent(GET[library], '    ')}\n"


@LIBRARIES
@pytest.mark.slow
def test_suppressed_clients(run: Runner, web: Any, library: str) -> None:
    """``suppress_instrumentation()`` keeps every client's calls untraced and unmarked."""
    program = run.program(
        "from opentelemetry.instrumentation.utils import suppress_instrumentation\n"
        + inside(library, "with suppress_instrumentation():")
    )
    done = run.traced(PYTHON, program, f"{web.url}/200")
    assert (done.status, done.out, len(done.spans)) == (0, "200 body of /200\n", 0), done
    assert "traceparent" not in web.seen[0]


@LIBRARIES
@pytest.mark.slow
def test_parents(run: Runner, web: Any, library: str) -> None:
    """The span that is current where a client is called is the parent of the client's."""
    program = run.program(
        "from opentelemetry import trace\n"
        + inside(library, "with trace.get_tracer('shop').start_as_current_span('work'):")
    )
    done = run.traced(PYTHON, program, f"{web.url}/200")
    assert (done.status, done.out, len(done.spans)) == (0, "200 body of /200\n", 2), done
    assert done.spans.named("GET").parent_id == done.spans.named("work").span_id


def test_redirects_are_requests(run: Runner, web: Any) -> None:
    """Each request of a redirect is a span, also where the library follows it by itself."""
    done = both(run, "requests", f"{web.url}/302")
    assert [span.attributes["http.response.status_code"] for span in done.spans] == [302, 200]


RESENDING = {
    "requests": "import requests\nprint(requests.get(url).status_code)",
    "httpx": "import httpx\nprint(httpx.get(url, follow_redirects=True).status_code)",
    "httpx, async": "import asyncio, httpx\nasync def main():\n"
    "    async with httpx.AsyncClient(follow_redirects=True) as client: print((await client.get(url)).status_code)\n"
    "asyncio.run(main())",
    "urllib": "import urllib.request\nprint(urllib.request.urlopen(url).status)",
    "urllib3": "import urllib3\nprint(urllib3.PoolManager().request('GET', url).status)",
    "tornado": "import tornado.httpclient, asyncio\n"
    "async def main(): print((await tornado.httpclient.AsyncHTTPClient().fetch(url)).code)\nasyncio.run(main())",
    "httpx2": "import httpx2\nprint(httpx2.get(url, follow_redirects=True).status_code)",
    "httplib2": "import httplib2\nprint(httplib2.Http().request(url)[0].status)",
    "aiohttp": "import aiohttp, asyncio\nasync def main():\n"
    "    async with aiohttp.ClientSession() as session, session.get(url) as r: print(r.status)\nasyncio.run(main())",
    "aiosonic": "import aiosonic, asyncio\nasync def main():\n    async with aiosonic.HTTPClient() as client:\n"
    "        print((await client.get(url, follow=True)).status_code)\nasyncio.run(main())",
    "treq": "import treq\nfrom twisted.internet.task import react\nasync def main(reactor):\n"
    "    for _ in range(2): print((await treq.get(url)).code)\nreact(main)",
}
# Each answers a challenge, and follows a redirect then.
CHALLENGED = {
    "requests": "from requests import get\nfrom requests.auth import HTTPDigestAuth\n"
    "print(get(url, auth=HTTPDigestAuth('me', 'hush')).status_code)",
    "httpx": "import httpx\n"
    "print(httpx.get(url, auth=httpx.DigestAuth('me', 'hush'), follow_redirects=True).status_code)",
    "urllib": "from urllib.request import *\nkeys = HTTPPasswordMgrWithDefaultRealm()\n"
    "keys.add_password(None, url[:-5], 'me', 'hush')\n"
    "print(build_opener(HTTPDigestAuthHandler(keys)).open(url).status)",
    "httplib2": "import httplib2\nclient = httplib2.Http()\nclient.add_credentials('me', 'hush')\n"
    "print(client.request(url)[0].status)",
    "aiohttp": "import aiohttp, asyncio\nasync def main():\n"
    "    middleware = aiohttp.DigestAuthMiddleware('me', 'hush')\n"
    "    async with aiohttp.ClientSession(middlewares=(middleware,)) as session, session.get(url) as r:\n"
    "        print(r.status)\nasyncio.run(main())",
}


class Challenging(Closing):
    """Asks who is there, and sends those who say it to another page."""

    def do_GET(self) -> None:
        challenge = 'Digest realm="shop", nonce="1", qop="auth"'
        if "Authorization" not in self.headers:
            status, header = 401, ("WWW-Authenticate", challenge)
        elif self.path == "/start":
            status, header = 302, ("Location", "/end")
        else:
            status, header = 200, ("Content-Type", "text/plain")
        self.send_response(status)
        self.send_header(*header)
        self.send_header("Content-Length", "0")
        self.end_headers()


@pytest.mark.parametrize("library", CHALLENGED)
@pytest.mark.slow
def test_how_often_a_challenged_one_was_sent(run: Runner, library: str) -> None:
    """A request that answers a challenge has been sent before, whoever is redirected after that more often."""
    program = run.program(f"import sys\nurl = sys.argv[1]\n{CHALLENGED[library]}\n" * 2)
    with serving(ThreadingHTTPServer, ("127.0.0.1", 0), Challenging) as server:
        done = run.traced(PYTHON, program, f"http://127.0.0.1:{server.server_port}/start")
    assert (done.status, done.out) == (0, "200\n200\n"), done
    spans = sorted(done.spans, key=lambda span: span.start)
    counts = [span.attributes.get("http.request.resend_count", 0) for span in spans]
    statuses = [span.attributes["http.response.status_code"] for span in spans]
    # After a redirect some begin with a challenge again.
    assert statuses[:2] == [401, 302]
    assert statuses[-1] == 200
    half = len(counts) // 2
    assert counts == [*range(half), *range(half)]


@pytest.mark.parametrize("library", RESENDING)
@pytest.mark.slow
def test_how_often_it_was_sent(run: Runner, web: Any, library: str) -> None:
    """Where a library follows redirects by itself, each request says how many went before it."""
    assert redirected_twice(run, PYTHON, library, f"{web.url}/302/x") == [None, 1] * 2


def redirected_twice(run: Runner, python: str, library: str, url: str) -> list[int | None]:
    """How often each request had been sent before, of a program that is redirected two times."""
    program = run.program(f"import sys\nurl = sys.argv[1]\n{RESENDING[library]}\n" * 2)
    done = run.traced(python, program, url)
    assert (done.status, done.out) == (0, "200\n200\n"), done
    spans = sorted(done.spans, key=lambda span: span.start)
    return [span.attributes.get("http.request.resend_count") for span in spans]


def test_unusual_methods(run: Runner, web: Any) -> None:
    """A method that nobody knows is _OTHER, as the conventions have it, and the name is HTTP."""
    program = run.program("import requests, sys\nprint(requests.request('brew', sys.argv[1]).status_code)")
    span = run.traced(PYTHON, program, web.url).spans.one()
    assert (span.name, span.attributes["http.request.method"]) == ("HTTP", "_OTHER")
    assert span.attributes["http.request.method_original"] == "BREW"


def test_known_methods(run: Runner, web: Any) -> None:
    """A list of the user's own takes the place of the usual methods."""
    program = run.program("import requests, sys\nfor m in ('brew', 'GET', 'POST'): requests.request(m, sys.argv[1])")
    spans = run.traced(PYTHON, program, web.url, env={"OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS": "BREW,GET"}).spans
    assert [(span.name, span.attributes["http.request.method"]) for span in spans] == [
        ("BREW", "BREW"),
        ("GET", "GET"),
        ("HTTP", "_OTHER"),
    ]


def test_names_bound_early_are_traced(run: Runner, web: Any) -> None:
    """Functions and sessions that were bound or made before the first call are traced, and subclasses are."""
    program = run.program(
        "import sys\n"
        "from requests import get, Session\n"
        "from requests.adapters import HTTPAdapter\n"
        "class Mine(HTTPAdapter):\n"
        "    def send(self, *args, **kwargs):\n"
        "        return super().send(*args, **kwargs)\n"
        "session = Session()\n"
        "mine = Session()\n"
        "mine.mount('http://', Mine())\n"
        "print(get(sys.argv[1]).status_code, session.get(sys.argv[1]).status_code, mine.get(sys.argv[1]).status_code)\n"
    )
    done = run.traced(PYTHON, program, web.url)
    assert done.out == "200 200 200\n"
    assert len(done.spans) == 3


def test_suppressed_instrumentation(run: Runner, web: Any) -> None:
    """``suppress_instrumentation()`` of opentelemetry-instrumentation keeps calls untraced and unmarked."""
    program = run.program(
        "import sys, requests, httpx, urllib3\n"
        "from opentelemetry.instrumentation.utils import suppress_instrumentation\n"
        "with suppress_instrumentation():\n"
        "    requests.get(sys.argv[1]); httpx.get(sys.argv[1]); urllib3.request('GET', sys.argv[1])\n"
    )
    done = run.traced(PYTHON, program, web.url)
    assert (done.status, len(done.spans)) == (0, 0), done
    assert not any("traceparent" in seen for seen in web.seen)


def test_manual_spans_are_parents(run: Runner, web: Any) -> None:
    """A span that the program makes by the OpenTelemetry API is the parent of the calls inside it."""
    program = run.program(
        "import sys\n"
        "from opentelemetry import trace\n"
        "import requests\n"
        "with trace.get_tracer('shop').start_as_current_span('work') as span:\n"
        "    span.add_event('begun', {'n': 1})\n"
        "    requests.get(sys.argv[1])\n"
    )
    spans = run.traced(PYTHON, program, web.url).spans
    work = spans.named("work")
    assert spans.named("GET").parent_id == work.span_id
    assert [(event.name, event.attributes) for event in work.events] == [("begun", {"n": 1})]


def test_calls_at_shutdown_go_through(run: Runner, web: Any) -> None:
    """A first call that comes at the interpreter's shutdown is the program's own, traced or not."""
    program = run.program(
        "import atexit, sys\n"
        "def late():\n"
        "    import urllib3\n"
        "    print(urllib3.PoolManager().request('GET', sys.argv[1]).status)\n"
        "atexit.register(late)\n"
    )
    done = run.traced(PYTHON, program, web.url)
    assert (done.status, done.out) == (0, "200\n"), done
    assert len(done.spans) == 1


def test_first_calls_on_many_threads(run: Runner, web: Any) -> None:
    """The first calls of a library may come from many threads at once: each is traced."""
    program = run.program(
        "import sys, threading, requests\n"
        "start = threading.Barrier(16)\n"
        "def call():\n"
        "    start.wait()\n"
        "    requests.get(sys.argv[1])\n"
        "threads = [threading.Thread(target=call) for _ in range(16)]\n"
        "[thread.start() for thread in threads]\n"
        "[thread.join() for thread in threads]\n"
    )
    done = run.traced(PYTHON, program, web.url)
    assert done.status == 0, done
    assert len(done.spans) == 16
    assert len({span.span_id for span in done.spans}) == 16


def test_seeded_random_is_the_programs(run: Runner, web: Any) -> None:
    """A program that seeds ``random`` draws what it draws without us."""
    program = run.program(
        "import random, sys, requests\nrandom.seed(1)\nrequests.get(sys.argv[1])\nprint(random.random())\n"
    )
    assert run.traced(PYTHON, program, web.url).out == run.plain(PYTHON, program, web.url).out


def test_a_mock_in_place_stays(run: Runner, web: Any) -> None:
    """What the program has put in a library's place before the first call stays there; what it calls is traced."""
    program = run.program(
        "import sys\n"
        "from unittest import mock\n"
        "import requests\n"
        "from requests.adapters import HTTPAdapter\n"
        "real = HTTPAdapter.send\n"
        "def fake(self, request, **kwargs):\n"
        "    if request.url.endswith('/mocked'):\n"
        "        response = requests.Response()\n"
        "        response.status_code = 299\n"
        "        return response\n"
        "    return real(self, request, **kwargs)\n"
        "with mock.patch.object(HTTPAdapter, 'send', fake):\n"
        "    for path in ('/mocked', '/200', '/mocked', '/200'):\n"
        "        print(requests.get(sys.argv[1] + path).status_code)\n"
        "print(requests.get(sys.argv[1] + '/mocked').status_code)\n"
    )
    done = run.traced(PYTHON, program, web.url)
    assert done.out == "299\n200\n299\n200\n200\n", done
    assert len(done.spans) == 3


def test_headers_of_several_values(run: Runner, web: Any) -> None:
    """urllib3's headers of several values go out as they do without us, and the program's own are not changed."""
    program = run.program(
        "import sys, urllib3\n"
        "headers = urllib3.HTTPHeaderDict([('X-A', '1'), ('X-A', '2'), ('Traceparent', 'mine')])\n"
        "pool = urllib3.PoolManager()\n"
        "pool.request('GET', sys.argv[1] + '/200', headers=headers)\n"
        "print(list(headers.iteritems()))\n"
    )
    traced = run.traced(PYTHON, program, web.url)
    assert traced.out == run.plain(PYTHON, program, web.url).out
    assert web.seen[0]["x-a"] == web.seen[1]["x-a"]
    assert web.seen[0]["traceparent"].endswith("-01")
