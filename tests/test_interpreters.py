"""Interpreters other than tracerun's own: other environments, other versions, and options that keep it out."""

from __future__ import annotations

import importlib.metadata
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import PYTHON, ROOT, TRACED, TRACERUN, Done, Runner
from tests.environments import CURRENT, NEWEST, Environments, environments, interpreter, pinned
from tracerun.agent import foreign
from tracerun.interpreter import behind, is_python, options

__all__ = ["environments"]  # the fixture

VERSIONS = ["3.10", "3.11", "3.12", "3.13"]
OLD_VERSIONS = ["2.7", "3.6", "3.7", "3.8", "3.9"]

CALL = "import sys, requests\nprint(requests.get(sys.argv[1]).text)\n"

# What a program can see of the environment that it runs in, before and after a traced call.
WORLD = """
import importlib, importlib.metadata, importlib.util, sys

NAMES = (
    "click rich grpc wrapt importlib_metadata packaging tomli google.protobuf psutil flask httpx deprecated "
    "opentelemetry.sdk.nosuch opentelemetry.instrumentation opentelemetry.distro opentelemetry.proto "
    "opentelemetry.exporter.otlp.proto.http opentelemetry.exporter.otlp.proto.grpc"
).split()

def fails(name):
    try:
        importlib.import_module(name)
    except ImportError as error:
        # Which part of a dotted name is missed first differs once OpenTelemetry is there.
        return type(error).__name__, *((str(error), error.name) if "opentelemetry" not in name else ())
    return "imported"

def look():
    print(*[(name, fails(name)) for name in NAMES], sep="\\n")
    print(sys.path, sys.flags, sys.prefix, sys.executable)
    print(sorted({entry.name for entry in importlib.metadata.distributions()}))
    print(importlib.metadata.entry_points(group="opentelemetry_propagator"))

if "opentelemetry" in sys.modules:
    sys.exit("too early")
look()
import requests
print(requests.get(sys.argv[1]).text)
look()
"""


def compared(run: Runner, tracerun: str, *words: str, **options: Any) -> Done:
    """A run under a tracerun, which must look as the plain run does, but for our lines."""
    plain, traced = run.plain(*words, **options), run.command(tracerun, *words, **options)
    assert (traced.status, traced.out, traced.theirs) == (plain.status, plain.out, plain.err)
    return traced


@pytest.mark.slow
@pytest.mark.parametrize("version", VERSIONS)
class TestAnotherEnvironment:
    """A program in an environment that has neither tracerun nor OpenTelemetry."""

    def python(self, environments: Environments, version: str) -> str:
        return environments.python(version, *pinned("requests"))

    @pytest.mark.parametrize("launcher", ["editable", "wheel"])
    def test_traced(self, run: Runner, web: Any, environments: Environments, version: str, launcher: str) -> None:
        """It is traced, and sees the environment that it sees plain: paths, distributions, failing imports."""
        python = self.python(environments, version)
        tracerun = TRACERUN if launcher == "editable" else str(environments.installed(NEWEST) / "tracerun")
        done = compared(run, tracerun, python, run.program(WORLD), web.url)
        assert (done.status, done.err) == (0, "")
        span = done.spans.one()
        assert (span.name, span.kind) == ("GET", 3)
        assert web.seen[-1]["traceparent"].split("-")[2] == span.span_id

    def test_nothing_is_loaded_early(self, run: Runner, environments: Environments, version: str) -> None:
        """At its first line there is no more of ours than in tracerun's own environment."""
        code = "import sys; print(*(name for name in sys.modules if name.partition('.')[0] in {}))"
        # A file: Python 3.13 imports linecache for what comes with -c.
        words = [run.program(code.format("('tracerun', 'opentelemetry', 'typing_extensions')"))]
        foreign_modules = run.traced(self.python(environments, version), *words).out
        assert foreign_modules == run.traced(PYTHON, *words).out
        finders = "import sys; print([type(finder).__module__ for finder in sys.meta_path])"
        assert "foreign" not in run.traced(self.python(environments, version), "-c", finders).out

    def test_sitecustomize_and_usercustomize(self, run: Runner, environments: Environments, version: str) -> None:
        """The program's own run once each, in their order; where they fail, it looks as plain."""
        app = run.program("import sys\nprint(sys.ran, 'sitecustomize' in sys.modules, 'usercustomize' in sys.modules)")
        for name in ("sitecustomize", "usercustomize"):
            run.program(f"import sys\nsys.ran = [*getattr(sys, 'ran', []), {name!r}, __name__]", f"own/{name}.py")
        words, env = [interpreter(version), app], {"PYTHONPATH": str(run.folder / "own")}
        assert compared(run, self.clean(run), *words, env=env).out.startswith("['sitecustomize'")
        assert compared(run, self.clean(run), self.python(environments, version), app, env=env).status == 0
        run.program("raise ValueError('broken')", "own/usercustomize.py")
        run.program("import sys, nosuch", "own/sitecustomize.py")
        run.program("print('still here')")
        assert compared(run, self.clean(run), *words, env=env).theirs

    def clean(self, run: Runner) -> str:
        """The launcher without the program's PYTHONPATH: it is a Python too, and would load those for itself."""
        path = Path(run.program(f'#!/bin/sh\nexec {PYTHON} -E -m tracerun "$@"\n', "clean-tracerun"))
        path.chmod(0o755)
        return str(path)

    def test_children(self, run: Runner, web: Any, environments: Environments, version: str) -> None:
        """Its child processes of the same environment are traced, forked, spawned and started."""
        program = run.program(
            "import multiprocessing, subprocess, sys\n"
            "def work(url):\n    import requests\n    requests.get(url)\n"
            "if __name__ == '__main__':\n"
            "    for method in ('fork', 'spawn'):\n"
            "        child = multiprocessing.get_context(method).Process(target=work, args=sys.argv[1:])\n"
            "        child.start()\n        child.join()\n"
            f"    subprocess.run([sys.executable, '-c', {CALL!r}, *sys.argv[1:]], check=True)\n"
        )
        done = run.traced(self.python(environments, version), program, web.url)
        assert (done.status, done.err, len(done.spans)) == (0, "", 3), done


