"""OTLP over HTTP: http/protobuf and http/json, posted on the export thread.

No protobuf, requests or urllib3 is brought into the program for it.
Source: OTLP specification 1.9, "OTLP/HTTP"; OTLP exporter specification for the settings.
"""

from __future__ import annotations

import os
import zlib
from http.client import CannotSendRequest, HTTPConnection, HTTPException, RemoteDisconnected
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from tracerun import __version__
from tracerun.agent.threads import monotonic
from tracerun.export import otlp_json, protobuf
from tracerun.export.connection import Connection
from tracerun.export.lane import Outcome

if TYPE_CHECKING:
    import ssl
    from collections.abc import Sequence

    from opentelemetry.sdk.trace import ReadableSpan

    from tracerun.settings import Settings

RETRYABLE = (429, 502, 503, 504)
# An answer is a few bytes; more than this is not read.
LARGEST_ANSWER = 64 * 1024
OK_FROM, OK_BELOW = 200, 300
_GZIP = 31  # zlib's window bits for a gzip header


class OtlpHttp:
    """One receiver of OTLP/HTTP, over one kept-alive connection.

    Args:
        url: The whole URL of the traces endpoint.
        settings: Headers, timeout, compression and TLS files.
    """

    def __init__(self, url: str, settings: Settings) -> None:
        parts = urlsplit(url)
        self._https = parts.scheme == "https"
        self._host = parts.hostname or "localhost"
        self._port = parts.port or (443 if self._https else 80)
        self._path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._timeout = settings.timeout
        self._gzip = settings.compression == "gzip"
        self._json = settings.protocol == "http/json"
        self._tls_files = (settings.certificate, settings.client_certificate, settings.client_key)
        self._headers = {
            "Content-Type": "application/json" if self._json else "application/x-protobuf",
            "User-Agent": f"tracerun/{__version__} OTel-OTLP-Exporter-Python/{__version__}",
            **settings.headers,
        }
        if self._gzip:
            self._headers["Content-Encoding"] = "gzip"
        self._socket: Connection | None = None
        self._tls: ssl.SSLContext | None = None
        host = f"[{self._host}]" if ":" in self._host else self._host
        self.where = f"{parts.scheme}://{host}:{self._port}{parts.path}"

    def prepare(self) -> None:
        """Loads what a send will need: an import that a signal cuts short would wait for itself."""
        __import__("encodings.idna")
        if self._https:
            self._tls_context()

    def send(self, spans: Sequence[ReadableSpan], deadline: float | None) -> Outcome:
        """Posts one batch."""
        body = otlp_json.encode_request(spans).encode() if self._json else protobuf.encode_request(spans)
        if self._gzip:
            compressor = zlib.compressobj(wbits=_GZIP)
            body = compressor.compress(body) + compressor.flush()
        timeout = self._timeout if deadline is None else min(self._timeout, deadline - monotonic())
        if timeout <= 0:
            return Outcome(retry_after=0.0)
        try:
            status, retry_after = self._post(body, timeout)
        except (OSError, HTTPException, ValueError) as error:
            self.close()
            return Outcome(retry_after=0.0, why=_reason(error))
        return self._outcome(status, retry_after, len(spans))

    def _outcome(self, status: int, retry_after: float, count: int) -> Outcome:
        if OK_FROM <= status < OK_BELOW:
            return Outcome(count)
        why = f"HTTP status {status}"
        if status in RETRYABLE:
            return Outcome(retry_after=retry_after, why=why)
        return Outcome(dropped={f"rejected with HTTP status {status}": count}, why=why)

    def _post(self, body: bytes, timeout: float) -> tuple[int, float]:
        """Status and Retry-After of the answer to a body; a connection gone stale is made anew, once."""
        for fresh in (False, True):
            if self._socket is not None and (fresh or not self._socket.is_ours()):
                self.close()
            reused = self._socket is not None
            connection = self._connected(timeout)
            try:
                connection.request("POST", self._path, body, self._headers)
                with connection.getresponse() as response:
                    response.read(LARGEST_ANSWER)
                    over = bool(response.length)  # more than we read: the connection cannot go on
                    if over or response.will_close:
                        self.close()
                    return response.status, _seconds(response.getheader("Retry-After"))
            except (ConnectionError, RemoteDisconnected, CannotSendRequest):
                self.close()
                if not reused:
                    raise
        raise AssertionError("unreachable")

    def _connected(self, timeout: float) -> HTTPConnection:
        """The connection in the form of ``http.client``, which only writes and reads: the socket is ours."""
        if self._socket is None:
            self._socket = Connection(self._host, self._port, timeout, self._tls_context() if self._https else None)
        self._socket.settimeout(timeout)
        connection = HTTPConnection(self._host, self._port)
        connection.default_port = 443 if self._https else 80
        connection.sock = self._socket
        connection.debuglevel = 0  # programs set it on the class, to see their own requests on stdout
        return connection

    def _tls_context(self) -> ssl.SSLContext:
        if self._tls is None:
            import ssl  # noqa: PLC0415 - only for https

            authorities, certificate, key = self._tls_files
            for path in filter(None, self._tls_files):
                if not os.path.isfile(path):
                    raise OSError(f"there is no file {path}, which OTEL_EXPORTER_OTLP_*CERTIFICATE or _KEY names")
            self._tls = ssl.create_default_context(cafile=authorities or None)
            if certificate:
                self._tls.load_cert_chain(certificate, key or None)
        return self._tls

    def close(self) -> None:
        """Closes the connection."""
        connection, self._socket = self._socket, None
        if connection is not None:
            connection.close()

    def forget(self) -> None:
        """In a forked child: closes the child's copy of the socket."""
        self.close()


def _seconds(retry_after: str | None) -> float:
    """Retry-After in seconds (RFC 9110, 10.2.3); a date, or nothing, is left to the back-off."""
    value = (retry_after or "").strip()
    return float(value) if value.isascii() and value.isdigit() else 0.0


def _reason(error: BaseException) -> str:
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return text[:200].lower() if isinstance(error, ConnectionError) else text[:200]
