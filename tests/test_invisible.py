"""A traced program behaves exactly as without tracing: the programs of tests/programs, run plain and traced."""

from __future__ import annotations

import contextlib
import difflib
import os
import re
import shlex
import shutil
import signal
import socket
import ssl
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.request import urlopen

import pytest

from tests.conftest import ROOT, Done, Runner, WebServer, wait_for_port
from tests.environments import CURRENT, Environments, environments, pinned

if TYPE_CHECKING:
    from collections.abc import Iterator
    from http.server import ThreadingHTTPServer

__all__ = ["environments"]  # the fixture

SERVER, CLIENT = 2, 3
PROGRAMS = ROOT / "tests" / "programs"
# What differs between two plain runs too: addresses of objects, and durations as test runners print them.
MASKS = [r"0x[0-9a-f]{6,}", r"\bin \d+\.\d+s", r"object at \w+"]
# A frame of ours in a traceback, with its source line and the marks below.
OUR_FRAME = re.compile(r'^([ |+]*)File "[^"\n]*/tracerun/[^"\n]*", line .*\n(?:\1  .*\n)*', re.MULTILINE)


class Case:
    """One command of one program.

    Attributes:
        path: The program's file or folder.
        command: As it stands in the program's comments.
    """

    def __init__(self, path: Path, command: str, notes: dict[str, list[str]], *, fast: bool) -> None:
        self.path = path
        self.command, _, status = command.partition(" => ")
        self.status = int(status or 0)
        self.before = notes.get("before", [])
        self.masks = [*notes.get("mask", []), *MASKS]
        self.spans = int(notes["spans"][0]) if "spans" in notes else None
        # A server says where its spans are.
        self.says = ["spans are kept in", *notes.get("says", [])]
        self.fast = fast

    @property
    def name(self) -> str:
        """The program's name and what is special about the command."""
        special = self.command.replace(f"python {self.path.name}", "").replace("PROGRAM", self.path.name)
        return f"{self.path.stem}: {special}".strip(" :")

    def words(self, web: dict[str, str], *, traced: bool) -> list[str]:
        """The command's words, under tracerun or without it."""
        command = self.command if re.search(r"\bTRACERUN\b", self.command) else f"TRACERUN {self.command}"
        for variable, value in web.items():
            command = re.sub(rf"\${variable}\b", value, command)
        command = command.replace("PROGRAM", self.path.name)
        return shlex.split(re.sub(r"(?<![\w])TRACERUN ", "tracerun " if traced else "", command))


def cases() -> Iterator[Case]:
    """Every command of every program, in the order of their names."""
    for path in sorted(PROGRAMS.iterdir()):
        main = path / "__main__.py" if (path / "__main__.py").exists() else path
        if main.suffix != ".py":
            continue
        text = (main if main.exists() else path / "__init__.py").read_text(encoding="utf-8")
        if path.is_dir() and (path / "__init__.py").exists():
            text = (path / "__init__.py").read_text(encoding="utf-8") + text
        notes: dict[str, list[str]] = {}
        for name, value in re.findall(r"^# (\$|\w+)(?:$|:? (.*))", text, re.MULTILINE):
            notes.setdefault(name, []).append(value)
        for number, command in enumerate(notes.get("$", ["python PROGRAM"])):
            yield Case(path, command, notes, fast="fast" in notes and number == 0)


