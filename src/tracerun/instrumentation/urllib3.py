"""urllib3: one CLIENT span for each attempt; a retry or redirect that the pool makes is one more."""

from __future__ import annotations

from typing import Any

from tracerun.instrumentation.context import tracer
from tracerun.instrumentation.http import HttpClientSpan, start_http_client
from tracerun.instrumentation.patching import argument, around

_TRACER = tracer("urllib3")
_VERSIONS: dict[Any, str] = {10: "1.0", 11: "1.1", 20: "2", 30: "3"}


# A program's own, in whatever case, is replaced and not doubled.
_FIELDS = ("traceparent", "tracestate")


class _Span(HttpClientSpan):
    __slots__ = ()

    def status_of(self, response: Any) -> int | None:
        return getattr(response, "status", None)

    def version_of(self, response: Any) -> str | None:
        return _VERSIONS.get(getattr(response, "version", None))


def _begin(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    # _make_request(self, conn, method, url, body=None, headers=None, ...) in every release since 1.26; it is
    # one attempt, where urlopen calls itself for retries and redirects. urlopen passes headers by name.
    pool, method, target = args[0], argument(args, kwargs, 2, "method"), argument(args, kwargs, 3, "url")
    given = kwargs.get("headers") or pool.headers or {}
    # A copy, of the same kind: urllib3's own has several values for a name. The program's stays as it was.
    headers = given.copy() if hasattr(given, "copy") else dict(given)
    for name in [name for name in headers if name.lower() in _FIELDS and name != name.lower()]:
        del headers[name]
    url = target if "://" in target else f"{pool.scheme}://{_authority(pool)}{target}"
    span = start_http_client(_Span, _TRACER, method, url, headers)
    if span is not None:
        kwargs["headers"] = headers
    return span


def _authority(pool: Any) -> str:
    host = f"[{pool.host}]" if ":" in pool.host and not pool.host.startswith("[") else pool.host
    return f"{host}:{pool.port}" if pool.port else host


PATCHES = {"urllib3.connectionpool:HTTPConnectionPool._make_request": around(_begin, "urllib3")}
