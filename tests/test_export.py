"""Where spans go: files, OTLP in its three forms, trees, the console, and what is said about it."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import shutil
import socket
import stat
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import grpc
import pytest
from google.protobuf import json_format
from opentelemetry.proto.trace.v1.trace_pb2 import TracesData

from tests.conftest import PYTHON, ROOT, TRACERUN, Runner
from tests.otlp_spans import ended_span
from tests.receiver import GrpcReceiver
from tracerun.export import destinations, endpoints
from tracerun.export.lane import Outcome
from tracerun.settings import Settings

CALLS = "import sys, requests\nfor _ in range(int(sys.argv[2])):\n    requests.get(sys.argv[1])\nprint('done')\n"

# Three spans of some 3 kB.
LARGE = (
    "from opentelemetry import trace\n"
    "for _ in range(3): trace.get_tracer('shop').start_span('work', attributes={'text': 'x' * 2500}).end()\n"
    "print('done')\n"
)


def on_terminal(run: Runner, *words: str, env: dict[str, str] | None = None) -> str:
    """Runs a command with a terminal for stderr; gives what stood on it."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        words, env={**run.env, **(env or {})}, cwd=run.folder, stdout=subprocess.DEVNULL, stderr=theirs
    )
    os.close(theirs)
    shown = b""
    with os.fdopen(ours, "rb", buffering=0) as terminal:
        while True:
            try:
                data = terminal.read(4096)
            except OSError:  # EIO: the other side is closed
                break
            if not data:
                break
            shown += data
    process.wait()
    return shown.decode().replace("\r\n", "\n")


class TestFiles:
    def test_private_and_in_the_file_format(self, run: Runner, web: Any) -> None:
        """Folder 0700, files 0600, each line a TracesData message of the OTLP file format."""
        run.traced(PYTHON, run.program(CALLS), web.url, "3")
        (path,) = run.state.glob("*.jsonl")
        assert stat.S_IMODE(run.state.stat().st_mode) == 0o700
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        for line in path.read_text(encoding="ascii").splitlines():
            json_format.ParseDict(_base64_ids(json.loads(line)), TracesData())

    def test_unwritable_folder(self, run: Runner, web: Any) -> None:
        """Where files cannot be written one line says so, and the program runs as ever."""
        (run.folder / "file").write_text("in the way", encoding="utf-8")
        done = run.traced(PYTHON, run.program(CALLS), web.url, "1", env={"TRACERUN_DIR": str(run.folder / "file")})
        assert (done.status, done.out, done.theirs) == (0, "done\n", "")
        assert len(done.ours) == 2, done
        assert done.slugs == ["no-folder", "spans-lost"]
        assert done.ours[1].endswith("file: 0 delivered, 1 lost (span file not writable)")

    def test_oldest_files_go_first(self, run: Runner, web: Any) -> None:
        """The folder never holds more than its cap: the oldest files are dropped."""
        run.state.mkdir()
        for number in range(3):
            old = run.state / f"old-{number}.jsonl"
            with old.open("wb") as file:
                file.truncate(31 * 1024 * 1024)
            os.utime(old, (number + 1, number + 1))
        done = run.command(TRACERUN, PYTHON, run.program(CALLS), web.url, "1")
        assert done.ours == [f"the oldest span files in {run.state} are dropped: together they may take 64 MB"]
        names = sorted(path.name for path in run.state.glob("*.jsonl"))
        assert "old-0.jsonl" not in names
        assert "old-2.jsonl" in names
        assert len(names) == 2, names

    def test_a_process_that_execs_itself(self, run: Runner, web: Any) -> None:
        """Each of its images, all of one id and within one second, has a file of its own."""
        program = run.program(
            "import os, sys, requests\nrequests.get(sys.argv[1])\nleft = int(sys.argv[2])\n"
            "if left:\n    os.execv(sys.executable, [sys.executable, sys.argv[0], sys.argv[1], str(left - 1)])\n"
        )
        done = run.traced(PYTHON, program, web.url, "3")
        assert (done.status, done.err, len(done.spans)) == (0, "", 4)
        assert len(list(run.state.glob("*.jsonl"))) == 4

    def test_a_full_disk(self, run: Runner) -> None:
        """Where nothing can be written no file is left behind, however often it is tried."""
        program = run.program(
            "import resource, signal\nfrom opentelemetry import trace\n"
            "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\nresource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))\n"
            "for _ in range(3):\n"
            "    trace.get_tracer('shop').start_span('work').end()\n"
            "    trace.get_tracer_provider().force_flush()\n"
        )
        done = run.traced(PYTHON, program)
        assert (done.status, len(done.spans)) == (0, 0)
        assert done.slugs[-1] == "spans-lost"
        assert list(run.state.glob("*.jsonl")) == []

    def test_links_are_not_followed(self, run: Runner, web: Any) -> None:
        """What a link in the folder points to is neither written to nor removed nor counted."""
        outside = run.folder / "outside"
        outside.write_bytes(b"x" * 1024)
        run.state.mkdir()
        (run.state / "link.jsonl").symlink_to(outside)
        done = run.traced(PYTHON, run.program(CALLS), web.url, "1")
        assert (done.status, len(done.spans)) == (0, 1)
        assert outside.read_bytes() == b"x" * 1024
        assert (run.state / "link.jsonl").is_symlink()


