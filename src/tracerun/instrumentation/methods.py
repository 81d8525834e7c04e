"""The methods of HTTP that spans name as they are; every other one is ``_OTHER``.

Source: semantic conventions for HTTP spans, ``http.request.method``.
"""

from __future__ import annotations

from typing import Any

# RFC 9110 and PATCH of RFC 5789.
METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "QUERY"))


# The methods that are known here.
_KNOWN = set(METHODS)


def set_known(methods: tuple[str, ...]) -> None:
    """Takes a full list in place of the usual one; an empty one is that."""
    _KNOWN.clear()
    _KNOWN.update(methods or METHODS)


def span_name(method: str) -> str:
    """The name of a request's span, before a route is known."""
    return method if method in _KNOWN else method_attributes(method)[0]


def method_attributes(method: str) -> tuple[str, dict[str, Any]]:
    """The method as spans name it (``HTTP`` for one that nobody knows), and its attributes."""
    if method in _KNOWN:
        return method, {"http.request.method": method}
    upper = method.upper()
    if upper in _KNOWN:
        return upper, {"http.request.method": upper, "http.request.method_original": method}
    return "HTTP", {"http.request.method": "_OTHER", "http.request.method_original": method}
