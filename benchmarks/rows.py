"""The table of what is measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from benchmarks import measures
from benchmarks.figures import Form
from benchmarks.goals import GOALS, Goal
from benchmarks.peers import DDTRACE, DELIVERING, EVERYONE, TRACERUN, UPSTREAM

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.measures import Measure

ROUNDS = 5
# What differs little between rounds, or takes long.
FEW, ONE = 3, 1


@dataclass(frozen=True)
class Figure:
    """One line of the tables.

    Attributes:
        title: What it is.
        metric: Which key of the samples.
        form: How samples become the figure.
        unit: Of the metric.
        against: For a growth, the metric that it is held against.
    """

    title: str
    metric: str
    form: Form
    unit: str = ""
    against: str = ""


@dataclass(frozen=True)
class Row:
    """One thing that is measured, and the figures made of it.

    Attributes:
        name: For ``--rows`` and in the results.
        group: The heading it stands under.
        measure: One run of one peer.
        figures: The first one is the headline.
        peers: Who takes part.
        rounds: At most so many.
        quick: How many in ``--quick``; none where it is not among the headlines.
    """

    name: str
    group: str
    measure: Measure
    figures: Sequence[Figure]
    peers: Sequence[str] = DELIVERING
    rounds: int = ROUNDS
    quick: int = 0

    def goal(self, figure: Figure) -> Goal | None:
        """What the figure is to reach."""
        return GOALS.get((self.name, figure.metric)) if figure.form != "growth" else None


def _start(name: str, title: str, code: str, *, receiver: bool = False, quick: int = 0) -> Row:
    figures = [
        Figure(f"{title}, CPU", "cpu_ms", "ratio", "ms"),
        Figure(f"{title}, wall", "wall_ms", "ratio", "ms"),
        Figure(f"{title}, instructions", "instructions_m", "ratio", "M"),
        Figure(f"{title}, peak memory", "peak_mib", "value", "MiB"),
    ]
    return Row(name, "Start-up", measures.start_up(code, receiver=receiver), figures, EVERYONE, rounds=10, quick=quick)


def _request(
    name: str, title: str, worker: str, *words: str, peers: Sequence[str] = DELIVERING, quick: int = 0, **more: Any
) -> Row:
    figures = [
        Figure(f"{title}, CPU", "cpu_us", "added", "µs"),
        Figure(f"{title}, wall", "wall_us", "added", "µs"),
        Figure(f"{title}, instructions", "instructions_k", "added", "k"),
    ]
    measure = measures.in_process(worker, *words, counted=True, **more)
    return Row(name, "Requests", measure, figures, peers, quick=quick)


def _client(name: str, **more: Any) -> Row:
    url = "http://127.0.0.1:{port}/hello"
    return _request(name, f"{name} request", "clients", "--client", name, "--url", url, **more)


def _throughput(name: str, title: str, *words: str, quick: int = 0) -> Row:
    figures = [
        Figure(f"{title}, requests/s", "requests_per_s", "ratio", "/s"),
        Figure(f"{title}, CPU of a request", "cpu_us", "added", "µs"),
        Figure(f"{title}, memory under load", "resident_mib", "value", "MiB"),
    ]
    measure = measures.served(lambda port: [word.replace("{port}", str(port)) for word in words])
    return Row(name, "Under a server", measure, figures, quick=quick)


def _sweep(name: str, title: str, sizes: tuple[int, ...], measure: Measure, *, growing: bool = True) -> Row:
    """The same at several sizes; the growth is of what tracing adds, where that should have none."""
    figures = [Figure(f"{title.format(f'{size:,}')}, CPU", f"cpu_us@{size}", "added", "µs") for size in sizes]
    smallest, largest = f"cpu_us@{sizes[0]}", f"cpu_us@{sizes[-1]}"
    growth = Figure(f"{title.format(f'{sizes[-1]:,} against {sizes[0]}')}, growth", largest, "growth", "", smallest)
    return Row(name, "Scale", measure, [*figures, growth] if growing else figures, rounds=FEW)


def _sizes(option: str, sizes: tuple[int, ...]) -> tuple[str, ...]:
    return (option, *map(str, sizes))


_STEPS, _THREADS, _MANY, _WORKERS = (1, 10, 100), (1, 4, 16, 64), (10, 1_000, 10_000), (1, 8)
_UVICORN = ("-m", "uvicorn", "benchmarks.workers.fastapi_app:app", "--no-access-log", "--log-level", "warning")
# OpenTelemetry's instrumentor wants it before the program's first line.
_DJANGO = {"DJANGO_SETTINGS_MODULE": "benchmarks.workers.django_settings"}
# Off in ddtrace unless this is said.
_URLLIB3 = {"DD_TRACE_URLLIB3_ENABLED": "true"}
# It has nothing for these libraries, or nothing without code.
_WITHOUT_DDTRACE = tuple(name for name in DELIVERING if name != DDTRACE.name)

ROWS = (
    _start("pass", "`python -c pass`", "pass", quick=2),
    _start("pass to receiver", "`python -c pass`, a receiver named", "pass", receiver=True),
    _start(
        "flask start",
        '`import flask, requests; flask.Flask("a")`',
        "import flask, requests; flask.Flask('a')",
        quick=2,
    ),
    _start("fastapi start", "`import fastapi, httpx`", "import fastapi, httpx"),
    _start("grpc start", "`import grpc`", "import grpc"),
    _request("flask", "Flask request", "flask_app", quick=2),
    _request("fastapi", "FastAPI request", "fastapi_app", quick=2),
    _request("django", "Django request", "django_app", program=_DJANGO),
    _request("aiohttp.web", "aiohttp.web request", "aiohttp_app", peers=_WITHOUT_DDTRACE),
    _request("grpc", "gRPC unary call, both sides", "grpc_calls", quick=2),
    _request("grpc.aio", "grpc.aio unary call, both sides", "grpc_aio_calls"),
    _client("requests"),
    _client("httpx"),
    _client("httpx-async"),
    _client("urllib3", program=_URLLIB3),
    _client("urllib", peers=_WITHOUT_DDTRACE),
    _client("aiohttp"),
    _request("unsampled", "Flask request, unsampled", "flask_app", quick=2, settings="unsampled"),
    _throughput(
        "waitress",
        "Flask under waitress",
        *("-m", "waitress", "--listen=127.0.0.1:{port}", "benchmarks.workers.flask_app:app"),
        quick=1,
    ),
    _throughput("uvicorn", "FastAPI under uvicorn", *_UVICORN, "--port", "{port}"),
    Row(
        "encode",
        "Export",
        measures.encoder(),
        [Figure("one span encoded for OTLP", "cpu_us", "value", "µs")],
        (TRACERUN.name, UPSTREAM.name),
        FEW,
        quick=1,
    ),
    Row(
        "delivery",
        "Export",
        measures.delivery(),
        [
            Figure("100,000 spans at once, delivered of them", "delivered", "value"),
            Figure("100,000 spans at once, delivered in a second", "spans_per_s", "value", "/s"),
        ],
        DELIVERING[1:],
        FEW,
    ),
    Row(
        "exit refused",
        "Export",
        measures.exit_with("refused"),
        [Figure("exit with 1 span, receiver refuses", "wall_s", "added", "s")],
        EVERYONE,
        FEW,
        quick=1,
    ),
    Row(
        "exit black hole",
        "Export",
        measures.exit_with("black_hole"),
        [Figure("exit with 1 span, receiver never answers", "wall_s", "added", "s")],
        DELIVERING,
        FEW,
    ),
    _sweep(
        "spans",
        "Flask request, spans of the program's own: {}",
        _STEPS,
        measures.in_process("flask_app", *_sizes("--spans", _STEPS), settings="tracers"),
        growing=False,
    ),
    _sweep(
        "threads",
        "Flask request, threads: {}",
        _THREADS,
        measures.in_process("flask_app", *_sizes("--threads", _THREADS)),
    ),
    _sweep(
        "routes",
        "Flask request, routes: {}",
        _MANY,
        measures.in_process("flask_app", *_sizes("--routes", _MANY)),
    ),
    _sweep(
        "hosts",
        "urllib3 request, hosts: {}",
        _MANY,
        measures.in_process("new_connections", "--port", "{port}", *_sizes("--hosts", _MANY), program=_URLLIB3),
    ),
    _sweep(
        "workers",
        "FastAPI under uvicorn, workers: {}",
        _WORKERS,
        measures.served_by_workers(
            lambda count, port: [*_UVICORN, "--port", str(port), "--workers", str(count)], _WORKERS
        ),
    ),
    Row(
        "memory",
        "Memory",
        measures.memory(_URLLIB3),
        [
            Figure(
                "growth over nine in ten of 200,000 requests, each by a new client object", "growth_mib", "value", "MiB"
            )
        ],
        DELIVERING,
        ONE,
    ),
)
