"""What tracerun says: each message has a name, and docs/messages.md a heading for it."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import PYTHON, ROOT, Runner

if TYPE_CHECKING:
    from collections.abc import Iterator

SOURCE = ROOT / "src" / "tracerun"
HEADINGS = re.findall(r"^## (.+)$", (ROOT / "docs" / "messages.md").read_text(encoding="utf-8"), re.MULTILINE)
# What says something, or is said by the launcher when it is raised.
SAYING = ("say", "TracerunError", "__init__")
# Lines that no call of these makes: written for every Python there is.
BY_HAND = {"python-too-old": SOURCE / "agent" / "path" / "sitecustomize.py"}


def calls() -> Iterator[tuple[Path, ast.Call, str]]:
    """Every call in the source, with the last part of the name of what is called."""
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                yield path, node, getattr(node.func, "attr", getattr(node.func, "id", ""))


def slug_of(call: ast.Call) -> Any:
    return next((keyword.value for keyword in call.keywords if keyword.arg == "slug"), None)


def test_every_message_has_its_heading() -> None:
    """The names in the source are the headings of docs/messages.md, in order, and the other way round."""
    slugs = [slug_of(call) for _, call, name in calls() if name in SAYING]
    said = {str(slug.value) for slug in slugs if isinstance(slug, ast.Constant)}
    for slug, path in BY_HAND.items():
        assert f'"{slug}"' in path.read_text(encoding="utf-8")
    assert sorted(said | BY_HAND.keys()) == HEADINGS


def test_every_line_has_a_name() -> None:
    """Nothing is said without one; it stands where it is said, so that it can be found from the line."""
    for path, call, name in calls():
        if name in ("say", "TracerunError"):
            slug = slug_of(call)
            passed_on = ast.unparse(slug) in ("error.slug", "slug") if slug is not None else False
            assert isinstance(slug, ast.Constant) or passed_on, f"{path}:{call.lineno}: {ast.unparse(call)}"


def test_every_heading_says_something() -> None:
    """What it means and what to do, not only a name."""
    text = (ROOT / "docs" / "messages.md").read_text(encoding="utf-8")
    for part in re.split(r"^## ", text, flags=re.MULTILINE)[1:]:
        assert len(part.partition("\n")[2].split()) >= 10, part


CALL = "import sys, requests\nprint(requests.get(sys.argv[1]).status_code)\n"
# Each state in which nothing is exported: flags, environment, the message's name, what the line says.
SILENT: list[tuple[list[str], dict[str, str | None], str, str]] = [
    ([], {"TRACERUN_ENABLED": "false"}, "switched-off", "nothing is traced: TRACERUN_ENABLED=false"),
    ([], {"OTEL_SDK_DISABLED": "true"}, "switched-off", "nothing is traced: OTEL_SDK_DISABLED=true"),
    (["--exporter", "none"], {}, "exporter-none", "nothing is exported: the exporter is none (--exporter, "),
    ([], {"OTEL_TRACES_SAMPLER": "always_off"}, "sampler-off", "nothing is exported: the sampler is always_off ("),
    (["--sampler", "traceidratio:0"], {}, "sampler-off", "the sampler is traceidratio with the ratio 0 ("),
    (
        [],
        {"OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.0"},
        "sampler-off",
        "nothing is exported but what sampled callers have begun: the sampler is parentbased_traceidratio with the ",
    ),
    (["--sampler", "parentbased_always_off"], {}, "sampler-off", "the sampler is parentbased_always_off ("),
    (["--disable", "*"], {}, "all-disabled", "every library is left out by --disable (OTEL_PYTHON_DISABLED_"),
    (["--only", "flask", "--disable", "flask"], {}, "all-disabled", "every library is left out by --only (TRACERUN_O"),
    ([], {"TRACERUN_DIR": None, "HOME": "nowhere", "XDG_STATE_HOME": None}, "no-folder", "no home folder is known to"),
    ([], {"TRACERUN_DIR": "/dev/null/x"}, "no-folder", "span files cannot be written in /dev/null/x; set TRACERUN_DIR"),
    # Several at once are still one line.
    (["--exporter", "none", "--disable", "*", "--sampler", "always_off"], {}, "exporter-none", "nothing is exported"),
]


@pytest.mark.parametrize("case", SILENT, ids=lambda case: f"{case[2]}-{case[3][-20:]}")
def test_where_nothing_is_exported(run: Runner, web: Any, case: Any) -> None:
    """Exactly one line says so and why, at the start."""
    flags, env, slug, line = case
    done = run.traced(PYTHON, run.program(CALL), web.url, flags=(*flags,), env=env)
    told = [index for index, name in enumerate(done.slugs) if name != "spans-lost"]
    assert (done.status, done.out, done.theirs, told) == (0, "200\n", "", [0]), done
    assert (done.slugs[0], done.spans) == (slug, [])
    assert line in done.ours[0]


@pytest.mark.parametrize("variable", ["TRACERUN_ENABLED=false", "OTEL_SDK_DISABLED=true"])
def test_switched_off_without_the_launcher(run: Runner, web: Any, variable: str) -> None:
    """Where the environment was pasted the program says it, and its children do not."""
    name, _, value = variable.partition("=")
    shown = run.traced("--print-env", "json")
    import json

    env = {**json.loads(shown.out), name: value}
    code = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import tracerun.auto'], check=True)"
    done = run.command(PYTHON, "-c", code, env=env)
    assert (done.status, done.ours, done.slugs) == (0, [f"nothing is traced: {variable}"], ["switched-off"]), done


@pytest.mark.parametrize(
    "flags",
    [("--only", "requests"), ("--disable", "flask"), ("--sampler", "traceidratio:1"), ("--exporter", "file")],
    ids=" ".join,
)
def test_where_something_is_exported(run: Runner, web: Any, flags: tuple[str, ...]) -> None:
    """Nothing is said of settings that leave something."""
    done = run.traced(PYTHON, run.program(CALL), web.url, flags=flags)
    assert (done.err, len(done.spans)) == ("", 1)


def test_a_library_that_is_not_there(run: Runner, web: Any) -> None:
    """``--only`` of a known library is obeyed silently, installed or not."""
    done = run.traced(PYTHON, run.program(CALL), web.url, flags=("--only", "sanic"))
    assert (done.err, done.spans) == ("", [])
