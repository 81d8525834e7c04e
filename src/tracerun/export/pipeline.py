"""From an ended span to its destinations: one native thread, which starts with the first span.

The thread and its locks are the interpreter's own (``agent.threads``), so gevent and eventlet neither stall it
nor see it; it is not in ``threading.enumerate()``, logs nothing, and traces
nothing. It is parked before a fork and started after it, so that Python's warning about forks with threads
is never ours.
"""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

from tracerun.agent import dispositions, exits, guard, shadows
from tracerun.agent.threads import RLock, allocate_lock, get_native_id, monotonic, start_thread
from tracerun.export import destinations, report
from tracerun.export.lane import Lane, size_of
from tracerun.export.status import StatusFile

if TYPE_CHECKING:
    from _thread import LockType

    from opentelemetry.sdk.trace import ReadableSpan

    from tracerun.export.processor import Processor
    from tracerun.settings import Settings

# How long a fork waits for a send that is under way; the thread then lives through the fork in the parent.
PARK_TIMEOUT = 0.2
# How often a thread that collects looks for a signal, in seconds.
WATCH = 0.25
SHORT = 0.01
# At exit a receiver that cannot be reached is asked so often, and not for the whole budget.
EXIT_TRIES, EXIT_PAUSE = 3, 0.05


_GUARD = guard.guarded("queueing a span")


