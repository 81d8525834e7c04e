"""OTLP over HTTP: http/protobuf and http/json, posted on the export thread.

No protobuf, requests or urllib3 is brought into the program for it.
Source: OTLP specification 1.9, "OTLP/HTTP"; OTLP exporter specification for the settings.
"""

from __future__ import annotations

import os
import zlib
from email.utils import mktime_tz, parsedate_tz
from http.client import BadStatusLine, CannotSendRequest, HTTPException, RemoteDisconnected
from json import loads as json_of
from time import time
from typing import TYPE_CHECKING

from tracerun import __version__
from tracerun.agent.threads import monotonic
from tracerun.export import otlp_json, protobuf
from tracerun.export.connection import Connection, Http
from tracerun.export.lane import Outcome
from tracerun.export.route import Route

if TYPE_CHECKING:
    import ssl
    from collections.abc import Sequence

    from opentelemetry.sdk.trace import ReadableSpan

    from tracerun.settings import Settings

RETRYABLE = (429, 502, 503, 504)
# A receiver may ask for more patience than this; it is asked again all the same.
LONGEST_WAIT = 300.0
TOO_LARGE, UNSUPPORTED_TYPE = 413, 415
# What a Collector takes at most is 20 MiB; a larger body is not even sent.
LARGEST_BODY = 16 * 1024 * 1024
# An answer is a few bytes; more than this is not read.
LARGEST_ANSWER = 64 * 1024
OK_FROM, OK_BELOW = 200, 300
_GZIP = 31  # zlib's window bits for a gzip header


class Answer:
    """A receiver's answer."""

    __slots__ = ("body", "retry_after", "status")

    def __init__(self, status: int, retry_after: str | None, body: bytes) -> None:
        self.status = status
        self.retry_after = _seconds(retry_after)
        self.body = body


