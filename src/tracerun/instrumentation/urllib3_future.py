"""urllib3-future beside urllib3, as niquests uses it: one CLIENT span for each attempt."""

from __future__ import annotations

from typing import Any

from tracerun.instrumentation.context import tracer
from tracerun.instrumentation.urllib3 import Urllib3Span, begin, patches

_TRACER = tracer("urllib3_future")


class _Span(Urllib3Span):
    __slots__ = ()


def _begin(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    return begin(_Span, _TRACER, args, kwargs)


PATCHES = patches("urllib3_future", _begin)
