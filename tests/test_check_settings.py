"""``--check`` on settings: each with its value and its source; what is wrong with them, and what to set."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.checking import ENDPOINT, PROTOCOL, UNSET, Env, check
from tests.conftest import PYTHON, TRACERUN, Runner
from tests.environments import Environments, environments
from tracerun.cli.check.variables_check import FAMILIES, known_names
from tracerun.settings import TABLE

__all__ = ["environments"]  # the fixture

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331"
# A wrong setting: the finding's slug, and its fix.
FAULTS: list[tuple[Env, str, str]] = [
    ({"OTEL_SDK_DISABLED": "true"}, "switched-off", "unset OTEL_SDK_DISABLED"),
    ({"TRACERUN_ENABLED": "no"}, "switched-off", "unset TRACERUN_ENABLED"),
    ({**UNSET, "OTEL_TRACES_EXPORTER": "none"}, "exporter-none", "set OTEL_TRACES_EXPORTER=otlp, or unset it"),
    ({"TRACERUN_EXPORTER": "none"}, "exporter-none", "set TRACERUN_EXPORTER=otlp, or unset it"),
    (
        {"OTEL_TRACES_EXPORTER": "jaeger"},
        "retired-exporter",
        f"set OTEL_TRACES_EXPORTER=otlp and {ENDPOINT}=http://localhost:4318",
    ),
    (
        {"OTEL_TRACES_EXPORTER": "zipkin"},
        "retired-exporter",
        f"set OTEL_TRACES_EXPORTER=otlp and {ENDPOINT}=http://localhost:4318",
    ),
    ({ENDPOINT: "http://tracing:14250"}, "retired-port", f"set {ENDPOINT}=http://tracing:4317"),
    ({ENDPOINT: "http://tracing:14268/api/traces"}, "retired-port", f"set {ENDPOINT}=http://tracing:4318"),
    ({ENDPOINT: "http://tracing:9411/api/v2/spans"}, "retired-port", f"set {ENDPOINT}=http://tracing:4318"),
    ({**UNSET, "OTEL_TRACES_EXPORTER": "oltp"}, "unknown-name", "set OTEL_TRACES_EXPORTER=otlp"),
    ({"OTEL_PROPAGATORS": "baggage,tracecontxt"}, "unknown-name", "set OTEL_PROPAGATORS=baggage,tracecontext"),
    ({"OTEL_PROPAGATORS": "b3"}, "unknown-name", f"{PYTHON} -m pip install opentelemetry-propagator-b3"),
    ({"OTEL_TRACES_SAMPLER": "always"}, "unknown-name", "set OTEL_TRACES_SAMPLER=always_on"),
    ({"OTEL_TRACES_SAMPLER": "my_own"}, "unknown-name", "set OTEL_TRACES_SAMPLER to one of always_on, always_off"),
    ({"TRACERUN_ONLY": "urllib,flsk"}, "unknown-name", "set TRACERUN_ONLY to names of"),
    (
        {"OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0"},
        "sampler-off",
        "set OTEL_TRACES_SAMPLER_ARG=1.0",
    ),
    ({"OTEL_TRACES_SAMPLER": "traceidratio:0.0"}, "sampler-off", "set OTEL_TRACES_SAMPLER=traceidratio:1.0"),
    ({"OTEL_TRACES_SAMPLER": "always_off"}, "sampler-off", "set OTEL_TRACES_SAMPLER=always_on"),
    (
        {"OTEL_TRACES_SAMPLER": "parentbased_always_off"},
        "sampler-off",
        "set OTEL_TRACES_SAMPLER=parentbased_always_on",
    ),
    (
        {"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "all"},
        "wrong-value",
        "set OTEL_TRACES_SAMPLER_ARG to what is allowed: a ratio from 0.0 to 1.0",
    ),
    ({"TRACEPARENT": f"{PARENT}-00"}, "unsampled-parent", "unset TRACEPARENT, or set OTEL_TRACES_SAMPLER=always_on"),
    ({PROTOCOL: "http"}, "wrong-value", f"set {PROTOCOL} to what is allowed: http/protobuf, http/json, grpc"),
    ({"OTEL_EXPORTER_OTLP_HEADERS": "hush"}, "wrong-value", "set OTEL_EXPORTER_OTLP_HEADERS to what is allowed"),
    ({ENDPOINT: "htp://me:hush@host"}, "wrong-value", f"set {ENDPOINT} to what is allowed: http://HOST:PORT"),
    ({"OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "*"}, "nothing-to-trace", "leave out --only and --disable"),
    ({"TRACERUN_DIR": "/dev/null/x"}, "folder", "set TRACERUN_DIR to a folder that is"),
]
FEW = ("switched-off", "retired-exporter", "unsampled-parent")
WARNINGS: list[tuple[Env, str, str]] = [
    ({"OTEL_BSP_SCHEDULE_DELAY": "abc"}, "wrong-value", "a number from 0"),
    ({"OTEL_EXPORTER_OLTP_ENDPOINT": "http://x"}, "unknown-variable", f"rename it to {ENDPOINT}"),
    ({"OTEL_SERVICENAME": "x"}, "unknown-variable", "rename it to OTEL_SERVICE_NAME"),
    ({"otel_service_name": "x"}, "unknown-variable", "rename it to OTEL_SERVICE_NAME"),
    ({"TRACERUN_DISABLE": "x"}, "unknown-variable", "docs/settings.md has the names"),
    ({"TRACEPARENT": "nonsense"}, "unsampled-parent", "unset TRACEPARENT"),
    ({"OTEL_METRICS_EXPORTER": "nosuch"}, "unknown-name", "set OTEL_METRICS_EXPORTER to one of otlp, none"),
]


@pytest.mark.parametrize(
    ("env", "slug", "fix"),
    [pytest.param(*row, id=str(row[0]), marks=() if row[1] in FEW else pytest.mark.slow) for row in FAULTS],
)
def test_faults(run: Runner, env: Env, slug: str, fix: str) -> None:
    """Each has its name and the value to set; no other fault is found, and no secret shown."""
    report = check(run, PYTHON, "app.py", env=env)
    found = report.one(slug)
    assert found["fix"].startswith(fix), found
    assert {fault["slug"] for fault in report.faults} == {slug}
    assert "hush" not in json.dumps(report.document)


@pytest.mark.parametrize(
    ("env", "slug", "fix"),
    [pytest.param(*row, id=str(row[0]), marks=() if ENDPOINT in row[2] else pytest.mark.slow) for row in WARNINGS],
)
def test_warnings(run: Runner, env: Env, slug: str, fix: str) -> None:
    """What loses no trace is named too, and a trace arrives."""
    report = check(run, PYTHON, "app.py", env=env)
    assert fix in report.one(slug, "warning")["fix"]
    assert report.faults == []


@pytest.mark.slow
def test_a_part_of_the_traces(run: Runner) -> None:
    """A ratio is no fault, and a span arrives whatever it is."""
    env: Env = {"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.001"}
    report = check(run, PYTHON, "app.py", env=env)
    assert report.one("sampler-ratio", "ok")["what"] == "of the traces that begin here 0.1 % are kept"
    assert report.faults == []


def test_names_that_others_read(run: Runner) -> None:
    """Variables of the specification, of upstream's packages and of other languages are not accused."""
    env = dict.fromkeys(
        (
            "OTEL_LOG_LEVEL", "OTEL_METRIC_EXPORT_INTERVAL", "OTEL_METRICS_EXEMPLAR_FILTER", "OTEL_JAVAAGENT_DEBUG",
            "OTEL_NODE_RESOURCE_DETECTORS", "OTEL_DOTNET_AUTO_HOME", "OTEL_GO_AUTO_TARGET_EXE", "OTEL_ENTITIES",
            "OTEL_SEMCONV_STABILITY_OPT_IN", "OTEL_PYTHON_FLASK_EXCLUDED_URLS", "OTEL_PYTHON_LOG_CORRELATION",
            "OTEL_EXPORTER_PROMETHEUS_PORT", "OTEL_RESOURCE_ATTRIBUTES_POD_NAME", "OTEL_BLRP_SCHEDULE_DELAY",
        ),
        "info",
    )  # fmt: skip
    report = check(run, PYTHON, "app.py", env=dict(env))
    assert "unknown-variable" not in report.slugs
    assert report.one("variables", "ok")
    other = check(run, PYTHON, "app.py", env={"OTEL_WHATEVER_ELSE": "x"})
    assert "another program may" in other.one("unknown-variable", "ok")["what"]


