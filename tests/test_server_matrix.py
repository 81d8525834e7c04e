"""Every common way to serve an application: 20 requests, each with one outgoing call, then SIGTERM at once.

Each request is one SERVER span with its CLIENT span below it, delivered once, by whichever process served it.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
import requests

from tests.conftest import PYTHON, TRACERUN, Runner, wait_for_port
from tests.environments import CURRENT, Environments, environments, pinned
from tests.test_frameworks import AIOHTTP, CALL, LITESTAR, QUART, SANIC, TORNADO, TWISTED

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["environments"]  # the fixture

SERVER, CLIENT, REQUESTS = 2, 3, 20

WSGI = """
import os, requests
from flask import Flask

app = Flask(__name__)

@app.get("/order/<number>")
def order(number):
    requests.get(os.environ["UPSTREAM"] + "/200/" + number)
    return "order " + number

if __name__ == "__main__":
    app.run(port=int(os.environ["PORT"]))
"""

ASGI = """
import os, httpx
from fastapi import FastAPI
from fastapi.responses import PlainTextResponse

app = FastAPI()

@app.get("/order/{number}", response_class=PlainTextResponse)
async def order(number: str):
    async with httpx.AsyncClient() as client:
        await client.get(os.environ["UPSTREAM"] + "/200/" + number)
    return "order " + number
"""

GEVENT = """
from gevent import monkey; monkey.patch_all()
import os
from gevent.pywsgi import WSGIServer
from web import app
WSGIServer(("127.0.0.1", int(os.environ["PORT"])), app, log=None).serve_forever()
"""

EVENTLET = """
import eventlet; eventlet.monkey_patch()
import os
from eventlet import wsgi
from web import app
wsgi.server(eventlet.listen(("127.0.0.1", int(os.environ["PORT"]))), app, log_output=False)
"""

DJANGO = """
import os, requests
from django.conf import settings
from django.http import HttpResponse
from django.urls import path

def order(request, number):
    requests.get(os.environ["UPSTREAM"] + "/200/" + number)
    return HttpResponse("order " + number)

urlpatterns = [path("order/<number>", order)]
settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"], SECRET_KEY="k", DEBUG=True)

from django.core.wsgi import get_wsgi_application
from django.core.asgi import get_asgi_application
app = get_wsgi_application()
asgi = get_asgi_application()

if __name__ == "__main__":
    import sys
    from django.core.management import execute_from_command_line
    execute_from_command_line(["manage.py", "runserver", *sys.argv[1:]])
