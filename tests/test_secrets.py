"""No secret is in a span: planted markers, looked for in the raw OTLP bytes at a receiver on loopback."""

from __future__ import annotations

import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import PYTHON, TRACERUN, Runner, WebServer, free_port
from tests.environments import Environments, environments
from tests.test_http_clients_releases import with_both
from tracerun.instrumentation import redaction
from tracerun.instrumentation.propagation import allow_baggage, takes_baggage

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["environments"]  # the fixture

START = "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_"
EVERY_HEADER: dict[str, str] = {
    f"{START}{side}_{part}": ".*" for side in ("SERVER", "CLIENT") for part in ("REQUEST", "RESPONSE")
}
MARKERS = [f"hush{number:02}" for number in range(1, 16)]
# What stands in a URL: userinfo, a parameter of the path, keys of the deny list in many spellings, a fragment.
TARGET = (
    "/200/a;jsessionid=hush03?token=hush04&X-Amz-Signature=hush05&code=hush06&%74oken=hush07"
    "&next=https%3A%2F%2Fa.example%2F%3Fsecret%3Dhush08&accessToken=hush09&tenant_pin=hush10"
    "&user%5Bpassword%5D=hush11&page=1"
)

# A line of a program: what an exception quotes. As a literal it would stand in the source that a traceback shows.
SECRETS = 'SECRETS = "http://hush01:hush02@db/x?password=hush12#hush12, " + "=".join(("token", "hush08"))\n'


def markers_in(data: bytes) -> list[str]:
    """The markers that are found."""
    return [marker for marker in MARKERS if marker.encode() in data]


class RawReceiver:
    """Takes OTLP over HTTP, and keeps the bytes."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        bodies = self.bodies

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *args: Any) -> None:
                """Nothing: tests have their own output."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True)
        self.thread.start()

    @property
    def env(self) -> dict[str, str | None]:
        """What has a program send here, with every header captured."""
        return {
            "TRACERUN_EXPORTER": "otlp",
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{self.server.server_port}",
            "TRACERUN_REDACT": "tenant-pin",
            **EVERY_HEADER,
        }

    def wait_for(self, text: bytes) -> bytes:
        """All bytes, once some text has come: a server may answer before its span ends."""
        until = time.monotonic() + 10
        while text not in b"".join(self.bodies) and time.monotonic() < until:
            time.sleep(0.02)
        return b"".join(self.bodies)

    def found(self) -> list[str]:
        """The markers that have come."""
        return markers_in(b"".join(self.bodies))

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def raw() -> Iterator[RawReceiver]:
    made = RawReceiver()
    yield made
    made.close()


# Clients: `get(url, headers)` of each