def _base64_ids(request: dict[str, Any]) -> dict[str, Any]:
    """OTLP's JSON has ids in hex, protobuf's parser wants base64."""
    import base64

    for resource in request["resourceSpans"]:
        for scope in resource["scopeSpans"]:
            for span in scope["spans"]:
                for key in ("traceId", "spanId", "parentSpanId"):
                    if key in span:
                        span[key] = base64.b64encode(bytes.fromhex(span[key])).decode()
    return request


class TestLastLine:
    def test_how_much_and_how_to_see_it(self, run: Runner, web: Any) -> None:
        """On a terminal the last line of a run says how many traces and spans, and the command that shows them."""
        shown = on_terminal(run, TRACERUN, PYTHON, run.program(CALLS), web.url, "2")
        assert shown == (
            f"tracerun: 2 traces, 2 spans; to see the last one: TRACERUN_DIR={run.state} tracerun --show"
            " [traces-kept]\n"
        )

    def test_children_are_counted(self, run: Runner, web: Any) -> None:
        """Spans of child processes count in the one line that the target prints."""
        child = run.program(CALLS, "child.py")
        parent = run.program(f"import subprocess, sys\nsubprocess.run([sys.executable, {child!r}, sys.argv[1], '2'])\n")
        shown = on_terminal(run, TRACERUN, PYTHON, parent, web.url)
        assert shown.startswith("tracerun: 2 traces, 2 spans;"), shown
        assert shown.count("tracerun:") == 1

    @pytest.mark.parametrize(
        ("program", "why"),
        [
            ("print(1)", "no library that is traced was used (see tracerun --list-instrumentations)"),
            ("import httpx", "httpx was imported, but no call was made or served"),
        ],
    )
    def test_why_nothing_was_traced(self, run: Runner, program: str, why: str) -> None:
        """Where nothing was traced the line says why."""
        shown = on_terminal(run, TRACERUN, PYTHON, run.program(program))
        assert shown == f"tracerun: nothing was traced: {why} [nothing-traced]\n"

    def test_not_off_a_terminal(self, run: Runner, web: Any) -> None:
        """Nothing is said where nobody reads along."""
        assert run.traced(PYTHON, run.program(CALLS), web.url, "1").err == ""

    def test_a_server_says_where_its_files_are(self, run: Runner, port: int) -> None:
        """A server that keeps spans in files says where, and the cap, in one line."""
        import requests

        run.program("import flask\napp = flask.Flask('web')\n@app.get('/')\ndef root(): return 'x'\n", "web.py")
        with run.serving(TRACERUN, "flask", "--app", "web", "run", "--port", str(port), port=port):
            for _ in range(3):
                requests.get(f"http://127.0.0.1:{port}/", timeout=20)
        log = (run.folder / f"server-{port}.log").read_text(encoding="utf-8")
        lines = [line for line in log.splitlines() if line.startswith("tracerun:")]
        where = f"spans are kept in {run.state} (64 MB at most, the oldest are dropped first)"
        assert lines == [f"tracerun: {where}; to see them: tracerun --show [spans-kept]"]


