"""Every common way to serve an application: 20 requests, each with one outgoing call, then SIGTERM at once.

Each request is one SERVER span with its CLIENT span below it, delivered once, by whichever process served it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
import requests

from tests.conftest import TRACERUN, Runner, wait_for_port

if TYPE_CHECKING:
    from collections.abc import Iterator

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


@contextlib.contextmanager
def served(run: Runner, name: str, port: int, upstream: str) -> Iterator[subprocess.Popen[bytes]]:
    """The server in a process group of its own, so that no worker outlives the test."""
    program, words = SERVERS[name]
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
    with served(run, name, port, web.url) as process, ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda n: get(f"http://127.0.0.1:{port}/order/{n}"), range(REQUESTS)))
        time.sleep(0.3)  # the fact under test: the stop comes 0.3 s after the last answer
        process.send_signal(signal.SIGTERM)
        process.wait(20)
    log = (run.folder / "server.log").read_text(encoding="utf-8", errors="replace")
    assert answers == [f"order {n}" for n in range(REQUESTS)], log
    spans = run.spans()
    servers = {span.span_id: span for span in spans.all(kind=SERVER)}
    clients = spans.all(kind=CLIENT)
    assert (len(spans), len(servers), len(clients)) == (2 * REQUESTS, REQUESTS, REQUESTS), log
    assert {span.parent_id for span in clients} == set(servers)
    assert {span.name for span in servers.values()} <= {"GET /order/<number>", "GET /order/{number}"}
    ours = {line for line in log.splitlines() if line.startswith("tracerun:") and "spans are kept in" not in line}
    assert ours == set()
