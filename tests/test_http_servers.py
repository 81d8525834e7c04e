"""Flask, FastAPI, Starlette, and any application at all under any server: one SERVER span per request."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import pytest
import requests

from tests.conftest import PYTHON, TRACERUN, Runner
from tests.environments import Environments, environments
from tests.test_frameworks import FLASK as FLASK_PROGRAM
from tests.test_frameworks import FRAMEWORKS, OLDEST_PYTHON, Framework, answer, check_what_is_shown, python_of
from tests.test_frameworks import serving as serving_framework
from tracerun.instrumentation.catalog import CATALOG

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.receiver import Spans

__all__ = ["environments"]  # the fixture

INTERNAL, SERVER, CLIENT = 1, 2, 3
UNSET, ERROR = 0, 2
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

FLASK = """
import flask

app = flask.Flask(__name__)
api = flask.Blueprint("api", __name__, url_prefix="/api")

@app.get("/hello/<name>")
def hello(name):
    return f"hello {name}"

@app.get("/broken")
def broken():
    raise ZeroDivisionError("on purpose")

@app.get("/refused")
def refused():
    flask.abort(403)

@app.get("/stream")
def stream():
    return flask.Response((f"{n}\\n" for n in range(3)), mimetype="text/plain")

@api.post("/things/<int:number>")
def thing(number):
    return {"number": number}, 201

app.register_blueprint(api)
"""

FASTAPI = """
from fastapi import APIRouter, FastAPI, HTTPException
from fastapi.responses import PlainTextResponse, StreamingResponse

app = FastAPI()
api = APIRouter(prefix="/api")

@app.get("/hello/{name}", response_class=PlainTextResponse)
async def hello(name: str):
    return f"hello {name}"

@app.get("/broken")
def broken():
    raise ZeroDivisionError("on purpose")

@app.get("/refused")
async def refused():
    raise HTTPException(403)

@app.get("/stream")
async def stream():
    async def lines():
        for n in range(3):
            yield f"{n}\\n"
    return StreamingResponse(lines(), media_type="text/plain")

@api.post("/things/{number}", status_code=201)
async def thing(number: int):
    return {"number": number}

app.include_router(api)
"""

STARLETTE = """
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, PlainTextResponse, StreamingResponse
from starlette.routing import Mount, Route

async def hello(request):
    return PlainTextResponse(f"hello {request.path_params['name']}")

def broken(request):
    raise ZeroDivisionError("on purpose")

async def refused(request):
    raise HTTPException(403)

async def stream(request):
    return StreamingResponse((f"{n}\\n" for n in range(3)), media_type="text/plain")

async def thing(request):
    return JSONResponse({"number": request.path_params["number"]}, 201)

