"""Requests to a WSGI application, in process: its callable, as a server calls it."""

from __future__ import annotations

import io
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_ENVIRON = {
    "REQUEST_METHOD": "GET",
    "SCRIPT_NAME": "",
    "QUERY_STRING": "",
    "SERVER_NAME": "127.0.0.1",
    "SERVER_PORT": "8000",
    "SERVER_PROTOCOL": "HTTP/1.1",
    "SERVER_SOFTWARE": "bench",
    "REMOTE_ADDR": "127.0.0.1",
    "REMOTE_PORT": "50000",
    "HTTP_HOST": "127.0.0.1:8000",
    "HTTP_USER_AGENT": "bench/1.0",
    "HTTP_ACCEPT": "*/*",
    "wsgi.version": (1, 0),
    "wsgi.url_scheme": "http",
    "wsgi.errors": sys.stderr,
    "wsgi.multithread": True,
    "wsgi.multiprocess": False,
    "wsgi.run_once": False,
}


def caller(app: Callable[..., Iterable[bytes]], path: str = "/hello") -> Callable[[], None]:
    """What makes one request, up to its body's end."""
    template = {**_ENVIRON, "PATH_INFO": path, "REQUEST_URI": path}

    def start_response(status: str, headers: object, exc_info: object = None) -> Any:
        if not status.startswith("200"):
            raise AssertionError(f"{path}: {status}")
        return None

    def request() -> None:
        body = app({**template, "wsgi.input": io.BytesIO()}, start_response)
        try:
            for _ in body:
                pass
        finally:
            close = getattr(body, "close", None)
            if close is not None:
                close()

    return request
