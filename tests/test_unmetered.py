"""The SDK is loaded without the API of metrics; whoever wants that has it, as plain."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conftest import PYTHON, Runner
from tracerun.agent import unmetered

CALL = "import os, sys, requests\nrequests.get(sys.argv[1])\n"
LOADED = "print(*sorted(name for name in sys.modules if 'metrics' in name and name.startswith('opentelemetry')))\n"
# What a program may ask of the API of metrics, and of the SDK's classes that name it.
ASKED = (
    "import typing, threading\nfrom opentelemetry.sdk import trace as sdk\nimport opentelemetry.metrics as imported\n"
    "from opentelemetry import metrics\nfrom opentelemetry.metrics import MeterProvider, get_meter\n"
    "print(imported is metrics is sys.modules['opentelemetry.metrics'], metrics.__spec__.name, metrics.__path__)\n"
    "for kind in (sdk.Tracer, sdk.TracerProvider):\n"
    "    print(typing.get_type_hints(kind.__init__)['meter_provider'] == typing.Optional[MeterProvider])\n"
    "print(sdk.metrics_api.MeterProvider is MeterProvider, sdk.metrics_api.get_meter is get_meter)\n"
    "get_meter('a').create_counter('b').add(1)\n"
    "import opentelemetry.sdk.trace._tracer_metrics as measuring\nprint(measuring, measuring.TracerMetrics)\n"
    "print(type(sdk.TracerProvider().get_tracer('own').start_span('own')))\n"
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
    """A program that is traced, and has nothing to do with metrics, has none of it."""
    done = run.traced(PYTHON, run.program(CALL + LOADED), web.url)
    assert done.out == "\n"
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


@pytest.mark.parametrize(
    ("env", "before", "after", "count"),
    [
        ({unmetered.VARIABLE: "true"}, "", "", 2),
        ({unmetered.VARIABLE: "false"}, "", "", 0),
        ({}, SWITCH, "", 2),
        ({}, "import requests", SWITCH, 2),
        ({}, "import requests", "", 0),
    ],
    ids=["variable", "variable says no", "program", "program, once the SDK is loaded", "nobody"],
)
def test_the_sdk_measures_itself(env: dict[str, str], before: str, after: str, count: int, run: Runner) -> None:
    """Where it is asked to, by the environment or by the program at any time, with the program's meters."""
    program = run.program(MEASURED.format(before=before, after=after))
    plain, traced = run.plain(PYTHON, program, env=env), run.traced(PYTHON, program, env=env)
    assert (traced.out, traced.status) == (plain.out, 0)
    assert traced.out.count("otel.sdk.span") == count


def test_a_release_that_asks_for_more() -> None:
    """What a release may take from the two modules, beyond what ours knows: the real things."""
    import opentelemetry.sdk.trace._tracer_metrics as real
    from opentelemetry.metrics import get_meter_provider

    measuring = unmetered._StandIn(unmetered.MEASURING)
    assert measuring.TracerMetrics is real.TracerMetrics
    assert type(unmetered._create_tracer_metrics(None, False)) is unmetered._NotMeasuring
    assert isinstance(unmetered._create_tracer_metrics(None, enabled=False), unmetered._NotMeasuring)
    metrics = get_meter_provider()
    assert type(unmetered._create_tracer_metrics(metrics, enabled=True)) is real.TracerMetrics
    with pytest.raises(TypeError, match="later"):
        unmetered._create_tracer_metrics(metrics, False, later=1)
    with pytest.raises(AttributeError, match="later"):
        unmetered._NotMeasuring().later  # noqa: B018 - as it says
    assert unmetered.MeterProvider().get_meter("a") is not None


def test_loaded_already() -> None:
    """A program that was first is left alone."""
    __import__(unmetered.TRACE)
    with unmetered.loading() as nothing:
        assert nothing is None
        assert not [name for name in (unmetered.API, unmetered.MEASURING) if _is_stand_in(name)]


def _is_stand_in(name: str) -> bool:
    import sys

    return isinstance(sys.modules.get(name), unmetered._StandIn)
