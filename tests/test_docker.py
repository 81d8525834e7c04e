"""The example's Dockerfile: its ENTRYPOINT and CMD, with its ENV, as PID 1 where the system allows that."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from tests.conftest import ROOT, Runner

DOCKERFILE = ROOT / "examples" / "docker" / "Dockerfile"
SERVER, CLIENT = 2, 3
ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"


def instructions(name: str) -> list[str]:
    """The arguments of an instruction, each time it stands there; lines that go on are joined."""
    text = DOCKERFILE.read_text(encoding="utf-8").replace("\\\n", " ")
    return [line.split(None, 1)[1].strip() for line in text.splitlines() if line.split(None, 1)[:1] == [name]]


def env_of_image() -> dict[str, str]:
    """The image's ENV."""
    return dict(pair.split("=", 1) for line in instructions("ENV") for pair in [line])


def pid_namespace() -> list[str]:
    """The words that make a command PID 1; none where this system does not allow it."""
    words = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]
    if shutil.which("unshare") is None:
        return []
    return words if subprocess.run([*words, "true"], capture_output=True, check=False).returncode == 0 else []


def child_of(pid: int) -> int:
    """The one child of a process."""
    return int(Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()[0])


@pytest.mark.slow
def test_entrypoint_and_command(run: Runner, port: int, receiver: Any) -> None:
    """ENTRYPOINT and CMD with the image's ENV serve the gateway, and its spans reach the receiver at the stop."""
    words = json.loads(instructions("ENTRYPOINT")[-1]) + json.loads(instructions("CMD")[-1])
    assert words[0] == "tracerun"
    env: dict[str, str | None] = {
        **env_of_image(),
        "TRACERUN_EXPORTER": None,
        # What differs here: the addresses.
        "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.endpoint,
        "FLASK_RUN_HOST": "127.0.0.1",
        "FLASK_RUN_PORT": str(port),
    }
    namespace = pid_namespace()
    stop = getattr(signal, instructions("STOPSIGNAL")[-1])
    folder = ROOT / "examples" / "callchain"
    with run.serving(*namespace, *words, port=port, env=env, stop=stop, cwd=folder) as process:
        answer = requests.post(f"http://127.0.0.1:{port}/notifications/ada", json={"ordered": []}, timeout=20)
        assert answer.status_code == 204, answer.text
        if namespace:
            inside = child_of(process.pid)
            assert Path(f"/proc/{inside}/status").read_text(encoding="ascii").split("NSpid:")[1].split()[1] == "1"
            os.kill(inside, stop)
            process.wait(15)
    span = receiver.wait_for(1).one(kind=SERVER)
    assert (span.service, span.name) == (env["OTEL_SERVICE_NAME"], "POST /notifications/<customer>")


def test_compose_holds_together() -> None:
    """Each file, host and part that the compose example names is there: no Docker is at hand to say so."""
    folder = ROOT / "examples" / "compose"
    compose, collector, grafana = (
        yaml.safe_load((folder / name).read_text(encoding="utf-8"))
        for name in ("compose.yaml", "collector.yaml", "grafana-datasources.yaml")
    )
    services = compose["services"]
    for service in services.values():
        assert set(service.get("depends_on", ())) <= set(services)
        assert all((folder / mount.partition(":")[0]).is_file() for mount in service.get("volumes", ()))
        build = service.get("build")
        assert build is None or (folder / build["context"] / build["dockerfile"]).samefile(DOCKERFILE)
    programs = [word for name in ("client", "orders", "inventory") for word in services[name]["command"][1:2]]
    chain = ROOT / "examples" / "callchain"
    assert all((chain / program.replace(":app", ".py")).is_file() for program in programs), programs
    pipeline = collector["service"]["pipelines"]["traces"]
    assert all(set(pipeline[kind]) == set(collector[kind]) for kind in ("receivers", "processors", "exporters"))
    addresses = [part["endpoint"] for part in collector["exporters"].values()]
    addresses += [source["url"] for source in grafana["datasources"]] + [compose["x-tracing"][ENDPOINT]]
    addresses += [value for service in services.values() for value in map(str, service.get("environment", {}).values())]
    hosts = {match[1] for address in addresses for match in re.finditer(r"(?:^|//)([a-z]+):\d+", address)}
    assert {"collector", "inventory", "jaeger", "orders", "tempo"} <= hosts <= set(services)