app = Starlette(routes=[
    Route("/hello/{name}", hello), Route("/broken", broken), Route("/refused", refused), Route("/stream", stream),
    Mount("/api", routes=[Route("/things/{number:int}", thing, methods=["POST"])]),
])
"""

SERVERS = {
    "flask": (FLASK, ("flask", "--app", "web", "run", "--port"), "<name>", "<int:number>"),
    "waitress": (FLASK, ("waitress-serve", "--listen"), "<name>", "<int:number>"),
    "gunicorn": (FLASK, ("gunicorn", "web:app", "-b"), "<name>", "<int:number>"),
    "fastapi": (FASTAPI, ("uvicorn", "web:app", "--port"), "{name}", "{number}"),
    "starlette": (STARLETTE, ("uvicorn", "web:app", "--port"), "{name}", "{number}"),
}
EACH_SERVER = pytest.mark.parametrize("server", list(SERVERS))


@contextlib.contextmanager
def serving(run: Runner, server: str, port: int, *flags: str) -> Iterator[str]:
    """A server under tracerun; its address."""
    program, words, *_ = SERVERS[server]
    run.program(program, "web.py")
    address = str(port) if words[-1] == "--port" else f"127.0.0.1:{port}"
    more = ("web:app",) if server == "waitress" else ()
    with run.serving(TRACERUN, *flags, *words, address, *more, port=port):
        yield f"http://127.0.0.1:{port}"


def spans_of(run: Runner) -> Spans:
    """The SERVER spans of the run."""
    return run.spans().all(kind=SERVER)


@EACH_SERVER
def test_requests_of_every_sort(run: Runner, port: int, server: str) -> None:
    """Route, status, attributes, parent and errors of one server's requests, one SERVER span for each."""
    _, _, name, number = SERVERS[server]
    with serving(run, server, port) as url:
        headers = {"traceparent": PARENT, "User-Agent": "test/1"}
        hello = requests.get(f"{url}/hello/you?page=2&token=hush", headers=headers, timeout=20)
        assert (hello.status_code, hello.text) == (200, "hello you")
        assert requests.post(f"{url}/api/things/7", timeout=20).json() in ({"number": 7}, {"number": "7"})
        assert requests.get(f"{url}/broken", timeout=20).status_code == 500
        assert requests.get(f"{url}/refused", timeout=20).status_code == 403
        assert requests.get(f"{url}/nowhere", timeout=20).status_code == 404
        assert requests.get(f"{url}/stream", timeout=20).text == "0\n1\n2\n"
    spans = spans_of(run)
    assert len(spans) == 6

    hello = spans.named(f"GET /hello/{name}")
    assert (hello.trace_id, hello.parent_id) == (PARENT[3:35], PARENT[36:52])
    assert (hello.status, hello.events) == (UNSET, [])
    expected = {
        "http.request.method": "GET",
        "http.response.status_code": 200,
        "http.route": f"/hello/{name}",
        "url.scheme": "http",
        "url.path": "/hello/you",
        "url.query": "page=2&token=REDACTED",
        "server.address": "127.0.0.1",
        "server.port": port,
        "client.address": "127.0.0.1",
        "network.peer.address": "127.0.0.1",
        "network.protocol.version": "1.1",
        "user_agent.original": "test/1",
    }
    assert {key: hello.attributes.get(key) for key in expected} == expected

    thing = spans.named(f"POST /api/things/{number}")
    assert (thing.parent_id, thing.attributes["http.response.status_code"]) == ("", 201)

    broken = spans.named("GET /broken")
    assert (broken.status, broken.attributes["error.type"]) == (ERROR, "ZeroDivisionError")
    assert broken.events[0].attributes["exception.message"] == "on purpose"
    assert "in broken" in broken.events[0].attributes["exception.stacktrace"]

    assert (spans.named("GET /refused").status, spans.named("GET /stream").status) == (UNSET, UNSET)
    nowhere = spans.named("GET")
    assert (nowhere.attributes["http.response.status_code"], "http.route" in nowhere.attributes) == (404, False)


BARE_ASGI = """
async def app(scope, receive, send):
    assert scope['type'] == 'http'
    if scope['path'] == '/broken':
        raise ValueError('broken')
    await send({'type': 'http.response.start', 'status': 204, 'headers': []})
    if scope['path'] == '/late':
        raise ValueError('too late')
    await send({'type': 'http.response.body'})
"""
BARE_WSGI = """
def app(environ, start_response):
    if environ['PATH_INFO'] == '/broken':
        raise ValueError('broken')
    start_response('204 No Content', [])
    return late() if environ['PATH_INFO'] == '/late' else []

def late():
    yield b''
    raise ValueError('too late')
"""


@pytest.mark.parametrize(
    ("program", "command"),
    [
        (BARE_ASGI, ("uvicorn", "web:app", "--lifespan", "off", "--port")),
        (BARE_WSGI, ("waitress-serve", "web:app", "--port")),
    ],
    ids=["uvicorn", "waitress"],
)
def test_a_bare_application(run: Runner, port: int, program: str, command: tuple[str, ...]) -> None:
    """An application without a framework has its SERVER span from the server; what leaves it is answered with 500."""
    run.program(program, "web.py")
    name, app, *options = command
    with run.serving(TRACERUN, name, *options, str(port), app, port=port):
        assert requests.get(f"http://127.0.0.1:{port}/x", timeout=20).status_code == 204
        assert requests.get(f"http://127.0.0.1:{port}/broken", timeout=20).status_code == 500
        with contextlib.suppress(requests.RequestException):
            requests.get(f"http://127.0.0.1:{port}/late", timeout=20)
    spans = {span.attributes["url.path"]: span for span in spans_of(run)}
    scope = "tracerun." + name.partition("-")[0]
    assert {(span.name, span.scope, span.service) for span in spans.values()} == {("GET", scope, "web")}
    found = [(path, *map(spans[path].attributes.get, ("http.response.status_code", "error.type"))) for path in spans]
    assert found == [("/x", 204, None), ("/broken", 500, "ValueError"), ("/late", 204, "ValueError")]


