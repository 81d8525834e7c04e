"""The SDK is loaded without the API of metrics; whoever wants that has it, as plain."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conftest import PYTHON, Runner
from tracerun.agent import hooks, unmetered

CALL = "import os, sys, requests\nrequests.get(sys.argv[1])\n"
# What is there of the API of metrics, and whether any of it was executed.
LOADED = (
    "for name in ('opentelemetry.metrics', 'opentelemetry.sdk.trace._tracer_metrics'):\n"
    "    print(name in sys.modules, type(sys.modules[name]).__name__)\n"
    "print([name for name in sys.modules if name.startswith('opentelemetry.metrics.')])\n"
)
# What a program may ask of the API of metrics, and of the SDK's classes that name it.
ASKED = (
    "import typing, importlib\nfrom opentelemetry.sdk import trace as sdk\nimport opentelemetry\n"
    "imported = sys.modules['opentelemetry.metrics']\nprint(imported, imported.__package__, len(dir(imported)))\n"
    "print(type(opentelemetry.metrics.get_meter('shop')), sdk._tracer_metrics)\n"
    "from opentelemetry import metrics\nfrom opentelemetry.metrics import MeterProvider, get_meter\n"
    "print(imported is metrics is sys.modules['opentelemetry.metrics'], metrics.__spec__.name, metrics.__path__)\n"
    "for kind in (sdk.Tracer, sdk.TracerProvider):\n"
    "    print(typing.get_type_hints(kind.__init__)['meter_provider'] == typing.Optional[MeterProvider])\n"
    "print(sdk.metrics_api.MeterProvider is MeterProvider, sdk.metrics_api.get_meter is get_meter)\n"
    "get_meter('a').create_counter('b').add(1)\n"
    "import opentelemetry.sdk.trace._tracer_metrics as measuring\nprint(measuring, measuring.TracerMetrics)\n"
    "print(type(sdk.TracerProvider().get_tracer('own').start_span('own')))\n"
    "print(importlib.reload(imported) is metrics, type(imported))\n"
)
# Before and after the first call; metrics that the SDK takes of its own spans, as the program's reader gets them.
MEASURED = (
    "import os, sys\n{before}\n"
    "from opentelemetry import metrics, trace\nfrom opentelemetry.sdk.metrics import MeterProvider\n"
    "from opentelemetry.sdk.metrics.export import InMemoryMetricReader\nimport opentelemetry.sdk.trace as sdk\n"
    "reader = InMemoryMetricReader()\nmetrics.set_meter_provider(MeterProvider([reader]))\n"
    "{after}\n"
    "provider = trace.get_tracer_provider()\n"
    "provider = provider if isinstance(provider, sdk.TracerProvider) else sdk.TracerProvider()\n"
    "for _ in range(3): provider.get_tracer('own').start_span('own').end()\n"
    "found = reader.get_metrics_data()\n"
    "for resource in found.resource_metrics if found else []:\n"
    "    for scope in resource.scope_metrics:\n"
    "        for one in scope.metrics:\n"
    "            print(one.name, *[(point.value, dict(point.attributes)) for point in one.data.data_points])\n"
)


def test_nobody_asks(run: Runner, web: Any) -> None:
    """In a program that is traced, and has nothing to do with metrics, nothing of it is executed."""
    done = run.traced(PYTHON, run.program(CALL + LOADED), web.url)
    assert done.out == "True Lazy\nTrue Lazy\n[]\n"
    assert len(done.spans) == 1


@pytest.mark.parametrize("first", ["", CALL], ids=["before a call", "after a call"])
def test_a_program_asks(first: str, run: Runner, web: Any) -> None:
    """It gets what it gets plain: the API itself, the SDK's own classes and annotations."""
    program = run.program((first or "import sys\n") + ASKED + CALL)
    plain, traced = run.plain(PYTHON, program, web.url), run.traced(PYTHON, program, web.url)
    assert (traced.out, traced.theirs, traced.status) == (plain.out, plain.err, 0)
    assert plain.out.count("True") >= 4
    assert len(traced.spans) == (2 if first else 1)


SWITCH = "os.environ['OTEL_PYTHON_SDK_INTERNAL_METRICS_ENABLED'] = 'true'"


