"""The launcher: what is started, how, with which environment; and what is refused before anything starts."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import PYTHON, TRACED, TRACERUN, Runner
from tracerun import __version__
from tracerun.agent import boot
from tracerun.injection import FOLDER
from tracerun.instrumentation.catalog import CATALOG

# Prints what a program can see of how it was started.
WORLD = """
import os, sys
spec = globals().get("__spec__")
print(sys.argv, sys.orig_argv, sys.path, sys.flags, sys.warnoptions, sys._xoptions, sys.executable, sys.prefix)
print(__name__, spec and (spec.name, spec.origin), sorted(os.listdir()), sys.stdin and sys.stdin.read())
"""
OTHER_VERSIONS = sorted(Path("~/.pyenv/versions").expanduser().glob("3.1[0-9]*/bin/python"))


def executable(run: Runner, text: str, name: str) -> str:
    """A file that can be executed; gives its name relative to the test's folder."""
    Path(run.program(text, name)).chmod(0o755)
    return f"./{name}"


def same(run: Runner, *words: str, **options: Any) -> Any:
    """A command's run under tracerun, which must look as its plain run does."""
    plain, traced = run.plain(*words, **options), run.traced(*words, **options)
    assert (traced.status, traced.out, traced.err) == (plain.status, plain.out, plain.err)
    return traced


COMMANDS = [
    ["python", "app.py"],
    [PYTHON, "./app.py"],
    ["python", "app.py", "--help", "-n", "x", "--", "-c", "--version", ""],
    ["python", "--", "app.py"],
    ["python", "-m", "package", "-m", "x"],
    ["python", "-m", "package.module", "--strict"],
    ["python", "-mpackage"],
    ["python", "-c", WORLD, "-n", "x"],
    ["python", "-"],
    ["python", "folder"],
    ["python", "program.pyz", "x"],
    ["python", "-O", "-B", "-s", "-X", "dev", "-W", "error", "-bb", "app.py"],
    ["env", "python", "app.py"],
    ["env", "NAME=x", "python", "-c", "import os; print(os.environ['NAME'])"],
    ["./shebang", "--strict"],
    ["sh", "-c", "python app.py; python app.py again; exit 3"],
    ["sh", "-c", "exec python app.py $1", "sh", "word"],
    ["./elsewhere/../shebang"],
]


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: " ".join(words)[:40])
def test_started_as_without_us(run: Runner, words: list[str]) -> None:
    """Arguments, sys.path, flags, output and status are those of the plain run."""
    run.program(WORLD)
    run.program(WORLD, "package/__main__.py")
    run.program(WORLD, "package/module.py")
    run.program(WORLD, "folder/__main__.py")
    run.program("", "elsewhere/file")
    subprocess.run([PYTHON, "-m", "zipapp", "folder", "-o", "program.pyz"], cwd=run.folder, check=True)
    executable(run, f"#!{PYTHON} -B\n{WORLD}", "shebang")
    (run.folder / "state").mkdir()
    stdin = {"input": WORLD.encode()} if words[-1] == "-" else {}
    same(run, *words, env={"PYTHONDONTWRITEBYTECODE": "1"}, **stdin)


def test_a_script_without_a_first_line(run: Runner) -> None:
    """What names no interpreter is run by sh, as a shell does it."""
    executable(run, 'echo "$0" "$@"; exit 4', "script")
    done = run.traced("./script", "a b", "--help")
    assert (done.status, done.out, done.err) == (4, "./script a b --help\n", "")


@pytest.mark.parametrize("words", [["flask", "--version"], ["pytest", "--version"], ["pip", "--version"]], ids=str)
def test_console_scripts(run: Runner, words: list[str]) -> None:
    """Commands of installed packages are found on PATH as a shell finds them."""
    assert same(run, *words).status == 0


def test_options_end_at_the_first_word_that_is_none(run: Runner) -> None:
    """Nothing after COMMAND is parsed, with options before it and behind `--` too."""
    app = run.program("import os, sys; print(sys.argv[1:], os.environ['OTEL_SERVICE_NAME'])")
    for flags in (("-n", "shop"), ("-n", "shop", "--"), ("-nshop", "--children=all")):
        assert (
            run.traced("python", app, "--help", "-n", "x", "--", flags=flags).out
            == "['--help', '-n', 'x', '--'] shop\n"
        )
    assert run.traced("--version", flags=("--",)).ours == ["command not found: --version"]


def test_the_same_process(run: Runner) -> None:
    """The launcher becomes the program: the pid that was started is the program's."""
    words = [TRACERUN, "-n", "shop", "python", "-c", "import os; print(os.getpid())"]
    with subprocess.Popen(words, env=run.env, stdout=subprocess.PIPE) as process:
        out, _ = process.communicate(timeout=60)
    assert int(out) == process.pid