@pytest.mark.parametrize(
    ("framework", "program"),
    [
        ("flask", FLASK + "\nprint(app.test_client().get('/hello/you').text)"),
        (
            "starlette",
            STARLETTE + "\nfrom starlette.testclient import TestClient\nprint(TestClient(app).get('/hello/you').text)",
        ),
        (
            "fastapi",
            FASTAPI + "\nfrom fastapi.testclient import TestClient\nprint(TestClient(app).get('/hello/you').text)",
        ),
    ],
)
def test_without_a_server(run: Runner, framework: str, program: str) -> None:
    """Under a framework's test client there is one SERVER span too, made by the framework's instrumentor."""
    done = run.traced(PYTHON, "-W", "ignore", run.program(program))
    assert done.out == "hello you\n", done
    span = done.spans.one(kind=SERVER)
    assert span.scope == f"tracerun.{framework}"
    assert span.attributes["http.route"].startswith("/hello/")


def test_calls_inside_a_handler_are_its_children(run: Runner, port: int, web: Any) -> None:
    """What a handler calls has the handler's span as its parent, in threads and in the event loop."""
    run.program(
        "import sys, httpx, requests\n"
        "from fastapi import FastAPI\n"
        "app = FastAPI()\n"
        f"URL = {web.url!r}\n"
        "@app.get('/async')\n"
        "async def in_loop():\n"
        "    async with httpx.AsyncClient() as client:\n"
        "        await client.get(URL)\n"
        "@app.get('/sync')\n"
        "def in_thread():\n"
        "    requests.get(URL)\n",
        "web.py",
    )
    with run.serving(TRACERUN, "uvicorn", "web:app", "--port", str(port), port=port):
        for path in ("async", "sync"):
            requests.get(f"http://127.0.0.1:{port}/{path}", timeout=20).raise_for_status()
    spans = run.spans()
    assert len(spans) == 4
    for path in ("async", "sync"):
        handler = spans.named(f"GET /{path}")
        assert spans.one(kind=CLIENT, parent_id=handler.span_id).trace_id == handler.trace_id


def test_fastapis_own_spans_are_off_unless_asked_for(run: Runner) -> None:
    """FastAPI's own SERVER span gives way to ours; its INTERNAL ones appear where the application asks for them."""
    asking = FASTAPI.replace("FastAPI()", "FastAPI(telemetry={'operation_spans': True})")
    call = "\nfrom fastapi.testclient import TestClient\nprint(TestClient(app).get('/hello/you').text)"
    done = run.traced(PYTHON, "-W", "ignore", run.program(asking + call))
    assert done.out == "hello you\n", done
    server = done.spans.one(kind=SERVER)
    inside = done.spans.all(kind=INTERNAL)
    assert inside
    assert {span.trace_id for span in inside} == {server.trace_id}
    assert server.span_id in {span.parent_id for span in inside}


def test_websocket(run: Runner) -> None:
    """A WebSocket connection is one SERVER span from its upgrade to its close."""
    program = (
        "from starlette.applications import Starlette\n"
        "from starlette.routing import WebSocketRoute\n"
        "from starlette.testclient import TestClient\n"
        "async def echo(socket):\n"
        "    await socket.accept()\n"
        "    await socket.send_text(await socket.receive_text())\n"
        "    await socket.close()\n"
        "app = Starlette(routes=[WebSocketRoute('/echo/{room}', echo)])\n"
        "with TestClient(app).websocket_connect('/echo/1') as socket:\n"
        "    socket.send_text('hi')\n"
        "    print(socket.receive_text())\n"
    )
    done = run.traced(PYTHON, "-W", "ignore", run.program(program))
    assert done.out == "hi\n", done
    span = done.spans.one(kind=SERVER)
    assert (span.name, span.attributes["http.response.status_code"]) == ("GET /echo/{room}", 101)


