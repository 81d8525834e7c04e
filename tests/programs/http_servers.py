"""Servers that are started and stopped inside of the program answer and log as plain."""
# $ python PROGRAM wsgiref
# $ python PROGRAM werkzeug
# $ python PROGRAM uvicorn
# $ python PROGRAM http
# $ python -X dev PROGRAM uvicorn
# mask: ^\[\d{4}-[-\d :,]+\]
# mask: \[\d+/\w+/\d+ [\d:]+\]|127.0.0.1:\d+|process \[\d+\]|:\d+ \(Press
# mask: ^.*(Finished|Started) server process.*

import logging
import sys
import threading
import urllib.request

from flask import Flask, request

app = Flask(__name__)


@app.get("/<path:path>")
def index(path):
    if path == "fails":
        raise LookupError(path)
    return f"{path} {request.user_agent} {request.url_rule}"


def ask(port):
    for path in ("x", "a/b", "fails"):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/{path}") as answer:
                print(answer.status, answer.read(), sorted(answer.headers.keys()))
        except urllib.error.HTTPError as error:
            print(error.code, error.reason)


how = sys.argv[1]
if how == "uvicorn":
    import uvicorn
    from fastapi import FastAPI

    api = FastAPI()

    @api.get("/{path:path}")
    async def asgi(path: str):
        if path == "fails":
            raise LookupError(path)
        return path

    server = uvicorn.Server(uvicorn.Config(api, port=0))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        pass
    ask(server.servers[0].sockets[0].getsockname()[1])
    server.should_exit = True
    thread.join()
    print("stopped")
else:
    if how == "wsgiref":
        from wsgiref.simple_server import make_server

        server = make_server("127.0.0.1", 0, app)
    elif how == "werkzeug":
        from werkzeug.serving import make_server

        logging.basicConfig()
        server = make_server("127.0.0.1", 0, app)
    else:
        import http.server

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    ask(server.server_port)
    server.shutdown()
    thread.join()
    server.server_close()
