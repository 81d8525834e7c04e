"""The programs of the side-by-side test: a client for each library, or a server with a route.

A client makes the calls of its first argument, a JSON list of ``[number, method, URL]``, each in the context of a
caller whose trace id is the number (0: of nobody), and so the spans of a call are known by their trace. A server
listens on the port of its first argument until Ctrl-C.
"""

from __future__ import annotations

from textwrap import indent
from typing import NamedTuple

INSIDE = 4 * " "

CALLS = """
import contextlib, json, logging, sys
from opentelemetry import context, trace

logging.disable()

@contextlib.contextmanager
def caller(number):
    if not number:
        yield
        return
    span = trace.NonRecordingSpan(trace.SpanContext(number, number, True, trace.TraceFlags(1)))
    token = context.attach(trace.set_span_in_context(span))
    try:
        yield
    finally:
        context.detach(token)

for number, method, url in json.loads(sys.argv[1]):
    with caller(number):
        try:
            print(call(method, url))
        except Exception as error:
            print(type(error).__name__)
"""

REQUESTS = """
import requests

def call(method, url):
    return requests.request(method, url).status_code
"""
URLLIB3 = """
import urllib3

def call(method, url):
    return urllib3.PoolManager().request(method, url, retries=False).status
"""
HTTPX = """
import httpx

def call(method, url):
    return httpx.request(method, url).status_code
"""
HTTPX_ASYNC = """
import asyncio, httpx

async def one(method, url):
    async with httpx.AsyncClient() as client:
        return (await client.request(method, url)).status_code

def call(method, url):
    return asyncio.run(one(method, url))
"""
URLLIB = """
import urllib.request

def call(method, url):
    return urllib.request.urlopen(urllib.request.Request(url, method=method)).status
"""
AIOHTTP_CLIENT = """
import aiohttp, asyncio

async def one(method, url):
    async with aiohttp.ClientSession() as session, session.request(method, url) as answer:
        await answer.read()
        return answer.status

def call(method, url):
    return asyncio.run(one(method, url))
"""
TORNADO_CLIENT = """
import asyncio
from tornado.httpclient import AsyncHTTPClient

async def one(method, url):
    answer = await AsyncHTTPClient().fetch(url, method=method, body=b"" if method == "POST" else None)
    return answer.code

def call(method, url):
    return asyncio.run(one(method, url))
"""
GRPC_CLIENT = """
import grpc

def call(method, url):
    target, _, name = url.partition("/")
    with grpc.insecure_channel(target) as channel:
        if method == "stream":
            return b"".join(channel.unary_stream("/" + name)(b"ask"))
        return channel.unary_unary("/" + name)(b"ask")
"""
GRPC_AIO_CLIENT = """
import asyncio
from grpc import aio

async def one(method, url):
    target, _, name = url.partition("/")
    async with aio.insecure_channel(target) as channel:
        if method == "stream":
            return b"".join([part async for part in channel.unary_stream("/" + name)(b"ask")])
        return await channel.unary_unary("/" + name)(b"ask")

def call(method, url):
    return asyncio.run(one(method, url))
"""

