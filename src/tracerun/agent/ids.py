"""Ids of traces and spans.

Source: OpenTelemetry specification, trace SDK, "Id generators".
"""

from __future__ import annotations

import os
from random import Random
from typing import TYPE_CHECKING

from tracerun.agent.forkmark import mark
from tracerun.agent.threads import RLock

if TYPE_CHECKING:
    from collections.abc import Callable


class PrivateIdGenerator:
    """Random ids from a generator of our own: a program that seeds ``random`` must draw what it draws plain.

    An ``IdGenerator`` of the SDK, once that is there; nothing of the SDK is needed for it.
    """

    def __init__(self) -> None:
        self.on_unseen_fork: Callable[[], None] = self.reseed
        # uWSGI forks in C, past os.register_at_fork: the first span of such a child is where it shows.
        self._mark = mark()
        self._lock = RLock()
        self.reseed()

    def generate_span_id(self) -> int:
        """64 random bits, never all zero."""
        if not self._mark[0]:
            self._see_fork()
        return self._bits(64) or 1

    def generate_trace_id(self) -> int:
        """128 random bits, never all zero."""
        if not self._mark[0]:
            self._see_fork()
        return self._bits(128) or 1

    def generate_id_bits(self) -> int:
        """192 random bits: a trace id above a span id, either of which may be all zero."""
        if not self._mark[0]:
            self._see_fork()
        return self._bits(192)

    def is_trace_id_random(self) -> bool:
        """False: receivers that know only version 00's sampled flag reject the W3C *random* flag."""
        return False

    def _see_fork(self) -> None:
        with self._lock:  # the child may have several threads by now
            if not self._mark[0]:
                self.on_unseen_fork()

    def reseed(self) -> None:
        """At the start and after a fork: two processes must not draw the same ids."""
        self._bits = Random(os.urandom(16)).getrandbits  # noqa: S311 - ids, not secrets
        self._mark[0] = 1  # last: whoever sees it draws the new ids


class CountingIdGenerator(PrivateIdGenerator):
    """Knows how many spans this process has begun, sampled or not: each asks for an id."""

    started = 0

    def generate_span_id(self) -> int:
        """The same, counted."""
        self.started += 1
        return super().generate_span_id()

    def generate_id_bits(self) -> int:
        """The same, counted."""
        self.started += 1
        return super().generate_id_bits()

    def reseed(self) -> None:
        """The same; a forked process has begun none."""
        self.started = 0
        super().reseed()
