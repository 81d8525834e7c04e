"""A receiver of OTLP as the agent has described it, and the settings that would name another one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from tracerun.cli.check import probe, tls
from tracerun.cli.print_env import masked
from tracerun.versions import as_numbers

if TYPE_CHECKING:
    from collections.abc import Mapping
    from ssl import SSLContext

    from tracerun.cli.check.case import Case

HTTP_PORT, GRPC_PORT = 4318, 4317
TRACES_PATH = "/v1/traces"
BASE, OF_TRACES = "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
PROTOCOL = "OTEL_EXPORTER_OTLP_PROTOCOL"


class Receiver:
    """One receiver.

    Args:
        case: What is checked.
        lane: The agent's description of the destination.
        index: Its place in the agent's report.

    Attributes:
        where: The destination in a user's words, without secrets.
        host: Its name or address.
        port: Number.
        https: Whether TLS is to be spoken with it.
        is_grpc: Whether gRPC is.
        first_hop: What a connection is made to: itself, a proxy, or a socket on this machine, whose port is 0.
        place: It, or the socket, in short.
        proxy: The URL of the proxy that would be used.
    """

    def __init__(self, case: Case, lane: dict[str, Any], index: int) -> None:
        self.case = case
        self.index = index
        self.is_grpc = lane["kind"] == "grpc"
        url, space, way = lane["where"].partition(" ")
        self.where = masked(BASE, url) + space + way
        parts = urlsplit(url)
        self.https: bool = lane.get("https", parts.scheme == "https")
        self.host: str = lane.get("host") or parts.hostname or "localhost"
        self.port: int = lane.get("port") or parts.port or (443 if self.https else 80)
        self.proxy = _proxy_of_grpc(case.env, self.host) if self.is_grpc else self._proxy_of_http()
        own = _first_hop(self.proxy) if self.is_grpc and self.proxy else (self.host, self.port)
        self.first_hop: tuple[str, int] = lane.get("first_hop", own)
        self.place = f"{bracketed(self.host)}:{self.port}" if self.first_hop[1] else self.first_hop[0]
        self._path = urlsplit(lane.get("target", "")).path

    def _proxy_of_http(self) -> str:
        return self.case.settings.https_proxy if self.https else self.case.settings.http_proxy

    @property
    def by_proxy(self) -> bool:
        """Whether a proxy stands between."""
        return bool(self.first_hop[1]) and self.first_hop != (self.host, self.port)

    @property
    def can_be_probed(self) -> bool:
        """Whether the port can be asked by other means than the agent's."""
        return bool(self.first_hop[1]) and not self.by_proxy

    @property
    def variable(self) -> str:
        """What has named it, or would."""
        return OF_TRACES if self.case.settings.traces_endpoint else BASE

    def spoken(self) -> str:
        """What is spoken there, as far as it shows."""
        if not self.can_be_probed:
            return ""
        ask = probe.chosen_by_tls if self.https else probe.speaks
        return ask(self.host, self.port)

    def tls_context(self) -> SSLContext:
        """TLS as the program's Python has it, which is strict from 3.13 on; gRPC's is not.

        Raises:
            WrongFile: One of the files that the settings name cannot be used.
        """
        target = self.case.target
        strict = target is not None and not self.is_grpc and as_numbers(target.version) >= (3, 13)
        return tls.context(self.case.settings, strict=strict)

    def setting(self, *, scheme: str = "", host: str = "", port: int = 0) -> str:
        """The variable and its value with something else in it; without what may be a secret in a URL."""
        path = self._path if self.variable == OF_TRACES else self._path.removesuffix(TRACES_PATH)
        authority = f"{bracketed(host or self.host)}:{port or self.port}"
        return _named(self.variable, f"{scheme or self._scheme}://{authority}{path.rstrip('/')}")

    def setting_of_other_port(self) -> str:
        """What to set where something listens on another port of OTLP's; empty where nothing does."""
        for port, protocol in ((HTTP_PORT, "http/protobuf"), (GRPC_PORT, "grpc")):
            if port != self.port and self.can_be_probed and probe.listens(self.host, port):
                return f"something does on {port}: set {self.setting(port=port)} and {PROTOCOL}={protocol}"
        return ""

    def path_fix(self) -> str:
        """What to set where the path is not one that takes traces."""
        base = f"{self._scheme}://{bracketed(self.host)}:{self.port}"
        if self.variable == OF_TRACES:
            if not self._path.endswith(TRACES_PATH):
                longer = _named(OF_TRACES, f"{base}{self._path.rstrip('/')}{TRACES_PATH}")
                return f"set {longer}: it is used as it is"
            return f"unset {OF_TRACES}, and set {BASE} to the receiver's address"
        if self._path.removesuffix(TRACES_PATH):
            return f"set {BASE}={base}, to which {TRACES_PATH} is added"
        if self.port != HTTP_PORT:
            return f"set {self.setting(port=HTTP_PORT)}, the receiver's OTLP port as a rule"
        return "turn on OTLP over HTTP in the receiver"

    @property
    def _scheme(self) -> str:
        return "https" if self.https else "http"


def _named(variable: str, url: str) -> str:
    return f"{variable}={masked(variable, url)}"


def _proxy_of_grpc(env: Mapping[str, str], host: str) -> str:
    """The proxy that gRPC's core takes from its own reading of the environment (grpc, doc/environment_variables.md)."""
    excepted = env.get("no_grpc_proxy") or env.get("no_proxy") or ""
    if any(host.endswith(name.strip()) for name in excepted.split(",") if name.strip()):
        return ""
    return env.get("grpc_proxy") or env.get("https_proxy") or env.get("http_proxy") or ""


def _first_hop(proxy: str) -> tuple[str, int]:
    parts = urlsplit(proxy)
    return parts.hostname or "", parts.port or 80


def bracketed(host: str) -> str:
    """A host as a URL has it."""
    return f"[{host}]" if ":" in host else host
