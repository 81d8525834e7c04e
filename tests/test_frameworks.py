"""Every web framework, plain and traced: the same answers to the byte, and one SERVER span for each request.

Each program serves the same few paths: ``/order/ID`` makes a call of its own, ``/broken`` raises, ``/stream`` sends
three parts and makes a call between them, ``/echo`` is a WebSocket where the framework has them.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import os
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from tests.conftest import PYTHON, ROOT, TRACERUN, Runner, free_port, wait_for_port
from tests.environments import CURRENT, Environments, environments
from tests.test_secrets import EVERY_HEADER, SECRETS, START, TARGET, markers_in

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["environments"]  # the fixture

SERVER, CLIENT = 2, 3
UNSET, ERROR = 0, 2
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

CALL = """
import os, sys, warnings
warnings.simplefilter("ignore")
import requests

PORT = int(os.environ.get("PORT", 0))

def call(path):
    requests.get(os.environ["UPSTREAM"] + path)
"""

FLASK = """
import flask

app = flask.Flask(__name__)

@app.get("/order/<number>")
def order(number):
    call("/200/order")
    return "order " + number

@app.get("/broken")
def broken():
    raise ZeroDivisionError("on purpose")

@app.get("/stream")
def stream():
    def parts():
        yield "0\\n"
        call("/200/stream")
        yield "1\\n"
        yield "2\\n"
    return flask.Response(parts())
"""

FASTAPI = """
from fastapi import FastAPI, WebSocket, WebSocketDisconnect
from fastapi.responses import PlainTextResponse, StreamingResponse

app = FastAPI()

@app.api_route("/order/{number}", methods=["GET", "HEAD"], response_class=PlainTextResponse)
async def order(number: str):
    call("/200/order")
    return "order " + number

@app.get("/broken")
def broken():
    raise ZeroDivisionError("on purpose")

@app.get("/stream")
async def stream():
    async def parts():
        yield "0\\n"
        call("/200/stream")
        yield "1\\n"
        yield "2\\n"
    return StreamingResponse(parts())

@app.websocket("/echo")
async def echo(websocket: WebSocket):
    await websocket.accept()
    try:
        while True:
            await websocket.send_text(await websocket.receive_text())
    except WebSocketDisconnect:
        pass
"""

STARLETTE = """
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.websockets import WebSocketDisconnect

async def order(request):
    call("/200/order")
    return PlainTextResponse("order " + request.path_params["number"])

async def broken(request):
    raise ZeroDivisionError("on purpose")

async def stream(request):
    async def parts():
        yield "0\\n"
        call("/200/stream")
        yield "1\\n"
        yield "2\\n"
    return StreamingResponse(parts())

async def echo(websocket):
    await websocket.accept()
    try:
        while True:
            await websocket.send_text(await websocket.receive_text())
    except WebSocketDisconnect:
        pass

app = Starlette(routes=[
    Mount("/order", routes=[Route("/{number}", order)]), Route("/broken", broken), Route("/stream", stream),
    WebSocketRoute("/echo", echo),
])
"""

AIOHTTP = """
from aiohttp import WSMsgType, web

async def order(request):
    call("/200/order")
    return web.Response(text="order " + request.match_info["number"])

async def broken(request):
    raise ZeroDivisionError("on purpose")

async def stream(request):
    response = web.StreamResponse()
    await response.prepare(request)
    await response.write(b"0\\n")
    call("/200/stream")
    await response.write(b"1\\n")
    await response.write_eof(b"2\\n")
    return response

async def echo(request):
    ws = web.WebSocketResponse()
    await ws.prepare(request)
    async for message in ws:
        await ws.send_str(message.data)
    return ws

app = web.Application()
app.router.add_get("/order/{number}", order)
app.router.add_get("/broken", broken)
app.router.add_get("/stream", stream)
app.router.add_get("/echo", echo)

if __name__ == "__main__":
    web.run_app(app, host="127.0.0.1", port=PORT, print=None)
"""

TORNADO = """
import asyncio
import tornado.web, tornado.websocket

class Order(tornado.web.RequestHandler):
    async def get(self, number):
        call("/200/order")
        self.write("order " + number)

    async def head(self, number):
        await self.get(number)

class Broken(tornado.web.RequestHandler):
    def get(self):
        raise ZeroDivisionError("on purpose")

class Stream(tornado.web.RequestHandler):
    async def get(self):
        for number in range(3):
            self.write(f"{number}\\n")
            await self.flush()
            if number == 1:
                call("/200/stream")

class Echo(tornado.websocket.WebSocketHandler):
    def on_message(self, message):
        self.write_message(message)

app = tornado.web.Application([
    (r"/order/([^/]+)", Order), (r"/broken", Broken), (r"/stream", Stream), (r"/echo", Echo),
])

async def main():
    app.listen(PORT, "127.0.0.1")
    await asyncio.Event().wait()

if __name__ == "__main__":
    asyncio.run(main())
"""

BOTTLE = """
import bottle

app = bottle.Bottle()

@app.get("/order/<number>")
def order(number):
    call("/200/order")
    return "order " + number

@app.get("/broken")
def broken():
    raise ZeroDivisionError("on purpose")

