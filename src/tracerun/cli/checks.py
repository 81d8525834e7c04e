"""Options are checked before anything is launched: a wrong one is refused, with what is allowed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tracerun.errors import WrongUsage
from tracerun.instrumentation.catalog import CATALOG
from tracerun.instrumentation.upstream import NAMES
from tracerun.settings import Settings
from tracerun.values import EXPORTERS, PROPAGATORS, SAMPLERS

if TYPE_CHECKING:
    from tracerun.settings import Setting

# What the specification knows of exporters; everything else travels in our own variable, because programs and
# their children read the standard one themselves.
STANDARD_EXPORTERS = ("otlp", "console", "none")
# Variables of other settings that would hide what an option sets.
STRONGER = {"endpoint": ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",)}


def text_of(setting: Setting[Any], value: Any, flag: str) -> str:
    """An option's value as its variable's text; a wrong one is refused under the option's name."""
    if value is True:
        return "true"
    values = list(value) if setting.multiple else [value]
    if setting.name == "headers":
        values = [_header(header, flag) for header in values]
    elif setting.name == "resource":
        values = [_encoded(pair, flag) for pair in values]
    return ",".join(values)


def _encoded(pair: str, flag: str) -> str:
    """``KEY=VALUE`` with the value percent-encoded, as the variable wants it."""
    from urllib.parse import quote  # noqa: PLC0415 - for two options only

    key, equals, value = pair.partition("=")
    if not equals or not key.strip():
        raise WrongUsage(f"{flag} {pair}: allowed: KEY=VALUE")
    return f"{key.strip()}={quote(value, safe=' /:;@+*!?.~-_()[]')}"


def _header(given: str, flag: str) -> str:
    """``NAME=VALUE`` with ``@FILE`` and ``env:VAR`` read; the value is never part of a message."""
    from tracerun.environment import environment  # noqa: PLC0415 - for one option only

    name, equals, value = given.partition("=")
    if not equals or not name.strip():
        raise WrongUsage(f"{flag}: allowed: NAME=VALUE, NAME=@FILE or NAME=env:VAR")
    if value.startswith("@"):
        try:
            with open(value[1:], encoding="utf-8") as file:
                value = file.read().strip()
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or "not text"
            raise WrongUsage(f"{flag} {name}: the file cannot be read: {reason}") from None
    elif value.startswith("env:"):
        found = environment().get(value[4:])
        if found is None:
            raise WrongUsage(f"{flag} {name}: the variable {value[4:]} is not set")
        value = found
    return _encoded(f"{name}={value}", flag)


def check(setting: Setting[Any], text: str, flag: str) -> None:
    """Refuses a wrong value of an option; a secret one is not repeated."""
    try:
        parsed = setting.parse(text)
    except ValueError as wrong:
        shown = flag if setting.secret else f"{flag} {text}"
        raise WrongUsage(f"{shown}: {wrong}") from None
    if setting.name == "sampler":
        _known(flag, (parsed.partition(":")[0],), SAMPLERS, "opentelemetry_traces_sampler")
    elif setting.name == "propagators":
        _known(flag, parsed, PROPAGATORS, "opentelemetry_propagator")
    elif setting.name == "exporter":
        _known(flag, parsed, EXPORTERS, "opentelemetry_traces_exporter")
    elif setting.name in ("only", "disable"):
        built_in = tuple(dict.fromkeys((*(library.name for library in CATALOG), *NAMES)))
        _known(flag, parsed, (*built_in, "*") if setting.name == "disable" else built_in, "opentelemetry_instrumentor")


def _known(flag: str, names: tuple[str, ...], built_in: tuple[str, ...], group: str) -> None:
    """Refuses names that are neither built in nor registered by a package beside us."""
    strange = [name for name in names if name not in built_in]
    if not strange:
        return
    import difflib  # noqa: PLC0415 - for names off the built-in lists only

    from importlib_metadata import entry_points  # noqa: PLC0415 - as above

    installed = {entry_point.name for entry_point in entry_points(group=group)}
    allowed = list(dict.fromkeys((*built_in, *sorted(installed))))
    for name in strange:
        if name not in installed:
            close = difflib.get_close_matches(name, allowed, n=1)
            meant = f" (did you mean {close[0]}?)" if close else ""
            raise WrongUsage(f"{flag} {name}: unknown{meant}; allowed: {', '.join(allowed)}")


def check_together(settings: Settings, given: list[Setting[Any]]) -> None:
    """Refuses an option that the declarative configuration would silently override."""
    inside = {
        "service_name",
        "endpoint",
        "protocol",
        "insecure",
        "headers",
        "exporter",
        "resource",
        "sampler",
        "propagators",
    }
    hidden = [setting.flag.rpartition(",")[2] for setting in given if setting.name in inside]
    if settings.config_file and hidden:
        raise WrongUsage(
            f"{', '.join(hidden)} would have no effect: OTEL_CONFIG_FILE configures everything; "
            "unset it, or put the setting into that file"
        )


def variables_of(setting: Setting[Any], text: str) -> dict[str, str]:
    """The variables that carry an option's value: standard values in standard variables, ours in our own."""
    if setting.name == "sampler":
        name, colon, argument = text.partition(":")
        return {"OTEL_TRACES_SAMPLER": name} | ({"OTEL_TRACES_SAMPLER_ARG": argument} if colon else {})
    if setting.name == "exporter":
        standard = all(name in STANDARD_EXPORTERS or name not in EXPORTERS for name in setting.parse(text))
        return {"OTEL_TRACES_EXPORTER" if standard else "TRACERUN_EXPORTER": text}
    # The common variable, not the one of a single signal, where both exist.
    return {setting.variables[-1]: text}
