"""The SDK's set-up: resource, propagators, sampler, the program's own provider, the official configurator."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conftest import PYTHON, SCRIPTS, TRACERUN, Runner

CALL = "import sys, requests\nrequests.get(sys.argv[1])\n"
ON_RESOURCE = (
    "import json, sys, requests\nfrom opentelemetry import trace\nrequests.get(sys.argv[1])\n"
    "print(json.dumps(dict(trace.get_tracer_provider().resource.attributes)))\n"
)


def resource_of(run: Runner, web: Any, **options: Any) -> dict[str, Any]:
    """The resource as the program's provider has it."""
    import json

    done = run.traced(PYTHON, run.program(ON_RESOURCE), web.url, **options)
    assert done.status == 0, done
    return dict(json.loads(done.out))


def test_resource(run: Runner, web: Any) -> None:
    """The resource names service, SDK, distro, process and host."""
    found = resource_of(run, web)
    assert found["service.name"] == "app"
    assert (found["telemetry.distro.name"], found["telemetry.sdk.language"]) == ("tracerun", "python")
    assert len(found["service.instance.id"]) == 36
    for key in ("telemetry.distro.version", "process.pid", "process.runtime.name", "host.name", "os.type"):
        assert found[key], key


def test_resource_of_the_user_wins(run: Runner, web: Any) -> None:
    """Options and variables win over what is detected; OTEL_SERVICE_NAME wins over the attribute."""
    found = resource_of(
        run, web, flags=("-n", "shop", "--resource", "team=a b,c=d", "--resource", "host.name=h"),
    )  # fmt: skip
    assert (found["service.name"], found["team"], found["host.name"]) == ("shop", "a b,c=d", "h")
    found = resource_of(run, web, env={"OTEL_RESOURCE_ATTRIBUTES": "service.name=x,k=a%20b"})
    assert (found["service.name"], found["k"]) == ("x", "a b")


def test_instance_id_of_each_process(run: Runner, web: Any) -> None:
    """Each process has an instance id of its own; a forked child has the parent's resource but for that."""
    program = run.program(
        "import multiprocessing, sys, requests\n"
        "def work(url):\n    requests.get(url)\n"
        "if __name__ == '__main__':\n"
        "    work(sys.argv[1])\n"
        "    child = multiprocessing.get_context('fork').Process(target=work, args=sys.argv[1:])\n"
        "    child.start()\n    child.join()\n    sys.exit(child.exitcode)\n"
    )
    done = run.traced(PYTHON, program, web.url)
    assert done.status == 0, done
    import json

    seen = set()
    for path in run.state.glob("*.jsonl"):
        for line in path.read_text(encoding="ascii").splitlines():
            attributes = json.loads(line)["resourceSpans"][0]["resource"]["attributes"]
            values = {entry["key"]: next(iter(entry["value"].values())) for entry in attributes}
            seen.add((values["service.name"], values["service.instance.id"], values["process.pid"]))
    assert len(seen) == 2
    assert len({instance for _, instance, _ in seen}) == 2


def test_sampler(run: Runner, web: Any) -> None:
    """An unsampled request has no span and still hands its context on, with the flag 00."""
    done = run.traced(PYTHON, run.program(CALL), web.url, flags=("--sampler", "always_off"))
    assert (done.status, len(done.spans)) == (0, 0), done
    assert web.seen[0]["traceparent"].endswith("-00")
    done = run.traced(PYTHON, run.program(CALL), web.url, flags=("--sampler", "parentbased_traceidratio:1.0"))
    assert len(done.spans) == 1


def test_propagators(run: Runner, web: Any) -> None:
    """Only the propagators that are named write headers."""
    program = run.program(
        "import sys, requests\nfrom opentelemetry import baggage, context\n"
        "context.attach(baggage.set_baggage('k', 'v'))\nrequests.get(sys.argv[1])\n"
    )
    for names, expected in (("tracecontext", {"traceparent"}), ("baggage", {"baggage"}), ("none", set())):
        web.seen.clear()
        run.traced(PYTHON, program, web.url, flags=("--propagators", names))
        assert set(web.seen[0]) & {"traceparent", "baggage"} == expected


@pytest.mark.parametrize("early", [True, False])
def test_the_programs_own_provider_takes_over(run: Runner, web: Any, early: bool) -> None:
    """The program sets a provider: its spans and ours go there and nowhere else, and one line says so."""
    program = run.program(
        "import sys, requests\n"
        "from opentelemetry import trace\n"
        "from opentelemetry.sdk.trace import TracerProvider\n"
        "from opentelemetry.sdk.trace.export import SimpleSpanProcessor\n"
        "from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter\n"
        "tracer = trace.get_tracer('before')\n"
        + ("" if early else "requests.get(sys.argv[1])\n")
        + "exporter = InMemorySpanExporter()\n"
        "provider = TracerProvider()\n"
        "provider.add_span_processor(SimpleSpanProcessor(exporter))\n"
        "trace.set_tracer_provider(provider)\n"
        "assert trace.get_tracer_provider() is provider\n"
        "with tracer.start_as_current_span('handed out before'):\n"
        "    requests.get(sys.argv[1])\n"
        "print([span.name for span in exporter.get_finished_spans()])\n"
    )
    done = run.traced(PYTHON, program, web.url)
    assert done.out == "['GET', 'handed out before']\n", done
    assert done.theirs == ""
    assert done.ours == ["the program has set a tracer provider of its own; spans go where that one sends them"]
    assert len(done.spans) == (0 if early else 1)


