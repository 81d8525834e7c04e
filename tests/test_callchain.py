"""The main job on real input: four services, one request, the whole chain, wherever spans go."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import ROOT, Done, Runner, free_port
from tests.environments import Environments, environments

if TYPE_CHECKING:
    from tests.receiver import Spans

__all__ = ["environments"]  # the fixture
RUN = str(ROOT / "examples" / "callchain" / "run.sh")
INTERNAL, SERVER, CLIENT = 1, 2, 3
UNSET, ERROR = 0, 2

pytestmark = pytest.mark.slow


def run_chain(run: Runner, **env: str | None) -> Done:
    """Runs the example as a user does."""
    done = run.command("bash", RUN, env={"COLUMNS": "140", **env})
    assert done.status == 0, done
    assert done.out.startswith("ordered: apple\nunknown: unicorn\n"), done
    return done


def assert_chain(spans: Spans) -> None:
    """Every span of the one trace, with its parent, kind, name and status."""
    assert len({span.trace_id for span in spans}) == 1
    assert {span.service for span in spans} == {"client", "gateway", "orders", "inventory"}
    assert len(spans) == 11, [span.name for span in spans]

    def child(parent: Any, service: str, kind: int, name: str, **more: Any) -> Any:
        return spans.one(parent_id=parent.span_id, service=service, kind=kind, name=name, **more)

    root = spans.one(service="client")
    assert (root.parent_id, root.kind, root.name, root.status) == ("", CLIENT, "POST", UNSET)
    checkout = child(root, "gateway", SERVER, "POST /checkout/<customer>", status=UNSET)
    to_orders = child(checkout, "gateway", CLIENT, "POST", status=UNSET)
    orders = child(to_orders, "orders", SERVER, "POST /orders", status=UNSET)
    manual = child(orders, "orders", INTERNAL, "check stock", status=UNSET)
    assert [(event.name, event.attributes["article"]) for event in manual.events] == [("unknown article", "unicorn")]
    known = child(manual, "orders", CLIENT, "shop.Inventory/GetStock", status=UNSET)
    unknown = child(manual, "orders", CLIENT, "shop.Inventory/GetStock", status=ERROR)
    child(known, "inventory", SERVER, "shop.Inventory/GetStock", status=UNSET)
    child(unknown, "inventory", SERVER, "shop.Inventory/GetStock", status=UNSET)
    assert "NOT_FOUND" in map(str, unknown.attributes.values())
    to_gateway = child(orders, "orders", CLIENT, "POST", status=UNSET)
    child(to_gateway, "gateway", SERVER, "POST /notifications/<customer>", status=UNSET)


@pytest.mark.parametrize("version", ["3.10", "3.13"])
def test_a_fresh_environment(run: Runner, environments: Environments, version: str) -> None:
    """Installed with what the example needs into an environment that has nothing else, without any collector."""
    services = ["fastapi", "flask", "grpcio", "httpx", "requests", "uvicorn"]
    python = environments.python(version, str(ROOT), *services, options=("-c", str(ROOT / "constraints.txt")))
    path = os.pathsep.join([str(Path(python).parent), os.defpath])  # and the system's own commands
    done = run_chain(run, TRACERUN_EXPORTER=None, PATH=path)
    assert_chain(done.spans)


def test_files(run: Runner) -> None:
    """Without any collector the chain is kept in files and drawn by --show."""
    done = run_chain(run, TRACERUN_EXPORTER=None)
    assert_chain(done.spans)
    for word in ("4 services", "11 spans", "POST /checkout/<customer>", "shop.Inventory/GetStock", "unknown article"):
        assert word in done.out
    assert "gateway" in done.out.split("who called whom")[1]


def test_http_protobuf(run: Runner, receiver: Any) -> None:
    """The chain arrives at an OTLP receiver over http/protobuf."""
    run_chain(run, TRACERUN_EXPORTER=None, OTEL_EXPORTER_OTLP_ENDPOINT=receiver.endpoint)
    assert_chain(receiver.spans)
    assert {headers["content-type"] for headers in receiver.headers} == {"application/x-protobuf"}
    assert {headers[":path"] for headers in receiver.headers} == {"/v1/traces"}


def test_http_json(run: Runner, receiver: Any) -> None:
    """The chain arrives at an OTLP receiver over http/json."""
    run_chain(
        run,
        TRACERUN_EXPORTER=None,
        OTEL_EXPORTER_OTLP_ENDPOINT=receiver.endpoint,
        OTEL_EXPORTER_OTLP_PROTOCOL="http/json",
    )
    assert_chain(receiver.spans)
    assert {headers["content-type"] for headers in receiver.headers} == {"application/json"}


def test_grpc(run: Runner, grpc_receiver: Any) -> None:
    """The chain arrives at an OTLP receiver over gRPC."""
    run_chain(
        run,
        TRACERUN_EXPORTER=None,
        OTEL_EXPORTER_OTLP_ENDPOINT=grpc_receiver.endpoint,
        OTEL_EXPORTER_OTLP_PROTOCOL="grpc",
    )
    assert_chain(grpc_receiver.spans)


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_collector(run: Runner, receiver: Any, protocol: str) -> None:
    """The chain passes through a collector (rotel) into a receiver behind it."""
    http, grpc = free_port(), free_port()
    arguments = ["--otlp-http-endpoint", f"127.0.0.1:{http}", "--otlp-grpc-endpoint", f"127.0.0.1:{grpc}"]
    arguments += ["--exporter", "otlp", "--otlp-exporter-endpoint", receiver.endpoint]
    arguments += ["--otlp-exporter-protocol", "http", "--batch-timeout", "50ms"]
    arguments += ["--pid-file", str(run.folder / "rotel.pid"), "--log-file", str(run.folder / "rotel.log")]
    with run.serving(*rotel(), "start", *arguments, port=http):
        run_chain(
            run,
            TRACERUN_EXPORTER=None,
            OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{grpc if protocol == 'grpc' else http}",
            OTEL_EXPORTER_OTLP_PROTOCOL=protocol,
        )
        receiver.wait_for(11)
    assert_chain(receiver.spans)


def rotel() -> list[str]:
    """The command of the package's own agent."""
    import rotel

    return [str(next(Path(rotel.__file__).parent.glob("**/rotel-agent")))]
