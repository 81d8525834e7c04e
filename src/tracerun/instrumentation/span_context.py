"""Span contexts made of values that are known to be valid, and read, without constructor and properties.

Each request makes two; a SpanContext is a tuple, and a tuple is made and read in a fifth of the time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from opentelemetry.trace import SpanContext, TraceFlags, TraceState

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    # Trace id, span id, whether it is remote, flags, state, and whether it is valid.
    Parts: TypeAlias = tuple[int, int, bool, TraceFlags, TraceState, bool]

SAMPLED, NOT_SAMPLED = TraceFlags(TraceFlags.SAMPLED), TraceFlags(TraceFlags.DEFAULT)
NO_STATE = TraceState.get_default()
_new = tuple.__new__


def _as_tuple(trace_id: int, span_id: int, remote: bool, flags: TraceFlags, state: TraceState) -> SpanContext:
    return _new(SpanContext, (trace_id, span_id, remote, flags, state, True))


def _is_such_a_tuple() -> bool:
    """Whether that gives what the constructor gives; a release of the API may keep its parts otherwise."""
    plain = SpanContext(1, 2, True, SAMPLED, NO_STATE)
    try:
        made = _as_tuple(1, 2, True, SAMPLED, NO_STATE)
        return tuple(made) == tuple(plain) and repr(made) == repr(plain) and made.is_valid
    except Exception:  # noqa: BLE001 - whatever such a release makes of it
        return False


# The class, where it is such a tuple.
_TUPLE = SpanContext if _is_such_a_tuple() else None
valid_context: Callable[[int, int, bool, TraceFlags, TraceState], SpanContext] = _as_tuple if _TUPLE else SpanContext


def parts_of(context: SpanContext) -> Parts:
    """What a span context consists of."""
    if type(context) is _TUPLE:
        return tuple(context)  # type: ignore[return-value]
    ids = context.trace_id, context.span_id
    return *ids, context.is_remote, context.trace_flags, context.trace_state, context.is_valid