CLIENTS = {
    "requests": "import requests\ndef get(url, headers): requests.get(url, headers=headers)",
    "urllib3": "import urllib3\ndef get(url, headers): urllib3.request('GET', url, headers=headers, retries=False)",
    "httpx": "import httpx\ndef get(url, headers): httpx.get(url, headers=headers)",
    "httpx async": "import asyncio, httpx\nasync def go(url, headers):\n    async with httpx.AsyncClient() as client:\n"
    "        await client.get(url, headers=headers)\ndef get(url, headers): asyncio.run(go(url, headers))",
    "urllib": "from urllib.request import Request, urlopen\n"
    "def get(url, headers): urlopen(Request(url, headers=headers)).read()",
    "http.client": "import http.client\nfrom urllib.parse import urlsplit\ndef get(url, headers):\n"
    "    parts = urlsplit(url)\n    connection = http.client.HTTPConnection(parts.hostname, parts.port)\n"
    "    connection.request('GET', parts._replace(scheme='', netloc='', fragment='').geturl(), headers=headers)\n"
    "    connection.getresponse().read()\n    connection.close()",
    "aiohttp": "import aiohttp, asyncio\nasync def go(url, headers):\n"
    "    async with aiohttp.ClientSession() as session, session.get(url, headers=headers) as answer:\n"
    "        await answer.read()\ndef get(url, headers): asyncio.run(go(url, headers))",
    "httplib2": "import httplib2\ndef get(url, headers): httplib2.Http().request(url, headers=headers)",
    "tornado": "from tornado.httpclient import AsyncHTTPClient\nimport asyncio\n"
    "async def go(url, headers): await AsyncHTTPClient().fetch(url, headers=headers)\n"
    "def get(url, headers): asyncio.run(go(url, headers))",
    "pycurl": "import io, pycurl\ndef get(url, headers):\n    curl = pycurl.Curl()\n    curl.setopt(pycurl.URL, url)\n"
    "    curl.setopt(pycurl.HTTPHEADER, [f'{n}: {v}' for n, v in headers.items()])\n"
    "    curl.setopt(pycurl.WRITEDATA, io.BytesIO())\n    curl.perform()\n    curl.close()",
    "curl_cffi": "import curl_cffi.requests\ndef get(url, headers): curl_cffi.requests.get(url, headers=headers)",
    "primp": "import primp\ndef get(url, headers): primp.Client().get(url, headers=headers)",
    "pyqwest": "import pyqwest\ndef get(url, headers): pyqwest.SyncClient().get(url, headers)",
    "httpr": "import httpr\ndef get(url, headers): httpr.Client().get(url, headers=headers)",
    "aiosonic": "import aiosonic, asyncio\nasync def go(url, headers):\n    client = aiosonic.HTTPClient()\n"
    "    await client.get(url, headers=headers)\ndef get(url, headers): asyncio.run(go(url, headers))",
    "httpx2": "import httpx2\ndef get(url, headers): httpx2.get(url, headers=headers)",
    # A reactor runs once in a process, so it runs on a thread of its own.
    "twisted": "import atexit, threading, treq\nfrom twisted.internet import reactor\n"
    "from twisted.internet.threads import blockingCallFromThread\n"
    "threading.Thread(target=reactor.run, args=(False,), daemon=True).start()\n"
    "async def go(url, headers): await (await treq.get(url, headers=headers)).content()\n"
    "from twisted.internet.defer import ensureDeferred\n"
    "def get(url, headers): blockingCallFromThread(reactor, lambda: ensureDeferred(go(url, headers)))",
    "urllib3_future": "import niquests\ndef get(url, headers): niquests.get(url, headers=headers)",
}
FAST = ("requests", "httpx", "urllib")


def python_with(library: str, environments: Environments) -> str:
    """The interpreter that has a client; urllib3-future would take urllib3's place among ours."""
    return with_both(environments) if library == "urllib3_future" else PYTHON


GETS = """
import sys
url, dead = sys.argv[1:]
HEADERS = {"Authorization": "Bearer hush13", "Cookie": "sid=hush14", "Referer": "https://a.example/?token=hush15"}
for each in (url, url.replace("hush01:hush02@", ""), dead):
    try:
        get(each, HEADERS)
    except Exception as error:
        print(type(error).__name__)
"""


@pytest.mark.parametrize(
    "library", [pytest.param(name, marks=() if name in FAST else pytest.mark.slow) for name in CLIENTS]
)
def test_clients(run: Runner, raw: RawReceiver, web: WebServer, environments: Environments, library: str) -> None:
    """Of fifteen secrets that a client is given, in URL, headers and a failed call, none is exported."""
    program = run.program(CLIENTS[library] + GETS)
    url = f"http://hush01:hush02@127.0.0.1:{web.port}{TARGET}#hush12"
    dead = f"http://127.0.0.1:{free_port()}{TARGET}#hush12"
    done = run.traced(python_with(library, environments), program, url, dead, env=raw.env)
    assert done.status == 0, done
    assert raw.found() == []
    data = b"".join(raw.bodies)
    assert data.count(b"page=1") >= 2, done
    assert b"tenant_pin=REDACTED" in data


# Servers: each answers TARGET, and fails with an exception that quotes two URLs and a pair

