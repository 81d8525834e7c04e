"""Programs that instrument themselves with OpenTelemetry's packages: each operation is exported once, as they say."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conftest import Runner
from tests.environments import CURRENT, Environments, environments, pinned

__all__ = ["environments"]

pytestmark = pytest.mark.slow

SERVER, CLIENT = 2, 3
THEIRS = "opentelemetry.instrumentation."
LIBRARIES = ("requests", "flask", "fastapi", "httpx", "urllib3", "grpcio", "django", "uvicorn")


@pytest.fixture
def python(environments: Environments) -> str:
    """An interpreter with libraries and upstream's packages for them, of one release."""
    names = ("requests", "flask", "fastapi", "httpx", "urllib3", "grpc", "django")
    packages = [f"opentelemetry-instrumentation-{name}==0.66b1" for name in names]
    return environments.python(CURRENT, "opentelemetry-sdk==1.45.1", options=(*packages, *pinned(*LIBRARIES)))


def both(run: Runner, python: str, text: str, *arguments: str) -> Any:
    """Runs a program plain and traced; the outcome must be the same."""
    program = run.program(text)
    plain = run.plain(python, program, *arguments)
    traced = run.traced(python, program, *arguments)
    assert (traced.status, traced.out, traced.theirs) == (plain.status, plain.out, plain.err), traced
    assert traced.status == 0, traced
    return traced


def stepped_back(done: Any) -> list[str]:
    return [line for line in done.ours if "is left to the program" in line]


# library: what a program makes beforehand, a call, the class that instruments, and how it is asked
CALLS = {
    "requests": (
        "import requests\nsession = requests.Session()",
        "session.get(url).status_code",
        "RequestsInstrumentor",
    ),
    "urllib3": (
        "import urllib3\npool = urllib3.PoolManager()",
        "pool.request('GET', url).status",
        "URLLib3Instrumentor",
    ),
    "httpx": ("import httpx\nclient = httpx.Client()", "client.get(url).status_code", "HTTPXClientInstrumentor"),
}


@pytest.mark.parametrize("library", list(CALLS))
@pytest.mark.parametrize("first", [False, True], ids=["before", "after"])
def test_clients(run: Runner, python: str, web: Any, library: str, first: bool) -> None:
    """A client that the program instruments is left to it, before the first call or after it, and taken up again."""
    made, call, kind = CALLS[library]
    done = both(
        run,
        python,
        f"import sys\n{made}\nurl = sys.argv[1]\n"
        f"{f'print({call})' if first else ''}\n"
        f"from opentelemetry.instrumentation.{library} import {kind}\n{kind}().instrument()\nprint({call})\n"
        f"{kind}().uninstrument()\nprint({call})\n",
        web.url,
    )
    spans = sorted(done.spans, key=lambda span: span.start)  # a batch is by scope
    scopes = [span.scope for span in spans]
    assert scopes == [*([f"tracerun.{library}"] if first else []), THEIRS + library, f"tracerun.{library}"], done
    assert all(span.kind == CLIENT for span in spans)
    assert stepped_back(done) == [f"{library} is left to the program, which calls {kind} itself"]
    sent = [seen["traceparent"] for seen in web.seen if "traceparent" in seen]
    assert sent[-len(scopes) :] == [f"00-{span.trace_id}-{span.span_id}-01" for span in spans]


def test_one_client_of_httpx(run: Runner, python: str, web: Any) -> None:
    """``instrument_client`` is for that client alone."""
    done = both(
        run,
        python,
        "import sys, httpx\nfrom opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor\n"
        "mine, other = httpx.Client(), httpx.Client()\nHTTPXClientInstrumentor.instrument_client(mine)\n"
        "print(mine.get(sys.argv[1]).status_code, other.get(sys.argv[1]).status_code)\n",
        web.url,
    )
    assert [span.scope for span in done.spans] == [THEIRS + "httpx", "tracerun.httpx"]


HOOKS = "request_hook=lambda span, *_: span.set_attribute('hook', 'ran')"


def test_hooks_of_the_program_run(run: Runner, python: str, web: Any) -> None:
    """What the program passes to its instrumentation is in the span."""
    done = both(
        run,
        python,
        "import sys, requests\nfrom opentelemetry.instrumentation.requests import RequestsInstrumentor\n"
        f"RequestsInstrumentor().instrument({HOOKS})\nprint(requests.get(sys.argv[1]).status_code)\n",
        web.url,
    )
    assert done.spans.one().attributes["hook"] == "ran"


