"""httpr, sync and async: one CLIENT span for each call, a stream's to the end of its body.

Redirects are followed in Rust, within one call; of the connection, and so of the network's peer, nothing is heard.
"""

from __future__ import annotations

from contextvars import copy_context
from functools import partial
from typing import Any

from tracerun.instrumentation import ledger
from tracerun.instrumentation.context import tracer
from tracerun.instrumentation.patching import around_changed, replacing
from tracerun.instrumentation.single_calls import Calls

_TRACER = tracer("httpr")


class _Span(ledger.LedgerSpan):
    __slots__ = ()

    def body_follows(self, response: Any) -> bool:
        return hasattr(response, "is_consumed") and ledger.hold(self, response)


# Everything goes through these two, which get their arguments by name.
_CALLS = Calls(_Span, lambda: _TRACER, {"params": 1, "headers": 2})


def _run(original: Any, client: Any, function: Any, *args: Any, **kwargs: Any) -> Any:
    """The async client makes its calls on a thread, which is to know whose they are."""
    return original(client, partial(copy_context().run, function), *args, **kwargs)


_BODY = ledger.Watch("httpr")

PATCHES: dict[str, Any] = {
    "httpr:RClient.request": around_changed(_CALLS.given(), "httpr"),
    "httpr:RClient._stream": around_changed(_CALLS.given(), "httpr"),
    "httpr:AsyncClient._run_sync_asyncio": replacing(_run),
    **dict.fromkeys(("httpr:StreamingResponse.read", "httpr:StreamingResponse.close"), _BODY.reads),
    **{f"httpr:StreamingResponse.{name}": _BODY.opens for name in ("iter_bytes", "iter_text", "iter_lines")},
    "httpr:StreamingResponse.__next__": _BODY.steps,
    "httpr.httpr:TextIterator.__next__": _BODY.steps,
    "httpr.httpr:LineIterator.__next__": _BODY.steps,
}
