"""``import tracerun.auto``: what the launcher does, from inside the program."""

from __future__ import annotations

import shutil
import signal
import subprocess
from typing import Any

import pytest

from tests.conftest import PYTHON, ROOT, TRACED, Runner
from tests.environments import NEWEST, Environments, environments, pinned

__all__ = ["environments"]  # the fixture

CALL = "import sys, requests\nprint(requests.get(sys.argv[1]).text)\n"
AUTO = f"import tracerun.auto\n{CALL}"
# Whether the agent is there, and what its children will find.
LOOK = f"import os, sys\nprint({TRACED}, os.environ.get('PYTHONPATH'), sys.path)\n"


def test_as_the_launcher(run: Runner, web: Any) -> None:
    """Status, output and spans are those of the launcher, and the service's name is that of the script."""
    program = f"{CALL}sys.exit(3)\n"
    launched = run.traced(PYTHON, run.program(program, "launched/shop.py"), web.url)
    auto = run.plain(PYTHON, run.program(f"import tracerun.auto\n{program}", "auto/shop.py"), web.url)
    assert (auto.status, auto.out, auto.err) == (launched.status, launched.out, launched.err) == (3, launched.out, "")
    first, second = auto.spans
    assert (first.name, first.kind, first.service) == (second.name, second.kind, second.service) == ("GET", 3, "shop")


def test_under_the_launcher(run: Runner, web: Any) -> None:
    """Under the launcher, and the second time, it changes nothing: each call is one span."""
    program = run.program(f"{LOOK}import tracerun.auto, importlib\nimportlib.reload(tracerun.auto)\n{CALL}{LOOK}")
    done = run.traced(PYTHON, program, web.url)
    before, _, after = done.out.splitlines()
    assert (done.status, done.err, len(done.spans)) == (0, "", 1)
    assert before == after
    assert len(run.plain(PYTHON, program, web.url).spans) == 2


def test_libraries_that_are_imported_already(run: Runner, web: Any) -> None:
    """Functions that were imported and sessions that were made before it are traced."""
    program = run.program(
        "import sys, urllib3, httpx\n"
        "from requests import Session, get\n"
        "session, client, pool = Session(), httpx.Client(), urllib3.PoolManager()\n"
        "import tracerun.auto\n"
        "for call in (get, session.get, client.get, lambda url: pool.request('GET', url)):\n"
        "    call(sys.argv[1])\n"
        "print('opentelemetry' in sys.modules)\n"
    )
    done = run.plain(PYTHON, program, web.url)
    assert (done.status, done.out, done.theirs) == (0, "True\n", "")
    assert [span.name for span in done.spans] == ["GET"] * 4


ASK_ASGI = """
import asyncio, httpx
async def ask():
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://app") as client:
        print((await client.get("/job/x")).text.strip('"'))
asyncio.run(ask())
"""
STARLETTE = """
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
app = Starlette(routes=[Route("/job/{name}", lambda request: PlainTextResponse("x"))])
"""
# An application of each framework, how it is asked for a page, and the span that this makes.
APPLICATIONS = {
    "flask": (
        "from flask import Flask\napp = Flask('app')\napp.add_url_rule('/job/<name>', view_func=lambda name: name)\n",
        "print(app.test_client().get('/job/x').text)\n",
        "GET /job/<name>",
    ),
    "fastapi": (
        "from fastapi import FastAPI\napp = FastAPI()\n@app.get('/job/{name}')\ndef work(name):\n    return name\n",
        ASK_ASGI,
        "GET /job/{name}",
    ),
    "starlette": (STARLETTE, ASK_ASGI, "GET /job/{name}"),
}


