"""A warning in a Flask handler, and one that points at the caller of the application, are attributed as plain."""
# fast
# $ python PROGRAM
# $ python -W always PROGRAM
# $ python -W error PROGRAM
# mask: ^\[[-\d:, ]+\]

import warnings

from flask import Flask

app = Flask(__name__)


@app.get("/warn/<int:level>")
def warn(level):
    warnings.warn(f"level {level}", UserWarning, stacklevel=level)
    return "warned"


@app.get("/stream")
def stream():
    def body():
        for level in range(1, 6):
            warnings.warn(f"body {level}", UserWarning, stacklevel=level)
            yield f"{level}\n"

    return app.response_class(body())


client = app.test_client()
for level in range(1, 10):
    answer = client.get(f"/warn/{level}")
    print(answer.status_code, answer.text[:6])
try:
    print(client.get("/stream").text)
except UserWarning as warning:
    print("raised", warning)


def application(environ, start_response):
    warnings.warn("called by the WSGI application's caller", UserWarning, stacklevel=2)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"own"]


app.wsgi_app = application
try:
    print(client.get("/").text)
except UserWarning as warning:
    print("raised", warning)
