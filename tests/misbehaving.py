"""Receivers of OTLP with a fault, each a real server on loopback; and certificates of every kind."""

from __future__ import annotations

import contextlib
import socket
import ssl
import subprocess
import threading
from concurrent import futures
from typing import TYPE_CHECKING, Any

import grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as messages
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc as services

from tests.receiver import Receiver

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

# A network that no machine has a way to by TCP: the limited broadcast address (RFC 919).
UNROUTABLE = "255.255.255.255"


# What RFC 5280 wants of an authority's certificate, and Python 3.13 and later insist on.
STRICT = "subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\nkeyUsage=critical,digitalSignature,keyCertSign\n"


class Certificates:
    """Files made once: an authority, and certificates for 127.0.0.1 and localhost unless they say otherwise."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.key = folder / "key.pem"
        self.good = self._signed("good")
        self.expired = self._signed("expired", starts="200101000000Z", ends="200102000000Z")
        self.coming = self._signed("coming", starts="480101000000Z", ends="490102000000Z")
        self.elsewhere = self._signed("elsewhere", names="DNS:other.test")
        self.loose_authority = self._signed("loose_authority", more="")
        self.loose = self._signed("loose", by=self.loose_authority)

    def _signed(
        self,
        name: str,
        *,
        starts: str = "200101000000Z",
        ends: str = "490101000000Z",
        names: str = "IP:127.0.0.1,DNS:localhost",
        more: str = STRICT,
        by: Path | None = None,
    ) -> Path:
        """A certificate, mostly signed by itself; by `openssl ca`, which alone takes any dates."""
        made = self._folder / f"{name}.pem"
        place = self._folder / f"{name}.ca"
        place.mkdir()
        place.joinpath("index").touch()
        config = place / "config"
        config.write_text(
            f"[ca]\ndefault_ca=own\n[own]\ndatabase={place}/index\nserial={place}/serial\nnew_certs_dir={place}\n"
            f"default_md=sha256\npolicy=any\nx509_extensions=more\n[any]\ncommonName=supplied\n"
            f"[more]\nsubjectAltName={names}\nbasicConstraints=critical,CA:true\n"
            f"{more}"
            f"[req]\ndistinguished_name=dn\nprompt=no\n[dn]\ncommonName={name}.test\n"
        )
        if not self.key.exists():
            self._openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", str(self.key))
        request = str(place / "request")
        self._openssl("req", "-new", "-config", str(config), "-key", str(self.key), "-out", request)
        signer = ["-cert", str(by)] if by else ["-selfsign"]
        signing = ["ca", "-batch", "-notext", *signer, "-create_serial", "-config", str(config), "-in", request]
        signing += ["-keyfile", str(self.key), "-startdate", starts, "-enddate", ends, "-out", str(made)]
        self._openssl(*signing)
        return made

    def _openssl(self, *words: str) -> None:
        done = subprocess.run(["openssl", *words], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr

    def context(self, certificate: Path, *, clients: bool = False) -> ssl.SSLContext:
        """Of a server; one that asks clients for a certificate where it is said."""
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        made.load_cert_chain(certificate, self.key)
        if clients:
            made.verify_mode = ssl.CERT_REQUIRED
            made.load_verify_locations(self.good)
        return made


@contextlib.contextmanager
def http(status: int = 200, context: ssl.SSLContext | None = None) -> Iterator[Receiver]:
    """A receiver of OTLP/HTTP that answers everything with a status."""
    receiver = Receiver()
    receiver.status = status
    if context is not None:
        receiver.server.socket = context.wrap_socket(
            receiver.server.socket, server_side=True, do_handshake_on_connect=False
        )
        receiver.endpoint = receiver.endpoint.replace("http://", "https://")
    receiver.server.handle_error = lambda *_: None  # type: ignore[method-assign] # clients that end TLS are what is tested
    try:
        yield receiver
    finally:
        receiver.close()


@contextlib.contextmanager
def over_grpc(
    code: grpc.StatusCode | None = None, certificates: Certificates | None = None, *, otlp: bool = True
) -> Iterator[str]:
    """The address of a receiver of OTLP/gRPC that ends calls with a status; or of a server that knows no OTLP."""

    class Service(services.TraceServiceServicer):
        def Export(self, _: Any, context: Any) -> Any:
            if code is not None:
                context.abort(code, "so it is told")
            return messages.ExportTraceServiceResponse()

    server = grpc.server(futures.ThreadPoolExecutor(2))
    if otlp:
        services.add_TraceServiceServicer_to_server(Service(), server)
    if certificates is None:
        port = server.add_insecure_port("127.0.0.1:0")
    else:
        pair = (certificates.key.read_bytes(), certificates.good.read_bytes())
        port = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([pair]))
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.stop(0).wait()


@contextlib.contextmanager
def speaking(answer: Callable[[socket.socket], object]) -> Iterator[str]:
    """The address of a server that does something of its own with each connection."""
    listener = socket.create_server(("127.0.0.1", 0))
    open_ones: list[socket.socket] = []

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                open_ones.append(connection)
                threading.Thread(target=one, args=(connection,), daemon=True).start()

    def one(connection: socket.socket) -> None:
        with contextlib.suppress(OSError):
            answer(connection)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{listener.getsockname()[1]}"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        for connection in open_ones:
            connection.close()
        thread.join()


def silence(_: socket.socket) -> None:
    """Takes the connection and says nothing."""


def greeting(connection: socket.socket) -> None:
    """What an SSH server says."""
    connection.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")
    connection.recv(1 << 16)
    connection.close()


def answering(status: str, *headers: str, body: bytes = b"") -> Callable[[socket.socket], None]:
    """One answer to any request of HTTP."""

    def answer(connection: socket.socket) -> None:
        connection.recv(1 << 16)
        lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close", *headers, "", ""]
        connection.sendall("\r\n".join(lines).encode() + body)
        connection.close()

    return answer


@contextlib.contextmanager
def black_hole() -> Iterator[str]:
    """The address of a port that answers no connection: its queue is full (Linux drops what comes then)."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        yield f"127.0.0.1:{listener.getsockname()[1]}"
