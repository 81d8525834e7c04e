"""Every setting once: flag, variable, pyproject key, default, allowed values, secret or not.

Its text comes from ``environment``. Where something is set this module is on the target's start-up path, so it
imports nothing of the standard library, and parses only what is set.

Source: OpenTelemetry specification, "Environment Variable Specification" and "OTLP Exporter
Configuration"; ``TRACERUN_*`` exists only for what has no standard name.
"""

from tracerun import values as parse
from tracerun.environment import default_state_directory, environment

TYPE_CHECKING = False  # type checkers know the name; importing typing would cost every traced start-up
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import Any, Generic, TypeVar, overload

    T = TypeVar("T")
else:
    T = Any = None
    Generic = {None: object}  # makes ``Generic[T]`` plain ``object`` at run time

PROTOCOLS = ("http/protobuf", "http/json", "grpc")
CHILDREN = ("same", "all", "none")
COMPRESSIONS = ("none", "gzip")


EXCLUDED_URLS_OF = "OTEL_PYTHON_<LIBRARY>_EXCLUDED_URLS"
_OF_LIBRARY = EXCLUDED_URLS_OF.split("<LIBRARY>")


class Setting(Generic[T]):
    """One setting: how it is named everywhere, and what a value of it means.

    Args:
        variables: The environment variables that carry it, strongest first.
        parse: Gives the value of a variable's text; raises ``ValueError`` whose message is what is allowed.
        default: The value where nothing, or something wrong, is set.
        flag: The options of the command line, separated by commas; empty where there is none.
        metavar: What ``--help`` shows behind the option; empty for an on/off switch.
        help: One line for ``--help`` and docs/settings.md.
        secret: Whether the value must never be shown.
        multiple: Whether the option can be given several times (joined by commas in the variable).
    """

    __slots__ = ("default", "flag", "help", "metavar", "multiple", "name", "parse", "secret", "variables")

    def __init__(
        self,
        variables: str,
        parse: "Callable[[str], T]",
        default: T,
        *,
        flag: str = "",
        metavar: str = "",
        help: str = "",  # noqa: A002 - the word that click and argparse use
        secret: bool = False,
        multiple: bool = False,
    ) -> None:
        self.variables = variables.split()
        self.parse = parse
        self.default = default
        self.flag = flag
        self.metavar = metavar
        self.help = help
        self.secret = secret
        self.multiple = multiple
        self.name = ""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    if TYPE_CHECKING:

        @overload
        def __get__(self, instance: None, owner: type) -> "Setting[T]": ...
        @overload
        def __get__(self, instance: "Settings", owner: type) -> T: ...

    else:

        def __class_getitem__(cls, _: object) -> type:
            return cls

    def __get__(self, instance: "Settings | None", owner: type) -> "Any":
        return self if instance is None else instance.values.get(self.name, self.default)

    @property
    def key(self) -> str:
        """The key in ``[tool.tracerun]``: the long option without its dashes; empty where there is no option."""
        return self.flag.rpartition("--")[2]