@pytest.mark.parametrize("framework", APPLICATIONS)
@pytest.mark.parametrize("early", [True, False])
@pytest.mark.slow
def test_applications(run: Runner, framework: str, early: bool) -> None:
    """An application that was created before it is traced like one that is created after it."""
    create, ask, name = APPLICATIONS[framework]
    auto = "import tracerun.auto\n"
    done = run.plain(PYTHON, run.program((create + auto if early else auto + create) + ask))
    assert (done.status, done.out, done.theirs) == (0, "x\n", ""), done
    assert done.spans.one(kind=2).name == name


@pytest.mark.parametrize(("children", "spans"), [(None, 2), ("same", 2), ("all", 2), ("none", 1)])
@pytest.mark.slow
def test_children(run: Runner, web: Any, children: str | None, spans: int) -> None:
    """Child processes are traced as the setting says; with none the environment has nothing for them."""
    program = run.program(
        f"{AUTO}import os, subprocess\n"
        f"subprocess.run([sys.executable, '-c', {CALL!r}, sys.argv[1]], check=True)\n"
        "print('PYTHONPATH' in os.environ)\n"
    )
    done = run.plain(PYTHON, program, web.url, env={"TRACERUN_CHILDREN": children})
    assert (done.status, done.err, len(done.spans)) == (0, "", spans)
    assert done.out.splitlines()[-1] == str(children != "none")


@pytest.mark.parametrize("option", ["-I", "-E"])
def test_where_the_launcher_is_kept_out(run: Runner, web: Any, option: str) -> None:
    """A program whose interpreter ignores PYTHONPATH is traced all the same."""
    assert len(run.plain(PYTHON, option, run.program(AUTO), web.url).spans) == 1


@pytest.mark.slow
def test_in_a_child_that_is_not_followed(run: Runner, web: Any, environments: Environments) -> None:
    """A child of another environment, which `children` leaves out, is traced where it asks for it."""
    other = environments.python("3.12", *pinned("requests"))
    words = [PYTHON, "-c", "import subprocess, sys; sys.exit(subprocess.call(sys.argv[1:]))", other]
    assert len(run.traced(*words, run.program(CALL, "call.py"), web.url).spans) == 0
    done = run.traced(*words, run.program(AUTO), web.url)
    assert (done.status, done.err, len(done.spans)) == (0, "", 1)


@pytest.mark.parametrize("variable", ["TRACERUN_ENABLED=false", "OTEL_SDK_DISABLED=true"])
def test_switched_off(run: Runner, variable: str) -> None:
    """Nothing is started, and one line says why."""
    name, _, value = variable.partition("=")
    done = run.plain(PYTHON, run.program(f"import tracerun.auto\n{LOOK}"), env={name: value})
    assert done.out.startswith("False None ")
    assert done.ours == [f"nothing is traced: {variable}"]


def test_wrong_settings(run: Runner) -> None:
    """A wrong variable is named; with TRACERUN_STRICT the program ends there."""
    program, env = run.program("import tracerun.auto\nprint('started')"), {"TRACERUN_CHILDREN": "some"}
    done = run.plain(PYTHON, program, env=env)
    assert (done.status, done.out, len(done.ours), done.theirs) == (0, "started\n", 1, "")
    strict = run.plain(PYTHON, program, env={**env, "TRACERUN_STRICT": "true"})
    assert (strict.status, strict.out, strict.theirs) == (2, "", "")
    assert strict.ours[-1] == "not started, because of --strict (TRACERUN_STRICT)"


def test_sigterm(run: Runner, web: Any) -> None:
    """Spans are flushed at SIGTERM, which ends the program as ever, and which it does not see."""
    program = run.program(
        f"import signal\n{AUTO}import os\nprint(signal.getsignal(signal.SIGTERM) is signal.SIG_DFL, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGTERM)\nsignal.pause()\n"
    )
    done = run.plain(PYTHON, program, web.url)
    assert (done.status, len(done.spans)) == (-signal.SIGTERM, 1)
    assert done.out.endswith("True\n")


