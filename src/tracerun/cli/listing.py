"""What can be traced in a target's environment: one row for each library, and why not where it is not.

Libraries of the catalogue, packages there that instrument something else, and what upstream has a package for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from tracerun import __version__, entrypoints
from tracerun.cli.installing import install_line
from tracerun.entrypoints import normalised
from tracerun.instrumentation.catalog import CATALOG, TRACES_ITSELF
from tracerun.instrumentation.upstream import has_nothing_to_give, is_ours
from tracerun.versions import BELOW, OLDEST_API, OLDEST_CONVENTIONS, OLDEST_PYTHON, OLDEST_SDK, as_numbers, outside

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from tracerun.cli.target import Target
    from tracerun.entrypoints import Instrumentor
    from tracerun.instrumentation.catalog import Library
    from tracerun.settings import Settings

TRACED, DISABLED, ABSENT = "traced", "disabled", "not installed"
UNSUPPORTED, MISSING, FAILED, UNABLE = "unsupported version", "instrumentation missing", "failed", "cannot be traced"
STATES = (TRACED, DISABLED, UNSUPPORTED, MISSING, FAILED, UNABLE, ABSENT)
PYTHONS_OWN = "Python's own"
_PREFIX = "opentelemetry-instrumentation-"
# Not suggested: those that make no spans or that tracerun has under other names, and click's, whose span lasts as long
# as a program that is a command. All of what has spans and is Python's own is traced, but for sqlite3.
_NOT_SUGGESTED = ("asgi", "asyncclick", "click", "structlog", "system-metrics")
# Whose entry point is not called as the package is.
_ENTRY_POINTS = {"boto3sqs": "boto3", "confluent-kafka": "confluent_kafka", "kafka-python": "kafka"}
# Named beside the library that is meant: that it is installed says nothing.
_BESIDE = ("pydantic",)


class Row(NamedTuple):
    """One library.

    Attributes:
        name: By which ``--only`` and ``--disable`` know it.
        side: ``client`` or ``server``; empty where that is the package's affair.
        installed: The version there; empty where there is none.
        supported: The range, as a requirement.
        state: One of ``STATES``.
        reason: Why it is so, or what a user should know of it.
        traced_by: The package that traces it, and its version.
        fix: The command that helps.
    """

    name: str
    side: str
    installed: str
    supported: str
    state: str
    reason: str = ""
    traced_by: str = ""
    fix: str = ""


class Listing:
    """The rows for one target.

    Args:
        target: The interpreter and its paths.
        settings: Of the launcher, with its options.
        unable: Why nothing at all can be traced there, as far as the command line says; mostly empty.
        sources: What has set a variable, where that is an option or pyproject.toml.
    """

    def __init__(self, target: Target, settings: Settings, unable: str, sources: Mapping[str, str]) -> None:
        self._target = target
        self._settings = settings
        self._sources = sources
        self._versions = {"": target.version, **target.installed()}  # no distribution: it comes with Python
        self.unable = _too_old(target.version) or unable or _misfit(self._versions)

    def rows(self) -> list[Row]:
        """All rows, by name."""
        packages = list(entrypoints.instrumentors(self._target.paths, set()))
        rows = [self._of_library(library) for library in CATALOG]
        rows += [self._of_package(package) for package in packages if not is_ours(package, CATALOG)]
        rows += self._of_upstream({normalised(entrypoints.named(package.folder)[0]) for package in packages})
        return sorted(map(self._overruled, rows), key=lambda row: (row.name.lower(), row.supported))

    def _overruled(self, row: Row) -> Row:
        """What holds for all that is installed."""
        if row.state == ABSENT or not (self.unable or self._settings.off):
            return row
        state, reason = (DISABLED, self._settings.off) if self._settings.off else (UNABLE, self.unable)
        return row._replace(state=state, reason=reason, traced_by="", fix="")

    def _of_library(self, library: Library) -> Row:
        installed = self._versions.get(normalised(library.distribution), "")
        supported = f"{library.distribution}{library.supported}" or PYTHONS_OWN
        row = Row(library.name, library.kind, installed, supported, TRACED, library.note, f"tracerun {__version__}")
        if not installed:
            return row._replace(state=ABSENT, reason="", traced_by="")
        if library.untouched == TRACES_ITSELF:
            return row._replace(reason=TRACES_ITSELF, traced_by=f"{library.distribution} {installed}")
        if library.untouched:
            return row._replace(state=UNABLE, reason=library.untouched, traced_by="")
        why = self._why_disabled(library.name)
        if why:
            return row._replace(state=DISABLED, reason=why, traced_by="")
        if outside(installed, library.minimum, library.below):
            reason = f"found {installed}, supported {library.supported}"
            return row._replace(state=UNSUPPORTED, reason=reason, traced_by="")
        return row

    def _of_package(self, package: Instrumentor) -> Row:
        """What another package instruments; what instruments Python itself has no version."""
        needs = [text for texts in entrypoints.required(package.folder).values() for text in texts]
        versions = self._versions
        shown = ", ".join(entrypoints.present(package.folder, versions)) if needs else versions[""]
        row = Row(
            package.name, "", shown, ", ".join(needs) or PYTHONS_OWN, TRACED, f"by {package.package}", package.package
        )
        if not package.target:
            reason = f"the entry point of {package.package} cannot be read"
            return row._replace(state=FAILED, reason=reason, traced_by="")
        if not shown:
            return row._replace(state=ABSENT, reason="", traced_by="")
        why = self._why_disabled(package.name)
        if not why and has_nothing_to_give(package.name, self._settings):
            why = "makes no spans; metrics and logs are not exported"
        if why:
            return row._replace(state=DISABLED, reason=why, traced_by="")
        conflict = entrypoints.conflict(package.folder, lambda name: versions.get(name, ""))
        return row._replace(state=UNSUPPORTED, reason=f"{row.reason}: {conflict}", traced_by="") if conflict else row

    def _of_upstream(self, present: set[str]) -> Iterator[Row]:
        """What upstream has a package for that is not there."""
        for package, requirements in _upstream().items():
            name = package.partition("=")[0].partition(">")[0]
            if name not in present:
                short = name.removeprefix(_PREFIX)
                yield self._of_absent(_ENTRY_POINTS.get(short, short), package, requirements)

    def _of_absent(self, name: str, package: str, requirements: list[str]) -> Row:
        versions = self._versions
        found = [text for text in requirements if entrypoints.name_of(text) in versions]
        installed = ", ".join(versions[entrypoints.name_of(text)] for text in found)
        row = Row(name, "", installed, ", ".join(requirements), ABSENT)
        if not found:
            return row
        why = self._why_disabled(name)
        if why:
            return row._replace(state=DISABLED, reason=why)
        if not any(_fits(text, versions) for text in found):
            supported = " or ".join(text.partition(" ")[2] for text in found)
            return row._replace(state=UNSUPPORTED, reason=f"found {installed}, supported {supported}")
        return row._replace(state=MISSING, fix=install_line(package, self._target, versions))

    def _why_disabled(self, name: str) -> str:
        settings = self._settings
        if settings.only and name not in settings.only:
            return f"{self._source('TRACERUN_ONLY')} names others"
        if name in settings.disable or "*" in settings.disable:
            return f"by {self._source('OTEL_PYTHON_DISABLED_INSTRUMENTATIONS')}"
        return ""

    def _source(self, variable: str) -> str:
        return self._sources.get(variable, variable)


def _upstream() -> dict[str, list[str]]:
    """Upstream's packages for libraries that are none of ours, by the table that comes with the launcher."""
    from opentelemetry.instrumentation import bootstrap_gen  # noqa: PLC0415 - for this command only

    ours = {normalised(library.distribution) for library in CATALOG}
    found: dict[str, list[str]] = {}
    for row in bootstrap_gen.libraries:
        package, requirement = row["instrumentation"], row["library"]
        name = package.partition("=")[0].removeprefix(_PREFIX)
        if name not in _NOT_SUGGESTED and entrypoints.name_of(requirement) not in (*ours, *_BESIDE):
            found.setdefault(package, []).append(requirement)
    return found