def test_the_programs_own_exporter_beside_ours(run: Runner, web: Any) -> None:
    """A program that adds an exporter to the provider has each span there once, and once in ours."""
    program = run.program(
        "import sys, requests\n"
        "from opentelemetry import trace\n"
        "from opentelemetry.sdk.trace.export import SimpleSpanProcessor\n"
        "from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter\n"
        "exporter = InMemorySpanExporter()\n"
        "trace.get_tracer_provider().add_span_processor(SimpleSpanProcessor(exporter))\n"
        "with trace.get_tracer('shop').start_as_current_span('work'):\n    requests.get(sys.argv[1])\n"
        "print([span.name for span in exporter.get_finished_spans()])\n"
    )
    done = run.traced(PYTHON, program, web.url)
    assert (done.out, done.err) == ("['GET', 'work']\n", ""), done
    assert sorted(span.name for span in done.spans) == ["GET", "work"]


@pytest.mark.parametrize("order", ["around", "inside", "twice"])
def test_beside_another_launcher(run: Runner, web: Any, receiver: Any, order: str) -> None:
    """Under opentelemetry-instrument, around it, or twice: each span arrives once, and one line says who has them."""
    program = run.program(
        "import sys, requests\nfrom opentelemetry import trace\n"
        "with trace.get_tracer('shop').start_as_current_span('work'):\n    requests.get(sys.argv[1])\n"
    )
    rival = str(SCRIPTS / "opentelemetry-instrument")
    launchers = {"around": [TRACERUN, rival], "inside": [rival, TRACERUN], "twice": [TRACERUN, TRACERUN]}[order]
    env = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.endpoint,
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        "OTEL_TRACES_EXPORTER": "otlp",
        "OTEL_METRICS_EXPORTER": "none",
        "OTEL_LOGS_EXPORTER": "none",
        "TRACERUN_EXPORTER": None,
    }
    done = run.command(*launchers, PYTHON, program, web.url, env=env)
    said = {
        "around": ["opentelemetry-instrument starts tracing of its own in the program, and keeps tracerun's out"],
        "inside": ["the program has a tracer provider of its own; spans go where that one sends them"],
        "twice": [],
    }[order]
    assert (done.status, [line.partition("; leave")[0] for line in done.ours]) == (0, said), done
    # Without opentelemetry-instrumentation-requests there, the other launcher traces no call.
    assert sorted(span.name for span in receiver.spans) == ([] if order == "around" else ["GET"]) + ["work"]


def test_manual_tracing_without_any_library(run: Runner) -> None:
    """A program that only uses the OpenTelemetry API has its spans exported."""
    program = run.program(
        "from opentelemetry import trace\n"
        "with trace.get_tracer('shop').start_as_current_span('work', attributes={'n': 1}):\n    pass\n"
    )
    span = run.traced(PYTHON, program).spans.one()
    assert (span.name, span.kind, span.scope, span.attributes) == ("work", 1, "shop", {"n": 1})


def test_metrics_are_left_to_the_official_configurator(run: Runner, web: Any) -> None:
    """Metrics asked for are set up by the official configurator, and traces go where they went."""
    program = run.program(
        CALL + "from opentelemetry import metrics\nprint(type(metrics.get_meter_provider()).__module__)"
    )
    done = run.traced(PYTHON, program, web.url, env={"OTEL_METRICS_EXPORTER": "console"})
    assert done.out.startswith("opentelemetry.sdk.metrics"), done
    assert len(done.spans) == 1


def test_id_generator_is_left_to_the_official_configurator(run: Runner, web: Any) -> None:
    """An id generator by entry point is used."""
    done = run.traced(PYTHON, run.program(CALL), web.url, env={"OTEL_PYTHON_ID_GENERATOR": "random"})
    assert len(done.spans) == 1, done


def test_a_program_that_touches_no_library_loads_no_opentelemetry(run: Runner) -> None:
    """Nothing of OpenTelemetry is imported before something needs it, also when libraries are only imported."""
    program = run.program(
        "import requests, urllib3, httpx, flask, grpc, sys\n"
        "print([name for name in sys.modules if name.startswith('opentelemetry')])\n"
    )
    assert run.traced(PYTHON, program).out == "[]\n"


def test_flags_on_the_wire_are_those_of_version_00(run: Runner, web: Any) -> None:
    """The header's flags are 00 or 01: receivers that know no random flag take it."""
    run.traced(PYTHON, run.program(CALL), web.url)
    assert web.seen[0]["traceparent"].split("-")[3] == "01"
