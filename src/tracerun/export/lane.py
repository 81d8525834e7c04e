"""One destination's queue: what waits, what is to be sent again, and what became of every span.

``add`` is all that the program's threads ever call; it appends and never waits.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Protocol

from tracerun.agent.threads import monotonic

if TYPE_CHECKING:
    from collections.abc import Sequence

    from opentelemetry.sdk.trace import ReadableSpan

FIRST_RETRY, LONGEST_RETRY = 0.5, 30.0


class Outcome:
    """What became of a batch.

    Attributes:
        delivered: How many spans the receiver took.
        dropped: How many it refused for good, by reason.
        retry_after: Seconds after which the whole batch is to be sent again; None where it is settled.
        why: What went wrong, for the line on stderr; empty where nothing did.
    """

    __slots__ = ("delivered", "dropped", "retry_after", "why")

    def __init__(
        self,
        delivered: int = 0,
        *,
        dropped: dict[str, int] | None = None,
        retry_after: float | None = None,
        why: str = "",
    ) -> None:
        self.delivered = delivered
        self.dropped = dropped or {}
        self.retry_after = retry_after
        self.why = why


class Destination(Protocol):
    """Where a batch of spans can go. Called from one thread at a time, never from the program's own."""

    def send(self, spans: Sequence[ReadableSpan], deadline: float | None) -> Outcome:
        """Sends a batch.

        Args:
            spans: Ended spans, in the order of their ends.
            deadline: The time on the monotonic clock by which the answer must be there; None outside of exit.
        """

    def close(self) -> None:
        """Lets go of connections and files."""

    def forget(self) -> None:
        """In a forked child: drops what is shared with the parent, without touching its state."""

    @property
    def where(self) -> str:
        """The destination in a user's words, without secrets."""


class Lane:
    """A destination and the spans on their way to it.

    Attributes:
        destination: Where they go.
        delivered: How many have arrived.
        dropped: How many never will, by reason.
    """

    def __init__(self, destination: Destination, *, capacity: int, batch_size: int) -> None:
        self.destination = destination
        self.capacity = capacity
        self.batch_size = batch_size
        self.delivered = 0
        self.dropped: dict[str, int] = {}
        self._queue: deque[ReadableSpan] = deque()
        self._again: list[ReadableSpan] = []
        self._in_flight = 0
        self._not_before = 0.0
        self._failures = 0

    def add(self, span: ReadableSpan) -> int:
        """Takes a span, or counts it as dropped where the queue is full; gives how many wait."""
        waiting = len(self._queue)
        if waiting >= self.capacity:
            self.drop("queue full", 1)
        else:
            self._queue.append(span)
        return waiting

    def drop(self, reason: str, count: int) -> None:
        """Counts spans that are lost."""
        self.dropped[reason] = self.dropped.get(reason, 0) + count

    def __len__(self) -> int:
        return len(self._queue) + len(self._again)

    def due(self) -> float:
        """Seconds until something can be sent: 0 now."""
        return max(0.0, self._not_before - monotonic())

    def step(self, deadline: float | None = None) -> tuple[list[ReadableSpan], Outcome] | None:
        """Sends one batch, if there is one and it is time; gives it, and what became of it."""
        if not len(self) or (deadline is None and self.due()):
            return None
        batch = self._again or self._next_batch()
        self._again = []
        self._in_flight = len(batch)
        try:
            outcome = self.destination.send(batch, deadline)
        except Exception as error:  # noqa: BLE001 - a destination that fails keeps its spans for another try
            outcome = Outcome(retry_after=0.0, why=f"{type(error).__name__}: {error}"[:200])
        self._in_flight = 0
        self.delivered += outcome.delivered
        for reason, count in outcome.dropped.items():
            self.drop(reason, count)
        if outcome.retry_after is None:
            self._failures, self._not_before = 0, 0.0
        else:
            self._again = batch
            self._failures += 1
            self._not_before = monotonic() + (outcome.retry_after or self._backoff())
        return batch, outcome

    def _next_batch(self) -> list[ReadableSpan]:
        return [self._queue.popleft() for _ in range(min(self.batch_size, len(self._queue)))]

    def _backoff(self) -> float:
        """Exponential, with jitter from the clock: the program's ``random`` is not ours to draw from."""
        jitter = 0.5 + (monotonic() * 1e6 % 1000) / 1000
        return float(min(LONGEST_RETRY, FIRST_RETRY * 2 ** min(self._failures - 1, 10))) * jitter

    def give_up(self, reason: str) -> None:
        """Counts all that still waits as dropped, and what was sent without an answer so far."""
        if len(self):
            self.drop(reason, len(self))
        if self._in_flight:
            self.drop("sent, but not answered", self._in_flight)
        self._queue.clear()
        self._again = []

    def start_over(self) -> None:
        """In a forked child: what waits is the parent's, and so are its counts."""
        self._queue = deque()
        self._again = []
        self._in_flight = 0
        self._not_before, self._failures = 0.0, 0
        self.delivered, self.dropped = 0, {}
        self.destination.forget()
