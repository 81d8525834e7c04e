"""The guard: an error of ours costs the program nothing, and is said once."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from tests.conftest import PYTHON, TRACERUN, Runner
from tracerun.agent import guard
from tracerun.agent.guard import guarded


@pytest.fixture(autouse=True)
def _as_at_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test finds the guard as a process does that has just booted."""
    for name, value in {"raise_errors": False, "debug": False, "stderr_open": True, "errors": {}}.items():
        monkeypatch.setattr(guard._State, name, value)


def test_an_error_is_swallowed_and_said_once(capfd: pytest.CaptureFixture[str]) -> None:
    """One line for each kind of error in each place; further ones are counted."""
    for error in (ValueError("first\nline"), ValueError("second"), KeyError("key"), ValueError("third")):
        with guarded("the weather report"):
            raise error
    line = "tracerun: internal error in the weather report: {}; the program is not affected [internal-error]"
    assert capfd.readouterr().err.splitlines() == [line.format("ValueError: first"), line.format("KeyError: 'key'")]
    assert guard._State.errors == {
        ("the weather report", "ValueError"): 3,
        ("the weather report", "KeyError"): 1,
    }


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_what_is_no_error_passes(error: type[BaseException], capfd: pytest.CaptureFixture[str]) -> None:
    """Ctrl-C and sys.exit() are the program's."""
    with pytest.raises(error), guarded("anything"):
        raise error
    assert capfd.readouterr().err == ""


def test_catching_more(capfd: pytest.CaptureFixture[str]) -> None:
    """Around code of third parties also their sys.exit() can be caught."""
    with guarded("a package", catch=SystemExit):
        sys.exit("no")
    assert "internal error in a package: SystemExit: no;" in capfd.readouterr().err


def test_nothing_happens_without_an_error(capfd: pytest.CaptureFixture[str]) -> None:
    """A guard can be used again and again, and within itself."""
    guard_of_many = guarded("many")
    for _ in range(2):
        with guard_of_many, guard_of_many:
            pass
    assert capfd.readouterr().err == ""


def test_raised_in_our_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    """With TRACERUN_RAISE_ERRORS an error of ours is raised, so that no test passes over it."""
    monkeypatch.setattr(guard._State, "raise_errors", True)
    with pytest.raises(ZeroDivisionError), guarded("a test"):
        1 / 0  # noqa: B018 - raises


