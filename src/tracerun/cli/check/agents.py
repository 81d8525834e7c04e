"""Agents of others that may trace the same program."""

from __future__ import annotations

import os
from typing import NamedTuple


class Agent(NamedTuple):
    """One of them.

    Attributes:
        distribution: Its name on PyPI.
        starter: The command by which it is put in front of a program.
        module: What it loads before the program's first line.
        folder: Part of the folder that it puts on PYTHONPATH.
    """

    distribution: str
    starter: str
    module: str
    folder: str


UPSTREAM = Agent(
    "opentelemetry-instrumentation",
    "opentelemetry-instrument",
    "opentelemetry.instrumentation.auto_instrumentation",
    os.path.join("opentelemetry", "instrumentation", "auto_instrumentation"),
)
AGENTS = (
    Agent("ddtrace", "ddtrace-run", "ddtrace", os.path.join("ddtrace", "bootstrap")),
    Agent("newrelic", "newrelic-admin", "newrelic", os.path.join("newrelic", "bootstrap")),
    Agent("elastic-apm", "elasticapm-run", "elasticapm", os.path.join("elasticapm", "instrumentation", "wrapper")),
    UPSTREAM,
)
