"""Hostile input from the network changes no answer, and logs nothing."""

from __future__ import annotations

import random
import socket
from typing import Any

import pytest

from tests.conftest import TRACERUN, Runner, free_port

pytestmark = pytest.mark.slow

REQUESTS = 1000
SEED = 20261122

WSGI = """
import flask

app = flask.Flask(__name__)

@app.get("/<path:rest>")
def anything(rest):
    request = flask.request
    return f"{rest} {request.headers.get('User-Agent')!r} {len(request.headers)} {request.query_string!r}"
"""

ASGI = """
from fastapi import FastAPI, Request
from fastapi.responses import PlainTextResponse

app = FastAPI()

@app.get("/{rest:path}", response_class=PlainTextResponse)
async def anything(rest: str, request: Request):
    agent = [value for name, value in request.headers.raw if name == b"user-agent"]
    own = [name for name, _ in request.headers.raw]
    return f"{rest!r} {agent!r} {len(own)} {request.scope['query_string']!r}"
"""

SERVERS = {
    "flask": (WSGI, "flask --app web run --port PORT"),
    "gunicorn": (WSGI, "gunicorn -b 127.0.0.1:PORT web:app"),
    "uvicorn": (ASGI, "uvicorn web:app --no-access-log --port PORT"),
    "hypercorn": (ASGI, "hypercorn -b 127.0.0.1:PORT web:app"),
}

NAMES = (
    b"traceparent", b"tracestate", b"baggage", b"Host", b"User-Agent", b"X-Forwarded-For", b"Cookie", b"b3",
)  # fmt: skip
VALID = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def value(source: random.Random) -> bytes:
    """A header's value: valid, broken, huge, binary, or of characters that parsers trip over."""
    kind = source.randrange(10)
    if kind == 0:
        return VALID
    if kind == 1:
        broken = bytearray(VALID)
        broken[source.randrange(len(broken))] = source.choice(b"xXgG-_ \xff0f,;=%")
        return bytes(broken)
    if kind == 2:
        return VALID[: source.randrange(len(VALID))] + b"-" * source.randrange(4)
    if kind == 3:
        return b",".join(b"k%d=v%d" % (n, n) for n in range(source.randrange(1, 60)))
    if kind == 4:
        return b"a=" + b"x" * source.randrange(1, 6000)
    if kind == 5:
        return source.choice([b"\\xff\\", b"\xff\\", b"\\u0000", b"\\N{DASH}", b"%ff%", b"\xc3\x28", b"\xed\xa0\x80"])
    if kind == 6:
        return bytes(source.choice(range(0x80, 0x100)) for _ in range(source.randrange(1, 40)))
    if kind == 7:
        return source.choice([b"[::1", b"a:b:c", b":99999", b"@", b"x" * 300, b"127.0.0.1:abc", b"\xff:80", b"/?#"])
    if kind == 8:
        return b""
    return bytes(source.choice(b" !\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~abc019") for _ in range(source.randrange(1, 60)))


def request(number: int) -> bytes:
    """One request, the same for the same number."""
    source = random.Random(SEED + number)
    lines = [b"GET /r%d?%s HTTP/1.1" % (number, source.choice([b"", b"a=1&token=x", b"%ff=%", b"&&=", b"a=b=c"]))]
    names = [source.choice(NAMES) for _ in range(source.randrange(1, 8))]
    if b"Host" not in names:
        lines.append(b"Host: localhost")
    lines += [name + b": " + value(source) for name in names]
    return b"\r\n".join([*lines, b"Connection: close", b"", b""])


def answer(port: int, data: bytes) -> tuple[bytes, bytes]:
    """Status line and body of the answer; what a server closes without an answer is empty."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(data)
        received = b""
        try:
            while more := connection.recv(65536):
                received += more
        except ConnectionError:
            pass
    head, _, body = received.partition(b"\r\n\r\n")
    return head.partition(b"\r\n")[0], body


@pytest.mark.parametrize("server", list(SERVERS))
def test_headers(run: Runner, server: str) -> None:
    """1,000 seeded sets of headers get the answers of the plain server, and our lines are not one per request."""
    program, words = SERVERS[server]
    run.program(program, "web.py")
    answers: list[list[tuple[bytes, bytes]]] = []
    for launcher in ((), (TRACERUN,)):
        port = free_port()
        command = words.replace("PORT", str(port)).split()
        with run.serving(*launcher, *command, port=port):
            answers.append([answer(port, request(number)) for number in range(REQUESTS)])
        log = (run.folder / f"server-{port}.log").read_text(encoding="utf-8", errors="replace")
    plain, traced = answers
    different = [(request(n), a, b) for n, (a, b) in enumerate(zip(plain, traced, strict=True)) if a != b]
    assert different == []
    served = sum(status.startswith(b"HTTP/1.1 200") for status, _ in plain)
    assert served > REQUESTS / 4, "the requests are all refused: nothing was tested"
    ours = [line for line in log.splitlines() if line.startswith("tracerun:") or "Baggage" in line or "w3c" in line]
    assert len(ours) == 1, ours[:5]
    spans = run.spans()
    assert len(spans.all(kind=2)) >= served


def test_grpc_metadata(run: Runner, web: Any) -> None:
    """The same for a gRPC server's metadata: results as plain."""
    program = run.program(
        "import random, sys, grpc\n"
        "from concurrent import futures\n"
        "def serve(request, context):\n"
        "    return repr(sorted(k for k, v in context.invocation_metadata() if k != 'user-agent')).encode()\n"
        "handler = grpc.method_handlers_generic_handler('x.Y', {'Z': grpc.unary_unary_rpc_method_handler(serve)})\n"
        "server = grpc.server(futures.ThreadPoolExecutor(2), handlers=(handler,))\n"
        "port = server.add_insecure_port('127.0.0.1:0')\n"
        "server.start()\n"
        "source = random.Random(7)\n"
        "with grpc.insecure_channel(f'127.0.0.1:{port}') as channel:\n"
        "    call = channel.unary_unary('/x.Y/Z')\n"
        "    for n in range(200):\n"
        "        text = ''.join(source.choice('0123456789abcdef-_=;, %') for _ in range(source.randrange(1, 80)))\n"
        "        name = source.choice(['tracestate', 'baggage', 'b3', 'x-request'])\n"
        "        answer = eval(call(b'', metadata=((name, text.strip() or 'x'), ('raw-bin', b'\\xff\\x00'))))\n"
        "        print(n, [key for key in answer if key != 'traceparent'])\n"
        "server.stop(None).wait()\n"
    )
    import sys

    plain, traced = run.plain(sys.executable, program), run.traced(sys.executable, program)
    assert (traced.status, traced.out, traced.theirs) == (plain.status, plain.out, plain.err)
    assert len(traced.spans) == 400