FLASK = """
import flask

app = flask.Flask("app")

@app.route("/item/<number>", methods=["GET", "POST"])
def item(number):
    return number

@app.get("/refused")
def refused():
    flask.abort(403)

@app.get("/fails")
def fails():
    raise ZeroDivisionError("on purpose")
"""
# It is its own settings: upstream's instrumentor reads them before the program's first line.
DJANGO = """
from django.core.exceptions import PermissionDenied
from django.http import HttpResponse
from django.urls import path

ROOT_URLCONF, ALLOWED_HOSTS, SECRET_KEY, LOGGING_CONFIG, MIDDLEWARE = "app", ["*"], "x", None, []

def item(request, number):
    return HttpResponse(str(number))

def refused(request):
    raise PermissionDenied

def fails(request):
    raise ZeroDivisionError("on purpose")

urlpatterns = [path("item/<int:number>", item), path("refused", refused), path("fails", fails)]
if __name__ == "__main__":
    import django
    from django.core.handlers.{kind} import {handler}
    django.setup()
    app = {handler}()
"""
FALCON = """
import falcon

class Item:
    def on_get(self, req, resp, number):
        resp.text = number
    on_post = on_get

class Refused:
    def on_get(self, req, resp):
        raise falcon.HTTPForbidden

class Fails:
    def on_get(self, req, resp):
        raise ZeroDivisionError("on purpose")

app = falcon.App()
app.add_route("/item/{number}", Item())
app.add_route("/refused", Refused())
app.add_route("/fails", Fails())
"""
PYRAMID = """
from pyramid.config import Configurator
from pyramid.httpexceptions import HTTPForbidden
from pyramid.response import Response

def item(request):
    return Response(request.matchdict["number"])

def refused(request):
    raise HTTPForbidden

def fails(request):
    raise ZeroDivisionError("on purpose")

with Configurator() as config:
    for path, view in {"/item/{number}": item, "/refused": refused, "/fails": fails}.items():
        config.add_route(path, path)
        config.add_view(view, route_name=path)
    app = config.make_wsgi_app()
"""
FASTAPI = """
from fastapi import FastAPI, HTTPException

app = FastAPI()

@app.api_route("/item/{number}", methods=["GET", "POST"])
async def item(number: str):
    return number

@app.get("/refused")
async def refused():
    raise HTTPException(403)

@app.get("/fails")
async def fails():
    raise ZeroDivisionError("on purpose")
"""
STARLETTE = """
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse
from starlette.routing import Route

async def item(request):
    return PlainTextResponse(request.path_params["number"])

async def refused(request):
    raise HTTPException(403)

async def fails(request):
    raise ZeroDivisionError("on purpose")

app = Starlette(routes=[
    Route("/item/{number}", item, methods=["GET", "POST"]), Route("/refused", refused), Route("/fails", fails)
])
"""
AIOHTTP_SERVER = """
import sys
from aiohttp import web

async def item(request):
    return web.Response(text=request.match_info["number"])

async def refused(request):
    raise web.HTTPForbidden

async def fails(request):
    raise ZeroDivisionError("on purpose")

app = web.Application()
app.router.add_get("/item/{number}", item, allow_head=False)
app.router.add_post("/item/{number}", item)
app.router.add_get("/refused", refused)
app.router.add_get("/fails", fails)
web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), print=None)
"""
TORNADO = """
import asyncio, sys
from tornado.web import Application, HTTPError, RequestHandler

class Item(RequestHandler):
    def get(self, number):
        self.write(number)
    post = get

class Refused(RequestHandler):
    def get(self):
        raise HTTPError(403)

class Fails(RequestHandler):
    def get(self):
        raise ZeroDivisionError("on purpose")

async def main():
    Application([(r"/item/([^/]+)", Item), (r"/refused", Refused), (r"/fails", Fails)]).listen(
        int(sys.argv[1]), "127.0.0.1"
    )
    await asyncio.Event().wait()

asyncio.run(main())
"""
GRPC_HANDLERS = """
import grpc, sys
HANDLERS = {
    "One": grpc.unary_unary_rpc_method_handler(one),
    "Missing": grpc.unary_unary_rpc_method_handler(missing),
    "Fails": grpc.unary_unary_rpc_method_handler(fails),
    "Many": grpc.unary_stream_rpc_method_handler(many),
}
SERVICE = grpc.method_handlers_generic_handler("shop.Echo", HANDLERS)
"""
GRPC_SERVER = (
    """
import grpc

def one(request, context):
    return request

def missing(request, context):
    context.abort(grpc.StatusCode.NOT_FOUND, "no such thing")

def fails(request, context):
    raise ZeroDivisionError("on purpose")

def many(request, context):
    yield request
    yield request
"""
    + GRPC_HANDLERS
    + """
from concurrent import futures
server = grpc.server(futures.ThreadPoolExecutor(2))
server.add_generic_rpc_handlers((SERVICE,))
server.add_insecure_port(f"127.0.0.1:{sys.argv[1]}")
server.start()
try:
    server.wait_for_termination()
except KeyboardInterrupt:
    server.stop(None).wait()
"""
)
GRPC_AIO_SERVER = (
    """
import asyncio, grpc

async def one(request, context):
    return request

async def missing(request, context):
    await context.abort(grpc.StatusCode.NOT_FOUND, "no such thing")

async def fails(request, context):
    raise ZeroDivisionError("on purpose")

async def many(request, context):
    yield request
    yield request
"""
    + GRPC_HANDLERS
    + """
async def main():
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((SERVICE,))
    server.add_insecure_port(f"127.0.0.1:{sys.argv[1]}")
    await server.start()
    try:
        await asyncio.Event().wait()
    finally:
        await server.stop(None)

asyncio.run(main())
"""
)
UNDER_WSGIREF = """
import sys
from wsgiref.simple_server import WSGIRequestHandler, make_server
WSGIRequestHandler.log_message = lambda *_: None
make_server("127.0.0.1", int(sys.argv[1]), app).serve_forever()
"""
UNDER_UVICORN = """
import sys, uvicorn
uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="critical", lifespan="off")
"""
# Upstream has no instrumentor for any WSGI or ASGI application at all, but a middleware, which a program adds.
MIDDLEWARE = """
import sys
if "opentelemetry.instrumentation.auto_instrumentation" in sys.modules:
    from opentelemetry.instrumentation.{kind} import OpenTelemetryMiddleware
    app = OpenTelemetryMiddleware(app)
"""
WSGI = """
def app(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/fails":
        raise ZeroDivisionError("on purpose")
    found = {"/refused": "403 Forbidden", "/item/7": "200 OK"}
    start_response(found.get(path, "404 Not Found"), [("Content-Length", "1")])
    return [b"7"]
""" + MIDDLEWARE.format(kind="wsgi")
ASGI = """
async def app(scope, receive, send):
    path = scope["path"]
    if path == "/fails":
        raise ZeroDivisionError("on purpose")
    status = {"/refused": 403, "/item/7": 200}.get(path, 404)
    await send({"type": "http.response.start", "status": status, "headers": [(b"content-length", b"1")]})
    await send({"type": "http.response.body", "body": b"7"})
""" + MIDDLEWARE.format(kind="asgi")


