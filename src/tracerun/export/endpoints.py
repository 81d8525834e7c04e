"""OTLP endpoints: what the settings mean, and whether a collector answers on this machine.

Source: OTLP exporter specification, "Endpoint URLs for OTLP/HTTP" and "OTLP/gRPC".
"""

from __future__ import annotations

from contextlib import closing
from http import HTTPStatus
from http.client import HTTPException
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from tracerun.export.connection import Connection, Http

if TYPE_CHECKING:
    from tracerun.settings import Settings

HTTP_PORT, GRPC_PORT = 4318, 4317
TRACES_PATH = "/v1/traces"
LOOPBACK = ("localhost", "::1")
# A collector on this machine answers in a millisecond; a listener that does not is not waited for.
ASK_TIMEOUT = 0.3
# The client's connection preface and an empty SETTINGS frame (RFC 9113, 3.4 and 6.5).
_HTTP2_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\x04\0\0\0\0\0"
_SETTINGS_FRAME = 4


def is_set(settings: Settings) -> bool:
    """Whether the user has named a receiver."""
    return bool(settings.endpoint or settings.traces_endpoint)


def traces(settings: Settings, endpoint: str = "") -> tuple[str, str]:
    """Protocol and URL for traces.

    Args:
        settings: Of this process.
        endpoint: Used instead of what the settings name.
    """
    own = "" if endpoint else settings.traces_endpoint
    given = endpoint or own or settings.endpoint
    protocol = settings.protocol or ("grpc" if _port(given) == GRPC_PORT else "http/protobuf")
    if not given:
        given = f"http://localhost:{GRPC_PORT if protocol == 'grpc' else HTTP_PORT}"
    url = _with_scheme(given, insecure=settings.insecure)
    if url.startswith("unix:") and protocol != "grpc":
        return protocol, url
    if protocol == "grpc":  # a gRPC target has no place for userinfo, and would be shown with it
        scheme, _, rest = url.partition("://")
        return protocol, f"{scheme}://{rest.rpartition('@')[2]}"
    # The endpoint of one signal is used as it is; the common one is a base URL, which some give with the path.
    return protocol, url if own else url.rstrip("/").removesuffix(TRACES_PATH) + TRACES_PATH


def http_beside(url: str) -> str:
    """The HTTP endpoint beside a gRPC one on port 4317: same host, port 4318."""
    parts = urlsplit(url)
    host = parts.hostname or "localhost"
    return f"{parts.scheme}://{f'[{host}]' if ':' in host else host}:{HTTP_PORT}{TRACES_PATH}"


def _port(endpoint: str) -> int | None:
    try:
        return urlsplit(_with_scheme(endpoint, insecure=True)).port
    except ValueError:
        return None


def _with_scheme(endpoint: str, *, insecure: bool) -> str:
    """An endpoint without a scheme is TLS, unless it is on this machine or ``insecure`` is set."""
    if "://" in endpoint:
        return endpoint
    host = urlsplit("//" + endpoint).hostname or ""
    plain = insecure or host in LOOPBACK or host.startswith("127.")
    return ("http://" if plain else "https://") + endpoint


def answering() -> str:
    """The endpoint of a collector on this machine that takes OTLP; empty where there is none."""
    if _takes_otlp_over_http():
        return f"http://localhost:{HTTP_PORT}"
    if _speaks_http2():
        from tracerun.export.otlp_grpc import missing  # noqa: PLC0415 - rarely needed

        return "" if missing() else f"http://localhost:{GRPC_PORT}"
    return ""


def _takes_otlp_over_http() -> bool:
    """Posts an empty export request, which every receiver of OTLP answers with 200 and a protobuf content type."""
    connection = Http("localhost", HTTP_PORT)
    try:
        connection.sock = Connection("localhost", HTTP_PORT, ASK_TIMEOUT)
        connection.request("POST", TRACES_PATH, b"", {"Content-Type": "application/x-protobuf"})
        response = connection.getresponse()
        kind = (response.getheader("Content-Type") or "").partition(";")[0].strip()
        return response.status == HTTPStatus.OK and kind == "application/x-protobuf"
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()


def _speaks_http2() -> bool:
    try:
        with closing(Connection("localhost", GRPC_PORT, ASK_TIMEOUT)) as connection:
            connection.sendall(_HTTP2_PREFACE)
            frame = connection.recv(9)
            return len(frame) > 3 and frame[3] == _SETTINGS_FRAME  # noqa: PLR2004 - the frame's type
    except OSError:
        return False
