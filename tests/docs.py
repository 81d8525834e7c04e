"""Makes the pages that follow from the code: ``python -m tests.docs`` writes them, a test compares them."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from typing import Any

from tests.conftest import ROOT
from tests.results import COLUMNS, RESULTS
from tracerun.instrumentation.catalog import CATALOG, Library
from tracerun.settings import TABLE, Setting

SETTINGS_HEAD = """# Settings

Made from `src/tracerun/settings.py` by `make docs`. An option wins over a variable, a variable over `[tool.tracerun]`
in the nearest pyproject.toml, that over the default. Of several variables the first that is set counts. A wrong option
is refused; a wrong variable is named in one line and replaced by the default, unless `--strict` is given.

| option and pyproject key | variables | meaning |
| --- | --- | --- |
"""

LIBRARIES_HEAD = f"""# Libraries

Made from `src/tracerun/instrumentation/catalog.py` by `make docs`; the columns with marks from the results of the tests
(`make results`): a mark stands where a test of that library passed.

| name for `--only` and `--disable` | side | supported | {" | ".join(COLUMNS)} | note |
| --- | --- | --- |{" --- |" * len(COLUMNS)} --- |
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
    marks = " | ".join("x" if column in shown else "" for column in COLUMNS)
    return f"| `{library.name}` | {library.kind} | {supported} | {marks} | {library.note or library.untouched} |\n"


def readme() -> str:
    """README.md with the help as the command prints it."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    shown = subprocess.run([sys.executable, "-m", "tracerun", "--help"], capture_output=True, text=True, check=True)
    return re.sub(r"```\nUsage: .*?\n```", lambda _: f"```\n{shown.stdout.strip()}\n```", text, flags=re.DOTALL)


PAGES = {"docs/settings.md": settings_page, "docs/libraries.md": libraries_page, "README.md": readme}

if __name__ == "__main__":
    for name, page in PAGES.items():
        (ROOT / name).write_text(page(), encoding="utf-8")