@pytest.mark.slow
@pytest.mark.parametrize("version", ["3.10", "3.13"])
def test_a_server_in_another_environment(run: Runner, environments: Environments, version: str, port: int) -> None:
    """A Flask program's requests are traced, through a call to itself, in one trace."""
    program = run.program(
        "import sys, threading, requests\n"
        "from flask import Flask\n"
        "from werkzeug.serving import make_server\n"
        "app = Flask(__name__)\n"
        "@app.get('/hello/<name>')\ndef hello(name):\n    return name\n"
        "server = make_server('127.0.0.1', int(sys.argv[1]), app)\n"
        "threading.Thread(target=server.serve_forever).start()\n"
        "print(requests.get(f'http://127.0.0.1:{server.port}/hello/you').text)\n"
        "server.shutdown()\n"
    )
    python = environments.python(version, *pinned("requests", "flask"))
    done = run.traced(python, program, str(port))
    assert (done.status, done.out) == (0, "you\n"), done
    client, server = done.spans.one(kind=3), done.spans.one(kind=2)
    assert (server.name, server.parent_id, server.trace_id) == ("GET /hello/<name>", client.span_id, client.trace_id)


@pytest.mark.slow
class TestProtocols:
    """OTLP from an environment whose own packages have no exporter."""

    def python(self, environments: Environments) -> str:
        return environments.python(CURRENT, *pinned("requests"))

    def test_http(self, run: Runner, web: Any, receiver: Any, environments: Environments) -> None:
        """OTLP over HTTP needs nothing of the program's environment."""
        flags = ("-e", receiver.endpoint, "--exporter", "otlp")
        done = run.traced(self.python(environments), run.program(CALL), web.url, flags=flags)
        assert (done.status, done.err, len(receiver.spans)) == (0, "", 1)

    def test_grpc(self, run: Runner, web: Any, environments: Environments) -> None:
        """OTLP over gRPC that was asked for by name cannot be had: one line says so, and spans go to files."""
        flags = ("-e", "http://127.0.0.1:4317", "--protocol", "grpc", "--exporter", "otlp")
        done = run.traced(self.python(environments), run.program(CALL), web.url, flags=flags)
        assert (done.status, done.theirs, len(done.spans)) == (0, "", 1)
        (line,) = done.ours
        assert line.startswith(
            "OTLP over gRPC is not possible here: opentelemetry.exporter cannot be imported; spans go"
        )

    def test_port_of_grpc(self, run: Runner, environments: Environments) -> None:
        """Where only the port says gRPC, the HTTP port beside it is used, silently."""
        unshare = ["unshare", "--net"]
        if os.geteuid() != 0 or subprocess.run([*unshare, "true"], capture_output=True, check=False).returncode != 0:
            pytest.skip("needs a network namespace of its own (unshare, root)")
        program = run.program(
            "import fcntl, socket, struct, subprocess, sys\n"
            "with socket.socket() as s:\n"
            "    fcntl.ioctl(s, 0x8914, struct.pack('16sh', b'lo', 0x41))  # SIOCSIFFLAGS: up and running\n"
            "from tests.conftest import WebServer\n"
            "from tests.receiver import Receiver\n"
            "receiver, web = Receiver(4318), WebServer()\n"
            "subprocess.run([*sys.argv[1:], web.url], check=True)\n"
            "print(len(receiver.spans))\n"
        )
        words = [TRACERUN, "-e", "http://127.0.0.1:4317", self.python(environments), "-c", CALL]
        env = {"PYTHONPATH": str(ROOT), "TRACERUN_EXPORTER": None}
        done = run.command(*unshare, PYTHON, program, *words, env=env)
        assert (done.out.splitlines()[-1], done.err) == ("1", "")


