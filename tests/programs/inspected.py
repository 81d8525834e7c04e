"""What inspect, help, pickle and copy say of patched functions and classes is what they say plain."""
# fast
# $ python PROGRAM imported
# $ python PROGRAM called
# mask: <function (\w+\.)+\w+ at|0x\w+

import copy
import inspect
import os
import pickle
import pydoc
import sys

import fastapi
import flask
import grpc._channel
import grpc._server
import grpc.aio
import httpx
import requests
import starlette.applications
import urllib3
import uvicorn

if sys.argv[1] == "called":
    import asyncio

    from fastapi.testclient import TestClient

    requests.get(os.environ["WEB"])
    urllib3.PoolManager().request("GET", os.environ["WEB"])
    httpx.get(os.environ["WEB"])
    flask.Flask("x").test_client().get("/")
    TestClient(fastapi.FastAPI()).get("/")
    starlette.applications.Starlette()
    grpc.insecure_channel("127.0.0.1:9").close()
    asyncio.run(httpx.AsyncClient().aclose())

FUNCTIONS = [
    requests.adapters.HTTPAdapter.send,
    urllib3.connectionpool.HTTPConnectionPool.urlopen,
    urllib3.connectionpool.HTTPConnectionPool._make_request,
    httpx.Client._send_single_request,
    httpx.AsyncClient._send_single_request,
    flask.Flask.__init__,
    flask.Flask.__call__,
    flask.Flask.full_dispatch_request,
    flask.Flask.handle_exception,
    fastapi.FastAPI.__init__,
    fastapi.FastAPI.__call__,
    starlette.applications.Starlette.__init__,
    starlette.applications.Starlette.__call__,
    uvicorn.Config.load,
    grpc._channel.Channel.__init__,
    grpc._server._Server.__init__,
    grpc.aio._channel.Channel.__init__,
    grpc.aio._server.Server.__init__,
]
for function in FUNCTIONS:
    print(function.__module__, function.__qualname__, function.__name__, function)
    print(inspect.signature(function))
    print(inspect.isfunction(function), inspect.iscoroutinefunction(function), inspect.isgeneratorfunction(function))
    print(inspect.getdoc(function) == pydoc.getdoc(function), (function.__doc__ or "")[:40], function.__annotations__)
    print(inspect.getsource(function)[:60], inspect.unwrap(function).__code__.co_name)
    print(
        pickle.loads(pickle.dumps(function)) is function,
        copy.copy(function) is function,
        copy.deepcopy(function) is function,
    )
    print(pydoc.plain(pydoc.render_doc(function))[:300])
for cls in (requests.adapters.HTTPAdapter, urllib3.HTTPConnectionPool, httpx.Client, flask.Flask, fastapi.FastAPI):
    print(cls, cls.__mro__, sorted(vars(cls)), cls.__dict__.keys() == vars(cls).keys())
    print(inspect.signature(cls), inspect.getfile(cls))
    print(pydoc.plain(pydoc.render_doc(cls))[:3000])
adapter = pickle.loads(pickle.dumps(requests.Session())).adapters["http://"]
print(type(adapter) is requests.adapters.HTTPAdapter, adapter.send.__func__ is requests.adapters.HTTPAdapter.send)
copied = copy.deepcopy(requests.Session())
print(isinstance(copied, requests.Session), isinstance(copied.adapters["http://"], requests.adapters.BaseAdapter))