class TestOtlp:
    @pytest.mark.parametrize("protocol", ["http/protobuf", "http/json"])
    @pytest.mark.parametrize("compression", ["none", "gzip"])
    def test_http(self, run: Runner, web: Any, receiver: Any, protocol: str, compression: str) -> None:
        """OTLP over HTTP in both encodings, plain and compressed, with the user's headers."""
        done = run.traced(
            PYTHON, run.program(CALLS), web.url, "5",
            flags=("-e", receiver.endpoint, "--exporter", "otlp", "--protocol", protocol, "-H", "x-key=a b,c%"),
            env={"OTEL_EXPORTER_OTLP_COMPRESSION": compression},
        )  # fmt: skip
        assert done.err == ""
        assert len(receiver.spans) == 5
        assert {span.service for span in receiver.spans} == {"app"}
        assert receiver.headers[0]["x-key"] == "a b,c%"
        assert receiver.headers[0].get("content-encoding", "none") == compression

    def test_grpc(self, run: Runner, web: Any, grpc_receiver: Any) -> None:
        """OTLP over gRPC, with the user's headers as metadata."""
        done = run.traced(
            PYTHON, run.program(CALLS), web.url, "5",
            flags=("-e", f"127.0.0.1:{grpc_receiver.port}", "--exporter", "otlp", "--protocol", "grpc", "-H", "x-key=v")
        )  # fmt: skip
        assert (done.status, done.err) == (0, "")
        assert len(grpc_receiver.spans) == 5
        assert grpc_receiver.metadata[0]["x-key"] == "v"

    @pytest.mark.parametrize("fault", ["away", "silent", "UNAVAILABLE", "UNAUTHENTICATED", "too small"])
    def test_grpc_with_a_fault(self, run: Runner, port: int, fault: str) -> None:
        """Over gRPC too, what does not arrive is counted, and the end is bounded."""
        with contextlib.ExitStack() as stack:
            expected = 0
            if fault == "silent":
                stack.enter_context(socket.create_server(("127.0.0.1", port)))
            elif fault != "away":
                receiver = GrpcReceiver(port, largest=5000 if fault == "too small" else 4 << 20)
                receiver.refuses = getattr(grpc.StatusCode, fault, None)
                stack.enter_context(contextlib.closing(receiver))
                expected = 3 if fault == "too small" else 0  # each alone is small enough
            budget = "30" if expected else "2"  # what can arrive has the time that a slow machine takes
            flags = ("-e", f"http://127.0.0.1:{port}", "--exporter", "otlp", "--protocol", "grpc", "--report")
            done = run.traced(PYTHON, run.program(LARGE), flags=(*flags, "--exit-timeout", budget))
        assert (done.status, done.out, done.theirs) == (0, "done\n", "")
        (line,) = [line for line in done.ours if line.startswith("of 3 spans for http://127.0.0.1")]
        assert f": {expected} delivered" in line
        assert ("rejected with gRPC status UNAUTHENTICATED" in line) is (fault == "UNAUTHENTICATED")

    def test_endpoint_of_traces_is_used_as_it_is(self, run: Runner, web: Any, receiver: Any) -> None:
        """The endpoint of one signal gets no path added; the common one does."""
        env: dict[str, str | None] = {
            "TRACERUN_EXPORTER": None,
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": f"{receiver.endpoint}/my/path",
            "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1",
        }
        run.traced(PYTHON, run.program(CALLS), web.url, "1", env=env)
        assert receiver.headers[0][":path"] == "/my/path"

    def test_receiver_away(self, run: Runner, web: Any, port: int) -> None:
        """A receiver that is away costs the program nothing but one line, and the loss is counted."""
        program = run.program(CALLS)
        done = run.traced(PYTHON, program, web.url, "3", flags=("-e", f"http://127.0.0.1:{port}", "--exporter", "otlp"))
        assert (done.status, done.out, done.theirs) == (0, "done\n", "")
        trouble, loss = done.ours
        url = f"http://127.0.0.1:{port}/v1/traces"
        assert trouble.startswith(
            f"spans cannot be sent to {url}: connection refused; trying again (is this it? nothing"
        )
        assert loss == f"of 3 spans for {url}: 0 delivered, 3 lost (exit budget)"

    def test_refused_by_the_receiver(self, run: Runner, web: Any, receiver: Any) -> None:
        """A status that is no success is a loss, said and counted; a redirect is none."""
        receiver.status = 307
        done = run.traced(
            PYTHON, run.program(CALLS), web.url, "3", flags=("-e", receiver.endpoint, "--exporter", "otlp")
        )
        assert done.ours[1].endswith("0 delivered, 3 lost (rejected with HTTP status 307)")

    def test_userinfo_is_not_shown(self, run: Runner, web: Any, port: int) -> None:
        """Credentials in an endpoint do not appear in the line about it."""
        endpoint = f"http://user:hush@127.0.0.1:{port}"
        done = run.traced(PYTHON, run.program(CALLS), web.url, "1", flags=("-e", endpoint, "--exporter", "otlp"))
        assert "hush" not in done.err
        assert len(done.ours) == 2


