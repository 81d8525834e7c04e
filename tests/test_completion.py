"""Shell completion, in the shells themselves; the help; colour."""

from __future__ import annotations

import os
import pty
import select
import shutil
import subprocess
from typing import Any

import pytest

from tests.conftest import LONGEST, PYTHON, TRACERUN, Runner

# What readline does at a tab, without readline: the function that the script has registered is called.
ASK = """
eval "$(_TRACERUN_COMPLETE=bash_source tracerun)"
compopt() { echo "compopt $*"; }
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=()
$(complete -p tracerun | sed 's/.*-F \\([^ ]*\\).*/\\1/') tracerun
printf '%s\\n' "${COMPREPLY[@]}"
"""
FILES = ["compopt -o", "default", ""]
# Bash gives what stands before and after an equals sign as words.
WORDS = [
    (["--ex"], ["--exporter", "--exclude-url", "--exit-timeout"]),
    (["--st"], ["--strict", "--status"]),
    (["--exporter", ""], ["auto", "otlp", "file", "tree", "console", "none"]),
    (["--exporter", "otlp,f"], ["otlp,file"]),
    (["--exporter", "=", "ot"], ["otlp"]),
    (["--exporter", "=", "otlp", "--sampler", "traceid"], ["traceidratio"]),
    (["--sampler", "parent"], ["parentbased_always_on", "parentbased_always_off", "parentbased_traceidratio"]),
    (["--propagators", "tracecontext,b"], ["tracecontext,baggage"]),
    (["--protocol", ""], ["http/protobuf", "http/json", "grpc"]),
    (["--children", "a"], ["all"]),
    (["--only", "flas"], ["flask"]),
    (["--disable", "requests,urllib3,re"], ["requests,urllib3,redis", "requests,urllib3,remoulade"]),
    (["--print-env", "d"], ["docker"]),
    (["--format", ""], ["table", "json"]),
    (["--show", "l"], ["last"]),
    (["-n", "shop", "our-comm"], ["our-command"]),
    (["--", "our-comm"], ["our-command"]),
    (["--list-instrumentations", "our-comm"], ["our-command"]),
    # After COMMAND all is the command's own, whatever it looks like.
    (["python", "ap"], FILES),
    (["python", "--ex"], FILES),
    (["python", "-n", ""], FILES),
    (["-n", "shop", "python", "--exporter", "o"], FILES),
    (["--", "python", "-"], FILES),
    (["./our"], FILES),
]


@pytest.fixture
def command(run: Runner) -> str:
    """A folder with a command in it."""
    path = run.folder / "bin" / "our-command"
    path.parent.mkdir()
    path.write_text("#!/bin/sh\n", encoding="ascii")
    path.chmod(0o755)
    (path.parent / "our-comment").write_text("cannot be executed", encoding="ascii")
    return f"{path.parent}{os.pathsep}{run.env['PATH']}"


@pytest.mark.parametrize("value", ["bogus", "bash", "tcsh_source", "bash_complete"])
def test_what_no_shell_asks(run: Runner, value: str) -> None:
    """One line, as for every wrong usage."""
    done = run.command(TRACERUN, env={"_TRACERUN_COMPLETE": value})
    assert (done.status, done.out, len(done.ours), done.theirs) == (2, "", 1, "")


@pytest.mark.parametrize(("words", "expected"), WORDS, ids=lambda value: " ".join(value)[:40])
@pytest.mark.slow
def test_bash(run: Runner, command: str, words: list[str], expected: list[str]) -> None:
    """Options, their values, one after a comma too; the command; then files."""
    done = run.command("bash", "-c", ASK, "bash", "tracerun", *words, env={"PATH": command})
    assert (done.out.split("\n")[:-1], done.err) == (expected, ""), done


