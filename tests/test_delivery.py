"""Every ended span is delivered, or counted with its reason, whatever the receiver does; and the end is bounded."""

from __future__ import annotations

import contextlib
import gzip
import http.server
import os
import re
import signal
import socket
import ssl
import subprocess
import threading
import time
from email.utils import formatdate
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTracePartialSuccess as PartialSuccess

from tests.conftest import PYTHON, TRACERUN, Runner
from tests.receiver import Request, Response, Spans, records
from tracerun.export import otlp_http, protobuf
from tracerun.export.lane import Lane, Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.slow

# Makes spans of its own: number, pause between two, bytes of text in each.
MAKE = """
import sys, time
from opentelemetry import trace
tracer = trace.get_tracer("shop")
count, pause, size = int(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else 0
for number in range(count):
    tracer.start_span("work", attributes={"number": number, "text": "x" * size}).end()
    if pause:
        time.sleep(pause)
"""
REPORT = re.compile(r"of (\d+) spans for (\S+): (\d+) delivered((?:, [^,]+)*)$")


class Faulty:
    """A receiver of OTLP/HTTP with a fault: a function that is given each request, and may answer it."""

    def __init__(self, fault: Callable[[Any, bytes], bool], context: ssl.SSLContext | None = None) -> None:
        self.taken: list[Any] = []
        self.bodies: list[int] = []
        self.connections = 0
        faulty = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self) -> None:
                faulty.connections += 1
                super().setup()

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                faulty.bodies.append(len(body))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                if not fault(self, body):
                    faulty.take(body)
                    self.answer(200, Response().SerializeToString())

            def answer(self, status: int, body: bytes = b"", **headers: str) -> None:
                self.send_response(status)
                for name, value in {"Content-Length": str(len(body)), **headers}.items():
                    self.send_header(name.replace("_", "-"), value)
                self.end_headers()
                with contextlib.suppress(OSError):
                    self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Says nothing."""

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_: object) -> None:
                """A client that went away is what is tested."""

        self.server = Server(("127.0.0.1", 0), Handler)
        if context is not None:
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.endpoint = f"{'https' if context else 'http'}://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def take(self, body: bytes) -> None:
        self.taken.append(body)

    @property
    def spans(self) -> Spans:
        return Spans(span for body in list(self.taken) for span in records(Request.FromString(body)))

    @property
    def numbers(self) -> list[int]:
        return [span.attributes["number"] for span in self.spans]

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def faulty() -> Iterator[Callable[..., Faulty]]:
    made: list[Faulty] = []

    def make(fault: Callable[[Any, bytes], bool] = lambda *_: False, context: ssl.SSLContext | None = None) -> Faulty:
        made.append(Faulty(fault, context))
        return made[-1]

    yield make
    for receiver in made:
        receiver.close()


def export(run: Runner, endpoint: str, *arguments: str, program: str = MAKE, **more: Any) -> Any:
    """A run of a program that makes spans, with a report at its end."""
    env = {
        "TRACERUN_EXPORTER": "otlp",
        "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
        "TRACERUN_REPORT": "true",
        **more.pop("env", {}),
    }
    return run.traced(PYTHON, run.program(program), *arguments, env=env, **more)


def counted(done: Any) -> tuple[int, int, dict[str, int]]:
    """Of the report: ended, delivered, and the rest by reason."""
    (line,) = [match for line in done.ours if (match := REPORT.match(line))]
    rest = {}
    for part in line[4].split(", ")[1:]:
        number, _, reason = part.partition(" ")
        rest[reason] = int(number)
    return int(line[1]), int(line[3]), rest


def test_a_healthy_receiver(run: Runner, faulty: Any) -> None:
    """All arrive, over one connection, and the report says so."""
    receiver = faulty()
    done = export(run, receiver.endpoint, "3000", "0")
    assert counted(done) == (3000, 3000, {})
    assert receiver.numbers == list(range(3000))
    assert receiver.connections == 1
    assert done.slugs == ["report"]


def hang(handler: Any, _: bytes) -> bool:
    time.sleep(20)
    return bool(handler)


def reset(handler: Any, _: bytes) -> bool:
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    handler.connection.close()
    handler.close_connection = True
    return True


def broken_answer(handler: Any, _: bytes) -> bool:
    handler.send_response(200)
    handler.send_header("Content-Length", "100")
    handler.end_headers()
    handler.wfile.write(b"half")
    handler.close_connection = True
    return True


def status(number: int, **headers: str) -> Callable[[Any, bytes], bool]:
    def fault(handler: Any, _: bytes) -> bool:
        handler.answer(number, b"no", **headers)
        return True

    return fault


# What the receiver does with everything, and what is counted of 3 spans.
FATES: dict[str, tuple[Callable[[Any, bytes], bool], dict[str, int]]] = {
    "redirects": (status(307, Location="/elsewhere"), {"lost (rejected with HTTP status 307)": 3}),
    "refuses": (status(400), {"lost (rejected with HTTP status 400)": 3}),
    "wants credentials": (status(401), {"lost (rejected with HTTP status 401)": 3}),
    "has no such path": (status(404), {"lost (rejected with HTTP status 404)": 3}),
    "is unavailable": (status(503), {"lost (exit budget)": 3}),
    "wants patience": (status(429, Retry_After="600"), {"lost (exit budget)": 3}),
    "hangs": (hang, {"sent without an answer": 3}),
    "resets": (reset, {"sent without an answer": 3}),
    "finds all too large": (status(413), {"lost (too large for the receiver)": 3}),
    "takes nothing but gzip, and not even that": (status(415), {"lost (rejected with HTTP status 415)": 3}),
}


@pytest.mark.parametrize(("fault", "expected"), FATES.values(), ids=FATES.keys())
def test_what_is_not_delivered_is_counted(run: Runner, faulty: Any, fault: Any, expected: dict[str, int]) -> None:
    """Each fault has its reason, the program its own end, and stderr two messages at most."""
    receiver = faulty(fault)
    done = export(run, receiver.endpoint, "3", "0")
    assert (done.status, done.out, done.theirs) == (0, "", "")
    assert counted(done) == (3, 0, expected), done
    assert len(done.slugs) <= 2


def test_an_answer_that_breaks_off(run: Runner, faulty: Any) -> None:
    """Its status has come: the spans have arrived, and are not sent again."""
    assert counted(export(run, faulty(broken_answer).endpoint, "3", "0")) == (3, 3, {})


def test_a_receiver_that_takes_only_some(run: Runner, faulty: Any) -> None:
    """The answer's partial success is read."""

    def some(handler: Any, body: bytes) -> bool:
        answer = Response(partial_success=PartialSuccess(rejected_spans=2, error_message="bad shape"))
        handler.answer(200, answer.SerializeToString() if body else b"")
        return True

    done = export(run, faulty(some).endpoint, "3", "0")
    assert counted(done) == (3, 1, {"lost (rejected by the receiver)": 2})
    assert "bad shape" in done.ours[0]


