"""The service's name: what the user set, else what the command line tells."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.conftest import PYTHON, Runner
from tracerun.agent.service import derived_name

COMMANDS = [
    ("python shop.py", "shop"),
    ("python /srv/shop.v2.py serve.py", "shop.v2"),
    ("python -u -X dev -W error -Wignore -Xutf8 --check-hash-based-pycs never shop.py", "shop"),
    ("python -bBdEiIOqsSuvx -- shop.py", "shop"),
    ("python -m shop.web --port 80", "shop.web"),
    ("python -Im shop", "shop"),
    ("python -mshop", "shop"),
    ("python -m shop.__main__", "shop"),
    ("python -c pass a:b", "python"),
    ("python -Wc -uc pass", "python"),
    ("python -cpass", "python"),
    ("python - shop.py", "python"),
    ("python", "python"),
    ("python -i", "python"),
    ("python /srv/shop/__main__.py", "shop"),
    ("python /srv/shop.pyz", "shop"),
    ("python /srv/my.shop", "my.shop"),
    ("python /venv/bin/celery -A shop worker", "celery"),
    ("python /venv/bin/uvicorn shop.web:app --host localhost --port 8000", "shop.web"),
    ("python /venv/bin/uvicorn --host 0.0.0.0 --factory shop.web:make", "shop.web"),
    ("python -m uvicorn shop:app --reload", "shop"),
    ("python /venv/bin/gunicorn -w 4 -b 127.0.0.1:8000 shop.web:app", "shop.web"),
    ("python /venv/bin/gunicorn -b localhost:8000 -b :80 -b unix:shop.sock -b fd://3 shop:make('x')", "shop"),
    ("python /venv/bin/gunicorn -c gunicorn.conf.py shop.wsgi", "shop.wsgi"),
    ("python /venv/bin/gunicorn shop.wsgi -k gevent", "shop.wsgi"),
    ("python /venv/bin/gunicorn wsgi:app", "wsgi"),
    ("python /venv/bin/gunicorn -w 4", "gunicorn"),
    ("python /venv/bin/gunicorn", "gunicorn"),
    ("python /venv/bin/hypercorn -b 0.0.0.0:80 asgi:shop.web:app", "shop.web"),
    ("python /venv/bin/hypercorn shop/web.py:app", "web"),
    ("python /venv/bin/granian --interface asgi shop.web:app", "shop.web"),
    ("python /venv/bin/daphne -p 80 shop.asgi:application", "shop.asgi"),
    ("python /venv/bin/waitress-serve --listen=*:8080 --call shop:make", "shop"),
    ("python /venv/bin/waitress-serve --listen *:8080 --app=shop:app", "shop"),
    ("python /venv/bin/fastapi run src/shop.py --port 80", "shop"),
    ("python /venv/bin/fastapi dev", "fastapi"),
    ("python /venv/bin/flask --app shop.web run --port 80", "shop.web"),
    ("python /venv/bin/flask -A shop/web.py:make() run", "web"),
    ("python -m flask --app=shop:make run", "shop"),
    ("python /venv/bin/flask run", "flask"),
]


@pytest.mark.parametrize(("command", "name"), COMMANDS, ids=[row[0] for row in COMMANDS])
def test_derived(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str, name: str) -> None:
    """The application's module, the `-m` module, the script's stem; `python` where nothing tells."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FLASK_APP", raising=False)
    assert derived_name(command.split(" ")) == name


def test_code_with_blanks_is_no_script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The words of `-c` are never part of a name."""
    monkeypatch.chdir(tmp_path)
    assert derived_name(["python", "-uc", "import a/secret.py"]) == "python"


def test_flask_app_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """FLASK_APP names what `flask run` serves."""
    monkeypatch.setenv("FLASK_APP", "shop.web:make()")
    assert derived_name(["python", "/venv/bin/flask", "run"]) == "shop.web"


def test_the_name_of_the_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Code and stdin are named after the project in whose folder they run."""
    monkeypatch.chdir(tmp_path)
    pyproject = tmp_path / "pyproject.toml"
    pyproject.write_text(
        "[tool.x]\nname = 'wrong'\n[project]\nversion = '1'\nname = \"shop\" # ours\n[other]\nname = 1\n"
    )
    assert derived_name(["python", "-c", "pass"]) == "shop"
    assert derived_name(["python", "-"]) == "shop"
    assert derived_name(["python", "app.py"]) == "app"
    pyproject.write_bytes(b"\xff[project]\nname = 'shop'")
    assert derived_name(["python", "-c", "pass"]) == "python"


def test_the_folder_that_is_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder is named by its own name, dots and all, also as `.`."""
    folder = tmp_path / "my.shop"
    folder.mkdir()
    monkeypatch.chdir(folder)
    assert derived_name(["python", "."]) == derived_name(["python", str(folder)]) == "my.shop"
    folder.rmdir()
    assert derived_name(["python", "shop.py"]) == "shop"


CALLS = "import requests, sys; requests.get(sys.argv[-1])"


@pytest.mark.parametrize(
    ("env", "name"),
    [
        ({}, "app"),
        ({"OTEL_SERVICE_NAME": "shop"}, "shop"),
        ({"OTEL_RESOURCE_ATTRIBUTES": "a=b,service.name=shop%20one"}, "shop one"),
        ({"OTEL_RESOURCE_ATTRIBUTES": "service.name=other", "OTEL_SERVICE_NAME": "shop"}, "shop"),
    ],
)
def test_what_the_user_set_wins(run: Runner, web: Any, env: dict[str, str | None], name: str) -> None:
    """OTEL_SERVICE_NAME, then service.name in OTEL_RESOURCE_ATTRIBUTES, then the command."""
    done = run.traced(PYTHON, run.program(CALLS), web.url, env=env)
    assert [span.service for span in done.spans] == [name]


@pytest.mark.parametrize(
    ("words", "name"),
    [(["-m", "shop.web"], "shop.web"), (["-c", CALLS], "python"), (["shop"], "shop"), (["-"], "python")],
)
def test_in_a_real_process(run: Runner, web: Any, words: list[str], name: str) -> None:
    """The command line is the interpreter's own, so options before COMMAND do not matter."""
    run.program(CALLS, "shop/__main__.py")
    run.program(CALLS, "shop/web.py")
    stdin = {"input": CALLS.encode()} if words == ["-"] else {}
    done = run.traced(PYTHON, "-u", *words, web.url, flags=("--strict",), **stdin)
    assert [span.service for span in done.spans] == [name]


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_processes_of_multiprocessing(run: Runner, web: Any, method: str) -> None:
    """A child has its parent's name, however it is started."""
    app = run.program(
        "import multiprocessing, requests, sys\n"
        "if __name__ == '__main__':\n"
        f"    context = multiprocessing.get_context({method!r})\n"
        "    child = context.Process(target=requests.get, args=(sys.argv[1],))\n"
        "    child.start()\n"
        "    child.join()\n"
        "    sys.exit(child.exitcode)\n",
        "shop.py",
    )
    done = run.traced(PYTHON, app, web.url)
    assert (done.status, done.err) == (0, "")
    assert [span.service for span in done.spans] == ["shop"]