def test_a_body_closed_early_leaves_nothing_behind(run: Runner) -> None:
    """A streamed body that is dropped half-way ends its span, and the next request's context is clean."""
    program = FLASK + (
        "\nfrom werkzeug.test import create_environ\n"
        "from opentelemetry import trace\n"
        "def start(status, headers, exc_info=None): pass\n"
        "body = app(create_environ('/stream'), start)\n"
        "print(next(iter(body)))\n"
        "body.close()\n"
        "print(trace.get_current_span().get_span_context().is_valid)\n"
        "print(app.test_client().get('/hello/you').text)\n"
    )
    done = run.traced(PYTHON, run.program(program))
    assert done.out == "b'0\\n'\nFalse\nhello you\n", done
    assert [span.name for span in done.spans] == ["GET /stream", "GET /hello/<name>"]
    assert len({span.trace_id for span in done.spans}) == 2


def test_credentials_in_exceptions_are_redacted(run: Runner) -> None:
    """What an unhandled exception quotes of a URL is redacted in status, message and stack trace."""
    program = FLASK + (
        "\nimport requests\n"
        "@app.get('/leak')\n"
        "def leak():\n"
        "    requests.get('http://bob:hush1@127.0.0.1:1/x?api_key=hush2&accessToken=hush3&page=1')\n"
        "app.logger.disabled = True\n"
        "print(app.test_client().get('/leak').status_code)\n"
    )
    done = run.traced(PYTHON, run.program(program))
    assert done.out == "500\n", done
    data = b"".join(path.read_bytes() for path in run.state.glob("*.jsonl"))
    assert b"hush" not in data
    assert b"page=1" in data


def test_a_span_held_open_in_a_body_keeps_its_children(run: Runner, web: Any) -> None:
    """A span of the program's that its streamed body holds open across a yield is the parent of what follows."""
    program = FLASK + (
        "\nimport requests\n"
        "from opentelemetry import trace\n"
        "@app.get('/held')\n"
        "def held():\n"
        "    def parts():\n"
        "        with trace.get_tracer('t').start_as_current_span('held'):\n"
        "            yield 'a'\n"
        f"            requests.get({web.url!r})\n"
        "            yield 'b'\n"
        "    return flask.Response(flask.stream_with_context(parts()))\n"
        "print(app.test_client().get('/held').text)\n"
        "print(trace.get_current_span().get_span_context().is_valid)\n"
    )
    done = run.traced(PYTHON, run.program(program))
    assert (done.out, done.theirs) == ("ab\nFalse\n", ""), done
    held = done.spans.named("held")
    assert done.spans.one(kind=CLIENT).parent_id == held.span_id
    assert held.parent_id == done.spans.one(kind=SERVER).span_id


FLASK_ENDS = """
import sys, flask, requests
from werkzeug.test import create_environ
from werkzeug.wrappers.response import _iter_encoded
from werkzeug.wsgi import ClosingIterator

URL, PARENT = sys.argv[1:]
app = flask.Flask("a")

def ask():
    requests.get(URL)

class Text(str):
    def encode(self, *args):
        ask()
        return super().encode(*args)

class Parts:
    def __iter__(self):
        ask()
        yield b"text"

    def close(self):
        pass

class Own(flask.Response):
    def iter_encoded(self):
        ask()
        return super().iter_encoded()

@app.get("/<how>")
def answer(how):
    if how == "own class":
        return Own("text")
    if how == "stream":
        return flask.Response((ask() or part for part in ["text"]))
    response = flask.make_response("text")
    if how == "callback":
        response.call_on_close(ask)
    if how in ("close", "iter_encoded"):
        original = getattr(response, how)
        setattr(response, how, lambda: ask() or original())
    if how == "object":
        response.iter_encoded = Parts
    if how == "encoder":
        response.iter_encoded = lambda: _iter_encoded(ask() or part for part in ["text"])
    if how == "text of its own":
        response.response = [Text("text")]
    if how == "late callback":
        flask.g.response = response
    return response

@app.teardown_request
def tear_down(_):
    if "response" in flask.g:
        flask.g.response.call_on_close(ask)

def middleware(environ, start_response, inner=app.wsgi_app):
    body = inner(environ, start_response)
    how = environ["PATH_INFO"]
    if how == "/generator":
        return (ask() or part for part in body)
    if how == "/comparing":
        return ClosingIterator(body, [Callback()])
    return ClosingIterator(body, ask) if how == "/closing" else body

class Callback:
    def __call__(self):
        ask()

    def __eq__(self, other):
        return self.key == other.key

app.wsgi_app = middleware
for how in ("plain", "own class", "stream", "callback", "late callback", "close", "iter_encoded", "object",
            "encoder", "text of its own", "generator", "closing", "comparing"):
    body = app(create_environ("/" + how, headers={"traceparent": PARENT}), lambda *_: None)
    print(how, b"".join(body), type(body).__name__ if how == "plain" else "")
    body.close()
"""


