"""The documentation cannot go stale: what can be made from the code is compared with it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.docs import PAGES
from tracerun.settings import TABLE


@pytest.mark.parametrize("name", list(PAGES))
def test_pages_made_from_the_code_are_current(name: str) -> None:
    """``make docs`` would change nothing."""
    assert (ROOT / name).read_text(encoding="utf-8") == PAGES[name](), "run make docs"


def test_every_setting_has_help_and_one_meaning() -> None:
    """No variable belongs to two settings, and each setting that users have is explained."""
    variables = [name for setting in TABLE for name in setting.variables]
    assert len(variables) == len(set(variables))
    internal = {"TRACERUN_PID", "TRACERUN_TARGET", "TRACERUN_RUN", "TRACERUN_SITE"}
    assert {setting.variables[0] for setting in TABLE if not setting.help} == internal


def test_the_project_speaks_of_itself_alone() -> None:
    """No machine path and no registry's address stands in a tracked file."""
    import subprocess

    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    files = [ROOT / name for name in listed.stdout.splitlines()]
    if not files:
        pytest.skip("not a git checkout")
    strange = re.compile(r"(?<![\w.])/(?:root|work|farm|opt/pypi)/|//[\w.-]+/(?:simple|packages)/")
    found = [
        f"{path.name}: {match.group()}"
        for path in files
        if path.is_file() and path != Path(__file__)
        for match in strange.finditer(path.read_text(encoding="utf-8", errors="replace"))
    ]
    assert found == []