RAISES = "raise RuntimeError(f'http://hush01:hush02@db/x?password=hush12#hush12, {PAIR}, see {PATH}')"
SERVERS = {
    "flask": (
        (
            "import flask\napp = flask.Flask(__name__)\n@app.route('/<path:path>')\ndef index(path):\n"
            "    PATH = flask.request.url\n    {raises}\n"
        ),
        ("flask", "--app", "web", "run", "--port"),
    ),
    "fastapi": (
        (
            "from fastapi import FastAPI, Request\napp = FastAPI()\n@app.get('/{path:path}')\n"
            "async def index(request: Request):\n    PATH = str(request.url)\n    {raises}\n"
        ),
        ("uvicorn", "web:app", "--port"),
    ),
    "starlette": (
        (
            "from starlette.applications import Starlette\nfrom starlette.routing import Route\n"
            "def index(request):\n    PATH = str(request.url)\n    {raises}\n"
            "app = Starlette(routes=[Route('/{path:path}', index)])\n"
        ),
        ("uvicorn", "web:app", "--port"),
    ),
    "quart": (
        (
            "import quart\napp = quart.Quart(__name__)\n@app.route('/<path:path>')\nasync def index(path):\n"
            "    PATH = quart.request.url\n    {raises}\n"
        ),
        ("hypercorn", "web:app", "--bind"),
    ),
    "bottle": (
        (
            "import bottle\napp = bottle.Bottle()\n@app.route('/<path:path>')\ndef index(path):\n"
            "    PATH = bottle.request.url\n    {raises}\n"
        ),
        ("gunicorn", "web:app", "-b"),
    ),
    "falcon": (
        (
            "import falcon\nclass Index:\n    def on_get(self, request, response, path):\n        PATH = request.url\n"
            "        {raises}\napp = falcon.App()\napp.add_route('/{path:path}', Index())\n"
        ),
        ("gunicorn", "web:app", "-b"),
    ),
    "litestar": (
        (
            "from litestar import Litestar, Request, get\n@get('/{path:path}')\n"
            "async def index(request: Request) -> str:\n"
            "    PATH = str(request.url)\n    {raises}\napp = Litestar([index])\n"
        ),
        ("uvicorn", "web:app", "--port"),
    ),
    "django": (
        (
            "import sys\nfrom django.conf import settings\nfrom django.core.wsgi import get_wsgi_application\n"
            "from django.urls import re_path\ndef index(request):\n    PATH = request.build_absolute_uri()\n"
            "    {raises}\n"
            "settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=['*'])\nurlpatterns = [re_path('.*', index)]\n"
            "app = get_wsgi_application()\n"
        ),
        ("gunicorn", "web:app", "-b"),
    ),
    "tornado": (
        (
            "import asyncio, sys, tornado.web\nclass Index(tornado.web.RequestHandler):\n    def get(self):\n"
            "        PATH = self.request.full_url()\n        {raises}\nasync def main():\n"
            "    tornado.web.Application([('.*', Index)]).listen(int(sys.argv[1]), '127.0.0.1')\n"
            "    await asyncio.Event().wait()\nasyncio.run(main())\n"
        ),
        (PYTHON, "web.py"),
    ),
    "aiohttp": (
        (
            "import sys\nfrom aiohttp import web\n"
            "async def index(request):\n    PATH = str(request.url)\n    {raises}\n"
            "app = web.Application()\napp.router.add_get('/{path:.*}', index)\n"
            "web.run_app(app, host='127.0.0.1', port=int(sys.argv[1]), print=None)\n"
        ),
        (PYTHON, "web.py"),
    ),
    "http.server": (
        (
            "import sys\nfrom http.server import BaseHTTPRequestHandler, HTTPServer\n"
            "class Index(BaseHTTPRequestHandler):\n    def do_GET(self):\n        PATH = self.path\n"
            "        self.send_error(500)\n        {raises}\n"
            "HTTPServer(('127.0.0.1', int(sys.argv[1])), Index).serve_forever()\n"
        ),
        (PYTHON, "web.py"),
    ),
}


def address_of(words: tuple[str, ...], port: int) -> str:
    """The address as a server's command line takes it."""
    return f"127.0.0.1:{port}" if words[-1] in ("-b", "--bind") else str(port)