@pytest.mark.parametrize("sampled", ["01", "00"])
def test_flasks_bodies_run_in_their_requests(run: Runner, web: Any, sampled: str) -> None:
    """Whatever the program does while its answer is sent is the request's; an answer that is all there is untouched."""
    trace_id = "0af7651916cd43dd8448eb211c80319c"
    command = (PYTHON, run.program(FLASK_ENDS), web.url, f"00-{trace_id}-b7ad6b7169203331-{sampled}")
    plain = run.plain(*command)
    assert plain.out.startswith("plain b'text' ClosingIterator\n")
    web.seen.clear()
    done = run.traced(*command)
    assert (done.out, done.theirs) == (plain.out, ""), done
    sent = [headers["traceparent"].split("-") for headers in web.seen]
    assert [(parts[1], parts[3]) for parts in sent] == [(trace_id, sampled)] * 12
    servers = [span for span in done.spans if span.kind == SERVER]
    callers = sorted(span.parent_id for span in done.spans if span.kind == CLIENT)
    assert len(servers) == (13 if sampled == "01" else 0)
    assert callers == sorted(span.span_id for span in servers if span.attributes["url.path"] != "/plain")


def test_files_are_left_to_the_server(run: Runner) -> None:
    """A body made by the server's ``wsgi.file_wrapper`` reaches the server as it is, so that it can use sendfile."""
    program = run.program(
        "import flask\n"
        "from werkzeug.wsgi import FileWrapper\n"
        "app = flask.Flask('a')\n"
        "@app.get('/file')\n"
        "def file():\n"
        "    return flask.send_file(__file__)\n"
        "from werkzeug.test import create_environ\n"
        "environ = create_environ('/file')\n"
        "environ['wsgi.file_wrapper'] = FileWrapper\n"
        "body = app(environ, lambda *args: None)\n"
        "print(type(body).__name__, b'send_file' in b''.join(body))\n"
        "body.close()\n"
    )
    plain, traced = run.plain(PYTHON, program), run.traced(PYTHON, program)
    assert traced.out == plain.out, traced


WSGI = """
from wsgiref.util import FileWrapper

def app(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/broken":
        raise ZeroDivisionError("on purpose")
    call("/200" + path)
    start_response("200 OK", [("Content-Type", "text/plain")])
    if path == "/stream":
        return parts()
    if path == "/file":
        return environ.get("wsgi.file_wrapper", FileWrapper)(open(__file__, "rb"))
    return [b"whole"]

def parts():
    yield b"0\\n"
    call("/200/late")
    yield b"1\\n"
"""

WSGIREF = """
from wsgiref.simple_server import WSGIRequestHandler, make_server

class Silent(WSGIRequestHandler):
    def log_message(self, *args):
        pass

make_server("127.0.0.1", PORT, app, handler_class=Silent).serve_forever()
"""

CHEROOT = """
from cheroot import wsgi
wsgi.Server(("127.0.0.1", PORT), app).start()
"""

WERKZEUG = """
from werkzeug.serving import run_simple
run_simple("127.0.0.1", PORT, app)
"""

ASGI = """
async def app(scope, receive, send):
    if scope["type"] != "http":
        raise NotImplementedError
    path = scope["path"]
    if path == "/broken":
        raise ZeroDivisionError("on purpose")
    call("/200" + path)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    if path != "/stream":
        await send({"type": "http.response.body", "body": b"whole"})
        return
    await send({"type": "http.response.body", "body": b"0\\n", "more_body": True})
    call("/200/late")
    await send({"type": "http.response.body", "body": b"1\\n"})
"""

GEVENT = """
from gevent.pywsgi import WSGIServer
WSGIServer(("127.0.0.1", PORT), app, log=None).serve_forever()
"""

EVENTLET = """
import eventlet
from eventlet import wsgi
wsgi.server(eventlet.listen(("127.0.0.1", PORT)), app, log_output=False, debug=False)
"""

