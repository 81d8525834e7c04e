"""Headers and gRPC metadata become attributes where they are named, and nowhere else."""

from __future__ import annotations

from http.server import BaseHTTPRequestHandler as Handler
from typing import TYPE_CHECKING, Any

import pytest
import requests
from opentelemetry.trace import SpanKind

from tests.conftest import PYTHON, TRACERUN, Runner, WebServer
from tests.environments import Environments, environments
from tests.in_process import tracing
from tests.test_secrets import CLIENTS, START, python_with
from tracerun.instrumentation import headers
from tracerun.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["environments"]  # the fixture

SERVER, CLIENT = 2, 3


@pytest.fixture(autouse=True)
def nothing_captured() -> Iterator[None]:
    yield
    headers.configure(Settings.from_env({}))


def captured(span: Any) -> dict[str, Any]:
    """A span's attributes that are headers or metadata."""
    starts = ("http.request.header.", "http.response.header.", "rpc.request.metadata.")
    return {name: value for name, value in span.attributes.items() if name.startswith(starts)}


# What a name matches

SENT = [
    ("X-Shop", "7"),
    ("x-shop-id", "8"),
    (b"Accept", b"text/plain"),
    ("Authorization", "Bearer hush"),
    ("X-Shop", "9"),
]


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ("x-shop", {"x-shop": ["7", "9"]}),
        ("X-SHOP,accept", {"x-shop": ["7", "9"], "accept": ["text/plain"]}),
        ("x-shop.*", {"x-shop": ["7", "9"], "x-shop-id": ["8"]}),
        ("shop", {}),
        ("authorization", {"authorization": ["[REDACTED]"]}),
        (
            ".*",
            {
                "x-shop": ["7", "9"],
                "x-shop-id": ["8"],
                "accept": ["text/plain"],
                "authorization": ["[REDACTED]"],
            },
        ),
    ],
)
def test_names(names: str, expected: dict[str, list[str]]) -> None:
    """Upstream's rules: names are expressions that match a whole name in any case; credentials are never shown."""
    assert headers.configure(Settings.from_env({f"{START}SERVER_REQUEST": names})) == []
    wanted = headers.CAPTURED.server_request
    assert wanted is not None
    assert headers.attributes(wanted, "", SENT) == expected


def test_sanitize_fields() -> None:
    """Values of the headers that are named so are hidden; a part of the name is enough, as upstream has it."""
    headers.configure(Settings.from_env({f"{START}CLIENT_REQUEST": ".*", f"{START}SANITIZE_FIELDS": "shop-i,^x-card"}))
    wanted = headers.CAPTURED.client_request
    assert wanted is not None
    found = headers.attributes(wanted, "", {"X-Shop-Id": "1", "X-Card": "2", "My-X-Card": "3"}.items())
    assert found == {"x-shop-id": ["[REDACTED]"], "x-card": ["[REDACTED]"], "my-x-card": ["3"]}


def test_what_a_grpc_status_says() -> None:
    """Its message is quoted in the metadata, and stands once more in the details, which are Protobuf's."""
    headers.configure(Settings.from_env({f"{START}CLIENT_RESPONSE": ".*"}))
    wanted = headers.CAPTURED.client_response
    assert wanted is not None
    sent = [("grpc-message", "http%3A//a%3Ahush%40b/ token=hush"), ("grpc-status-details-bin", b"hush")]
    assert headers.attributes(wanted, "", sent) == {
        "grpc-message": ["http://REDACTED@b/ token=REDACTED"],
        "grpc-status-details-bin": ["[REDACTED]"],
    }


def test_a_wrong_expression_is_one_line() -> None:
    """What is no regular expression is said and left out."""
    (line,) = headers.configure(Settings.from_env({f"{START}CLIENT_RESPONSE": "x-(,etag"}))
    assert line.startswith(f"{START}CLIENT_RESPONSE=x-(: ")
    assert headers.CAPTURED.client_response is not None


# Real programs

FLASK = """
import flask
app = flask.Flask(__name__)

@app.get("/")
def index():
    response = flask.Response("ok")
    response.headers.add("X-Answer", "1")
    response.headers.add("X-Answer", "2")
    response.headers["Set-Cookie"] = "session=hush"
    return response
"""
FASTAPI = """
from fastapi import FastAPI, Response
app = FastAPI()

@app.get("/")
async def index():
    response = Response("ok")
    response.headers.append("X-Answer", "1")
    response.headers.append("X-Answer", "2")
    response.headers["Set-Cookie"] = "session=hush"
    return response
"""
SERVERS = {
    "flask": (FLASK, ("flask", "--app", "web", "run", "--port")),
    "fastapi": (FASTAPI, ("uvicorn", "web:app", "--port")),
}