@pytest.mark.parametrize(
    "server", [pytest.param(name, marks=() if name in ("flask", "fastapi") else pytest.mark.slow) for name in SERVERS]
)
def test_servers(run: Runner, raw: RawReceiver, port: int, server: str) -> None:
    """Of fifteen secrets in a request and in the exception that it ends with, none is exported."""
    text, words = SERVERS[server]
    # A literal in a line of source code, which a traceback shows, is none of a request's.
    run.program("PAIR = '='.join(['token', 'hush08'])\n" + text.replace("{raises}", RAISES), "web.py")
    with run.serving(TRACERUN, *words, address_of(words, port), port=port, env=raw.env):
        lines = [
            f"GET {TARGET} HTTP/1.1",
            f"Host: 127.0.0.1:{port}",
            "Connection: close",
            "Authorization: Bearer hush13",
            "Cookie: sid=hush14",
            "Referer: https://a.example/?token=hush15",
        ]
        with socket.create_connection(("127.0.0.1", port), 20) as client:
            client.sendall("\r\n".join([*lines, "", ""]).encode())
            answer = b""
            while part := client.recv(65536):
                answer += part
        raw.wait_for(b"RuntimeError")
    assert b" 500 " in answer
    assert raw.found() == []
    data = b"".join(raw.bodies)
    assert b"page=1" in data
    assert b"tenant_pin=REDACTED" in data
    assert b"RuntimeError" in data


def test_a_clients_error_in_a_server(run: Runner, raw: RawReceiver, port: int) -> None:
    """The exception of a failed call, which quotes its URL, is recorded on the request without the secrets in it."""
    dead = f"http://hush01:hush02@127.0.0.1:{free_port()}{TARGET}#hush12"
    run.program(
        "import flask, requests\napp = flask.Flask(__name__)\n@app.route('/')\ndef index():\n"
        f"    requests.get({dead!r}, headers={{'Authorization': 'Bearer hush13'}})\n",
        "web.py",
    )
    import requests

    with run.serving(TRACERUN, "flask", "--app", "web", "run", "--port", str(port), port=port, env=raw.env):
        assert requests.get(f"http://127.0.0.1:{port}/", timeout=20).status_code == 500
        data = raw.wait_for(b"Max retries exceeded")
    assert raw.found() == []
    assert b"ConnectionError" in data
    assert b"Max retries exceeded" in data


GRPC = """
import grpc
from concurrent import futures

def fails(request, context):
    pair = "=".join(["token", "hush05"])
    raise RuntimeError(f"http://hush01:hush02@db/x?password=hush03#hush04, {pair}")

def aborts(request, context):
    context.abort(grpc.StatusCode.INTERNAL, "https://hush06:hush07@db/?sig=hush08")

behaviors = {"Fail": grpc.unary_unary_rpc_method_handler(fails), "Abort": grpc.unary_unary_rpc_method_handler(aborts)}
handlers = grpc.method_handlers_generic_handler("shop.Shop", behaviors)
server = grpc.server(futures.ThreadPoolExecutor(1), handlers=[handlers])
port = server.add_insecure_port("127.0.0.1:0")
server.start()
with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
    for name in behaviors:
        try:
            channel.unary_unary(f"/shop.Shop/{name}")(
                b"x", metadata=(("authorization", "Bearer hush09"), ("x-api-key", "hush10"), ("cookie", "hush11"))
            )
        except grpc.RpcError as error:
            print(error.code().name)
server.stop(0).wait()
"""


def test_grpc(run: Runner, raw: RawReceiver) -> None:
    """Exceptions, status details and captured metadata of gRPC, both ends."""
    done = run.traced(PYTHON, run.program(GRPC), env=raw.env)
    assert done.out == "UNKNOWN\nINTERNAL\n", done
    assert raw.found() == []
    assert b"password=REDACTED" in b"".join(raw.bodies)


def test_the_markers_are_found_where_nothing_hides_them(run: Runner, raw: RawReceiver, web: WebServer) -> None:
    """The search finds what there is: keys that nobody has named as secret are exported as they are."""
    url = f"{web.url}/200?" + "&".join(f"plain{n}={marker}" for n, marker in enumerate(MARKERS))
    program = run.program("import sys, requests\nrequests.get(sys.argv[1])\n")
    run.traced(PYTHON, program, url, env=raw.env)
    assert raw.found() == MARKERS


# What redaction does to texts

