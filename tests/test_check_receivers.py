"""``--check`` against real receivers with a fault: each is recognised, and named with what to set."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTracePartialSuccess as PartialSuccess

from tests import misbehaving
from tests.checking import ENDPOINT, PROTOCOL, UNSET, Env, check
from tests.conftest import PYTHON, Runner, WebServer, free_port
from tests.environments import Environments, environments
from tests.misbehaving import Certificates, answering
from tests.receiver import Response

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import ExitStack

__all__ = ["environments"]  # the fixture

GRPC: Env = {PROTOCOL: "grpc"}


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))


def at(address: str, scheme: str = "http", /, **more: str | None) -> Env:
    """The settings that name a receiver."""
    return {ENDPOINT: f"{scheme}://{address}", **more}


class World:
    """Starts servers that end with the test."""

    def __init__(self, stack: ExitStack, certificates: Certificates) -> None:
        self._stack = stack
        self.certificates = certificates

    def http(self, status: int = 200, certificate: str = "", *, clients: bool = False) -> str:
        """The address of a receiver over HTTP."""
        made = getattr(self.certificates, certificate) if certificate else None
        context = self.certificates.context(made, clients=clients) if made else None
        return self._stack.enter_context(misbehaving.http(status, context)).endpoint.partition("//")[2]

    def grpc(self, code: grpc.StatusCode | None = None, *, tls: bool = False, otlp: bool = True) -> str:
        """The address of a receiver over gRPC."""
        certificates = self.certificates if tls else None
        return self._stack.enter_context(misbehaving.over_grpc(code, certificates, otlp=otlp))

    def speaking(self, answer: Callable[..., object]) -> str:
        """The address of a server with an answer of its own."""
        return self._stack.enter_context(misbehaving.speaking(answer))

    def black_hole(self) -> str:
        """The address of a port that drops everything."""
        return self._stack.enter_context(misbehaving.black_hole())

    def web(self) -> str:
        """The address of a web server that takes anything."""
        server = WebServer()
        self._stack.callback(server.close)
        return f"127.0.0.1:{server.port}"

    def trusting(self, certificate: str = "good") -> Env:
        """The setting by which a certificate is trusted."""
        return {"OTEL_EXPORTER_OTLP_CERTIFICATE": str(getattr(self.certificates, certificate))}


@pytest.fixture
def world(certificates: Certificates) -> Iterator[World]:
    with contextlib.ExitStack() as stack:
        yield World(stack, certificates)


def some_rejected(connection: Any) -> None:
    """A receiver that takes the request and refuses the span."""
    body = Response(partial_success=PartialSuccess(rejected_spans=1, error_message="no tenant")).SerializeToString()
    answering("200 OK", "Content-Type: application/x-protobuf", body=body)(connection)


CODES = grpc.StatusCode
# What is wrong: the settings, the finding's slug, and what its fix has in it; {address} is the server's.
RECEIVERS: dict[str, tuple[Callable[[World], Env], str, str]] = {
    "gRPC port given http/protobuf": (lambda w: at(w.grpc()), "grpc-port", f"set {PROTOCOL}=grpc"),
    "gRPC port with TLS given http/protobuf": (
        lambda w: at(w.grpc(tls=True), "https", **w.trusting()),
        "grpc-port",
        f"set {PROTOCOL}=grpc",
    ),
    "HTTP port given grpc": (lambda w: at(w.http(), **GRPC), "http-port", f"set {PROTOCOL}=http/protobuf"),
    "HTTP port with TLS given grpc": (
        lambda w: at(w.http(certificate="good"), "https", **GRPC, **w.trusting()),
        "http-port",
        f"set {PROTOCOL}=http/protobuf",
    ),
    "https to a plain port": (lambda w: at(w.http(), "https"), "tls-to-plain", f"set {ENDPOINT}=http://{{address}}"),
    "https to a plain gRPC port": (
        lambda w: at(w.grpc(), "https", **GRPC),
        "tls-to-plain",
        f"set {ENDPOINT}=http://{{address}}",
    ),
    "http to a TLS port": (
        lambda w: at(w.http(certificate="good")),
        "plain-to-tls",
        f"set {ENDPOINT}=https://{{address}}",
    ),
    "http to a TLS gRPC port": (
        lambda w: at(w.grpc(tls=True), **GRPC),
        "plain-to-tls",
        f"set {ENDPOINT}=https://{{address}}",
    ),
    "missing scheme, plain port": (
        lambda w: {ENDPOINT: w.http().replace("127.0.0.1", "[::ffff:127.0.0.1]")},
        "tls-to-plain",
        f"set {ENDPOINT}=http://[::ffff:127.0.0.1]:",
    ),
    "unknown authority": (
        lambda w: at(w.http(certificate="good"), "https"),
        "unknown-authority",
        "set OTEL_EXPORTER_OTLP_CERTIFICATE",
    ),
    "unknown authority, another one trusted": (
        lambda w: at(w.http(certificate="good"), "https", **w.trusting("elsewhere")),
        "unknown-authority",
        "elsewhere.pem does not hold it",
    ),
    "expired certificate": (
        lambda w: at(w.http(certificate="expired"), "https", **w.trusting("expired")),
        "expired-certificate",
        "renew it",
    ),
    "certificate of tomorrow": (
        lambda w: at(w.http(certificate="coming"), "https", **w.trusting("coming")),
        "expired-certificate",
        "correct the clock",
    ),
    "certificate of another host": (
        lambda w: at(w.http(certificate="elsewhere"), "https", **w.trusting("elsewhere")),
        "certificate-name",
        f"name in {ENDPOINT}",
    ),
    "missing certificate file": (
        lambda w: at(w.http(certificate="good"), "https", OTEL_EXPORTER_OTLP_CERTIFICATE="/nowhere.pem"),
        "certificate-file",
        "correct OTEL_EXPORTER_OTLP_CERTIFICATE",
    ),
    "client certificate wanted": (
        lambda w: at(w.http(certificate="good", clients=True), "https", **w.trusting()),
        "tls",
        "set OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE",
    ),
    "401": (lambda w: at(w.http(401)), "unauthorised", "set OTEL_EXPORTER_OTLP_HEADERS=authorization="),
    "403 in spite of a header": (
        lambda w: at(w.http(403), OTEL_EXPORTER_OTLP_HEADERS="api-key=hush"),
        "unauthorised",
        "correct the value of api-key",
    ),
    "gRPC UNAUTHENTICATED": (
        lambda w: at(w.grpc(CODES.UNAUTHENTICATED), **GRPC),
        "unauthorised",
        "set OTEL_EXPORTER_OTLP_HEADERS=authorization=",
    ),
    "404": (lambda w: at(w.http(404)), "wrong-path", f"set {ENDPOINT}=http://127.0.0.1:4318"),
    "404 below a path": (
        lambda w: at(f"{w.http(404)}/otlp"),
        "wrong-path",
        f"set {ENDPOINT}=http://{{address}}, to which /v1/traces is added",
    ),
    "404 at the endpoint for traces": (
        lambda w: {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": f"http://{w.http(404)}"},
        "wrong-path",
        "set OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=http://{address}/v1/traces: it is used as it is",
    ),
    "405": (lambda w: at(w.http(405)), "wrong-path", f"set {ENDPOINT}=http://127.0.0.1:4318"),
    "gRPC without OTLP": (lambda w: at(w.grpc(otlp=False), **GRPC), "wrong-path", "to a receiver of OTLP"),
    "429": (lambda w: at(w.http(429)), "throttled", "OTEL_TRACES_SAMPLER_ARG=0.1"),
    "gRPC RESOURCE_EXHAUSTED": (
        lambda w: at(w.grpc(CODES.RESOURCE_EXHAUSTED), **GRPC),
        "throttled",
        "OTEL_TRACES_SAMPLER_ARG=0.1",
    ),
    "500": (lambda w: at(w.http(500)), "receiver-fails", "receiver's log"),
    "503": (lambda w: at(w.http(503)), "receiver-fails", "receiver's log"),
    "gRPC INTERNAL": (lambda w: at(w.grpc(CODES.INTERNAL), **GRPC), "receiver-fails", "receiver's log"),
    "301": (lambda w: at(w.http(301)), "redirected", f"{ENDPOINT}=https://{{address}}"),
    "400": (lambda w: at(w.http(400)), "rejected", "receiver's log"),
    "413": (lambda w: at(w.http(413)), "rejected", "raise its limit"),
    "415": (lambda w: at(w.http(415)), "rejected", f"set {PROTOCOL}=http/json"),
    "partial success": (lambda w: at(w.speaking(some_rejected)), "partial-success", "rules for spans"),
    "a web server": (lambda w: at(w.web()), "not-otlp", f"set {ENDPOINT}=http://127.0.0.1:4318"),
    "an SSH server": (lambda w: at(w.speaking(misbehaving.greeting)), "not-http", f"set {ENDPOINT} to a receiver"),
    "refused": (lambda _: at(f"127.0.0.1:{free_port()}"), "refused", "start the receiver"),
    "refused, gRPC": (lambda _: at(f"127.0.0.1:{free_port()}", **GRPC), "refused", "start the receiver"),
    "no such socket": (lambda _: {ENDPOINT: "unix:///nowhere.sock"}, "refused", "start the receiver"),
    "unroutable": (lambda _: at(f"{misbehaving.UNROUTABLE}:4318"), "unroutable", f"set {ENDPOINT} to a host"),
    "black hole": (lambda w: at(w.black_hole()), "black-hole", "open that port"),
    "silence": (lambda w: at(w.speaking(misbehaving.silence)), "no-answer", "whether the receiver hangs"),
    "silence, gRPC": (lambda w: at(w.speaking(misbehaving.silence), **GRPC), "no-answer", "whether the receiver hangs"),
    "unknown host": (lambda _: at("no.such.invalid:4318"), "unknown-host", f"set {ENDPOINT}=http://localhost:4318"),
}
FEW = ("gRPC port given http/protobuf", "http to a TLS port", "401", "refused")
CASES = [pytest.param(name, marks=() if name in FEW else pytest.mark.slow) for name in RECEIVERS]


@pytest.mark.parametrize("name", CASES)
def test_receivers_that_misbehave(run: Runner, world: World, name: str) -> None:
    """One fault is found, with its name and the value to set; no secret is shown."""
    made, slug, fix = RECEIVERS[name]
    env = made(world)
    report = check(run, PYTHON, "app.py", env={**UNSET, **env})
    (found,) = report.faults
    address = next(iter(env.values()), "").partition("://")[2].partition("/")[0]  # type: ignore[union-attr]
    assert found["slug"] == slug, found
    assert fix.format(address=address) in found["fix"], found
    assert "hush" not in json.dumps(report.document)


HEALTHY: dict[str, Callable[[World], Env]] = {
    "HTTP": lambda w: at(w.http()),
    "HTTP, JSON": lambda w: at(w.http(), **{PROTOCOL: "http/json"}),
    "HTTP with TLS": lambda w: at(w.http(certificate="good"), "https", **w.trusting()),
    "HTTP with TLS by both sides": lambda w: at(
        w.http(certificate="good", clients=True),
        "https",
        **w.trusting(),
        OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE=str(w.certificates.good),
        OTEL_EXPORTER_OTLP_CLIENT_KEY=str(w.certificates.key),
    ),
    "gRPC": lambda w: at(w.grpc(), **GRPC),
    "gRPC with TLS": lambda w: at(w.grpc(tls=True), "https", **GRPC, **w.trusting()),
}
SOME = [pytest.param(name, marks=() if name == "HTTP" else pytest.mark.slow) for name in HEALTHY]


@pytest.mark.parametrize("name", SOME)
def test_receivers_that_work(run: Runner, world: World, name: str) -> None:
    """A span arrives: no fault, and the last finding says so."""
    report = check(run, PYTHON, "app.py", env={**UNSET, **HEALTHY[name](world)})
    assert report.faults == []
    assert report.findings[-1]["slug"] == "delivered"


def test_the_test_span(run: Runner, receiver: Any) -> None:
    """It is one span, named for what it is, with the service's name and the headers of the settings."""
    env = {**UNSET, ENDPOINT: receiver.endpoint, "OTEL_EXPORTER_OTLP_HEADERS": "api-key=hush"}
    report = check(run, PYTHON, "app.py", flags=("-n", "shop"), env=env)
    assert not run.state.exists()
    (span,) = receiver.spans
    assert (span.name, span.service) == ("tracerun --check", "shop")
    assert receiver.headers[-1]["api-key"] == "hush"
    assert report.settings["OTEL_EXPORTER_OTLP_HEADERS"] == ("api-key=***", "environment")
    assert "hush" not in json.dumps(report.document)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("endpoint", "slug", "fix"),
    [
        ("http://{address}/v1/traces", "traces-path", f"set {ENDPOINT}=http://{{address}}"),
        ("{address}", "no-scheme", f"set {ENDPOINT}=http://{{address}}, or https://"),
    ],
)
def test_endpoints_that_work_by_our_leave(run: Runner, receiver: Any, endpoint: str, slug: str, fix: str) -> None:
    """What other SDKs would fail at is a warning, and a trace arrives."""
    address = receiver.endpoint.partition("//")[2]
    report = check(run, PYTHON, "app.py", env={**UNSET, ENDPOINT: endpoint.format(address=address)})
    assert report.one(slug, "warning")["fix"].startswith(fix.format(address=address))
    assert report.one("delivered", "ok")


