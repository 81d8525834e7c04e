"""A connection of our own: sockets and TLS as the interpreter has them, whatever the program has patched.

gevent and eventlet put into ``socket`` and ``ssl`` what waits in an event loop of theirs, and the export thread
is a native one. So the sockets are ``_socket``'s, and TLS is done in memory.
"""

from __future__ import annotations

import _socket
import io
import os
from http.client import HTTPConnection
from typing import TYPE_CHECKING, Any

from tracerun.agent.threads import monotonic

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

# Lower descriptors are the program's: it sees their numbers, and daemons close them.
FIRST_NUMBER = 512
_CHUNK = 64 * 1024


class Connection:
    """A TCP or TLS connection, in the form that ``http.client`` takes as a socket.

    Args:
        host: Name or address; the path of a Unix domain socket where the port is 0.
        port: Number.
        timeout: Seconds for each step.
        context: For TLS.
    """

    def __init__(self, host: str, port: int, timeout: float, context: ssl.SSLContext | None = None) -> None:
        self._until = monotonic() + timeout
        self._socket = _connected(host, port, timeout)
        self._identity = _identity(self._socket.fileno())
        self._tls: _Tls | None = None
        if context is not None:
            try:
                self.start_tls(context, host)
            except BaseException:
                self.close()
                raise

    def start_tls(self, context: ssl.SSLContext, host: str) -> None:
        """TLS from here on, with the host that the certificate is to name."""
        self._tls = _Tls(self._socket, context, host, self._hurry)

    def is_ours(self) -> bool:
        """Whether the descriptor still is this connection: a program may have closed it and used its number anew."""
        return self._identity is not None and _identity(self._socket.fileno()) == self._identity

    def settimeout(self, timeout: float) -> None:
        """Seconds for all that follows, until it is called again: a receiver that drips holds nobody up."""
        self._until = monotonic() + timeout
        self._socket.settimeout(timeout)

    def _hurry(self) -> None:
        left = self._until - monotonic()
        if left <= 0:
            raise TimeoutError("timed out")
        self._socket.settimeout(left)

    def sendall(self, data: Any) -> None:
        """Sends all of it."""
        (self._tls or self._socket).sendall(data)

    def recv(self, size: int) -> bytes:
        """Some bytes; none at the end."""
        self._hurry()
        return (self._tls or self._socket).recv(size)

    def makefile(self, mode: str) -> io.BufferedReader:  # noqa: ARG002 - http.client reads bytes
        """A file to read from; closing it leaves the connection open."""
        return io.BufferedReader(_Reader(self))

    def close(self) -> None:
        """Closes it, without a TLS goodbye: in a forked child the connection is the parent's."""
        ours = self.is_ours()
        number = self._socket.detach()
        if ours:
            os.close(number)


class Http(HTTPConnection):
    """``http.client``'s writing and reading over a connection of ours, which its ``sock`` is set to.

    Without what programs put on its class to see their own requests: our wrapper, and a debug level for stdout.
    """

    debuglevel = 0
    endheaders = getattr(HTTPConnection.endheaders, "__wrapped__", HTTPConnection.endheaders)


class _Reader(io.RawIOBase):
    def __init__(self, connection: Connection) -> None:
        super().__init__()
        self._connection = connection

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._connection.recv(len(buffer))
        buffer[: len(data)] = data
        return len(data)


class _Tls:
    """TLS over a socket."""

    def __init__(self, socket: _socket.socket, context: ssl.SSLContext, host: str, hurry: Callable[[], None]) -> None:
        import ssl  # noqa: PLC0415 - only for https

        self._ssl = ssl
        self._socket = socket
        self._hurry = hurry
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._object = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host)
        self._do(self._object.do_handshake)

    def sendall(self, data: Any) -> None:
        view = memoryview(data)
        while view:
            view = view[self._do(self._object.write, view) :]

    def recv(self, size: int) -> bytes:
        try:
            return self._do(self._object.read, size)  # type: ignore[no-any-return]
        except (self._ssl.SSLZeroReturnError, self._ssl.SSLEOFError):
            return b""

    def _do(self, operation: Callable[..., Any], *args: Any) -> Any:
        """One step of the protocol, with what has to be sent and received for it."""
        while True:
            try:
                result = operation(*args)
            except self._ssl.SSLWantReadError:
                self._send()
                self._hurry()
                received = self._socket.recv(_CHUNK)
                if received:
                    self._incoming.write(received)
                else:
                    self._incoming.write_eof()
            else:
                self._send()
                return result

    def _send(self) -> None:
        waiting = self._outgoing.read()
        if waiting:
            self._socket.sendall(waiting)


def _connected(host: str, port: int, timeout: float) -> _socket.socket:
    """A socket that is connected to the first address that answers."""
    problem: OSError | None = None
    if not port:
        made = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
        made.settimeout(timeout)
        made.connect(host)
        return _moved_up(made)
    for family, kind, protocol, _, address in _socket.getaddrinfo(host, port, 0, _socket.SOCK_STREAM):
        made = _socket.socket(family, kind, protocol)
        try:
            made.settimeout(timeout)
            made.connect(address)
        except OSError as error:
            made.close()
            problem = error
        else:
            return _moved_up(made)
    raise problem or OSError(None, f"{host} has no address")


def _moved_up(low: _socket.socket) -> _socket.socket:
    """The same socket with a number that is out of the program's way, where the process may have so many."""
    if fcntl is None:
        return low
    try:
        number = fcntl.fcntl(low.fileno(), fcntl.F_DUPFD_CLOEXEC, FIRST_NUMBER)
    except OSError:
        return low
    high = _socket.socket(low.family, low.type, low.proto, number)
    high.settimeout(low.gettimeout())
    low.close()
    return high


def _identity(number: int) -> tuple[int, int] | None:
    """What a descriptor stands for; none where it is closed."""
    try:
        status = os.fstat(number)
    except OSError:
        return None
    return status.st_dev, status.st_ino
