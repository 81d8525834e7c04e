"""What the bench has found: in benchmarks/results.json, from which the tables and docs/benchmarks.md are made."""

from __future__ import annotations

import json
import os
import platform
import re
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks import instructions, load
from benchmarks.environments import ROOT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from benchmarks.figures import Sample

FILE = ROOT / "benchmarks" / "results.json"
_DIGITS = 5


@dataclass
class Results:
    """Everything that is kept of runs of the bench.

    Attributes:
        machine: Where, with what.
        versions: The releases of each peer's environment.
        rows: By row: when it was measured, and the samples of each peer, one for each round.
    """

    machine: dict[str, str] = field(default_factory=dict)
    versions: dict[str, dict[str, str]] = field(default_factory=dict)
    rows: dict[str, dict[str, Any]] = field(default_factory=dict)

    def keep(self, row: str, samples: Mapping[str, list[Sample | None]], failures: Mapping[str, str]) -> None:
        """Puts a row's samples in the place of its former ones."""
        rounded = {
            peer: [sample and {metric: _rounded(value) for metric, value in sample.items()} for sample in taken]
            for peer, taken in samples.items()
        }
        today = datetime.now(timezone.utc).date().isoformat()
        self.rows[row] = {"date": today, "load": round(os.getloadavg()[0], 2), "samples": rounded}
        if failures:
            self.rows[row]["failures"] = dict(failures)

    def samples(self, row: str) -> Mapping[str, list[Sample | None]]:
        """The samples of a row; none where it was not measured."""
        found: Mapping[str, list[Sample | None]] = self.rows.get(row, {}).get("samples", {})
        return found


def _rounded(value: float) -> float:
    return float(f"{value:.{_DIGITS}g}")


def read(file: Path = FILE) -> Results:
    """What is kept in a file."""
    return Results(**json.loads(file.read_text(encoding="utf-8"))) if file.exists() else Results()


def write(results: Results, file: Path = FILE) -> None:
    """Keeps results: a line for each peer's samples, so that a difference can be read."""
    text = json.dumps(vars(results), indent=1, ensure_ascii=False)
    samples = re.compile(r"\{\n\s+(\"[^{}\[\]]*?)\n\s+\}")
    text = samples.sub(lambda match: "{" + re.sub(r"\n\s+", " ", match[1]) + "}", text)
    file.write_text(text + "\n", encoding="utf-8")


def machine() -> dict[str, str]:
    """What the figures depend on beside the programs."""
    return {
        "processor": _processor(),
        "processors": str(os.cpu_count()),
        "system": f"{platform.system()} {platform.release()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "instructions": instructions.counter() or "not counted",
        "load by": load.generator(),
    }


def _processor() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.processor()
    match = re.search(r"^model name\s*: (.*)$", text, re.MULTILINE)
    return match[1].strip() if match else platform.machine()