def test_every_setting_is_a_known_name() -> None:
    """And no family of other languages' names has one of ours in it."""
    ours = {name for setting in TABLE for name in setting.variables if name.startswith(("OTEL_", "TRACERUN_"))}
    assert ours - known_names() == {"OTEL_PYTHON_<LIBRARY>_EXCLUDED_URLS"}
    assert not any(name.startswith(FAMILIES) for name in known_names())


def test_where_a_value_came_from(run: Runner) -> None:
    """An option, a variable, the pyproject table, or the default; the stronger one where there are two."""
    run.program('[tool.tracerun]\nservice-name = "table"\nchildren = "all"\nsampler = "always_on"\n', "pyproject.toml")
    env: Env = {"OTEL_RESOURCE_ATTRIBUTES": "team=a", "OTEL_SERVICE_NAME": "variable", "http_proxy": "me:hush@h:1"}
    flags = ("-n", "option", "-H", "api-key=hush", "-e", "http://me:hush@127.0.0.1:1/x?key=hush")
    report = check(run, PYTHON, "app.py", flags=flags, env=env)
    assert report.settings["OTEL_SERVICE_NAME"] == ("option", "--service-name")
    assert report.settings["TRACERUN_CHILDREN"] == ("all", "[tool.tracerun] children")
    assert report.settings["OTEL_TRACES_SAMPLER"] == ("always_on", "[tool.tracerun] sampler")
    assert report.settings["OTEL_RESOURCE_ATTRIBUTES"] == ("team=a", "environment")
    assert report.settings["OTEL_PROPAGATORS"] == ("tracecontext,baggage", "default")
    assert report.settings["OTEL_EXPORTER_OTLP_HEADERS"] == ("api-key=***", "--header")
    assert report.settings[ENDPOINT] == ("http://***@127.0.0.1:1/x?***", "--endpoint")
    assert "hush" not in json.dumps(report.document)
    table = check(run, PYTHON, "app.py", env={"OTEL_SERVICE_NAME": None})
    assert table.settings["OTEL_SERVICE_NAME"] == ("table", "[tool.tracerun] service-name")


