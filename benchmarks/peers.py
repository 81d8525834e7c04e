"""Who is measured: bare Python, tracerun and its peers, each with the same libraries in an environment of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from benchmarks.figures import BARE

# In every environment: a rich one, because a launcher's start may depend on what is installed.
LIBRARIES = (
    "aiohttp",
    "django",
    "falcon",
    "fastapi",
    "flask",
    "grpcio",
    "gunicorn",
    "httpx",
    "pyramid==2.1",
    "requests",
    # tracerun's launcher brings it; where it is, `import httpx` imports it too, and so it must be everywhere.
    "rich",
    "tornado",
    "urllib3",
    "uvicorn",
    "waitress",
)
_UPSTREAM = (
    "aiohttp-client",
    "aiohttp-server",
    "asgi",
    "django",
    "falcon",
    "fastapi",
    "flask",
    "grpc",
    "httpx",
    "pyramid",
    "requests",
    "starlette",
    "tornado",
    "urllib",
    "urllib3",
    "wsgi",
)
# The newest release for which all of the instrumentations above exist.
_UPSTREAM_RELEASE = "0.66b1"


@dataclass(frozen=True)
class Peer:
    """One way to run a program.

    Attributes:
        name: In tables and results.
        requirements: What it needs beside the libraries.
        launcher: The words before the command; the first is a script of its environment.
        distribution: Whose version names its release.
        variables: Its settings.
        destination: Settings by which spans go to a receiver; ``{endpoint}`` is its URL.
        unsampled: Settings by which it records nothing.
        tracers: Settings by which spans of the OpenTelemetry API are its own; None where it has no such thing.
    """

    name: str
    requirements: tuple[str, ...] = ()
    launcher: tuple[str, ...] = ()
    distribution: str = ""
    variables: Mapping[str, str] = field(default_factory=dict)
    destination: Mapping[str, str] = field(default_factory=dict)
    unsampled: Mapping[str, str] = field(default_factory=dict)
    tracers: Mapping[str, str] | None = None


_OTLP = {"OTEL_EXPORTER_OTLP_ENDPOINT": "{endpoint}", "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}
_ALWAYS_OFF = {"OTEL_TRACES_SAMPLER": "always_off"}

TRACERUN = Peer(
    "tracerun",
    launcher=("tracerun",),
    distribution="tracerun",
    destination=_OTLP,
    unsampled=_ALWAYS_OFF,
    tracers={},
)
UPSTREAM = Peer(
    "opentelemetry-instrument",
    requirements=(
        f"opentelemetry-distro=={_UPSTREAM_RELEASE}",
        "opentelemetry-exporter-otlp==1.45.1",
        *(f"opentelemetry-instrumentation-{name}=={_UPSTREAM_RELEASE}" for name in _UPSTREAM),
    ),
    launcher=("opentelemetry-instrument",),
    distribution="opentelemetry-distro",
    # Traces alone, as tracerun does it: three signals cost more.
    destination=_OTLP,
    variables={
        "OTEL_TRACES_EXPORTER": "otlp",
        "OTEL_METRICS_EXPORTER": "none",
        "OTEL_LOGS_EXPORTER": "none",
        "OTEL_SEMCONV_STABILITY_OPT_IN": "http",
    },
    unsampled=_ALWAYS_OFF,
    tracers={},
)
DDTRACE = Peer(
    "ddtrace-run",
    requirements=("ddtrace==4.16.0",),
    launcher=("ddtrace-run",),
    distribution="ddtrace",
    # Telemetry would go out to its maker.
    destination={"DD_TRACE_AGENT_URL": "{endpoint}"},
    variables={
        "DD_INSTRUMENTATION_TELEMETRY_ENABLED": "false",
        "DD_REMOTE_CONFIGURATION_ENABLED": "false",
        "DD_TRACE_STARTUP_LOGS": "false",
    },
    unsampled={"DD_TRACE_SAMPLING_RULES": '[{"sample_rate": 0.0}]'},
    tracers={"DD_TRACE_OTEL_ENABLED": "true"},
)
# It speaks to its maker's service alone, which is not there: its start and its exit can be measured, no delivery.
NEWRELIC = Peer(
    "newrelic-admin",
    requirements=("newrelic==14.1.0",),
    launcher=("newrelic-admin", "run-program"),
    distribution="newrelic",
    variables={"NEW_RELIC_LICENSE_KEY": "0" * 40, "NEW_RELIC_HOST": "127.0.0.1", "NEW_RELIC_LOG_LEVEL": "critical"},
)

PEERS = (Peer(BARE), TRACERUN, UPSTREAM, DDTRACE, NEWRELIC)
EVERYONE = tuple(peer.name for peer in PEERS)
# Those whose spans arrive at a receiver on this machine.
DELIVERING = tuple(peer.name for peer in PEERS if peer is not NEWRELIC)
