"""Span files as the destination: whether the folder can be written, and whether there is room."""

from __future__ import annotations

import os
import shutil
import tempfile
from typing import TYPE_CHECKING

from tracerun.cli.check.finding import fault, ok, warning

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tracerun.cli.check.finding import Finding

# All span files together take at most so much (`export/span_files.py`); below the other, not one batch.
ALL_FILES, ONE_BATCH = 64 * 1024 * 1024, 1024 * 1024
ELSEWHERE = "set TRACERUN_DIR to a folder that is, such as TRACERUN_DIR=/var/tmp/tracerun"


def check(folder: str) -> Iterator[Finding]:
    """The folder as it is: nothing is made there, and what is written for the proof is gone at once."""
    if not folder:
        yield fault(
            "folder", "spans would go to files, but no home folder is known", "set TRACERUN_DIR=/var/tmp/tracerun"
        )
        return
    there = _nearest(folder)
    try:
        with tempfile.TemporaryFile(dir=there) as file:
            file.write(b"tracerun --check")
    except OSError as error:
        yield fault("folder", f"span files cannot be written in {folder}: {error.strerror}", ELSEWHERE)
        return
    free = shutil.disk_usage(there).free
    if free < ONE_BATCH:
        yield fault(
            "disk-full", f"there is no room for span files in {folder}", ELSEWHERE.replace("that is", "with room")
        )
    elif free < ALL_FILES:
        yield warning(
            "disk-full", f"only {free >> 20} MB are free for span files in {folder}, which take up to 64", "make room"
        )
    yield ok("files", f"spans go to files in {folder}; tracerun --show draws the last trace")


def _nearest(folder: str) -> str:
    """The folder, or the one that is there above it."""
    while not os.path.lexists(folder) and os.path.dirname(folder) != folder:
        folder = os.path.dirname(folder)
    return folder
