"""primp, sync and async: one CLIENT span for each call, to the end of the response's body.

Its calls return with the response's head; the body is read when the program asks for it. Redirects are followed in
Rust, within one call; of the connection, and so of the network's peer, nothing is heard from there.
"""

from __future__ import annotations

from typing import Any

from tracerun.instrumentation import ledger
from tracerun.instrumentation.context import tracer
from tracerun.instrumentation.patching import around_changed, around_changed_async
from tracerun.instrumentation.single_calls import VERBS, Calls

_TRACER = tracer("primp")


class _Span(ledger.LedgerSpan):
    __slots__ = ()

    def body_follows(self, response: Any) -> bool:
        # Before 1.1 no class of responses can be reached before there is one, and the span ends with the call.
        kind = type(response)
        return (hasattr(kind, "iter_bytes") or hasattr(kind, "aiter_bytes")) and ledger.hold(self, response)


_CALLS = Calls(_Span, lambda: _TRACER, {"params": 1, "headers": 2})

_BODY = ledger.Watch("primp")
_SHOWN = ("content", "text", "text_markdown", "text_plain", "text_rich")
# By what they do with the body: the methods of responses and of the iterators that these give.
_METHODS: dict[str, Any] = {
    **dict.fromkeys(_SHOWN, _BODY.shows),
    **dict.fromkeys(("read", "json", "close", "__exit__"), _BODY.reads),
    **dict.fromkeys(("aread", "aclose", "__aexit__", "content_async", "text_async", "json_async"), _BODY.reads_async),
    "next": _BODY.steps,
    "anext": _BODY.steps_async,
    **dict.fromkeys(("iter_bytes", "iter_text", "iter_lines"), _BODY.opens),
    **dict.fromkeys(("aiter_bytes", "aiter_text", "aiter_lines"), _BODY.opens),
}
_RESPONSES = ("Response", "AsyncResponse", "StreamResponse", "AsyncStreamResponse")
_ITERATORS = ("BytesIterator", "TextIterator", "LinesIterator")

PATCHES: dict[str, Any] = {
    "primp:request?": around_changed(_CALLS.given(0), "primp"),
    "primp:Client.request": around_changed(_CALLS.given(), "primp"),
    "primp:AsyncClient.request?": around_changed_async(_CALLS.given(), "primp"),
    **{f"primp:{verb}": around_changed(_CALLS.named(verb.upper(), 0), "primp") for verb in VERBS},
    **{f"primp:Client.{verb}": around_changed(_CALLS.named(verb.upper()), "primp") for verb in VERBS},
    **{f"primp:AsyncClient.{verb}?": around_changed_async(_CALLS.named(verb.upper()), "primp") for verb in VERBS},
    **{f"primp:{kind}.{name}?": factory for kind in _RESPONSES for name, factory in _METHODS.items()},
    **{f"primp:{kind}.__next__?": _BODY.steps for kind in _ITERATORS},
    **{f"primp:Async{kind}.__anext__?": _BODY.steps_async for kind in _ITERATORS},
}