class Worlds:
    """A fresh folder with a copy of the program in it, under the same path for the plain and the traced run."""

    def __init__(self, run: Runner, web: dict[str, str]) -> None:
        self.run = run
        self.folder = run.folder / "work"
        self.web = web

    def done(self, case: Case, *, traced: bool) -> Done:
        """What a run of the program did."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir()
        if case.path.is_dir():
            shutil.copytree(case.path, self.folder / case.path.name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(case.path, self.folder)
        for command in case.before:
            words = shlex.split(command.replace("PROGRAM", case.path.name))
            subprocess.run(words, cwd=self.folder, env=self.run.env, check=True)
        env: dict[str, str | None] = {**self.web, "TRACERUN_RAISE_ERRORS": "false"}
        return self.run.command(*case.words(self.web, traced=traced), cwd=self.folder, env=env)


def outcome(done: Done, masks: list[str]) -> str:
    """All that is compared of a run, as one text."""
    text = OUR_FRAME.sub("", f"status {done.status}\n--- stdout\n{done.out}\n--- stderr\n{done.theirs}")
    for mask in masks:
        text = re.sub(mask, "…", text, flags=re.MULTILINE)
    return text


def difference(plain: str, traced: str) -> str:
    """The two runs as a diff; empty where they are the same."""
    before, after = (text.encode("utf-8", "backslashreplace").decode().splitlines() for text in (plain, traced))
    return "\n".join(difflib.unified_diff(before, after, "plain", "traced", lineterm="", n=2)) or (
        "" if plain == traced else "?"
    )


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate for loopback, its key in the same file."""
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    words = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost"
    alternative = "-addext subjectAltName=DNS:localhost,IP:127.0.0.1"
    subprocess.run(
        [*words.split(), *alternative.split(), "-keyout", path, "-out", f"{path}.crt"], check=True, capture_output=True
    )
    path.write_bytes(path.read_bytes() + Path(f"{path}.crt").read_bytes())
    return path


def secured(server: ThreadingHTTPServer, certificate: Path) -> None:
    """Puts TLS under a server that is running."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)


@pytest.fixture
def servers(web: WebServer, certificate: Path) -> Iterator[dict[str, str]]:
    """The URLs of an HTTP and an HTTPS server, and the certificate of the second, as a program's variables."""
    secure, silent = WebServer(), socket.create_server(("127.0.0.1", 0))
    secured(secure.server, certificate)
    with contextlib.closing(secure), silent:
        yield {
            "SILENT": f"http://127.0.0.1:{silent.getsockname()[1]}",
            "WEB": web.url,
            "WEB_TLS": secure.url.replace("http:", "https:"),
            "WEB_CA": str(certificate),
        }


@pytest.mark.parametrize(
    "case", [pytest.param(c, id=c.name, marks=() if c.fast else pytest.mark.slow) for c in cases()]
)
def test_same_as_plain(run: Runner, servers: dict[str, str], case: Case) -> None:
    """Output, errors and status of a program are those of its plain run, and its calls are traced."""
    worlds = Worlds(run, servers)
    plain = worlds.done(case, traced=False)
    traced = worlds.done(case, traced=True)
    assert plain.status == case.status, plain
    differs = difference(outcome(plain, case.masks), outcome(traced, case.masks))
    assert not differs, f"{case.command}\n{differs}\n{traced.ours}"
    unexpected = [line for line in traced.ours if not any(text in line for text in case.says)]
    assert not unexpected
    if case.spans is not None:
        assert len(traced.spans) == case.spans


# Modules of the standard library, of what we use and of ours, by whose names a program may have files.
SHADOWS = [
    *("queue.py", "token.py", "types.py", "random.py", "json.py", "logging.py", "uuid.py", "typing.py", "socket.py"),
    *("http/__init__.py", "ssl.py", "threading.py", "atexit.py", "platform.py", "zlib.py", "hashlib.py", "fcntl.py"),
    *("opentelemetry/__init__.py", "opentelemetry.py", "requests.py"),
    *("tracerun/__init__.py", "tracerun.py", "tracerun/agent/boot.py", "sitecustomize.py", "usercustomize.py"),
]
CALLER = """
import os, sys
try:
    import requests
    print(requests.get(os.environ["WEB"]).text)
except BaseException as error:
    print(type(error).__name__, error)
from_here = [n for n, m in sys.modules.items() if (getattr(m, "__file__", None) or "").startswith(os.getcwd())]
print(from_here, sys.path)
"""


@pytest.mark.slow
@pytest.mark.parametrize("name", SHADOWS)
def test_shadows_in_the_current_folder(run: Runner, web: WebServer, name: str) -> None:
    """A file with the name of a module changes nothing, in the current folder and beside the program."""
    run.program("print('a shadow of', __name__)", f"here/{name}")
    run.program(CALLER, "here/beside.py")
    run.program(CALLER, "elsewhere/program.py")
    cwd, env = run.folder / "here", {"WEB": web.url, "TRACERUN_RAISE_ERRORS": "false", "PYTHONDONTWRITEBYTECODE": "1"}
    commands = ["python ../elsewhere/program.py", "python beside.py", "python -m beside", "flask --version"]
    for words in (command.split() for command in commands):
        runs = run.plain(*words, cwd=cwd, env=env), run.traced(*words, cwd=cwd, env=env)
        plain, traced = (outcome(done, MASKS) for done in runs)
        assert not difference(plain, traced), f"{words}\n{difference(plain, traced)}\n{runs[1].ours}"
        if "elsewhere" in words[1]:
            assert (len(runs[1].spans), runs[1].ours) == (1, [])


