"""The other end of the connection that a request really goes over: the server, or the proxy before it.

It is asked for while the connection is surely open: with the answer that it brings it may be closed.
"""

from __future__ import annotations

from functools import update_wrapper
from typing import TYPE_CHECKING, Any

from tracerun.agent.guard import guarded

if TYPE_CHECKING:
    from tracerun.instrumentation.http import HttpClientSpan

# Where an object of a library's keeps what is still to be asked, or is known already.
KEY = "_tracerun_peer"
_GUARD = guarded("http.client")


def of_socket(connected: Any) -> Any:
    """As ``getpeername()`` has it; None where there is no socket, or not a connected one."""
    getpeername = getattr(connected, "getpeername", None)
    try:
        return getpeername and getpeername()
    except OSError:  # the other side was quicker
        return None


def of_transport(transport: Any) -> Any:
    """The same of a transport of asyncio's, which has asked already."""
    return transport and transport.get_extra_info("peername")


def of_stream(stream: Any) -> Any:
    """The same of a stream of httpcore's, which is one for all requests of a connection: anyio is slow to answer."""
    kept = getattr(stream, "__dict__", {})
    if KEY not in kept:
        kept[KEY] = stream.get_extra_info("server_addr")
    return kept[KEY]


def of_httplib(response: Any) -> Any:
    """The same of a response of ``http.client``'s that nobody has read yet: until then it has the connection."""
    return of_socket(getattr(getattr(getattr(response, "fp", None), "raw", None), "_sock", None))


def tell(span: HttpClientSpan, connection: Any) -> None:
    """Tells a span of the other end of a connection of ``http.client``'s: now, or, of a new one, once it is made."""
    with _GUARD:  # the span is current already
        if not span.span.is_recording():
            return
        if connection.sock is not None:
            span.reached(of_socket(connection.sock))
        else:
            setattr(connection, KEY, span)


def _telling(getresponse: Any) -> Any:
    """Each request passes here, so that nothing is done but to ask whether there is something to do."""

    def wrapper(connection: Any, *args: Any, **kwargs: Any) -> Any:
        if KEY in connection.__dict__:
            with _GUARD:
                vars(connection).pop(KEY).reached(of_socket(connection.sock))
        return getresponse(connection, *args, **kwargs)

    return update_wrapper(wrapper, getresponse)


HTTPLIB = {"http.client:HTTPConnection.getresponse": _telling}
