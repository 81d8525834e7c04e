"""The RPC span, client and server: its name, attributes and status rules, once for sync and asyncio gRPC.

Source: semantic conventions for RPC and gRPC spans, stable since 1.45.0 of 2 November 2026.

- Names of 1.45.0: ``rpc.system.name``, ``rpc.method`` with the service in front, and ``rpc.status_code`` as a
  word. The release candidate called the last ``rpc.response.status_code`` (renamed by semantic-conventions
  #3921); opentelemetry-semantic-conventions 0.66b2 still has that name, as it was made from 1.44.0.
- opentelemetry-instrumentation-grpc 0.66b2 knows no stability opt-in for RPC and writes the old names
  (``rpc.system``, ``rpc.service``, ``rpc.grpc.status_code``, ``net.peer.ip``). Nothing of ours ever wrote those,
  so there is nothing to migrate and ``OTEL_SEMCONV_STABILITY_OPT_IN`` changes nothing here.
- ``client.address`` is no attribute of RPC servers any more (#3488); the peer is ``network.peer.address``. On
  servers ``server.address`` is the ``:authority``, which Python's server API does not show, so it is left out.
- A method that the server does not have is ``_OTHER`` with its name in ``rpc.method_original``, and its span is
  named after the system. A client's methods are those of its stub, so they count as known.
"""

from __future__ import annotations

import sys
from _thread import allocate_lock
from functools import lru_cache
from itertools import chain
from typing import TYPE_CHECKING, Any

from opentelemetry.context import Context
from opentelemetry.trace import Status, StatusCode
from opentelemetry.trace.propagation import _SPAN_KEY

from tracerun.instrumentation import headers as captured
from tracerun.instrumentation import redaction
from tracerun.instrumentation.context import CLIENT, excluded, get_current, start_span, suppressed, type_name
from tracerun.instrumentation.exclusion import EXCLUSION, excludes_call
from tracerun.instrumentation.headers import CAPTURED
from tracerun.instrumentation.http import split_host
from tracerun.instrumentation.propagation import W3C, HeaderGetter, inject_into
from tracerun.instrumentation.theirs import is_traced

if TYPE_CHECKING:
    import re
    from collections.abc import Callable

    from opentelemetry.trace import Span, Tracer