@app.get("/stream")
def stream():
    yield "0\\n"
    call("/200/stream")
    yield "1\\n"
    yield "2\\n"

if __name__ == "__main__":
    bottle.run(app, port=PORT, quiet=True)
"""

QUART = """
from quart import Quart, websocket

app = Quart(__name__)

@app.get("/order/<number>")
async def order(number):
    call("/200/order")
    return "order " + number

@app.get("/broken")
async def broken():
    raise ZeroDivisionError("on purpose")

@app.get("/stream")
async def stream():
    async def parts():
        yield "0\\n"
        call("/200/stream")
        yield "1\\n"
        yield "2\\n"
    return parts()

@app.websocket("/echo")
async def echo():
    while True:
        await websocket.send(await websocket.receive())
"""

SANIC = """
from sanic import Sanic, response

app = Sanic("web")

@app.get("/order/<number>")
async def order(request, number):
    call("/200/order")
    return response.text("order " + number)

@app.get("/broken")
async def broken(request):
    raise ZeroDivisionError("on purpose")

@app.get("/stream")
async def stream(request):
    answer = await request.respond(content_type="text/plain")
    await answer.send("0\\n")
    call("/200/stream")
    await answer.send("1\\n")
    await answer.send("2\\n")
    await answer.eof()

@app.websocket("/echo")
async def echo(request, ws):
    async for message in ws:
        await ws.send(message)
"""

LITESTAR = """
from litestar import Litestar, MediaType, get, websocket_listener
from litestar.response import Stream

@get("/order/{number:str}", media_type=MediaType.TEXT)
async def order(number: str) -> str:
    call("/200/order")
    return "order " + number

@get("/broken")
async def broken() -> str:
    raise ZeroDivisionError("on purpose")

@get("/stream")
async def stream() -> Stream:
    async def parts():
        yield "0\\n"
        call("/200/stream")
        yield "1\\n"
        yield "2\\n"
    return Stream(parts(), media_type="text/plain")

@websocket_listener("/echo")
async def echo(data: str) -> str:
    return data

app = Litestar([order, broken, stream, echo])
"""

PYRAMID = """
from pyramid.config import Configurator
from pyramid.response import Response

def order(request):
    call("/200/order")
    return Response("order " + request.matchdict["number"])

def broken(request):
    raise ZeroDivisionError("on purpose")

def stream(request):
    def parts():
        yield b"0\\n"
        call("/200/stream")
        yield b"1\\n"
        yield b"2\\n"
    return Response(app_iter=parts())

with Configurator() as config:
    config.add_route("order", "/order/{number}")
    config.add_view(order, route_name="order")
    config.add_route("broken", "broken")
    config.add_view(broken, route_name="broken")
    config.add_route("stream", "stream")
    config.add_view(stream, route_name="stream")
    app = config.make_wsgi_app()
"""

FALCON_WSGI = """
import falcon

class Order:
    def on_get(self, request, response, number):
        call("/200/order")
        response.text = "order " + number

class Broken:
    def on_get(self, request, response):
        raise ZeroDivisionError("on purpose")

class Stream:
    def on_get(self, request, response):
        def parts():
            yield b"0\\n"
            call("/200/stream")
            yield b"1\\n"
            yield b"2\\n"
        response.stream = parts()

app = falcon.App()
app.add_route("/order/{number}", Order())
app.add_route("/broken", Broken())
app.add_route("/stream", Stream())
"""

FALCON_ASGI = """
import falcon, falcon.asgi

class Order:
    async def on_get(self, request, response, number):
        call("/200/order")
        response.text = "order " + number

class Broken:
    async def on_get(self, request, response):
        raise ZeroDivisionError("on purpose")

class Stream:
    async def on_get(self, request, response):
        async def parts():
            yield b"0\\n"
            call("/200/stream")
            yield b"1\\n"
            yield b"2\\n"
        response.stream = parts()

class Echo:
    async def on_websocket(self, request, ws):
        await ws.accept()
        try:
            while True:
                await ws.send_text(await ws.receive_text())
        except falcon.WebSocketDisconnected:
            pass

app = falcon.asgi.App()
app.add_route("/order/{number}", Order())
app.add_route("/broken", Broken())
app.add_route("/stream", Stream())
app.add_route("/echo", Echo())
"""

CHERRYPY = """
import cherrypy

class Root:
    @cherrypy.expose
    def order(self, number, **query):
        call("/200/order")
        return "order " + number

    @cherrypy.expose
    def broken(self, **query):
        raise ZeroDivisionError("on purpose")

    @cherrypy.expose
    @cherrypy.config(**{"response.stream": True})
    def stream(self):
        yield "0\\n"
        call("/200/stream")
        yield "1\\n"
        yield "2\\n"

if __name__ == "__main__":
    cherrypy.config.update({"server.socket_port": PORT, "log.screen": False, "engine.autoreload.on": False})
    cherrypy.quickstart(Root())
"""

BLACKSHEEP = """
from blacksheep import Application, Response, StreamedContent, WebSocket, WebSocketDisconnectError, text
from blacksheep.server.routing import Router

app = Application(router=Router())

@app.router.get("/order/{number}")
async def order(number: str):
    call("/200/order")
    return text("order " + number)