@pytest.mark.parametrize(
    "ending",
    [
        "sys.exit(3)",
        "sys.exit('gone')",
        "sys.exit()",
        "1 / 0",
        "os._exit(5)",
        "raise KeyboardInterrupt",
        "raise SystemExit(257)",
        "os.kill(os.getpid(), signal.SIGKILL)",
        "os.kill(os.getpid(), signal.SIGTERM)",
        "os.kill(os.getpid(), signal.SIGHUP)",
        "os.kill(os.getpid(), signal.SIGINT)",
        "os.kill(os.getpid(), signal.SIGUSR1)",
        "os.abort()",
        "os.execv('/bin/sh', ['sh', '-c', 'exit 6'])",
    ],
)
def test_exit_status(run: Runner, ending: str) -> None:
    """Status, signal and traceback are the program's own."""
    app = run.program(f"import os, resource, signal, sys\nresource.setrlimit(resource.RLIMIT_CORE, (0, 0))\n{ending}\n")
    same(run, PYTHON, app)


def test_a_folder_that_is_gone(run: Runner) -> None:
    """A deleted current folder stops neither the launcher nor the program."""
    script = 'mkdir gone; cd gone; rmdir ../gone; exec "$@"'
    words = [PYTHON, "-c", "import sys; print(sys.path)"]
    plain = run.plain("sh", "-c", script, "sh", *words)
    traced = run.plain("sh", "-c", script, "sh", TRACERUN, *words)
    with_options = run.plain("sh", "-c", script, "sh", TRACERUN, "-n", "shop", *words)
    assert traced.status == plain.status == 0
    assert (traced.out, traced.err) == (with_options.out, with_options.err) == (plain.out, plain.err)


def test_without_path(run: Runner) -> None:
    """Where PATH is unset the system's default folders are searched."""
    assert same(run, "echo", "found", env={"PATH": None}).out == "found\n"


def test_path_with_an_empty_entry(run: Runner) -> None:
    """An empty entry of PATH is the current folder, and a folder of the command's name is passed over."""
    executable(run, "#!/bin/sh\necho here", "tool")
    run.program("", "first/tool/file")
    done = run.traced("tool", env={"PATH": f"{run.folder}/first::{os.environ['PATH']}"})
    assert done.out == "here\n"


@pytest.mark.parametrize("closed", ["0<&-", "1>&-", "2>&-", "0<&- 1>&- 2>&-"])
@pytest.mark.parametrize("flags", ["", "-n shop"])
def test_closed_streams(run: Runner, closed: str, flags: str) -> None:
    """A program that is started without some of the standard streams starts under tracerun too."""
    app = run.program(
        "import sys\nopen('out', 'w').write(repr([sys.stdin is None, sys.stdout is None, sys.stderr is None]))"
    )
    run.plain("sh", "-c", f"exec {PYTHON} {app} {closed}")
    plain = (run.folder / "out").read_text()
    (run.folder / "out").unlink()
    done = run.plain("sh", "-c", f"exec {TRACERUN} {flags} {PYTHON} {app} {closed}")
    assert (done.status, done.err) == (0, "")
    assert (run.folder / "out").read_text() == plain


def test_signals_and_files_as_without_us(run: Runner) -> None:
    """A program that is no Python inherits no ignored signal and no open file from the launcher."""
    same(run, "grep", "Sig[IBC]", "/proc/self/status")
    same(run, "sh", "-c", "ls /proc/self/fd; yes | head -1")


def test_nested(run: Runner) -> None:
    """The command under itself is the command once."""
    code = f"import os, sys; print({TRACED}, sys.path, os.environ['PYTHONPATH'].count('agent'))"
    done = run.traced(TRACERUN, "python", "-c", code)
    assert done.err == ""
    assert done.out == run.traced("python", "-c", code).out


def test_as_a_module(run: Runner) -> None:
    """`python -m tracerun` is tracerun."""
    words = ["python", "-c", f"import sys; print({TRACED}, sys.argv, sys.path)", "-n"]
    assert run.command(PYTHON, "-m", "tracerun", *words).out == run.traced(*words).out
    assert run.command(PYTHON, "-m", "tracerun", "--version").out == f"tracerun {__version__}\n"


@pytest.mark.parametrize("text", ["", "import os, sys; print(os.getcwd(), __name__, __file__, __spec__.name)"])
def test_sitecustomize_runs_once(run: Runner, text: str) -> None:
    """The program's own sitecustomize is loaded once, from where it would be, under its name."""
    run.program(f"import sys\nsys.customized = getattr(sys, 'customized', 0) + 1\n{text}", "own/sitecustomize.py")
    app = run.program(
        "import sys\nimport sitecustomize as own\nprint(sys.customized, own.__file__, own.__loader__.path)"
    )
    env: dict[str, str | None] = {"PYTHONPATH": str(run.folder / "own")}
    plain = run.plain(PYTHON, app, env=env)
    # -E: the launcher is a Python too, and would load it for itself.
    traced = run.command(PYTHON, "-E", "-m", "tracerun", PYTHON, app, env=env)
    assert (traced.status, traced.out, traced.err) == (plain.status, plain.out, plain.err)
    assert "\n1 " in f"\n{traced.out}"