# A program that serves itself one request, on a thread, and prints the answer.
WSGI = """
import threading, http.client
from wsgiref.simple_server import WSGIRequestHandler, make_server
WSGIRequestHandler.log_message = lambda *_: None
server = make_server("127.0.0.1", 0, app)
threading.Thread(target=server.serve_forever, daemon=True).start()
for path in ("/item/1", "/fails"):
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port)
    connection.request("GET", path)
    answer = connection.getresponse()
    print(answer.status, len(answer.read()) > 0)
server.shutdown()
"""
ASGI = """
import threading, http.client, uvicorn, time
server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="critical"))
thread = threading.Thread(target=server.run)
thread.start()
while not server.started:
    time.sleep(0.01)
for path in ("/item/1", "/fails"):
    connection = http.client.HTTPConnection("127.0.0.1", server.servers[0].sockets[0].getsockname()[1])
    connection.request("GET", path)
    answer = connection.getresponse()
    print(answer.status, len(answer.read()) > 0)
    connection.close()
server.should_exit = True
thread.join()
"""
FLASK = """
from flask import Flask
{before}
app = Flask("app")
app.logger.disabled = True
{after}
@app.get("/item/<id>")
def item(id): return "item"
@app.get("/fails")
def fails(): raise ValueError("no")
"""
FASTAPI = """
from fastapi import FastAPI
{before}
app = FastAPI()
@app.get("/item/{{id}}")
async def item(id: str): return "item"
@app.get("/fails")
async def fails(): raise ValueError("no")
{after}
"""
DJANGO = """
import django, sys, os
from django.conf import settings
settings.configure(ROOT_URLCONF="__main__", ALLOWED_HOSTS=["*"], SECRET_KEY="x", LOGGING_CONFIG=None)
{before}
import logging
logging.getLogger("django.request").disabled = True
from django.http import HttpResponse
from django.urls import path
def item(request, id): return HttpResponse("item")
def fails(request): raise ValueError("no")
urlpatterns = [path("item/<int:id>", item), path("fails", fails)]
django.setup()
from django.core.handlers.{kind} import {class_name}
app = {class_name}()
"""
FLASK_OWN = "from opentelemetry.instrumentation.flask import FlaskInstrumentor\nFlaskInstrumentor()"
FASTAPI_OWN = "from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor\nFastAPIInstrumentor()"
DJANGO_OWN = "from opentelemetry.instrumentation.django import DjangoInstrumentor\nDjangoInstrumentor().instrument()"
# With the web server's own spans of its messages there would be more of theirs, in a plain run too.
ALONE = "exclude_spans=['receive', 'send']"
HOOK = "server_request_hook=lambda span, scope: span.set_attribute('hook', 'ran')"
SERVERS = {
    "flask, all applications": (
        FLASK.format(before=f"{FLASK_OWN}.instrument({HOOKS})\nfrom flask import Flask", after="") + WSGI,
        True,
    ),
    "flask, bound early": (FLASK.format(before=f"{FLASK_OWN}.instrument()", after="") + WSGI, False),
    "flask, one application": (FLASK.format(before="", after=f"{FLASK_OWN}.instrument_app(app, {HOOKS})") + WSGI, True),
    "fastapi, all applications": (
        FASTAPI.format(before=f"{FASTAPI_OWN}.instrument({ALONE}, {HOOK})\nfrom fastapi import FastAPI", after="")
        + ASGI,
        True,
    ),
    "fastapi, one application": (
        FASTAPI.format(before="", after=f"{FASTAPI_OWN}.instrument_app(app, {ALONE}, {HOOK})") + ASGI,
        True,
    ),
    "django, WSGI": (DJANGO.format(before=DJANGO_OWN, kind="wsgi", class_name="WSGIHandler") + WSGI, False),
    "django, ASGI": (DJANGO.format(before=DJANGO_OWN, kind="asgi", class_name="ASGIHandler") + ASGI, False),
    "WSGI middleware outside": (
        FLASK.format(before="", after="")
        + "from opentelemetry.instrumentation.wsgi import OpenTelemetryMiddleware\napp = OpenTelemetryMiddleware(app)\n"
        + WSGI,
        False,
    ),
    "ASGI middleware outside": (
        FASTAPI.format(before="", after="")
        + "from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware\n"
        + f"app = OpenTelemetryMiddleware(app, {ALONE})\n"
        + ASGI,
        False,
    ),
}


@pytest.mark.parametrize("server", list(SERVERS))
@pytest.mark.parametrize("own_provider", [False, True])
def test_servers(run: Runner, python: str, server: str, own_provider: bool) -> None:
    """A server that the program instruments makes one SERVER span for each request, and none beside it."""
    text, hooked = SERVERS[server]
    provider = (
        "from opentelemetry import trace\nfrom opentelemetry.sdk.trace import TracerProvider\n"
        "from opentelemetry.sdk.trace.export import SimpleSpanProcessor\n"
        "from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter\n"
        "memory = InMemorySpanExporter()\nprovider = TracerProvider()\n"
        "provider.add_span_processor(SimpleSpanProcessor(memory))\ntrace.set_tracer_provider(provider)\n"
    )
    count = "print([span.kind.name for span in memory.get_finished_spans() if span.kind.name != 'CLIENT'])\n"
    if own_provider:
        done = run.traced(python, run.program(f"{provider}{text}{count}"))
        assert done.out == "200 True\n500 True\n['SERVER', 'SERVER']\n", done
        assert not done.spans
        return
    done = both(run, python, text)
    assert done.out == "200 True\n500 True\n"
    spans = [span for span in done.spans if span.kind != CLIENT]
    assert [span.kind for span in spans] == [SERVER, SERVER], [(span.scope, span.name) for span in spans]
    good, bad = sorted(spans, key=lambda span: str(span.attributes.get("http.response.status_code")))
    assert "item" in str(good.attributes.get("http.route", good.name)), good.attributes
    assert bad.status == 2
    if hooked:
        assert good.attributes["hook"] == "ran"