@pytest.mark.slow
@pytest.mark.parametrize(("version", "slug"), [("3.12", "delivered"), ("3.13", "unknown-authority")])
def test_a_stricter_python(run: Runner, world: World, environments: Environments, version: str, slug: str) -> None:
    """What counts is the program's Python: 3.13 does not take a certificate that 3.12 takes."""
    env = {**UNSET, **at(world.http(certificate="loose"), "https", **world.trusting("loose_authority"))}
    report = check(run, environments.python(version), "app.py", env=env)
    assert report.findings[-1]["slug"] == slug


def some_taken(connection: Any) -> None:
    """A receiver that takes the span and has something to say."""
    body = Response(partial_success=PartialSuccess(error_message="quota at 90%")).SerializeToString()
    answering("200 OK", "Content-Type: application/x-protobuf", body=body)(connection)


@pytest.mark.slow
def test_a_message_of_the_receiver(run: Runner, world: World) -> None:
    """What comes with a span that was taken is a warning."""
    report = check(run, PYTHON, "app.py", env={**UNSET, **at(world.speaking(some_taken))})
    assert "quota at 90%" in report.one("partial-success", "warning")["what"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("protocol", "slug"), [("http/protobuf", "unauthorised"), ("grpc", "http-port"), (None, "http-port")]
)
def test_the_official_set_up(run: Runner, world: World, protocol: str | None, slug: str) -> None:
    """Where metrics are asked for too, exporters that are not ours send the span; what they meet is named too."""
    env = {"OTEL_TRACES_EXPORTER": "otlp", "OTEL_METRICS_EXPORTER": "console", PROTOCOL: protocol}
    report = check(run, PYTHON, "app.py", env={**UNSET, **at(world.http(401)), **env})
    assert [found["slug"] for found in report.faults] == ["exporter-failed", slug]


