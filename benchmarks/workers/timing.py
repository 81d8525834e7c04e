"""How workers measure: batches of about equal length, CPU of all threads and wall time for each, the median batch.

A batch is some multiple of the second in which exporters send, so that what is done on their threads is in it.
"""

from __future__ import annotations

import argparse
import json
import threading
import time
from statistics import median
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

_CALIBRATION = 0.2


class Plan(NamedTuple):
    """How long a worker measures; or how many requests it makes, where something else is measured."""

    seconds: float
    batches: int
    requests: int = 0


class Worker(argparse.ArgumentParser):
    """The command line of a worker; every one has a plan."""

    def __init__(self, description: str | None) -> None:
        super().__init__(description=description)
        self.add_argument("--seconds", type=float, default=1.0, help="of one batch")
        self.add_argument("--batches", type=int, default=3)
        self.add_argument("--requests", type=int, default=0, help="make so many, and measure nothing")


def measured(batch: Callable[[int], object], plan: Plan, label: str = "") -> dict[str, float]:
    """What one request takes, in microseconds.

    Args:
        batch: Makes so many requests.
        plan: How long.
        label: Behind the names of the figures, where one worker gives several.
    """
    if plan.requests:
        batch(plan.requests)
        return {}
    size = _warmed_up(batch, plan.seconds)
    cpu, wall = [], []
    for _ in range(plan.batches):
        cpu_before, wall_before = time.process_time(), time.perf_counter()
        batch(size)
        cpu.append((time.process_time() - cpu_before) / size)
        wall.append((time.perf_counter() - wall_before) / size)
    requests = size * plan.batches
    return {f"cpu_us{label}": median(cpu) * 1e6, f"wall_us{label}": median(wall) * 1e6, f"requests{label}": requests}


def _warmed_up(batch: Callable[[int], object], seconds: float) -> int:
    """Runs until caches are filled; gives how many requests fill a batch's time."""
    size = 8
    batch(size)
    while True:
        began = time.perf_counter()
        batch(size)
        took = time.perf_counter() - began
        if took >= _CALIBRATION:
            return max(1, int(size * seconds / took))
        size *= 2


def in_threads(request: Callable[[], object], threads: int) -> Callable[[int], object]:
    """A batch that so many threads make together."""

    def some(count: int) -> None:
        for _ in range(count):
            request()

    def batch(count: int) -> None:
        running = [threading.Thread(target=some, args=(-(-count // threads),)) for _ in range(threads)]
        for thread in running:
            thread.start()
        for thread in running:
            thread.join()

    return some if threads == 1 else batch


def plan_of(options: argparse.Namespace) -> Plan:
    """The plan that the command line has."""
    return Plan(options.seconds, options.batches, options.requests)


def report(figures: dict[str, float]) -> None:
    """Says a worker's figures, which the bench reads."""
    print(json.dumps(figures), flush=True)
