"""``--print-env``: what the launcher would set, quoted so that each reader of its format reads it back."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conftest import PYTHON, TRACERUN, Runner
from tracerun.cli.print_env import FORMATS, masked

CALL = "import sys, urllib.request\nprint(urllib.request.urlopen(sys.argv[1]).status)\n"
SHELLS = [shell for shell in ("dash", "bash", "zsh", "ksh", "busybox") if shutil.which(shell)]
# What an environment can hold, with what is special to some format in it more often.
VALUES = st.text(st.one_of(st.sampled_from("'\"\\$`\n\t #:{}()&!*%~-?,|>@=\x7f\x85\u2028\ufeff😀"), st.characters()))
VALUES = VALUES.filter(lambda text: "\0" not in text and not any("\ud800" <= sign <= "\udfff" for sign in text))
ENVIRONMENTS = st.dictionaries(st.from_regex(r"[A-Z][A-Z0-9_]{0,8}", fullmatch=True).map("TRY_".__add__), VALUES)


def printed(run: Runner, *words: str, env: dict[str, str | None] | None = None) -> dict[str, str]:
    """What ``--print-env json`` prints."""
    done = run.command(TRACERUN, *words, "--print-env", "json", env=env)
    assert (done.status, done.err) == (0, ""), done
    found: dict[str, str] = json.loads(done.out)
    return found


@pytest.mark.parametrize("shell", SHELLS)
def test_a_program_of_that_shell_is_traced(run: Runner, web: Any, shell: str) -> None:
    """Each program started in it is traced, without the launcher, and is a run of its own."""
    program = shlex.join([PYTHON, run.program(CALL), f"{web.url}/200"])
    words = [shell, "sh"] if shell == "busybox" else [shell]
    done = run.plain(*words, "-c", f'eval "$({TRACERUN} -n "a shop" --print-env shell)"; {program}; {program}')
    assert (done.status, done.out, done.err) == (0, "200\n200\n", ""), done
    assert [span.service for span in done.spans] == ["a shop"] * 2
    runs = {path.name.split("-")[-2] for path in run.state.glob("*.jsonl")}
    assert len(runs) == 2
    assert "0" not in runs


def test_children_and_exec_in_that_shell(run: Runner, web: Any) -> None:
    """The program's children are traced, unless ``--children none`` is given; and what it becomes by exec is."""
    app = run.program(CALL)
    call = [PYTHON, app, f"{web.url}/200"]
    run.program(f"import subprocess\nsubprocess.run({call!r})\n", "parent.py")
    run.program(f"import os\nos.execv({PYTHON!r}, {call!r})\n", "becomes.py")
    for name, flags, spans in (("parent.py", "", 1), ("parent.py", "--children none", 0), ("becomes.py", "", 1)):
        for path in run.state.glob("*"):
            path.unlink()
        done = run.plain("sh", "-c", f'eval "$({TRACERUN} {flags} --print-env)"; {PYTHON} {name}')
        assert (done.out, len(done.spans)) == ("200\n", spans), (name, flags, done)


def test_only_what_the_launcher_sets(run: Runner) -> None:
    """Less the marks of one run, it is what a launched program has more than one that is not launched."""
    run.program('[tool.tracerun]\nonly = ["urllib"]\n', "pyproject.toml")
    dump = ("-c", "import json, os; print(json.dumps(dict(os.environ)))")
    plain = json.loads(run.plain(PYTHON, *dump).out)
    launched = json.loads(run.traced(PYTHON, *dump, flags=("--sampler", "always_on", "-n", "shop")).out)
    more = {name: value for name, value in launched.items() if plain.get(name) != value}
    for name in ("TRACERUN_PID", "TRACERUN_RUN", "TRACERUN_TARGET"):
        del more[name]
    assert printed(run, "--sampler", "always_on", "-n", "shop") == more
    assert {"PYTHONPATH", "OTEL_TRACES_SAMPLER", "OTEL_SERVICE_NAME", "TRACERUN_ONLY"} <= set(more)


def test_an_option_is_printed_also_where_it_changes_nothing(run: Runner) -> None:
    """What is pasted elsewhere has to have it; a variable alone is not repeated."""
    assert printed(run, "-n", "shop", env={"OTEL_SERVICE_NAME": "shop"})["OTEL_SERVICE_NAME"] == "shop"
    assert "OTEL_SERVICE_NAME" not in printed(run, env={"OTEL_SERVICE_NAME": "shop"})


