"""grpclib's clients, betterproto's among them: one CLIENT span per call on the wire.

A call begins when its headers are sent and ends with the ``async with`` around its stream, which grpclib itself
insists on. The span is never current: what runs inside is the program's own code.
"""

from __future__ import annotations

import asyncio
from typing import Any

from grpclib.const import Status
from grpclib.exceptions import GRPCError, StreamTerminatedError

from tracerun.instrumentation.context import tracer
from tracerun.instrumentation.patching import around_async
from tracerun.instrumentation.rpc import ClientCall, start_client_call

_TRACER = tracer("grpclib_client")
_WHAT = "a gRPC client's call"
# Where a stream keeps its call.
_KEY = "tracerun_call"


class _Sending:
    """The headers are on their way."""

    __slots__ = ("_stream",)

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def ended(self, result: Any) -> Any:
        """They are sent."""
        return result

    def failed(self, error: BaseException) -> None:
        """There is no connection, or no time left. grpclib does not close such a stream; another attempt may come."""
        _end(self._stream, error)


class _Closing:
    """The stream is being closed, after an error or without."""

    __slots__ = ("_error", "_stream")

    def __init__(self, stream: Any, error: BaseException | None) -> None:
        self._stream = stream
        self._error = error

    def ended(self, result: Any) -> Any:
        """It is closed."""
        _end(self._stream, self._error)
        return result

    def failed(self, error: BaseException) -> None:
        """It is closed, and tells why."""
        _end(self._stream, error)


def _end(stream: Any, error: BaseException | None) -> None:
    call: ClientCall = vars(stream).pop(_KEY)
    call.answered(stream.initial_metadata, stream.trailing_metadata)
    if error is None:
        # What the program has cancelled, or a connection that went before the status came, raises nothing here.
        complete = stream._recv_trailing_metadata_done or stream._trailers_only
        call.ended(Status.OK if complete and not stream._cancel_done else Status.CANCELLED)
    elif isinstance(error, GRPCError):
        call.ended(error.status, error.message)
    elif isinstance(error, asyncio.TimeoutError) and stream._deadline is not None:
        call.ended(Status.DEADLINE_EXCEEDED)
    elif isinstance(error, (StreamTerminatedError, OSError)):
        call.failed(error)
    else:  # an error of the program's own, or its cancellation: grpclib resets the stream
        call.ended(Status.CANCELLED)


def _send(args: tuple[Any, ...], _: dict[str, Any]) -> _Sending | None:
    stream = args[0]
    if stream._send_request_done or _KEY in vars(stream):
        return None
    channel = stream._channel
    target = f"unix:{channel._path}" if channel._path else f"{channel._host}:{channel._port}"
    call = start_client_call(_TRACER, stream._method_name, target)
    if call is None:
        return None
    setattr(stream, _KEY, call)
    # The channel has made it of what the program has passed, for this one call.
    stream._metadata = type(stream._metadata)(call.metadata(tuple(stream._metadata.items())))
    return _Sending(stream)


def _close(args: tuple[Any, ...], _: dict[str, Any]) -> _Closing | None:
    return _Closing(args[0], args[2]) if _KEY in vars(args[0]) else None


PATCHES = {
    "grpclib.client:Stream.send_request": around_async(_send, _WHAT),
    "grpclib.client:Stream.__aexit__": around_async(_close, _WHAT),
}