@pytest.mark.parametrize("text", ["raise ValueError('broken')", "import nosuch", "raise ImportError('no', name='x')"])
def test_errors_of_sitecustomize(run: Runner, text: str) -> None:
    """An error in the program's own sitecustomize is reported as Python reports it, and the program is traced."""
    run.program(text, "own/sitecustomize.py")
    app = run.program(f"import sys\nprint('sitecustomize' in sys.modules, {TRACED})")
    env: dict[str, str | None] = {"PYTHONPATH": str(run.folder / "own")}
    plain = run.plain(PYTHON, app, env=env)
    traced = run.command(PYTHON, "-E", "-m", "tracerun", PYTHON, app, env=env)
    assert plain.err
    assert (traced.status, traced.err) == (plain.status, plain.err)
    assert (plain.out, traced.out) == ("False False\n", "False True\n")


def test_usercustomize(run: Runner) -> None:
    """The user's usercustomize is loaded once, behind the sitecustomize."""
    base = f"{sys.base_prefix}/bin/python{sys.version_info[0]}.{sys.version_info[1]}"
    run.program("import sys\nsys.customized = getattr(sys, 'customized', 0) + 1", "own/usercustomize.py")
    env = {"PYTHONPATH": str(run.folder / "own"), "PYTHONUSERBASE": str(run.folder)}
    assert same(run, base, "-c", "import sys; print(sys.customized)", env=env).out == "1\n"


@pytest.mark.parametrize("value", [None, "", "lib", "lib:", ":lib", ":", "lib::other", "/nosuch"])
def test_pythonpath_keeps_its_meaning(run: Runner, value: str | None) -> None:
    """Unset, empty, with an empty entry: sys.path is that of the plain run."""
    run.program("", "lib/file")
    app = run.program("import sys; print(sys.path)", "elsewhere/app.py")
    same(run, PYTHON, app, env={"PYTHONPATH": value})


REFUSED = [
    (["nosuch-command"], 127, "command not found: nosuch-command"),
    ([""], 127, "command not found: "),
    (["./nosuch/command"], 127, "command not found: ./nosuch/command"),
    (["pythn"], 127, "command not found: pythn (did you mean python?)"),
    (["app.py"], 127, "command not found: app.py (did you mean: tracerun python app.py)"),
    (["./app.py"], 126, "./app.py is not executable (did you mean: tracerun python ./app.py)"),
    (["./package"], 126, "./package is a directory, not a command (did you mean: tracerun python ./package)"),
    (["package"], 127, "command not found: package (did you mean: tracerun python package)"),
    (["/"], 126, "/ is a directory, not a command"),
    (["./strange"], 127, "./strange: its interpreter (first line, #!) is not there"),
    (["two\nlines"], 127, "command not found: two\\nlines"),
]


@pytest.mark.parametrize(("words", "status", "line"), REFUSED, ids=[str(row[0]) for row in REFUSED])
def test_commands_that_cannot_be_run(run: Runner, words: list[str], status: int, line: str) -> None:
    """One line that says what is wrong and what was meant, and the status that a shell would give."""
    run.program("")
    run.program("", "package/__main__.py")
    executable(run, "#!/nosuch/interpreter\n", "strange")
    done = run.traced(*words)
    slug = {126: "not-executable", 127: "command-not-found"}[status]
    assert (done.status, done.out, done.err) == (status, "", f"tracerun: {line} [{slug}]\n")


def test_found_but_not_executable(run: Runner) -> None:
    """A file on PATH without the permission to execute it is 126, as in a shell."""
    run.program("", "bin/tool")
    done = run.traced("tool", env={"PATH": f"{run.folder}/bin"})
    assert (done.status, done.err) == (126, "tracerun: tool is not executable [not-executable]\n")


def test_help(run: Runner) -> None:
    """The help fits on one screen; without arguments it is the help, and wrong usage."""
    done = run.traced("--help")
    assert (done.status, done.err) == (0, "")
    lines = done.out.splitlines()
    assert len(lines) <= 30
    assert max(map(len, lines)) <= 110
    nothing = run.traced()
    assert (nothing.status, nothing.out, nothing.err) == (2, done.out, "")
    assert run.traced("-n", "shop").status == 2


