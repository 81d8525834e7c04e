"""What became of the spans, in one line for each destination, at the process's end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tracerun.agent import guard

if TYPE_CHECKING:
    from tracerun.export.lane import Lane

# Of each lane, what was told the last time: a process may come to its end more than once (a failed exec).
_told: dict[int, int] = {}


def tell(lanes: list[Lane], *, always: bool) -> None:
    """Says what was lost, if anything.

    Args:
        lanes: All of the process.
        always: Whether to say also that nothing was lost (``--report``).
    """
    for lane in lanes:
        count = lane.settled
        if _told.get(id(lane), 0) < count and (always or lane.dropped or lane.unknown):
            _told[id(lane)] = count
            guard.say(line(lane))


def line(lane: Lane) -> str:
    """Of so many spans, how many arrived, and why the others did not."""
    lost = lane.dropped
    parts = [f"{number} lost ({reason})" for reason, number in lost.items()]
    if lane.unknown:
        parts.append(f"{lane.unknown} sent without an answer")
    parts.insert(0, f"{lane.delivered} delivered")
    return f"of {lane.settled} spans for {lane.destination.where}: {', '.join(parts)}"
