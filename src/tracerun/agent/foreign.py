"""OpenTelemetry from the launcher's installation, for a target whose own environment has none.

tracerun installed in an environment of its own (by uv tool or pipx, say) traces programs in others, also of
another Python version: the agent, the API and the SDK are pure Python. A finder of ours, last in
``sys.meta_path``, is asked for what nobody has found. It serves the API, the SDK, their semantic conventions
and typing_extensions, by name: with a whole site-packages on ``sys.path`` the program's own
``try: import rich`` would succeed. Exporters and protobuf are never served, because versions of protobuf
fail at import with more than an ImportError. What the program has of its own always wins, and there is no
distribution metadata. The finder comes with the SDK's set-up: until then nothing can be imported that could
not be imported plain.

Source: PEP 420 (namespace packages), PEP 451.
"""

from __future__ import annotations

import os
import sys
from _frozen_importlib import ModuleSpec
from _frozen_importlib_external import PathFinder, SourceFileLoader, _NamespacePath  # type: ignore[attr-defined]

from tracerun.injection import NEEDED, PACKAGE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType

ROOT = "opentelemetry"
# What the distribution opentelemetry-api puts into the namespace package; all of it comes from one side.
API = (
    "_logs",
    "attributes",
    "baggage",
    "context",
    "environment_variables",
    "metrics",
    "propagate",
    "propagators",
    "trace",
    "util",
    "version",
)
SDK = ("sdk", "semconv")


class Finder:
    """The finder on ``sys.meta_path``.

    Args:
        folders: Where the launcher's packages lie.
        with_api: Whether the API is to be served too; not where the program has one, however incomplete.
    """

    def __init__(self, folders: list[str], *, with_api: bool) -> None:
        self._folders = folders
        self._names = (*API, *SDK) if with_api else SDK

    def find_spec(
        self,
        name: str,
        path: Sequence[str] | None = None,  # noqa: ARG002 - the protocol's arguments (PEP 451)
        target: ModuleType | None = None,  # noqa: ARG002
    ) -> ModuleSpec | None:
        """The spec of a module that is served; the modules in served packages are then found without us."""
        parent, _, child = name.rpartition(".")
        if parent == ROOT and child in self._names:
            return _source(name, [os.path.join(folder, ROOT) for folder in self._folders])
        if name == "typing_extensions":
            return _source(name, self._folders)
        return _empty_namespace() if name == ROOT else None


def _source(name: str, folders: list[str]) -> ModuleSpec | None:
    """A module's spec where it is source: extension modules and bytecode belong to one version of Python."""
    spec = PathFinder.find_spec(name, folders)
    return spec if spec is not None and (spec.loader is None or type(spec.loader) is SourceFileLoader) else None


def _empty_namespace() -> ModuleSpec:
    """The namespace package, without a portion of ours: its modules are served one by one, not whole folders.

    Portions that come with a later ``sys.path`` are the program's, and are found as in any namespace package.
    """
    spec = ModuleSpec(ROOT, None, is_package=True)
    spec.submodule_search_locations = _NamespacePath(ROOT, [], PathFinder.find_spec)
    return spec


def folders(elsewhere: str) -> list[str]:
    """Where the launcher's packages lie: beside the agent's own package, or where the launcher has found them."""
    places = [os.path.dirname(PACKAGE), *(folder for folder in elsewhere.split(os.pathsep) if folder)]
    return [place for place in places if any(os.path.exists(os.path.join(place, name)) for name in NEEDED)]


def serve(places: list[str], *, with_api: bool) -> None:
    """Puts the finder at the end."""
    sys.meta_path.append(Finder(places, with_api=with_api))


def withdraw() -> None:
    """Takes it out again."""
    sys.meta_path[:] = [finder for finder in sys.meta_path if not isinstance(finder, Finder)]
