"""Which version of a library the program has, without importing anything for it."""

from __future__ import annotations

import os
import sys

from tracerun.versions import outside

TYPE_CHECKING = False
if TYPE_CHECKING:
    from tracerun.instrumentation.catalog import Library


def version(library: Library) -> str:
    """The version of a library that is imported; empty where it is Python's own or cannot be told."""
    return version_of(library.modules[0].partition(".")[0], library.distribution) if library.distribution else ""


def conflict(library: Library, found: str) -> str:
    """Why this version of a library is not traced: found and supported; empty where it is."""
    if not found:
        return ""  # no version to be found is no reason to give up: most such are working copies
    if not outside(found, library.minimum, library.below):
        return ""
    return f"found {library.distribution} {found}, supported is {library.supported}"


def version_of(package: str, distribution: str) -> str:
    """The version of an imported package; empty where it cannot be told.

    Read from the module's own dictionary (a module's ``__getattr__`` may warn, as Flask's does), else from
    the name of the ``.dist-info`` folder beside it, else from importlib.metadata, which costs 30 ms to load.
    """
    module = sys.modules.get(package)
    if module is None:
        return ""
    version = vars(module).get("__version__")
    if isinstance(version, str):
        return version
    return _beside(getattr(module, "__file__", None) or "", distribution) or _from_metadata(distribution)


def _beside(file: str, distribution: str) -> str:
    folder = os.path.dirname(os.path.dirname(file))
    start = distribution.lower().replace("-", "_") + "-"
    try:
        names = os.listdir(folder)
    except OSError:
        return ""
    for name in names:
        if name.lower().startswith(start) and name.endswith(".dist-info"):
            return name[len(start) : -len(".dist-info")]
    return ""


def _from_metadata(distribution: str) -> str:
    from importlib import metadata  # noqa: PLC0415 - the last resort

    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return ""