"""

# The program's text, and the words of the server; PORT and ADDRESS are put in.
SERVERS: dict[str, tuple[str, str]] = {
    "flask run": (WSGI, "flask --app web run --port PORT"),
    "flask run with the reloader": (WSGI, "flask --app web run --debug --port PORT"),
    "app.run": (WSGI, "python web.py"),
    "waitress": (WSGI, "waitress-serve --listen ADDRESS web:app"),
    "uvicorn": (ASGI, "uvicorn web:app --port PORT"),
    "uvicorn with the reloader": (ASGI, "uvicorn web:app --port PORT --reload"),
    "uvicorn, 2 workers": (ASGI, "uvicorn web:app --port PORT --workers 2"),
    "gunicorn sync": (WSGI, "gunicorn -w 2 -b ADDRESS web:app"),
    "gunicorn preloaded": (WSGI, "gunicorn --preload -w 2 -b ADDRESS web:app"),
    "gunicorn gthread": (WSGI, "gunicorn -k gthread --threads 4 -w 2 -b ADDRESS web:app"),
    "gunicorn gevent": (WSGI, "gunicorn -k gevent -w 2 -b ADDRESS web:app"),
    "gunicorn, workers replaced": (WSGI, "gunicorn -w 2 --max-requests 5 -b ADDRESS web:app"),
    "gunicorn with uvicorn's worker": (ASGI, "gunicorn -k uvicorn.workers.UvicornWorker -w 2 -b ADDRESS web:app"),
    "gunicorn gthread preloaded": (WSGI, "gunicorn --preload -k gthread --threads 4 -w 2 -b ADDRESS web:app"),
    "gunicorn with its own asgi worker": (ASGI, "gunicorn -k asgi -w 2 -b ADDRESS web:app"),
    "gunicorn with aiohttp's worker": (CALL + AIOHTTP, "gunicorn -k aiohttp.GunicornWebWorker -w 2 -b ADDRESS web:app"),
    "aiohttp": (CALL + AIOHTTP, "python web.py"),
    "tornado": (CALL + TORNADO, "python web.py"),
    "twisted": (CALL + TWISTED, "python web.py"),
    "quart under hypercorn, 2 workers": (CALL + QUART, "hypercorn -w 2 -b ADDRESS web:app"),
    "litestar under granian": (CALL + LITESTAR, "granian --interface asgi --workers 2 --port PORT web:app"),
    "hypercorn": (ASGI, "hypercorn -b ADDRESS web:app"),
    "hypercorn, 2 workers": (ASGI, "hypercorn -w 2 -b ADDRESS web:app"),
    "granian asgi": (ASGI, "granian --interface asgi --port PORT web:app"),
    "granian wsgi": (WSGI, "granian --interface wsgi --port PORT web:app"),
    "granian, 2 workers": (ASGI, "granian --interface asgi --workers 2 --port PORT web:app"),
    "daphne": (ASGI, "daphne -p PORT web:app"),
    "uwsgi": (WSGI, "uwsgi --http-socket ADDRESS --module web:app --master -p 2 --die-on-term"),
    "uwsgi with threads": (
        WSGI,
        "uwsgi --http-socket ADDRESS --module web:app --master -p 2 --enable-threads --die-on-term",
    ),
    "uwsgi lazy": (
        WSGI,
        "uwsgi --http-socket ADDRESS --module web:app --master -p 2 --lazy-apps --enable-threads --die-on-term",
    ),
    "django runserver": (DJANGO, "python web.py ADDRESS --noreload"),
    "django with the reloader": (DJANGO, "python web.py ADDRESS"),
    "django under gunicorn": (DJANGO, "gunicorn -w 2 -b ADDRESS web:app"),
    "django under uvicorn": (DJANGO, "uvicorn web:asgi --port PORT --lifespan off"),
    "django under daphne": (DJANGO, "daphne -p PORT web:asgi"),
    "gevent application": (WSGI, "python serve_gevent.py"),
    "eventlet application": (WSGI, "python serve_eventlet.py"),
}


# The names of the span of an order; Twisted has no routes.
NAMES = {"GET /order/<number>", "GET /order/{number}", "GET /order/([^/]+)"}


@contextlib.contextmanager
def served(run: Runner, name: str, port: int, upstream: str) -> Iterator[subprocess.Popen[bytes]]:
    """The server in a process group of its own, so that no worker outlives the test."""
    program, words = SERVERS[name]
    with serving(run, program, words, port, upstream) as process:
        yield process


@contextlib.contextmanager
def serving(run: Runner, program: str, words: str, port: int, upstream: str) -> Iterator[subprocess.Popen[bytes]]:
    """A program as web.py under a server."""
    run.program(program, "web.py")
    run.program(GEVENT, "serve_gevent.py")
    run.program(EVENTLET, "serve_eventlet.py")
    command = words.replace("PORT", str(port)).replace("ADDRESS", f"127.0.0.1:{port}").split()
    env = {**run.env, "UPSTREAM": upstream, "PORT": str(port)}
    log = run.folder / "server.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [TRACERUN, *command], cwd=run.folder, env=env, stdin=subprocess.DEVNULL, stdout=output,
            stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
    try:
        wait_for_port(port, process, log)
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def get(url: str) -> str:
    """The text of an answer; a worker that is replaced resets connections, which is the server's doing."""
    for _ in range(20):
        with contextlib.suppress(requests.ConnectionError):
            return requests.get(url, timeout=20).text
        time.sleep(0.1)
    return "no answer"


@pytest.mark.slow
@pytest.mark.parametrize("name", list(SERVERS))
def test_every_request_once(run: Runner, port: int, web: Any, name: str) -> None:
    """20 requests are 20 SERVER spans and 20 CLIENT spans below them, although SIGTERM follows at once."""
    run.env["TRACERUN_RAISE_ERRORS"] = "false"
    with served(run, name, port, web.url) as process:
        order_all(port, range(REQUESTS))
        stop(process)
    check(run, {"GET"} if name == "twisted" else NAMES)


