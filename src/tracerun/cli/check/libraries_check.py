"""The libraries there: which are traced, and which are not though they could be."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tracerun.cli.check.finding import fault, ok, warning
from tracerun.cli.listing import DISABLED, FAILED, MISSING, TRACED, UNABLE, UNSUPPORTED, Listing
from tracerun.instrumentation.catalog import TRACES_ITSELF

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tracerun.cli.check.case import Case
    from tracerun.cli.check.finding import Finding
    from tracerun.cli.listing import Row


def check(case: Case) -> Iterator[Finding]:
    """One line for all that is traced, and one for each that is not."""
    if case.target is None or case.is_too_old or case.settings.off:
        return
    listing = Listing(case.target, case.settings, "", case.sources)
    if listing.unable:  # the agent has said it
        return
    rows = listing.rows()
    traced = [row.name for row in rows if row.state == TRACED and row.reason != TRACES_ITSELF]
    if traced:
        yield ok("libraries", f"traced: {', '.join(traced)}")
    else:
        whys = sorted({row.reason for row in rows if row.state == DISABLED})
        what = f"no library is traced ({', '.join(whys) or 'none is installed'}); spans of the program's own are"
        made = warning if case.settings.root_span else fault
        yield made("nothing-to-trace", what, "leave out --only and --disable, or name installed libraries in --only")
    for row in rows:
        yield from _of_row(row)


def _of_row(row: Row) -> Iterator[Finding]:
    if row.state == MISSING:
        what = f"{row.name} {row.installed} is installed, its instrumentation is not"
        yield warning("missing-instrumentation", what, row.fix)
    elif row.state == UNSUPPORTED:
        yield warning("unsupported-version", f"{row.name} is not traced: {row.reason}", f"install {row.supported}")
    elif row.state in (FAILED, UNABLE):
        yield warning("untraceable-library", f"{row.name} is not traced: {row.reason}")