def test_answers_of_every_shape() -> None:
    """Nothing that a receiver may answer is an error here; JSON is read as protobuf is."""
    read = otlp_http._partial_success
    assert read(b"", is_json=False) == (0, "")
    assert read(b'{"partialSuccess": {"rejectedSpans": "5", "errorMessage": "no"}}', is_json=True) == (5, "no")
    assert read(Response(partial_success=PartialSuccess(rejected_spans=300)).SerializeToString(), is_json=False) == (
        300,
        "",
    )
    for junk in (b"\x0a", b"\x0a\xff", b"\xff" * 20, b"[]", b"null", b"{", b"\x08\x01", b"\x0a\x02\x12\x00"):
        for is_json in (True, False):
            assert read(junk, is_json=is_json) == (0, "")
    assert protobuf.fields_of(b"\x09" + b"\0" * 8 + b"\x15" + b"\0" * 4 + b"\x18\x07") == {3: 7}


def test_retry_after() -> None:
    """Seconds, a date, or nothing that could be understood."""
    assert otlp_http._seconds("7") == 7
    assert otlp_http._seconds("100000") == otlp_http.LONGEST_WAIT
    assert 20 < otlp_http._seconds(formatdate(time.time() + 60, usegmt=True)) <= 60
    assert otlp_http._seconds(formatdate(0, usegmt=True)) == 0
    assert [otlp_http._seconds(value) for value in (None, "", "soon", "-1", "٣")] == [0] * 5


def test_too_large_batches_are_split(run: Runner, faulty: Any) -> None:
    """A receiver with a limit gets halves until they fit; what is too large alone is lost and counted."""

    def limited(handler: Any, body: bytes) -> bool:
        if len(body) > 20_000:
            handler.answer(413)
            return True
        return False

    receiver = faulty(limited)
    program = MAKE + "tracer.start_span('giant', attributes={'text': 'x' * 30_000}).end()\n"
    done = export(run, receiver.endpoint, "1000", "0", "100", program=program)
    assert counted(done) == (1001, 1000, {"lost (too large for the receiver)": 1})
    assert receiver.numbers == list(range(1000))


