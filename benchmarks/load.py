"""Load on an HTTP server: wrk where it is installed, else a small client of its own over connections kept open.

``python -m benchmarks.load PORT PATH SECONDS CONNECTIONS`` is that client. It prints the requests per second.
"""

from __future__ import annotations

import re
import selectors
import shutil
import socket
import subprocess
import sys
import time

from benchmarks.environments import ROOT


def generator() -> str:
    """What makes the load here."""
    return "wrk" if shutil.which("wrk") else "raw sockets"


def requests_per_second(port: int, path: str, seconds: float, connections: int) -> float:
    """Loads a server on 127.0.0.1 from another process."""
    if shutil.which("wrk"):
        words = ["wrk", "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", f"http://127.0.0.1:{port}{path}"]
        said = subprocess.run(words, capture_output=True, text=True, check=True).stdout
        match = re.search(r"Requests/sec:\s*([\d.]+)", said)
        return float(match[1]) if match else 0.0
    words = [sys.executable, "-m", "benchmarks.load", str(port), path, str(seconds), str(connections)]
    return float(subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True).stdout)


class Connection:
    """One connection: a request is sent when the answer to the one before is there.

    Attributes:
        answered: How many answers have come.
    """

    def __init__(self, port: int, path: str) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.answered = 0
        self._request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUser-Agent: bench/1.0\r\n\r\n".encode()
        self._waiting = b""

    def ask(self) -> None:
        """Sends the request."""
        self.socket.sendall(self._request)

    def read(self) -> None:
        """Takes what has come; asks again after a whole answer."""
        data = self.socket.recv(65536)
        if not data:
            raise ConnectionError("the server has closed a connection that was to stay open")
        self._waiting += data
        length = answer_length(self._waiting)
        if length is not None and len(self._waiting) >= length:
            self._waiting = self._waiting[length:]
            self.answered += 1
            self.ask()


def answer_length(data: bytes) -> int | None:
    """The length of an answer that begins here, head and body; None while that is not known.

    Raises:
        ConnectionError: The answer is another than 200, or has no length.
    """
    head, separator, _ = data.partition(b"\r\n\r\n")
    if not separator:
        return None
    found = re.search(rb"\r\ncontent-length: *(\d+)", head, re.IGNORECASE)
    if found is None or not head.startswith(b"HTTP/1.1 200"):
        raise ConnectionError(head.decode("latin-1"))
    return len(head) + len(separator) + int(found[1])


def _load(port: int, path: str, seconds: float, connections: int) -> float:
    ready = selectors.DefaultSelector()
    everyone = [Connection(port, path) for _ in range(connections)]
    for connection in everyone:
        ready.register(connection.socket, selectors.EVENT_READ, connection)
        connection.ask()
    began = time.perf_counter()
    while (took := time.perf_counter() - began) < seconds:
        for key, _ in ready.select(1):
            key.data.read()
    return sum(connection.answered for connection in everyone) / took


if __name__ == "__main__":
    print(_load(int(sys.argv[1]), sys.argv[2], float(sys.argv[3]), int(sys.argv[4])))
