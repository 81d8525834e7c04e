"""What the text of a setting may be: parsers that give its value, or say what is allowed.

Each takes the text of a variable or option and raises ``ValueError`` with what is allowed. None of them
shows the text itself: it may be a secret.
"""

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

SAMPLERS = (
    "always_on",
    "always_off",
    "traceidratio",
    "parentbased_always_on",
    "parentbased_always_off",
    "parentbased_traceidratio",
)
PROPAGATORS = ("tracecontext", "baggage", "none")
EXPORTERS = ("auto", "otlp", "file", "tree", "console", "none")
# Exporters that the SDK no longer has; both back ends take OTLP now.
RETIRED_EXPORTERS = {"jaeger", "jaeger_thrift", "jaeger_proto", "zipkin", "zipkin_proto", "zipkin_json"}
RETIRED_PORTS = {"14250": "4317", "14268": "4318", "9411": "4318"}
# Below this a duration is taken for seconds: the Python SDK reads this one variable so, against the specification.
_SECONDS_BELOW = 100
_TRUE = ("true", "1", "yes", "on")
_FALSE = ("false", "0", "no", "off")


def text(value: str) -> str:
    """Any text."""
    return value


def path(value: str) -> str:
    """A path, with ``~`` for the home folder; absolute, since programs change their current folder."""
    value = os.path.expanduser(value)
    try:
        return os.path.abspath(value)
    except OSError:  # the current folder is gone
        return value


def folder(value: str) -> str:
    """A folder, made absolute at once: the program may change its current one."""
    try:
        return os.path.abspath(path(value))
    except OSError:  # the current folder is gone
        return path(value)


def boolean(value: str) -> bool:
    """``true`` or ``false`` (and 1, 0, yes, no, on, off), in any case."""
    lowered = value.lower()
    if lowered not in _TRUE + _FALSE:
        raise ValueError("allowed: true, false")
    return lowered in _TRUE


def report(value: str) -> bool | str:
    """``true``, ``false``, or a file: a name without a dot or a slash is rather a misspelt word."""
    if value.lower() in _TRUE + _FALSE:
        return boolean(value)
    if "." not in value and os.sep not in value:
        raise ValueError("allowed: true, false, or a file for JSON such as ./report.json")
    return path(value)


def choice(*allowed: str) -> "Callable[[str], str]":
    """One of a few words."""

    def parse(value: str) -> str:
        if value.lower() not in allowed:
            raise ValueError("allowed: " + ", ".join(allowed))
        return value.lower()

    return parse


def whole_number(least: int) -> "Callable[[str], int]":
    """A whole number of at least ``least``."""

    def parse(value: str) -> int:
        # More than eighteen digits are no number of anything, and thousands of them make int() raise.
        if not (value.isascii() and value.isdigit() and len(value) < 19 and int(value) >= least):  # noqa: PLR2004
            raise ValueError(f"allowed: a whole number from {least}")
        return int(value)

    return parse


def _positive(value: str) -> float:
    try:
        number = float(value)
    except ValueError:
        number = -1.0
    if not 0 <= number < 1e9:  # noqa: PLR2004 - also rules out nan and inf
        raise ValueError("allowed: a number from 0")
    return number


def seconds(value: str) -> float:
    """A duration in seconds."""
    return _positive(value)


def milliseconds(value: str) -> float:
    """A duration given in milliseconds (as the specification has it), as seconds."""
    return _positive(value) / 1000


def otlp_timeout(value: str) -> float:
    """Milliseconds by the specification; a number below 100 is meant in seconds, as the Python SDK reads it."""
    number = _positive(value)
    if not number:
        raise ValueError("allowed: a number of milliseconds above 0")
    return number if number < _SECONDS_BELOW else number / 1000


def names(value: str) -> tuple[str, ...]:
    """A list of names with commas between them."""
    return tuple(name.strip() for name in value.split(",") if name.strip())


def url_paths(value: str) -> tuple[str, ...]:
    """A list of paths, in which ``*`` is any text and ``?`` any character; each begins with ``/`` or ``*``."""
    chosen = names(value)
    if any("://" in path or "#" in path for path in chosen):
        raise ValueError("allowed: paths, such as /health, /api/*/ping or /grpc.health.v1.Health")
    return tuple(path if path.startswith(("/", "*")) else f"/{path}" for path in chosen)


def _percent_decoded(value: str) -> str:
    if "%" not in value:
        return value
    from urllib.parse import unquote  # noqa: PLC0415 - rarely needed, and not loaded at start-up

    return unquote(value, errors="replace")


