"""A finding: one line, with the fix."""

from __future__ import annotations

from typing import NamedTuple

OK, WARNING, FAULT = "ok", "warning", "fault"
LEVELS = (OK, WARNING, FAULT)


class Finding(NamedTuple):
    """What one check has found.

    Attributes:
        level: ``fault`` where no trace would arrive, or not where and as it is meant to; ``warning``; ``ok``.
        slug: Its name; a heading in docs/check.md.
        what: What was found.
        fix: What to do about it, with the exact value to set; empty where there is nothing to do.
    """

    level: str
    slug: str
    what: str
    fix: str = ""


def ok(slug: str, what: str) -> Finding:
    """As it should be."""
    return Finding(OK, slug, what)


def warning(slug: str, what: str, fix: str = "") -> Finding:
    """Traces arrive all the same."""
    return Finding(WARNING, slug, what, fix)


def fault(slug: str, what: str, fix: str) -> Finding:
    """No trace would arrive, or not where and as it is meant to."""
    return Finding(FAULT, slug, what, fix)
