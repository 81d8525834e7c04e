"""What a program formats of an exception that came through our wrappers has its own frames and lines."""
# $ python PROGRAM
# spans: 4

import asyncio
import os
import sys
import traceback

import flask
import httpx
import requests

WEB = os.environ["WEB"]


class Adapter(requests.adapters.HTTPAdapter):
    def build_response(self, *args):
        raise KeyError("mine")


def own(tb):
    return [(f.name, f.lineno, f.line) for f in traceback.extract_tb(tb) if f.filename == __file__]


session = requests.Session()
session.mount("http://", Adapter())
try:
    session.get(WEB)
except KeyError as error:
    print(own(error.__traceback__), error.args, error.__cause__, error.__context__, error.__suppress_context__)
    print(sys.exc_info()[1] is error)

try:
    httpx.get("http://127.0.0.1:9/")
except httpx.ConnectError as error:
    print(own(error.__traceback__), error, type(error.__cause__), type(error.__context__))


async def main():
    async with httpx.AsyncClient() as client:
        await client.get("http://127.0.0.1:9/")


try:
    asyncio.run(main())
except httpx.ConnectError as error:
    print(own(error.__traceback__), error, type(error.__cause__), type(error.__context__))

app = flask.Flask(__name__)
app.testing = True


@app.get("/")
def fails():
    try:
        1 / 0
    except ZeroDivisionError as error:
        raise LookupError("later") from error


try:
    app.test_client().get("/")
except LookupError as error:
    print(own(error.__traceback__), repr(error.__cause__))