@pytest.mark.parametrize("children", ["same", "all", "none"])
def test_pythonpath_in_the_program(run: Runner, children: str) -> None:
    """PYTHONPATH is one folder of ours and what it was; with ``--children none`` it is what it was, or unset."""
    show = "import os, sys; print(repr(os.environ.get('PYTHONPATH')), sys.path[1:])"
    for value in (None, "", "a", "a:", ":a", "a::b"):
        env = {"PYTHONPATH": value}
        plain = run.plain("python", "-c", show, env=env).out
        traced = run.traced("python", "-c", show, env=env, flags=("--children", children)).out
        if children == "none":
            assert traced.replace("None", "''") == plain.replace("None", "''")
        else:
            assert re.sub(r"'[^':]*/agent/path:?", "'", traced, count=1) == plain.replace("None", "''")


@pytest.mark.slow
@pytest.mark.parametrize("secure", [False, True], ids=["http", "https"])
@pytest.mark.parametrize("name", ["gevent_patched.py", "eventlet_patched.py"])
def test_export_beside_green_threads(
    run: Runner, servers: dict[str, str], receiver: Any, name: str, secure: bool
) -> None:
    """Under gevent and eventlet, which replace sockets and TLS, every span reaches a receiver, also over https."""
    if secure:
        secured(receiver.server, Path(servers["WEB_CA"]))
    env: dict[str, str | None] = {
        **servers,
        "TRACERUN_EXPORTER": "otlp",
        "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.endpoint.replace("http:", "https:" if secure else "http:"),
        "OTEL_EXPORTER_OTLP_CERTIFICATE": servers["WEB_CA"],
    }
    done = run.traced("python", str(PROGRAMS / name), env=env)
    assert (done.status, done.ours) == (0, []), done
    assert len(receiver.wait_for(12)) == 12


GREEN_APP = """
import os, requests
from flask import Flask

app = Flask(__name__)

@app.get("/order/<number>")
def order(number):
    return requests.get(os.environ["WEB_TLS"] + "/200/" + number, verify=os.environ["WEB_CA"]).text
"""


@pytest.mark.slow
@pytest.mark.parametrize("worker", ["gevent", "eventlet"])
def test_green_workers_call_over_tls(
    run: Runner, servers: dict[str, str], port: int, worker: str, environments: Environments
) -> None:
    """Gunicorn's green workers, which replace sockets and TLS, warn of nothing, and each request is in two spans."""
    run.program(GREEN_APP, "web.py")
    gunicorn = "gunicorn"
    if worker == "eventlet":  # newer releases of gunicorn have no such worker
        python = environments.python(CURRENT, "gunicorn==23.0.0", *pinned("eventlet", "flask", "requests"))
        gunicorn = str(Path(python).parent / "gunicorn")
    words = [gunicorn, "-k", worker, "-w", "2", "-b", f"127.0.0.1:{port}", "web:app"]
    logs = []
    for command in (words, ["tracerun", *words]):
        log = run.folder / "green.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                command, cwd=run.folder, env={**run.env, **servers}, stdout=output, stderr=subprocess.STDOUT
            )
        try:
            wait_for_port(port, process, log)
            with ThreadPoolExecutor(4) as pool:
                texts = list(pool.map(lambda n: urlopen(f"http://127.0.0.1:{port}/order/{n}").read(), range(20)))
            assert texts == [b"body of /200/%d" % n for n in range(20)]
        finally:
            process.terminate()
            process.wait(30)
        logs.append({re.sub(r"\[[^]]*\]|\d+", "", line) for line in log.read_text(encoding="utf-8").splitlines()})
    plain, traced = logs
    assert {line for line in traced if "spans are kept in" not in line} == plain
    spans = run.spans()
    calls = [(span.trace_id, span.parent_id) for span in spans.all(kind=CLIENT)]
    assert len(calls) == 20
    assert sorted(calls) == sorted((span.trace_id, span.span_id) for span in spans.all(kind=SERVER))


