"""What tracerun is to reach: one table, by row and metric."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.figures import BARE
from benchmarks.peers import UPSTREAM


@dataclass(frozen=True)
class Goal:
    """A bound of a figure.

    Attributes:
        bound: What it may be.
        at_least: Whether it has to be that, and may be more.
        at: Where the bound is a time, the figure beside it when it was set: on a slower machine both are larger.
        beside: Whose figure that is.
    """

    bound: float
    at_least: bool = False
    at: float | None = None
    beside: str = BARE

    def met(self, value: float, other: float | None = None) -> bool:
        """Whether a figure is within the bound.

        Args:
            value: The figure.
            other: That of whom it is held beside, in the same runs.
        """
        bound = self.bound if self.at is None or other is None else self.bound * other / self.at
        return value >= bound if self.at_least else value <= bound


GOALS: dict[tuple[str, str], Goal] = {
    ("pass", "cpu_ms"): Goal(2.2),
    ("pass", "peak_mib"): Goal(14),
    ("pass to receiver", "cpu_ms"): Goal(2.2),
    ("flask start", "cpu_ms"): Goal(1.3),
    ("fastapi start", "cpu_ms"): Goal(1.15),
    ("grpc start", "cpu_ms"): Goal(1.4),
    ("flask", "cpu_us"): Goal(70, at=65),
    ("fastapi", "cpu_us"): Goal(75, at=65),
    ("grpc", "cpu_us"): Goal(130, at=185),
    ("unsampled", "cpu_us"): Goal(12, at=65),
    ("waitress", "requests_per_s"): Goal(0.75, at_least=True),
    ("uvicorn", "requests_per_s"): Goal(0.7, at_least=True),
    ("encode", "cpu_us"): Goal(9, at=68, beside=UPSTREAM.name),
    ("exit refused", "wall_s"): Goal(0.3),
    ("exit black hole", "wall_s"): Goal(2),
    ("memory", "growth_mib"): Goal(3),
}