@app.router.get("/broken")
async def broken():
    raise ZeroDivisionError("on purpose")

@app.router.get("/stream")
async def stream():
    async def parts():
        yield b"0\\n"
        call("/200/stream")
        yield b"1\\n"
        yield b"2\\n"
    return Response(200, content=StreamedContent(b"text/plain", parts))

@app.router.ws("/echo")
async def echo(websocket: WebSocket):
    await websocket.accept()
    try:
        while True:
            await websocket.send_text(await websocket.receive_text())
    except WebSocketDisconnectError:
        pass
"""

TWISTED = """
from twisted.internet import reactor
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Site

class Order(Resource):
    def getChild(self, name, request):
        made = Resource()
        made.render_GET = lambda request: (call("/200/order"), b"order " + name)[1]
        return made

class Broken(Resource):
    def render_GET(self, request):
        raise ZeroDivisionError("on purpose")

class Stream(Resource):
    def render_GET(self, request):
        request.write(b"0\\n")
        call("/200/stream")
        request.write(b"1\\n")
        def last():
            request.write(b"2\\n")
            request.finish()
        reactor.callLater(0.01, last)
        return NOT_DONE_YET

root = Resource()
for path, child in ((b"order", Order()), (b"broken", Broken()), (b"stream", Stream())):
    root.putChild(path, child)

if __name__ == "__main__":
    reactor.listenTCP(PORT, Site(root), interface="127.0.0.1")
    reactor.run()
"""

HTTP_SERVER = """
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        if self.path.startswith("/broken"):
            raise ZeroDivisionError("on purpose")
        if self.path.startswith("/order/"):
            call("/200/order")
            body = b"order " + self.path[7:].partition("?")[0].encode()
        elif self.path == "/stream":
            call("/200/stream")
            body = b"0\\n1\\n2\\n"
        else:
            return self.send_error(404)
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    do_HEAD = do_GET

    def log_message(self, *args):
        pass

ThreadingHTTPServer(("127.0.0.1", PORT), Handler).serve_forever()
"""

DJANGO = """
from django.conf import settings
settings.configure(
    ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"], SECRET_KEY="k", LOGGING_CONFIG=None,
    REST_FRAMEWORK={"UNAUTHENTICATED_USER": None, "DEFAULT_AUTHENTICATION_CLASSES": []},
)
import django
django.setup()
from django.http import StreamingHttpResponse
from django.urls import include, path

def stream(request):
    def parts():
        yield "0\\n"
        call("/200/stream")
        yield "1\\n"
        yield "2\\n"
    return StreamingHttpResponse(parts())
"""

PLAIN_DJANGO = (
    DJANGO
    + """
from django.http import HttpResponse

def order(request, number):
    call("/200/order")
    return HttpResponse("order " + number)

def broken(request):
    raise ZeroDivisionError("on purpose")

urlpatterns = [path("order/<number>", order), path("broken", broken), path("stream", stream)]

from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application
app = get_wsgi_application()
asgi = get_asgi_application()
"""
)

REST_FRAMEWORK = (
    DJANGO
    + """
from rest_framework import routers, viewsets
from rest_framework.decorators import api_view, renderer_classes
from rest_framework.renderers import JSONRenderer
from rest_framework.response import Response

class Orders(viewsets.ViewSet):
    renderer_classes = [JSONRenderer]

    def retrieve(self, request, pk):
        call("/200/order")
        return Response("order " + pk)

@api_view(["GET"])
def broken(request):
    raise ZeroDivisionError("on purpose")

router = routers.SimpleRouter(trailing_slash=False)
router.register("order", Orders, basename="order")
urlpatterns = [path("", include(router.urls)), path("broken", broken), path("stream", stream)]

from django.core.wsgi import get_wsgi_application
app = get_wsgi_application()
"""
)

NINJA = (
    DJANGO
    + """
from ninja import NinjaAPI

api = NinjaAPI()

@api.get("/order/{number}")
async def order(request, number: str):
    call("/200/order")
    return "order " + number

@api.get("/broken")
async def broken(request):
    raise ZeroDivisionError("on purpose")

urlpatterns = [path("stream", stream), path("", api.urls)]

from django.core.asgi import get_asgi_application
app = get_asgi_application()
"""
)

SPECIFICATION = """
def operation(name):
    return {"operationId": "web." + name, "responses": {"200": {"description": "it", "content": {"text/plain": {}}}}}

NUMBER = {"name": "number", "in": "path", "required": True, "schema": {"type": "string"}}
app.add_api({
    "openapi": "3.0.0",
    "info": {"title": "web", "version": "1"},
    "paths": {
        "/order/{number}": {"get": operation("order"), "parameters": [NUMBER]},
        "/broken": {"get": operation("broken")},
        "/stream": {"get": operation("stream")},
    },
})
"""

CONNEXION = (
    """
import connexion
from flask import Response

def order(number):
    call("/200/order")
    return Response("order " + number, mimetype="text/plain")

def broken():
    raise ZeroDivisionError("on purpose")

def stream():
    def parts():
        yield "0\\n"
        call("/200/stream")
        yield "1\\n"
        yield "2\\n"
    return Response(parts(), mimetype="text/plain")

