"""What a host and port are, by sockets of our own: each step ends within seconds, whatever the other side does.

Names the fault; whether a span arrives is proved by the agent itself (`trial.py`).
Sources: RFC 9113 (HTTP/2) for the first bytes of gRPC; OpenSSL's X509_V_ERR_* for certificates.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
from typing import Any

# Seconds for each step, and for each question to a port that has not answered as it should.
STEP, ASK = 3.0, 2.0
HTTP1, HTTP2, TLS = "HTTP/1", "HTTP/2", "TLS"
# The client's connection preface and an empty SETTINGS frame (RFC 9113, 3.4 and 6.5).
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\x04\0\0\0\0\0"
_SETTINGS_FRAME = 4
# The first byte of a TLS record that is an alert (RFC 8446, 5.1).
_ALERT = b"\x15"
_ALPN = ["h2", "http/1.1"]


def addresses(host: str, port: int) -> list[Any]:
    """What a name resolves to, as ``getaddrinfo`` gives it.

    Raises:
        OSError: It is not known, or no answer comes.
    """
    answers: list[list[Any] | OSError] = []

    def ask() -> None:
        try:
            answers.append(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except OSError as error:
            answers.append(error)
        except UnicodeError:
            answers.append(OSError(None, "it is no host name"))

    # getaddrinfo has no timeout; a thread that never ends must not hold the process.
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(STEP)
    answer = answers[0] if answers else TimeoutError(None, f"no answer within {STEP:.0f} s")
    if isinstance(answer, OSError):
        raise answer
    return answer


def connected(host: str, port: int, found: list[Any] | None = None) -> socket.socket:
    """A connection to the first address that takes it, or to a socket on this machine where the port is 0."""
    until = time.monotonic() + STEP
    if not port:
        made = socket.socket(socket.AF_UNIX)
        made.settimeout(STEP)
        made.connect(host)
        return made
    problem: OSError = OSError(None, "it has no address")
    for family, kind, protocol, _, address in found or addresses(host, port):
        made = socket.socket(family, kind, protocol)
        made.settimeout(max(0.1, until - time.monotonic()))
        try:
            made.connect(address)
        except OSError as error:
            made.close()
            problem = error
        else:
            made.settimeout(STEP)
            return made
    raise problem


def listens(host: str, port: int) -> bool:
    """Whether a port takes connections."""
    try:
        connected(host, port).close()
    except OSError:
        return False
    return True


def speaks(host: str, port: int) -> str:
    """What a port speaks in plain text, or that it speaks TLS; empty where it says nothing that is known."""
    plain = _said(host, port, _PREFACE)
    if len(plain) > _SETTINGS_FRAME and plain[3] == _SETTINGS_FRAME and plain[:1] == b"\0":
        return HTTP2
    # Some TLS servers answer plain text in plain HTTP.
    if plain[:1] == _ALERT or chosen_by_tls(host, port):
        return TLS
    if not plain.startswith(b"HTTP/1"):  # http.server answers the preface as if it were HTTP/0.9
        plain = _said(host, port, f"GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
    return HTTP1 if plain.startswith(b"HTTP/1") else ""


def _said(host: str, port: int, question: bytes) -> bytes:
    with contextlib.suppress(OSError), connected(host, port) as made:
        made.settimeout(ASK)
        made.sendall(question)
        return made.recv(16)
    return b""


def chosen_by_tls(host: str, port: int) -> str:
    """Which HTTP a TLS port chooses, whatever its certificate; ``TLS`` where none; empty where it speaks no TLS."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(_ALPN)
    try:
        with connected(host, port) as made:
            made.settimeout(ASK)
            secured = context.wrap_socket(made, server_hostname=host)
            return {"h2": HTTP2, "http/1.1": HTTP1}.get(secured.selected_alpn_protocol() or "", TLS)
    except ssl.SSLError as error:
        # An alert is TLS, but for the one by which servers of plain text are known.
        reason = error.reason or ""
        return TLS if "ALERT" in reason and "VERSION" not in reason else ""
    except (OSError, ValueError):
        return ""


def ended_by(host: str, port: int, context: ssl.SSLContext) -> str:
    """The alert by which a TLS server ends a connection that stands already; empty where it does not.

    In TLS 1.3 a server asks for the client's certificate, and misses it, only after the client's part is done.
    """
    try:
        with connected(host, port) as made, context.wrap_socket(made, server_hostname=host) as secured:
            secured.recv(1)
    except ssl.SSLError as error:
        return error.reason or ""
    except (OSError, ValueError):
        pass
    return ""


def tunnel(made: socket.socket, host: str, port: int, credentials: str) -> str:
    """Asks a proxy for a way through (RFC 9110, 9.3.6); gives the status line where it refuses."""
    authority = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    lines = [f"CONNECT {authority} HTTP/1.1", f"Host: {authority}"]
    if credentials:
        lines.append(f"Proxy-Authorization: {credentials}")
    made.sendall("\r\n".join([*lines, "", ""]).encode())
    answer = b""
    while b"\r\n\r\n" not in answer:
        received = made.recv(4096)
        if not received:
            break
        answer += received
    status = answer.partition(b"\r\n")[0].decode("latin-1")
    return "" if status[8:11].strip().startswith("2") else status or "no answer"