def key_values(value: str) -> dict[str, str]:
    """``KEY=VALUE,KEY=VALUE`` with percent-encoded values (specification: resource SDK)."""
    pairs = {}
    for number, pair in enumerate(value.split(","), 1):
        key, equals, content = pair.partition("=")
        if not pair.strip():
            continue
        if not equals or not key.strip():
            raise ValueError(f"entry {number} is not KEY=VALUE; allowed: KEY=VALUE,KEY=VALUE")
        pairs[key.strip()] = _percent_decoded(content.strip())
    return pairs


def headers(value: str) -> dict[str, str]:
    """``NAME=VALUE,NAME=VALUE`` (specification: OTLP exporter); names are tokens of RFC 9110."""
    pairs = key_values(value)
    for number, (name, content) in enumerate(pairs.items(), 1):
        if not all(c.isalnum() or c in "!#$%&'*+-.^_`|~" for c in name) or not name.isascii():
            raise ValueError(f"the name of entry {number} is no header name; allowed: NAME=VALUE,NAME=VALUE")
        # What http.client and gRPC can put on the wire: anything else would fail with every export.
        if not all(" " <= c <= "~" for c in content):
            raise ValueError(f"the value of entry {number} is not printable ASCII; allowed: NAME=VALUE,NAME=VALUE")
    return {name.lower(): content for name, content in pairs.items()}


def endpoint(value: str) -> str:
    """``http[s]://HOST[:PORT][/PATH]``, ``HOST:PORT`` (TLS then depends on ``insecure``), or ``unix:///PATH``."""
    scheme, found, rest = value.partition("://")
    if scheme == "unix" and rest.startswith("/"):
        return value
    if not found:
        scheme, rest = "", value
    authority = rest.partition("/")[0].rpartition("@")[2]
    host, colon, port = authority.rpartition(":")
    if not colon or authority.endswith("]"):  # no port; in brackets an IPv6 address
        host, colon, port = authority, "", ""
    wrong_host = not host or (":" in host and not (host[0] == "[" and host[-1] == "]"))
    wrong_port = colon and not (port.isascii() and port.isdigit() and len(port) < 6 and 0 < int(port) < 65536)  # noqa: PLR2004
    if scheme.lower() not in ("", "http", "https") or wrong_host or wrong_port or any(c.isspace() for c in value):
        raise ValueError("allowed: http://HOST:PORT, https://HOST:PORT or HOST:PORT, such as http://localhost:4318")
    if port in RETIRED_PORTS:
        raise ValueError(
            f"port {port} does not take OTLP; allowed: the OTLP port of the same back end, "
            f"such as http://{host}:{RETIRED_PORTS[port]}"
        )
    return value


def proxy(value: str) -> str:
    """``http://[USER:PASSWORD@]HOST:PORT``; the scheme may be left out."""
    url = value if "://" in value else f"http://{value}"
    if not url.lower().startswith("http://"):
        raise ValueError("allowed: http://HOST:PORT")
    endpoint(url)
    return url


def exporters(value: str) -> tuple[str, ...]:
    """A list of exporters; names off the built-in list are entry points, looked up where the program runs."""
    chosen = tuple(name.lower() if name.lower() in EXPORTERS else name for name in names(value))
    retired = [name for name in chosen if name.lower() in RETIRED_EXPORTERS]
    if retired:
        raise ValueError(
            f"the {retired[0]} exporter is gone from OpenTelemetry; allowed: otlp, which Jaeger takes on port 4318 "
            "and Zipkin through a Collector (such as OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:4318)"
        )
    if not chosen or (len(chosen) > 1 and "none" in chosen):
        raise ValueError("allowed: a list of " + ", ".join(EXPORTERS) + "; none stands alone")
    return chosen


def propagators(value: str) -> tuple[str, ...]:
    """A list of propagators; names off the built-in list are entry points, looked up where the program runs."""
    chosen = tuple(name.lower() if name.lower() in PROPAGATORS else name for name in names(value))
    if not chosen:
        raise ValueError("allowed: a list of " + ", ".join(PROPAGATORS))
    return tuple(dict.fromkeys(chosen))


def sampler(value: str) -> str:
    """``NAME`` or ``NAME:ARG``; a name off the built-in list is an entry point, looked up where the program runs."""
    name, _, argument = value.partition(":")
    if name.lower() in SAMPLERS and argument and name.lower().endswith("traceidratio"):
        try:
            ratio = float(argument)
        except ValueError:
            ratio = -1.0
        if not 0 <= ratio <= 1:
            raise ValueError("allowed: a ratio from 0.0 to 1.0")
    return value.lower() if name.lower() in SAMPLERS else value
