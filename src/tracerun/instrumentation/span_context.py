"""Span contexts made of values that are known to be valid, without the checks of the constructor.

Each request makes two; a SpanContext is a tuple, and a tuple is made and read in a fifth of the time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from opentelemetry.trace import SpanContext, TraceFlags, TraceState

if TYPE_CHECKING:
    from collections.abc import Callable

SAMPLED, NOT_SAMPLED = TraceFlags(TraceFlags.SAMPLED), TraceFlags(TraceFlags.DEFAULT)
NO_STATE = TraceState.get_default()
_new = tuple.__new__


def _as_tuple(trace_id: int, span_id: int, remote: bool, flags: TraceFlags, state: TraceState) -> SpanContext:
    return _new(SpanContext, (trace_id, span_id, remote, flags, state, True))


def _maker() -> Callable[[int, int, bool, TraceFlags, TraceState], SpanContext]:
    """The quick way, where it gives what the constructor gives; a release of the API may keep its parts otherwise."""
    plain = SpanContext(1, 2, True, SAMPLED, NO_STATE)
    try:
        made = _as_tuple(1, 2, True, SAMPLED, NO_STATE)
        alike = tuple(made) == tuple(plain) and repr(made) == repr(plain) and made.is_valid
    except Exception:  # noqa: BLE001 - whatever such a release makes of it
        alike = False
    return _as_tuple if alike else SpanContext


valid_context = _maker()
