"""What all tests share: an environment of their own, runs plain and traced, receivers, span files."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import sysconfig
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.receiver import GrpcReceiver, Receiver, Spans
from tracerun.calltree import spans_of

# Programs inherit what is ignored: under nohup, or in the background of a shell, it would not be as users have it.
for _number, _usual in ((signal.SIGHUP, signal.SIG_DFL), (signal.SIGTERM, signal.SIG_DFL), (signal.SIGINT, None)):
    if signal.getsignal(_number) == signal.SIG_IGN:
        signal.signal(_number, signal.default_int_handler if _usual is None else _usual)

ROOT = Path(__file__).resolve().parent.parent
SCRIPTS = Path(sysconfig.get_path("scripts"))
TRACERUN = str(SCRIPTS / "tracerun")
PYTHON = sys.executable
LONGEST = 60
# Our lines on stderr. The note about the files comes from another thread: the program may have a line open then.
OURS = re.compile(r"^tracerun:.*\n?|tracerun: spans are kept in .*\n", re.MULTILINE)
SLUG = re.compile(r" \[([a-z-]+)\]$")


# For a program of one line, with sys imported: whether it is traced.
TRACED = "getattr(getattr(sys.modules.get('tracerun.agent.boot'), 'Process', None), 'traced', False)"


class Done:
    """A program that has ended."""

    def __init__(self, process: subprocess.CompletedProcess[bytes], spans: Spans) -> None:
        self.status = process.returncode
        self.out = process.stdout.decode("utf-8", "surrogateescape")
        self.err = process.stderr.decode("utf-8", "surrogateescape")
        self.spans = spans

    @property
    def ours(self) -> list[str]:
        """Our lines on stderr, without the prefix and the slug."""
        return [SLUG.sub("", line.removeprefix("tracerun: ").rstrip("\n")) for line in OURS.findall(self.err)]

    @property
    def slugs(self) -> list[str]:
        """What names our lines in docs/messages.md; lines that belong to the one before have none."""
        return [match[1] for line in OURS.findall(self.err) if (match := SLUG.search(line))]

    @property
    def theirs(self) -> str:
        """The program's own stderr."""
        return OURS.sub("", self.err)

    def __repr__(self) -> str:
        return f"<status {self.status}\n--- stdout\n{self.out}\n--- stderr\n{self.err}>"


class Runner:
    """Runs commands in an environment that holds nothing of the developer's own settings."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.state = folder / "state"
        keep = {k: v for k, v in os.environ.items() if not k.startswith(("OTEL_", "TRACERUN_", "PYTHON"))}
        self.env = {
            **keep,
            "PATH": f"{SCRIPTS}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
            "TRACERUN_DIR": str(self.state),
            # Never a collector that happens to run on this machine.
            "TRACERUN_EXPORTER": "file",
            "TRACERUN_RAISE_ERRORS": "true",
            "NO_PROXY": "127.0.0.1,localhost",
            # gRPC's core logs a connection that ends under it, as its timing has it, plain and traced alike.
            "GRPC_VERBOSITY": "NONE",
        }

    def command(self, *words: str, env: dict[str, str | None] | None = None, **options: Any) -> Done:
        """Runs a command to its end."""
        options.setdefault("cwd", self.folder)
        options.setdefault("timeout", LONGEST)
        if "input" not in options:
            options.setdefault("stdin", subprocess.DEVNULL)
        process = subprocess.run(words, env=self._env(env), capture_output=True, check=False, **options)
        return Done(process, self.spans())

    def _env(self, env: dict[str, str | None] | None) -> dict[str, str]:
        merged = {**self.env, **(env or {})}
        return {key: value for key, value in merged.items() if value is not None}

    def plain(self, *words: str, **options: Any) -> Done:
        """A command as it is."""
        return self.command(*words, **options)

    def traced(self, *words: str, flags: tuple[str, ...] = (), **options: Any) -> Done:
        """The command under tracerun."""
        return self.command(TRACERUN, *flags, *words, **options)

    def program(self, text: str, name: str = "app.py") -> str:
        """Writes a program into the test's folder; gives its path."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return str(path)

    @contextlib.contextmanager
    def serving(
        self,
        *words: str,
        port: int,
        env: dict[str, str | None] | None = None,
        stop: int = signal.SIGTERM,
        **options: Any,
    ) -> Any:
        """A server while a block runs; stopped by a signal, and killed if that does not end it."""
        log = self.folder / f"server-{port}.log"
        options.setdefault("cwd", self.folder)
        with (
            open(log, "wb") as output,
            subprocess.Popen(
                words, env=self._env(env), stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, **options
            ) as process,
        ):
            try:
                wait_for_port(port, process, log)
                yield process
            finally:
                if process.poll() is None:
                    time.sleep(0.3)  # a request's span ends after the last byte of its answer
                    process.send_signal(stop)
                try:
                    process.wait(15)
                except subprocess.TimeoutExpired:
                    process.kill()
                    raise AssertionError(f"did not stop: {log.read_text(errors='replace')}") from None

    def spans(self) -> Spans:
        """All spans in this test's span files."""
        found = Spans()
        for path in sorted(self.state.glob("*.jsonl")):
            for line in path.read_bytes().splitlines():
                found.extend(spans_of(json.loads(line)) if line.startswith(b"{") else ())
        return found


def wait_for_port(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    """Returns once something listens; fails with the server's output when it ends or stays silent."""
    import socket

    until = time.monotonic() + 30
    while time.monotonic() < until:
        if process.poll() is not None:
            raise AssertionError(f"ended with {process.returncode}: {log.read_text(errors='replace')}")
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.02)
    raise AssertionError(f"nothing listens on {port}: {log.read_text(errors='replace')}")


def free_port() -> int:
    """A port that nothing listens on at the moment."""
    import socket

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@pytest.fixture
def run(tmp_path: Path) -> Runner:
    return Runner(tmp_path)


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def receiver() -> Any:
    made = Receiver()
    yield made
    made.close()


@pytest.fixture
def grpc_receiver() -> Any:
    made = GrpcReceiver()
    yield made
    made.close()


class WebServer:
    """A plain HTTP server whose answers are made of the path, with the headers that it saw."""

    def __init__(self) -> None:
        self.seen: list[dict[str, str]] = []
        web = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                web.seen.append({"path": self.path, **{k.lower(): v for k, v in self.headers.items()}})
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                first = self.path.strip("/").partition("/")[0].partition("?")[0]
                status = int(first) if first.isdigit() else 200
                body = b"body of " + self.path.encode()
                self.send_response(status)
                if 300 <= status < 400:
                    self.send_header("Location", "/200/after")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_POST = do_PUT = do_DELETE = do_GET

            def log_message(self, *args: Any) -> None:
                """Nothing: tests have their own output."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_port
        self.url = f"http://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self._thread.join()


@pytest.fixture
def web() -> Any:
    made = WebServer()
    yield made
    made.close()