app = connexion.FlaskApp(__name__)
"""
    + SPECIFICATION
)

CONNEXION_ASYNC = (
    """
import connexion
from starlette.responses import PlainTextResponse, StreamingResponse

async def order(number):
    call("/200/order")
    return PlainTextResponse("order " + number)

async def broken():
    raise ZeroDivisionError("on purpose")

async def stream():
    async def parts():
        yield "0\\n"
        call("/200/stream")
        yield "1\\n"
        yield "2\\n"
    return StreamingResponse(parts(), media_type="text/plain")

app = connexion.AsyncApp(__name__)
"""
    + SPECIFICATION
)


class Framework(NamedTuple):
    """One way to serve a framework's application.

    Attributes:
        program: Its text, as web.py.
        command: What serves it; PORT is put in, ``python`` is the environment's, and BIN the folder that it is in.
        route: The template of ``/order/7`` as the framework has it; empty where it has none.
        scope: Whose the span is, as ``tracerun.SCOPE``.
        oldest: The oldest releases that are traced, installed in an environment of their own, or the oldest Python.
        newest: The newest, where they are not among tracerun's own test requirements.
        error: ``error.type`` of ``/broken``; where it is the status, the framework has kept the exception to itself.
    """

    program: str
    command: str
    route: str
    scope: str
    oldest: str
    newest: str = ""
    error: str = "ZeroDivisionError"


# For what is Python's own.
OLDEST_PYTHON = "3.10"
UVICORN = "python -m uvicorn web:app --log-level warning --port PORT"
WAITRESS = "python -m waitress --listen 127.0.0.1:PORT web:app"

FRAMEWORKS = {
    "flask": Framework(
        FLASK,
        "python -m flask --app web run --port PORT",
        "/order/<number>",
        "werkzeug",
        "flask==2.2.0 werkzeug==2.2.0",
    ),
    "fastapi": Framework(FASTAPI, UVICORN, "/order/{number}", "uvicorn", "fastapi==0.100.0 uvicorn==0.23.0 wsproto"),
    "starlette": Framework(
        STARLETTE, UVICORN, "/order/{number}", "uvicorn", "starlette==0.27.0 uvicorn==0.23.0 wsproto"
    ),
    "django": Framework(
        PLAIN_DJANGO,
        "python -m gunicorn -b 127.0.0.1:PORT web:app",
        "/order/<number>",
        "gunicorn",
        "django==4.2 gunicorn==20.1.0 setuptools<81",
    ),
    "django asgi": Framework(
        PLAIN_DJANGO,
        "python -m uvicorn web:asgi --lifespan off --port PORT",
        "/order/<number>",
        "uvicorn",
        "django==4.2 uvicorn==0.23.0",
    ),
    "aiohttp": Framework(AIOHTTP, "python web.py", "/order/{number}", "aiohttp-server", "aiohttp==3.8.6"),
    "tornado": Framework(TORNADO, "python web.py", "/order/([^/]+)", "tornado", "tornado==6.2"),
    "bottle": Framework(BOTTLE, "python web.py", "/order/<number>", "wsgiref", "bottle==0.12.25"),
    "quart": Framework(
        QUART,
        "python -m hypercorn web:app -b 127.0.0.1:PORT",
        "/order/<number>",
        "hypercorn",
        "quart==0.19.0 flask==3.0.0 werkzeug==3.0.0 hypercorn==0.16.0",
    ),
    "sanic": Framework(
        SANIC,
        "python -m sanic web:app --host 127.0.0.1 --port PORT --no-motd --single-process",
        "/order/<number:str>",
        "sanic",
        "sanic==22.12.0 setuptools<81 websockets<11",
        "sanic==25.12.1",
    ),
    "sanic under uvicorn": Framework(
        SANIC,
        UVICORN,
        "/order/<number:str>",
        "uvicorn",
        "sanic==22.12.0 setuptools<81 websockets<11 uvicorn==0.23.0",
        "sanic==25.12.1 uvicorn",
    ),
    "litestar": Framework(
        LITESTAR, UVICORN, "/order/{number}", "uvicorn", "litestar==2.13.0 sniffio uvicorn==0.23.0 wsproto"
    ),
    "pyramid": Framework(
        PYRAMID,
        WAITRESS,
        "/order/{number}",
        "waitress",
        "pyramid==2.0 waitress==2.1.2 setuptools<81",
        "pyramid==2.1 waitress",
    ),
    "falcon wsgi": Framework(
        FALCON_WSGI,
        "python -m gunicorn -b 127.0.0.1:PORT web:app",
        "/order/{number}",
        "gunicorn",
        "falcon==3.1.3 gunicorn==20.1.0 setuptools<81",
    ),
    "falcon asgi": Framework(
        FALCON_ASGI, UVICORN, "/order/{number}", "uvicorn", "falcon==3.1.3 uvicorn==0.23.0 wsproto"
    ),
    "cherrypy": Framework(
        CHERRYPY,
        "python web.py",
        "/order/{number}",
        "cheroot",
        "cherrypy==18.8.0 cheroot==9.0.0 setuptools<81",
        "cherrypy==18.10.0",
    ),
    "blacksheep": Framework(
        BLACKSHEEP,
        UVICORN,
        "/order/{number}",
        "uvicorn",
        "blacksheep==2.0.0 uvicorn==0.23.0 wsproto",
        "blacksheep==2.6.4 uvicorn wsproto",
    ),
    "twisted": Framework(TWISTED, "python web.py", "", "twisted", "twisted==22.10.0"),
    "http.server": Framework(HTTP_SERVER, "python web.py", "", "http_server", OLDEST_PYTHON),
    "connexion": Framework(
        CONNEXION,
        UVICORN,
        "/order/<number>",
        "uvicorn",
        "connexion[flask]==3.0.0 uvicorn==0.23.0",
        "connexion[flask]==3.3.0 uvicorn",
    ),
    "connexion async": Framework(
        CONNEXION_ASYNC,
        UVICORN,
        "/order/{number}",
        "uvicorn",
        "connexion==3.0.0 uvicorn==0.23.0",
        "connexion==3.3.0 uvicorn",
        error="500",
    ),
    "django rest framework": Framework(
        REST_FRAMEWORK,
        "python -m gunicorn -b 127.0.0.1:PORT web:app",
        "/order/(?P<pk>[^/.]+)",
        "gunicorn",
        "django==4.2 djangorestframework==3.14.0 gunicorn==20.1.0 setuptools<81",
    ),
    "django ninja": Framework(
        NINJA,
        UVICORN + " --lifespan off",
        "/order/<number>",
        "uvicorn",
        "django==4.2 django-ninja==1.0 uvicorn==0.23.0",
    ),
    # It calls an application from C; what is ours is the framework's own part.
    "uwsgi": Framework(
        FLASK,
        "BIN/uwsgi --http-socket 127.0.0.1:PORT --module web:app --die-on-term",
        "/order/<number>",
        "flask",
        "pyuwsgi==2.0.23 flask==2.2.0 werkzeug==2.2.0",
    ),
}
WEBSOCKETS = ("fastapi", "starlette", "aiohttp", "tornado", "quart", "sanic", "litestar", "falcon asgi", "blacksheep")
# The fast tests: one of each kind (a server of its own, WSGI, ASGI, the standard library's).
FAST = ("aiohttp", "bottle", "litestar", "http.server")


def python_of(framework: Framework, release: str, environments: Environments) -> str:
    """The interpreter with the framework's releases: our own, or that of an environment."""
    packages = framework.oldest if release == "oldest" else framework.newest
    if packages == OLDEST_PYTHON:
        return environments.python(OLDEST_PYTHON, "requests")
    return environments.python(CURRENT, *packages.split(), "requests") if packages else PYTHON