@pytest.mark.parametrize(
    "words",
    [["-m", "pdb", "-c", "continue", "-c", "quit"], ["-m", "trace", "--count", "--no-report"], ["-m", "cProfile"]],
    ids=lambda words: words[1],
)
@pytest.mark.slow
def test_under_a_debugger(run: Runner, web: Any, words: list[str]) -> None:
    """A program that a debugger or profiler runs is traced."""
    done = run.plain(PYTHON, *words, run.program(AUTO), web.url)
    assert (done.status, len(done.spans)) == (0, 1), done


def test_line_by_line(run: Runner, web: Any) -> None:
    """Typed into an interpreter, as notebooks do it, it traces what comes after."""
    lines = f"from requests import get\nimport tracerun.auto\nget({web.url!r}).text\nget({web.url!r}).text\n"
    done = run.plain(PYTHON, "-i", "-q", input=lines.encode())
    assert (done.status, done.out, len(done.spans)) == (0, "'body of /'\n" * 2, 2)


def test_in_an_archive(run: Runner, web: Any) -> None:
    """In a zip archive, which holds tracerun itself, the program is traced, and nothing is promised to children."""
    shutil.copytree(
        ROOT / "src" / "tracerun", run.folder / "made" / "tracerun", ignore=shutil.ignore_patterns("__pycache__")
    )
    run.program(f"{AUTO}{LOOK}", "made/__main__.py")
    subprocess.run([PYTHON, "-m", "zipapp", "made", "-o", "app.pyz"], cwd=run.folder, check=True)
    done = run.plain(PYTHON, "app.pyz", web.url)
    assert (done.status, done.err, len(done.spans)) == (0, "", 1), done
    assert done.out.splitlines()[-1].startswith("True None [")


@pytest.mark.parametrize("library", ["gevent", "eventlet"])
@pytest.mark.slow
def test_after_monkey_patching(run: Runner, web: Any, library: str) -> None:
    """Behind gevent's or eventlet's patching it still traces; before it is where it belongs."""
    first = "from gevent import monkey\nmonkey.patch_all()\n"
    if library == "eventlet":
        first = "import warnings\nwarnings.simplefilter('ignore')\nimport eventlet\neventlet.monkey_patch()\n"
    done = run.plain(PYTHON, run.program(first + AUTO), web.url)
    assert (done.status, done.out, len(done.spans)) == (0, "body of /\n", 1), done


@pytest.mark.slow
def test_frozen(run: Runner, web: Any, environments: Environments) -> None:
    """A program that PyInstaller has frozen is traced, under its own name."""
    run.program(f"{AUTO}{LOOK}", "shop.py")
    python = str(environments.installed(NEWEST) / "python")
    frozen = run.command(python, "-m", "PyInstaller", "--log-level", "ERROR", "shop.py", timeout=110)
    assert frozen.status == 0, frozen
    done = run.command("dist/shop/shop", web.url)
    assert (done.status, done.err) == (0, ""), done
    assert done.out.startswith("body of /\nTrue None ")
    assert done.spans.one().service == "shop"


# Runs a notebook's cells, and prints what they print.
NOTEBOOK = """
import sys
from jupyter_client.manager import start_new_kernel
manager, client = start_new_kernel()
for cell in sys.argv[1:]:
    show = lambda message: sys.stdout.write(message["content"].get("text", ""))
    client.execute_interactive(cell, output_hook=show, timeout=60)
client.stop_channels()
manager.shutdown_kernel()
"""


@pytest.mark.slow
def test_notebook(run: Runner, web: Any, environments: Environments) -> None:
    """In a notebook the cells that follow are traced, also calls in an event loop that runs already."""
    cells = [
        "from requests import get\nimport tracerun.auto",
        f"print(get({web.url!r}).text)",
        f"import asyncio\nprint((await asyncio.to_thread(get, {web.url!r})).text)",
    ]
    python = str(environments.installed(NEWEST) / "python")
    done = run.command(python, run.program(NOTEBOOK), *cells)
    assert (done.status, done.out, len(done.spans)) == (0, "body of /\n" * 2, 2), done
