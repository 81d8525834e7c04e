"""Settings: what each value means, what is said of a wrong one, and that it never stops the program."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from tests.conftest import PYTHON, Runner
from tracerun import values
from tracerun.environment import OF_THE_LAUNCH
from tracerun.settings import TABLE, Settings

PROGRAM = """
import sys, requests
for number in range(2):
    print(requests.get(f"{sys.argv[1]}/200/{number}").status_code)
"""

# Settings that take any text; all others are picky.
ANY_TEXT = (values.text, values.path, values.folder, values.names)
# Variable, a wrong value, what is allowed, what is used instead.
WRONG = [
    ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://host:port", "HOST:PORT", "ignored"),
    ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "ftp://host", "https://HOST:PORT", "ignored"),
    ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "thrift", "http/protobuf, http/json, grpc", "ignored"),
    ("OTEL_EXPORTER_OTLP_PROTOCOL", "http", "http/protobuf, http/json, grpc", "ignored"),
    ("OTEL_EXPORTER_OTLP_TRACES_INSECURE", "perhaps", "true, false", "using false"),
    ("OTEL_EXPORTER_OTLP_INSECURE", "2", "true, false", "using false"),
    ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "hunter2", "KEY=VALUE", "ignored"),
    ("OTEL_EXPORTER_OTLP_HEADERS", "a b=hunter2", "NAME=VALUE", "ignored"),
    ("TRACERUN_EXPORTER", "none,file", "none stands alone", "using auto"),
    ("OTEL_TRACES_EXPORTER", ",", "auto, otlp, file, tree, console, none", "using auto"),
    ("OTEL_RESOURCE_ATTRIBUTES", "team", "KEY=VALUE", "ignored"),
    ("OTEL_TRACES_SAMPLER", "traceidratio:7", "a ratio from 0.0 to 1.0", "using parentbased_always_on"),
    ("OTEL_PROPAGATORS", ",", "tracecontext, baggage, none", "using tracecontext,baggage"),
    ("TRACERUN_EXCLUDE_URL", "http://shop.example/health", "/health", "ignored"),
    ("TRACERUN_ROOT_SPAN", "maybe", "true, false", "using false"),
    ("TRACERUN_CHILDREN", "some", "same, all, none", "using same"),
    ("TRACERUN_EXIT_TIMEOUT", "soon", "a number from 0", "using 1.8"),
    ("TRACERUN_STRICT", "maybe", "true, false", "using false"),
    ("TRACERUN_ENABLED", "maybe", "true, false", "using true"),
    ("OTEL_SDK_DISABLED", "maybe", "true, false", "using false"),
    ("TRACERUN_DEBUG", "maybe", "true, false", "using false"),
    ("TRACERUN_RAISE_ERRORS", "maybe", "true, false", "using false"),
    ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "-1", "a number from 0", "using 10.0"),
    ("OTEL_EXPORTER_OTLP_TIMEOUT", "nan", "a number from 0", "using 10.0"),
    ("OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", "zip", "none, gzip", "using none"),
    ("OTEL_EXPORTER_OTLP_COMPRESSION", "deflate", "none, gzip", "using none"),
    ("OTEL_BSP_SCHEDULE_DELAY", "abc", "a number from 0", "ignored"),
    ("OTEL_BSP_MAX_QUEUE_SIZE", "abc", "a whole number from 1", "using 20000"),
    ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "0", "a whole number from 1", "ignored"),
    ("TRACERUN_MAX_QUEUE_BYTES", "64MB", "a whole number from 1", "using 67108864"),
    ("TRACERUN_REPORT", "maybe", "true, false", "using false"),
    ("TRACERUN_ALSO_FILE", "maybe", "true, false", "using false"),
    ("http_proxy", "socks5://host:1", "http://HOST:PORT", "ignored"),
    ("https_proxy", "https://host:1", "http://HOST:PORT", "ignored"),
    ("HTTPS_PROXY", "socks5://host:1", "http://HOST:PORT", "ignored"),
    ("OTEL_BSP_EXPORT_TIMEOUT", "inf", "a number from 0", "ignored"),
    ("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "abc", "a whole number from 0", "ignored"),
    ("OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", "-1", "a whole number from 0", "ignored"),
    ("OTEL_ATTRIBUTE_COUNT_LIMIT", "1.5", "a whole number from 0", "ignored"),
    ("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "9" * 5000, "a whole number from 0", "ignored"),
    ("OTEL_SPAN_EVENT_COUNT_LIMIT", "many", "a whole number from 0", "ignored"),
    ("OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT", "٣", "a whole number from 0", "ignored"),
    ("OTEL_SPAN_LINK_COUNT_LIMIT", "1e3", "a whole number from 0", "ignored"),
    ("OTEL_LINK_ATTRIBUTE_COUNT_LIMIT", "x", "a whole number from 0", "ignored"),
    ("TRACERUN_PID", "0", "a whole number from 1", "ignored"),
]
# Those of them that only the parts of a process that are set up for tracing can stumble over.
FELT = {
    variable: value
    for variable, value, _, _ in WRONG
    if variable.startswith("OTEL_") and variable not in ("OTEL_SDK_DISABLED", "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT")
}

plausible = st.one_of(
    st.sampled_from(sorted({value for _, value, _, _ in WRONG})),
    st.sampled_from(
        ["true", "0", "1", "0.5", "grpc", "none", "a=b", "a=%41,c=d", "http://localhost:4318", "b3,baggage"]
    ),
    st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20),
)
environments = st.dictionaries(st.sampled_from([name for setting in TABLE for name in setting.variables]), plausible)


@hypothesis_settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(environments)
def test_the_two_ends_are_inverse(env: dict[str, str]) -> None:
    """The variables that settings write are read as the same settings, whatever stood there."""
    settings = Settings.from_env(env)
    again = Settings.from_env(settings.to_env())
    assert again == settings
    assert hash(again) == hash(settings)


def test_settings_of_the_launch() -> None:
    """The launcher reads the settings where one is set that it looks at, and leaves all others to the target."""
    looked_at = (Settings.enabled, Settings.sdk_disabled, Settings.strict, Settings.debug)
    assert {variable for setting in looked_at for variable in setting.variables} == OF_THE_LAUNCH


def test_every_picky_setting_is_in_the_table() -> None:
    """No variable with allowed values is left out of the tests below."""
    picky = {name for setting in TABLE if setting.parse not in ANY_TEXT for name in setting.variables}
    assert {variable for variable, _, _, _ in WRONG} == picky


@pytest.mark.parametrize(("variable", "value", "allowed", "instead"), WRONG, ids=[row[0] for row in WRONG])
def test_one_line_for_a_wrong_value(variable: str, value: str, allowed: str, instead: str) -> None:
    """It names the variable, what is allowed and what is used instead; a secret is not in it."""
    (line,) = Settings.from_env({variable: value}).problems
    assert line.startswith(variable)
    assert f"{allowed}" in line.partition("allowed: ")[2]
    assert line.endswith(f"; {instead}")
    assert "hunter2" not in line


def test_an_empty_value_is_no_value() -> None:
    """As the specification has it, also where it is made of blanks."""
    settings = Settings.from_env({variable: "  " for variable, _, _, _ in WRONG})
    assert settings == Settings.from_env({})
    assert settings.problems == []


def test_the_weaker_variable_counts_where_the_stronger_is_wrong() -> None:
    """And the line says so."""
    settings = Settings.from_env(
        {"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "thrift", "OTEL_EXPORTER_OTLP_PROTOCOL": "http/json"}
    )
    assert settings.protocol == "http/json"
    assert settings.problems[0].endswith("; using OTEL_EXPORTER_OTLP_PROTOCOL")


@pytest.mark.parametrize(
    ("name", "variable", "text", "value"),
    [
        ("exporter", "OTEL_TRACES_EXPORTER", "OTLP, Console", ("otlp", "console")),
        ("propagators", "OTEL_PROPAGATORS", "TraceContext,b3, b3", ("tracecontext", "b3")),
        ("sampler", "OTEL_TRACES_SAMPLER", "TraceIdRatio", "traceidratio"),
        ("insecure", "OTEL_EXPORTER_OTLP_INSECURE", " TRUE ", True),
        ("headers", "OTEL_EXPORTER_OTLP_HEADERS", "Api-Key=a%20b, x=y=z", {"api-key": "a b", "x": "y=z"}),
        ("resource", "OTEL_RESOURCE_ATTRIBUTES", "team=a%2Cb,empty=,", {"team": "a,b", "empty": ""}),
        ("timeout", "OTEL_EXPORTER_OTLP_TIMEOUT", "2500", 2.5),
        ("timeout", "OTEL_EXPORTER_OTLP_TIMEOUT", "5", 5.0),
        ("schedule_delay", "OTEL_BSP_SCHEDULE_DELAY", "200", 0.2),
        ("endpoint", "OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4317", "collector:4317"),
        ("endpoint", "OTEL_EXPORTER_OTLP_ENDPOINT", "https://[::1]:4318/base", "https://[::1]:4318/base"),
        ("endpoint", "OTEL_EXPORTER_OTLP_ENDPOINT", "[::1]", "[::1]"),
    ],
)
def test_right_values(name: str, variable: str, text: str, value: Any) -> None:
    """Known words in any case, lists with blanks, percent-encoding, durations in milliseconds, IPv6 addresses."""
    settings = Settings.from_env({variable: text})
    assert settings.problems == []
    assert getattr(settings, name) == value


@pytest.mark.parametrize(
    "endpoint",
    [
        "http://",
        "http://:4318",
        ":4318",
        "http:/host",
        "::1",
        "http://[::1",
        "host:0",
        "host:65536",
        "a b:80",
        "unix:/x",
    ],
)
def test_malformed_endpoints(endpoint: str) -> None:
    """An endpoint without a host, with a wrong port or a wrong scheme is named, not tried."""
    assert len(Settings.from_env({"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint}).problems) == 1


@pytest.mark.parametrize("name", ["jaeger", "Zipkin", "otlp,jaeger_thrift"])
def test_retired_exporters(name: str) -> None:
    """Exporters that OpenTelemetry no longer has are answered with the OTLP setting to use."""
    (line,) = Settings.from_env({"OTEL_TRACES_EXPORTER": name}).problems
    assert "OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:4318" in line
    assert line.endswith("using auto")


@pytest.mark.parametrize(("port", "instead"), [("14250", "4317"), ("14268", "4318"), ("9411", "4318")])
def test_retired_ports(port: str, instead: str) -> None:
    """Ports of Jaeger and Zipkin that do not take OTLP are answered with the one that does; no secret is shown."""
    (line,) = Settings.from_env(
        {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://user:hunter2@tracing.example:{port}/x"}
    ).problems
    assert f"port {port} does not take OTLP" in line
    assert f"http://tracing.example:{instead}" in line
    assert "hunter2" not in line


def test_a_ratio_is_checked_with_its_sampler() -> None:
    """OTEL_TRACES_SAMPLER_ARG is wrong only for a sampler that takes a ratio."""
    wrong = {"OTEL_TRACES_SAMPLER_ARG": "half"}
    assert Settings.from_env(wrong).problems == []
    (line,) = Settings.from_env({**wrong, "OTEL_TRACES_SAMPLER": "parentbased_traceidratio"}).problems
    assert line == "OTEL_TRACES_SAMPLER_ARG=half: allowed: a ratio from 0.0 to 1.0; using 1.0"


def about(lines: list[str], variable: str) -> list[str]:
    """Our lines that begin with a variable's name."""
    return [line for line in lines if line.startswith((f"{variable}=", f"{variable}:"))]