class OtlpHttp:
    """One receiver of OTLP/HTTP, over one kept-alive connection.

    Args:
        url: The whole URL of the traces endpoint; ``unix:///PATH`` is a socket on this machine.
        settings: Headers, timeout, compression, TLS files and proxies.
    """

    def __init__(self, url: str, settings: Settings) -> None:
        self._route = Route(url, settings)
        self._timeout = settings.timeout
        self._gzip = settings.compression == "gzip"
        self._json = settings.protocol == "http/json"
        self._tls_files = (settings.certificate, settings.client_certificate, settings.client_key)
        self._headers = {
            "Content-Type": "application/json" if self._json else "application/x-protobuf",
            "User-Agent": f"tracerun/{__version__} OTel-OTLP-Exporter-Python/{__version__}",
            **self._route.headers,
            **settings.headers,
        }
        self._is_sent = False
        self._socket: Connection | None = None
        self._tls: ssl.SSLContext | None = None
        self.where = self._route.where

    def prepare(self) -> None:
        """Loads what a send will need: an import that a signal cuts short would wait for itself."""
        __import__("encodings.idna")
        if self._route.https:
            self._tls_context()

    def send(self, spans: Sequence[ReadableSpan], deadline: float | None) -> Outcome:
        """Posts one batch."""
        body = otlp_json.encode_request(spans).encode() if self._json else protobuf.encode_request(spans)
        if len(body) > LARGEST_BODY:
            return Outcome(too_large=True)
        try:
            answer = self._answer_to(body, deadline)
            if answer.status == UNSUPPORTED_TYPE and not self._gzip:
                self._gzip = True  # some receivers take nothing else
                answer = self._answer_to(body, deadline)
        except (OSError, HTTPException, ValueError) as error:
            self.close()
            late = isinstance(error, TimeoutError) and deadline is not None  # our own budget is no trouble of his
            return Outcome(retry_after=0.0, unanswered=self._is_sent, why="" if late else _reason(error))
        return self._outcome(answer, len(spans))

    def _answer_to(self, body: bytes, deadline: float | None) -> Answer:
        timeout, self._is_sent = self._timeout, False
        if deadline is not None:
            timeout = min(timeout, deadline - monotonic())
        if timeout <= 0:
            raise TimeoutError
        if not self._gzip:
            return self._post(body, self._headers, timeout)
        compressor = zlib.compressobj(wbits=_GZIP)
        packed = compressor.compress(body) + compressor.flush()
        return self._post(packed, {**self._headers, "Content-Encoding": "gzip"}, timeout)

    def _outcome(self, answer: Answer, count: int) -> Outcome:
        status = answer.status
        if OK_FROM <= status < OK_BELOW:
            rejected, why = _partial_success(answer.body, is_json=self._json)
            rejected = min(rejected, count)
            lost = {"rejected by the receiver": rejected} if rejected else None
            return Outcome(count - rejected, dropped=lost, why=why)
        if status == TOO_LARGE:
            return Outcome(too_large=True)
        why = f"HTTP status {status}"
        if status in RETRYABLE:
            return Outcome(retry_after=answer.retry_after, why=why)
        return Outcome(dropped={f"rejected with HTTP status {status}": count}, why=why)

    def _post(self, body: bytes, headers: dict[str, str], timeout: float) -> Answer:
        """The answer to a body; a connection gone stale is made anew, once."""
        for fresh in (False, True):
            if self._socket is not None and (fresh or not self._socket.is_ours()):
                self.close()
            reused, self._is_sent = self._socket is not None, False
            connection = self._connected(timeout)
            try:
                connection.request("POST", self._route.target, body, headers)
                self._is_sent = True
                with connection.getresponse() as response:
                    read = response.read(LARGEST_ANSWER)
                    over = bool(response.length)  # more than we read: the connection cannot go on
                    if over or response.will_close:
                        self.close()
                    return Answer(response.status, response.getheader("Retry-After"), read)
            except (ConnectionError, RemoteDisconnected, CannotSendRequest):
                self.close()
                if not reused:
                    raise
        raise AssertionError("unreachable")

    def _connected(self, timeout: float) -> Http:
        """The connection in the form of ``http.client``, which only writes and reads: the socket is ours."""
        if self._socket is None:
            self._socket = self._route.connect(timeout, self._tls_context() if self._route.https else None)
        self._socket.settimeout(timeout)
        connection = Http(self._route.host, self._route.port)
        connection.default_port = 443 if self._route.https else 80
        connection.sock = self._socket
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
    """Retry-After in seconds (RFC 9110, 10.2.3), given so or as a date; 0, which is the back-off, for anything else."""
    value = (retry_after or "").strip()
    if value.isascii() and value.isdigit():
        return min(float(value), LONGEST_WAIT)
    moment = parsedate_tz(value) if value else None
    return max(0.0, min(mktime_tz(moment) - time(), LONGEST_WAIT)) if moment is not None else 0.0


def _partial_success(body: bytes, *, is_json: bool) -> tuple[int, str]:
    """How many spans an answer rejects, and why (``ExportTraceServiceResponse.partial_success``).

    Source: OTLP specification, "Partial Success"; the message's fields are numbered 1 and 2, as is it in its own.
    """
    if not body:
        return 0, ""
    try:
        if is_json:
            partial = json_of(body).get("partialSuccess") or {}
            return int(partial.get("rejectedSpans") or 0), str(partial.get("errorMessage") or "")[:200]
        partial = protobuf.fields_of(protobuf.fields_of(body).get(1, b""))
        message = partial.get(2, b"")
        text = message.decode("utf-8", "replace") if isinstance(message, bytes) else ""
        return int(partial.get(1) or 0), text[:200]
    except (ValueError, TypeError, AttributeError, IndexError):  # an answer that is none: the status has to do
        return 0, ""


def _reason(error: BaseException) -> str:
    if isinstance(error, BadStatusLine):
        return "the answer is no HTTP"
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return text[:200].lower() if isinstance(error, ConnectionError) else text[:200]
