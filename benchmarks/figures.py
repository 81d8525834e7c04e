"""From samples to figures: rotation, ratios round by round, medians. Pure functions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from statistics import median
from typing import Literal, TypeAlias, TypeVar

T = TypeVar("T")

# What one run has shown, by metric; one run per round and peer. None stands for a run that failed.
Sample: TypeAlias = Mapping[str, float]
Samples: TypeAlias = Mapping[str, Sequence["Sample | None"]]

BARE = "bare"

# How a peer's samples become one figure:
#   value   the median of the metric itself
#   ratio   the median of its ratios to bare Python's run of the same round
#   added   the median of its differences to that
#   growth  the median of the ratios of two such differences: of a metric to the one that it is held against
Form: TypeAlias = Literal["value", "ratio", "added", "growth"]


def rotated(items: Sequence[T], turn: int) -> list[T]:
    """The items with another one first at each turn, so that none always runs in the wake of the same other."""
    start = turn % len(items)
    return [*items[start:], *items[:start]]


def figure(samples: Samples, peer: str, metric: str, form: Form, against: str = "") -> float | None:
    """A peer's figure of a row, or None where there is nothing to make it of.

    Args:
        samples: Of the row.
        peer: Whose.
        metric: The key in the samples.
        form: How it is made.
        against: The metric that a growth is held against.
    """
    own = samples.get(peer, ())
    if form == "value":
        values = [sample[metric] for sample in own if sample is not None and metric in sample]
        return median(values) if values else None
    of = _differences(against) if form == "growth" else _PER_ROUND[form]
    rounds = zip(own, samples.get(BARE, ()), strict=False)
    values = [
        value
        for sample, bare in rounds
        if sample is not None and bare is not None and metric in sample and metric in bare
        if (value := of(sample, bare, metric)) is not None
    ]
    return median(values) if values else None


_PerRound: TypeAlias = Callable[[Sample, Sample, str], "float | None"]


def _ratio(sample: Sample, bare: Sample, metric: str) -> float | None:
    return sample[metric] / bare[metric] if bare[metric] else None


def _added(sample: Sample, bare: Sample, metric: str) -> float | None:
    return sample[metric] - bare[metric]


def _differences(against: str) -> _PerRound:
    def growth(sample: Sample, bare: Sample, metric: str) -> float | None:
        if against not in sample or against not in bare or sample[against] <= bare[against]:
            return None
        return (sample[metric] - bare[metric]) / (sample[against] - bare[against])

    return growth


_PER_ROUND: dict[str, _PerRound] = {"ratio": _ratio, "added": _added}
