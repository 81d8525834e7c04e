"""Requests that are left out leave no span, nor anything that is done for them; names that nobody knows are said."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Any

import pytest
import requests

from tests.conftest import PYTHON, TRACERUN, Runner
from tests.environments import Environments, environments
from tests.test_secrets import CLIENTS as OTHER_CLIENTS
from tests.test_secrets import RAISES, SERVERS, address_of, python_with
from tracerun.instrumentation.exclusion import (
    EXCLUSION,
    configure,
    excludes_call,
    excludes_incoming,
    excludes_outgoing,
)
from tracerun.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["environments"]  # the fixture

SERVER, CLIENT = 2, 3
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture(autouse=True)
def nothing_excluded() -> Iterator[None]:
    yield
    configure(Settings.from_env({}))


# What a pattern matches

PATHS = [
    ("/health", ["/health", "/health/", "/health/live"], ["/healthcare", "/api/health", "/", "/Health", "/healt"]),
    ("health", ["/health", "/health/live"], ["/healthcare", "/api/health"]),
    ("/health/", ["/health/", "/health/live"], ["/health", "/healthcare"]),
    ("/", ["/"], ["/health", "//"]),
    ("/*", ["/", "/health", "/a/b"], []),
    (
        "/api/*/ping",
        ["/api/v1/ping", "/api/a/b/ping", "/api/v1/ping/x"],
        ["/api/ping", "/api/v1/pings", "/x/api/v1/ping"],
    ),
    ("*.css", ["/site.css", "/a/b.css"], ["/site.css.map", "/css"]),
    ("/v?/ok", ["/v1/ok", "/v2/ok"], ["/v10/ok", "/v/ok"]),
    ("/a.b", ["/a.b"], ["/axb"]),
    ("/a,/b", ["/a", "/b/c"], ["/c"]),
    ("/grpc.health.v1.Health", ["/grpc.health.v1.Health/Check"], ["/grpc.health.v1.HealthCare/Check"]),
    ("/grpc.health.*", ["/grpc.health.v1.Health/Watch"], ["/shop.Shop/Buy"]),
]


@pytest.mark.parametrize(("pattern", "out", "left_in"), PATHS, ids=[row[0] for row in PATHS])
def test_paths(pattern: str, out: list[str], left_in: list[str]) -> None:
    """A path is that path and all below it, anchored at both ends; servers, clients and gRPC by the same rule."""
    assert configure(Settings.from_env({"TRACERUN_EXCLUDE_URL": pattern})) == []
    for path in out + left_in:
        assert excludes_incoming({"url.path": path}) == (path in out), path
        assert excludes_outgoing("requests", f"http://shop.example:8000{path}?q=/health#/health") == (path in out), path
        assert excludes_call(path.removeprefix("/")) == (path in out), path


INCOMING = {"url.scheme": "http", "server.address": "shop.example", "server.port": 8000, "url.path": "/api/health"}


@pytest.mark.parametrize(
    ("env", "out"),
    [
        ({"OTEL_PYTHON_EXCLUDED_URLS": "health"}, True),
        ({"OTEL_PYTHON_EXCLUDED_URLS": "healthcheck,/api/.*"}, True),
        ({"OTEL_PYTHON_EXCLUDED_URLS": "^http://shop.example:8000/api/health$"}, True),
        ({"OTEL_PYTHON_EXCLUDED_URLS": "shop.example/api"}, False),
        ({"OTEL_PYTHON_EXCLUDED_URLS": "client/.*/info"}, False),
        ({"OTEL_PYTHON_FLASK_EXCLUDED_URLS": "health"}, True),
        ({"OTEL_PYTHON_FLASK_EXCLUDED_URLS": "nothing", "OTEL_PYTHON_EXCLUDED_URLS": "health"}, False),
        ({"OTEL_PYTHON_WSGI_EXCLUDED_URLS": "health"}, True),
        # Of a library that this process has not, or that is a client's.
        ({"OTEL_PYTHON_REQUESTS_EXCLUDED_URLS": "health"}, False),
        ({"OTEL_PYTHON_NOSUCH_EXCLUDED_URLS": "health"}, False),
    ],
)
def test_expressions_for_servers(env: dict[str, str], out: bool) -> None:
    """Upstream's variables: expressions searched for in the whole URL, one library's in place of those for all."""
    import flask  # noqa: F401 - a server's variable counts where that server is in use

    configure(Settings.from_env(env))
    assert excludes_incoming(INCOMING) is out
    assert EXCLUSION.on


@pytest.mark.parametrize(
    ("env", "out"),
    [
        ({"OTEL_PYTHON_EXCLUDED_URLS": "health"}, True),
        ({"OTEL_PYTHON_REQUESTS_EXCLUDED_URLS": "shop.example.*health"}, True),
        ({"OTEL_PYTHON_HTTPX_EXCLUDED_URLS": "health"}, False),
        ({"OTEL_PYTHON_REQUESTS_EXCLUDED_URLS": "nothing", "OTEL_PYTHON_EXCLUDED_URLS": "health"}, False),
    ],
)
def test_expressions_for_clients(env: dict[str, str], out: bool) -> None:
    """The same variables for a client library."""
    configure(Settings.from_env(env))
    assert excludes_outgoing("requests", "http://shop.example/health") is out


def test_grpc_services() -> None:
    """Upstream's variable for gRPC names services, whole."""
    configure(Settings.from_env({"OTEL_PYTHON_GRPC_EXCLUDED_SERVICES": "grpc.health.v1.Health, shop.Internal"}))
    assert excludes_call("grpc.health.v1.Health/Check")
    assert excludes_call("shop.Internal/Sync")
    assert not excludes_call("shop.InternalAffairs/Sync")


