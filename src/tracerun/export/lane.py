"""One destination's queue: what waits, what is to be sent again, and what became of every span.

``add`` is all that the program's threads ever call; it appends and never waits.
"""

from __future__ import annotations

from collections import deque
from operator import length_hint
from typing import TYPE_CHECKING, Any, Protocol

from tracerun.agent.threads import allocate_lock, monotonic

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from opentelemetry.sdk.trace import ReadableSpan

FIRST_RETRY, LONGEST_RETRY = 0.5, 30.0
# Spans in a request, and in one where many more wait: a slow receiver is slow per request.
BATCH, LARGEST_BATCH = 512, 8192
# What an SDK's span takes without its texts, by measurement.
EMPTY_SPAN = 2500


class Outcome:
    """What became of a batch.

    Attributes:
        delivered: How many spans the receiver took.
        dropped: How many it refused for good, by reason.
        retry_after: Seconds after which the whole batch is to be sent again; None where it is settled.
        too_large: Whether the batch is to be sent again in halves.
        unanswered: Whether the batch was sent and the answer is missing: it may have arrived.
        why: What went wrong, for the line on stderr; empty where nothing did.
    """

    __slots__ = ("delivered", "dropped", "retry_after", "too_large", "unanswered", "why")

    def __init__(
        self,
        delivered: int = 0,
        *,
        dropped: dict[str, int] | None = None,
        retry_after: float | None = None,
        too_large: bool = False,
        unanswered: bool = False,
        why: str = "",
    ) -> None:
        self.delivered = delivered
        self.dropped = dropped or {}
        self.retry_after = retry_after
        self.too_large = too_large
        self.unanswered = unanswered
        self.why = why

    def __str__(self) -> str:
        """For ``--debug``."""
        if self.retry_after is not None:
            return f"to be sent again: {self.why}"
        lost = "".join(f", {count} lost ({reason})" for reason, count in self.dropped.items())
        return f"{self.delivered} delivered{lost}{self.why and f': {self.why}'}"


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

    Every span that was added is in the end in one of these: delivered, dropped (by reason), or unknown.

    Attributes:
        destination: Where they go.
        is_local: Whether that is on this machine, and sending short.
        delivered: How many have arrived.
        unknown: How many were sent at the process's end, without an answer in time.
    """

    def __init__(self, destination: Destination, *, capacity: int, batch_size: int | None, most_bytes: int) -> None:
        self.destination = destination
        self.capacity = capacity
        self.batch_size = batch_size or BATCH
        # A size that the user has set is kept; else a long queue goes in larger batches.
        self._largest_batch = batch_size or LARGEST_BATCH
        self.most_bytes = most_bytes
        self.is_local = getattr(destination, "is_local", False)
        self._reset()

    def _reset(self) -> None:
        # Held while a batch is sent.
        self.busy = allocate_lock()
        self.delivered = self.unknown = 0
        self._dropped: dict[str, int] = {}
        # Counted apart: these come from the program's threads, where nothing but such an addition is atomic.
        self._full = 0
        self._bytes = 0
        self._queue: deque[tuple[ReadableSpan, int]] = deque()
        self._again: deque[list[ReadableSpan]] = deque()
        self._in_flight = self._unanswered = 0
        self._not_before, self._failures = 0.0, 0

    def add(self, span: ReadableSpan, size: int) -> int:
        """Takes a span, or counts it as dropped where the queue is full; gives how many wait.

        Args:
            span: An ended one.
            size: About how many bytes of memory it takes.
        """
        waiting = len(self._queue)
        if waiting >= self.capacity or self._bytes > self.most_bytes:
            self._full += 1
        else:
            self._bytes += size
            self._queue.append((span, size))
        return waiting

    def drop(self, reason: str, count: int) -> None:
        """Counts spans that are lost; on the export thread, or after it."""
        self._dropped[reason] = self._dropped.get(reason, 0) + count

    @property
    def dropped(self) -> dict[str, int]:
        """How many spans are lost, by reason."""
        return {"queue full": self._full, **self._dropped} if self._full else dict(self._dropped)

    @property
    def settled(self) -> int:
        """How many spans were added, less those that still wait."""
        return self.delivered + self.unknown + self._full + sum(self._dropped.values())

    def __len__(self) -> int:
        return len(self._queue) + sum(map(len, self._again))

    def due(self) -> float:
        """Seconds until something can be sent: 0 now."""
        return max(0.0, self._not_before - monotonic())

    def is_full(self) -> bool:
        """Whether a whole batch waits, or one that is tried again, and can be sent now."""
        return (bool(self._again) or len(self._queue) >= self.batch_size) and not self.due()

    def step(self, deadline: float | None = None) -> tuple[list[ReadableSpan], Outcome] | None:
        """Sends one batch, if there is one and it is time; gives it, and what became of it."""
        if not len(self) or (deadline is None and self.due()):
            return None
        batch = self._again.popleft() if self._again else self._next_batch()
        self._in_flight = len(batch)
        try:
            outcome = self.destination.send(batch, deadline)
        except Exception as error:  # noqa: BLE001 - a destination that fails keeps its spans for another try
            outcome = Outcome(retry_after=0.0, why=f"{type(error).__name__}: {error}"[:200])
        if not self._in_flight:  # the process was to end meanwhile, and they are counted
            return None
        self._in_flight = 0
        self._unanswered = len(batch) if outcome.unanswered else 0
        self.delivered += outcome.delivered
        for reason, count in outcome.dropped.items():
            self.drop(reason, count)
        if outcome.too_large:
            self._split(batch)
        elif outcome.retry_after is not None:
            self._again.appendleft(batch)
            self._failures += 1
            self._not_before = monotonic() + (outcome.retry_after or self._backoff())
            return batch, outcome
        self._failures, self._not_before = 0, 0.0
        return batch, outcome

    def _next_batch(self) -> list[ReadableSpan]:
        waiting = len(self._queue)
        count = self.batch_size if waiting <= 2 * self.batch_size else self._largest_batch
        batch = []
        for _ in range(min(count, waiting)):
            span, size = self._queue.popleft()
            self._bytes -= size
            batch.append(span)
        return batch

    def _split(self, batch: list[ReadableSpan]) -> None:
        """A batch that is too large goes in halves from now on; a span that is too large alone is lost."""
        half = len(batch) // 2
        self._largest_batch = self.batch_size = max(1, min(self.batch_size, half))
        if half:
            self._again.appendleft(batch[half:])
            self._again.appendleft(batch[:half])
        else:
            self.drop("too large for the receiver", 1)

    def _backoff(self) -> float:
        """Exponential, with jitter from the clock: the program's ``random`` is not ours to draw from."""
        jitter = 0.5 + (monotonic() * 1e6 % 1000) / 1000
        return float(min(LONGEST_RETRY, FIRST_RETRY * 2 ** min(self._failures - 1, 10))) * jitter

    def give_up(self, reason: str) -> None:
        """Counts all that still waits as dropped; what is under way at the moment may arrive, or not."""
        waiting = len(self)
        if waiting > self._unanswered:
            self.drop(reason, waiting - self._unanswered)
        self.unknown += self._unanswered + self._in_flight
        self._in_flight = self._unanswered = self._bytes = 0
        self._queue.clear()
        self._again.clear()

    def start_over(self) -> None:
        """In a forked child: what waits is the parent's, and so are its counts."""
        self._reset()
        self.destination.forget()


def size_of(span: ReadableSpan) -> int:
    """About how many bytes of memory an ended span takes: what an empty one does, and its texts."""
    try:
        attributes: Any = span._attributes
        # Of a lean span: texts, numbers and truth values alone.
        if type(attributes) is dict and hasattr(span, "tracerun_fields"):
            size = EMPTY_SPAN + 64 * len(attributes) + sum(map(length_hint, attributes.values()))
        else:
            size = EMPTY_SPAN + _size_of_values(getattr(attributes, "_dict", attributes))
        for event in span._events:
            size += EMPTY_SPAN // 4 + _size_of_values(event.attributes or {})
    except AttributeError:  # a program's own kind of span
        return EMPTY_SPAN
    return size


def _size_of_values(attributes: Mapping[str, object]) -> int:
    size = 64 * len(attributes)
    for value in attributes.values():
        kind = type(value)
        if kind is str or kind is bytes:
            size += len(value)  # type: ignore[arg-type]
        elif kind is tuple:
            size += 64 * len(value)  # type: ignore[arg-type]
    return size
