"""The four kinds of method handlers of grpc's two server APIs, and handlers that are made for one call."""

from __future__ import annotations

from typing import Any

import grpc

# The field of a method handler that holds its function, by who streams.
FIELDS = {
    (False, False): "unary_unary",
    (False, True): "unary_stream",
    (True, False): "stream_unary",
    (True, True): "stream_stream",
}


class Handler(grpc.RpcMethodHandler):  # type: ignore[misc]
    """What grpc reads of a method handler; each call has one, and grpc's own makers take three times as long.

    Args:
        requests: Whether requests stream.
        responses: Whether responses do.
        behavior: The function.
        deserializer: Of requests.
        serializer: Of responses.
    """

    unary_unary = unary_stream = stream_unary = stream_stream = None

    def __init__(self, requests: bool, responses: bool, behavior: Any, deserializer: Any, serializer: Any) -> None:
        self.request_streaming = requests
        self.response_streaming = responses
        self.request_deserializer = deserializer
        self.response_serializer = serializer
        setattr(self, FIELDS[requests, responses], behavior)
