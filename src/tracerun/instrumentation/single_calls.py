"""Clients whose whole request is one call, ``get(url, headers=...)`` say: those that are written in Rust.

What becomes of a call, redirects for instance, is not to be seen: one CLIENT span for each call, without the
protocol's version. The classes' methods can be replaced, although they are not Python's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urljoin

from tracerun.instrumentation.context import client_suppressed
from tracerun.instrumentation.http import HttpClientSpan, start_http_client
from tracerun.instrumentation.patching import argument, with_argument

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.trace import Tracer

# The functions that are named after HTTP's methods.
VERBS = ("get", "head", "options", "delete", "post", "put", "patch")
_FIELDS = ("traceparent", "tracestate")


class Fields:
    """The headers of a call as pairs, in which the program's own W3C fields are replaced."""

    def __init__(self, given: Any) -> None:
        pairs = given.items() if hasattr(given, "items") else given or ()
        self._pairs = [pair for pair in pairs if str(pair[0]).lower() not in _FIELDS]

    def __setitem__(self, name: str, value: str) -> None:
        self._pairs.append((name, value))

    def items(self) -> list[tuple[Any, Any]]:
        """The pairs."""
        return self._pairs


class Calls:
    """Begins the spans of one library's calls.

    Args:
        kind: The library's span class.
        tracer: Gives the tracer of the library's instrumentation.
        offsets: How many positional arguments after the URL the others are.
        headers: Makes the library's headers of pairs.
    """

    def __init__(
        self,
        kind: type[HttpClientSpan],
        tracer: Callable[[], Tracer],
        offsets: dict[str, int],
        headers: Callable[[Any], Any] = dict,
    ) -> None:
        self._kind = kind
        self._tracer = tracer
        self._offsets = offsets
        self._headers = headers

    def named(self, method: str, url_at: int = 1) -> Callable[[tuple[Any, ...], dict[str, Any]], Any]:
        """For a call that is named after its method, ``get(url)``; of a module's the URL is the first argument."""
        return lambda args, kwargs: self._begin(method, url_at, args, kwargs)

    def given(self, method_at: int = 1) -> Callable[[tuple[Any, ...], dict[str, Any]], Any]:
        """For ``request(method, url)``."""
        return lambda args, kwargs: self._begin(
            str(argument(args, kwargs, method_at, "method")), method_at + 1, args, kwargs
        )

    def _begin(self, method: str, url_at: int, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if client_suppressed():
            return None
        at = {name: url_at + offset for name, offset in self._offsets.items()}
        fields = Fields(argument(args, kwargs, at["headers"], "headers"))
        url = urljoin(
            getattr(args[0], "base_url", None) or "" if args else "", str(argument(args, kwargs, url_at, "url", ""))
        )
        params = argument(args, kwargs, at["params"], "params") if "params" in at else kwargs.get("params")
        if params:
            url += ("&" if "?" in url else "?") + urlencode(params, doseq=True)
        span = start_http_client(self._kind, self._tracer(), method, url, fields)
        if span is None:
            return None
        return (span, *with_argument(args, kwargs, at["headers"], "headers", self._headers(fields.items())))
