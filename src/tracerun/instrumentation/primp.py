"""primp, sync and async: one CLIENT span for each call."""

from __future__ import annotations

from typing import Any

from tracerun.instrumentation.context import tracer
from tracerun.instrumentation.http import HttpClientSpan
from tracerun.instrumentation.patching import around_changed, around_changed_async
from tracerun.instrumentation.single_calls import VERBS, Calls

_TRACER = tracer("primp")


class _Span(HttpClientSpan):
    __slots__ = ()


_CALLS = Calls(_Span, lambda: _TRACER, {"params": 1, "headers": 2})

PATCHES: dict[str, Any] = {
    "primp:request?": around_changed(_CALLS.given(0), "primp"),
    "primp:Client.request": around_changed(_CALLS.given(), "primp"),
    "primp:AsyncClient.request?": around_changed_async(_CALLS.given(), "primp"),
    **{f"primp:{verb}": around_changed(_CALLS.named(verb.upper(), 0), "primp") for verb in VERBS},
    **{f"primp:Client.{verb}": around_changed(_CALLS.named(verb.upper()), "primp") for verb in VERBS},
    **{f"primp:AsyncClient.{verb}?": around_changed_async(_CALLS.named(verb.upper()), "primp") for verb in VERBS},
}