# Makes a span of its own around a call, and shows whose OpenTelemetry it has.
MANUAL = """
import sys, requests
from opentelemetry import trace, version
print(trace.__file__.startswith(sys.prefix), version.__version__)
with trace.get_tracer("shop").start_as_current_span("work", attributes={"n": 1}) as span:
    span.set_attributes({"m": (1, 2)})
    print(requests.get(sys.argv[1]).text)
print(trace.__file__.startswith(sys.prefix), version.__version__)
"""


# What is installed, and what the line says of it.
UNFIT = {
    "api too old": (["opentelemetry-api==1.42.1"], ["opentelemetry-api 1.42.1, tracerun ", "1.43 and later"]),
    "sdk too old": (["opentelemetry-sdk==1.27.0"], ["opentelemetry-sdk 1.27.0, tracerun ", "1.28 and later"]),
    "mixed": (
        [
            "opentelemetry-api==1.44.0",
            "opentelemetry-sdk==1.43.0",
            "opentelemetry-semantic-conventions==0.64b0",
            "typing_extensions==4.16.0",
        ],
        ["opentelemetry-api 1.44.0 and opentelemetry-sdk 1.43.0, tracerun ", "of one release"],
    ),
    "typing_extensions too old": (["typing_extensions==4.4.0"], ["tracerun ", "ImportError", "'typing_extensions'"]),
}


@pytest.mark.slow
class TestOwnReleases:
    """A program whose environment has an OpenTelemetry of its own."""

    @pytest.mark.parametrize("release", ["1.43.0", "1.45.2"])
    def test_api_alone(self, run: Runner, web: Any, environments: Environments, release: str) -> None:
        """Its own API wins, with our SDK on it: its spans and ours are in one trace."""
        python = environments.python("3.12", *pinned("requests"), f"opentelemetry-api=={release}")
        no_sdk = "try:\n    import opentelemetry.sdk.trace\nexcept ImportError as error:\n    print(error)\n"
        done = compared(run, TRACERUN, python, run.program(no_sdk + MANUAL), web.url)
        assert (done.status, done.err) == (0, "")
        work, call = done.spans.named("work"), done.spans.named("GET")
        assert (call.parent_id, call.trace_id, work.attributes["n"]) == (work.span_id, work.trace_id, 1)

    @pytest.mark.parametrize("release", ["1.28.0", "1.35.0", "1.40.0"])
    def test_sdk(self, run: Runner, web: Any, environments: Environments, release: str) -> None:
        """Its own SDK is used, from the oldest release on: manual spans, forks, a provider of its own."""
        python = environments.python(CURRENT, *pinned("requests"), f"opentelemetry-sdk=={release}")
        program = run.program(
            f"{MANUAL}\nimport json, os\n"
            "def resource():\n    return trace.get_tracer_provider().resource.attributes\n"
            "print(resource()['telemetry.sdk.version'])\n"
            "before, (reader, writer) = resource()['service.instance.id'], os.pipe()\n"
            "if os.fork() == 0:\n"
            "    requests.get(sys.argv[1])\n"
            "    os.write(writer, resource()['service.instance.id'].encode())\n"
            "    os._exit(0)\n"
            "os.wait()\n"
            "print(os.read(reader, 100).decode() != before == resource()['service.instance.id'])\n"
            "from opentelemetry.sdk.trace import TracerProvider\n"
            "trace.set_tracer_provider(TracerProvider())\n"
            "requests.get(sys.argv[1])\n"
        )
        done = run.traced(python, program, web.url)
        assert (done.status, done.theirs) == (0, "")
        assert done.out.splitlines()[-2:] == [release, "True"]
        assert done.ours == ["the program has set a tracer provider of its own; spans go where that one sends them"]
        assert sorted(span.name for span in done.spans) == ["GET", "GET", "work"]

    @pytest.mark.parametrize("case", UNFIT)
    def test_releases_that_do_not_fit(self, run: Runner, web: Any, environments: Environments, case: str) -> None:
        """The program runs untraced, and one line names both sides and the fix."""
        packages, said = UNFIT[case]
        # pip would not make a mixed environment by itself.
        options = ("--no-deps",) if case == "mixed" else ()
        requests = pinned("requests", "urllib3", "idna", "certifi", "charset-normalizer")
        python = environments.python("3.10", *packages, *requests, options=options)
        program = MANUAL if "opentelemetry" in packages[0] else CALL
        done = compared(run, TRACERUN, python, run.program(program), web.url)
        (line,) = done.ours
        assert (done.status, len(done.spans), line.startswith("nothing is traced: ")) == (0, 0, True)
        assert all(part in line for part in said)
        assert str(Path(python).parent.parent) in line
        assert "traceparent" not in web.seen[-1]