DJANGO_TESTS = """
from django.test import TestCase

class Tests(TestCase):
    def test_admin(self):
        self.assertEqual(self.client.get("/admin/").status_code, 302)

    def test_fails(self):
        self.assertEqual(self.client.get("/nosuch").status_code, 200)
"""
DJANGO_COMMANDS = [
    "manage.py check",
    "manage.py migrate",
    "manage.py shell -c 'from django.conf import settings; print(settings.ROOT_URLCONF, settings.DEBUG)'",
    "manage.py shell -v 0 -c 'from django.contrib.auth.models import User; print(User.objects.count())'",
    "manage.py test -v 2",
    "manage.py diffsettings --all",
    "manage.py nosuch",
    "-c 'import django.conf; print(django.conf.settings.configured)'",
    "-m django check",
    "-m django check --settings shop.settings",
]
DJANGO_MASKS = [
    *MASKS,
    r"\bin [\d.]+s",
    r"SECRET_KEY = .*",
    r"^[A-Z][a-z]+ \d+, \d{4} - [\d:]+|\[\d+/\w+/\d+ [\d:]+\]",
    r"127.0.0.1:\d+",
]


@pytest.fixture
def project(run: Runner) -> Path:
    """Django's default layout, made by its own command: only manage.py knows the settings."""
    subprocess.run(["django-admin", "startproject", "shop", "."], cwd=run.folder, env=run.env, check=True)
    run.program(DJANGO_TESTS, "shop/tests.py")
    return run.folder


@pytest.mark.slow
def test_django_commands(run: Runner, project: Path) -> None:
    """Every command of a project in the default layout does what it does plain."""
    env = {"TRACERUN_RAISE_ERRORS": "false"}
    for command in DJANGO_COMMANDS:
        database = project / "db.sqlite3"
        before = database.read_bytes() if database.exists() else b""
        plain = run.plain("python", *shlex.split(command), env=env)
        database.write_bytes(before)
        traced = run.traced("python", *shlex.split(command), env=env)
        differs = difference(outcome(plain, DJANGO_MASKS), outcome(traced, DJANGO_MASKS))
        assert not differs, f"{command}\n{differs}\n{traced.ours}"
        assert not [line for line in traced.ours if "spans are kept in" not in line]


# Prints an answer, less what Django draws anew for each.
GET = """
import re, sys, urllib.error, urllib.request
try:
    answer = urllib.request.urlopen(sys.argv[1])
except urllib.error.HTTPError as error:
    answer = error
print(answer.status, sorted(answer.headers.keys()), re.sub(rb'value="[A-Za-z0-9]{64}"', b"", answer.read()))
"""


def runserver(run: Runner, port: int, *words: str) -> list[str]:
    """What a development server answers and logs, and how Ctrl-C ends it."""
    log = run.folder / "runserver.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*words, str(port)], cwd=run.folder, env=run.env, stdin=subprocess.DEVNULL, stdout=output,
            stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
    try:
        wait_for_port(port, process, log)
        urls = [f"http://127.0.0.1:{port}{path}" for path in ("/", "/admin/login/", "/nosuch")]
        answers = [run.plain("python", "-c", GET, url).out for url in urls]
        os.killpg(process.pid, signal.SIGINT)
        status = process.wait(20)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    lines = log.read_text(encoding="utf-8").splitlines(keepends=True)
    text = "".join(line for line in lines if not line.startswith("tracerun:"))
    for mask in DJANGO_MASKS:
        text = re.sub(mask, "…", text, flags=re.MULTILINE)
    return [*answers, f"{status} {text}"]


@pytest.mark.slow
@pytest.mark.parametrize("option", [[], ["--noreload"]], ids=["reloader", "no reloader"])
def test_django_runserver(run: Runner, project: Path, port: int, option: list[str]) -> None:
    """The development server serves, logs and stops as plain, and its requests are traced."""
    words = ["python", "-u", "manage.py", "runserver", *option]
    assert runserver(run, port, *words) == runserver(run, port, "tracerun", *words)
    assert len(run.spans().all(kind=SERVER)) == 3