def test_everything_wrong_at_once(run: Runner, web: Any) -> None:
    """The program runs as plain, each wrong variable has exactly one line, and every span arrives."""
    app = run.program(PROGRAM)
    plain = run.plain(PYTHON, app, web.url)
    traced = run.traced(PYTHON, app, web.url, env=FELT)
    assert (traced.status, traced.out, traced.theirs) == (plain.status, plain.out, plain.theirs)
    assert {variable: len(about(traced.ours, variable)) for variable in FELT} == dict.fromkeys(FELT, 1)
    assert len(traced.ours) == len(FELT)
    assert "hunter2" not in traced.err
    assert len(traced.spans) == 2


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "abc", "a whole number from 0; ignored"),
        ("OTEL_PROPAGATORS", "tracecontxt,tracecontext", "allowed: tracecontext, baggage, none; left out"),
        ("OTEL_TRACES_SAMPLER", "sometimes", "parentbased_traceidratio; using parentbased_always_on"),
        ("TRACERUN_EXPORTER", "nosuch,file", "allowed: auto, otlp, file"),
        ("OTEL_METRICS_EXPORTER", "nosuch", "traces are set up without"),
        ("OTEL_PYTHON_ID_GENERATOR", "nosuch", "traces are set up without"),
        ("OTEL_PYTHON_CONTEXT", "nosuch", "using contextvars_context"),
        ("OTEL_EXPERIMENTAL_RESOURCE_DETECTORS", "nosuch", "none is used"),
        ("OTEL_RESOURCE_ATTRIBUTES", "a\nc\x1b[31m", "OTEL_RESOURCE_ATTRIBUTES=a\\nc\\x1b[31m: "),
    ],
)
def test_one_wrong_variable(run: Runner, web: Any, variable: str, value: str, said: str) -> None:
    """Also what only installed packages can vouch for costs one line, on one line, and no span."""
    done = run.traced(PYTHON, run.program(PROGRAM), web.url, env={variable: value})
    assert (done.status, done.out, done.theirs) == (0, "200\n200\n", "")
    (line,) = done.ours
    assert said in line
    assert len(done.spans) == 2


