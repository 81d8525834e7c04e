"""Makes the pages that follow from the code: ``python -m tests.docs`` writes them, a test compares them."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from typing import Any

from tests.conftest import ROOT
from tests.environments import pinned
from tests.results import COLUMNS, NOTHING, RESULTS, has_none
from tests.side_by_side import COMPARED_ON, LIBRARIES, RELEASE, SDK, Difference
from tests.side_by_side_differences import DIFFERENCES
from tracerun.instrumentation.catalog import CATALOG, Library
from tracerun.settings import TABLE, Setting

SETTINGS_HEAD = """# Settings

Made from `src/tracerun/settings.py` by `make docs`. An option wins over a variable, a variable over `[tool.tracerun]`
in the nearest pyproject.toml, that over the default. Of several variables the first that is set counts. A wrong option
is refused; a wrong variable is named in one line and replaced by the default, unless `--strict` is given.

| option and pyproject key | variables | meaning |
| --- | --- | --- |
"""

_DASHES = "\n".join(f"- {row.column} of {row.whose}: {row.reason}." for row in NOTHING)

LIBRARIES_HEAD = f"""# Libraries

Made from `src/tracerun/instrumentation/catalog.py` by `make docs`; the columns with marks from the results of the tests
(`make results`): a mark stands where a test of that library passed. What opentelemetry-instrument does with the same
libraries, as far as it was run, is in [side-by-side.md](side-by-side.md). A dash says that there is nothing to show:

{_DASHES}

| name for `--only` and `--disable` | side | supported | {" | ".join(COLUMNS)} | note |
| --- | --- | --- |{" --- |" * len(COLUMNS)} --- |
"""

SIDE_BY_SIDE_HEAD = f"""# Side by side with opentelemetry-instrument

Made from `tests/side_by_side_differences.py` by `make docs`. Each library's program is run once under
`tracerun --only NAME` and once under `opentelemetry-instrument` with that instrumentation alone, both with
`OTEL_SEMCONV_STABILITY_OPT_IN=http` and an OTLP receiver, and is asked the same: a success, a query, a POST, 404, 403,
500, a method that nobody knows, a secret in the query, a redirect, a refused connection; with a caller's `traceparent`
and without. Compared are the number of spans, name, kind, parent, status and its description, the exception event,
each attribute with its value, and the `traceparent` that a client sends. All is the same but for this list:
`tests/test_side_by_side.py` fails for a difference that is not in it, and for one in it that does not occur. In values
`*`, `[AB]` and `[!A]` are wildcards, as in a shell.

Upstream's packages are {RELEASE} on SDK {SDK} and Python {COMPARED_ON}; the libraries:
{", ".join(pinned(*LIBRARIES)).replace("==", " ")}.

| library | what | tracerun | upstream | why |
| --- | --- | --- | --- | --- |
"""


def settings_page() -> str:
    """docs/settings.md."""
    return SETTINGS_HEAD + "".join(_settings_row(setting) for setting in TABLE if setting.help)


def _settings_row(setting: Setting[Any]) -> str:
    words = f"{setting.flag.replace(',', ', ')} {setting.metavar}".strip().replace("|", "&#124;")
    option = f"`{words}`" if words else ""
    variables = ", ".join(f"`{name}`" for name in setting.variables)
    return f"| {option} | {variables} | {setting.help}{' Never shown.' if setting.secret else ''} |\n"


def libraries_page() -> str:
    """docs/libraries.md."""
    shown = json.loads(RESULTS.read_text(encoding="utf-8"))
    return LIBRARIES_HEAD + "".join(_library_row(library, shown.get(library.name, ())) for library in CATALOG)


def _library_row(library: Library, shown: list[str]) -> str:
    supported = f"{library.distribution} {library.supported}".strip() or "Python"
    marks = " | ".join("-" if has_none(library, column) else "x" if column in shown else "" for column in COLUMNS)
    return f"| `{library.name}` | {library.kind} | {supported} | {marks} | {library.note or library.untouched} |\n"


def side_by_side_page() -> str:
    """docs/side-by-side.md."""
    return SIDE_BY_SIDE_HEAD + "".join(map(_difference_row, DIFFERENCES))


def _difference_row(difference: Difference) -> str:
    requests = f" ({', '.join(difference.requests)})" if difference.requests else ""
    ours, theirs = (_value(value) for value in (difference.ours, difference.theirs))
    return (
        f"| {', '.join(difference.sides)} | {difference.fact}{requests} | {ours} | {theirs} | {difference.reason} |\n"
    )


def _value(pattern: str | None) -> str:
    return "none" if pattern is None else f"`{pattern}`" if pattern else "empty"


def readme() -> str:
    """README.md with the help as the command prints it."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    shown = subprocess.run([sys.executable, "-m", "tracerun", "--help"], capture_output=True, text=True, check=True)
    return re.sub(r"```\nUsage: .*?\n```", lambda _: f"```\n{shown.stdout.strip()}\n```", text, flags=re.DOTALL)


PAGES = {
    "docs/settings.md": settings_page,
    "docs/libraries.md": libraries_page,
    "docs/side-by-side.md": side_by_side_page,
    "README.md": readme,
}

if __name__ == "__main__":
    for name, page in PAGES.items():
        (ROOT / name).write_text(page(), encoding="utf-8")
