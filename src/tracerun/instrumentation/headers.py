"""Headers and gRPC metadata that become attributes, where somebody has named them.

Sources: semantic conventions, ``http.request.header.<key>`` and ``rpc.request.metadata.<key>``;
opentelemetry-instrumentation, "Capture HTTP request and response headers". As there, names are regular expressions
that match a whole name in any case, and values of the names in SANITIZE_FIELDS are ``[REDACTED]``. Unlike there, so
are those of headers that are credentials (``Authorization``, ``Cookie``), and a dash in a name stays one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from tracerun.instrumentation import redaction
from tracerun.instrumentation.expressions import any_of

if TYPE_CHECKING:
    from tracerun.settings import Settings

REDACTED = "[REDACTED]"
HTTP_REQUEST, HTTP_RESPONSE = "http.request.header.", "http.response.header."
RPC_REQUEST, RPC_RESPONSE = "rpc.request.metadata.", "rpc.response.metadata."
# What a gRPC status says, quoted as URLs are, and once more with its details in a message of Protobuf.
_GRPC_MESSAGE, _GRPC_DETAILS = "grpc-message", "grpc-status-details-bin"


class _Captured:
    """The names that are asked for; none where nothing is, which costs a request one look each."""

    def __init__(self) -> None:
        self.server_request: re.Pattern[str] | None = None
        # Those of the names that are no expressions, for requests whose headers can be asked for and not listed.
        self.server_request_names: tuple[str, ...] = ()
        self.server_response: re.Pattern[str] | None = None
        self.client_request: re.Pattern[str] | None = None
        self.client_response: re.Pattern[str] | None = None
        self.hidden: re.Pattern[str] | None = None


CAPTURED = _Captured()


def configure(settings: Settings) -> list[str]:
    """Takes the names from the settings; a line for each regular expression that is none."""
    problems: list[str] = []
    for name in ("server_request", "server_response", "client_request", "client_response"):
        setting = getattr(type(settings), f"capture_{name}")
        expressions = getattr(settings, f"capture_{name}")
        setattr(CAPTURED, name, any_of(setting.variables[0], expressions, problems, re.IGNORECASE))
    CAPTURED.server_request_names = tuple(
        name.lower() for name in settings.capture_server_request if name.replace("-", "_").isidentifier()
    )
    fields = type(settings).sanitize_fields.variables[0]
    CAPTURED.hidden = any_of(fields, settings.sanitize_fields, problems, re.IGNORECASE)
    return problems


def attributes(wanted: re.Pattern[str], prefix: str, items: Iterable[Any] | None) -> dict[str, list[str]]:
    """The attributes of the headers that are wanted.

    Args:
        wanted: Matches their names.
        prefix: Of the attributes' names.
        items: Pairs of name and value, as text or as bytes; a name may come again.
    """
    found: dict[str, list[str]] = {}
    for pair in items or ():
        name, value = _text(pair[0]).lower(), pair[1]
        if wanted.fullmatch(name):
            values = value if isinstance(value, (list, tuple)) else [value]
            found.setdefault(prefix + name, []).extend(_shown(name, _text(value)) for value in values)
    return found


def _shown(name: str, value: str) -> str:
    hidden = CAPTURED.hidden is not None and CAPTURED.hidden.search(name)
    if hidden or name == _GRPC_DETAILS or redaction.is_secret_header(name):
        return REDACTED
    if name == _GRPC_MESSAGE:
        return redaction.message(unquote(value))
    # urllib sends userinfo there. Location and Referer are URLs.
    return redaction.text(value.rpartition("@")[2] if name == "host" else value)


def _text(value: Any) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


def items_of(headers: Any) -> Iterable[Any] | None:
    """The pairs of whatever a library keeps headers in: a mapping, one with several values for a name, pairs.

    Of a request that is none of these its ``headers`` are taken; none where the headers cannot be listed.
    """
    for name in ("iteritems", "multi_items", "items"):
        items = getattr(headers, name, None)
        if callable(items):  # Sanic's headers have any attribute, as the text of a header
            return items()  # type: ignore[no-any-return]
    if hasattr(headers, "headers"):
        return items_of(headers.headers)
    return headers if isinstance(headers, Iterable) else None