class Pipeline:
    """The lanes of all destinations and the thread that serves them.

    Attributes:
        settings: Of this process.
        own: In a forked process, the ids of the open spans that it has started; else none.
        service: The service's name.
        sampled: How many sampled spans have begun, where a report asks for that.
        processor: The SDK's way to it, where the SDK is loaded (``export.processor``).
        status: The file that says how it goes.
    """

    service = ""

    def __init__(self, settings: Settings, lanes: list[Lane], delay: float) -> None:
        self.settings = settings
        self.lanes = lanes
        self.delay = delay if settings.schedule_delay is None else settings.schedule_delay
        self.own: set[int] | None = None
        self._process = os.getpid()
        self.processor: Processor | None = None
        self.status = StatusFile(self)
        self._reset()

    def _reset(self) -> None:
        self.sampled = 0
        self._running = False
        self._task = ""  # where Linux shows the thread
        self._parked = False
        self._watching = False
        self._deadline: float | None = None
        self._start_lock = allocate_lock()
        self._flushing = RLock()  # a signal may end the process in the middle of the main thread's own flush
        # Used as events: held while there is nothing to do, released to wake up.
        self._wake, self._idle = allocate_lock(), allocate_lock()
        self._wake.acquire()
        self._idle.acquire()
        # Never released: acquiring it with a timeout is a sleep that no library has replaced.
        self._pause_lock = allocate_lock()
        self._pause_lock.acquire()

    def take(self, span: ReadableSpan) -> None:
        """Queues a span; not one that was open when this process was forked: that is the parent's to end."""
        own = self.own
        try:  # the program's own spans end here too, outside of any wrapper of ours
            if own is not None:
                span_id = span.context.span_id
                if span_id not in own:
                    return
                own.discard(span_id)
            self.add(span)
        except Exception as error:
            if not _GUARD.swallows(error):
                raise

    def add(self, span: ReadableSpan) -> None:
        """Queues one ended span. Never waits: a full queue drops it and counts it."""
        size = size_of(span)
        for lane in self.lanes:
            waiting = lane.add(span, size)
            # The first one wakes the thread, which then collects for the delay; a full batch cuts that short.
            if waiting == 0:
                dispositions.hold()
            if waiting in (0, lane.batch_size):
                _release(self._wake)
        if not self._running and not self._parked:
            self._start()

    def watch(self) -> None:
        """Has the thread look for signals also while no span waits: one is open that a signal is to end."""
        self._watching = True
        self._start()

    def _start(self) -> None:
        with self._start_lock:
            if self._running:
                return
            self._running = True
            try:
                start_thread(self._serve)
            except RuntimeError:  # no threads any more at interpreter shutdown: the exit sends what is left
                self._running = False

    def _serve(self) -> None:
        """The thread: a round whenever the delay has passed or somebody wakes it."""
        self._task = f"/proc/self/task/{get_native_id()}"
        try:
            with guard.guarded("the export thread"):
                destinations.suppress_tracing()
                for lane in self.lanes:
                    # What is wrong shows, and is said, at the first send.
                    with contextlib.suppress(Exception), shadows.out_of_the_way():
                        getattr(lane.destination, "prepare", _nothing)()
                parked, served = False, None
                while not parked:
                    # Nothing more under this deadline: whoever has set it goes on now.
                    while served is not None and self._deadline == served:
                        self._pause_lock.acquire(timeout=SHORT)
                    if not self._waiting() and not self._parked:
                        self._wake.acquire(timeout=WATCH if self._watching else self.status.due())
                    if self._deadline is None and not self._parked:
                        self._collect()
                    # Once more before a fork: what waits then may have to wait for the next span.
                    deadline, parked = self._deadline, self._parked
                    self._round(deadline, before_fork=parked)
                    self._see_to_signals()
                    if self._deadline is None:  # before a fork too: after it there may be no other span for long
                        with guard.guarded("the status file"):
                            self.status.keep()
                    if deadline is not None:
                        served = deadline
                        _release(self._idle)
        finally:
            self._running = False
            _release(self._idle)

    def _collect(self) -> None:
        """Waits for the delay to pass, a full batch, a flush, or a signal that the main thread does not see to."""
        until = monotonic() + self._pause()
        while (left := until - monotonic()) > 0 and not dispositions.came():
            # A span that came while others were sent has woken the thread too: no reason to send it alone.
            if self._wake.acquire(timeout=min(left, WATCH)) and self._is_urgent():
                return

    def _is_urgent(self) -> bool:
        """Whether what waits is not to wait for the delay: a flush, a fork, a full batch."""
        return self._deadline is not None or self._parked or any(lane.is_full() for lane in self.lanes)

    def _see_to_signals(self) -> None:
        """While spans wait signals come to Python, where only the main thread handles them; it may be in C."""
        number = dispositions.came()
        if number and self._deadline is None:
            exits.end_run()
            self._round(monotonic() + self.settings.exit_timeout)
            exits.take_over(number)
            dispositions.hold_again()
        if self.settings.report or any(lane.dropped or lane.unknown for lane in self.lanes):
            self._watching = True  # a signal is to find us: there is something to be said at the end
            dispositions.pin()
        elif not self._waiting():
            dispositions.let_go()
            if self._waiting():  # since then
                dispositions.hold()

    def _pause(self) -> float:
        """How long to collect: the delay, or longer where all that waits has to wait for a retry."""
        return max(self.delay, min((lane.due() for lane in self.lanes if len(lane)), default=0.0))

    def _round(self, deadline: float | None, *, before_fork: bool = False) -> None:
        """Sends until every lane is empty or has to wait for a retry; at exit that wait is short, and seldom."""
        for lane in self.lanes:
            with lane.busy:
                self._serve_lane(lane, deadline, before_fork=before_fork)

    def _serve_lane(self, lane: Lane, deadline: float | None, *, before_fork: bool = False) -> None:
        tries = 0
        while (before_fork or not self._parked) and (deadline is None or monotonic() < deadline):
            step = lane.step(deadline)
            if step is None:
                break
            batch, outcome = step
            with guard.guarded("a line about the export"):
                destinations.tell(lane, outcome)
                destinations.tell_of_files(lane, batch)
            if deadline is None and not before_fork and not lane.is_full():
                break  # what has come meanwhile is collected again
            if outcome.retry_after is not None and not outcome.too_large:
                tries += 1
                if deadline is None or tries == EXIT_TRIES:
                    break
                self._pause_lock.acquire(timeout=max(0.0, min(EXIT_PAUSE, deadline - monotonic())))

    def flush(self, budget: float) -> bool:
        """Sends all that waits within a budget of seconds, on the thread or, where there is none, here.

        One at a time: a second thread's waits for the first, and finds little left to do.
        """
        deadline = monotonic() + budget
        if not self._flushing.acquire(timeout=max(0.0, budget)):
            return not self._waiting()
        try:
            return self._flush(deadline)
        finally:
            self._flushing.release()

    def _flush(self, deadline: float) -> bool:
        self._deadline = deadline
        try:
            self._flush_here()
            if self._running:
                # Set by the next round that begins under this deadline, not by one that is under way.
                self._idle.acquire(blocking=False)
                _release(self._wake)
                while self._running and monotonic() < deadline:
                    if self._idle.acquire(timeout=max(0.0, min(0.1, deadline - monotonic()))):
                        break
            elif self._waiting():
                with guard.guarded("the last export"):
                    destinations.suppress_tracing()
                    self._round(deadline)
            return not self._waiting()
        finally:
            self._deadline = None
            _release(self._wake)

    def _flush_here(self) -> None:
        """What stays on this machine need not wait for the thread, which may wait for a receiver."""
        for lane in self.lanes:
            if lane.is_local and len(lane) and lane.busy.acquire(timeout=SHORT):
                try:
                    self._serve_lane(lane, self._deadline)
                finally:
                    lane.busy.release()

    @property
    def ended(self) -> int:
        """How many sampled spans have ended."""
        return max((lane.settled + len(lane) for lane in self.lanes), default=0)

    def _waiting(self) -> bool:
        return any(len(lane) for lane in self.lanes)

    def finish(self) -> None:
        """The end of the process: what the exit budget allows is sent, the rest is counted as dropped."""
        self.status.hold_off(self.settings.exit_timeout)
        self.flush(self.settings.exit_timeout)
        for lane in self.lanes:
            lane.give_up("exit budget")
            # While a send is under way the connection is the other thread's, and ends with the process.
            if lane.busy.acquire(blocking=False):
                with guard.guarded("closing a destination"):
                    lane.destination.close()
                lane.busy.release()
        # A native thread that asks for the interpreter while that ends is ended by the C library, which may need a
        # file for it; after an exec that fails the next span starts another one.
        self.park()
        self.resume()
        with guard.guarded("the line about lost spans"):
            report.tell(self)
        with guard.guarded("the status file"):
            self.status.end()

    def park(self) -> None:
        """Before a fork: the thread sends what waits and ends, or, where that takes long, lives through it."""
        self._parked = True
        _release(self._wake)
        until = monotonic() + PARK_TIMEOUT
        while self._running and monotonic() < until:
            self._idle.acquire(timeout=0.01)
        # Python counts the system's threads: this one has to be gone, not only to have nothing more to do.
        while not self._running and os.path.exists(self._task) and monotonic() < until:
            self._pause_lock.acquire(timeout=0.001)

    def resume(self) -> None:
        """After a fork, in the parent: the next span starts the thread; Python 3.13 counts those started here."""
        self._parked = False

    def start_over(self) -> None:
        """After a fork, in the child: nothing of the parent's is sent, no connection is shared.

        Once, whoever is first to notice: a span of this process may wait by the time that another one does.
        """
        if self._process == os.getpid():
            return
        self._process = os.getpid()
        guard.debug("process {} is forked: what it exports is its own spans", os.getpid())
        self.own = set()
        self._reset()
        self.status.forget()
        report.start_over()
        dispositions.start_over()
        for lane in self.lanes:
            lane.start_over()


def _release(lock: LockType) -> None:
    """Sets an event; setting it again is nothing."""
    try:
        lock.release()
    except RuntimeError:
        pass


def _nothing() -> None:
    pass


def start(settings: Settings, *, is_target: bool) -> Pipeline:
    """The pipeline of this process, for the destinations that the settings name; tied to forks."""
    lanes = [
        Lane(
            destination,
            capacity=settings.max_queue_size,
            batch_size=settings.max_export_batch_size,
            most_bytes=settings.max_queue_bytes,
        )
        for destination in destinations.chosen(settings, is_target=is_target)
    ]
    lanes.sort(key=lambda lane: not lane.is_local)  # no file waits for a receiver
    pipeline = Pipeline(settings, lanes, destinations.delay(settings))
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(before=pipeline.park, after_in_parent=pipeline.resume, after_in_child=pipeline.start_over)
    return pipeline