def test_a_body_that_no_receiver_would_take_is_split(run: Runner, faulty: Any) -> None:
    """200 spans of 1 MB each arrive, in requests of at most 16 MiB."""
    receiver = faulty()
    done = export(run, receiver.endpoint, "200", "0", "1000000", env={"TRACERUN_EXIT_TIMEOUT": "30",
                  "TRACERUN_MAX_QUEUE_BYTES": "300000000"})  # fmt: skip
    assert counted(done) == (200, 200, {})
    assert sorted(receiver.numbers) == list(range(200))
    assert max(receiver.bodies) <= otlp_http.LARGEST_BODY


def test_only_gzip_is_taken(run: Runner, faulty: Any) -> None:
    """A receiver that answers 415 gets the same again with gzip, and all that follows too."""

    def picky(handler: Any, _: bytes) -> bool:
        if handler.headers.get("Content-Encoding") != "gzip":
            handler.answer(415)
            return True
        return False

    receiver = faulty(picky)
    assert counted(export(run, receiver.endpoint, "2000", "0")) == (2000, 2000, {})
    assert receiver.numbers == list(range(2000))


def test_an_answer_without_end_is_not_read(run: Runner, faulty: Any) -> None:
    """Of a huge answer 64 KiB are read at most, and memory stays small."""

    def endless(handler: Any, body: bytes) -> bool:
        receiver.take(body)
        handler.send_response(200)
        handler.send_header("Content-Length", str(1 << 30))
        handler.end_headers()
        with contextlib.suppress(OSError):
            for _ in range(1 << 14):
                handler.wfile.write(b"x" * (1 << 16))
        return True

    receiver = faulty(endless)
    # Not getrusage's, which goes back to before the exec.
    peak = (
        "\ntime.sleep(2)\nprint(*[line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM')])\n"
    )
    done = export(run, receiver.endpoint, "10", "0", program=MAKE + peak)
    assert len(receiver.spans) == 10
    assert int(done.out) < 150_000


class Away:
    """Fails for a time, then takes everything."""

    def __init__(self, seconds: float, fault: Callable[[Any, bytes], bool]) -> None:
        self.until = 0.0
        self.seconds = seconds
        self.fault = fault

    def __call__(self, handler: Any, body: bytes) -> bool:
        self.until = self.until or time.monotonic() + self.seconds
        return time.monotonic() < self.until and self.fault(handler, body)


@pytest.mark.parametrize("fault", [status(503), status(429, Retry_After="2"), reset], ids=["503", "429", "reset"])
def test_an_outage(run: Runner, faulty: Any, fault: Any) -> None:
    """Of 1,500 spans in 30 s, of which the receiver is away for 25, none is lost, and they come in order."""
    receiver = faulty(Away(25, fault))
    done = export(run, receiver.endpoint, "1500", "0.02", env={"TRACERUN_EXIT_TIMEOUT": "40"}, timeout=120)
    assert counted(done) == (1500, 1500, {})
    assert receiver.numbers == list(range(1500))
    trouble = [line for line in done.ours if "cannot be sent" in line]
    assert len(trouble) == 1
    assert [line for line in done.ours if line.startswith("spans reach")] == [done.ours[1]]


def test_a_burst(run: Runner, faulty: Any) -> None:
    """100,000 spans as fast as Python makes them: all arrive, once."""
    receiver = faulty()
    done = export(run, receiver.endpoint, "100000", "0", env={"TRACERUN_EXIT_TIMEOUT": "60"}, timeout=240)
    ended, delivered, lost = counted(done)
    assert (ended, delivered, lost) == (100_000, 100_000, {})
    assert (
        sum(len(Request.FromString(body).resource_spans[0].scope_spans[0].spans) for body in receiver.taken) == 100_000
    )


def test_a_burst_for_a_slow_receiver(run: Runner, faulty: Any) -> None:
    """With a receiver that takes 0.2 s for each request at least half arrive, and the rest is counted."""

    def slow(handler: Any, _: bytes) -> bool:
        time.sleep(0.2)
        return not handler

    done = export(run, faulty(slow).endpoint, "100000", "0", timeout=240)
    ended, delivered, lost = counted(done)
    assert ended == delivered + sum(lost.values()) == 100_000
    assert delivered >= 50_000, done