@contextlib.contextmanager
def serving(run: Runner, framework: Framework, python: str, upstream: str, *launcher: str) -> Iterator[int]:
    """The framework's server while a block runs, in a process group of its own; its port."""
    run.program(CALL + framework.program, "web.py")
    port = free_port()
    command = framework.command.replace("PORT", str(port)).replace("BIN", str(Path(python).parent))
    words = [python if word == "python" else word for word in command.split()]
    log = run.folder / "server.log"
    # The order of methods in an Allow header is that of a set.
    env = {**run.env, "UPSTREAM": upstream, "PORT": str(port), "PYTHONHASHSEED": "0"}
    with log.open("ab") as output:
        process = subprocess.Popen(
            [*launcher, *words], cwd=run.folder, env=env, stdin=subprocess.DEVNULL, stdout=output,
            stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
    try:
        wait_for_port(port, process, log)
        yield port
        time.sleep(0.3)  # the server's side of the last request ends after the client's
        process.send_signal(signal.SIGTERM)
        process.wait(20)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    ours = [line for line in log.read_text(errors="replace").splitlines() if line.startswith("tracerun:")]
    assert all("kept in" in line for line in ours), ours


def answer(port: int, method: str, path: str, headers: dict[str, str] | None = None) -> tuple[Any, ...]:
    """Status, headers and body of one answer; what names the time, the port or an object's address is left out."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request(method, path, headers={"User-Agent": "test/1", **(headers or {})})
        response = connection.getresponse()
        body = response.read()
    except (http.client.HTTPException, ConnectionError) as error:
        return (type(error).__name__,)
    finally:
        connection.close()
    kept = [(name.lower(), value) for name, value in response.getheaders() if name.lower() != "date"]
    return response.status, response.reason, kept, body.replace(str(port).encode(), b"PORT")


REQUESTS: tuple[tuple[str, str, dict[str, str]], ...] = (
    ("GET", "/order/7?page=2&token=hush", {"traceparent": PARENT}),
    ("GET", "/broken", {}),
    ("GET", "/nowhere", {}),
    ("HEAD", "/order/7", {}),
    ("GET", "/stream", {}),
    ("BREW", "/order/7", {}),
)


def exchanged(
    run: Runner, framework: Framework, python: str, upstream: str, *launcher: str
) -> tuple[list[tuple[Any, ...]], int]:
    """The answers to all requests, and the port that they came from."""
    with serving(run, framework, python, upstream, *launcher) as port:
        return [answer(port, *request) for request in REQUESTS], port


@pytest.mark.parametrize(
    ("name", "release"),
    [(name, "newest") for name in FRAMEWORKS] + [(name, "oldest") for name in FRAMEWORKS if FRAMEWORKS[name].oldest],
)
@pytest.mark.slow
def test_requests_of_every_sort(run: Runner, web: Any, environments: Environments, name: str, release: str) -> None:
    """The answers are those of the plain program; route, status, parent, exception and body's end are in the spans."""
    compare(run, web, environments, name, release)


@pytest.mark.parametrize("name", FAST)
def test_requests_of_one_framework_of_each_kind(run: Runner, web: Any, environments: Environments, name: str) -> None:
    """The same, fast, for a server of its own, WSGI, ASGI and the standard library's."""
    compare(run, web, environments, name, "newest")


def compare(run: Runner, web: Any, environments: Environments, name: str, release: str) -> None:
    """Both runs and all that is to be said of their spans."""
    framework = FRAMEWORKS[name]
    python = python_of(framework, release, environments)
    plain, _ = exchanged(run, framework, python, web.url)
    traced, port = exchanged(run, framework, python, web.url, TRACERUN)
    log = (run.folder / "server.log").read_text(errors="replace")
    assert traced == plain, log
    assert traced[0][0] == 200, log
    assert b"order 7" in traced[0][3], log
    assert traced[4][3] == b"0\n1\n2\n", log

    spans = run.spans()
    servers = spans.all(kind=SERVER)
    brewed = servers.all(name="HTTP") or [span for span in servers if span.name.startswith("HTTP ")]
    named = [span for span in servers if span not in brewed]
    assert (len(named), len(brewed) <= 1) == (5, True), [span.name for span in servers]
    assert {span.scope for span in servers} == {f"tracerun.{framework.scope}"}
    order, broken, nowhere, head, stream = sorted(named, key=lambda span: span.start)

    def name_of(method: str, route: str) -> str:
        return f"{method} {route}" if framework.route else method

    assert order.name == name_of("GET", framework.route)
    assert (order.trace_id, order.parent_id, order.status) == (PARENT[3:35], PARENT[36:52], UNSET)
    expected = {
        "http.request.method": "GET",
        "http.response.status_code": 200,
        "http.route": framework.route or None,
        "url.scheme": "http",
        "url.path": "/order/7",
        "url.query": "page=2&token=REDACTED",
        "server.address": "127.0.0.1",
        "server.port": port,
        "client.address": "127.0.0.1",
        "network.peer.address": "127.0.0.1",
        "network.protocol.version": "1.1",
        "user_agent.original": "test/1",
    }
    assert {key: order.attributes.get(key) for key in expected} == expected

    assert (broken.name, broken.status) == (name_of("GET", "/broken"), ERROR)
    assert broken.attributes["error.type"] == framework.error
    recorded = [(event.attributes["exception.message"], event.attributes["exception.type"]) for event in broken.events]
    assert recorded == ([] if framework.error == "500" else [("on purpose", "ZeroDivisionError")])

    assert (nowhere.name, nowhere.status, nowhere.attributes.get("http.route")) == ("GET", UNSET, None)
    assert nowhere.attributes["http.response.status_code"] == 404
    assert head.attributes["http.request.method"] == "HEAD"
    assert head.attributes["http.response.status_code"] == traced[3][0]
    for span in brewed:
        assert span.attributes["http.request.method_original"] == "BREW"
        assert span.attributes["http.response.status_code"] == traced[5][0]

    assert (stream.name, stream.status) == (name_of("GET", "/stream"), UNSET)
    called = {span.parent_id: span for span in spans.all(kind=CLIENT)}
    assert {order.span_id, stream.span_id} <= set(called) <= {span.span_id for span in servers}
    assert stream.end >= called[stream.span_id].end, "the span ends with the body"


# Markers of test_secrets that a request carries, and what becomes of them.
CARRIED = {
    "X-Shop": "7",
    "X-Card": "hush12",
    "Authorization": "Bearer hush13",
    "Cookie": "sid=hush14",
    "Referer": "https://a.example/?token=hush15",
}
SHOWN = {
    "x-shop": ["7"],
    "x-card": ["[REDACTED]"],
    "authorization": ["[REDACTED]"],
    "cookie": ["[REDACTED]"],
    "referer": ["https://a.example/?token=REDACTED"],
}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name == "http.server" else pytest.mark.slow) for name in FRAMEWORKS]
)
def test_what_is_shown(run: Runner, web: Any, environments: Environments, name: str) -> None:
    """No secret of a request, its path or an exception; the headers that are named; nothing of what is excluded."""
    check_what_is_shown(run, web, environments, FRAMEWORKS[name], "/order/")


