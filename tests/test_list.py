"""``--list-instrumentations`` against real virtual environments: every state, for people and as JSON."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.instrumentation import bootstrap_gen

from tests.conftest import PYTHON, ROOT, TRACERUN, Runner
from tests.environments import Environments, environments, interpreter
from tracerun import __version__
from tracerun.cli.listing import STATES, _upstream
from tracerun.instrumentation.upstream import NAMES

__all__ = ["environments"]  # the fixture

KEYS = {"name", "side", "installed", "supported", "state", "reason", "traced_by", "fix"}
REDIS = next(row["instrumentation"] for row in bootstrap_gen.libraries if row["library"].startswith("redis "))


def distribution(folder: Path, name: str, version: str) -> None:
    """Metadata of an installed distribution, as an installer leaves it."""
    made = folder / f"{name}-{version}.dist-info"
    made.mkdir(parents=True)
    made.joinpath("METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n\nName: none\n")


def listed(run: Runner, *command: str, flags: tuple[str, ...] = (), **options: Any) -> dict[str, Any]:
    """The JSON for a command."""
    words = ("--list-instrumentations", "--format", "json", *flags)
    done = run.command(TRACERUN, *words, *(("--", *command) if command else ()), **options)
    assert (done.status, done.err) == (0, ""), done
    document: dict[str, Any] = json.loads(done.out)
    document["rows"] = {row["name"]: row for row in document["libraries"]}
    return document


@pytest.fixture
def bare(environments: Environments) -> str:
    """An environment of another Python without anything in it."""
    return environments.python("3.12")


def with_packages(run: Runner, **versions: str) -> dict[str, str | None]:
    """An environment variable by which these distributions are found."""
    for name, version in versions.items():
        distribution(run.folder / "packages", name, version)
    return {"PYTHONPATH": str(run.folder / "packages")}


def test_the_schema(run: Runner, bare: str) -> None:
    """All documented keys and no others; sorted; the summary counts the rows; everything is in it."""
    document = listed(run, bare)
    rows = document["libraries"]
    page = (ROOT / "docs" / "list-instrumentations.md").read_text(encoding="utf-8")
    documented = set(re.findall(r"^\| `([a-z_ ]+)` \|", page, re.MULTILINE))
    assert set(document) - {"rows"} | KEYS | set(STATES) == documented
    assert (document["schema"], document["tracerun"], document["python"]) == (1, __version__, bare)
    assert (document["python_version"], document["cannot_be_traced"]) == ("3.12", None)
    assert all(set(row) == KEYS for row in rows)
    assert [row["name"].lower() for row in rows] == sorted(row["name"].lower() for row in rows)
    assert len({row["name"] for row in rows}) == len(rows)
    assert document["summary"] == {state: sum(row["state"] == state for row in rows) for state in STATES}
    assert document["rows"]["urllib"]["traced_by"] == f"tracerun {__version__}"
    assert document["rows"]["flask"] == {
        **dict.fromkeys(KEYS), "name": "flask", "side": "server", "supported": "flask>=2.2", "state": "not installed",
    }  # fmt: skip


def test_states(run: Runner, bare: str) -> None:
    """Traced, too old, missing with its line, left to itself, out of our reach; upstream's own range."""
    env = with_packages(
        run, requests="2.32.0", flask="2.1.3", redis="5.0.1", pyqwest="0.6", uwsgi="2.0.30", celery="3.1"
    )
    rows = listed(run, bare, env=env)["rows"]
    shown = {name: (rows[name]["state"], rows[name]["installed"], rows[name]["reason"]) for name in rows}
    assert shown["requests"] == ("traced", "2.32.0", None)
    assert shown["flask"] == ("unsupported version", "2.1.3", "found 2.1.3, supported >=2.2")
    assert shown["celery"] == ("unsupported version", "3.1", "found 3.1, supported >= 4.0, < 6.0")
    assert shown["uwsgi"] == ("cannot be traced", "2.0.30", "it calls applications from C")
    assert shown["pyqwest"] == ("traced", "0.6", "traces itself, through OpenTelemetry's API")
    assert rows["pyqwest"]["traced_by"] == "pyqwest 0.6"
    assert shown["redis"] == ("instrumentation missing", "5.0.1", None)
    assert rows["redis"]["fix"] == shlex.join(["pip", "--python", bare, "install", REDIS])
    assert {name for name, row in rows.items() if row["fix"]} == {"redis"}