def test_another_module_of_that_name(run: Runner, web: Any) -> None:
    """A program's own opentelemetry.py is not run by us; one line says what is in the way."""
    run.program("print('not to be run')", "opentelemetry.py")
    done = compared(run, TRACERUN, PYTHON, run.program(CALL), web.url)
    (line,) = done.ours
    assert line.startswith(f"nothing is traced: {run.folder}/opentelemetry.py stands in the place of OpenTelemetry")


def test_what_is_served() -> None:
    """The API's names are those of its distribution; what else we need lies beside it."""
    files = importlib.metadata.files("opentelemetry-api") or []
    own = {file.parts[1] for file in files if file.parts[0] == "opentelemetry" and "py.typed" not in file.name}
    assert set(foreign.API) == own
    place = str(importlib.metadata.distribution("opentelemetry-sdk").locate_file(""))
    assert foreign.folders(f"{place}{os.pathsep}/nosuch")[-1] == place
    finder = foreign.Finder([place], with_api=False)
    assert finder.find_spec("opentelemetry.sdk") is not None
    for name in ("opentelemetry.trace", "opentelemetry.proto", "opentelemetry.sdk.trace", "click", "rich", "grpc"):
        assert finder.find_spec(name) is None


@pytest.mark.parametrize("version", OLD_VERSIONS)
class TestTooOld:
    """A Python that is too old for tracerun."""

    def words(self, version: str, code: str) -> list[str]:
        return [interpreter(version), "-c", code]

    def test_the_program(self, run: Runner, version: str) -> None:
        """It runs as plain; one line says why it is not traced, once also where it goes on by exec."""
        again = "if not sys.argv[1:]:\n    os.execv(sys.executable, [sys.executable, '-c', sys.stdin.read(), 'x'])\n"
        code = f"import os, sys\nprint(sorted(sys.modules), sys.path)\nsys.stdout.flush()\n{again}sys.exit(3)"
        done = compared(run, TRACERUN, *self.words(version, code), input=code.encode())
        assert done.status == 3
        said = f"this program is not traced: {interpreter(version)} is Python {version}, tracerun needs 3.10 or later; "
        assert done.ours == [f"{said}run it with one of these"]

    def test_strict(self, run: Runner, version: str) -> None:
        """With --strict it is not started."""
        done = run.traced(*self.words(version, "print(1)"), flags=("--strict",))
        assert (done.status, done.out, done.theirs) == (2, "", "")
        assert done.ours[0].endswith("not started, because of --strict (TRACERUN_STRICT)")

    def test_its_children(self, run: Runner, version: str) -> None:
        """Its children have nothing to say, and a Python among them that can be traced is the target."""
        code = "import subprocess, sys; sys.exit(subprocess.call(sys.argv[1:]))"
        traced = f"import sys; print({TRACED})"
        done = run.traced(*self.words(version, code), *self.words(version, "print(1)"))
        assert (done.out, len(done.ours), done.theirs) == ("1\n", 1, "")
        assert run.traced(*self.words(version, code), PYTHON, "-c", traced).out == "True\n"