def test_wrong_values_of_the_grpc_exporter(run: Runner, web: Any, grpc_receiver: Any) -> None:
    """The official exporter reads variables itself; wrong ones do not keep it from sending."""
    wrong = {
        "OTEL_EXPORTER_OTLP_TIMEOUT": "soon",
        "OTEL_EXPORTER_OTLP_TRACES_COMPRESSION": "zip",
        "OTEL_EXPORTER_OTLP_INSECURE": "perhaps",
        "OTEL_EXPORTER_OTLP_HEADERS": "hunter2",
    }
    right = {
        "TRACERUN_EXPORTER": "otlp",
        "OTEL_EXPORTER_OTLP_ENDPOINT": grpc_receiver.endpoint,
        "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
    }
    done = run.traced(PYTHON, run.program(PROGRAM), web.url, env={**wrong, **right})
    assert (done.status, done.out, len(done.ours)) == (0, "200\n200\n", len(wrong))
    assert len(grpc_receiver.spans) == 2


STRICT = [
    ("OTEL_TRACES_EXPORTER", "jaeger", "OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:4318"),
    ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://localhost:14268", "http://localhost:4318"),
    ("OTEL_BSP_MAX_QUEUE_SIZE", "abc", "a whole number from 1"),
    ("OTEL_PROPAGATORS", "nosuch", "tracecontext, baggage, none"),
    ("OTEL_TRACES_SAMPLER", "nosuch", "always_on"),
    ("OTEL_METRICS_EXPORTER", "nosuch", "otlp, none"),
]


@pytest.mark.parametrize(("variable", "value", "said"), STRICT, ids=[row[0] for row in STRICT])
def test_strict(run: Runner, variable: str, value: str, said: str) -> None:
    """With --strict a wrong variable ends the run with status 2 before the program's first line."""
    done = run.traced(PYTHON, run.program("print('started')"), flags=("--strict",), env={variable: value})
    assert (done.status, done.out, done.theirs) == (2, "", "")
    (line,) = about(done.ours, variable)
    assert said in line
    assert done.ours[1:] == ["not started, because of --strict (TRACERUN_STRICT)"]


def test_strict_by_variable(run: Runner) -> None:
    """TRACERUN_STRICT=true is --strict, and where everything is right it changes nothing."""
    app = run.program("print('started')")
    strict = {"TRACERUN_STRICT": "true"}
    assert run.traced(PYTHON, app, env=strict).out == "started\n"
    assert run.traced(PYTHON, app, env={**strict, "OTEL_BSP_SCHEDULE_DELAY": "abc"}).status == 2