def test_the_table(run: Runner, bare: str) -> None:
    """What is installed, or with ``--all`` everything; the line to copy stands whole; the last line counts."""
    env = with_packages(run, redis="5.0.1", flask="2.1.3")
    lines = run.command(TRACERUN, "--list-instrumentations", "--", bare, env=env).out.splitlines()
    assert lines[0] == f"{bare}  Python 3.12"
    names = [line.split()[0] for line in lines[2:-2]]
    assert names == ["flask", "http_client", "http_server", "redis", "urllib", "wsgiref"]
    assert lines[2].strip().split(maxsplit=4)[1:] == [
        "server", "2.1.3", "flask>=2.2", "unsupported version (found 2.1.3, supported >=2.2)",
    ]  # fmt: skip
    assert lines[-2] == f"to trace redis: pip --python {bare} install {REDIS}"
    assert re.fullmatch(r"4 traced, 1 unsupported version, 1 instrumentation missing, \d+ not installed", lines[-1])
    everything = run.command(TRACERUN, "--list-instrumentations", "--all", "--", bare, env=env).out
    assert re.search(r"^django +server +- +django>=4.2 +not installed *$", everything, re.MULTILINE)
    assert "\x1b" not in everything


@pytest.mark.parametrize(
    ("given", "project", "reason"),
    [
        ((("--only", "flask"), {}), "", "--only names others"),
        (((), {"TRACERUN_ONLY": "flask"}), "", "TRACERUN_ONLY names others"),
        ((("--disable", "urllib"), {}), "", "by --disable"),
        (((), {"OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "*"}), "", "by OTEL_PYTHON_DISABLED_INSTRUMENTATIONS"),
        (((), {}), '[tool.tracerun]\ndisable = ["urllib"]\n', "by [tool.tracerun] disable"),
        (((), {"OTEL_SDK_DISABLED": "true"}), "", "OTEL_SDK_DISABLED=true"),
    ],
)
def test_disabled_by_what(
    run: Runner, bare: str, given: tuple[tuple[str, ...], dict[str, str | None]], project: str, reason: str
) -> None:
    """The reason names the option, the variable or the table that has done it."""
    if project:
        run.program(project, "pyproject.toml")
    row = listed(run, bare, flags=given[0], env=given[1])["rows"]["urllib"]
    assert (row["state"], row["reason"], row["traced_by"]) == ("disabled", reason, None)


@pytest.mark.parametrize(
    ("files", "line"),
    [
        ({"uv.lock": ""}, "uv add {redis}"),
        ({"pyproject.toml": "[tool.uv]\n"}, "uv add {redis}"),
        ({"pyproject.toml": "[project]\nname = 'x'\n", "poetry.lock": ""}, "poetry add {redis}"),
        ({"pyproject.toml": "[tool.poetry]\nname = 'x'\n"}, "poetry add {redis}"),
        ({"pyproject.toml": "[project]\nname = 'x'\n"}, "pip --python {python} install {redis}"),
    ],
)
@pytest.mark.slow
def test_the_line_that_installs(run: Runner, bare: str, files: dict[str, str], line: str) -> None:
    """By what keeps the project, from any folder of it, where the environment is the project's own."""
    for name, text in files.items():
        run.program(text, name)
    base = Path(bare).parent.parent
    made = run.folder / ".venv"
    made.symlink_to(base)
    run.program("", "src/app/x.py")
    env = with_packages(run, redis="5.0.1")
    # A link leads out of the project: the environment is another's then, and is not the project's to change.
    outside = listed(run, str(made / "bin" / "python"), env=env)["rows"]["redis"]["fix"]
    assert outside.startswith("pip --python")
    made.unlink()
    made.joinpath("bin").mkdir(parents=True)
    made.joinpath("bin", "python").symlink_to(Path(bare).resolve())
    made.joinpath("pyvenv.cfg").write_text((base / "pyvenv.cfg").read_text())
    made.joinpath("lib", "python3.12", "site-packages").mkdir(parents=True)
    python = str(made / "bin" / "python")
    found = listed(run, python, env=env, cwd=run.folder / "src" / "app")["rows"]["redis"]["fix"]
    assert found == line.format(redis=REDIS, python=python)


def test_pip_where_it_is(run: Runner, bare: str) -> None:
    """An environment with pip has the line by its own; one that uv has made, by uv's."""
    env = with_packages(run, redis="5.0.1", pip="24.0")
    assert listed(run, bare, env=env)["rows"]["redis"]["fix"] == f"{bare} -m pip install {REDIS}"
    made = run.folder / "uvs"
    for folder in ("bin", "lib/python3.12/site-packages"):
        made.joinpath(folder).mkdir(parents=True)
    made.joinpath("bin", "python").symlink_to(Path(bare).resolve())
    made.joinpath("pyvenv.cfg").write_text(
        "home = /usr/bin\nimplementation = CPython\nuv = 0.9.1\nversion_info = 3.12.1\n"
    )
    python = str(made / "bin" / "python")
    assert listed(run, python, env=env)["rows"]["redis"]["fix"] == f"uv pip install --python {python} {REDIS}"


def test_the_release_that_fits(run: Runner, bare: str) -> None:
    """With an older OpenTelemetry in the environment the line names the release that belongs to it."""
    env = with_packages(run, redis="5.0.1", opentelemetry_api="1.30.0", opentelemetry_sdk="1.30.0")
    line = listed(run, bare, env=env)["rows"]["redis"]["fix"]
    assert shlex.split(line)[-1] == "opentelemetry-instrumentation-redis>=0.51b0,<0.52b0"


@pytest.mark.parametrize(
    ("versions", "reason"),
    [
        (
            {"opentelemetry_sdk": "1.20.0", "opentelemetry_api": "1.20.0"},
            "opentelemetry-sdk 1.20.0: tracerun works with",
        ),
        ({"opentelemetry_sdk": "1.40.0", "opentelemetry_api": "1.38.0"}, "are not of one release"),
        ({"opentelemetry_api": "1.20.0"}, "opentelemetry-api 1.20.0: tracerun works with 1.43"),
    ],
)
def test_releases_that_do_not_fit(run: Runner, bare: str, versions: dict[str, str], reason: str) -> None:
    """Nothing is traced there, and the reason is said once for all and with each library."""
    document = listed(run, bare, env=with_packages(run, **versions))
    assert reason in document["cannot_be_traced"]
    assert reason in document["rows"]["urllib"]["reason"]
    assert document["summary"]["traced"] == 0


@pytest.mark.parametrize("version", ["2.7", "3.6", "3.8", "3.9"])
@pytest.mark.slow
def test_a_python_that_is_too_old(run: Runner, version: str) -> None:
    """It is asked for its packages, and nothing is said to be traced there."""
    python = interpreter(version)
    document = listed(run, python)
    reason = f"Python {version}: tracerun needs 3.10 or later"
    assert (document["cannot_be_traced"], document["python_version"]) == (reason, version)
    states = {row["state"] for row in document["libraries"]}
    assert states == {"cannot be traced", "not installed"}
    table = run.command(TRACERUN, "--list-instrumentations", "--", python).out.splitlines()
    assert table[1] == f"nothing is traced there: {reason}"
    assert table[-1].startswith("0 traced, ")


def test_an_environment_is_not_run(run: Runner, environments: Environments) -> None:
    """A virtual environment whose interpreter cannot even start is listed all the same."""
    made = Path(environments.python("3.12")).parent.parent
    copy = run.folder / "broken"
    copy.joinpath("bin").mkdir(parents=True)
    copy.joinpath("pyvenv.cfg").write_text((made / "pyvenv.cfg").read_text())
    distribution(copy / "lib" / "python3.12" / "site-packages", "Flask", "3.0.0")
    started = copy / "started"
    python = copy / "bin" / "python"
    python.write_text(f"#!/bin/sh\ntouch {started}\nexit 1\n")
    python.chmod(0o755)
    document = listed(run, str(python))
    assert (document["python_version"], document["rows"]["flask"]["state"]) == ("3.12", "traced")
    assert not started.exists()


def test_the_interpreter_behind_a_command(run: Runner, bare: str) -> None:
    """A script's first line, an installer's way around a long one, env; and the options that keep tracerun out."""
    for text in (
        f"#!{bare}\n",
        f"#!/bin/sh\n'''exec' \"{bare}\" \"$0\" \"$@\"\n' '''\n",
        f"#!/usr/bin/env -S {bare}\n",
    ):
        script = Path(run.program(f"{text}print(1)\n", "script"))
        script.chmod(0o755)
        assert listed(run, str(script))["python"] == bare
    assert listed(run, "env", "A=1", bare, "-m", "app")["python"] == bare
    assert listed(run, bare, "-X", "dev", "-m", "app")["cannot_be_traced"] is None
    isolated = listed(run, bare, "-I", "app.py")
    assert isolated["cannot_be_traced"] == "python -I ignores PYTHONPATH"
    assert isolated["summary"]["traced"] == 0


def test_many_and_broken_distributions(run: Runner, bare: str) -> None:
    """Of three hundred each is seen, and one without metadata costs no other."""
    env = with_packages(run, **{f"package{number}": "1.0" for number in range(300)}, flask="3.0.0", redis="5.0.1")
    broken = run.folder / "packages" / "broken-1.0.dist-info"
    broken.mkdir()
    broken.joinpath("METADATA").write_bytes(b"\xff\xfe\x00")
    rows = listed(run, bare, env=env)["rows"]
    assert (rows["flask"]["state"], rows["redis"]["state"]) == ("traced", "instrumentation missing")


def test_every_package_of_upstream_has_a_known_name() -> None:
    """What is said to be missing can be named in ``--disable`` once it is there."""
    document = {package.partition("=")[0].partition(">")[0] for package in _upstream()}
    assert "opentelemetry-instrumentation-redis" in document
    assert not any(name.endswith(("-flask", "-requests", "-grpc", "-asgi", "-click")) for name in document)
    extra = (ROOT / "pyproject.toml").read_text(encoding="utf-8").partition("\nall = [")[2].partition("\n]")[0]
    brought = {line.strip(' ",').partition(">=")[0] for line in extra.strip().splitlines()}
    released_apart = {"opentelemetry-instrumentation-openai-v2", "opentelemetry-instrumentation-vertexai"}
    assert document == brought - {"opentelemetry-instrumentation-sqlite3"} | released_apart


def test_names_are_those_that_disable_takes(run: Runner, bare: str) -> None:
    """Upstream's packages stand under the names of their entry points."""
    rows = listed(run, bare)["libraries"]
    strange = {row["name"] for row in rows if not row["side"]} - set(NAMES)
    assert strange == {"openai-v2", "vertexai"}


@pytest.mark.slow
def test_real_packages(run: Runner, environments: Environments) -> None:
    """Installed for real: one too old, one missing, one that upstream's package traces; the line does what it says."""
    python = environments.python("3.12", "requests==2.27.1", "redis==5.0.1", "pymysql==1.1.1")
    rows = listed(run, python)["rows"]
    assert rows["requests"]["reason"] == "found 2.27.1, supported >=2.28"
    assert (rows["redis"]["state"], rows["pymysql"]["state"]) == ("instrumentation missing",) * 2
    line = shlex.split(rows["redis"]["fix"])
    done = run.command(PYTHON, "-m", *line, timeout=110)
    assert done.status == 0, done
    row = listed(run, python)["rows"]["redis"]
    assert (row["state"], row["installed"]) == ("traced", "5.0.1")
    assert row["traced_by"] == f"opentelemetry-instrumentation-redis {REDIS.partition('==')[2]}"


@pytest.mark.slow
def test_an_isolated_launcher(run: Runner, environments: Environments, bare: str) -> None:
    """Installed by itself, tracerun lists what the target has, and nothing of its own."""
    tracerun = environments.installed("3.13") / "tracerun"
    env = with_packages(run, flask="3.0.0")
    words = (str(tracerun), "--list-instrumentations", "--format", "json", "--", bare)
    document = json.loads(run.command(*words, env=env).out)
    present = {row["name"] for row in document["libraries"] if row["installed"]}
    assert present == {"flask", "http_client", "http_server", "urllib", "wsgiref"}
    assert (document["python"], document["summary"]["traced"]) == (bare, 5)
