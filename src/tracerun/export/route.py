"""The way to a receiver of OTLP/HTTP: directly, through a proxy, or by a socket on this machine."""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from tracerun.export.connection import Connection, Http

if TYPE_CHECKING:
    import ssl

    from tracerun.settings import Settings

UNIX = "unix"
OK_FROM, OK_BELOW = 200, 300


class Route:
    """Where a URL leads, and over what.

    Args:
        url: Of the receiver.
        settings: The proxies that the usual variables name, and the hosts that they are not for.

    Attributes:
        host: Of the receiver, as its certificate names it.
        port: Number.
        https: Whether TLS is spoken with the receiver.
        target: What stands in the request line.
        headers: What the way itself asks for in each request: credentials in the URL, or of a proxy.
        where: The destination in a user's words, without secrets.
    """

    def __init__(self, url: str, settings: Settings) -> None:
        parts = urlsplit(url)
        self.https = parts.scheme == "https"
        self._socket_path = unquote(parts.path) if parts.scheme == UNIX else ""
        self.host = "localhost" if self._socket_path else parts.hostname or "localhost"
        self.port = parts.port or (443 if self.https else 80)
        path = "/v1/traces" if self._socket_path else parts.path or "/"
        self.target = path + (f"?{parts.query}" if parts.query else "")
        host = f"[{self.host}]" if ":" in self.host else self.host
        self._authority = f"{host}:{self.port}"
        self.where = f"unix://{self._socket_path}" if self._socket_path else f"{parts.scheme}://{self._authority}{path}"
        self.headers = _credentials("Authorization", parts.username, parts.password)
        proxy = "" if self._socket_path else _proxy(self, settings)
        self._proxy = urlsplit(proxy) if proxy else None
        if self._proxy is not None:
            self._proxy_headers = _credentials("Proxy-Authorization", self._proxy.username, self._proxy.password)
            self.where += f" (by the proxy {self._proxy.hostname}:{self._proxy_port})"
            if not self.https:
                self.target = f"http://{self._authority}{self.target}"
                self.headers |= self._proxy_headers

    def connect(self, timeout: float, context: ssl.SSLContext | None) -> Connection:
        """A connection on which the receiver answers.

        Args:
            timeout: Seconds for each step.
            context: For TLS with the receiver.
        """
        if self._proxy is None:
            return Connection(*self.first_hop, timeout, context)
        connection = Connection(*self.first_hop, timeout)
        if context is not None:
            try:
                self._ask_for_tunnel(connection)
                connection.start_tls(context, self.host)
            except BaseException:
                connection.close()
                raise
        return connection

    @property
    def first_hop(self) -> tuple[str, int]:
        """What a connection is made to: the proxy, the receiver, or (with the port 0) a socket on this machine."""
        if self._socket_path:
            return self._socket_path, 0
        return (self.host, self.port) if self._proxy is None else (self._proxy.hostname or "", self._proxy_port)

    @property
    def _proxy_port(self) -> int:
        return (self._proxy.port if self._proxy else None) or 80

    def _ask_for_tunnel(self, connection: Connection) -> None:
        """RFC 9110, 9.3.6."""
        http = Http(self.host, self.port)
        http.sock = connection
        http.putrequest("CONNECT", self._authority, skip_host=True, skip_accept_encoding=True)
        for name, value in {"Host": self._authority, **self._proxy_headers}.items():
            http.putheader(name, value)
        http.endheaders()
        response = http.response_class(connection, method="CONNECT")  # type: ignore[arg-type]
        response.begin()
        if not OK_FROM <= response.status < OK_BELOW:
            raise OSError(None, f"the proxy answers with HTTP status {response.status}")


def _credentials(header: str, user: str | None, password: str | None) -> dict[str, str]:
    """HTTP's basic authentication (RFC 7617)."""
    if user is None:
        return {}
    pair = f"{unquote(user)}:{unquote(password or '')}"
    return {header: f"Basic {b64encode(pair.encode()).decode()}"}


def _proxy(route: Route, settings: Settings) -> str:
    """The proxy's URL for a receiver; empty where it is reached directly."""
    proxy = settings.https_proxy if route.https else settings.http_proxy
    return "" if not proxy or _is_excepted(route.host, route.port, settings.no_proxy) else proxy


def _is_excepted(host: str, port: int, exceptions: tuple[str, ...]) -> bool:
    """Whether ``no_proxy`` names a host: itself, a domain above it, ``*``, or any of these with a port."""
    if host in ("localhost", "::1") or host.startswith("127."):
        return True
    for entry in exceptions:
        name, colon, number = entry.rpartition(":")
        if not colon or not number.isdigit():
            name, number = entry, ""
        domain = name.lower().removeprefix("*").lstrip(".")
        if number in ("", str(port)) and (name == "*" or host == domain or host.endswith("." + domain)):
            return True
    return False
