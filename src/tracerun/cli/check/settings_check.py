"""The settings: each with its value and where it came from, and what they mean together."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any, NamedTuple

from tracerun.cli import checks
from tracerun.cli.check.finding import fault, ok, warning
from tracerun.cli.print_env import masked
from tracerun.errors import WrongUsage
from tracerun.settings import TABLE, Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tracerun.cli.check.case import Case
    from tracerun.cli.check.finding import Finding
    from tracerun.settings import Setting

# Shown also where nothing is set: what decides whether and where a trace goes.
TELLING = ("service_name", "endpoint", "protocol", "exporter", "sampler", "propagators")
# What the declarative configuration stands in the place of.
EXPORTING = (*TELLING, "traces_endpoint", "insecure", "headers", "sampler_argument", "certificate", "resource")
# A wrong value of these loses traces, or sends them elsewhere; of all others it costs nothing but itself.
DECIDING = (*EXPORTING, "directory", "enabled", "sdk_disabled", "http_proxy", "https_proxy", "client_certificate")
DEFAULT, VARIABLE = "default", "environment"
INTERNAL = ("launcher_pid", "target", "run", "site", "excluded_urls_of")
# version-trace id-parent id-flags (W3C Trace Context, "traceparent Header").
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-([0-9a-f]{2})")
_SAMPLED = 1


class Shown(NamedTuple):
    """A setting as it is shown.

    Attributes:
        name: Its key in pyproject.toml, or its variable where it has none.
        value: Without secrets; empty where it is the default and that is nothing.
        source: An option, ``[tool.tracerun] KEY``, ``environment`` or ``default``.
        variable: By which the program is told.
    """

    name: str
    value: str
    source: str
    variable: str


def shown(case: Case) -> Iterator[Shown]:
    """What is set, and of the rest what decides; in the order of the table."""
    for setting in TABLE:
        if setting.name in INTERNAL:
            continue
        found = [variable for variable in setting.variables if variable in case.settings.raw]
        for variable in found:
            source = case.sources.get(variable, VARIABLE)
            yield Shown(setting.key or variable, masked(variable, case.settings.raw[variable]), source, variable)
        if not found and setting.name in TELLING:
            yield Shown(setting.key, _default(setting), DEFAULT, setting.variables[-1])
    for variable in sorted(case.settings.raw):
        if re.fullmatch(r"OTEL_PYTHON_[A-Z0-9_]+_EXCLUDED_URLS", variable):
            yield Shown(variable, case.settings.raw[variable], VARIABLE, variable)


def _default(setting: Setting[Any]) -> str:
    if setting.name == "service_name":
        return "(from the command)"
    return ",".join(setting.default) if isinstance(setting.default, tuple) else str(setting.default)


def check(case: Case) -> Iterator[Finding]:
    """What is wrong with the values."""
    settings = case.settings
    if settings.off:
        variable = settings.off.partition("=")[0]
        yield fault("switched-off", f"nothing is traced: {settings.off}", f"unset {variable}")
    yield from map(_of_problem, settings.problems)
    yield from _of_exporter(settings)
    yield from _of_endpoint(settings)
    yield from _of_sampler(settings)
    yield from _of_parent(settings)
    yield from _of_config_file(case)


def _of_problem(problem: str) -> Finding:
    """A wrong value; the line has the variable, what is allowed, and what is used in its place."""
    variable = re.split("[=:]", problem, maxsplit=1)[0]
    setting = next((setting for setting in TABLE if variable in setting.variables), None)
    before, _, after = problem.rpartition("allowed: ")
    allowed, _, instead = after.rpartition("; ")
    wrong = before.rstrip(" :;")
    what = f"{wrong} ({instead})" if ": " in wrong else f"{wrong} is not allowed ({instead})"
    if "exporter is gone" in before:
        also = "which Jaeger takes, and Zipkin through a Collector"
        fix = f"set {variable}=otlp and OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:4318, {also}"
        return fault("retired-exporter", what, fix)
    if "does not take OTLP" in before:
        fix = f"set {variable}={allowed.rpartition('such as ')[2]}"
        return fault("retired-port", what, fix)
    made = fault if setting is None or setting.name in DECIDING else warning
    return made("wrong-value", what, f"set {variable} to what is allowed: {allowed}")


def _of_exporter(settings: Settings) -> Iterator[Finding]:
    if settings.exporter == ("none",):
        variable = "TRACERUN_EXPORTER" if "TRACERUN_EXPORTER" in settings.raw else "OTEL_TRACES_EXPORTER"
        yield fault("exporter-none", f"{variable}=none: nothing is exported", f"set {variable}=otlp, or unset it")


def _of_endpoint(settings: Settings) -> Iterator[Finding]:
    for setting in (Settings.endpoint, Settings.traces_endpoint):
        variable, value = setting.variables[0], settings.values.get(setting.name, "")
        if not value:
            continue
        display = masked(variable, value)
        if "://" not in value:
            loopback = value.startswith(("localhost", "127.", "[::1]"))
            taken, other = ("http", "https") if loopback or settings.insecure else ("https", "http")
            fix = f"set {variable}={taken}://{display}, or {other}:// where that is meant"
            yield warning("no-scheme", f"{variable}={display} has no scheme, and is taken for {taken}://", fix)
        if setting is Settings.endpoint and value.rstrip("/").endswith("/v1/traces") and settings.protocol != "grpc":
            base = display.rstrip("/").removesuffix("/v1/traces")
            what = f"{variable}={display} ends in /v1/traces, which other SDKs add once more"
            yield warning("traces-path", what, f"set {variable}={base}")


def _of_sampler(settings: Settings) -> Iterator[Finding]:
    name, _, argument = settings.sampler.partition(":")
    argument = argument or settings.sampler_argument
    if name in ("always_off", "parentbased_always_off"):
        instead = "parentbased_always_on" if name.startswith("parent") else "always_on"
        what = f"OTEL_TRACES_SAMPLER={name}: no trace is kept that begins here"
        yield fault("sampler-off", what, f"set OTEL_TRACES_SAMPLER={instead}, or unset it")
    elif name in ("traceidratio", "parentbased_traceidratio") and argument:
        inside = ":" in settings.sampler
        setting = f"OTEL_TRACES_SAMPLER={name}:" if inside else "OTEL_TRACES_SAMPLER_ARG="
        if not float(argument):
            what = f"{setting}{argument}: no trace is kept that begins here"
            yield fault("sampler-off", what, f"set {setting}1.0, or the part of the traces that is wanted")
        else:
            yield ok("sampler-ratio", f"of the traces that begin here {float(argument) * 100:g} % are kept")


def _of_parent(settings: Settings) -> Iterator[Finding]:
    parent = settings.traceparent
    if not parent:
        return
    match = _TRACEPARENT.fullmatch(parent)
    if match is None:
        what = f"TRACEPARENT={parent} is no W3C traceparent, and is ignored"
        yield warning("unsampled-parent", what, "unset TRACEPARENT")
    elif not int(match[1], 16) & _SAMPLED and settings.sampler.startswith("parentbased"):
        what = f"TRACEPARENT={parent} is not sampled, and {settings.sampler.partition(':')[0]} follows it"
        yield fault("unsampled-parent", what, "unset TRACEPARENT, or set OTEL_TRACES_SAMPLER=always_on")
    else:
        yield ok("parent", f"spans continue the trace of TRACEPARENT={parent}")


def _of_config_file(case: Case) -> Iterator[Finding]:
    """The declarative configuration, beside which nothing else counts."""
    settings, file = case.settings, case.settings.config_file
    if not file:
        return
    if not os.path.isfile(file):
        yield fault(
            "config-file", f"OTEL_CONFIG_FILE={file}: there is no such file", "unset OTEL_CONFIG_FILE, or correct it"
        )
    try:
        checks.check_together(settings, list(case.given))
    except WrongUsage as refusal:
        what, _, _ = str(refusal).partition(":")
        fix = "unset OTEL_CONFIG_FILE, or put these settings into that file"
        yield fault("config-file-overrides", f"{what}: OTEL_CONFIG_FILE configures everything", fix)
    names = {variable for setting in TABLE if setting.name in EXPORTING for variable in setting.variables}
    hidden = [variable for variable in settings.raw if variable in names and variable not in case.sources]
    if hidden:
        what = f"OTEL_CONFIG_FILE={file} configures everything; without effect: {', '.join(hidden)}"
        yield warning("config-file-overrides", what, "unset OTEL_CONFIG_FILE, or put these settings into that file")
