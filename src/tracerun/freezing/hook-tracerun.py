"""PyInstaller's hook: the modules that are imported by name, and none of the libraries that they patch."""

from PyInstaller.utils.hooks import collect_submodules

from tracerun.instrumentation.catalog import CATALOG

hiddenimports = [
    *(name for part in ("agent", "export", "instrumentation") for name in collect_submodules(f"tracerun.{part}")),
    "opentelemetry.propagate",
    "opentelemetry.sdk.trace.export",
    "opentelemetry.sdk.version",
    "opentelemetry.semconv.version",
    "opentelemetry.version",
]
# A library is in the program if the program imports it, not because tracerun could trace it. Python's own we use too.
excludedimports = sorted(
    {module.partition(".")[0] for library in CATALOG if library.distribution for module in library.modules}
)