class Settings:
    """The settings of one process, read from its environment.

    Attributes:
        values: What is set and right, by setting name.
        raw: The text of each variable that is set, by variable.
        problems: One line for each value that is wrong: variable, what is allowed, what is used instead.
    """

    service_name = Setting[str](
        "OTEL_SERVICE_NAME", parse.text, "", flag="-n,--service-name", metavar="NAME",
        help="Name of this service. [from the command]",
    )  # fmt: skip
    endpoint = Setting[str](
        "OTEL_EXPORTER_OTLP_ENDPOINT", parse.endpoint, "", flag="-e,--endpoint", metavar="URL",
        help="Where spans go. [local collector, or files]", secret=True,
    )  # fmt: skip
    traces_endpoint = Setting[str](
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
        parse.endpoint,
        "",
        help="The same for traces alone, used as it is.",
        secret=True,
    )
    protocol = Setting[str](
        "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL OTEL_EXPORTER_OTLP_PROTOCOL", parse.choice(*PROTOCOLS), "",
        flag="--protocol", metavar="NAME", help="http/protobuf, http/json or grpc. [by port]",
    )  # fmt: skip
    insecure = Setting[bool](
        "OTEL_EXPORTER_OTLP_TRACES_INSECURE OTEL_EXPORTER_OTLP_INSECURE", parse.boolean, False,
        flag="--insecure", help="No TLS where the endpoint has no scheme.",
    )  # fmt: skip
    headers = Setting["dict[str, str]"](
        "OTEL_EXPORTER_OTLP_TRACES_HEADERS OTEL_EXPORTER_OTLP_HEADERS", parse.headers, {},
        flag="-H,--header", metavar="NAME=VALUE", help="OTLP header; VALUE may be @FILE or env:VAR.",
        secret=True, multiple=True,
    )  # fmt: skip
    exporter = Setting["tuple[str, ...]"](
        "TRACERUN_EXPORTER OTEL_TRACES_EXPORTER", parse.exporters, ("auto",), flag="--exporter", metavar="LIST",
        help="[auto] otlp, file, tree, console, none",
    )  # fmt: skip
    resource = Setting["dict[str, str]"](
        "OTEL_RESOURCE_ATTRIBUTES", parse.key_values, {}, flag="--resource", metavar="KEY=VALUE",
        help="Resource attribute of every span.", multiple=True,
    )  # fmt: skip
    sampler = Setting[str](
        "OTEL_TRACES_SAMPLER", parse.sampler, "parentbased_always_on", flag="--sampler", metavar="NAME[:ARG]",
        help="[parentbased_always_on]",
    )  # fmt: skip
    sampler_argument = Setting[str](
        "OTEL_TRACES_SAMPLER_ARG", parse.text, "", help="The ratio of a traceidratio sampler."
    )
    propagators = Setting["tuple[str, ...]"](
        "OTEL_PROPAGATORS", parse.propagators, ("tracecontext", "baggage"), flag="--propagators", metavar="LIST",
        help="[tracecontext,baggage]",
    )  # fmt: skip
    only = Setting["tuple[str, ...]"](
        "TRACERUN_ONLY", parse.names, (), flag="--only", metavar="LIST", help="Trace these libraries and no others."
    )
    disable = Setting["tuple[str, ...]"](
        "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS", parse.names, (), flag="--disable", metavar="LIST",
        help="Do not trace these libraries.",
    )  # fmt: skip
    exclude_url = Setting["tuple[str, ...]"](
        "TRACERUN_EXCLUDE_URL", parse.url_paths, (), flag="--exclude-url", metavar="PATH",
        help="Leave out requests to PATH and below.", multiple=True,
    )  # fmt: skip
    root_span = Setting[bool](
        "TRACERUN_ROOT_SPAN", parse.boolean, False, flag="--root-span", help="One span around the whole run."
    )
    children = Setting[str](
        "TRACERUN_CHILDREN", parse.choice(*CHILDREN), "same", flag="--children", metavar="|".join(CHILDREN),
        help="Which child processes are traced. [same]",
    )  # fmt: skip
    # Not two: a program that ends beside a receiver that hangs is to take no more than that longer, all in all.
    exit_timeout = Setting[float](
        "TRACERUN_EXIT_TIMEOUT", parse.seconds, 1.8, flag="--exit-timeout", metavar="SECONDS",
        help="Budget for all flushing at exit. [1.8]",
    )  # fmt: skip
    report = Setting["bool | str"](
        "TRACERUN_REPORT", parse.report, False, flag="--report", help="Say what was traced. [variable: or FILE]"
    )
    also_file = Setting[bool](
        "TRACERUN_ALSO_FILE", parse.boolean, False, flag="--also-file", help="Keep the spans in files too."
    )
    strict = Setting[bool](
        "TRACERUN_STRICT", parse.boolean, False, flag="--strict", help="Refuse to start where a setting is wrong."
    )
    debug = Setting[bool](
        "TRACERUN_DEBUG", parse.boolean, False, flag="--debug", help="Say each decision as it is taken."
    )

    directory = Setting[str](
        "TRACERUN_DIR", parse.folder, "", help="Folder of the span files; $XDG_STATE_HOME/tracerun by default."
    )
    enabled = Setting[bool]("TRACERUN_ENABLED", parse.boolean, True, help="false: run the program untraced.")
    sdk_disabled = Setting[bool]("OTEL_SDK_DISABLED", parse.boolean, False, help="true: run the program untraced.")
    raise_errors = Setting[bool](
        "TRACERUN_RAISE_ERRORS", parse.boolean, False, help="For tracerun's own tests: an internal error is raised."
    )

    redact = Setting["tuple[str, ...]"](
        "TRACERUN_REDACT", parse.names, (), help="More keys of URL queries, and headers, whose values are hidden."
    )
    baggage_hosts = Setting["tuple[str, ...]"](
        "TRACERUN_BAGGAGE_HOSTS", parse.names, (),
        help="The only hosts that baggage is sent to, such as shop.example or *.internal. [all]",
    )  # fmt: skip
    excluded_urls = Setting["tuple[str, ...]"](
        "OTEL_PYTHON_EXCLUDED_URLS", parse.names, (),
        help="Regular expressions; requests whose URL has a match are left out.",
    )  # fmt: skip
    excluded_urls_of = Setting[Any](
        EXCLUDED_URLS_OF, parse.names, {}, help="The same for one library, in place of those for all."
    )
    excluded_services = Setting["tuple[str, ...]"](
        "OTEL_PYTHON_GRPC_EXCLUDED_SERVICES", parse.names, (), help="gRPC services whose calls are left out."
    )
    capture_server_request = Setting["tuple[str, ...]"](
        "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_REQUEST", parse.names, (),
        help="Headers of incoming requests (regular expressions) that become attributes; gRPC metadata too.",
    )  # fmt: skip
    capture_server_response = Setting["tuple[str, ...]"](
        "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_RESPONSE", parse.names, (), help="The same of the answers."
    )  # fmt: skip
    capture_client_request = Setting["tuple[str, ...]"](
        "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_CLIENT_REQUEST", parse.names, (), help="The same, outgoing."
    )  # fmt: skip
    capture_client_response = Setting["tuple[str, ...]"](
        "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_CLIENT_RESPONSE", parse.names, (), help="The same of their answers."
    )  # fmt: skip
    known_methods = Setting["tuple[str, ...]"](
        "OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS", parse.names, (),
        help="HTTP methods that spans name, in place of the usual ones; others are _OTHER.",
    )  # fmt: skip
    sanitize_fields = Setting["tuple[str, ...]"](
        "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SANITIZE_FIELDS", parse.names, (),
        help="Headers (regular expressions) that become attributes without their values; credentials always do.",
    )  # fmt: skip

    timeout = Setting[float](
        "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT OTEL_EXPORTER_OTLP_TIMEOUT", parse.otlp_timeout, 10.0,
        help="Milliseconds for one OTLP request; a number below 100 is read as seconds, as the Python SDK does.",
    )  # fmt: skip
    http_proxy = Setting[str]("http_proxy", parse.proxy, "", help="Proxy for http:// receivers.", secret=True)
    https_proxy = Setting[str]("https_proxy HTTPS_PROXY", parse.proxy, "", help="For https:// ones.", secret=True)
    no_proxy = Setting["tuple[str, ...]"](
        "no_proxy NO_PROXY", parse.names, (), help="Hosts that are reached without a proxy; this machine always is."
    )
    compression = Setting[str](
        "OTEL_EXPORTER_OTLP_TRACES_COMPRESSION OTEL_EXPORTER_OTLP_COMPRESSION", parse.choice(*COMPRESSIONS), "none",
        help="none or gzip.",
    )  # fmt: skip
    certificate = Setting[str](
        "OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE OTEL_EXPORTER_OTLP_CERTIFICATE", parse.path, "",
        help="PEM file of the certificate authorities to trust.",
    )  # fmt: skip
    client_certificate = Setting[str](
        "OTEL_EXPORTER_OTLP_TRACES_CLIENT_CERTIFICATE OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", parse.path, "",
        help="PEM file of the client's certificate chain.",
    )  # fmt: skip
    client_key = Setting[str](
        "OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY OTEL_EXPORTER_OTLP_CLIENT_KEY", parse.path, "",
        help="PEM file of the client's private key.",
    )  # fmt: skip
    schedule_delay = Setting["float | None"](
        "OTEL_BSP_SCHEDULE_DELAY", parse.milliseconds, None, help="Milliseconds between two exports; 1000 by default."
    )
    max_queue_size = Setting[int](
        "OTEL_BSP_MAX_QUEUE_SIZE",
        parse.whole_number(1),
        20_000,
        help="Spans that may wait for export; 20000 by default.",
    )
    max_queue_bytes = Setting[int](
        "TRACERUN_MAX_QUEUE_BYTES",
        parse.whole_number(1),
        64 * 1024 * 1024,
        help="About how much memory the spans that wait may take; 64 MiB by default.",
    )
    max_export_batch_size = Setting["int | None"](
        "OTEL_BSP_MAX_EXPORT_BATCH_SIZE", parse.whole_number(1), None,
        help="Spans in one export; 512 by default, and more where many wait.",
    )  # fmt: skip
    export_timeout = Setting["float | None"](
        "OTEL_BSP_EXPORT_TIMEOUT", parse.milliseconds, None, help="Milliseconds for one export with its retries."
    )

    # Read by the SDK itself, when it is imported: a wrong one would raise there.
    span_attribute_count = Setting["int | None"](
        "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", parse.whole_number(0), None, help="Attributes of a span; 128 by default."
    )
    span_attribute_length = Setting["int | None"](
        "OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", parse.whole_number(0), None, help="Length of a span attribute."
    )
    attribute_count = Setting["int | None"](
        "OTEL_ATTRIBUTE_COUNT_LIMIT", parse.whole_number(0), None, help="Attributes of anything; 128 by default."
    )
    attribute_length = Setting["int | None"](
        "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", parse.whole_number(0), None, help="Length of any attribute."
    )
    event_count = Setting["int | None"](
        "OTEL_SPAN_EVENT_COUNT_LIMIT", parse.whole_number(0), None, help="Events of a span; 128 by default."
    )
    event_attribute_count = Setting["int | None"](
        "OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT", parse.whole_number(0), None, help="Attributes of an event; 128 by default."
    )
    link_count = Setting["int | None"](
        "OTEL_SPAN_LINK_COUNT_LIMIT", parse.whole_number(0), None, help="Links of a span; 128 by default."
    )
    link_attribute_count = Setting["int | None"](
        "OTEL_LINK_ATTRIBUTE_COUNT_LIMIT", parse.whole_number(0), None, help="Attributes of a link; 128 by default."
    )

    # Set by the traced process that has started this one, or by a CI system.
    traceparent = Setting[str](
        "TRACEPARENT", parse.text, "", help="Parent of spans that would have none, but not of requests served."
    )
    tracestate = Setting[str]("TRACESTATE", parse.text, "", help="Belongs to TRACEPARENT (W3C Trace Context).")

    # What asks for more than traces: the official configurator does the whole set-up then.
    config_file = Setting[str]("OTEL_CONFIG_FILE", parse.path, "", help="Declarative configuration file.")
    configurator = Setting[str]("OTEL_PYTHON_CONFIGURATOR", parse.text, "", help="Configurator by entry point name.")
    id_generator = Setting[str]("OTEL_PYTHON_ID_GENERATOR", parse.text, "", help="Id generator by entry point name.")
    metrics_exporter = Setting["tuple[str, ...]"]("OTEL_METRICS_EXPORTER", parse.names, (), help="[none]")
    logs_exporter = Setting["tuple[str, ...]"]("OTEL_LOGS_EXPORTER", parse.names, (), help="[none]")
    resource_detectors = Setting["tuple[str, ...]"](
        "OTEL_EXPERIMENTAL_RESOURCE_DETECTORS", parse.names, (), help="Resource detectors by entry point name."
    )
    context = Setting[str]("OTEL_PYTHON_CONTEXT", parse.text, "", help="Context implementation by entry point name.")

    # Set by the launcher and the agent for the processes below, never by a user.
    launcher_pid = Setting["int | None"]("TRACERUN_PID", parse.whole_number(1), None)
    target = Setting[str]("TRACERUN_TARGET", parse.text, "")
    run = Setting[str]("TRACERUN_RUN", parse.text, "")
    site = Setting[str]("TRACERUN_SITE", parse.text, "")

    __slots__ = ("default_directory", "problems", "raw", "values")

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}
        self.raw: dict[str, str] = {}
        self.problems: list[str] = []
        # Found now: programs change HOME.
        self.default_directory = default_state_directory()

    @classmethod
    def from_env(cls, env: "Mapping[str, str] | None" = None) -> "Settings":
        """The settings of an environment, this process's own by default. Never raises for a wrong value."""
        settings = cls()
        env = environment() if env is None else env
        get = env.get
        for setting in TABLE:
            found = [(variable, (get(variable) or "").strip()) for variable in setting.variables]
            # Specification: an empty value is the same as an unset variable.
            settings._read(setting, [(variable, value) for variable, value in found if value])
        settings._read_of_libraries(env)
        settings._check_together()
        return settings

    def _read(self, setting: "Setting[Any]", found: list[tuple[str, str]]) -> None:
        """Takes the strongest right value of a setting; the wrong ones are problems, wherever they stand."""
        wrong, used = [], ""
        for variable, value in found:
            self.raw[variable] = value
            try:
                parsed = setting.parse(value)
            except ValueError as error:
                wrong.append(f"{variable if setting.secret else f'{variable}={value}'}: {error}")
            else:
                if not used:
                    used = variable
                    self.values[setting.name] = parsed
        instead = f"using {used}" if used else _instead(setting)
        self.problems += [f"{line}; {instead}" for line in wrong]

    def _read_of_libraries(self, env: "Mapping[str, str]") -> None:
        """The variables with a library's name in them; names are in lower case, as the catalogue has them."""
        start, end = _OF_LIBRARY
        found = {}
        for variable in env:
            if variable.startswith(start) and variable.endswith(end) and len(variable) > len(start) + len(end):
                patterns = parse.names(env[variable])
                if patterns:
                    found[variable[len(start) : -len(end)].lower()] = patterns
                    self.raw[variable] = env[variable].strip()
        self.values.pop("excluded_urls_of", None)
        if found:
            self.values["excluded_urls_of"] = found

    def _check_together(self) -> None:
        """The ratio belongs to the sampler: only together can one say what is wrong."""
        name, argument = self.sampler, self.sampler_argument
        if ":" in name:
            name, _, argument = name.partition(":")
        if argument and name in parse.SAMPLERS:
            try:
                parse.sampler(f"{name}:{argument}")
            except ValueError as wrong:
                self.problems.append(f"OTEL_TRACES_SAMPLER_ARG={argument}: {wrong}; using 1.0")
                self.values.pop("sampler_argument", None)

    def to_env(self) -> dict[str, str]:
        """The variables that make these settings: ``Settings.from_env(s.to_env()) == s``."""
        return dict(self.raw)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Settings) and (self.values, self.problems) == (other.values, other.problems)

    def __hash__(self) -> int:
        return hash(tuple(sorted(self.raw.items())))

    @property
    def off(self) -> str:
        """Why nothing is traced at all, as the variable that says so; empty where tracing is on."""
        if not self.enabled:
            return f"TRACERUN_ENABLED={self.raw['TRACERUN_ENABLED']}"
        return f"OTEL_SDK_DISABLED={self.raw['OTEL_SDK_DISABLED']}" if self.sdk_disabled else ""

    @property
    def asks_for_official_setup(self) -> list[str]:
        """The variables that ask for what the official configurator has and we have not."""
        more = {
            "OTEL_CONFIG_FILE": self.config_file,
            "OTEL_PYTHON_CONFIGURATOR": self.configurator,
            "OTEL_PYTHON_ID_GENERATOR": self.id_generator,
            "OTEL_METRICS_EXPORTER": set(self.metrics_exporter) - {"none"},
            "OTEL_LOGS_EXPORTER": set(self.logs_exporter) - {"none"},
        }
        return [variable for variable, value in more.items() if value]

    @property
    def unreadable_for_sdk(self) -> list[str]:
        """Variables that the official packages would trip over, or scan entry points for, when imported."""
        wrong = [line.partition(":")[0].partition("=")[0] for line in self.problems]
        return [name for name in (*wrong, "OTEL_PROPAGATORS") if name in self.raw]

    @property
    def state_directory(self) -> str:
        """The folder of the span files: ``TRACERUN_DIR``, else the XDG state folder; empty without a home."""
        return self.directory or self.default_directory


def _instead(setting: "Setting[Any]") -> str:
    default = setting.default
    if isinstance(default, tuple):
        default = ",".join(default)
    elif isinstance(default, bool):
        default = str(default).lower()
    return f"using {default}" if default not in ("", None, {}) else "ignored"


TABLE: "tuple[Setting[Any], ...]" = tuple(value for value in vars(Settings).values() if isinstance(value, Setting))


def flagged() -> "Iterator[Setting[Any]]":
    """The settings that have an option, in the order of ``--help``."""
    return (setting for setting in TABLE if setting.flag)