def test_a_wrong_expression_is_one_line() -> None:
    """What is no regular expression is said and left out; the others of the same variable count."""
    (line,) = configure(Settings.from_env({"OTEL_PYTHON_EXCLUDED_URLS": "health(,ready"}))
    assert line.startswith("OTEL_PYTHON_EXCLUDED_URLS=health(: ")
    assert line.endswith("allowed: regular expressions with commas between them; left out")
    assert excludes_outgoing("requests", "http://shop.example/ready")
    assert not excludes_outgoing("requests", "http://shop.example/health(")


def test_nothing_is_on_by_default() -> None:
    """Without a setting no request pays for more than one look."""
    assert configure(Settings.from_env({})) == []
    assert not EXCLUSION.on


# Real programs

FLASK = """
import flask, requests
from opentelemetry import trace
app = flask.Flask(__name__)

def answer():
    with trace.get_tracer("shop").start_as_current_span("manual"):
        requests.get({url!r} + "/200/inner")
    return "ok"

for path in ("/health", "/health/live", "/healthcare"):
    app.add_url_rule(path, path, answer)
"""
FASTAPI = """
import httpx
from fastapi import FastAPI
from opentelemetry import trace
app = FastAPI()

async def answer():
    with trace.get_tracer("shop").start_as_current_span("manual"):
        async with httpx.AsyncClient() as client:
            await client.get({url!r} + "/200/inner")
    return "ok"

for path in ("/health", "/health/live", "/healthcare"):
    app.get(path)(answer)
"""
APPS = {
    "flask": (FLASK, ("flask", "--app", "web", "run", "--port")),
    "fastapi": (FASTAPI, ("uvicorn", "web:app", "--port")),
}


@contextlib.contextmanager
def serving(run: Runner, app: str, web: Any, port: int, *flags: str, env: Any = None) -> Iterator[str]:
    text, words = APPS[app]
    run.program(text.replace("{url!r}", repr(web.url)), "web.py")
    with run.serving(TRACERUN, *flags, *words, str(port), port=port, env=env):
        yield f"http://127.0.0.1:{port}"


WAYS = {
    "option": (("--exclude-url", "/health"), {}),
    "variable": ((), {"TRACERUN_EXCLUDE_URL": "/health"}),
    "upstream": ((), {"OTEL_PYTHON_EXCLUDED_URLS": "/health$,/health/"}),
}


@pytest.mark.parametrize("app", list(APPS))
@pytest.mark.parametrize("way", list(WAYS))
def test_an_excluded_request_leaves_nothing(run: Runner, port: int, web: Any, app: str, way: str) -> None:
    """Neither its own span nor one inside it, in any way to say so; the request beside it is whole.

    What it calls is told not to record either: a traceparent of the caller's trace with flags 00.
    """
    flags, env = WAYS[way]
    with serving(run, app, web, port, *flags, env=env) as url:
        for path in ("/health", "/health/live", "/healthcare"):
            assert requests.get(url + path, headers={"traceparent": PARENT}, timeout=20).ok
        assert requests.get(f"{url}/health", timeout=20).ok
    spans = run.spans()
    assert [span.attributes["url.path"] for span in spans.all(kind=SERVER)] == ["/healthcare"]
    assert sorted(span.kind for span in spans) == [1, SERVER, CLIENT]
    sent = [seen["traceparent"] for seen in web.seen]
    assert [header[-2:] for header in sent] == ["00", "00", "01", "00"]
    assert {header.split("-")[1] for header in sent[:3]} == {PARENT.split("-")[1]}
    assert sent[3].split("-")[1] != PARENT.split("-")[1]