def check_what_is_shown(run: Runner, web: Any, environments: Environments, server: Framework, folder: str) -> None:
    """Three requests of secrets: an excluded one, one that is answered, one that ends with an exception."""
    more = {f"{START}SANITIZE_FIELDS": "x-card,content-length", "TRACERUN_EXCLUDE_URL": f"{folder}skipped"}
    run.env.update({**EVERY_HEADER, **more, "TRACERUN_REDACT": "tenant-pin"})
    made = server._replace(program=SECRETS + server.program.replace('"on purpose"', "SECRETS"))
    query = TARGET.partition("?")[2]
    paths = (f"{folder}skipped?{query}", TARGET.replace("/200/", folder), f"/broken?{query}")
    with serving(run, made, python_of(server, "newest", environments), web.url, TRACERUN) as port:
        answers = [answer(port, "GET", path, CARRIED) for path in paths]
    log = (run.folder / "server.log").read_text(errors="replace")
    assert [given[0] for given in answers[:2]] == [200, 200], log

    data = b"".join(path.read_bytes() for path in run.state.glob("*.jsonl"))
    assert markers_in(data) == []
    assert b"tenant_pin=REDACTED" in data
    assert server.error == "500" or b"password=REDACTED" in data

    spans = run.spans()
    order, broken = sorted(spans.all(kind=SERVER), key=lambda span: span.start)
    assert [span.attributes["url.path"] for span in (order, broken)] == [f"{folder}a;jsessionid=REDACTED", "/broken"]
    assert spans.one(kind=CLIENT).parent_id == order.span_id
    assert [seen["traceparent"][-2:] for seen in web.seen] == ["00", "01"]

    for span in (order, broken):
        assert headers_of(span, "request").items() >= SHOWN.items()
    shown, sent = headers_of(order, "response"), received(answers[1])
    shown.pop("date", None)
    assert shown.keys() & {"content-type", "server"}, shown
    assert sent.items() >= shown.items()