def test_the_traceback_for_debugging(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    """With TRACERUN_DEBUG each line of it has our prefix."""
    monkeypatch.setattr(guard._State, "debug", True)
    with guarded("a riddle"):
        1 / 0  # noqa: B018 - raises
    lines = capfd.readouterr().err.splitlines()
    assert lines[1] == "tracerun: Traceback (most recent call last):"
    assert lines[-1] == "tracerun: ZeroDivisionError: division by zero"
    assert all(line.startswith("tracerun: ") for line in lines)


def test_an_error_without_a_text(capfd: pytest.CaptureFixture[str]) -> None:
    """Neither an error that says nothing nor one whose text raises goes unsaid."""

    class SpeechlessError(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    for error in (ValueError(), SpeechlessError()):
        with guarded("a silent place"):
            raise error
    lines = capfd.readouterr().err.splitlines()
    assert [line.partition("place: ")[2].partition(";")[0] for line in lines] == [
        "ValueError: (no text)",
        "SpeechlessError: (no text)",
    ]


def test_at_the_very_end_nothing_is_said(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    """While the interpreter takes itself apart, errors of ours are not worth a word."""
    monkeypatch.setattr(sys, "is_finalizing", lambda: True)
    with guarded("the end"):
        1 / 0  # noqa: B018 - raises
    assert capfd.readouterr().err == ""


def test_one_line_is_one_line(capfd: pytest.CaptureFixture[str]) -> None:
    """Line breaks, escapes and stray surrogates in what we quote do not break the line."""
    guard.say("a\nb\x1b[31m\udc80 für", "c\rd", slug="some-slug")
    assert capfd.readouterr().err == "tracerun: a\\nb\\x1b[31m\\udc80 für [some-slug]\ntracerun: c\\rd\n"


# Opens a file, which gets the lowest free descriptor, and makes tracerun say something.
CLOSED = """
import os, requests, sys
file = os.open("file", os.O_CREAT | os.O_WRONLY)
os.write(file, b"%d" % file)
print(requests.get(sys.argv[1]).status_code)
"""


def test_a_closed_stderr_is_never_written_to(run: Runner, web: Any) -> None:
    """Where a file of the program has got the number of the stderr that was closed, it stays the program's."""
    command = f"exec {TRACERUN} {PYTHON} {run.program(CLOSED)} {web.url} 2>&-"
    done = run.plain("sh", "-c", command, env={"OTEL_PROPAGATORS": "nosuch,tracecontext"})
    assert (done.status, done.out) == (0, "200\n")
    assert (run.folder / "file").read_text() == "2"
    assert len(done.spans) == 1


def test_a_broken_stderr(run: Runner, web: Any) -> None:
    """A stderr that cannot be written to costs our lines and nothing else."""
    command = f"exec {TRACERUN} {PYTHON} {run.program(CLOSED)} {web.url} 2>/dev/full"
    done = run.plain(
        "sh", "-c", command, env={"OTEL_PROPAGATORS": "nosuch,tracecontext", "OTEL_BSP_SCHEDULE_DELAY": "x"}
    )
    assert (done.status, done.out) == (0, "200\n")
    assert len(done.spans) == 1


# Breaks the instrumentation of requests, then makes calls with it and with another library.
BROKEN = """
import sys, types
import httpx, requests
libraries = sys.modules["tracerun.agent.libraries"]
row = next(row for row in libraries.WATCHED if row.library.name == "requests")
row.library.instrumentor = "broken"
original = row.originals[requests.adapters.HTTPAdapter, "send"]
{breakage}
for number in range(3):
    print(requests.get(f"{{sys.argv[1]}}/200/{{number}}").text)
print(httpx.get(f"{{sys.argv[1]}}/200/httpx").text)
assert requests.adapters.HTTPAdapter.send is original
assert not hasattr(requests.adapters.HTTPAdapter.close, "patched")
"""
MODULE = "broken = sys.modules['tracerun.instrumentation.broken'] = types.ModuleType('broken')\nbroken.PATCHES = "
GOOD = "'requests.adapters:HTTPAdapter.close': lambda original: type('Patched', (), {'patched': 1})()"
BREAKAGES = {
    "a module that is not there": "",
    "a module that raises": (
        "import pathlib, tracerun.instrumentation as package\n"
        "pathlib.Path('broken.py').write_text('1 / 0')\n"
        "package.__path__.append('.')"
    ),
    "a patch of something that is gone": MODULE + "{" + GOOD + ", 'requests.adapters:HTTPAdapter.gone': None}",
    "a patch that raises": MODULE + "{" + GOOD + ", 'requests.adapters:HTTPAdapter.send': lambda original: 1 / 0}",
    "a module without patches": MODULE.partition("\n")[0],
}


@pytest.mark.parametrize("breakage", BREAKAGES.values(), ids=BREAKAGES.keys())
def test_a_broken_instrumentor_costs_only_its_library(run: Runner, web: Any, breakage: str) -> None:
    """The program's calls go on as plain, one line says what happened, other libraries are traced."""
    app = run.program(BROKEN.format(breakage=breakage))
    done = run.traced(PYTHON, app, web.url, env={"TRACERUN_RAISE_ERRORS": None})
    assert done.status == 0, done.err
    assert done.out == "".join(f"body of /200/{name}\n" for name in (0, 1, 2, "httpx"))
    (line,) = done.err.splitlines()
    assert line.startswith("tracerun: internal error in the instrumentation of requests: ")
    # What requests does underneath is urllib3's, which is traced by itself.
    assert len(done.spans) == 4
    assert len({span.trace_id for span in done.spans}) == 4


def test_our_tests_see_it(run: Runner, web: Any) -> None:
    """With TRACERUN_RAISE_ERRORS the same program fails, so that our own tests do not pass over such an error."""
    done = run.traced(PYTHON, run.program(BROKEN.format(breakage="")), web.url)
    assert done.status == 1
    assert "ModuleNotFoundError: No module named 'tracerun.instrumentation.broken'" in done.err