def test_what_gets_in_the_way_is_unset(run: Runner) -> None:
    """The marks of a traced shell, and a variable that would hide the option's."""
    env: dict[str, str | None] = {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://a", "TRACERUN_TARGET": "3.1:/x"}
    done = run.command(TRACERUN, "-e", "http://b", "--print-env", env=env)
    assert "unset OTEL_EXPORTER_OTLP_TRACES_ENDPOINT\nunset TRACERUN_TARGET\n" in done.out
    assert "export OTEL_EXPORTER_OTLP_ENDPOINT=http://b\n" in done.out


def test_secrets(run: Runner) -> None:
    """Neither headers nor credentials are printed without ``--reveal``, and one line names what is left out."""
    words = ("-H", "api-key=hush", "-e", "https://me:hush@collector:4318/v1?token=hush", "--print-env")
    for form in FORMATS:
        done = run.command(TRACERUN, *words, form)
        assert "hush" not in done.out + done.err
        hidden = "OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_EXPORTER_OTLP_HEADERS"
        assert done.ours == [f"left out, for the secrets in them: {hidden}; --reveal prints them"]
        assert "***" not in done.out  # which would be pasted, and sent
        shown = run.command(TRACERUN, "--reveal", *words, form)
        assert (shown.out.count("hush"), shown.err) == (3, "")
    assert masked("OTEL_EXPORTER_OTLP_ENDPOINT", "http://localhost:4318") == "http://localhost:4318"
    assert masked("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4317") == "collector:4317"
    long = masked("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://h/{'k' * 32}/v1/traces")
    assert long == "http://h/***/v1/traces"


def test_a_command(run: Runner) -> None:
    """What keeps tracerun out of it is said; runners get what they need; an image's command need not be here."""
    isolated = run.command(TRACERUN, "--print-env", "--", PYTHON, "-I", "x.py")
    assert "ignores PYTHONPATH" in isolated.err
    poetry = run.folder / "poetry"
    poetry.write_text("#!/bin/sh\n")
    poetry.chmod(0o755)
    assert "export TRACERUN_CHILDREN=all\n" in run.command(TRACERUN, "--print-env", "shell", str(poetry), "run").out
    assert run.command(TRACERUN, "--print-env", "shell", "nowhere-to-be-found").status == 127
    assert run.command(TRACERUN, "--print-env", "k8s", "nowhere-to-be-found").status == 0


def test_switched_off(run: Runner) -> None:
    """Nothing is set that starts the agent, and the line says why."""
    done = run.command(TRACERUN, "-n", "shop", "--print-env", env={"OTEL_SDK_DISABLED": "true"})
    assert (done.out, done.ours) == ("export OTEL_SERVICE_NAME=shop\n", ["nothing is traced: OTEL_SDK_DISABLED=true"])


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("--print-env", "python"), "--print-env python: allowed: shell, docker, compose, k8s, json;"),
        (("--reveal", PYTHON), "--reveal goes with --print-env"),
        (("--all", PYTHON), "--all goes with --list-instrumentations"),
        (("-v", PYTHON, "-c", "print(1)"), "--verbose goes with --show"),
        (("--show", "--status", "1"), "--show and --status do not go together: one of them at a time"),
        (("--check", "--print-env", "json"), "--check and --print-env do not go together: one of them at a time"),
    ],
)
def test_wrong_usage(run: Runner, words: tuple[str, ...], line: str) -> None:
    """What is allowed is said, and nothing is printed or started."""
    done = run.command(TRACERUN, *words)
    assert (done.status, done.out) == (2, "")
    assert line in done.err


def _undollared(value: str) -> str:
    """As Compose's interpolation and Kubernetes' expansion read it: every ``$`` must be one of two."""
    assert "$" not in value.replace("$$", "")
    return value.replace("$$", "$")


@settings(deadline=None)
@given(ENVIRONMENTS)
def test_yaml_and_json_read_it_back(variables: dict[str, str]) -> None:
    """Any text is the same to a parser of the format."""
    assert json.loads(FORMATS["json"](variables, [])) == variables
    compose = yaml.safe_load(FORMATS["compose"](variables, []))["environment"] or {}
    assert {name: _undollared(value) for name, value in compose.items()} == variables
    k8s = yaml.safe_load(FORMATS["k8s"](variables, []))["env"] or []
    assert {entry["name"]: _undollared(entry["value"]) for entry in k8s} == variables


@pytest.mark.slow
@pytest.mark.parametrize("shell", SHELLS)
@settings(deadline=None, max_examples=40)
@given(variables=ENVIRONMENTS)
def test_shells_read_it_back(shell: str, variables: dict[str, str]) -> None:
    """Any text is the same to a shell, by ``eval`` and as words of ``docker run``."""
    shown = f"exec {shlex.join([PYTHON, '-S', '-E', '-c', DUMP])}"
    words = [shell, "sh"] if shell == "busybox" else [shell]
    run = [*words, "-c", f'eval "$1"\n{shown}', "sh", FORMATS["shell"](variables, ["TRY_GONE"])]
    done = subprocess.run(run, env={**os.environ, "TRY_GONE": "1"}, capture_output=True, check=True)
    assert json.loads(done.stdout)["env"] == variables
    docker = [*words, "-c", shown + " " + FORMATS["docker"](variables, [])]
    done = subprocess.run(docker, capture_output=True, check=True)
    assert json.loads(done.stdout)["words"] == [
        word for name, value in variables.items() for word in ("-e", f"{name}={value}")
    ]


DUMP = """
import json, os, sys
found = {os.fsencode(k).decode(): os.fsencode(v).decode() for k, v in os.environ.items()}
env = {name: value for name, value in found.items() if name.startswith("TRY_")}
print(json.dumps({"env": env, "words": [os.fsencode(word).decode() for word in sys.argv[1:]]}))
"""