def test_bytes_that_wait_are_bounded(run: Runner, port: int) -> None:
    """Large spans fill the queue before their number does, and the loss is counted."""
    done = export(run, f"http://127.0.0.1:{port}", "2000", "0", "10000", env={"TRACERUN_MAX_QUEUE_BYTES": "1000000"})
    ended, delivered, lost = counted(done)
    assert (ended, delivered) == (2000, 0)
    assert lost["lost (queue full)"] > 1800


def test_queue_by_count(run: Runner, port: int) -> None:
    """The queue's standard bound, exact."""
    done = export(run, f"http://127.0.0.1:{port}", "500", "0", env={"OTEL_BSP_MAX_QUEUE_SIZE": "100",
                  "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "10", "OTEL_BSP_SCHEDULE_DELAY": "60000"})  # fmt: skip
    ended, delivered, lost = counted(done)
    assert (ended, delivered, sum(lost.values())) == (500, 0, 500)
    assert lost["lost (queue full)"] >= 350


def test_losses_are_said_without_a_report_and_by_a_signal(run: Runner, port: int) -> None:
    """Where anything is lost the line comes by itself, also where the process dies of a signal."""
    program = MAKE + "import os, signal; os.kill(os.getpid(), signal.SIGTERM); time.sleep(20)\n"
    env = {"TRACERUN_REPORT": "false"}
    done = export(run, f"http://127.0.0.1:{port}", "5", "0", program=program, env=env)
    assert (done.status, counted(done)) == (-signal.SIGTERM, (5, 0, {"lost (exit budget)": 5}))


@pytest.mark.parametrize(
    "fault", [None, hang, reset, status(503), broken_answer], ids=lambda f: getattr(f, "__name__", "")
)
def test_the_end_is_bounded(run: Runner, faulty: Any, port: int, fault: Any) -> None:
    """With 20,000 spans waiting and a receiver of any fault, the flush keeps to its budget and counts the rest."""
    endpoint = faulty(fault).endpoint if fault else f"http://127.0.0.1:{port}"
    program = MAKE + "sys.exit(3)\n"
    done = export(run, endpoint, "20000", "0", program=program, env={"OTEL_BSP_SCHEDULE_DELAY": "60000"})
    ended, delivered, lost = counted(done)
    assert (done.status, ended, delivered + sum(lost.values())) == (3, 20_000, 20_000)


def test_a_local_copy(run: Runner, faulty: Any) -> None:
    """``--also-file`` keeps the spans in files beside OTLP."""
    receiver = faulty()
    done = export(run, receiver.endpoint, "7", "0", env={"TRACERUN_ALSO_FILE": "true"})
    assert (len(receiver.spans), len(done.spans)) == (7, 7)
    assert len([line for line in done.ours if REPORT.match(line)]) == 2, done  # what became of each


def test_a_unix_socket(run: Runner, faulty: Any) -> None:
    """``unix:///PATH`` is a receiver on this machine."""
    receiver = faulty()
    path = run.folder / "otlp.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        receiver.server.socket.close()
        receiver.server.socket = listener.dup()
        receiver.server.get_request = lambda: (receiver.server.socket.accept()[0], ("127.0.0.1", 0))
        time.sleep(0.2)
        done = export(run, f"unix://{path}", "5", "0")
    assert counted(done) == (5, 5, {})
    assert f"unix://{path}" in done.err


class Proxy:
    """A forward proxy that remembers what it was asked for."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str | None]] = []
        proxy = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_CONNECT(self) -> None:
                proxy.asked.append((f"CONNECT {self.path}", self.headers.get("Proxy-Authorization")))
                host, _, port = self.path.rpartition(":")
                with socket.create_connection(("127.0.0.1", int(port))) as far:
                    assert host
                    self.send_response(200)
                    self.end_headers()
                    proxy.pump(self.connection, far)
                self.close_connection = True

            def do_POST(self) -> None:
                proxy.asked.append((f"POST {self.path}", self.headers.get("Proxy-Authorization")))
                self.rfile.read(int(self.headers["Content-Length"]))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Says nothing."""

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.address = f"127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def pump(self, near: socket.socket, far: socket.socket) -> None:
        def copy(source: socket.socket, target: socket.socket) -> None:
            with contextlib.suppress(OSError):
                while data := source.recv(65536):
                    target.sendall(data)
                target.shutdown(socket.SHUT_WR)

        thread = threading.Thread(target=copy, args=(far, near), daemon=True)
        thread.start()
        copy(near, far)
        thread.join(5)

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    with contextlib.closing(Proxy()) as made:
        yield made


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    words = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=collector.test"
    more = ["-addext", "subjectAltName=DNS:collector.test,IP:127.0.0.1", "-keyout", str(path), "-out", f"{path}.crt"]
    subprocess.run([*words.split(), *more], check=True, capture_output=True)
    path.write_bytes(path.read_bytes() + Path(f"{path}.crt").read_bytes())
    return path


def test_through_a_proxy(run: Runner, proxy: Proxy) -> None:
    """Plain HTTP by the proxy: it is asked for the whole URL, with its own credentials, which nobody sees."""
    env = {"http_proxy": f"http://user:p%40ss@{proxy.address}", "NO_PROXY": "", "no_proxy": ""}
    done = export(run, "http://collector.test:4318", "2", "0", env=env)
    assert f"(by the proxy {proxy.address}): 2 delivered" in done.err
    assert proxy.asked[0] == ("POST http://collector.test:4318/v1/traces", "Basic dXNlcjpwQHNz")
    assert "p%40ss" not in done.err + done.out


def test_through_a_tunnel(run: Runner, proxy: Proxy, faulty: Any, certificate: Path) -> None:
    """TLS by the proxy's tunnel, with the certificate of the receiver."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    receiver = faulty(context=context)
    env = {
        "HTTPS_PROXY": proxy.address,
        "NO_PROXY": "other.test,.example.org",
        "OTEL_EXPORTER_OTLP_CERTIFICATE": str(certificate),
    }
    endpoint = f"https://collector.test:{receiver.server.server_port}"
    export(run, endpoint, "4", "0", env=env)
    assert proxy.asked[0] == (f"CONNECT collector.test:{receiver.server.server_port}", None)
    assert len(receiver.spans) == 4
    proxy.asked.clear()
    export(run, endpoint, "1", "0", env={**env, "NO_PROXY": ".test"})
    assert proxy.asked == []


def test_tls_by_both_sides(run: Runner, faulty: Any, certificate: Path) -> None:
    """A receiver that asks for the client's certificate gets it; without it, nothing goes through."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(certificate)
    receiver = faulty(context=context)
    ours = {
        "OTEL_EXPORTER_OTLP_CERTIFICATE": str(certificate),
        "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE": str(certificate),
        "OTEL_EXPORTER_OTLP_CLIENT_KEY": str(certificate),
    }
    assert counted(export(run, receiver.endpoint, "3", "0", env=ours)) == (3, 3, {})
    done = export(run, receiver.endpoint, "3", "0", env={"OTEL_EXPORTER_OTLP_CERTIFICATE": str(certificate)})
    assert counted(done)[1] == 0
    assert "cannot be sent" in done.err


ADVICE = {
    "plain to a TLS port": ("http", "tls", ""),
    "TLS to a plain port": ("https", "plain", "the receiver speaks no TLS"),
    "unknown authority": ("https", "tls", "OTEL_EXPORTER_OTLP_CERTIFICATE"),
}


@pytest.mark.parametrize("fault", ADVICE.values(), ids=ADVICE.keys())
def test_advice(run: Runner, faulty: Any, certificate: Path, fault: tuple[str, str, str]) -> None:
    """The line about a failure names the likely fix."""
    scheme, server, said = fault
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    receiver = faulty(context=context if server == "tls" else None)
    done = export(run, f"{scheme}://127.0.0.1:{receiver.server.server_port}", "1", "0")
    assert counted(done)[1] == 0
    assert said in done.ours[0]


def test_grpc_port_given_http(run: Runner, grpc_receiver: Any) -> None:
    """http/protobuf to a port that takes gRPC is recognised."""
    done = export(run, grpc_receiver.endpoint, "1", "0", env={"OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"})
    assert "OTEL_EXPORTER_OTLP_PROTOCOL=grpc" in done.ours[0], done


def test_sigterm_while_a_module_is_imported(run: Runner, faulty: Any) -> None:
    """The signal lands in an import; all five spans arrive."""
    run.program("import os, signal, time\nos.kill(os.getpid(), signal.SIGTERM)\ntime.sleep(20)\n", "late.py")
    receiver = faulty()
    done = export(run, receiver.endpoint, "5", "0", program=MAKE + "import late\n")
    assert (done.status, receiver.numbers) == (-signal.SIGTERM, list(range(5)))


def test_complete_lines_survive_sigkill(run: Runner) -> None:
    """What was written is readable, and what is said to be written is."""
    program = MAKE + "time.sleep(1)\nimport os, signal; os.kill(os.getpid(), signal.SIGKILL)\n"
    done = run.traced(PYTHON, run.program(program), "300", "0")
    assert (done.status, len(done.spans)) == (-signal.SIGKILL, 300)


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_no_secret_anywhere(run: Runner, receiver: Any, grpc_receiver: Any, protocol: str) -> None:
    """Header values and endpoint passwords appear on no stream and in no command line, sampled while it runs."""
    endpoint = (receiver if protocol.startswith("http") else grpc_receiver).endpoint
    run.program("SECRETFILE", "token")
    flags = ["-H", "x-one=@token", "-H", "x-two=env:MY_TOKEN", "-e", endpoint.replace("//", "//user:SECRETPW@")]
    words = [TRACERUN, *flags, "--protocol", protocol, "--exporter", "otlp", "--report"]
    env = {**run.env, "MY_TOKEN": "SECRETENV"}
    command = [*words, PYTHON, run.program(MAKE + "import os; os.system('sleep 0.3')"), "20", "0.01"]
    seen = set()
    with subprocess.Popen(command, cwd=run.folder, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        while process.poll() is None:
            seen |= command_lines(process.pid)
            time.sleep(0.005)
        out, err = process.communicate()
    given = " ".join(command)
    for secret in (b"SECRETFILE", b"SECRETENV", b"SECRETPW"):
        assert secret not in out + err
        assert not [line for line in seen if secret in line and secret.decode() not in given]
    sent = receiver.headers[0] if protocol.startswith("http") else grpc_receiver.metadata[0]
    assert (sent["x-one"], sent["x-two"]) == ("SECRETFILE", "SECRETENV")


def command_lines(pid: int) -> set[bytes]:
    """The command lines of a process and its children."""
    lines = set()
    for entry in os.listdir("/proc"):
        with contextlib.suppress(OSError, IndexError):
            if entry.isdigit():
                stat = Path(f"/proc/{entry}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
                if int(entry) == pid or int(stat[1]) == pid:
                    lines.add(Path(f"/proc/{entry}/cmdline").read_bytes())
    return lines


class Recorded:
    """A destination by a list of outcomes."""

    where = "test"

    def __init__(self, *outcomes: Outcome) -> None:
        self.outcomes = list(outcomes)
        self.sent: list[list[Any]] = []

    def send(self, spans: Any, _: float | None) -> Outcome:
        self.sent.append(list(spans))
        return self.outcomes.pop(0) if self.outcomes else Outcome(len(spans))

    def close(self) -> None:
        """Nothing is open."""

    def forget(self) -> None:
        """Nothing is shared."""


def lane(*outcomes: Outcome, batch_size: int | None = None, capacity: int = 100_000) -> tuple[Lane, Recorded]:
    recorded = Recorded(*outcomes)
    return Lane(recorded, capacity=capacity, batch_size=batch_size, most_bytes=1 << 30), recorded


def test_long_queues_go_in_larger_batches() -> None:
    """A request of 512 as a rule, of up to 8,192 where many wait; a size that the user has set is kept."""
    for batch_size, expected in ((None, [8192, 1296, 512]), (512, [512] * 19 + [272])):
        made, recorded = lane(batch_size=batch_size)
        for number in range(10_000):
            made.add(number, 1)  # type: ignore[arg-type]
        while made.step() is not None:
            pass
        sizes = [len(batch) for batch in recorded.sent]
        assert sum(sizes) == made.delivered == made.settled == 10_000
        assert (max(sizes), sizes[0]) == (expected[0], expected[0])


def test_every_span_is_settled_once() -> None:
    """Delivered, dropped and unknown add up, whatever the order of outcomes."""
    made, recorded = lane(
        Outcome(too_large=True), Outcome(retry_after=0.0, why="away"), Outcome(3, dropped={"refused": 2}),
        Outcome(retry_after=0.0, unanswered=True), batch_size=10, capacity=20,
    )  # fmt: skip
    for number in range(25):
        made.add(number, 1)  # type: ignore[arg-type]
    deadline = time.monotonic() + 60
    for _ in range(4):
        made.step(deadline)
    made.give_up("exit budget")
    assert recorded.sent[1] == recorded.sent[2] == list(range(5))  # in order, after the halving and the retry
    assert (made.delivered, made.dropped, made.unknown) == (3, {"queue full": 5, "refused": 2, "exit budget": 10}, 5)
    assert made.settled == 25