@pytest.mark.parametrize("words", [["--help"], ["--list-instrumentations"]])
def test_output_that_cannot_be_written(run: Runner, words: list[str]) -> None:
    """A full disk is one line and status 1; a reader that has gone is no news."""
    full = run.plain("sh", "-c", f"{shlex.join([TRACERUN, *words])} > /dev/full")
    line = "the output cannot be written: No space left on device [output-not-written]"
    assert (full.status, full.err) == (1, f"tracerun: {line}\n")
    gone = run.plain("sh", "-c", f"{shlex.join([TRACERUN, *words])} | true")
    assert gone.err == ""


def test_version(run: Runner) -> None:
    """One line, on stdout."""
    done = run.traced("--version")
    assert (done.status, done.out, done.err) == (0, f"tracerun {__version__}\n", "")


WRONG_FLAGS = [
    (["--nosuch"], "No such option '--nosuch'"),
    (["--exporters", "file"], "(see tracerun --help)"),
    (["-n"], "Option '-n' requires an argument"),
    (["--insecure=yes"], "Option '--insecure' does not take a value"),
    (["-e", "ftp://host"], "--endpoint: allowed: http://HOST:PORT"),
    (["-e", "http://user:hunter2@host:port"], "--endpoint: allowed: http://HOST:PORT"),
    (["-e", "localhost:14250"], "such as http://localhost:4317"),
    (["--protocol", "thrift"], "--protocol thrift: allowed: http/protobuf, http/json, grpc"),
    (["-H", "hunter2"], "--header: allowed: NAME=VALUE, NAME=@FILE or NAME=env:VAR"),
    (["-H", "bad name=hunter2"], "--header: the name of entry 1 is no header name"),
    (["-H", "a=1", "-H", "b=hunter2\x07"], "--header: the value of entry 2 is not printable ASCII"),
    (["-H", "token=@hunter2.txt"], "--header token: the file cannot be read: No such file or directory"),
    (["-H", "token=env:NOSUCH"], "--header token: the variable NOSUCH is not set"),
    (["--exporter", "jaeger"], "OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:4318"),
    (["--exporter", "none,file"], "none stands alone"),
    (
        ["--exporter", "flie"],
        "--exporter flie: unknown (did you mean file?); allowed: auto, otlp, file, tree, console, none",
    ),
    (["--resource", "team"], "--resource team: allowed: KEY=VALUE"),
    (["--sampler", "sometimes"], "--sampler sometimes: unknown; allowed: always_on, always_off, traceidratio"),
    (["--sampler", "traceidratio:2"], "--sampler traceidratio:2: allowed: a ratio from 0.0 to 1.0"),
    (["--propagators", "b4"], "--propagators b4: unknown; allowed: tracecontext, baggage, none"),
    (["--only", "flsk"], "--only flsk: unknown (did you mean flask?); allowed: requests, urllib3"),
    (["--disable", "requests,nosuch"], "--disable nosuch: unknown; allowed: requests, urllib3"),
    (["--children", "some"], "--children some: allowed: same, all, none"),
    (["--exit-timeout", "soon"], "--exit-timeout soon: allowed: a number from 0"),
]


@pytest.mark.parametrize(("flags", "said"), WRONG_FLAGS, ids=[" ".join(row[0])[:40] for row in WRONG_FLAGS])
def test_wrong_flags(run: Runner, flags: list[str], said: str) -> None:
    """One line with what is allowed, status 2, nothing started; a secret is not repeated."""
    app = run.program("print('started')")
    done = run.traced(PYTHON, app, flags=(*flags,)) if flags != ["-n"] else run.traced("-n")
    assert (done.status, done.out) == (2, "")
    (line,) = done.err.splitlines()
    assert line.startswith("tracerun: ")
    assert said in line
    assert "hunter2" not in line or "hunter2.txt" in flags[1]


def test_the_environment_is_not_a_flag(run: Runner) -> None:
    """A wrong variable beside a right flag is named by the program's process, not refused by the launcher."""
    app = run.program("print('started')")
    env = {"OTEL_PROPAGATORS": "nosuch", "OTEL_EXPORTER_OTLP_TIMEOUT": "soon", "TRACERUN_CHILDREN": "some"}
    done = run.traced(PYTHON, app, flags=("-n", "shop"), env=env)
    assert (done.status, done.out, done.theirs) == (0, "started\n", "")
    assert [line.partition("=")[0] for line in done.ours] == ["TRACERUN_CHILDREN", "OTEL_EXPORTER_OTLP_TIMEOUT"]


def test_headers_without_a_secret_on_the_command_line(run: Runner, web: Any, receiver: Any) -> None:
    """`-H NAME=@FILE` and `-H NAME=env:VAR` reach the receiver as headers."""
    (run.folder / "secret.txt").write_text("from, file=1\n")
    app = run.program(f"import requests; requests.get('{web.url}')")
    flags = (
        "-e",
        receiver.endpoint,
        "--exporter",
        "otlp",
        "-H",
        "a=@secret.txt",
        "-H",
        "B=env:SECRET",
        "-H",
        "c=plain",
    )
    done = run.traced(PYTHON, app, flags=flags, env={"SECRET": "from env%", "TRACERUN_EXPORTER": None})
    assert done.err == ""
    (headers,) = receiver.headers
    assert (headers["a"], headers["b"], headers["c"]) == ("from, file=1", "from env%", "plain")