@pytest.mark.slow
@pytest.mark.parametrize("more", [{}, {"OTEL_TRACES_EXPORTER": "otlp", "OTEL_METRICS_EXPORTER": "console"}])
def test_a_key_in_the_path(run: Runner, world: World, more: Env) -> None:
    """What may be a secret in an endpoint is in no finding and no fix, whoever speaks of it."""
    key = "hush" * 8
    variable = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
    for address in (world.http(404), f"127.0.0.1:{free_port()}"):
        env = {**UNSET, **more, variable: f"http://{address}/{key}", PROTOCOL: "http/protobuf"}
        report = check(run, PYTHON, "app.py", env=env)
        assert report.faults
        assert "hush" not in json.dumps(report.document)


@pytest.mark.slow
def test_the_official_set_up_with_our_exporter(run: Runner, receiver: Any) -> None:
    """Where no exporter of traces is named ours is used, and the sampler does not decide about the test span."""
    env: Env = {"OTEL_METRICS_EXPORTER": "console", "OTEL_TRACES_SAMPLER": "traceidratio", ENDPOINT: receiver.endpoint}
    report = check(run, PYTHON, "app.py", env={**UNSET, **env, "OTEL_TRACES_SAMPLER_ARG": "0.000001"})
    assert report.one("delivered", "ok")
    assert len(receiver.spans) == 1