GUNICORN = "python -m gunicorn -b 127.0.0.1:PORT web:app"
HYPERCORN = "python -m hypercorn -b 127.0.0.1:PORT "
BARE = {
    "gunicorn": Framework(WSGI, GUNICORN, "", "gunicorn", "gunicorn==20.1.0 setuptools<81"),
    "gunicorn gthread": Framework(WSGI, GUNICORN + " -k gthread", "", "gunicorn", "gunicorn==20.1.0 setuptools<81"),
    "gunicorn asgi": Framework(ASGI, GUNICORN + " -k asgi", "", "gunicorn", ""),
    "waitress": Framework(
        WSGI, "python -m waitress --listen 127.0.0.1:PORT web:app", "", "waitress", "waitress==2.1.2"
    ),
    "wsgiref": Framework(WSGI + WSGIREF, "python web.py", "", "wsgiref", OLDEST_PYTHON),
    "werkzeug": Framework(WSGI + WERKZEUG, "python web.py", "", "werkzeug", "werkzeug==2.2.0"),
    "gevent": Framework(WSGI + GEVENT, "python web.py", "", "gevent", "gevent==22.10.2 setuptools<81"),
    "eventlet": Framework(WSGI + EVENTLET, "python web.py", "", "eventlet", "eventlet==0.33.3"),
    "cheroot": Framework(WSGI + CHEROOT, "python web.py", "", "cheroot", "cheroot==9.0.0", "cheroot==11.1.2"),
    "hypercorn wsgi": Framework(WSGI, HYPERCORN + "wsgi:web:app", "", "hypercorn", "hypercorn==0.16.0"),
    "hypercorn asgi": Framework(ASGI, HYPERCORN + "asgi:web:app", "", "hypercorn", "hypercorn==0.16.0"),
    "granian wsgi": Framework(
        WSGI, "python -m granian --interface wsgi --port PORT web:app", "", "granian", "granian==1.6.4"
    ),
    "granian asgi": Framework(
        ASGI, "python -m granian --interface asgi --port PORT web:app", "", "granian", "granian==1.6.4"
    ),
    "uvicorn wsgi": Framework(
        WSGI, "python -m uvicorn web:app --interface wsgi --port PORT", "", "uvicorn", "uvicorn==0.23.0"
    ),
    "daphne": Framework(ASGI, "python -m daphne -p PORT web:app", "", "daphne", "daphne==4.0.0"),
    "uvicorn": Framework(
        ASGI, "python -m uvicorn web:app --lifespan off --port PORT", "", "uvicorn", "uvicorn==0.23.0"
    ),
}


def test_every_server_of_the_catalogue_is_tested_on_its_oldest_release() -> None:
    """The oldest release that a record claims is installed and served by a test; those of gRPC have theirs."""
    tested = " ".join(row.oldest.lower() for row in (*FRAMEWORKS.values(), *BARE.values()))
    claimed = [
        f"{library.distribution}=={library.minimum}"
        for library in CATALOG
        if library.kind == "server" and library.distribution and library.entries and "grpc" not in library.name
    ]
    assert [claim for claim in claimed if claim not in tested and "connect" not in claim] == []


BARE_PATHS = ("/whole", "/stream", "/broken", "/file")


@pytest.mark.parametrize(
    ("name", "release"), [(name, "newest") for name in BARE] + [(name, "oldest") for name in BARE if BARE[name].oldest]
)
@pytest.mark.slow
def test_any_application(run: Runner, web: Any, environments: Environments, name: str, release: str) -> None:
    """A bare callable gives the same answers to the byte, and has a SERVER span for each request from the server."""
    server = BARE[name]
    python = python_of(server, release, environments)
    answers = []
    for launcher in ((), (TRACERUN,)):
        with serving_framework(run, server, python, web.url, *launcher) as port:
            answers.append([answer(port, "GET", path) for path in BARE_PATHS])
    log = (run.folder / "server.log").read_text(errors="replace")
    assert answers[1] == answers[0], log
    assert [given[0] for given in answers[1][:2]] == [200, 200], log
    servers = spans_of(run)
    assert [span.attributes["url.path"] for span in sorted(servers, key=lambda span: span.start)] == list(BARE_PATHS)
    assert {span.scope for span in servers} == {f"tracerun.{server.scope}"}
    whole, stream, broken, _ = sorted(servers, key=lambda span: span.start)
    assert (whole.name, whole.status, whole.attributes["http.response.status_code"]) == ("GET", UNSET, 200)
    assert (broken.status, broken.attributes["error.type"]) == (ERROR, "ZeroDivisionError")
    called = run.spans().all(kind=CLIENT)
    assert len([span for span in called if span.parent_id == whole.span_id]) == 1
    assert len([span for span in called if span.parent_id == stream.span_id]) == 2
    assert stream.end >= max(span.end for span in called if span.parent_id == stream.span_id)