@pytest.mark.slow
def test_a_frameworks_variable_counts_where_a_server_begins_the_span(run: Runner, port: int, web: Any) -> None:
    """OTEL_PYTHON_FASTAPI_EXCLUDED_URLS works under uvicorn, whose wrapper sees the request first."""
    with serving(run, "fastapi", web, port, env={"OTEL_PYTHON_FASTAPI_EXCLUDED_URLS": "health$"}) as url:
        assert requests.get(f"{url}/health", timeout=20).ok
        assert requests.get(f"{url}/health/live", timeout=20).ok
    assert [span.attributes["url.path"] for span in run.spans().all(kind=SERVER)] == ["/health/live"]


@pytest.mark.slow
@pytest.mark.parametrize("server", list(SERVERS))
def test_excluded_requests_of_other_servers(run: Runner, port: int, server: str) -> None:
    """Every framework and server leaves out what is named, and the headers that are named are of what is left."""
    text, words = SERVERS[server]
    run.program(f"PAIR = ''\n{text.replace('{raises}', RAISES)}", "web.py")
    env: dict[str, str | None] = {
        "TRACERUN_EXCLUDE_URL": "/skipped",
        "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_REQUEST": "x-shop",
    }
    with run.serving(TRACERUN, *words, address_of(words, port), port=port, env=env):
        for path in ("skipped", "skipped/too", "kept"):
            answer = requests.get(f"http://127.0.0.1:{port}/{path}", headers={"X-Shop": "7"}, timeout=20)
            assert answer.status_code == 500
        until = time.monotonic() + 10
        while not run.spans() and time.monotonic() < until:
            time.sleep(0.05)
    span = run.spans().one()
    assert span.attributes["url.path"] == "/kept"
    assert span.attributes["http.request.header.x-shop"] == ["7"]


CLIENTS = {
    "requests": "requests.get({url})",
    "urllib3": "urllib3.request('GET', {url}, retries=False)",
    "httpx": "httpx.get({url})",
}


@pytest.mark.parametrize("library", list(CLIENTS))
@pytest.mark.parametrize("variable", ["OTEL_PYTHON_EXCLUDED_URLS", "OTEL_PYTHON_{}_EXCLUDED_URLS"])
def test_a_clients_excluded_call(run: Runner, web: Any, library: str, variable: str) -> None:
    """A call that is left out leaves no span of any layer, and says so on the wire; the next one is traced."""
    call = CLIENTS[library]
    program = run.program(
        "import sys, httpx, requests, urllib3\n"
        + call.format(url="sys.argv[1] + '/200/skipped'")
        + "\n"
        + call.format(url="sys.argv[1] + '/200/kept'")
        + "\n"
    )
    done = run.traced(PYTHON, program, web.url, env={variable.format(library.upper()): "skip[a-z]+"})
    assert (done.status, done.err) == (0, ""), done
    assert [span.attributes["url.full"] for span in done.spans] == [f"{web.url}/200/kept"]
    assert [seen["traceparent"][-2:] for seen in web.seen] == ["00", "01"]


OTHERS = [name for name in OTHER_CLIENTS if name not in CLIENTS]
# Names of ours that are not those of the libraries.
OWN_NAMES = {
    "http.client": "HTTP_CLIENT",
    "aiohttp": "AIOHTTP_CLIENT",
    "tornado": "TORNADO_CLIENT",
    "twisted": "TWISTED_CLIENT",
}


@pytest.mark.slow
@pytest.mark.parametrize("library", OTHERS)
def test_excluded_calls_of_other_clients(run: Runner, web: Any, environments: Environments, library: str) -> None:
    """The same of all other clients, by the variable for all and by their own; what is kept passes its context on."""
    python = python_with(library, environments)
    program = run.program(
        f"import sys\n{OTHER_CLIENTS[library]}\nfor path in ('skipped', 'kept'):\n    get(sys.argv[1] + path, {{}})\n"
    )
    own = OWN_NAMES.get(library, library.partition(" ")[0].upper())
    for name in ("OTEL_PYTHON_EXCLUDED_URLS", f"OTEL_PYTHON_{own}_EXCLUDED_URLS"):
        done = run.traced(python, program, f"{web.url}/200/", env={name: "skipped"})
        assert done.status == 0, done
    assert [span.attributes["url.full"] for span in done.spans] == [f"{web.url}/200/kept"] * 2
    assert [seen["traceparent"][-2:] for seen in web.seen] == ["00", "01"] * 2
    kept = [f"00-{span.trace_id}-{span.span_id}-01" for span in done.spans]
    assert sorted(seen["traceparent"] for seen in web.seen[1::2]) == sorted(kept)