class TestAuto:
    def test_a_collector_on_this_machine_is_found(self, monkeypatch: pytest.MonkeyPatch, receiver: Any) -> None:
        """A receiver that answers OTLP on the standard port is taken."""
        monkeypatch.setattr(endpoints, "HTTP_PORT", receiver.server.server_port)
        assert endpoints.answering() == f"http://localhost:{receiver.server.server_port}"

    def test_another_listener_is_not_taken(self, monkeypatch: pytest.MonkeyPatch, web: Any) -> None:
        """Something else on that port is no collector, whatever it answers."""
        monkeypatch.setattr(endpoints, "HTTP_PORT", web.port)
        monkeypatch.setattr(endpoints, "GRPC_PORT", web.port)
        assert endpoints.answering() == ""

    def test_a_grpc_receiver_is_found(self, monkeypatch: pytest.MonkeyPatch, grpc_receiver: Any, port: int) -> None:
        """Where only the gRPC port answers, that is it."""
        monkeypatch.setattr(endpoints, "HTTP_PORT", port)
        monkeypatch.setattr(endpoints, "GRPC_PORT", grpc_receiver.port)
        assert endpoints.answering() == f"http://localhost:{grpc_receiver.port}"

    def test_end_to_end(self, run: Runner) -> None:
        """With nothing configured, spans go to the collector that listens on the standard port."""
        if shutil.which("unshare") is None or os.geteuid() != 0:
            pytest.skip("needs a network namespace of its own (unshare, root)")
        program = run.program(
            "import fcntl, socket, struct, subprocess\n"
            "with socket.socket() as s:\n"
            "    fcntl.ioctl(s, 0x8914, struct.pack('16sh', b'lo', 0x41))  # SIOCSIFFLAGS: up and running\n"
            "from tests.conftest import WebServer\n"
            "from tests.receiver import Receiver\n"
            "receiver, web = Receiver(4318), WebServer()\n"
            "call = 'import sys, requests; requests.get(sys.argv[1])'\n"
            f"subprocess.run([{TRACERUN!r}, {PYTHON!r}, '-c', call, web.url], check=True)\n"
            "print(len(receiver.spans))\n"
        )
        env = {"TRACERUN_EXPORTER": None, "PYTHONPATH": str(ROOT)}
        assert run.command("unshare", "--net", PYTHON, program, env=env).out == "1\n"


class TestNoise:
    def test_an_outage_of_ten_minutes(self, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
        """One line at the first failure, one more after five minutes and ten, one when it is over."""
        now = 0.0
        monkeypatch.setattr(destinations, "monotonic", lambda: now)
        destination = SimpleNamespace(where="http://collector:4318/v1/traces")
        lane: Any = SimpleNamespace(destination=destination)
        failure, said = Outcome(retry_after=0.0, why="connection refused"), []
        for second in range(601):
            now = float(second)
            destinations.tell(lane, failure)
            said += [second] if capfd.readouterr().err else []
        assert said == [0, 301]
        destinations.tell(lane, Outcome(3))
        assert capfd.readouterr().err == "tracerun: spans reach http://collector:4318/v1/traces again [sending-again]\n"
        destinations.tell(lane, Outcome(3))
        assert capfd.readouterr().err == ""

    def test_from_files_to_a_collector_and_back(
        self, monkeypatch: pytest.MonkeyPatch, receiver: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]
    ) -> None:
        """A collector that comes up later is taken; when it goes, files are, and one line says so."""
        monkeypatch.setattr(endpoints, "HTTP_PORT", 1)
        monkeypatch.setattr(endpoints, "GRPC_PORT", 1)
        monkeypatch.setattr(destinations, "ASK_AGAIN", 0.0)
        settings = Settings.from_env({"TRACERUN_DIR": str(tmp_path), "TRACERUN_ALSO_FILE": "true"})
        auto = destinations.Auto(settings, is_target=True)
        spans = [ended_span("one")]
        assert (auto.send(spans, None).delivered, auto.on_files) == (1, True)
        monkeypatch.setattr(endpoints, "HTTP_PORT", receiver.server.server_port)
        assert (auto.send(spans, None).delivered, auto.on_files, len(receiver.spans)) == (1, False, 1)
        assert len(list(tmp_path.iterdir())) == 2  # the copy is a file of its own
        receiver.status = 503
        monkeypatch.setattr(endpoints, "HTTP_PORT", 1)
        assert (auto.send(spans, None).delivered, auto.on_files) == (1, True)
        assert "has gone (HTTP status 503); spans go to files" in capfd.readouterr().err
        auto.close()


