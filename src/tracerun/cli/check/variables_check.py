"""Variables with a name that nobody reads: mostly a slip of the pen.

The names are those of tracerun's settings and of OpenTelemetry's own packages; what the specification has and
this SDK has not, and other languages' variables, stand here.
Source: OpenTelemetry specification, "Environment Variable Specification".
"""

from __future__ import annotations

import difflib
from importlib import import_module
from typing import TYPE_CHECKING

from tracerun.cli.check.finding import ok, warning
from tracerun.settings import EXCLUDED_URLS_OF, TABLE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tracerun.cli.check.case import Case
    from tracerun.cli.check.finding import Finding

OURS, THEIRS = "TRACERUN_", "OTEL_"
_DECLARING = ("environment_variables", "sdk.environment_variables", "instrumentation.environment_variables")
# In the specification, in conventions, or in OpenTelemetry's tools, and not in these modules.
ELSEWHERE = (
    "OTEL_EXPERIMENTAL_CONFIG_FILE",
    "OTEL_ENTITIES",
    "OTEL_EXPORTER_JAEGER_ENDPOINT",
    "OTEL_EXPORTER_OTLP_PROFILES_ENDPOINT",
    "OTEL_EXPORTER_OTLP_SPAN_INSECURE",
    "OTEL_EXPORTER_OTLP_METRIC_INSECURE",
    "OTEL_PYTHON_DJANGO_INSTRUMENT",
    "OTEL_PYTHON_DJANGO_TRACED_REQUEST_ATTRS",
    "OTEL_PYTHON_DJANGO_MIDDLEWARE_POSITION",
    "OTEL_PYTHON_LOG_CORRELATION",
    "OTEL_PYTHON_LOG_FORMAT",
    "OTEL_PYTHON_LOG_LEVEL",
    "OTEL_PYTHON_TORNADO_TRACED_REQUEST_ATTRS",
    "OTEL_PYTHON_FALCON_TRACED_REQUEST_ATTRS",
    "OTEL_PYTHON_INSTRUMENTATION_SANITIZE_REDIS",
    "OTEL_PYTHON_SQLCOMMENTER_ENABLED",
    "OTEL_SERVICE_VERSION",
    "OTEL_INSTRUMENTATION_HTTP_CAPTURE_BODY",
    "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT",
    "OTEL_INSTRUMENTATION_COMMON_DEFAULT_ENABLED",
)
# What begins so belongs to other languages, to operators and to whole families of names.
FAMILIES = (
    "OTEL_JAVA", "OTEL_NODE_", "OTEL_DOTNET_", "OTEL_GO_", "OTEL_RUBY_", "OTEL_PHP_", "OTEL_ERLANG_", "OTEL_RUST_",
    "OTEL_CPP_", "OTEL_SWIFT_", "OTEL_BROWSER_", "OTEL_LAMBDA_", "OTEL_OPERATOR_", "OTEL_COLLECTOR_", "OTEL_JMX_",
    "OTEL_EBPF_", "OTEL_SPRING_", "OTEL_AGENT_", "OTEL_POD_", "OTEL_K8S_", "OTEL_AWS_", "OTEL_MICROMETER_",
    "OTEL_RESOURCE_ATTRIBUTES_", "OTEL_RESOURCE_PROVIDERS_",
)  # fmt: skip
_CLOSE = 0.85


def check(case: Case) -> Iterator[Finding]:
    """Each variable of ours or of OpenTelemetry's that nobody is known to read."""
    known = known_names()
    strange = [name for name in sorted(case.env) if _is_strange(name, known)]
    for name in strange:
        yield _of(name, known)
    if not strange:
        yield ok("variables", "every OTEL_* and TRACERUN_* variable has a name that is known")


def known_names() -> set[str]:
    """All names that somebody reads."""
    names = {variable for setting in TABLE for variable in setting.variables}
    for module in _DECLARING:
        values = vars(import_module(f"opentelemetry.{module}")).values()
        names.update(value for value in values if isinstance(value, str) and value.startswith(THEIRS))
    return {name for name in (*names, *ELSEWHERE) if name.startswith((OURS, THEIRS))} - {EXCLUDED_URLS_OF}


def _is_strange(name: str, known: set[str]) -> bool:
    if not name.upper().startswith((OURS, THEIRS)) or name in known or name.startswith(FAMILIES):
        return False
    start, end = EXCLUDED_URLS_OF.split("<LIBRARY>")
    return not (name.startswith(start) and name.endswith(end))


def _of(name: str, known: set[str]) -> Finding:
    close = difflib.get_close_matches(name.upper(), sorted(known), n=1, cutoff=_CLOSE)
    what = f"{name} is a variable that nothing here reads"
    if close:
        return warning("unknown-variable", what, f"rename it to {close[0]}, if that is meant")
    if name.startswith(OURS):
        return warning("unknown-variable", what, "unset it; docs/settings.md has the names")
    return ok("unknown-variable", f"{what}; another program may")