@pytest.mark.parametrize("server", list(SERVERS))
def test_a_servers_headers(run: Runner, port: int, server: str) -> None:
    """Request and response headers of WSGI and ASGI, by stable names: lower case, dashes, lists."""
    text, words = SERVERS[server]
    run.program(text, "web.py")
    env: dict[str, str | None] = {
        f"{START}SERVER_REQUEST": "X-Shop,content-type,cookie",
        f"{START}SERVER_RESPONSE": "x-answer,set-cookie",
    }
    sent = {"X-Shop": "7", "X-Other": "8", "Content-Type": "text/plain", "Cookie": "a=hush"}
    with run.serving(TRACERUN, *words, str(port), port=port, env=env):
        requests.get(f"http://127.0.0.1:{port}/", headers=sent, timeout=20)
    assert captured(run.spans().one(kind=SERVER)) == {
        "http.request.header.x-shop": ["7"],
        "http.request.header.content-type": ["text/plain"],
        "http.request.header.cookie": ["[REDACTED]"],
        "http.response.header.x-answer": ["1", "2"],
        "http.response.header.set-cookie": ["[REDACTED]"],
    }


CALLS = {
    "requests": "requests.get(sys.argv[1], headers=SENT)",
    "urllib3": "urllib3.request('GET', sys.argv[1], headers=SENT, retries=False)",
    "httpx": "httpx.get(sys.argv[1], headers=SENT)",
}


@pytest.mark.parametrize("library", list(CALLS))
def test_a_clients_headers(run: Runner, web: WebServer, library: str) -> None:
    """Request and response headers of the clients."""
    program = run.program(
        f"import sys, httpx, requests, urllib3\nSENT = {{'X-Shop': '7', 'X-Other': '8'}}\n{CALLS[library]}\n"
    )
    env: dict[str, str | None] = {f"{START}CLIENT_REQUEST": "x-shop", f"{START}CLIENT_RESPONSE": "content-l.*"}
    done = run.traced(PYTHON, program, f"{web.url}/200", env=env)
    assert done.err == ""
    assert captured(done.spans.one(kind=CLIENT)) == {
        "http.request.header.x-shop": ["7"],
        "http.response.header.content-length": ["12"],
    }


# pyqwest traces itself, and shows nobody its headers.
OTHERS = [name for name in CLIENTS if name not in (*CALLS, "pyqwest")]
# libcurl hands an answer's headers to the program alone; Twisted keeps those of the connection to itself.
UNHEARD = {"pycurl": ("content-length", "server"), "twisted": ("content-length",)}


@pytest.mark.slow
@pytest.mark.parametrize("library", OTHERS)
def test_headers_of_other_clients(run: Runner, web: WebServer, environments: Environments, library: str) -> None:
    """The same of all other clients: what they send and what they get, however they keep headers."""
    program = run.program(f"import sys\n{CLIENTS[library]}\nget(sys.argv[1], {{'X-Shop': '7', 'X-Other': '8'}})\n")
    env: dict[str, str | None] = {f"{START}CLIENT_REQUEST": "x-shop", f"{START}CLIENT_RESPONSE": "content-l.*,server"}
    done = run.traced(python_with(library, environments), program, f"{web.url}/200", env=env)
    assert done.status == 0, done
    answer = {"content-length": "12", "server": f"{Handler.server_version} {Handler.sys_version}"}
    for name in UNHEARD.get(library, ()):
        del answer[name]
    expected = {f"http.response.header.{name}": [value] for name, value in answer.items()}
    assert captured(done.spans.one(kind=CLIENT)) == {"http.request.header.x-shop": ["7"], **expected}


GRPC = """
import asyncio, grpc
from concurrent import futures
from grpc import aio

METADATA = (("x-shop", "7"), ("x-other", "8"), ("x-shop-bin", b"\\x00"), ("authorization", "hush"))
handlers = grpc.method_handlers_generic_handler(
    "shop.Shop", {"Buy": grpc.unary_unary_rpc_method_handler(lambda request, context: request)}
)

def main():
    server = grpc.server(futures.ThreadPoolExecutor(1), handlers=[handlers])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        channel.unary_unary("/shop.Shop/Buy")(b"x", metadata=METADATA)
    server.stop(0).wait()

async def main_async():
    server = aio.server(handlers=[handlers])
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        await channel.unary_unary("/shop.Shop/Buy")(b"x", metadata=METADATA)
    await server.stop(0)

main()
asyncio.run(main_async())
"""


def test_grpc_metadata(run: Runner) -> None:
    """What a caller sends becomes rpc.request.metadata on both ends, sync and asyncio, by the same variables."""
    env: dict[str, str | None] = {
        f"{START}CLIENT_REQUEST": "x-shop,authorization",
        f"{START}SERVER_REQUEST": "x-shop,authorization",
    }
    done = run.traced(PYTHON, run.program(GRPC), env=env)
    assert done.status == 0, done
    assert len(done.spans) == 4
    expected = {"rpc.request.metadata.x-shop": ["7"], "rpc.request.metadata.authorization": ["[REDACTED]"]}
    assert [captured(span) for span in done.spans] == [expected] * 4


def test_nothing_is_captured_unless_it_is_named(web: WebServer) -> None:
    """Without the variables no header becomes an attribute, and none is looked at."""
    with tracing("requests") as spans:
        requests.get(f"{web.url}/200", headers={"X-Shop": "7"}, timeout=20)
    assert captured(spans.one(SpanKind.CLIENT)) == {}