class TestOthers:
    def test_tree(self, run: Runner, web: Any) -> None:
        """The exporter ``tree`` draws each finished trace on stderr."""
        program = run.program(
            "import sys\nfrom opentelemetry import trace\nimport requests\n"
            "with trace.get_tracer('shop').start_as_current_span('work'):\n    requests.get(sys.argv[1])\n"
        )
        done = run.traced(PYTHON, program, web.url, flags=("--exporter", "tree"))
        assert done.theirs == ""
        assert done.ours[0].startswith("trace ")
        assert "work" in done.ours[1]
        assert "└─" in done.ours[2]
        assert "GET" in done.ours[2]

    def test_a_tree_of_a_program_that_calls_itself(self, run: Runner) -> None:
        """Both ends of its call are one tree, though the server's span has a remote parent."""
        program = run.program(
            "import threading, requests\nfrom http.server import BaseHTTPRequestHandler, HTTPServer\n"
            "class Hello(BaseHTTPRequestHandler):\n"
            "    def do_GET(self):\n        self.send_response(204)\n        self.end_headers()\n"
            "    def log_message(self, *_): pass\n"
            "server = HTTPServer(('127.0.0.1', 0), Hello)\n"
            "threading.Thread(target=server.serve_forever).start()\n"
            "requests.get(f'http://127.0.0.1:{server.server_port}/')\nserver.shutdown()\n"
        )
        done = run.traced(PYTHON, program, flags=("--exporter", "tree"), env={"OTEL_BSP_SCHEDULE_DELAY": "60000"})
        assert [line.partition(" ")[0] for line in done.ours].count("trace") == 1
        assert "missing" not in done.err, done
        assert len(done.ours) == 3

    def test_a_tree_whose_root_stays_open(self, run: Runner) -> None:
        """So many spans are held, and no more: the rest is drawn as far as it goes."""
        program = run.program(
            "from opentelemetry import trace\ntracer = trace.get_tracer('shop')\n"
            "with tracer.start_as_current_span('run'):\n"
            "    for number in range(6000):\n        tracer.start_span('step').end()\n"
        )
        done = run.traced(PYTHON, program, flags=("--exporter", "tree"), env={"OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "512"})
        assert sum(" step " in line for line in done.ours) == 6000
        assert [line.partition(" ")[0] for line in done.ours].count("trace") == 2

    def test_console_and_others(self, run: Runner, web: Any) -> None:
        """The exporter ``console`` is the SDK's own; several exporters each get every span."""
        done = run.traced(PYTHON, run.program(CALLS), web.url, "1", flags=("--exporter", "console,file"))
        assert '"name": "GET"' in done.out
        assert len(done.spans) == 1

    def test_none(self, run: Runner, web: Any) -> None:
        """The exporter ``none`` sends nothing anywhere, and says so once."""
        done = run.traced(PYTHON, run.program(CALLS), web.url, "1", flags=("--exporter", "none"))
        assert (done.out, len(done.spans)) == ("done\n", 0)
        assert done.ours == ["nothing is exported: the exporter is none (--exporter, OTEL_TRACES_EXPORTER)"]


@pytest.mark.parametrize(
    ("env", "expected"),
    [
        ({}, ("http/protobuf", "http://localhost:4318/v1/traces")),
        ({"ENDPOINT": "http://c:4318"}, ("http/protobuf", "http://c:4318/v1/traces")),
        ({"ENDPOINT": "http://c:4318/"}, ("http/protobuf", "http://c:4318/v1/traces")),
        ({"ENDPOINT": "http://c:4318/base"}, ("http/protobuf", "http://c:4318/base/v1/traces")),
        ({"ENDPOINT": "http://c:4317"}, ("grpc", "http://c:4317")),
        ({"ENDPOINT": "http://c:4317", "PROTOCOL": "http/protobuf"}, ("http/protobuf", "http://c:4317/v1/traces")),
        ({"ENDPOINT": "c:4317"}, ("grpc", "https://c:4317")),
        ({"ENDPOINT": "c:4317", "INSECURE": "true"}, ("grpc", "http://c:4317")),
        ({"ENDPOINT": "localhost:4318"}, ("http/protobuf", "http://localhost:4318/v1/traces")),
        ({"ENDPOINT": "[::1]:4318"}, ("http/protobuf", "http://[::1]:4318/v1/traces")),
        ({"TRACES_ENDPOINT": "https://c/x"}, ("http/protobuf", "https://c/x")),
        ({"PROTOCOL": "grpc"}, ("grpc", "http://localhost:4317")),
    ],
)
def test_endpoints(env: dict[str, str], expected: tuple[str, str]) -> None:
    """Protocol and URL follow from the settings as the OTLP exporter specification has it."""
    settings = Settings.from_env({f"OTEL_EXPORTER_OTLP_{key}": value for key, value in env.items()})
    assert settings.problems == []
    assert endpoints.traces(settings) == expected
