"""Other people's instrumentation packages: each active from the import of its library on, and never in the way."""

from __future__ import annotations

import re
from typing import Any

import pytest
from opentelemetry.instrumentation import bootstrap_gen

from tests.conftest import PYTHON, ROOT, Runner
from tests.environments import CURRENT, Environments, environments
from tracerun.entrypoints import normalised
from tracerun.instrumentation.catalog import CATALOG

__all__ = ["environments"]

# A package as upstream's are: a class that wraps the library's function.
INSTRUMENTOR = """
from opentelemetry import trace
from opentelemetry.instrumentation.instrumentor import BaseInstrumentor


class AcmeInstrumentor(BaseInstrumentor):
    def instrumentation_dependencies(self):
        return ("acme-db >= 1.0",)

    def _instrument(self, **kwargs):
        import acme_db

        real, tracer = acme_db.query, trace.get_tracer("acme.instrumentation")

        def query(text):
            with tracer.start_as_current_span(kwargs.get("name", "query")):
                return real(text)

        acme_db.query, self._real = query, real

    def _uninstrument(self, **kwargs):
        import acme_db

        acme_db.query = self._real
"""
LIBRARY = "def query(text):\n    import requests\n    return text.upper(), requests.__name__\n"
PROGRAM = "import acme_db\nprint(acme_db.query('select'))\n"
PREFIX = "opentelemetry-instrumentation-"
MODULES = "import sys; print(sorted(n for n in sys.modules if n.startswith('opentelemetry.instrumentation')))"