MEASURES = {
    "variable": ({unmetered.VARIABLE: "true"}, CALL, "", 2),
    "variable says no": ({unmetered.VARIABLE: "false"}, CALL, "", 0),
    "program": ({}, SWITCH, "", 2),
    "program, once the SDK is loaded": ({}, CALL, SWITCH, 2),
    "nobody": ({}, CALL, "", 0),
}


@pytest.mark.parametrize("case", MEASURES)
def test_the_sdk_measures_itself(case: str, run: Runner, web: Any) -> None:
    """Where it is asked to, by the environment or by the program at any time, with the program's meters."""
    env, before, after, count = MEASURES[case]
    program = run.program(MEASURED.format(before=before, after=after))
    plain, traced = run.plain(PYTHON, program, web.url, env=env), run.traced(PYTHON, program, web.url, env=env)
    kept = [line for line in traced.out.splitlines() if line in plain.out.splitlines()]
    assert (traced.status, len(plain.out.splitlines())) == (0, count)
    assert len(kept) == count, (plain.out, traced.out)


def test_what_a_program_puts_there_stays(run: Runner, web: Any) -> None:
    """Whether or not it has asked for anything before."""
    program = run.program(
        CALL + "import opentelemetry.metrics as metrics\nprint(type(metrics).__name__)\nmetrics.get_meter = 7\n"
        "del metrics.Counter\nprint(metrics.get_meter, hasattr(metrics, 'Counter'), type(metrics).__name__)\n"
    )
    assert run.traced(PYTHON, program, web.url).out == "Lazy\n7 False module\n"


def test_with_a_variable_nothing_is_lazy(run: Runner, web: Any) -> None:
    """Where the variable is set, to whatever the SDK makes of it, the SDK is loaded as it is plain."""
    done = run.traced(PYTHON, run.program(CALL + LOADED), web.url, env={unmetered.VARIABLE: "false"})
    assert done.out.startswith("True module\nTrue module\n['opentelemetry.metrics._internal")


STATEMENTS = [
    "import opentelemetry.metrics; found = opentelemetry.metrics",
    "import opentelemetry.metrics as found",
    "from opentelemetry import metrics as found",
    "from opentelemetry.metrics import MeterProvider; import opentelemetry.metrics as found",
]


@pytest.mark.parametrize("statement", STATEMENTS)
def test_another_thread_imports_it_meanwhile(statement: str, run: Runner, web: Any) -> None:
    """It gets the one module that there is, also in the very moment in which the SDK is loaded without it."""
    program = run.program(
        "import sys, threading, requests\nreached, go_on = threading.Event(), threading.Event()\n"
        # The SDK's import stops where it has taken the two names, until the other thread has had its own import.
        "class Stop:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'opentelemetry.sdk.trace.id_generator': reached.set(); go_on.wait(20)\n"
        "def first(): requests.get(sys.argv[1])\n"
        "sys.meta_path.insert(0, Stop())\nthread = threading.Thread(target=first)\nthread.start()\n"
        "assert reached.wait(20)\n"
        f"try:\n    {statement.replace('; ', chr(10) + '    ')}\nfinally: go_on.set()\nthread.join()\n"
        "print(found is sys.modules['opentelemetry.metrics'], found.MeterProvider.__module__)\n"
        "import opentelemetry.sdk.trace as sdk\nprint(sdk.metrics_api is found, type(found).__name__)\n"
        "print('MeterProvider' not in globals() or MeterProvider is found.MeterProvider)\n"
    )
    done = run.traced(PYTHON, program, web.url)
    assert (done.status, done.out) == (0, "True opentelemetry.metrics\nTrue module\nTrue\n"), done
    assert len(done.spans) == 1


CHAINING = """
import importlib.util, sys
class Loader:
    def __init__(self, loader): self.loader = loader
    def create_module(self, spec): return self.loader.create_module(spec)
    def exec_module(self, module): self.loader.exec_module(module)
class Finder:
    busy = set()
    def find_spec(self, name, path=None, target=None):
        if name in self.busy or not name.startswith("opentelemetry"): return None
        self.busy.add(name)
        try:
            spec = importlib.util.find_spec(name)
            if spec is not None and spec.loader is not None: spec.loader = Loader(spec.loader)
            return spec
        finally:
            self.busy.discard(name)
sys.meta_path.insert(0, Finder())
"""
WALKING = """
import sys
class Finder:
    def find_spec(self, name, path=None, target=None):
        for finder in sys.meta_path:
            if finder is not self and hasattr(finder, "find_spec") and name.startswith("opentelemetry"):
                spec = finder.find_spec(name, path, target)
                if spec is not None: return spec
sys.meta_path.insert(0, Finder())
"""
OLD = """
import sys
class Finder:
    def find_module(self, name, path=None): return None
sys.meta_path.insert(0, Finder())
"""