@pytest.mark.parametrize("name", list(BARE))
@pytest.mark.slow
def test_what_is_shown(run: Runner, web: Any, environments: Environments, name: str) -> None:
    """Of a bare callable, too: no secret, the headers that are named, nothing of what is excluded."""
    check_what_is_shown(run, web, environments, BARE[name], "/")


STARLETTE_MOUNT = """
from starlette.applications import Starlette
from starlette.routing import Mount
from asgiref.wsgi import WsgiToAsgi
inner, app = app, None
app = Starlette(routes=[Mount("/shop", WsgiToAsgi(inner))])
"""

FASTAPI_MOUNT = """
import warnings
warnings.simplefilter("ignore")
from fastapi import FastAPI
from fastapi.middleware.wsgi import WSGIMiddleware
inner, app = app, FastAPI()
app.mount("/shop", WSGIMiddleware(inner))
"""

TORNADO_FALLBACK = """
import asyncio, tornado.web, tornado.wsgi

async def main():
    inner = tornado.wsgi.WSGIContainer(app)
    tornado.web.Application([(r".*", tornado.web.FallbackHandler, {"fallback": inner})]).listen(PORT, "127.0.0.1")
    await asyncio.Event().wait()

asyncio.run(main())
"""

TWISTED_WSGI = """
from twisted.internet import reactor
from twisted.web.server import Site
from twisted.web.wsgi import WSGIResource
reactor.listenTCP(PORT, Site(WSGIResource(reactor, reactor.getThreadPool(), app)), interface="127.0.0.1")
reactor.run()
"""

DISPATCHER = """
from werkzeug.middleware.dispatcher import DispatcherMiddleware
inner, app = app, None
app = DispatcherMiddleware(flask.Flask("outer"), {"/shop": inner})
"""

ADAPTERS = {
    "starlette, asgiref": (STARLETTE_MOUNT, "python -m uvicorn web:app --port PORT", "/shop", "uvicorn"),
    "fastapi, its own": (FASTAPI_MOUNT, "python -m uvicorn web:app --port PORT", "/shop", "uvicorn"),
    "tornado": (TORNADO_FALLBACK, "python web.py", "", "tornado"),
    "twisted": (TWISTED_WSGI, "python web.py", "", "twisted"),
    "uvicorn, its own": ("", "python -m uvicorn web:app --interface wsgi --port PORT", "", "uvicorn"),
    "werkzeug": (DISPATCHER, "python -m waitress --listen 127.0.0.1:PORT web:app", "/shop", "waitress"),
    "granian": (
        "",
        "python -m granian --interface wsgi --url-path-prefix /shop --port PORT web:app",
        "/shop",
        "granian",
    ),
}


@pytest.mark.parametrize("name", list(ADAPTERS))
@pytest.mark.slow
def test_adapters_between_servers_and_frameworks(run: Runner, web: Any, environments: Environments, name: str) -> None:
    """An application that is reached through an adapter, which makes a request anew, still has one SERVER span."""
    adapter, command, prefix, scope = ADAPTERS[name]
    served = Framework(FLASK_PROGRAM + adapter, command, "", scope, "")
    answers = []
    for launcher in ((), (TRACERUN,)):
        with serving_framework(run, served, PYTHON, web.url, *launcher) as port:
            answers.append([answer(port, "GET", prefix + path) for path in ("/order/7", "/stream", "/broken")])
    assert answers[1] == answers[0]
    assert b"order 7" in answers[1][0][3]
    spans = run.spans()
    order, stream, broken = sorted(spans.all(kind=SERVER), key=lambda span: span.start)
    assert {order.scope, stream.scope, broken.scope} == {f"tracerun.{scope}"}
    assert (order.name, stream.name) == (f"GET {prefix}/order/<number>", f"GET {prefix}/stream")
    assert (broken.status, broken.attributes["error.type"]) == (ERROR, "ZeroDivisionError")
    assert {span.parent_id for span in spans.all(kind=CLIENT)} == {order.span_id, stream.span_id}