GRPC = """
import asyncio, grpc
from concurrent import futures
from grpc import aio
from opentelemetry import trace

def handle(request, context):
    trace.get_tracer("shop").start_span("manual").end()
    return request

async def handle_async(request, context):
    return handle(request, context)

def handlers(handle):
    return [
        grpc.method_handlers_generic_handler(name, {"Check": grpc.unary_unary_rpc_method_handler(handle)})
        for name in ("grpc.health.v1.Health", "shop.Shop")
    ]

def main():
    server = grpc.server(futures.ThreadPoolExecutor(1), handlers=handlers(handle))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        for name in ("grpc.health.v1.Health", "shop.Shop"):
            print(channel.unary_unary(f"/{name}/Check")(b"x"))
    server.stop(0).wait()

async def main_async():
    server = aio.server(handlers=handlers(handle_async))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        for name in ("grpc.health.v1.Health", "shop.Shop"):
            print(await channel.unary_unary(f"/{name}/Check")(b"x"))
    await server.stop(0)

main()
asyncio.run(main_async())
"""


@pytest.mark.parametrize(
    "env",
    [
        {"TRACERUN_EXCLUDE_URL": "/grpc.health.v1.Health"},
        {"OTEL_PYTHON_EXCLUDED_URLS": "grpc.health"},
        {"OTEL_PYTHON_GRPC_EXCLUDED_SERVICES": "grpc.health.v1.Health"},
    ],
    ids=["path", "expression", "service"],
)
def test_grpc_health_checks(run: Runner, env: dict[str, str | None]) -> None:
    """Health checks are left out by the switch for URLs, on both ends, sync and asyncio, with what is inside them."""
    program = run.program(GRPC)
    plain, traced = run.plain(PYTHON, program), run.traced(PYTHON, program, env=env)
    assert (traced.status, traced.out) == (plain.status, plain.out), traced
    assert sorted(span.name for span in traced.spans) == ["manual"] * 2 + ["shop.Shop/Check"] * 4


# Names that nobody knows


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--only", "requets"), "--only requets: unknown (did you mean requests?)"),
        (("--disable", "flsk"), "--disable flsk: unknown (did you mean flask?)"),
    ],
)
def test_unknown_names_in_options(run: Runner, flags: tuple[str, ...], said: str) -> None:
    """A wrong name in an option is refused, with what was probably meant."""
    done = run.traced(PYTHON, "-c", "print('ran')", flags=flags)
    assert (done.status, done.out) == (2, "")
    assert done.ours[0].startswith(said)


@pytest.mark.parametrize("variable", ["TRACERUN_ONLY", "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS"])
def test_unknown_names_in_variables(run: Runner, web: Any, variable: str) -> None:
    """A wrong name in a variable is one line, with what was probably meant; the right ones beside it count."""
    program = run.program("import sys, requests, httpx\nrequests.get(sys.argv[1])\nhttpx.get(sys.argv[1])\n")
    done = run.traced(PYTHON, program, web.url, env={variable: "httpx,requets"})
    (line,) = done.ours
    assert line.startswith(f"{variable}: requets is unknown (did you mean requests?); ")
    assert line.endswith("; left out")
    assert len(done.spans) == 1
    strict = run.traced(PYTHON, program, web.url, env={variable: "httpx,requets"}, flags=("--strict",))
    assert (strict.status, strict.out) == (2, "")


def test_known_names_are_silent(run: Runner, web: Any) -> None:
    """Right names, the star, and names of installed packages for OpenTelemetry cost no line."""
    program = run.program("import sys, requests\nrequests.get(sys.argv[1])\n")
    done = run.traced(PYTHON, program, web.url, env={"OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "httpx,flask"})
    assert (done.ours, len(done.spans)) == ([], 1)
    everything = run.traced(PYTHON, program, web.url, env={"OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "*"})
    assert everything.slugs == ["all-disabled"]
