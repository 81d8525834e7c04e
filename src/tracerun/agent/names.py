"""Names that only installed packages can vouch for: propagators, samplers and exporters by entry point."""

from __future__ import annotations

import sys

from tracerun.instrumentation.catalog import CATALOG
from tracerun.values import EXPORTERS, PROPAGATORS, SAMPLERS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from tracerun.settings import Settings

PROPAGATOR_GROUP = "opentelemetry_propagator"
SAMPLER_GROUP = "opentelemetry_traces_sampler"
EXPORTER_GROUP = "opentelemetry_traces_exporter"
# What the official configurator knows of exporters without looking at installed packages.
OFFICIAL = ("otlp", "none")


def load(group: str, name: str) -> Any:
    """What an installed package registers under a name; ``LookupError`` where none does."""
    from importlib import metadata  # noqa: PLC0415 - 30 ms, for names off the built-in lists only

    for entry_point in metadata.entry_points(group=group):
        if entry_point.name == name:
            return entry_point.load()
    raise LookupError(name)


def _known(group: str) -> set[str]:
    from importlib import metadata  # noqa: PLC0415 - as above

    return {entry_point.name for entry_point in metadata.entry_points(group=group)}


def unknown_names(settings: Settings) -> list[str]:
    """One line for each name in the settings that neither tracerun nor an installed package knows."""
    asked = [
        ("OTEL_PROPAGATORS", PROPAGATOR_GROUP, settings.propagators, PROPAGATORS, "left out"),
        ("OTEL_TRACES_EXPORTER", EXPORTER_GROUP, settings.exporter, EXPORTERS, "left out"),
        (
            "OTEL_TRACES_SAMPLER",
            SAMPLER_GROUP,
            (settings.sampler.partition(":")[0],),
            SAMPLERS,
            "using parentbased_always_on",
        ),
        ("OTEL_METRICS_EXPORTER", "opentelemetry_metrics_exporter", settings.metrics_exporter, OFFICIAL, "left out"),
        ("OTEL_LOGS_EXPORTER", "opentelemetry_logs_exporter", settings.logs_exporter, OFFICIAL, "left out"),
        ("OTEL_PYTHON_ID_GENERATOR", "opentelemetry_id_generator", _one(settings.id_generator), (), "left out"),
        ("OTEL_PYTHON_CONFIGURATOR", "opentelemetry_configurator", _one(settings.configurator), (), "left out"),
    ]
    return _unknown(asked) + unknown_to_sdk(settings)


def unknown_to_sdk(settings: Settings) -> list[str]:
    """The same for what the official packages look up themselves, and log a traceback about."""
    detectors = settings.resource_detectors
    return _unknown(
        [
            ("OTEL_PYTHON_CONTEXT", "opentelemetry_context", _one(settings.context), (), "using contextvars_context"),
            (
                "OTEL_EXPERIMENTAL_RESOURCE_DETECTORS",
                "opentelemetry_resource_detector",
                detectors,
                ("*",),
                "none is used",
            ),
        ]
    )


def unknown_instrumentations(settings: Settings) -> list[str]:
    """One line for each name of a library that neither tracerun nor an installed package knows."""
    asked = [("TRACERUN_ONLY", settings.only), ("OTEL_PYTHON_DISABLED_INSTRUMENTATIONS", settings.disable)]
    known = _known_instrumentations([name for _, names in asked for name in names])
    return [_unknown_library(variable, name, known) for variable, names in asked for name in names if name not in known]


def wants_none(settings: Settings) -> bool:
    """Whether ``--only`` and ``--disable`` leave no library at all."""
    wanted = [name for name in settings.only if name not in settings.disable]
    return "*" in settings.disable or bool(settings.only and not set(wanted) & _known_instrumentations(wanted))


def _known_instrumentations(names: list[str]) -> set[str]:
    """Of libraries; those of installed packages are looked for where one of the names is not in the catalogue."""
    ours = {library.name for library in CATALOG} | {"*"}
    if ours.issuperset(names):
        return ours
    from tracerun import entrypoints  # noqa: PLC0415 - for names off the catalogue only
    from tracerun.instrumentation.upstream import TRIGGERS  # noqa: PLC0415 - as above

    return ours.union(TRIGGERS, (found.name for found in entrypoints.instrumentors(list(sys.path), set())))


def _unknown_library(variable: str, name: str, known: set[str]) -> str:
    import difflib  # noqa: PLC0415 - for a wrong name only

    close = difflib.get_close_matches(name, sorted(known), n=1)
    meant = f" (did you mean {close[0]}?)" if close else ""
    return f"{variable}: {name} is unknown{meant}; allowed are the names of tracerun --list-instrumentations; left out"


def _one(name: str) -> tuple[str, ...]:
    return (name,) if name else ()


def _unknown(asked: list[tuple[str, str, tuple[str, ...], tuple[str, ...], str]]) -> list[str]:
    return [
        unknown(variable, name, group, allowed, instead)
        for variable, group, names, allowed, instead in asked
        for name in names
        if name not in allowed and name not in _known(group)
    ]


def unknown(variable: str, name: str, group: str, allowed: tuple[str, ...], instead: str) -> str:
    """The line for a name that nobody knows."""
    everything = ", ".join(dict.fromkeys((*allowed, *sorted(_known(group)))))
    return f"{variable}: {name} is not built in, and no installed package has it; allowed: {everything}; {instead}"