# Each option in the environment of the program.
CARRIED = [
    (["-n", "shop"], {"OTEL_SERVICE_NAME": "shop"}),
    (["-e", "http://h:1"], {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://h:1", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": None}),
    (["--protocol", "grpc"], {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": None}),
    (["--insecure"], {"OTEL_EXPORTER_OTLP_INSECURE": "true"}),
    (["-H", "a=b c", "-H", "d=e,f"], {"OTEL_EXPORTER_OTLP_HEADERS": "a=b c,d=e%2Cf"}),
    (["--exporter", "otlp,console"], {"OTEL_TRACES_EXPORTER": "otlp,console", "TRACERUN_EXPORTER": None}),
    (["--exporter", "otlp,file"], {"TRACERUN_EXPORTER": "otlp,file", "OTEL_TRACES_EXPORTER": None}),
    (["--resource", "a=b,c", "--resource", "d=e"], {"OTEL_RESOURCE_ATTRIBUTES": "a=b%2Cc,d=e"}),
    (["--sampler", "traceidratio:0.1"], {"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.1"}),
    (["--propagators", "tracecontext"], {"OTEL_PROPAGATORS": "tracecontext"}),
    (["--only", "flask,requests"], {"TRACERUN_ONLY": "flask,requests"}),
    (["--disable", "*"], {"OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "*"}),
    (["--children", "none"], {"TRACERUN_CHILDREN": "none"}),
    (["--exit-timeout", "0.5"], {"TRACERUN_EXIT_TIMEOUT": "0.5"}),
    (["--strict"], {"TRACERUN_STRICT": "true"}),
]


@pytest.mark.parametrize(("flags", "expected"), CARRIED, ids=[" ".join(row[0])[:40] for row in CARRIED])
def test_options_are_variables(run: Runner, flags: list[str], expected: dict[str, str | None]) -> None:
    """Each option is one standard variable, or ours where there is none, and wins over what stood there."""
    stood = {
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://other:1",
        "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/json",
        "OTEL_TRACES_EXPORTER": "console",
    }
    shown = run.command(TRACERUN, *flags, "env", env={**stood, "OTEL_SERVICE_NAME": "other"}).out.splitlines()
    env = dict(line.split("=", 1) for line in shown if "=" in line)
    assert {name: env.get(name) for name in expected} == expected


SHOW_NAME = "import os; print(os.environ.get('OTEL_SERVICE_NAME'))"


@pytest.mark.parametrize(
    ("flags", "variable", "name"),
    [((), None, "table"), ((), "variable", "variable"), (("-n", "flag"), "variable", "flag"), ((), " ", "table")],
)
def test_precedence(run: Runner, flags: tuple[str, ...], variable: str | None, name: str) -> None:
    """A flag wins over a variable, a variable over the nearest pyproject.toml; an empty variable is none."""
    run.program("[tool.tracerun]\nservice-name = 'table'\n", "pyproject.toml")
    run.program("", "deep/down/file")
    done = run.traced(
        PYTHON, "-c", SHOW_NAME, flags=flags, env={"OTEL_SERVICE_NAME": variable}, cwd=run.folder / "deep" / "down"
    )
    assert (done.out, done.err) == (f"{name}\n", "")


def test_the_nearest_pyproject_counts(run: Runner) -> None:
    """One without a table of ours is the nearest all the same."""
    run.program("[tool.tracerun]\nservice-name = 'far'\n", "pyproject.toml")
    run.program("[project]\nname = 'near'\n", "near/pyproject.toml")
    assert run.traced(PYTHON, "-c", SHOW_NAME, cwd=run.folder / "near").out == "None\n"


def test_every_kind_of_value_in_pyproject(run: Runner) -> None:
    """Text, numbers, switches, lists and tables mean what they look like."""
    run.program(
        "[tool.tracerun]\nexit-timeout = 3\ninsecure = true\nstrict = false\nonly = ['flask', 'requests']\n"
        "resource = { team = 'a,b', tier = 2 }\nheader = ['x=1', 'y=env:SECRET']\n",
        "pyproject.toml",
    )
    shown = run.traced("env", env={"SECRET": "hunter2"}).out.splitlines()
    assert {
        "TRACERUN_EXIT_TIMEOUT=3",
        "OTEL_EXPORTER_OTLP_INSECURE=true",
        "TRACERUN_ONLY=flask,requests",
        "OTEL_RESOURCE_ATTRIBUTES=team=a%2Cb,tier=2",
        "OTEL_EXPORTER_OTLP_HEADERS=x=1,y=hunter2",
    } <= set(shown)
    assert not any(line.startswith("TRACERUN_STRICT") for line in shown)


@pytest.mark.parametrize(
    ("table", "said"),
    [
        (
            "[tool.tracerun]\nservice_name = 'x'",
            "[tool.tracerun] service_name: unknown; allowed: service-name, endpoint",
        ),
        ("[tool.tracerun]\nchildren = 'some'", "[tool.tracerun] children =: allowed: same, all, none"),
        ("[tool.tracerun]\nexporter = ['nosuch']", "[tool.tracerun] exporter = nosuch: unknown"),
        ("[tool.tracerun]\nheader = 'hunter2'", "[tool.tracerun] header =: allowed: NAME=VALUE"),
        ("[tool.tracerun]\nresource = 'x'", "[tool.tracerun] resource = x: allowed: KEY=VALUE"),
        ("[tool.tracerun]\nendpoint = 'http://u:hunter2@h:x'", "[tool.tracerun] endpoint =: allowed: http://HOST:PORT"),
        ("[[tool.tracerun]]\nchildren = 'all'", "tool.tracerun is not a table"),
        ("[tool.tracerun]\nchildren", "pyproject.toml: "),
    ],
)
def test_a_wrong_pyproject(run: Runner, table: str, said: str) -> None:
    """A wrong key or value in the table is refused like a flag, with the file's name."""
    run.program(table, "pyproject.toml")
    done = run.traced(PYTHON, "-c", "print('started')")
    assert (done.status, done.out) == (2, "")
    (line,) = done.err.splitlines()
    assert line.startswith(f"tracerun: {run.folder}/pyproject.toml: ")
    assert said.replace(" =:", " = some:" if "some" in table else " =:") in line
    assert "hunter2" not in line


def test_a_broken_pyproject_without_our_table(run: Runner) -> None:
    """A pyproject.toml that is not about us is not even parsed."""
    run.program("[project\n\0", "pyproject.toml")
    assert run.traced(PYTHON, "-c", "print('started')").out == "started\n"


# As a program is started that has no setting at all.
UNSET: dict[str, str | None] = dict.fromkeys(("TRACERUN_DIR", "TRACERUN_EXPORTER", "TRACERUN_RAISE_ERRORS"))


def loaded(run: Runner, *words: str) -> set[str]:
    """The modules that an interpreter imports."""
    err = run.command(PYTHON, "-X", "importtime", *words, env=UNSET).err
    return {line.rpartition("|")[2].strip() for line in err.splitlines() if line.startswith("import time:")}


def test_what_the_launcher_imports(run: Runner) -> None:
    """Without options the launcher is a bare interpreter with a handful of modules; no click, nothing heavy."""
    cli = {f"tracerun.cli{name}" for name in ("", ".execute", ".isolation", ".launch")}
    shared = {f"tracerun{name}" for name in ("", ".environment", ".errors", ".injection", ".interpreter")}
    extra = loaded(run, TRACERUN, "true") - loaded(run, "-c", "pass")
    assert extra == cli | shared | {"errno"}
    with_options = loaded(run, TRACERUN, "-n", "shop", "true")
    assert "click" in with_options
    assert not {name.partition(".")[0] for name in with_options} & {"rich", "opentelemetry", "importlib_metadata"}


def modules(run: Runner, *words: str, code: str = "", **options: Any) -> set[str]:
    """The modules that a program finds loaded, at its first line or after some code of its own."""
    code = f"import sys; {code or 'pass'}; print(*sys.modules)"
    return set(run.command(*words, PYTHON, "-c", code, **options).out.split())


def test_what_the_program_finds_loaded(run: Runner) -> None:
    """A traced `python -c pass` has six modules more than plain; with settings a few more; nothing of OpenTelemetry."""
    plain = modules(run)
    first = {"tracerun", "tracerun.environment"} | {
        f"tracerun.agent{name}" for name in ("", ".boot", ".guard", ".hooks")
    }
    assert modules(run, TRACERUN, env=UNSET) - plain == first
    set_up = {"tracerun.agent.configuring", "tracerun.settings", "tracerun.values"}
    assert modules(run, TRACERUN) - plain == first | set_up
    assert plain <= modules(run, TRACERUN)
    # Nor does the end of a program that has imported nothing load anything.
    env = {**UNSET, "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}
    ended = run.command(TRACERUN, PYTHON, "-X", "importtime", "-c", "pass", env=env).err
    ours = {line.rpartition("|")[2].strip() for line in ended.splitlines() if "tracerun." in line}
    assert ours == {name for name in first | set_up if "." in name}


def test_what_the_first_import_loads(run: Runner) -> None:
    """The hooks come with the program's first import; it finds nothing loaded that it has not imported itself."""
    code = "import colorsys"
    plain = modules(run, code=code)
    extra = modules(run, TRACERUN, code=code, env=UNSET) - plain
    assert {name for name in extra if not name.startswith("tracerun")} == set()
    later = ("arming", "dispositions", "exits", "forks", "libraries", "shadows", "threads")
    catalog = {"tracerun.instrumentation", "tracerun.instrumentation.catalog", "tracerun.settings", "tracerun.values"}
    start = modules(run, TRACERUN, env=UNSET) - modules(run)
    assert extra == start | catalog | {f"tracerun.agent.{name}" for name in later}


# What the API brings with it, beyond what Flask has loaded.
OPENTELEMETRY = "attributes baggage context environment_variables propagate propagators sdk trace util version"


def test_what_an_application_loads(run: Runner) -> None:
    """Making a Flask application loads the API, nothing of the SDK but its version, and nothing that sends anything."""
    code = "import flask; flask.Flask('a')"
    extra = modules(run, TRACERUN, code=code, env=UNSET) - modules(run, code=code)
    others = {name for name in extra if name.partition(".")[0] not in ("opentelemetry", "tracerun")}
    assert others <= {"fcntl", "mmap", "typing_extensions"}
    parts = {name.split(".")[1] for name in extra if name.startswith("opentelemetry.")}
    assert parts == set(OPENTELEMETRY.split())
    assert {name for name in extra if name.startswith("opentelemetry.sdk.")} == {"opentelemetry.sdk.version"}
    assert len([name for name in extra if name.startswith("tracerun.")]) <= 63


def instructions(run: Runner, *words: str, **env: str | None) -> int:
    """What an interpreter executes, by valgrind's count; it is the same at every run."""
    counting = ("valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null")
    done = run.command(*counting, PYTHON, *words, env={**UNSET, "PYTHONHASHSEED": "0", **env})
    (line,) = [line for line in done.err.splitlines() if "Collected :" in line]
    return int(line.rpartition(":")[2])


# The launcher up to its exec, at which valgrind would forget what it has counted.
LAUNCHER = """
import os, sys
os.execve = lambda *_: os._exit(0)
sys.argv = ["tracerun", sys.executable, "-c", "pass"]
from tracerun.cli.launch import main
main()
"""


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("valgrind") is None, reason="valgrind is not installed")
def test_instructions_of_a_start(run: Runner) -> None:
    """The launcher costs a bare interpreter, and the agent a seventh of one: together 2.2 times plain, at the most."""
    instructions(run, "-c", LAUNCHER)  # writes the .pyc files
    plain = instructions(run, "-c", "pass")
    traced = instructions(run, "-c", "pass", PYTHONPATH=FOLDER, TRACERUN_PID="1", TRACERUN_RUN="1")
    launcher = instructions(run, "-c", LAUNCHER)
    assert traced < 1.15 * plain
    assert traced + launcher < 2.2 * plain
    named = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_SERVICE_NAME": "shop"}
    to_receiver = instructions(run, "-c", "pass", PYTHONPATH=FOLDER, TRACERUN_PID="1", TRACERUN_RUN="1", **named)
    assert to_receiver < 1.3 * plain
    assert instructions(run, "-c", LAUNCHER, **named) < 1.02 * launcher


def test_libraries_loaded_before_us(run: Runner, web: Any, tmp_path: Path) -> None:
    """What a .pth file has imported is traced too: the program's own import of it may be no import any more."""
    subprocess.run([PYTHON, "-m", "venv", "--without-pip", str(tmp_path / "env")], check=True)
    packages = next((tmp_path / "env").glob("lib/python3*/site-packages"))
    (packages / "early.pth").write_text("import urllib.request\n")
    code = "import sys, urllib.request; urllib.request.urlopen(sys.argv[1])"
    python = str(tmp_path / "env" / "bin" / "python")
    done = run.traced(python, "-c", code, web.url)
    assert (done.status, done.theirs, len(done.spans)) == (0, "", 1)
    # A namespace package, as setuptools makes them, is none.
    (packages / "early.pth").write_text("import sys, types; sys.modules['paste'] = types.ModuleType('paste')\n")
    armed = "import sys; print('paste' in sys.modules, 'tracerun.agent.arming' in sys.modules)"
    assert run.traced(python, run.program(armed)).out == "True False\n"
    # The list of those whose import somebody waits for.
    known = {name.partition(".")[0] for library in CATALOG for name in library.modules} & sys.stdlib_module_names
    assert known | {"multiprocessing"} == boot.PYTHONS_OWN


def test_the_environment_of_the_program(run: Runner) -> None:
    """Only PYTHONPATH and variables of our own are added; no standard variable that the user did not set."""
    plain, traced = (set(run.command(*words, "env").out.splitlines()) for words in ((), (TRACERUN,)))
    added = {line.partition("=")[0] for line in traced - plain}
    # TRACERUN_SITE: only where OpenTelemetry does not lie beside us, as in an editable installation.
    assert added - {"TRACERUN_SITE"} == {"PYTHONPATH", "TRACERUN_PID", "TRACERUN_RUN"}
    assert {line.partition("=")[0] for line in plain - traced} <= {"_"}


@pytest.mark.parametrize("variable", ["TRACERUN_ENABLED=false", "OTEL_SDK_DISABLED=true"])
@pytest.mark.parametrize("flags", [(), ("-n", "shop")])
def test_switched_off(run: Runner, variable: str, flags: tuple[str, ...]) -> None:
    """Nothing is injected, and one line says why nothing is traced."""
    name, _, value = variable.partition("=")
    code = "import os, sys; print(os.environ.get('PYTHONPATH'), [m for m in sys.modules if 'tracerun.' in m])"
    done = run.traced(PYTHON, "-c", code, flags=flags, env={name: value, "PYTHONPATH": "lib:"})
    assert done.out == "lib: []\n"
    assert done.ours == [f"nothing is traced: {variable}"]


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The interpreter of a new virtual environment of another Python version."""
    candidates = [path for path in OTHER_VERSIONS if f"/{sys.version_info[0]}.{sys.version_info[1]}." not in str(path)]
    if not candidates:
        pytest.skip("no other Python from 3.10 on in ~/.pyenv/versions")
    folder = tmp_path_factory.mktemp("other")
    subprocess.run([str(candidates[-1]), "-m", "venv", "--without-pip", str(folder)], check=True)
    return str(folder / "bin" / "python")


# Starts the interpreter given, and shows whether that child is traced, and what it writes to stderr.
PARENT = f"""
import subprocess, sys
words = [*sys.argv[1:], "-c", "import sys; print({TRACED}, sys.path)"]
done = subprocess.run(words, capture_output=True, text=True)
print(done.stdout.split()[0], repr(done.stderr), done.returncode)
"""


@pytest.mark.parametrize(("children", "of_same", "of_other"), [("none", 0, 0), ("same", 1, 0), ("all", 1, 1)])
def test_children(run: Runner, other: str, children: str, of_same: int, of_other: int) -> None:
    """`--children` decides which child processes are traced; a child that is not has nothing to say."""
    app = run.program(PARENT)
    for python, expected in ((PYTHON, of_same), (other, of_other)):
        done = run.traced(PYTHON, app, python, flags=("--children", children))
        assert (done.out, done.err) == (f"{bool(expected)} '' 0\n", "")


def test_no_children_have_nothing_of_ours(run: Runner) -> None:
    """With `--children none` the program's PYTHONPATH is what it would be."""
    code = "import os; print(os.environ.get('PYTHONPATH'))"
    for value in (None, "lib", ":lib"):
        env = {"PYTHONPATH": value}
        assert run.traced(PYTHON, "-c", code, flags=("--children", "none"), env=env).out == f"{value}\n"


def test_the_target_under_a_shell(run: Runner, other: str) -> None:
    """Under a command that is no Python the first Python is the target, whatever its version; its like are traced."""
    app = run.program(PARENT)
    words = ["sh", "-c", '"$@"; "$@"', "sh", other, app]
    assert run.traced(*words, other).out == "True '' 0\n" * 2
    assert run.traced(*words, PYTHON).out == "False '' 0\n" * 2


@pytest.mark.parametrize("name", ["poetry", "tox"])
def test_runners(run: Runner, other: str, name: str) -> None:
    """Runners that are Python themselves, in another environment, imply `--children all`; an option wins."""
    executable(run, f"#!{other}\n{PARENT}", name)
    assert run.traced(f"./{name}", PYTHON).out == "True '' 0\n"
    assert run.traced(f"./{name}", PYTHON, flags=("--children", "same")).out == "False '' 0\n"


@pytest.mark.parametrize("version", ["2.7", "3.6", "3.9"])
@pytest.mark.parametrize("children", ["same", "all"])
def test_old_children(run: Runner, version: str, children: str) -> None:
    """A Python too old for tracerun inherits the variable and runs as if we were not there."""
    found = sorted(Path("~/.pyenv/versions").expanduser().glob(f"{version}.*/bin/python"))
    if not found:
        pytest.skip(f"no Python {version} in ~/.pyenv/versions")
    code = "import sys; print(sorted(sys.modules), sys.path)"
    words = [PYTHON, "-c", "import subprocess, sys; sys.exit(subprocess.call(sys.argv[1:]))", str(found[0]), "-c", code]
    plain, traced = run.plain(*words), run.traced(*words, flags=("--children", children))
    assert (traced.status, traced.out, traced.err) == (plain.status, plain.out, plain.err)
    assert plain.err == ""