URLS = [
    ("http://shop.example/a?b=1", "http://shop.example/a?b=1"),
    ("http://u:p@shop.example/a", "http://REDACTED:REDACTED@shop.example/a"),
    ("http://u@shop.example/a@b", "http://REDACTED:REDACTED@shop.example/a@b"),
    ("http://u:pa/ss@shop.example/x", "http://REDACTED"),
    ("http://u:pa?ss@shop.example/x", "http://REDACTED"),
    ("http://[::1]:80/a", "http://[::1]:80/a"),
    ("http://shop.example/users/a@b.example", "http://shop.example/users/a@b.example"),
    ("http://shop.example/?a=1;token=2", "http://shop.example/?a=1;token=REDACTED"),
    ("http://shop.example/?monkey=1&keyboard=2", "http://shop.example/?monkey=1&keyboard=2"),
    ("http://shop.example/?email=a%40b.example", "http://shop.example/?email=a%40b.example"),
    (
        "http://shop.example/?X-Amz-Date=1&X-Goog-Expires=2",
        "http://shop.example/?X-Amz-Date=REDACTED&X-Goog-Expires=REDACTED",
    ),
    ("http://shop.example/a#token=1", "http://shop.example/a"),
]


@pytest.mark.parametrize(("url", "shown"), URLS, ids=[row[0] for row in URLS])
def test_urls(url: str, shown: str) -> None:
    """What is secret goes, and all else stays as it was sent."""
    assert redaction.url(url) == shown


def test_lines_of_source_stay() -> None:
    """A line of code in a traceback keeps its keyword arguments; only an exception's own text is taken for data."""
    line = "    items.sort(key=len, token=None)"
    assert redaction.text(line) == line
    assert redaction.message_of(ValueError("key=len1")) == "key=REDACTED"


def test_more_keys() -> None:
    """The setting adds keys in any spelling; again it replaces what it added."""
    try:
        redaction.add_keys(("tenantPin",))
        assert redaction.query("tenant_pin=1&tenant-pin=2&TenantPin=3&pin=4") == (
            "tenant_pin=REDACTED&tenant-pin=REDACTED&TenantPin=REDACTED&pin=4"
        )
    finally:
        redaction.add_keys(())
    assert redaction.query("tenant_pin=1") == "tenant_pin=1"


# Baggage


@pytest.mark.parametrize(
    ("hosts", "host", "taken"),
    [
        ((), "anywhere.example", True),
        (("shop.example",), "shop.example", True),
        (("shop.example",), "SHOP.example", True),
        (("shop.example",), "x.shop.example", False),
        (("*.shop.example",), "x.shop.example", True),
        (("*.shop.example",), "shop.example", False),
        (("*.shop.example",), "evilshop.example", False),
        (("*.shop.example", "127.0.0.1"), "127.0.0.1", True),
    ],
)
def test_hosts_that_take_baggage(hosts: tuple[str, ...], host: str, taken: bool) -> None:
    """Without a list all do; with one those that stand in it, whole or by what follows the star."""
    try:
        allow_baggage(hosts)
        assert takes_baggage(host) is taken
    finally:
        allow_baggage(())


BAGGAGE = """
import sys, grpc, httpx, requests
from concurrent import futures
from opentelemetry import baggage, context

def handle(request, context):
    print("baggage" in dict(context.invocation_metadata()))
    return request

handlers = grpc.method_handlers_generic_handler("shop.Shop", {"Buy": grpc.unary_unary_rpc_method_handler(handle)})
server = grpc.server(futures.ThreadPoolExecutor(1), handlers=[handlers])
port = server.add_insecure_port("127.0.0.1:0")
server.start()
context.attach(baggage.set_baggage("tenant", "hush"))
for host in ("127.0.0.1", "localhost"):
    requests.get(sys.argv[1].replace("127.0.0.1", host))
    httpx.get(sys.argv[1].replace("127.0.0.1", host))
    with grpc.insecure_channel(f"{host}:{port}") as channel:
        channel.unary_unary("/shop.Shop/Buy")(b"x")
server.stop(0).wait()
"""


@pytest.mark.parametrize(("hosts", "sent"), [(None, [True] * 2), ("localhost,*.shop.example", [False, True])])
def test_baggage_goes_to_some_hosts(run: Runner, web: WebServer, hosts: str | None, sent: list[bool]) -> None:
    """Over HTTP and gRPC; the trace goes on everywhere."""
    done = run.traced(PYTHON, run.program(BAGGAGE), web.url, env={"TRACERUN_BAGGAGE_HOSTS": hosts})
    assert done.status == 0, done
    first, second = sent
    assert ["baggage" in seen for seen in web.seen] == [first, first, second, second]
    assert done.out.split() == [str(first), str(second)]
    assert all("traceparent" in seen for seen in web.seen)