def received(given: tuple[Any, ...]) -> dict[str, list[str]]:
    """The headers of an answer, as a span is to have them."""
    headers: dict[str, list[str]] = {}
    for name, value in given[2]:
        headers.setdefault(name, []).append("[REDACTED]" if name == "content-length" else value)
    return headers


def headers_of(span: Any, which: str) -> dict[str, list[str]]:
    """The headers that a span has as attributes."""
    start = f"http.{which}.header."
    return {name.removeprefix(start): value for name, value in span.attributes.items() if name.startswith(start)}


def frame(kind: int, data: bytes) -> bytes:
    """A client's WebSocket frame (RFC 6455), masked with zeros."""
    return bytes((0x80 | kind, 0x80 | len(data))) + b"\0\0\0\0" + data


def echoed(port: int, text: bytes) -> bytes:
    """What comes back over a WebSocket connection, which is closed afterwards as the protocol has it."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        key = base64.b64encode(b"0123456789abcdef").decode()
        connection.sendall(
            f"GET /echo HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        file = connection.makefile("rb")
        assert b" 101 " in file.readline()
        while file.readline().strip():
            pass
        connection.sendall(frame(1, text))
        head = file.read(2)
        back = file.read(head[1])
        connection.sendall(frame(8, b"\x03\xe8"))
        while file.read(1):
            pass
        return back


@pytest.mark.parametrize("name", WEBSOCKETS)
@pytest.mark.slow
def test_websockets(run: Runner, web: Any, environments: Environments, name: str) -> None:
    """A WebSocket goes on as it does plain, and is one SERVER span that has ended."""
    framework = FRAMEWORKS[name]
    python = python_of(framework, "newest", environments)
    for launcher in ((), (TRACERUN,)):
        with serving(run, framework, python, web.url, *launcher) as port:
            assert echoed(port, b"hi") == b"hi", launcher
    span = run.spans().one(kind=SERVER)
    # BlackSheep looks up a WebSocket's route past its router's own method.
    assert (span.name, span.status) == ("GET" if name == "blacksheep" else "GET /echo", UNSET), span.attributes
    assert span.attributes["http.response.status_code"] == 101


# A request by the framework's own means of testing, without a server, and what is printed.
CLIENTS = {
    "flask": "print(app.test_client().get('/order/7').text)",
    "fastapi": "from fastapi.testclient import TestClient\nprint(TestClient(app).get('/order/7').text)",
    "starlette": "from starlette.testclient import TestClient\nprint(TestClient(app).get('/order/7').text)",
    "django": "from django.test import Client\nprint(Client().get('/order/7').content.decode())",
    "aiohttp": """
import asyncio
from aiohttp.test_utils import TestClient, TestServer

async def main():
    async with TestClient(TestServer(app)) as client:
        print(await (await client.get("/order/7")).text())

asyncio.run(main())
""",
    "tornado": """
import tornado.testing

class Orders(tornado.testing.AsyncHTTPTestCase):
    def get_app(self):
        return app

    def test_order(self):
        print(self.fetch("/order/7").body.decode())

import unittest
unittest.TextTestRunner(open(os.devnull, "w")).run(Orders("test_order"))
""",
    "bottle": """
from werkzeug.test import Client
print(Client(app).get("/order/7").text)
""",
    "quart": """
import asyncio

async def main():
    print(await (await app.test_client().get("/order/7")).get_data(as_text=True))