GRPC = """
import grpc, logging
from concurrent import futures
{early}
{own}
def handler():
    made = grpc.stream_stream_rpc_method_handler(lambda requests, context: iter([b"x" * len(b"".join(requests)), b"y"]))
    one = grpc.unary_unary_rpc_method_handler(lambda request, context: request * 2)
    return grpc.method_handlers_generic_handler("pkg.Service", {{"Stream": made, "One": one}})
server = grpc.server(futures.ThreadPoolExecutor(2){server})
server.add_generic_rpc_handlers((handler(),))
port = server.add_insecure_port("127.0.0.1:0")
server.start()
with grpc.insecure_channel(f"127.0.0.1:{{port}}") as channel:
    {channel}
    print(channel.unary_unary("/pkg.Service/One")(b"a"))
    print(b"".join(channel.stream_stream("/pkg.Service/Stream")(iter([b"a", b"b"]))))
    print(b"".join(channel.unary_stream("/pkg.Service/Stream")(b"a")))
    print(channel.unary_unary("/pkg.Service/One").future(b"a").result())
server.stop(1).wait()
"""
OWN_CLIENT = "from opentelemetry.instrumentation.grpc import GrpcInstrumentorClient as C, client_interceptor, grpcext\n"
OWN_SERVER = "from opentelemetry.instrumentation.grpc import GrpcInstrumentorServer as S, server_interceptor\n"
INTERCEPTED = "channel = grpcext.intercept_channel(channel, client_interceptor())"
EARLY = "channel = grpc.insecure_channel('127.0.0.1:1')\ngrpc.server(futures.ThreadPoolExecutor(1))"
RPC = {
    "the client": (OWN_CLIENT + "C().instrument()", "", "pass", (True, False)),
    "the server": (OWN_SERVER + "S().instrument()", "", "pass", (False, True)),
    "both": (f"{OWN_CLIENT}{OWN_SERVER}C().instrument()\nS().instrument()", "", "pass", (True, True)),
    "a channel": (OWN_CLIENT, "", INTERCEPTED, (True, False)),
    "one server": (OWN_SERVER, ", interceptors=[server_interceptor()]", "pass", (False, True)),
}


@pytest.mark.parametrize("what", list(RPC))
@pytest.mark.parametrize("early", ["", EARLY], ids=["before", "after"])
def test_grpc(run: Runner, python: str, what: str, early: str) -> None:
    """Clients and servers of gRPC that the program instruments make one span for each call; the others are ours."""
    own, server, channel, theirs = RPC[what]
    done = both(run, python, GRPC.format(early=early, own=own, server=server, channel=channel))
    for kind, is_theirs in ((CLIENT, theirs[0]), (SERVER, theirs[1])):
        scopes = [span.scope for span in done.spans if span.kind == kind]
        assert len(scopes) == 4, (kind, scopes)
        assert all(scope.startswith(THEIRS) == is_theirs for scope in scopes), (kind, scopes)
    assert len(done.spans) == 8
    clients = {span.span_id for span in done.spans if span.kind == CLIENT}
    assert {span.parent_id for span in done.spans if span.kind == SERVER} == clients


AIO = """
import asyncio, grpc
from grpc import aio
{own}
async def one(request, context): return request * 2
def handler():
    return grpc.method_handlers_generic_handler("pkg.Service", {{"One": grpc.unary_unary_rpc_method_handler(one)}})
async def main():
    server = aio.server()
    server.add_generic_rpc_handlers((handler(),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with aio.insecure_channel(f"127.0.0.1:{{port}}") as channel:
        print(await channel.unary_unary("/pkg.Service/One")(b"a"))
    await server.stop(1)
asyncio.run(main())
"""
AIO_OWN = "from opentelemetry.instrumentation.grpc import GrpcAioInstrumentor{0}\nGrpcAioInstrumentor{0}().instrument()"


@pytest.mark.parametrize("side", ["Client", "Server"])
def test_grpc_aio(run: Runner, python: str, side: str) -> None:
    """The same for asyncio's gRPC."""
    done = both(run, python, AIO.format(own=AIO_OWN.format(side)))
    kinds = {span.kind: span.scope.startswith(THEIRS) for span in done.spans}
    assert kinds == {CLIENT: side == "Client", SERVER: side == "Server"}
    assert len(done.spans) == 2