KEPT_OUT = [
    (["python", "-I", "app.py"], "I"),
    (["python3", "-E", "app.py", "-S"], "E"),
    ([PYTHON, "-S", "-c", "pass"], "S"),
    (["python", "-bIE", "-c", "pass"], "I"),
    (["python3", "-uES", "app.py"], "E"),
    (["python", "-W", "ignore", "-Xdev", "-X", "utf8", "-I", "app.py"], "I"),
    (["python", "--check-hash-based-pycs", "never", "-I", "app.py"], "I"),
    (["env", "-u", "X", "A=b", "python", "-E", "-c", "pass"], "E"),
    (["env", "-S", "python -E", "-c", "pass"], "E"),
    (["./isolated", "word"], "I"),
    (["./by_env"], "E"),
]
LET_IN = [
    ["python", "app.py", "-I"],
    ["python", "-c", "pass", "-E"],
    ["python", "-mthis", "-S"],
    ["python", "-cpass", "-I"],
    ["python", "-W", "-I", "app.py"],
    ["python", "-WI", "-XE", "app.py"],
    ["python", "--", "app.py", "-I"],
    ["python", "-", "-I"],
    ["env", "A=-I", "python", "app.py"],
    ["./normal", "-I"],
    ["echo", "-I", "-E"],
]


@pytest.fixture
def scripts(run: Runner) -> None:
    """Scripts with and without options on their first lines, and a program that ends at once."""
    run.program("")
    lines = {"isolated": f"{PYTHON} -I", "by_env": "/usr/bin/env -S python -sE", "normal": f"{PYTHON} -B"}
    for name, line in lines.items():
        Path(run.program(f"#!{line}\n", name)).chmod(0o755)


@pytest.mark.usefixtures("scripts")
@pytest.mark.parametrize(("words", "letter"), KEPT_OUT, ids=[" ".join(words)[-40:] for words, _ in KEPT_OUT])
def test_options_that_keep_tracerun_out(run: Runner, words: list[str], letter: str) -> None:
    """-I, -E and -S, however they are given: one line before the start; with --strict no start."""
    done = compared(run, TRACERUN, *words)
    (line,) = done.ours
    assert f"python -{letter}" in line
    assert ("ignores PYTHONPATH" in line) == (letter in "IE")
    assert ("import tracerun.auto" in line) == (letter in "IE")
    for strict in (run.traced(*words, flags=("--strict",)), run.traced(*words, env={"TRACERUN_STRICT": "1"})):
        assert (strict.status, strict.out, strict.theirs) == (2, "", "")
        assert [part.endswith("because of --strict (TRACERUN_STRICT)") for part in strict.ours] == [True]


@pytest.mark.usefixtures("scripts")
@pytest.mark.parametrize("words", LET_IN, ids=lambda words: " ".join(words)[-40:])
def test_options_of_the_program(run: Runner, words: list[str]) -> None:
    """The same letters behind the program's name, or as a value, are not the interpreter's."""
    assert compared(run, TRACERUN, *words).ours == []


def test_a_switched_off_tracerun_is_silent_about_options(run: Runner) -> None:
    """Where nothing is to be traced, nothing keeps tracerun out."""
    done = run.traced("python", "-I", "-c", "pass", env={"TRACERUN_ENABLED": "false"})
    assert done.ours == ["nothing is traced: TRACERUN_ENABLED=false"]


def test_command_lines_of_python() -> None:
    """Options are read by the interpreter's own rules."""
    assert options(["-Wignore", "-uB", "-m", "this", "-I"]) == ("uB", "m", ["this", "-I"])
    assert options(["-X", "dev", "-bcpass", "-I"]) == ("b", "c", ["pass", "-I"])
    assert options(["-c"]) == ("", "c", [])
    assert options([]) == ("", "", [])
    assert options(["-W"]) == ("", "", [])
    assert all(map(is_python, ("python", "python3.13t", "/x/pypy3", "python.exe", "python2.7-dbg")))
    assert not any(map(is_python, ("python-config", "pythonic", "ipython", "/python3/sh")))
    assert behind("/nosuch", ["nosuch"]) == behind("/bin/ls", ["ls"]) == behind("/usr/bin/env", ["env"]) == []