def _fits(requirement: str, versions: Mapping[str, str]) -> bool:
    from packaging.requirements import Requirement  # noqa: PLC0415 - where something is missing only
    from packaging.version import InvalidVersion  # noqa: PLC0415 - as above

    parsed = Requirement(requirement)
    try:
        return parsed.specifier.contains(versions[normalised(parsed.name)], prereleases=True)
    except InvalidVersion:
        return False


def _too_old(version: str) -> str:
    if not version or as_numbers(version) >= as_numbers(OLDEST_PYTHON):
        return ""
    return f"Python {version}: tracerun needs {OLDEST_PYTHON} or later"


def _misfit(versions: Mapping[str, str]) -> str:
    """Why tracerun cannot work with the OpenTelemetry that is there; as the agent finds it (`agent/releases.py`)."""
    api, sdk = versions.get("opentelemetry-api", ""), versions.get("opentelemetry-sdk", "")
    if sdk and as_numbers(api)[:2] != as_numbers(sdk)[:2]:
        return f"opentelemetry-api {api or '(none)'} and opentelemetry-sdk {sdk} are not of one release"
    ranges = [("opentelemetry-sdk", OLDEST_SDK)] if sdk else _of_an_api_alone()
    for name, oldest in ranges:
        version = versions.get(name, "")
        if version and outside(version, oldest, BELOW):
            return f"{name} {version}: tracerun works with {oldest} and later (below {BELOW})"
    return ""


def _of_an_api_alone() -> list[tuple[str, str]]:
    return [("opentelemetry-api", OLDEST_API), ("opentelemetry-semantic-conventions", OLDEST_CONVENTIONS)]


def counts(rows: Iterable[Row]) -> dict[str, int]:
    """How many rows are in each state."""
    states = [row.state for row in rows]
    return {state: states.count(state) for state in STATES}