@pytest.mark.parametrize("finder", [CHAINING, WALKING, OLD], ids=["chains loaders", "asks all others", "old protocol"])
def test_beside_a_finder_of_the_programs(finder: str, run: Runner, web: Any) -> None:
    """Whatever it asks in its turn, the API is what it is plain, and spans are made."""
    use = "from opentelemetry import metrics\nprint(type(metrics.get_meter('a')), len(dir(metrics)))\n"
    program = run.program(finder + CALL + use)
    plain, traced = run.plain(PYTHON, program, web.url), run.traced(PYTHON, program, web.url)
    assert (traced.out, traced.theirs, traced.status) == (plain.out, plain.err, 0), traced
    assert len(traced.spans) == 1


def test_a_fork_while_it_is_executed(run: Runner, web: Any) -> None:
    """It waits, for the child would have half of the module and a lock that nobody gives back."""
    program = run.program(
        CALL + "import threading, signal\nreached = threading.Event()\n"
        "class Slow:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'opentelemetry.metrics._internal': reached.set(); threading.Event().wait(0.3)\n"
        "sys.meta_path.insert(0, Slow())\nimport opentelemetry.metrics as metrics\n"
        "thread = threading.Thread(target=lambda: metrics.get_meter('a'))\nthread.start()\nassert reached.wait(20)\n"
        "child = os.fork()\n"
        "if not child:\n    signal.alarm(20)\n    metrics.get_meter('b')\n    os._exit(7)\n"
        "thread.join()\nprint(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))\n"
    )
    assert run.traced(PYTHON, "-W", "ignore", program, web.url).out == "7\n"


def test_who_goes_through_all_modules(run: Runner, web: Any) -> None:
    """Nothing is executed for somebody who looks for what modules may have by convention."""
    program = run.program(
        CALL + "names = '__version__', '__file__', '__path__', '__warningregistry__', '__wrapped__', '__test__'\n"
        "for module in sys.modules.values():\n    for name in names: hasattr(module, name)\n" + LOADED
    )
    assert run.traced(PYTHON, program, web.url).out.startswith("True Lazy\nTrue Lazy\n")


def test_annotations_that_are_asked_for_first(run: Runner, web: Any) -> None:
    """They name the API's class, also where nothing else was asked of it before."""
    program = run.program(
        CALL + "import typing, opentelemetry.sdk.trace as sdk\n"
        "hint = typing.get_type_hints(sdk.TracerProvider.__init__)['meter_provider']\n"
        "from opentelemetry.metrics import MeterProvider\nprint(hint == typing.Optional[MeterProvider])\n"
    )
    assert run.traced(PYTHON, program, web.url).out == "True\n"


def test_a_release_that_asks_for_more() -> None:
    """What a release may ask of them beyond what ours knows is answered by the real things."""
    import opentelemetry.sdk.trace._tracer_metrics as real
    from opentelemetry.metrics import get_meter_provider

    asked = unmetered._create_tracer_metrics
    assert type(asked(None, False)) is unmetered._NotMeasuring
    assert type(asked(None, enabled=False)) is unmetered._NotMeasuring
    assert type(asked(get_meter_provider(), enabled=True)) is real.TracerMetrics
    with pytest.raises(TypeError, match="later"):
        asked(get_meter_provider(), False, later=1)
    with pytest.raises(AttributeError, match="later"):
        unmetered._NotMeasuring().later  # noqa: B018 - as it says
    assert unmetered._NotMeasuring().start_span(None, None)() is None


def test_loaded_already() -> None:
    """In a program that has loaded the SDK itself nothing looks at what is imported."""
    __import__(unmetered.TRACE)
    with unmetered.loading():
        assert hooks.FINDER.inner is None
