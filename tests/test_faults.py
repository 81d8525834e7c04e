"""Faults injected into our own code: the program gets its own result, and one line names the culprit."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conftest import PYTHON, ROOT, Runner

SERVE = """
import socket, threading
from wsgiref.simple_server import WSGIRequestHandler, make_server
class Quiet(WSGIRequestHandler):
    def log_message(self, *args): pass
"""

GRPC = """
import grpc
from concurrent import futures
def one(request, context): return request + b"!"
def many(request, context):
    for n in range(3): yield request
def bad(request, context): context.abort(grpc.StatusCode.NOT_FOUND, "no")
handlers = {
    "One": grpc.unary_unary_rpc_method_handler(one),
    "Many": grpc.unary_stream_rpc_method_handler(many),
    "Bad": grpc.unary_unary_rpc_method_handler(bad),
}
"""

PROGRAMS = {
    "requests": "import requests\nprint(requests.get(URL + '/200').text, requests.get(URL + '/404').status_code)\n"
    "try: requests.get('http://127.0.0.1:1/')\nexcept requests.ConnectionError as error: print(type(error))\n",
    "urllib3": "import urllib3\npool = urllib3.PoolManager()\nprint(pool.request('GET', URL + '/200').data)\n"
    "try: pool.request('GET', 'http://127.0.0.1:1/', retries=False)\n"
    "except urllib3.exceptions.HTTPError as error: print(type(error))\n",
    "httpx": "import httpx\nprint(httpx.get(URL + '/200').text, httpx.get(URL + '/404').status_code)\n"
    "try: httpx.get('http://127.0.0.1:1/')\nexcept httpx.ConnectError as error: print(type(error))\n",
    "httpx async": "import asyncio, httpx\nasync def main():\n    async with httpx.AsyncClient() as client:\n"
    "        print((await client.get(URL + '/200')).text)\n"
    "        try: await client.get('http://127.0.0.1:1/')\n"
    "        except httpx.ConnectError as error: print(type(error))\nasyncio.run(main())\n",
    "flask": "import flask\napp = flask.Flask('a')\napp.testing = False\n"
    "@app.get('/ok/<n>')\ndef ok(n): return (part for part in ('ok', n))\n"
    "@app.get('/bad')\ndef bad(): 1 / 0\n"
    "import logging; app.logger.disabled = True\n"
    "client = app.test_client()\nprint(client.get('/ok/1').text, client.get('/bad').status_code, client.get('/x').status)\n",
    "fastapi": "from fastapi import FastAPI\nfrom fastapi.testclient import TestClient\napp = FastAPI()\n"
    "@app.get('/ok/{n}')\nasync def ok(n: int): return {'n': n}\n"
    "@app.get('/bad')\ndef bad(): 1 / 0\n"
    "client = TestClient(app, raise_server_exceptions=False)\n"
    "print(client.get('/ok/1').text, client.get('/bad').status_code, client.get('/x').status_code)\n",
    "starlette": "from starlette.applications import Starlette\nfrom starlette.responses import PlainTextResponse\n"
    "from starlette.routing import Route\nfrom starlette.testclient import TestClient\n"
    "async def ok(request): return PlainTextResponse('ok')\n"
    "client = TestClient(Starlette(routes=[Route('/ok', ok)]))\nprint(client.get('/ok').text, client.get('/x').status_code)\n",
    "grpc": GRPC + "server = grpc.server(futures.ThreadPoolExecutor(2))\n"
    "server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler('x.Y', handlers),))\n"
    "port = server.add_insecure_port('127.0.0.1:0')\nserver.start()\n"
    "with grpc.insecure_channel(f'127.0.0.1:{port}') as channel:\n"
    "    print(channel.unary_unary('/x.Y/One')(b'a'), list(channel.unary_stream('/x.Y/Many')(b'b')))\n"
    "    try: channel.unary_unary('/x.Y/Bad')(b'c')\n    except grpc.RpcError as error: print(error.code(), error.details())\n"
    "server.stop(None).wait()\n",
    "grpc.aio": "import asyncio, grpc\nasync def one(request, context): return request + b'!'\n"
    "async def many(request, context):\n    for n in range(3): yield request\n"
    "async def written(request, context):\n    await context.write(request)\n"
    "handlers = {'One': grpc.unary_unary_rpc_method_handler(one), 'Many': grpc.unary_stream_rpc_method_handler(many),"
    " 'Written': grpc.unary_stream_rpc_method_handler(written)}\n"
    "async def main():\n    server = grpc.aio.server()\n"
    "    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler('x.Y', handlers),))\n"
    "    port = server.add_insecure_port('127.0.0.1:0')\n    await server.start()\n"
    "    async with grpc.aio.insecure_channel(f'127.0.0.1:{port}') as channel:\n"
    "        print(await channel.unary_unary('/x.Y/One')(b'a'))\n"
    "        for name in ('Many', 'Written'):\n"
    "            print([part async for part in channel.unary_stream('/x.Y/' + name)(b'b')])\n"
    "    await server.stop(None)\nasyncio.run(main())\n",
    "manual": "from opentelemetry import trace\n"
    "with trace.get_tracer('t').start_as_current_span('work') as span:\n    span.add_event('e')\nprint('done')\n",
}

BREAK = "def broken(*args, **kwargs):\n    raise RuntimeError('injected')\n"

# What is broken before the program's own first line.
FAULTS = {
    "before the call": "import tracerun.instrumentation.patching as p\nfor name in ('around', 'around_async', 'before', 'after'):\n"
    "    setattr(p, name, (lambda real: lambda ours, what: real(broken, what))(getattr(p, name)))\n",
    "after the call": "import tracerun.instrumentation.context as c, tracerun.instrumentation.http as h\n"
    "c.ClientSpan.finish = c.fail = h.HttpClientSpan._describe = h.ServerRequest.end = h.ServerRequest.record = broken\n",
    "server attributes": "import tracerun.instrumentation.http as h\nh.split_host = h.start_http_server = broken\n",
    "propagation": "import tracerun.instrumentation.context as c\nc.extract = c.inject_into = broken\n",
    "redaction": "import tracerun.instrumentation.redaction as r\nr.url = r.query = broken\n",
    "set-up of the SDK": "import tracerun.agent.sdk as s\ns._set_up = broken\n",
    "queue": "import tracerun.export.pipeline as p\np.Pipeline.add = broken\n",
    "export": "import tracerun.export.span_files as f\nf.SpanFiles.send = broken\n",
    "version check": "import tracerun.agent.installed as i\ni.conflict = broken\n",
    "instrumentors": "import sys\nfor name in ('requests', 'urllib3', 'httpx', 'flask', 'fastapi', 'starlette', 'grpc_client',\n"
    "             'grpc_server', 'grpc_aio_client', 'grpc_aio_server'):\n"
    "    sys.modules['tracerun.instrumentation.' + name] = None\n",
    "RPC spans": "import tracerun.instrumentation.rpc as r\nfor name, value in list(vars(r).items()):\n"
    "    if callable(value) and getattr(value, '__module__', '') == r.__name__ and not isinstance(value, type):\n"
    "        setattr(r, name, broken)\n",
}
ONLY_FOR = {
    "RPC spans": ("grpc", "grpc.aio"),
    "redaction": ("requests", "urllib3", "httpx", "httpx async", "flask", "fastapi"),
}

# Functions of ours that a program must come by; "manual" meets none of those that patch.
FEWEST = {"manual": -1}

CASES = [(program, fault) for fault in FAULTS for program in PROGRAMS if program in ONLY_FOR.get(fault, PROGRAMS)]


@pytest.mark.slow
@pytest.mark.parametrize(("program", "fault"), CASES)
def test_the_program_gets_its_own_result(run: Runner, web: Any, program: str, fault: str) -> None:
    """Whatever breaks in our code, status, stdout and the program's own stderr are those of the plain run."""
    head = f"import warnings; warnings.simplefilter('ignore')\nURL = {web.url!r}\n"
    env = {"TRACERUN_RAISE_ERRORS": "false"}
    plain = run.plain(PYTHON, run.program(head + PROGRAMS[program], "plain.py"), env=env)
    traced = run.traced(PYTHON, run.program(BREAK + FAULTS[fault] + head + PROGRAMS[program], "traced.py"), env=env)
    assert plain.status == 0, plain
    assert (traced.status, traced.out, traced.theirs) == (plain.status, plain.out, plain.theirs)
    internal = [line for line in traced.ours if line.startswith("internal error")]
    assert len(internal) == len(set(internal)), internal


@pytest.mark.slow
@pytest.mark.parametrize("program", list(PROGRAMS))
def test_each_function_of_ours(run: Runner, web: Any, program: str) -> None:
    """Each function that our wrappers call may raise, one at a time, and the program prints what it prints plain."""
    text = f"import warnings; warnings.simplefilter('ignore')\nURL = {web.url!r}\n{PROGRAMS[program]}"
    env = {"TRACERUN_RAISE_ERRORS": "false"}
    plain = run.plain(PYTHON, run.program(text), env=env)
    done = run.traced(PYTHON, str(ROOT / "tests" / "injection.py"), run.program(text), env=env)
    assert done.status == 0, done
    assert done.out.startswith(plain.out)
    results = done.out.removeprefix(plain.out).splitlines()
    assert len(results) > FEWEST.get(program, 10), done
    assert [line for line in results if not line.endswith(": same")] == []
