"""Comparing versions by their leading numbers: all that a range of supported releases needs.

The target's process has no ``packaging``, and must not load it for this.
"""

from __future__ import annotations

# The oldest release of opentelemetry-sdk on which all of ours was run, the oldest of opentelemetry-api alone,
# with our SDK on it, and the first that is not to be expected to work. Semantic conventions are 0.(N+21) where
# API and SDK are 1.N.
OLDEST_SDK, OLDEST_API, OLDEST_CONVENTIONS, BELOW = "1.28", "1.43", "0.64", "2"
OLDEST_PYTHON = "3.10"


def as_numbers(version: str) -> tuple[int, ...]:
    """The leading numbers of a version: ``2.28.1rc1`` is ``(2, 28, 1)``."""
    numbers = []
    for part in version.split("."):
        digits = ""
        for character in part:
            if not character.isdigit():
                break
            digits += character
        if not digits:
            break
        numbers.append(int(digits))
        if digits != part:
            break
    return tuple(numbers)


def outside(version: str, minimum: str, below: str) -> bool:
    """Whether a version is older than the oldest, or not below the first that is too new (empty: none is)."""
    numbers = as_numbers(version)
    return numbers < as_numbers(minimum) or (bool(below) and numbers >= as_numbers(below))