SYSTEM = "grpc"
OTHER_METHOD = "_OTHER"
# What a server's span counts as an error; the other codes are answers to what the client did.
SERVER_ERRORS = frozenset(("UNKNOWN", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"))
# Methods times targets that are kept prepared; both are few in any program that is not itself a proxy.
REMEMBERED = 1024
# By number (doc/statuscodes.md).
CODES = (
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
)


def code_name(code: Any) -> str:
    """A status code as a word, given as a library's enumeration or as its number; whatever else is ``UNKNOWN``."""
    if isinstance(code, int):
        return CODES[code] if 0 <= code < len(CODES) else "UNKNOWN"
    # Not name: that is a descriptor written in Python.
    name = getattr(code, "_name_", None)
    return name if name in CODES else "UNKNOWN"


def text(value: Any) -> str:
    """A method, a target or a status's details, which gRPC hands over as text or as bytes."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


# Addresses


def address_of_target(target: str) -> tuple[str, int | None]:
    """Host and port of a channel's target; of a scheme that is resolved elsewhere (``xds:///...``) the whole.

    Source: gRPC name resolution (doc/naming.md).
    """
    scheme, _, rest = target.partition(":")
    if scheme == "dns":
        return split_host(rest[2:].partition("/")[2] if rest.startswith("//") else rest, "")
    if scheme in ("ipv4", "ipv6"):
        return split_host(_unquoted(rest.partition(",")[0]), "")
    if scheme in ("unix", "unix-abstract"):
        return rest.removeprefix("//"), None
    return (target, None) if "://" in target or scheme == "vsock" else split_host(target, "")


@lru_cache(maxsize=REMEMBERED)
def attributes_of_peer(peer: str) -> dict[str, Any]:
    """The other end of a server's connection, as ``context.peer()`` has it: ``ipv4:1.2.3.4:5``, ``unix:/path``."""
    address, port = address_of_target(peer)
    attributes: dict[str, Any] = {"network.peer.address": address} if address else {}
    if port is not None:
        attributes["network.peer.port"] = port
    return attributes


def _unquoted(address: str) -> str:
    return address.replace("%5B", "[").replace("%5D", "]").replace("%25", "%")


# Metadata


def _read(metadata: Any, name: str) -> str | None:
    values = [value for key, value in metadata or () if key == name and isinstance(value, str)]
    # W3C: tracestate and baggage may come in parts; of what must be there once, the first counts.
    return (",".join(values) if name in ("tracestate", "baggage") else values[0]) if values else None


def _read_w3c(metadata: Any) -> tuple[str | None, str | None, str | None] | None:
    found: dict[str, str] = {}
    for key, value in metadata or ():
        if key in W3C and isinstance(value, str):
            if key not in found:
                found[key] = value
            elif key != "traceparent":
                found[key] += f",{value}"
    return (found.get("traceparent"), found.get("tracestate"), found.get("baggage")) if found else None


METADATA_GETTER = HeaderGetter(_read, w3c=_read_w3c)


def with_context(metadata: Any, context: Context, host: Callable[[], str] | None = None) -> Any:
    """A call's metadata with the context's fields after the caller's own entries, which keep their order.

    The caller's object stays as it is. Of a field that the caller has put in itself (a proxy that passes all
    on) only ours is sent: propagators replace what they write (specification: "TextMap Inject").
    """
    fields: dict[str, str] = {}
    inject_into(fields, context, host)
    if len(fields) != 1 or "traceparent" not in fields:
        # gRPC refuses a whole call for a name with capitals (B3's) or a value that is not printable ASCII.
        fields = {key.lower(): value for key, value in fields.items() if value.isascii() and value.isprintable()}
        if not fields:
            return metadata
    if not metadata:
        return tuple(fields.items())
    kept = [entry for entry in metadata if not (isinstance(entry, (tuple, list)) and entry and entry[0] in fields)]
    return (*kept, *fields.items())


def capture(span: Span, wanted: re.Pattern[str] | None, prefix: str, *metadata: Any) -> None:
    """Makes attributes of what is wanted of metadata, one or several that belong together."""
    if wanted is not None and span.is_recording():
        pairs = chain.from_iterable(captured.items_of(part) or () for part in metadata)
        span.set_attributes(captured.attributes(wanted, prefix, pairs))


# Client


@lru_cache(maxsize=REMEMBERED)
def _client_start(method: bytes | str, target: bytes | str, system: str) -> tuple[str, dict[str, Any]]:
    name = text(method).removeprefix("/")
    attributes: dict[str, Any] = {"rpc.system.name": system, "rpc.method": name}
    address, port = address_of_target(text(target))
    if address:
        attributes["server.address"] = address
    if port is not None:
        attributes["server.port"] = port
    return name, attributes


class ClientCall:
    """A CLIENT span of one call on the wire, ended once.

    Attributes:
        span: The span.
        context: The caller's context with the span in it.
        target: What the channel was made for.
    """

    __slots__ = ("_once", "context", "span", "target")

    def __init__(self, span: Span, context: Context, target: bytes | str = "") -> None:
        self.span = span
        self.context = context
        self.target = target
        self._once = allocate_lock()

    def metadata(self, given: Any) -> Any:
        """The call's metadata with its context in it; what is named of the caller's own becomes attributes."""
        if CAPTURED.client_request is not None:
            self.sends(given)
        return with_context(given, self.context, self._host)

    def _host(self) -> str:
        return address_of_target(text(self.target))[0]

    def sends(self, metadata: Any) -> None:
        """What is named of the caller's own metadata becomes attributes."""
        capture(self.span, CAPTURED.client_request, captured.RPC_REQUEST, metadata)

    def answered(self, *metadata: Any) -> None:
        """So does what is named of the metadata that the call was answered with, before and after its messages."""
        capture(self.span, CAPTURED.client_response, captured.RPC_RESPONSE, *metadata)

    def ended(self, code: Any, details: Any = None) -> None:
        """The call has a status. Any but OK is an error of the client's."""
        name = code_name(code)
        self.finish(name, None if name == "OK" else name, details)

    def failed(self, error: BaseException) -> None:
        """The call has raised: with a status, or before there could be one (a closed channel, a wrong argument)."""
        grpc, code = sys.modules.get("grpc"), getattr(error, "code", None)
        if grpc is not None and isinstance(error, grpc.RpcError) and callable(code):
            self.ended(code(), getattr(error, "details", str)())
        else:
            self.finish(None, type_name(error), None)

    def finish(self, code: str | None, error_type: str | None, details: Any) -> None:
        """Ends the span, once."""
        if not self._once.acquire(blocking=False):
            return
        span = self.span
        try:
            if span.is_recording():
                if code:
                    span.set_attribute("rpc.status_code", code)
                if error_type:
                    span.set_attribute("error.type", error_type)
                    span.set_status(Status(StatusCode.ERROR, redaction.message(text(details)) if details else None))
        finally:
            span.end()


def start_client_call(
    tracer: Tracer, method: bytes | str, target: bytes | str, system: str = SYSTEM
) -> ClientCall | None:
    """Starts the span of a call; none where nothing is to be traced.

    Not asked is whether an HTTP call is under way: gRPC is never the transport of one, and the body of an HTTP
    request may well come from gRPC.

    Args:
        tracer: Of the instrumentation.
        method: The path, ``/package.Service/Method``.
        target: What the channel was made for.
        system: As ``rpc.system.name`` has it.
    """
    parent = get_current()
    if parent and (suppressed(parent) or is_traced(CLIENT, parent, "grpc")):
        return None
    name, attributes = _client_start(method, target, system)
    if EXCLUSION.on and excludes_call(name):
        parent = excluded(parent)
    span = start_span(tracer, name, parent, CLIENT, attributes.copy, ())
    return ClientCall(span, Context({**parent, _SPAN_KEY: span}), target)