class Side(NamedTuple):
    """One library, as both sides trace it.

    Attributes:
        program: Its text.
        ours: The name of our instrumentation.
        theirs: The name of upstream's; empty where the program adds the middleware.
        package: Upstream's package.
    """

    program: str
    ours: str
    theirs: str
    package: str


def _client(program: str, ours: str, theirs: str = "", package: str = "") -> Side:
    return Side(program + CALLS, ours, theirs or ours, package or theirs or ours)


def _server(program: str, ours: str, theirs: str | None = None, package: str = "") -> Side:
    return Side(
        "import logging\nlogging.disable()\n" + program, ours, ours if theirs is None else theirs, package or ours
    )


CLIENTS = {
    "requests": _client(REQUESTS, "requests"),
    "urllib3": _client(URLLIB3, "urllib3"),
    "httpx": _client(HTTPX, "httpx"),
    "httpx async": _client(HTTPX_ASYNC, "httpx"),
    "httpx2": _client(HTTPX.replace("httpx", "httpx2"), "httpx2", package="httpx"),
    "httpx2 async": _client(HTTPX_ASYNC.replace("httpx", "httpx2"), "httpx2", package="httpx"),
    "urllib": _client(URLLIB, "urllib"),
    "aiohttp-client": _client(AIOHTTP_CLIENT, "aiohttp-client"),
    "tornado_client": _client(TORNADO_CLIENT, "tornado_client", "tornado"),
}
SERVERS = {
    "flask": _server(FLASK + UNDER_WSGIREF, "flask"),
    "django": _server(DJANGO.format(kind="wsgi", handler="WSGIHandler") + indent(UNDER_WSGIREF, INSIDE), "django"),
    "django asgi": _server(DJANGO.format(kind="asgi", handler="ASGIHandler") + indent(UNDER_UVICORN, INSIDE), "django"),
    "falcon": _server(FALCON + UNDER_WSGIREF, "falcon"),
    "pyramid": _server(PYRAMID + UNDER_WSGIREF, "pyramid"),
    "wsgi": _server(WSGI + UNDER_WSGIREF, "wsgiref", "", "wsgi"),
    "fastapi": _server(FASTAPI + UNDER_UVICORN, "fastapi"),
    "starlette": _server(STARLETTE + UNDER_UVICORN, "starlette"),
    "asgi": _server(ASGI + UNDER_UVICORN, "uvicorn", "", "asgi"),
    "aiohttp-server": _server(AIOHTTP_SERVER, "aiohttp-server"),
    "tornado": _server(TORNADO, "tornado"),
}
GRPC_CLIENTS = {
    "grpc_client": _client(GRPC_CLIENT, "grpc_client", package="grpc"),
    "grpc_aio_client": _client(GRPC_AIO_CLIENT, "grpc_aio_client", package="grpc"),
}
GRPC_SERVERS = {
    "grpc_server": _server(GRPC_SERVER, "grpc_server", package="grpc"),
    "grpc_aio_server": _server(GRPC_AIO_SERVER, "grpc_aio_server", package="grpc"),
}
SIDES = {**CLIENTS, **SERVERS, **GRPC_CLIENTS, **GRPC_SERVERS}
