"""What the tests of ``--check`` share: a run of it, read as JSON."""

from __future__ import annotations

import json
from typing import Any

from tests.conftest import TRACERUN, Runner

Env = dict[str, str | None]
ENDPOINT, PROTOCOL = "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_PROTOCOL"
# What tests have set otherwise, so that no test ever finds a collector of this machine.
UNSET: Env = {"TRACERUN_EXPORTER": None}


class Report:
    """What ``--check --format json`` has printed."""

    def __init__(self, document: dict[str, Any]) -> None:
        self.document = document
        self.findings = document["findings"]
        self.slugs = {finding["slug"] for finding in self.findings}
        self.faults = [finding for finding in self.findings if finding["level"] == "fault"]
        self.settings = {row["variable"]: (row["value"], row["source"]) for row in document["settings"]}

    def one(self, slug: str, level: str = "fault") -> Any:
        """The one finding of that name and level."""
        found = [finding for finding in self.findings if (finding["slug"], finding["level"]) == (slug, level)]
        assert len(found) == 1, (slug, level, self.findings)
        return found[0]


def check(run: Runner, *command: str, flags: tuple[str, ...] = (), env: Env | None = None, **options: Any) -> Report:
    """The report on a command; the exit code is 1 where there is a fault, and only then."""
    words = (*flags, "--check", "--format", "json", *(("--", *command) if command else ()))
    done = run.command(TRACERUN, *words, env=env, **options)
    assert done.err == "", done
    document = json.loads(done.out)
    assert (done.status, document["arrives"]) == ((1, False) if document["summary"]["fault"] else (0, True)), done
    return Report(document)
