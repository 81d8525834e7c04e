"""Objects that pass through a call are freed when they are freed plain."""
# $ python PROGRAM
# spans: 4

import gc
import os
import weakref

import flask
import httpx
import requests

gc.disable()


class Body(bytes):
    pass


def call():
    session = requests.Session()
    response = session.get(os.environ["WEB"])
    request = response.request
    return weakref.ref(response), weakref.ref(request), weakref.ref(session)


def call_httpx():
    with httpx.Client() as client:
        response = client.get(os.environ["WEB"])
    return weakref.ref(response), weakref.ref(client)


def call_that_fails():
    request = requests.Request("GET", "http://127.0.0.1:9/").prepare()
    try:
        requests.Session().send(request)
    except requests.ConnectionError as error:
        return weakref.ref(request), weakref.ref(error)


app = flask.Flask(__name__)


class Answer(flask.Response):
    pass


@app.get("/")
def handler():
    global answer
    made = Answer("x")
    answer = weakref.ref(made)
    return made


print([ref() is None for ref in call()])
print([ref() is None for ref in call_httpx()])
print([ref() is None for ref in call_that_fails()])
print(app.test_client().get("/").text)
print(answer() is None)
