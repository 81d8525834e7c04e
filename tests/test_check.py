"""``--check`` on commands, interpreters and environments; and the form of its report."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from tests.checking import ENDPOINT, PROTOCOL, UNSET, Env, check
from tests.conftest import PYTHON, ROOT, TRACERUN, Runner, free_port
from tests.environments import Environments, environments, interpreter
from tracerun import __version__
from tracerun.cli.check import files_check
from tracerun.cli.check.case import Case
from tracerun.cli.check.finding import LEVELS, Finding, ok
from tracerun.cli.check.run import CHECKS, _findings

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["environments"]  # the fixture

PAGE = (ROOT / "docs" / "check.md").read_text(encoding="utf-8")


@pytest.fixture
def bare(environments: Environments) -> str:
    """An environment of another Python without anything in it."""
    return environments.python("3.12")


def distribution(folder: Path, name: str, version: str) -> None:
    """Metadata of an installed distribution, as an installer leaves it."""
    made = folder / f"{name}-{version}.dist-info"
    made.mkdir(parents=True)
    made.joinpath("METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")


def environment(run: Runner, **files: str) -> str:
    """The interpreter of a new environment with files in its site-packages, which the launcher does not see."""
    made = run.folder / "venv"
    subprocess.run([interpreter("3.12"), "-m", "venv", "--without-pip", str(made)], check=True)
    for name, text in files.items():
        made.joinpath("lib", "python3.12", "site-packages", name.replace("_", ".")).write_text(text)
    return str(made / "bin" / "python")


def executable(run: Runner, text: str, name: str) -> str:
    """A script in the test's folder, by its path."""
    path = Path(run.program(text, name))
    path.chmod(0o755)
    return str(path)


