"""The program's own context variables, and the context that it copies, are as plain around calls."""
# $ python PROGRAM
# spans: 4

import contextvars
import os
import threading

import flask
import requests

mine = contextvars.ContextVar("mine", default=0)
mine.set(1)
before = len(contextvars.copy_context())
requests.get(os.environ["WEB"])
print(before, [var.name for var in contextvars.copy_context()], mine.get())
app = flask.Flask(__name__)


@app.get("/")
def handler():
    mine.set(mine.get() + 1)
    requests.get(os.environ["WEB"])
    return str(mine.get())


client = app.test_client()
print(client.get("/").text, mine.get())
token = mine.set(5)
threading.Thread(target=lambda: print(mine.get(), contextvars.copy_context().get(mine))).start()
mine.reset(token)
print(contextvars.Context().run(lambda: (mine.get(), requests.get(os.environ["WEB"]).text)), mine.get())
