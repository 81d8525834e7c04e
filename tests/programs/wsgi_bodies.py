"""What a Flask application answers, in every form a body can have, reaches a WSGI server as plain."""
# $ env PYTHONHASHSEED=0 TRACERUN python PROGRAM

import io
import sys
import traceback

from flask import Flask, Response, abort, send_file, stream_with_context
from werkzeug.wsgi import FileWrapper

app = Flask(__name__)
closed = []


class Body:
    def __init__(self):
        self.parts = [b"a", b"", b"b"]

    def __iter__(self):
        return iter(self.parts)

    def close(self):
        closed.append("body")


def generator():
    try:
        yield "one"
        yield "two"
    finally:
        closed.append("generator")


app.add_url_rule("/text", view_func=lambda: "text", endpoint="text")
app.add_url_rule("/list", view_func=lambda: ["a", "b"], endpoint="list")
app.add_url_rule("/body", view_func=lambda: Response(Body()), endpoint="body")
app.add_url_rule("/generator", view_func=lambda: Response(stream_with_context(generator())), endpoint="generator")
app.add_url_rule("/file", view_func=lambda: send_file(io.BytesIO(b"file" * 10), "text/plain"), endpoint="file")
app.add_url_rule("/empty", view_func=lambda: ("", 204), endpoint="empty")
app.add_url_rule("/abort", view_func=lambda: abort(418), endpoint="abort")
app.add_url_rule("/fails", view_func=lambda: 1 / 0, endpoint="fails")


def serve(path, method="GET", take=None, **more):
    environ = {
        "REQUEST_METHOD": method,
        "PATH_INFO": path,
        "SCRIPT_NAME": "",
        "QUERY_STRING": "",
        "SERVER_NAME": "x",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(),
        "wsgi.errors": io.StringIO(),
        "wsgi.multithread": False,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        "wsgi.file_wrapper": FileWrapper,
        **more,
    }
    started = []

    def start_response(status, headers, exc_info=None):
        started.append((status, [h for h in headers if h[0] != "Date"], exc_info and exc_info[0]))
        return lambda data: started.append(data)

    body = app(environ, start_response)
    iterator = iter(body)
    content = list(iterator) if take is None else [next(iterator) for _ in range(take)]
    length = len(body) if hasattr(body, "__len__") else None
    getattr(body, "close", lambda: None)()
    print(method, path, started, content, length, closed)
    closed.clear()
    errors = environ["wsgi.errors"].getvalue()
    print(errors.splitlines()[-1:] if errors else "")


for path in ("/text", "/list", "/body", "/generator", "/file", "/empty", "/abort", "/fails", "/nosuch"):
    serve(path)
serve("/generator", take=1)
serve("/text", method="HEAD")
serve("/text", method="PUT")
serve("/text", HTTP_HOST="\xff\\", HTTP_TRACEPARENT="x" * 300, HTTP_USER_AGENT="\xff", QUERY_STRING="a=%ff&b")
app.testing = True
try:
    serve("/fails")
except ZeroDivisionError:
    print([frame.name for frame in traceback.extract_tb(sys.exc_info()[2]) if frame.filename == __file__])