class TestForm:
    """The report itself."""

    def test_the_schema(self, run: Runner) -> None:
        """All documented keys and no others; the summary counts the findings."""
        report = check(run, PYTHON, "app.py", env={"OTEL_SERVICE_NAME": "shop"})
        document = report.document
        documented = set(re.findall(r"^\| `([a-z_ ]+)` \|", PAGE, re.MULTILINE))
        keys = set(document) | set(document["findings"][0]) | set(document["settings"][0])
        assert keys | set(LEVELS) | set(CHECKS) == documented
        assert (document["schema"], document["tracerun"], document["arrives"]) == (1, __version__, True)
        assert (document["command"], document["python"]) == ([PYTHON, "app.py"], PYTHON)
        levels = [finding["level"] for finding in report.findings]
        assert document["summary"] == {level: levels.count(level) for level in LEVELS}
        sections = list(dict.fromkeys(finding["section"] for finding in report.findings))
        assert sections == [name for name in CHECKS if name in sections]

    def test_every_slug_has_its_heading(self) -> None:
        """Each finding's name is a heading of docs/check.md, and each heading one that exists."""
        folder = ROOT / "src" / "tracerun" / "cli" / "check"
        source = "".join(path.read_text(encoding="utf-8") for path in folder.glob("*.py"))
        slugs = set(re.findall(r'\b(?:ok|warning|fault|made)\(\s*"([a-z-]+)"', source))
        slugs |= set(re.findall(r'^    \d{3}: \("([a-z-]+)"', source, re.MULTILINE))
        assert slugs == set(re.findall(r"^### (.+)$", PAGE, re.MULTILINE))

    def test_the_list(self, run: Runner) -> None:
        """A line for each setting and finding, by section; the last one says it all; the exit code is the same."""
        done = run.command(TRACERUN, "-n", "shop", "--check", "--", PYTHON, "app.py")
        lines = done.out.splitlines()
        assert (done.status, done.err) == (0, "")
        assert lines[:2] == ["settings", "  ok       service-name = shop  (--service-name)"]
        assert [line for line in lines[:-1] if not line.startswith("  ")] == [
            "settings", "variables", "interpreter", "agent", "libraries", "other agents", "destination",
        ]  # fmt: skip
        assert lines[-1].startswith("a trace would arrive")
        away = run.command(TRACERUN, "--check", PYTHON, "app.py", env={"OTEL_SDK_DISABLED": "true"})
        assert away.status == 1
        line = "  fault    nothing is traced: OTEL_SDK_DISABLED=true -> unset OTEL_SDK_DISABLED  [switched-off]"
        assert line in away.out.splitlines()
        assert away.out.splitlines()[-1] == "a trace would not arrive as it is meant to: 1 fault"

    @pytest.mark.parametrize(("env", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False)])
    def test_a_terminal(self, run: Runner, env: Env, coloured: bool) -> None:
        """There a fault has a colour, unless NO_COLOR is set; elsewhere never."""
        ours, theirs = pty.openpty()
        words = [TRACERUN, "--check", "--", PYTHON, "app.py"]
        shown = run._env({**env, "OTEL_SDK_DISABLED": "true", "TERM": "xterm-256color"})
        with subprocess.Popen(words, env=shown, stdout=theirs, stderr=theirs, cwd=run.folder) as process:
            os.close(theirs)
            text = b""
            try:
                while data := os.read(ours, 65536):
                    text += data
            except OSError:  # the terminal's other end has gone
                pass
            assert process.wait() == 1
        os.close(ours)
        assert b"unset OTEL_SDK_DISABLED" in text
        assert (b"\x1b[1;31mfault" in text) == coloured
        assert b"\x1b[3" not in run.command(*words, env={"OTEL_SDK_DISABLED": "true"}).out.encode()

    def test_one_line_each(self, run: Runner) -> None:
        """A value cannot break its line, or bring escapes to the terminal."""
        done = run.command(TRACERUN, "--check", "--", PYTHON, env={"OTEL_SERVICE_NAME": "a\nb\x1b[31m"})
        assert "service-name = a\\nb\\x1b[31m" in done.out

    @pytest.mark.slow
    def test_a_value_that_the_encoding_has_not(self, run: Runner) -> None:
        """Is shown by escapes."""
        env: Env = {"OTEL_SERVICE_NAME": "café", "PYTHONIOENCODING": "ascii"}
        done = run.command(TRACERUN, "--check", "--", PYTHON, env=env)
        assert (done.status, "service-name = caf\\xe9" in done.out) == (0, True)

    def test_a_check_that_fails(self, run: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
        """Costs only its own section, and what it had found is kept."""

        def failing(_: Case) -> Iterator[Finding]:
            yield ok("variables", "before")
            raise RuntimeError("broken")

        monkeypatch.setitem(CHECKS, "variables", failing)
        found = _findings("variables", Case([], dict(run.env) | {"TRACERUN_RAISE_ERRORS": "false"}, {}))
        assert [(finding.level, finding.slug) for finding in found] == [("ok", "variables"), ("fault", "check-failed")]

    @pytest.mark.slow
    def test_a_full_disk(self, run: Runner) -> None:
        """An output that cannot be written is exit code 1 and one line."""
        with open("/dev/full", "w", encoding="utf-8") as full:
            done = subprocess.run(
                [TRACERUN, "--check", "--format", "json"],
                env=run._env({}),
                stdout=full,
                stderr=subprocess.PIPE,
                check=False,
            )
        assert done.returncode == 1
        assert done.stderr.startswith(b"tracerun: the output cannot be written")


class TestCommand:
    """What runs."""

    def test_the_program_is_not_run(self, run: Runner) -> None:
        """Neither the script nor its module; and nothing is left where span files are kept."""
        run.program("open('started', 'w')\n")
        for words in (("app.py",), ("-m", "app"), ("-c", "open('started', 'w')")):
            assert check(run, PYTHON, *words).faults == []
        assert not (run.folder / "started").exists()
        assert not run.state.exists()

    @pytest.mark.parametrize("letter", ["I", *(pytest.param(letter, marks=pytest.mark.slow) for letter in "SE")])
    def test_options_that_keep_us_out(self, run: Runner, letter: str) -> None:
        """The option is named, in the command or in a script's first line, once."""
        (found,) = check(run, PYTHON, f"-{letter}", "app.py").faults
        assert (found["slug"], found["fix"].startswith(f"start it without -{letter}")) == ("isolated", True)
        script = executable(run, f"#!{PYTHON} -{letter}\n", "tool")
        (found,) = check(run, script).faults
        assert found["fix"].startswith(f"start it by: tracerun {PYTHON} {script}")

    @pytest.mark.parametrize("version", ["3.8", *(pytest.param(v, marks=pytest.mark.slow) for v in ("2.7", "3.9"))])
    def test_a_python_that_is_too_old(self, run: Runner, version: str) -> None:
        """It is named with its version."""
        python = interpreter(version)
        (found,) = check(run, python, "app.py").faults
        assert found["what"] == f"{python}, Python {version}: tracerun needs 3.10 or later"

    @pytest.mark.parametrize("version", [pytest.param(v, marks=pytest.mark.slow) for v in ("3.10", "3.12", "3.13")])
    def test_a_python_of_another_environment(self, run: Runner, environments: Environments, version: str) -> None:
        """The agent starts there, with the launcher's own OpenTelemetry."""
        report = check(run, environments.python(version), "app.py")
        assert report.faults == []
        assert report.one("agent", "ok")

    @pytest.mark.slow
    def test_an_environment_without_its_python(self, run: Runner) -> None:
        """The way to make it anew is shown; a script whose first line leads nowhere is named."""
        (run.folder / "venv" / "bin").mkdir(parents=True)
        run.program("", "venv/pyvenv.cfg")
        (run.folder / "venv" / "bin" / "python").symlink_to("/nowhere/python3.12")
        (found,) = check(run, "venv/bin/python", "app.py").faults
        fix = f"make the environment anew: python3 -m venv --clear {run.folder}/venv"
        assert (found["slug"], found["fix"]) == ("no-command", fix)
        (found,) = check(run, executable(run, "#!/nowhere/bin/python3\n", "tool")).faults
        assert (found["slug"], "names /nowhere/bin/python3" in found["what"]) == ("interpreter", True)

    @pytest.mark.slow
    def test_no_such_command(self, run: Runner) -> None:
        """What was probably meant is said; the rest is checked all the same."""
        run.program("")
        report = check(run, "app.py", env={PROTOCOL: "thrift"})
        assert report.one("no-command")["fix"] == "give the command as: tracerun python app.py"
        assert report.one("wrong-value")
        assert check(run, "nowhere-to-be-found").one("no-command")

    @pytest.mark.slow
    def test_commands_that_are_not_python(self, run: Runner) -> None:
        """A program is a fault, what starts others in its own environment a warning, and docker has its own way."""
        assert check(run, "ls").one("not-python")
        assert (
            "tracerun --check -- python ..."
            in check(run, "sh", "-c", "python app.py").one("not-python", "warning")["fix"]
        )
        docker = executable(run, "#!/bin/sh\n", "docker")
        assert "tracerun --print-env docker" in check(run, docker, "run", "x").one("not-python")["fix"]
        poetry = executable(run, f"#!{PYTHON}\n", "poetry")
        assert check(run, poetry, "run", "x").one("runner", "warning")["fix"].startswith("poetry run tracerun --check")

    @pytest.mark.slow
    def test_an_emptied_environment(self, run: Runner) -> None:
        """``env -i`` takes the variable away by which the agent starts."""
        (found,) = check(run, "env", "-i", PYTHON, "app.py").faults
        assert (found["slug"], "env -i" in found["fix"]) == ("agent", True)
        assert check(run, "env", "A=1", PYTHON, "app.py").faults == []

    @pytest.mark.slow
    def test_another_environment_than_the_active_one(self, run: Runner, bare: str) -> None:
        """Where VIRTUAL_ENV is one and the interpreter is of another, both are named."""
        env: Env = {"VIRTUAL_ENV": str(Path(bare).parent.parent)}
        assert bare in check(run, PYTHON, "app.py", env=env).one("interpreter", "warning")["fix"]
        assert check(run, bare, "app.py", env=env).one("interpreter", "ok")

    @pytest.mark.slow
    def test_django_without_settings(self, run: Runner) -> None:
        """The module that is probably meant is named; manage.py, an option or the variable may have said it."""
        run.program("", "shop/settings.py")
        run.program("", "manage.py")
        for words in (("manage.py", "runserver"), ("-m", "django", "runserver")):
            found = check(run, PYTHON, *words).one("django-settings")
            assert found["fix"] == "set DJANGO_SETTINGS_MODULE=shop.settings"
        run.program("import os\nos.environ.setdefault('DJANGO_SETTINGS_MODULE', 'shop.settings')\n", "manage.py")
        assert "django-settings" not in check(run, PYTHON, "manage.py", "runserver").slugs
        given = check(run, PYTHON, "-m", "django", "runserver", "--settings=shop.settings")
        assert "django-settings" not in given.slugs
        env: Env = {"DJANGO_SETTINGS_MODULE": "shop.settings"}
        assert "django-settings" not in check(run, PYTHON, "-m", "django", "runserver", env=env).slugs


class TestEnvironment:
    """What lies in the interpreter's environment."""

    @pytest.mark.parametrize(
        ("api", "sdk", "said"),
        [
            ("1.20.0", "", ("opentelemetry-api 1.20.0", "install 'opentelemetry-api>=1.43'")),
            ("1.41.0", "1.40.0", ("both of one release", "install that in")),
        ],
    )
    def test_releases_that_do_not_fit(self, run: Runner, bare: str, api: str, sdk: str, said: tuple[str, str]) -> None:
        """What is there and what is supported is said, and the destination is tried all the same."""
        run.program(f"__version__ = {api!r}\n", "packages/opentelemetry/version/__init__.py")
        if sdk:
            run.program(f"__version__ = {sdk!r}\n", "packages/opentelemetry/sdk/version/__init__.py")
        env: Env = {"PYTHONPATH": str(run.folder / "packages"), **UNSET, ENDPOINT: f"http://127.0.0.1:{free_port()}"}
        report = check(run, bare, "app.py", env=env)
        found = report.one("version-conflict")
        assert (said[0] in found["what"], said[1] in found["fix"]) == (True, True), found
        assert report.one("own-python", "ok")
        assert report.one("refused")

    @pytest.mark.slow
    def test_a_release_that_is_too_old(self, run: Runner, environments: Environments) -> None:
        """Installed for real."""
        python = environments.python("3.12", "opentelemetry-api==1.20.0", "opentelemetry-sdk==1.20.0", "setuptools<80")
        found = check(run, python, "app.py").one("version-conflict")
        assert "opentelemetry-sdk 1.20.0, " in found["what"]

    @pytest.mark.slow
    def test_a_file_in_the_place_of_opentelemetry(self, run: Runner) -> None:
        """Beside the script, where the program would find it."""
        run.program("", "app/opentelemetry.py")
        run.program("", "app/main.py")
        found = check(run, PYTHON, "app/main.py").one("version-conflict")
        assert found["fix"] == "rename that file"
        assert check(run, PYTHON, "other.py").faults == []

    @pytest.mark.slow
    def test_libraries(self, run: Runner, bare: str) -> None:
        """Missing instrumentations have their line, others the reason."""
        for name, version in {"redis": "5.0.1", "flask": "2.1.3", "uwsgi": "2.0.30"}.items():
            distribution(run.folder / "packages", name, version)
        report = check(run, bare, "app.py", env={"PYTHONPATH": str(run.folder / "packages")})
        missing = report.one("missing-instrumentation", "warning")
        assert missing["fix"].startswith(f"pip --python {bare} install opentelemetry-instrumentation-redis==")
        assert "flask" in report.one("unsupported-version", "warning")["what"]
        assert "from C" in report.one("untraceable-library", "warning")["what"]
        assert "urllib" in report.one("libraries", "ok")["what"]
        assert report.faults == []

    @pytest.mark.slow
    def test_no_grpc(self, run: Runner, bare: str) -> None:
        """Named as the protocol it needs a package that is not there; by the port alone it does not."""
        env: Env = {**UNSET, ENDPOINT: "http://127.0.0.1:4317", PROTOCOL: "grpc"}
        found = check(run, bare, "app.py", env=env).one("no-grpc")
        assert found["fix"].endswith(f"or set {PROTOCOL}=http/protobuf")
        assert "no-grpc" not in check(run, bare, "app.py", env={**env, PROTOCOL: None}).slugs

    @pytest.mark.slow
    def test_its_own_sitecustomize(self, run: Runner) -> None:
        """Is run after ours, and is no fault, whatever it prints."""
        report = check(run, environment(run, sitecustomize_py="print('hello')\n"), "app.py")
        assert "site-packages/sitecustomize.py is run after" in report.one("sitecustomize", "ok")["what"]
        assert report.faults == []

    def test_a_sitecustomize_that_is_first(self, run: Runner) -> None:
        """A .pth file puts a folder before PYTHONPATH's: what is loaded there is named."""
        own = run.program("", "first/sitecustomize.py")
        python = environment(run, first_pth=f"import sys; sys.path.insert(0, {str(Path(own).parent)!r})\n")
        (found,) = check(run, python, "app.py").faults
        assert (found["slug"], own in found["what"]) == ("foreign-sitecustomize", True)

    @pytest.mark.slow
    def test_an_interpreter_that_hangs(self, run: Runner) -> None:
        """Its start is given up, and the destination tried all the same."""
        report = check(run, environment(run, sitecustomize_py="import time\ntime.sleep(100)\n"), "app.py")
        assert "has not ended" in report.one("interpreter")["what"]
        assert report.one("files", "ok")

    @pytest.mark.slow
    def test_a_provider_of_its_own(self, run: Runner) -> None:
        """Set up before the program's first line: spans go where that one sends them, and that is said."""
        run.program(
            "from opentelemetry import trace\nfrom opentelemetry.sdk.trace import TracerProvider\n"
            "trace.set_tracer_provider(TracerProvider())\n",
            "site/sitecustomize.py",
        )
        report = check(run, PYTHON, "app.py", env={"PYTHONPATH": str(run.folder / "site")})
        assert "spans go where that one sends them" in report.one("agent-says", "warning")["fix"]
        assert "the environment's own code" in report.one("official", "warning")["what"]

    @pytest.mark.slow
    def test_other_agents(self, run: Runner, bare: str) -> None:
        """On the path, in the command, loaded by themselves, or merely installed."""
        for name in ("ddtrace", "newrelic"):
            distribution(run.folder / "packages", name, "9.1")
        run.program("", "packages/elasticapm.py")
        path = str(run.folder / "packages")
        installed = check(run, bare, "app.py", env={"PYTHONPATH": path})
        ours = [finding["what"] for finding in installed.findings if finding["slug"] == "other-agent"]
        assert ours == [f"{name} 9.1 is installed, and does not start by itself" for name in ("ddtrace", "newrelic")]
        assert installed.faults == []
        beside = os.path.join("x", "ddtrace", "bootstrap")
        found = check(run, bare, "app.py", env={"PYTHONPATH": beside}).one("other-agent", "warning")
        assert found["fix"] == f"take {beside} from PYTHONPATH"
        run.program("import elasticapm\n", "packages/sitecustomize.py")
        loaded = check(run, bare, "app.py", env={"PYTHONPATH": path})
        assert "elasticapm is loaded before the program" in json.dumps(loaded.findings)
        starter = executable(run, f"#!{bare}\n", "ddtrace-run")
        found = check(run, starter, "python", "app.py").one("other-agent", "warning")
        assert found["fix"] == "leave ddtrace-run out of the command"
        rival = executable(run, f"#!{bare}\n", "opentelemetry-instrument")
        assert check(run, rival, "python", "app.py").one("other-agent")["fix"] == "leave it out"


class TestFiles:
    """Span files as the destination."""

    def test_where_they_go(self, run: Runner) -> None:
        """The folder is named, and not made."""
        assert str(run.state) in check(run, PYTHON).one("files", "ok")["what"]
        assert not run.state.exists()
        run.state.mkdir()
        assert check(run, PYTHON).one("files", "ok")
        assert list(run.state.iterdir()) == []

    def test_no_home(self, run: Runner) -> None:
        """Where no folder is known the variable that names one is."""
        for folder in files_check.check(""):
            assert (folder.slug, folder.fix) == ("folder", "set TRACERUN_DIR=/var/tmp/tracerun")

    @pytest.mark.parametrize(("free", "level"), [(1000, "fault"), (10 << 20, "warning"), (1 << 30, "ok")])
    def test_room(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: int, level: str) -> None:
        """Too little for one batch is a fault, less than all files may take a warning."""
        monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=free))
        assert next(files_check.check(str(tmp_path))).level == level

    @pytest.mark.slow
    @pytest.mark.parametrize("exporter", ["tree", "console"])
    def test_other_destinations(self, run: Runner, exporter: str) -> None:
        """The tree is not drawn, the console's line is not shown; both are ok."""
        report = check(run, PYTHON, "app.py", env={"TRACERUN_EXPORTER": exporter})
        assert report.faults == []
        assert report.one({"tree": "tree", "console": "delivered"}[exporter], "ok")

    @pytest.mark.slow
    def test_an_exporter_that_fails(self, run: Runner) -> None:
        """One of an installed package, which has logged why."""
        away = f"http://127.0.0.1:{free_port()}"
        env: Env = {**UNSET, "OTEL_TRACES_EXPORTER": "otlp_proto_http", ENDPOINT: away}
        assert "refused" in check(run, PYTHON, "app.py", env=env).one("exporter-failed")["what"].lower()


@pytest.mark.slow
def test_a_collector_on_this_machine(run: Runner) -> None:
    """With nothing configured, what answers on the standard port is found and sent to."""
    if not os.path.exists("/usr/bin/unshare") or os.geteuid() != 0:
        pytest.skip("needs a network namespace of its own (unshare, root)")
    program = run.program(
        "import fcntl, socket, struct, subprocess\n"
        "with socket.socket() as s:\n"
        "    fcntl.ioctl(s, 0x8914, struct.pack('16sh', b'lo', 0x41))  # SIOCSIFFLAGS: up and running\n"
        "from tests.receiver import Receiver\n"
        "receiver = Receiver(4318)\n"
        f"subprocess.run([{TRACERUN!r}, '--check', {PYTHON!r}, 'app.py'], check=True)\n"
        "print(len(receiver.spans))\n"
    )
    done = run.command("unshare", "--net", sys.executable, program, env={**UNSET, "PYTHONPATH": str(ROOT)})
    assert "on this machine http://localhost:4318/v1/traces takes OTLP" in done.out, done
    assert done.out.endswith("1\n")
