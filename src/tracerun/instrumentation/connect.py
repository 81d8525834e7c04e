"""What Connect's clients and servers share: how a call is named and how its status is.

Connect speaks three protocols over HTTP: its own, gRPC and gRPC-Web. Its status codes are gRPC's, written small.
Source: connectrpc.com, "Protocol Reference"; semantic conventions for Connect RPC.
"""

from __future__ import annotations

from typing import Any

CONNECT, GRPC = "connectrpc", "grpc"


def code_of(code: Any, system: str) -> str:
    """An error's code as the protocol writes it: ``not_found``, or ``NOT_FOUND``."""
    name = str(code.value)
    if system == CONNECT:
        return name
    return "CANCELLED" if name == "canceled" else name.upper()


def method_of(method: Any) -> str:
    """A method's full name."""
    return f"{method.service_name}/{method.name}"


def read(value: Any) -> Any:
    """An attribute of a request's context; before 0.10 they are methods."""
    return value() if callable(value) else value


def metadata_of(headers: Any) -> list[tuple[str, Any]]:
    """The pairs of headers or trailers; Connect's own protocol sends a unary call's trailers as headers."""
    pairs = getattr(headers, "allitems", headers.items)()
    return [(name.lower().removeprefix("trailer-"), value) for name, value in pairs]