def test_bash_with_a_tab(run: Runner) -> None:
    """In a real interactive bash, with readline."""
    (run.folder / "a-file-of-mine.py").touch()
    start = (
        'PS1="rea""dy> "; bind "set enable-bracketed-paste off"; eval "$(_TRACERUN_COMPLETE=bash_source tracerun)"\n'
    )
    steps = [
        ("$ ", start) if os.geteuid() else ("# ", start),
        ("ready> ", "tracerun --propa\t"),
        ("tracerun --propagators ", "\x15tracerun python a-fi\t"),
        ("tracerun python a-file-of-mine.py ", "\x15exit\n"),
    ]
    typed(run, ["bash", "--norc", "--noprofile", "-i"], steps)


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_zsh_and_fish(run: Runner, shell: str) -> None:
    """Their scripts are click's, and what these ask is answered: kind, value, help."""
    script = run.command(TRACERUN, env={"_TRACERUN_COMPLETE": f"{shell}_source"}).out
    assert f"_TRACERUN_COMPLETE={shell}_complete" in script
    if shutil.which(shell):
        assert run.command(shell, "-n", "-c", script).status == 0
    for words, cword, expected in (("tracerun --exporter fi", "2", "file"), ("tracerun python ap", "2", "ap")):
        word = words.split()[-1] if shell == "fish" else cword
        env: dict[str, str | None] = {
            "_TRACERUN_COMPLETE": f"{shell}_complete",
            "COMP_WORDS": words,
            "COMP_CWORD": word,
        }
        done = run.command(TRACERUN, env=env)
        kind = "file" if "python" in words else "plain"
        assert done.out.replace(",", "\n").split()[:2] == [kind, expected], done


def typed(run: Runner, words: list[str], steps: list[tuple[str, str]], env: dict[str, str] | None = None) -> str:
    """What a terminal shows of a program; each step waits for some text, and then types."""
    control, terminal = pty.openpty()
    merged = {**run.env, "TERM": "xterm", **(env or {})}
    shown, seen = b"", 0
    with subprocess.Popen(
        words, env=merged, cwd=run.folder, stdin=terminal, stdout=terminal, stderr=terminal, start_new_session=True
    ) as process:
        os.close(terminal)
        while select.select([control], [], [], LONGEST)[0]:
            try:
                data = os.read(control, 65536)
            except OSError:  # the other end is closed
                break
            shown += data
            while steps and steps[0][0].encode() in shown[seen:]:
                seen = len(shown)
                os.write(control, steps.pop(0)[1].encode())
        process.kill()
    os.close(control)
    text = shown.decode("utf-8", "replace")
    assert not steps, (steps, text)
    return text


PAGES = [
    ["--help"],
    ["--list-instrumentations"],
    ["--show"],
    ["--check", "--exporter", "file"],
    ["--status", "1"],
    ["--version"],
]


@pytest.mark.slow
@pytest.mark.parametrize("words", PAGES, ids=lambda words: words[0])
@pytest.mark.parametrize("env", [{"NO_COLOR": "1"}, {"TERM": "dumb"}], ids=str)
def test_no_colour_where_none_is_wanted(run: Runner, web: Any, words: list[str], env: dict[str, str]) -> None:
    """On a terminal with NO_COLOR, or one that has none, there is not one escape sequence."""
    call = run.program("import sys, requests\nrequests.get(sys.argv[1])\n")
    assert run.traced(PYTHON, call, f"{web.url}/500").spans
    shown = typed(run, [TRACERUN, *words], [], env)
    assert shown
    assert "\x1b" not in shown


@pytest.mark.slow
@pytest.mark.parametrize("words", [["--list-instrumentations"], ["--show"], ["--check", "--exporter", "file"]], ids=str)
def test_colour_on_a_terminal_alone(run: Runner, web: Any, words: list[str]) -> None:
    """A terminal gets some; a pipe and a file get the same words without."""
    call = run.program("import sys, requests\nrequests.get(sys.argv[1])\n")
    run.traced(PYTHON, call, f"{web.url}/500")
    assert "\x1b[" in typed(run, [TRACERUN, *words], [])
    done = run.command(TRACERUN, *words)
    assert done.out
    assert "\x1b" not in done.out


def test_the_help_has_it_all(run: Runner) -> None:
    """Every option that is not part of another one stands in it, on one screen, with or without a terminal."""
    import click

    from tracerun.cli.command import _command

    shown = run.command(TRACERUN, "--help").out
    for option in _command.get_params(click.Context(_command)):
        if option.param_type_name == "option":
            # A flag of a command stands in that command's row, or above it.
            assert option.opts[-1] in shown, option.opts
    assert typed(run, [TRACERUN, "--help"], []).replace("\r\n", "\n") == shown
