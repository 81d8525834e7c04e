"""Installed packages with an ``opentelemetry_instrumentor`` entry point, read from the folders of their metadata.

Used on both sides: the agent activates them, the launcher lists them. importlib.metadata would cost 30 ms to load,
and gives up at the first file that it cannot read.
Sources: packaging.python.org, "Entry points specification" and "Core metadata specification".
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

GROUP = "opentelemetry_instrumentor"
# The extras by which a package says what it instruments: all of the first, any of the second.
ALL, ANY = "instruments", "instruments-any"
_SUFFIXES = (".dist-info", ".egg-info")
_TELLING = ("instrument", "telemetry", "otel")


class Instrumentor:
    """One entry point.

    Attributes:
        name: Its name, by which ``--only`` and ``--disable`` know it.
        target: ``module:Class``; empty where what stands there cannot be read.
        folder: The metadata of the package that has it.
    """

    __slots__ = ("folder", "name", "target")

    def __init__(self, name: str, target: str, folder: str) -> None:
        self.name = name
        self.target = target
        self.folder = folder

    @property
    def package(self) -> str:
        """The package's name and version, such as ``opentelemetry-instrumentation-redis 0.66b1``."""
        name, version = named(self.folder)
        return f"{name} {version}".strip()


def normalised(name: str) -> str:
    """A distribution's name as the simple repository API compares it."""
    return name.lower().replace("_", "-").replace(".", "-")


def is_telling(folder: str) -> bool:
    """Whether the name of a metadata folder says that the package instruments something; nearly all such do."""
    return any(word in folder for word in _TELLING)


def instrumentors(
    paths: Iterable[object], seen: set[str], *, wanted: Callable[[str], bool] = bool
) -> Iterator[Instrumentor]:
    """The entry points of the packages on a path; the first of a name wins, as at import.

    Args:
        paths: Such as ``sys.path``.
        seen: The packages that have been read before; those that are read now come to it.
        wanted: Says by a folder's name, in lower case, whether it is to be read.
    """
    for path in paths:
        if not isinstance(path, str):
            continue
        try:
            names = [name for name in os.listdir(path or os.curdir) if name.endswith(_SUFFIXES)]
        except OSError:  # a zip archive, or nothing at all
            continue
        for name in sorted(filter(lambda name: wanted(name.lower()), names)):
            package = normalised(name.partition("-")[0])
            if package not in seen:
                seen.add(package)
                yield from _in_folder(os.path.join(path, name))


def _in_folder(folder: str) -> Iterator[Instrumentor]:
    text = _text(os.path.join(folder, "entry_points.txt"))
    if GROUP not in text:
        return
    section = ""
    for line in map(str.strip, text.splitlines()):
        if line.startswith("["):
            section = line.strip("[] ")
        elif section == GROUP and line and line[0] not in "#;":
            name, _, target = (part.strip() for part in line.partition("="))
            target = target.partition("[")[0].strip()
            yield Instrumentor(name, target if _is_target(target) else "", folder)


def _is_target(text: str) -> bool:
    module, colon, attribute = text.partition(":")
    return bool(colon) and all(part.isidentifier() for part in (*module.split("."), *attribute.split(".")))


def required(folder: str) -> dict[str, list[str]]:
    """What a package instruments, as requirements such as ``redis>=2.6``, by the extra that names them."""
    found: dict[str, list[str]] = {ALL: [], ANY: []}
    for line in _text(os.path.join(folder, "METADATA")).splitlines():
        if not line:
            break
        field, _, value = line.partition(":")
        requirement, _, marker = value.partition(";")
        extra = marker.replace("'", '"').partition('extra == "')[2].partition('"')[0]
        if field.lower() == "requires-dist" and extra in found:
            found[extra].append(requirement.strip())
    return found


def libraries(folder: str) -> list[str]:
    """The normalised names of the distributions that a package instruments."""
    return [name_of(requirement) for requirements in required(folder).values() for requirement in requirements]


def present(folder: str, versions: dict[str, str]) -> list[str]:
    """The versions of what a package instruments; none where what it must have is not all installed."""
    needs = required(folder)
    if any(name_of(text) not in versions for text in needs[ALL]):
        return []
    return [version for name in libraries(folder) if (version := versions.get(name))]


def modules(distribution: str, paths: Iterable[object]) -> tuple[str, ...]:
    """The modules of an installed distribution; by its own name where it does not say."""
    for path in paths:
        if not isinstance(path, str) or not os.path.isdir(path):
            continue
        for name in os.listdir(path):
            if name.endswith(_SUFFIXES) and normalised(name.partition("-")[0]) == distribution:
                top = _text(os.path.join(path, name, "top_level.txt")).split()
                return tuple(top) or (distribution.replace("-", "_"),)
    return ()


def conflict(folder: str, version_of: Callable[[str], str]) -> str:
    """Why a package cannot instrument the releases that are installed; empty where it can.

    Args:
        folder: The package's metadata.
        version_of: Gives the version of a distribution; empty where there is none.
    """
    from packaging.requirements import Requirement  # noqa: PLC0415 - comes with opentelemetry-instrumentation

    def fits(text: str) -> bool:
        requirement = Requirement(text)
        version = version_of(normalised(requirement.name))
        return bool(version) and requirement.specifier.contains(version, prereleases=True)

    def unfit(texts: list[str]) -> str:
        found = [f"{name} {version}" for name in map(name_of, texts) if (version := version_of(name))]
        return f"found {' and '.join(found) or 'none'}, supported is {' or '.join(texts)}"

    needs = required(folder)
    for text in needs[ALL]:
        if not fits(text):
            return unfit([text])
    return unfit(needs[ANY]) if needs[ANY] and not any(map(fits, needs[ANY])) else ""


def name_of(requirement: str) -> str:
    """The normalised name of the distribution that a requirement is about."""
    end = next((at for at, sign in enumerate(requirement) if sign in "<>=!~[( ;"), len(requirement))
    return normalised(requirement[:end])


def named(folder: str) -> tuple[str, str]:
    """The name and the version of a package, by its metadata's folder."""
    name, _, version = os.path.splitext(os.path.basename(folder))[0].partition("-")
    return normalised(name), version.partition("-")[0]


def _text(file: str) -> str:
    try:
        # Twice as fast as a text file, and there are many.
        with open(file, "rb", 0) as opened:
            return opened.read().decode("utf-8", "replace")
    except (OSError, ValueError):
        return ""