def distribution(run: Runner, name: str, version: str, *, entry_points: str = "", requires: str = "") -> None:
    """Puts a distribution's metadata beside the program, where ``sys.path`` begins."""
    folder = f"{name}-{version}.dist-info"
    requirement = f"Requires-Dist: {requires}\n" if requires else ""
    run.program(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{requirement}", f"{folder}/METADATA")
    if entry_points:
        run.program(f"[opentelemetry_instrumentor]\n{entry_points}\n", f"{folder}/entry_points.txt")


def acme(run: Runner, *, version: str = "1.2") -> None:
    """A library and the package that instruments it."""
    run.program(LIBRARY, "acme_db.py")
    run.program(INSTRUMENTOR, "acme_otel.py")
    distribution(run, "acme_db", version)
    entry = "acme = acme_otel:AcmeInstrumentor"
    distribution(
        run, "acme_instrumentation", "3.1", entry_points=entry, requires="acme-db>=1.0; extra == 'instruments'"
    )


def both(run: Runner, text: str, *arguments: str, flags: tuple[str, ...] = ()) -> Any:
    """Runs a program plain and traced; the outcome must be the same."""
    program = run.program(text)
    plain = run.plain(PYTHON, program, *arguments)
    traced = run.traced(PYTHON, program, *arguments, flags=flags)
    assert (traced.status, traced.out, traced.theirs) == (plain.status, plain.out, plain.err), traced
    return traced


def test_active_at_the_import_of_its_library(run: Runner) -> None:
    """A library that tracerun does not know is traced by the installed package that does, by our provider."""
    acme(run)
    done = both(run, PROGRAM)
    span = done.spans.one()
    assert (span.name, span.scope, done.ours[:-1]) == ("query", "acme.instrumentation", []), done


def test_its_spans_are_parents_of_ours(run: Runner, web: Any) -> None:
    """Their spans and ours are one trace."""
    acme(run)
    run.program(
        "import requests, sys\ndef query(text):\n    return requests.get(sys.argv[1]).status_code\n", "acme_db.py"
    )
    done = both(run, PROGRAM, web.url)
    theirs, ours = sorted(done.spans, key=lambda span: span.scope)
    assert ours.parent_id == theirs.span_id


def test_nothing_is_loaded_for_a_library_that_is_not_imported(run: Runner) -> None:
    """Without an import of the library there is no import of opentelemetry-instrumentation, nor of the SDK."""
    acme(run)
    program = run.program(f"import requests\n{MODULES}\nprint('opentelemetry' in sys.modules)")
    done = run.traced(PYTHON, program)
    assert done.out == "[]\nFalse\n", done


def test_metadata_is_not_read_at_start_up(run: Runner) -> None:
    """A program that imports nothing but the standard library has not even the module that would look."""
    acme(run)
    program = run.program("import json, sys\nprint([n for n in sys.modules if n.startswith('tracerun.entry')])")
    assert run.traced(PYTHON, program).out == "[]\n"
    program = run.program("import sys, acme_db\nprint([n for n in sys.modules if n.startswith('tracerun.entry')])")
    assert run.traced(PYTHON, program).out == "['tracerun.entrypoints']\n"


@pytest.mark.slow
@pytest.mark.parametrize(("flags", "count"), [(("--disable", "acme"), 0), (("--only", "requests"), 0), ((), 1)])
def test_switches(run: Runner, flags: tuple[str, ...], count: int) -> None:
    """``--disable`` and ``--only`` hold for them as for ours, by the name of the entry point."""
    acme(run)
    env = {"OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "acme"} if "--disable" in flags else {}
    flags = () if env else flags
    assert len(run.traced(PYTHON, run.program(PROGRAM), flags=flags, env=env).spans) == count


@pytest.mark.slow
def test_a_release_that_is_not_supported(run: Runner) -> None:
    """A library whose release the package does not know is left alone, and one line says so."""
    acme(run, version="0.9")
    done = both(run, PROGRAM)
    assert not done.spans
    assert [line for line in done.ours if "acme" in line] == [
        "the instrumentation acme of acme-instrumentation 3.1 is left out: found acme-db 0.9, supported is acme-db>=1.0"
    ]


BROKEN = {
    "import": "raise {error}",
    "activation": "class Broken:\n    def instrument(self, **_):\n        raise {error}",
}


ERRORS = [
    "SystemExit(3)",
    *(pytest.param(error, marks=pytest.mark.slow) for error in ("ValueError('no')", "KeyboardInterrupt", "OSError")),
]


@pytest.mark.parametrize("where", list(BROKEN))
@pytest.mark.parametrize("error", ERRORS)
def test_one_that_raises(run: Runner, web: Any, where: str, error: str) -> None:
    """Whatever one raises, the program starts, the others are active, and one line names the culprit."""
    acme(run)
    run.program("", "broken_lib.py")
    run.program(BROKEN[where].format(error=error), "broken_otel.py")
    distribution(run, "broken_lib", "1.0")
    distribution(
        run,
        "otel_broken",
        "2.0",
        entry_points="broken = broken_otel:Broken",
        requires="broken-lib; extra == 'instruments'",
    )
    text = f"import sys, broken_lib, requests\nprint(requests.get(sys.argv[1]).status_code)\n{PROGRAM}"
    done = both(run, text, web.url)
    (line,) = [line for line in done.ours if "broken" in line]
    assert line.startswith(f"the instrumentation broken of otel-broken 2.0 failed ({error.partition('(')[0]}: "), done
    assert sorted(span.scope for span in done.spans) == ["acme.instrumentation", "tracerun.requests"]


@pytest.mark.parametrize("how", ["time.sleep(3600)", "lock.acquire()", "[0 for _ in iter(int, 1)]"])
@pytest.mark.slow
def test_one_that_hangs(run: Runner, how: str) -> None:
    """One that never comes to its end, in C or in Python, holds the program up for a few seconds, once."""
    acme(run)
    run.program("", "slow_lib.py")
    distribution(run, "slow_lib", "1.0")
    run.program(
        "import threading, time\nlock = threading.Lock()\nlock.acquire()\n"
        f"class Slow:\n    def instrument(self, **_):\n        {how}\n",
        "slow_otel.py",
    )
    distribution(
        run, "otel_slow", "2.0", entry_points="slow = slow_otel:Slow", requires="slow-lib; extra == 'instruments'"
    )
    done = both(run, f"import slow_lib\n{PROGRAM}")
    assert len(done.spans) == 1
    (line,) = [line for line in done.ours if "slow" in line]
    assert line == (
        "the instrumentation slow of otel-slow 2.0 has not come to its end within 5 s; the program goes on without it"
    )


MALFORMED = [
    "broken",
    "broken = ",
    "broken = no target",
    "= a:b",
    "broken = a b:c",
    "broken = nowhere_otel:Broken",
    "[[[",
]


@pytest.mark.slow
@pytest.mark.parametrize("entry", MALFORMED)
def test_malformed_entry_points(run: Runner, web: Any, entry: str) -> None:
    """An entry point that cannot be read, or leads nowhere, costs only itself."""
    acme(run)
    distribution(run, "otel_broken", "2.0", entry_points=f"# a comment\n{entry}")
    done = both(run, f"import sys, requests\nprint(requests.get(sys.argv[1]).status_code)\n{PROGRAM}", web.url)
    assert sorted(span.scope for span in done.spans) == ["acme.instrumentation", "tracerun.requests"]
    assert len([line for line in done.ours if "otel-broken 2.0" in line]) == (0 if entry == "[[[" else 1), done


@pytest.mark.slow
def test_unreadable_metadata(run: Runner) -> None:
    """Metadata that is no text, or no file, costs only itself."""
    acme(run)
    for name in ("otel_bytes-1.0.dist-info", "otel_folder-1.0.dist-info/entry_points.txt"):
        (run.folder / name).mkdir(parents=True)
    data = b"\xff\xfe\x00[opentelemetry_instrumentor]\n\xff = \xff:\xff\n"
    (run.folder / "otel_bytes-1.0.dist-info" / "entry_points.txt").write_bytes(data)
    assert len(both(run, PROGRAM).spans) == 1


@pytest.mark.slow
def test_libraries_of_ours_are_ours(run: Runner, web: Any) -> None:
    """A package for what tracerun traces itself is not even imported, whatever its name."""
    entry = "{name} = wrong_otel:Wrong"
    run.program("print('imported')", "wrong_otel.py")
    distribution(run, "opentelemetry_instrumentation_requests", "1.0", entry_points=entry.format(name="requests"))
    distribution(
        run, "otel_my", "1.0", entry_points=entry.format(name="mine"), requires="requests>=2; extra == 'instruments'"
    )
    done = both(run, "import requests, sys\nprint(requests.get(sys.argv[1]).status_code)", web.url)
    assert (done.out, len(done.spans)) == ("200\n", 1)


@pytest.mark.slow
def test_found_at_the_first_use(run: Runner, web: Any) -> None:
    """A package whose name tells nothing, or that has no library of its own, is active from the first call on."""
    run.program("class Everything:\n    def instrument(self, **_):\n        print('active')\n", "plain_name.py")
    distribution(run, "plain_name", "1.0", entry_points="everything = plain_name:Everything")
    program = run.program("import requests, sys\nprint(1)\nrequests.get(sys.argv[1])\nprint(2)")
    assert run.traced(PYTHON, program, web.url).out == "1\nactive\n2\n"
    assert run.traced(PYTHON, run.program("import requests\nprint(1)")).out == "1\n"


@pytest.mark.slow
def test_where_there_can_be_none_nothing_is_read(run: Runner, web: Any, environments: Environments) -> None:
    """Without opentelemetry-instrumentation, which all of them build upon, no package is asked for entry points."""
    program = run.program(
        "import sys\nread = []\n"
        "def look(event, args):\n"
        "    if event == 'open' and str(args[0]).endswith('entry_points.txt'): read.append(args[0])\n"
        "sys.addaudithook(look)\nimport requests\nrequests.get(sys.argv[1])\nprint(len(read) > 0)\n"
    )
    without = environments.python(CURRENT, "requests")
    for python, reads in ((without, False), (PYTHON, True)):
        done = run.traced(python, program, web.url)
        assert (done.out, done.status) == (f"{reads}\n", 0), done
        assert done.spans


@pytest.mark.slow
def test_one_that_needs_what_is_being_imported(run: Runner) -> None:
    """A package that imports what the program is still importing is active once that is done; nothing waits for it."""
    acme(run)
    run.program("import acme_db\nname = 'shop'\n", "shop.py")
    run.program("import shop\nassert shop.name\n" + INSTRUMENTOR, "acme_otel.py")
    text = "import shop, acme_db, time\nwhile acme_db.query.__module__ == 'acme_db':\n    time.sleep(0.01)\n"
    done = run.traced(PYTHON, run.program(f"{text}print(acme_db.query('a'))"))
    assert (done.status, len(done.spans), done.ours[:-1]) == (0, 1, []), done


@pytest.mark.slow
def test_no_thread_is_left(run: Runner) -> None:
    """A package that logs while it is activated leaves no entry among the program's threads."""
    acme(run)
    run.program(
        "import logging\nlogging.getLogger('acme').debug('x')\nlogging.warning('y')\n" + INSTRUMENTOR, "acme_otel.py"
    )
    program = run.program(
        "import threading, logging\nlogging.basicConfig(level=10, filename='log')\nimport acme_db\n"
        "print(acme_db.query('a'), [thread.name for thread in threading.enumerate()], threading.main_thread().name)\n"
    )
    assert (
        run.traced(PYTHON, program).out
        == run.plain(PYTHON, program).out
        == "('A', 'requests') ['MainThread'] MainThread\n"
    )


@pytest.mark.slow
def test_the_programs_own_call_counts(run: Runner) -> None:
    """A program that calls the package's class itself gets what it asks for, once."""
    acme(run)
    call = "from acme_otel import AcmeInstrumentor\nAcmeInstrumentor().instrument(name='mine', skip_dep_check=True)\n"
    for text in (f"import acme_db\n{call}", f"{call}import acme_db\n"):
        for path in run.state.glob("*"):
            path.unlink()
        done = both(
            run, f"{text}print(acme_db.query('a'))\nAcmeInstrumentor().uninstrument()\nprint(acme_db.query('b'))"
        )
        assert [span.name for span in done.spans] == ["mine"], done


def test_the_list_names_them(run: Runner, tmp_path: Any) -> None:
    """``--list-instrumentations`` lists each with the package that traces it, or says why it does not."""
    acme(run)
    distribution(run, "otel_broken", "2.0", entry_points="broken = nothing")
    distribution(run, "otel_absent", "2.0", entry_points="absent = a:b", requires="absent-lib; extra == 'instruments'")
    run.program("import sys\n")
    env: dict[str, str | None] = {"PYTHONPATH": str(run.folder), "COLUMNS": "200"}
    base = run.command(PYTHON, "-c", "import sys; print(sys._base_executable)").out.strip()
    for flags, state in (((), "traced (by acme-instrumentation 3.1)"), (("--disable", "requests"), "traced")):
        lines = run.traced("--list-instrumentations", "--all", base, flags=flags, env=env).out.splitlines()
        (line,) = [line for line in lines if line.startswith("acme")]
        assert state in line
        assert "1.2" in line
    (broken,) = [line for line in lines if line.startswith("broken")]
    assert "the entry point of otel-broken 2.0 cannot be read" in broken
    (absent,) = [line for line in lines if line.startswith("absent")]
    assert "not installed" in absent


# Left out on purpose; pyproject.toml says why. dbapi is only there for others.
LEFT_OUT = {"exceptions", "logging", "structlog", "system-metrics", "asyncio", "threading", "click", "asyncclick"}
LEFT_OUT |= {"openai-v2", "vertexai", "dbapi"}
# Of these tracerun's instrumentors have other names.
OURS = {"asgi", "wsgi", "grpc"}


def test_the_extra_brings_the_rest() -> None:
    """``tracerun[all]`` has each package of upstream's for what tracerun does not trace itself, and no other."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8").partition("\nall = [")[2].partition("\n]")[0]
    extra = {line.strip(' ",').removeprefix(PREFIX).partition(">=")[0] for line in text.strip().splitlines()}
    upstream = [row["instrumentation"] for row in bootstrap_gen.libraries] + bootstrap_gen.default_instrumentations
    names = {re.split("[=>]", name)[0].removeprefix(PREFIX) for name in upstream}
    ours = OURS | {normalised(library.name) for library in CATALOG}
    assert extra == names - ours - LEFT_OUT


DATABASES = """
import sqlite3, sqlalchemy
connection = sqlite3.connect(":memory:")
print(connection.execute("select 1").fetchone())
with sqlalchemy.create_engine("sqlite://").connect() as made:
    print(made.execute(sqlalchemy.text("select 2")).scalar())
"""


@pytest.mark.slow
@pytest.mark.parametrize("release", ["0.66b1", "0.49b2"])
def test_upstreams_databases(run: Runner, environments: Environments, release: str) -> None:
    """Upstream's packages for databases, of today and of two years ago, from their own environment."""
    names = ("sqlite3", "sqlalchemy", "logging", "threading", "asyncio")
    packages = [f"opentelemetry-instrumentation-{name}=={release}" for name in names]
    sdk = f"opentelemetry-sdk==1.{int(release[2:4]) - 21}.*"
    python = environments.python(CURRENT, "sqlalchemy<2.1", sdk, options=tuple(packages))
    program = run.program(DATABASES)
    plain, traced = run.plain(python, program), run.traced(python, program)
    assert (traced.status, traced.out, traced.theirs) == (plain.status, plain.out, plain.err), traced
    scopes = {span.scope for span in traced.spans}
    assert {"opentelemetry.instrumentation.sqlite3", "opentelemetry.instrumentation.sqlalchemy"} <= scopes, traced
    assert not [line for line in traced.ours if "instrumentation" in line], traced
