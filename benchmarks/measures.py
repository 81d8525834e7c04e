"""How each kind of row is measured: one run of one peer, which gives a sample."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

from benchmarks import instructions, load
from benchmarks.figures import BARE
from benchmarks.processes import Failed, answer, cpu_of, free_port, resident_of, serving, used

if TYPE_CHECKING:
    from collections.abc import Mapping

    from benchmarks.bench import Bench
    from benchmarks.environments import Environment
    from benchmarks.figures import Sample

Measure: TypeAlias = Callable[["Bench", "Environment", int], "Sample"]

_WORKERS = "benchmarks.workers"
_KIB_PER_MIB = 1024
_DELIVERY_SPANS = 100_000
_MEMORY_REQUESTS = 200_000


def start_up(code: str, *, receiver: bool = False) -> Measure:
    """A whole process that runs one line, the launcher's part included.

    Args:
        code: The line.
        receiver: Whether settings name one; else they are those of somebody who has set nothing.
    """

    def measure(bench: Bench, environment: Environment, turn: int) -> Sample:
        variables = environment.variables(bench.endpoint if receiver else "")
        usage = used(environment.command("-c", code), variables)
        sample = {"cpu_ms": usage.cpu_ms, "wall_ms": usage.wall_ms, "peak_mib": usage.peak_kib / _KIB_PER_MIB}
        # Once is enough: they hardly vary, and valgrind takes its time.
        if turn == 0 and (instructions.counter() == "perf" or not bench.quick):
            counted = instructions.count(environment, ["-c", code], variables)
            return sample if counted is None else {**sample, "instructions_m": counted}
        return sample

    return measure


def in_process(
    worker: str,
    *words: str,
    settings: str = "",
    program: Mapping[str, str] | None = None,
    counted: bool = False,
) -> Measure:
    """Requests that a worker makes to itself; what arrived for each is counted too.

    Args:
        worker: Its module.
        words: Its arguments; ``{port}`` is the port of the server that clients ask.
        settings: Which of the peer's settings are used beside its own: "unsampled" or "tracers".
        program: What the program itself needs in its environment.
        counted: Whether the instructions of a request are counted too.
    """

    def measure(bench: Bench, environment: Environment, turn: int) -> Sample:
        more = getattr(environment.peer, settings) or {} if settings else {}
        variables = environment.variables(bench.endpoint, {**more, **(program or {})})
        arguments = [word.replace("{port}", str(bench.web_port)) for word in words]
        bench.arrived()
        command = environment.command("-m", f"{_WORKERS}.{worker}", *arguments)
        sample = answer([*command, *bench.plan], variables)
        arrived = bench.arrived()
        if not arrived and environment.peer.name != BARE and settings != "unsampled":
            raise Failed("no span has arrived: it is not tracing that was measured")
        if counted and turn == 0 and not bench.quick and (count := instructions.per_request(command, variables)):
            sample["instructions_k"] = count
        return {**sample, "arrived": arrived}

    return measure


def served(words: Callable[[int], list[str]], connections: int = 4) -> Measure:
    """Requests over the network to a server in a process of its own."""

    def measure(bench: Bench, environment: Environment, turn: int) -> Sample:
        return _under_load(bench, environment, words, connections)

    return measure


def served_by_workers(words: Callable[[int, int], list[str]], counts: tuple[int, ...]) -> Measure:
    """The same by servers of several processes: of so many workers, on a port."""

    def measure(bench: Bench, environment: Environment, turn: int) -> Sample:
        sample: dict[str, float] = {}
        for count in counts:
            found = _under_load(bench, environment, partial(words, count), 4 * count)
            sample |= {f"{metric}@{count}": value for metric, value in found.items()}
        return sample

    return measure


def _under_load(
    bench: Bench, environment: Environment, words: Callable[[int], list[str]], connections: int
) -> dict[str, float]:
    port = free_port()
    seconds = 2.0 if bench.quick else 4.0
    with serving(environment.command(*words(port)), port, environment.variables(bench.endpoint)) as session:
        load.requests_per_second(port, "/hello", 1.0, connections)
        before = cpu_of(session)
        rate = load.requests_per_second(port, "/hello", seconds, connections)
        cpu, resident = cpu_of(session) - before, resident_of(session)
    return {"requests_per_s": rate, "cpu_us": cpu / (rate * seconds) * 1e6, "resident_mib": resident}


def encoder() -> Measure:
    """Encoding, without any launcher."""

    def measure(bench: Bench, environment: Environment, turn: int) -> Sample:
        name = "tracerun" if environment.peer.name == "tracerun" else "official"
        command = [environment.python, "-m", f"{_WORKERS}.encoding", name]
        return answer(command, environment.variables(bench.endpoint))

    return measure


def exit_with(receiver: str) -> Measure:
    """A process that makes one span, which nobody takes: ``refused`` or ``black_hole``."""

    def measure(bench: Bench, environment: Environment, turn: int) -> Sample:
        variables = environment.variables(getattr(bench, receiver))
        usage = used(environment.command("-m", f"{_WORKERS}.flask_app", "--once"), variables)
        return {"wall_s": usage.wall_ms / 1e3, "cpu_s": usage.cpu_ms / 1e3}

    return measure


def delivery() -> Measure:
    """A process that makes many spans at once: how many arrive, over the time from its start to its end."""

    def measure(bench: Bench, environment: Environment, turn: int) -> Sample:
        variables = environment.variables(bench.endpoint, environment.peer.tracers)
        bench.arrived()
        usage = used(environment.command("-m", f"{_WORKERS}.many_spans", str(_DELIVERY_SPANS)), variables)
        arrived = bench.arrived(settle=0.5)
        seconds = usage.wall_ms / 1e3
        return {"wall_s": seconds, "spans_per_s": arrived / seconds, "delivered": arrived / _DELIVERY_SPANS}

    return measure


def memory(program: Mapping[str, str]) -> Measure:
    """Resident memory while requests go out, each by a client object of its own."""

    def growing(requests: int) -> Measure:
        return in_process("new_connections", "--port", "{port}", "--objects", str(requests), program=program)

    whole, short = growing(_MEMORY_REQUESTS), growing(_MEMORY_REQUESTS // 10)

    def measure(bench: Bench, environment: Environment, turn: int) -> Sample:
        return (short if bench.quick else whole)(bench, environment, turn)

    return measure


def load_average() -> float:
    """Of the last minute."""
    return os.getloadavg()[0]
