"""A client's span whose request and answer are two calls: current during the first, ended by the second."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tracerun.instrumentation.context import detach
from tracerun.instrumentation.http import HttpClientSpan

if TYPE_CHECKING:
    from contextvars import Token

    from opentelemetry.context import Context
    from opentelemetry.trace import Span

# Where an object of the library (a connection, a request) keeps the span that waits for its answer.
KEY = "_tracerun_span"


class LateSpan(HttpClientSpan):
    """A CLIENT span for two calls of ``patching.around``; one that is dropped with its object has ended too.

    The first call that ends says that the request is sent, the next one that the answer is there.
    """

    __slots__ = ("is_sent",)

    def __init__(self, span: Span, token: Token[Context]) -> None:
        super().__init__(span, token)
        self.is_sent = False

    def ended(self, result: Any) -> Any:
        """The request is sent, or its answer has come."""
        if self.is_sent:
            return super().ended(result)
        self.let_go()
        self.sent(result)
        return result

    def sent(self, result: Any) -> None:
        """Subclasses keep the span for the answer, or have it told when that comes."""

    def let_go(self) -> None:
        """Detaches at once: what runs until the answer has come, callbacks among it, is in the program's context."""
        if not self.is_sent:
            self.is_sent = True
            detach(self.token)

    def __del__(self) -> None:
        if self.span.is_recording():
            self.span.end()


class Handover:
    """The call of a library that takes a request over: the span is ended by it where it fails, and else later."""

    def __init__(self, span: LateSpan) -> None:
        self.span = span

    def ended(self, result: Any) -> Any:
        """Nothing is known yet."""
        return result

    def failed(self, error: BaseException) -> None:
        """The request is not going to be sent."""
        self.span.failed(error)


def keeps(holder: Any) -> bool:
    """Whether an object keeps a span."""
    return KEY in holder.__dict__


def take(holder: Any) -> LateSpan | None:
    """The span that an object keeps, if any, which from now on it does not."""
    span: LateSpan | None = vars(holder).pop(KEY, None)
    return span