asyncio.run(main())
""",
    "litestar": "from litestar.testing import TestClient\nprint(TestClient(app).get('/order/7').text)",
    "falcon wsgi": "from falcon.testing import TestClient\nprint(TestClient(app).simulate_get('/order/7').text)",
    "falcon asgi": "from falcon.testing import TestClient\nprint(TestClient(app).simulate_get('/order/7').text)",
    "django rest framework": ("from rest_framework.test import APIClient\nprint(APIClient().get('/order/7').json())"),
}


@pytest.mark.parametrize("name", list(CLIENTS))
@pytest.mark.slow
def test_without_a_server(run: Runner, web: Any, name: str) -> None:
    """Under a framework's test client there is one SERVER span too, and the call is its child."""
    framework = FRAMEWORKS[name]
    program = run.program(CALL + framework.program.partition("if __name__")[0] + CLIENTS[name])
    env: dict[str, str | None] = {"UPSTREAM": web.url}
    plain = run.plain(PYTHON, program, env=env)
    traced = run.traced(PYTHON, program, env=env)
    assert (traced.status, traced.out) == (plain.status, plain.out), traced
    assert traced.out == "order 7\n", traced
    span = traced.spans.one(kind=SERVER)
    assert span.name == f"GET {framework.route}"
    assert traced.spans.one(kind=CLIENT, parent_id=span.span_id).trace_id == span.trace_id


# Applications inside applications: what is put to the program, and the route of /shop/order/7.
MOUNTED = {
    "aiohttp": (
        "inner, app = app, web.Application()\napp.add_subapp('/shop', inner)\n" + CLIENTS["aiohttp"],
        "/shop/order/{number}",
    ),
    "bottle": (
        "inner, app = app, bottle.Bottle()\napp.mount('/shop', inner)\n" + CLIENTS["bottle"],
        "/shop/order/<number>",
    ),
    "flask in bottle": (
        "import bottle\ninner, app = app, bottle.Bottle()\napp.mount('/shop', inner)\n" + CLIENTS["bottle"],
        "/shop/order/<number>",
    ),
    "starlette": (
        "inner = app\napp = Starlette(routes=[Mount('/shop', inner)])\n" + CLIENTS["starlette"],
        "/shop/order/{number}",
    ),
    "fastapi": (
        "inner, app = app, FastAPI()\napp.mount('/shop', inner)\n" + CLIENTS["fastapi"],
        "/shop/order/{number}",
    ),
    "litestar": (
        "from litestar import Router\napp = Litestar([Router('/shop', route_handlers=[order])])\n"
        + CLIENTS["litestar"],
        "/shop/order/{number}",
    ),
    "quart": (
        "from quart import Blueprint\nshop = Blueprint('shop', 'shop', url_prefix='/shop')\n"
        "shop.get('/order/<number>')(order)\napp.register_blueprint(shop)\n" + CLIENTS["quart"],
        "/shop/order/<number>",
    ),
}


@pytest.mark.parametrize("name", list(MOUNTED))
@pytest.mark.slow
def test_mounted_applications(run: Runner, web: Any, name: str) -> None:
    """The route of an application inside another one is the whole template, in one span."""
    text, route = MOUNTED[name]
    framework = FRAMEWORKS[name.partition(" ")[0]]
    program = run.program(
        CALL + framework.program.partition("if __name__")[0] + text.replace("/order/7", "/shop/order/7")
    )
    done = run.traced(PYTHON, program, env={"UPSTREAM": web.url})
    assert done.out == "order 7\n", done
    assert done.spans.one(kind=SERVER).name == f"GET {route}"


# Django is configured only once in a process; Litestar looks its annotations up in a module.
AGAIN = [name for name in CLIENTS if not name.startswith(("django", "litestar"))]


# One request over a socket, to servers that end with it.
ASK = """
import socket, threading
thread = threading.Thread(target=server.handle_request)
thread.start()
with socket.create_connection(server.server_address) as connection:
    connection.sendall(b"GET /order/7 HTTP/1.0\\r\\n\\r\\n")
    print(connection.makefile("rb").read().partition(b"\\r\\n\\r\\n")[2].decode())
thread.join()
server.server_close()
"""
BY_SOCKET = {
    "http.server": HTTP_SERVER.partition("ThreadingHTTPServer((")[0]
    + "from http.server import HTTPServer\nserver = HTTPServer(('127.0.0.1', 0), Handler)\n"
    + ASK,
    "wsgiref": BOTTLE.partition("if __name__")[0]
    + "from wsgiref.simple_server import WSGIRequestHandler, make_server\n"
    + "class Silent(WSGIRequestHandler):\n    def log_message(self, *args): pass\n"
    + "server = make_server('127.0.0.1', 0, app, handler_class=Silent)\n"
    + ASK,
}


@pytest.mark.parametrize("name", [*AGAIN, *BY_SOCKET])
@pytest.mark.slow
def test_each_function_of_ours_may_fail(run: Runner, name: str) -> None:
    """Whichever function that our wrappers call raises, the answer is the plain one."""
    text = BY_SOCKET.get(name) or FRAMEWORKS[name].program.partition("if __name__")[0] + CLIENTS[name]
    text = "import os\ndef call(path): pass\n" + text
    env: dict[str, str | None] = {"TRACERUN_RAISE_ERRORS": "false"}
    done = run.traced(PYTHON, "-W", "ignore", str(ROOT / "tests" / "injection.py"), run.program(text), env=env)
    assert (done.status, done.out[:8]) == (0, "order 7\n"), done
    results = done.out.splitlines()[1:]
    assert len(results) > 10, done
    assert [line for line in results if not line.endswith(": same")] == []