@pytest.mark.slow
def test_gunicorn_reloads_on_sighup(run: Runner, port: int, web: Any) -> None:
    """SIGHUP replaces gunicorn's workers: the spans of the old ones and of the new ones are all there."""
    with serving(run, WSGI, "gunicorn -w 2 -b ADDRESS web:app", port, web.url) as process:
        order_all(port, range(REQUESTS // 2))
        process.send_signal(signal.SIGHUP)
        wait_for_log(run, "Booting worker", 4)
        order_all(port, range(REQUESTS // 2, REQUESTS))
        stop(process)
    check(run, NAMES)


@pytest.mark.slow
def test_gunicorn_with_eventlet(run: Runner, port: int, web: Any, environments: Environments) -> None:
    """The worker class for eventlet, which gunicorn has had until its release 26."""
    python = environments.python(CURRENT, "gunicorn==23.0.0", *pinned("eventlet", "flask", "requests"))
    with serving(run, WSGI, f"{python} -m gunicorn -k eventlet -w 2 -b ADDRESS web:app", port, web.url) as process:
        order_all(port, range(REQUESTS))
        stop(process)
    check(run, NAMES)


@pytest.mark.slow
def test_sanic_with_workers(run: Runner, port: int, web: Any, environments: Environments) -> None:
    """Sanic starts its workers as programs of their own; each is traced."""
    python = environments.python(CURRENT, "sanic==25.12.1", "requests")
    words = f"{python} -m sanic web:app --host 127.0.0.1 --port PORT --no-motd --workers 2"
    with serving(run, CALL + SANIC, words, port, web.url) as process:
        order_all(port, range(REQUESTS))
        with contextlib.suppress(subprocess.TimeoutExpired):  # plain, too, Sanic's main process may wait for ever
            stop(process)
    check(run, {"GET /order/<number:str>"})


FILE = """
import flask
app = flask.Flask(__name__)

@app.get("/file")
def file():
    return flask.send_file(__file__)
"""


@pytest.mark.slow
def test_uwsgi_sends_a_file_itself(run: Runner, port: int, web: Any) -> None:
    """A file that the application hands to uWSGI still goes out by sendfile, and its request has a span."""
    words = "uwsgi --http-socket ADDRESS --module web:app --die-on-term"
    with serving(run, FILE, words, port, web.url) as process:
        assert "flask.send_file" in get(f"http://127.0.0.1:{port}/file")
        stop(process)
    assert "via sendfile()" in (run.folder / "server.log").read_text(errors="replace")
    assert run.spans().one().name == "GET /file"


CELERY = """
import os, requests
from celery import Celery

folder = os.path.dirname(os.path.abspath(__file__))
app = Celery("tasks", broker="filesystem://", backend="file://" + folder + "/results")
app.conf.broker_transport_options = {
    "data_folder_in": folder + "/queue", "data_folder_out": folder + "/queue", "control_folder": folder + "/control",
}
for name in ("results", "queue", "control"):
    os.makedirs(os.path.join(folder, name), exist_ok=True)

@app.task
def order(number):
    requests.get(os.environ["UPSTREAM"] + "/200/" + str(number))
    return number
"""


@pytest.mark.slow
def test_celery_prefork(run: Runner, web: Any) -> None:
    """20 tasks of a prefork worker make one call each: 20 CLIENT spans, once each, after SIGTERM."""
    run.program(CELERY, "tasks.py")
    send = "import tasks\nprint(sorted(r.get(timeout=60) for r in [tasks.order.delay(n) for n in range(20)]))"
    log = run.folder / "server.log"
    env = {**run.env, "UPSTREAM": web.url}
    words = [TRACERUN, PYTHON, "-m", "celery", "-A", "tasks", "worker", "-P", "prefork", "-c", "2", "-l", "WARNING"]
    with log.open("wb") as output:
        process = subprocess.Popen(
            words, cwd=run.folder, env=env, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
            start_new_session=True,
        )  # fmt: skip
    try:
        done = run.plain(PYTHON, "-c", send, env={"UPSTREAM": web.url})
        assert done.out == f"{list(range(20))}\n", done
        stop(process)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    spans = run.spans()
    assert sorted(span.attributes["url.full"] for span in spans) == sorted(f"{web.url}/200/{n}" for n in range(20))
    assert {span.kind for span in spans} == {CLIENT}


def order_all(port: int, numbers: range) -> None:
    """Four at a time, each answered."""
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda n: get(f"http://127.0.0.1:{port}/order/{n}"), numbers))
    assert answers == [f"order {n}" for n in numbers]


def stop(process: subprocess.Popen[bytes]) -> None:
    """SIGTERM, soon after the last answer."""
    time.sleep(0.3)  # the fact under test: the stop comes 0.3 s after the last answer
    process.send_signal(signal.SIGTERM)
    process.wait(20)


def wait_for_log(run: Runner, text: str, times: int) -> None:
    """Until the server's log has a text so often."""
    until = time.monotonic() + 20
    while (run.folder / "server.log").read_text(errors="replace").count(text) < times:
        assert time.monotonic() < until, f"{text} has not come {times} times"
        time.sleep(0.05)


def check_instances(run: Runner) -> None:
    """Each process writes a file of its own, and all spans in it are of one instance, which is no other's."""
    written = [
        {values["service.instance.id"] for values in map(resource_of, path.read_bytes().splitlines()) if values}
        for path in sorted(run.state.glob("*.jsonl"))
    ]
    instances = [instance for in_file in written for instance in in_file]
    assert [len(in_file) for in_file in written if in_file] == [1] * len(instances)
    assert len(set(instances)) == len(instances)


def resource_of(line: bytes) -> dict[str, Any]:
    """The resource of a line of spans; nothing of another line."""
    spans = json.loads(line).get("resourceSpans") if line.startswith(b"{") else None
    attributes = spans[0]["resource"]["attributes"] if spans else ()
    return {entry["key"]: next(iter(entry["value"].values())) for entry in attributes}


def check(run: Runner, names: set[str]) -> None:
    """As many SERVER spans as requests, each with its CLIENT span below it, and no word of ours."""
    log = (run.folder / "server.log").read_text(encoding="utf-8", errors="replace")
    spans = run.spans()
    servers = {span.span_id: span for span in spans.all(kind=SERVER)}
    clients = spans.all(kind=CLIENT)
    assert (len(spans), len(servers), len(clients)) == (2 * REQUESTS, REQUESTS, REQUESTS), log
    assert {span.parent_id for span in clients} == set(servers)
    assert {span.name for span in servers.values()} <= names
    check_instances(run)
    ours = {line for line in log.splitlines() if line.startswith("tracerun:") and "spans are kept in" not in line}
    assert ours == set()