@pytest.mark.slow
def test_no_mark_of_a_run_is_a_setting(run: Runner) -> None:
    """Also below a traced program, whose marks are in the environment."""
    env: Env = {"TRACERUN_PID": "1", "TRACERUN_RUN": "x", "TRACERUN_TARGET": "3.1:/x", "TRACERUN_SITE": "/x"}
    report = check(run, PYTHON, "app.py", env=env)
    assert set(report.settings).isdisjoint(env)
    assert report.faults == []


def test_a_configuration_file(run: Runner) -> None:
    """It overrides options, which is a fault, and variables, which is a warning; one that is missing is named."""
    run.program("file_format: '1.0'\n", "otel.yaml")
    env: Env = {"OTEL_CONFIG_FILE": "otel.yaml", "OTEL_TRACES_SAMPLER": "always_on"}
    report = check(run, PYTHON, "app.py", flags=("-n", "shop"), env=env)
    found = report.one("config-file-overrides")
    assert found["what"].startswith("--service-name would have no effect")
    assert "OTEL_TRACES_SAMPLER" in report.one("config-file-overrides", "warning")["what"]
    missing = check(run, PYTHON, "app.py", env={"OTEL_CONFIG_FILE": "nowhere.yaml"})
    assert "nowhere.yaml: there is no such file" in missing.one("config-file")["what"]
    setup = missing.one("official-setup")
    assert setup["fix"] == f"{PYTHON} -m pip install opentelemetry-configuration"


@pytest.mark.slow
def test_a_configuration_file_that_is_read(run: Runner, environments: Environments, receiver: Any) -> None:
    """Where the official configurator does the whole set-up, the span goes its way, and that is said."""
    packages = ("opentelemetry-sdk", "opentelemetry-distro", "opentelemetry-exporter-otlp-proto-http")
    python = environments.python("3.12", *packages, "opentelemetry-configuration", "pyyaml", "jsonschema")
    run.program(
        "file_format: '1.0'\ntracer_provider:\n  processors:\n    - simple:\n        exporter:\n"
        f"          otlp_http:\n            endpoint: {receiver.endpoint}/v1/traces\n",
        "otel.yaml",
    )
    report = check(run, python, "app.py", env={"OTEL_CONFIG_FILE": "otel.yaml"})
    assert report.faults == [], report.findings
    assert report.one("official", "warning")
    assert receiver.wait_for(1).named("tracerun --check")


@pytest.mark.slow
def test_strict_is_no_way_out(run: Runner) -> None:
    """``--strict``, which would not start the program, does not end the check."""
    report = check(run, PYTHON, "app.py", flags=("--strict",), env={PROTOCOL: "thrift"})
    assert report.one("wrong-value")
    assert report.one("agent", "ok")


def test_wrong_usage(run: Runner) -> None:
    """A wrong option, or a wrong table, is exit code 2 and nothing else."""
    for words in (("-e", "nonsense://", "--check"), ("--check", "--format", "xml")):
        done = run.command(TRACERUN, *words)
        assert (done.status, done.out) == (2, ""), done
    done = run.command(TRACERUN, "--format", "json", PYTHON, "app.py")
    assert "--format goes with --list-instrumentations or --check" in done.err
    run.program('[tool.tracerun]\nnosuch = "x"\n', "pyproject.toml")
    assert run.command(TRACERUN, "--check").status == 2
