"""Where the launcher's own pages are printed: in colour on a terminal only, and not where NO_COLOR is set."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.console import Console

from tracerun.environment import environment

if TYPE_CHECKING:
    from typing import Literal


def console(**options: Any) -> Console:
    """Standard output.

    Without colour there are no escape sequences at all: rich would keep bold and dim (no-color.org, rich's
    ``Console.no_color``). A terminal that is called dumb has none for rich either.

    Args:
        options: As for rich's.
    """
    system: Literal["auto"] | None = None if environment().get("NO_COLOR") else "auto"
    return Console(color_system=system, **options)
