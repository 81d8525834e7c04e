"""The regular expressions that settings hold: those that are none are said, and left out."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


def any_of(variable: str, expressions: Iterable[str], problems: list[str], flags: int = 0) -> re.Pattern[str] | None:
    """One pattern that matches what any of the expressions does; none where there is no right one.

    Args:
        variable: Where they stand, for the line about a wrong one.
        expressions: As they were written.
        problems: Gets those lines.
        flags: Of all of them.
    """
    right = []
    for expression in expressions:
        try:
            re.compile(expression)
        except re.error as wrong:
            problems.append(
                f"{variable}={expression}: {wrong}; allowed: regular expressions with commas between them; left out"
            )
        else:
            right.append(f"(?:{expression})")
    return re.compile("|".join(right), flags) if right else None