@pytest.mark.slow
def test_a_proxy(run: Runner, world: World) -> None:
    """A proxy that is not there, refuses the tunnel or wants credentials is named, and never the receiver."""
    away, refusing = f"127.0.0.1:{free_port()}", world.speaking(answering("403 Forbidden"))
    wanting = world.speaking(answering("407 Proxy Authentication Required"))
    for endpoint, variable, proxy, protocol, what in (
        ("http://collector.test:4318", "http_proxy", away, None, "takes no connection"),
        ("https://collector.test:4318", "https_proxy", refusing, None, "403 Forbidden"),
        ("http://collector.test:4318", "http_proxy", wanting, None, "407"),
        ("http://collector.test:4317", "grpc_proxy", away, "grpc", "takes no connection"),
        ("https://collector.test:4317", "https_proxy", refusing, "grpc", "403 Forbidden"),
    ):
        env = {**UNSET, ENDPOINT: endpoint, variable: f"http://me:hush@{proxy}", PROTOCOL: protocol}
        env |= {"NO_PROXY": None, "no_proxy": None}
        report = check(run, PYTHON, "app.py", env=env)
        (found,) = report.faults
        assert (found["slug"], what in found["what"]) == ("proxy", True), found
        assert "hush" not in json.dumps(report.document)


@pytest.mark.slow
def test_no_receiver_is_asked_twice(run: Runner, receiver: Any) -> None:
    """One request is made, whatever else is looked at."""
    check(run, PYTHON, "app.py", env={**UNSET, ENDPOINT: receiver.endpoint})
    assert len(receiver.headers) == 1
