"""The lean span: to whoever looks at it, it is the SDK's."""

from __future__ import annotations

import itertools
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, sampling
from opentelemetry.sdk.trace import Span as SdkSpan
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    TraceState,
    set_span_in_context,
)

from tests.conftest import PYTHON, Runner
from tracerun.agent import boot, completion, lean, lean_span
from tracerun.agent.ids import PrivateIdGenerator
from tracerun.agent.provider import OurProvider
from tracerun.agent.succession import SUCCESSION
from tracerun.export import protobuf
from tracerun.export.lane import size_of
from tracerun.settings import Settings
from tracerun.values import SAMPLERS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from opentelemetry.context import Context


class Kept(SpanProcessor):
    """Stands for the pipeline and its processor."""

    def __init__(self) -> None:
        self.spans: list[ReadableSpan] = []
        self.own: set[int] | None = None

    def on_end(self, span: ReadableSpan) -> None:
        self.spans.append(span)

    take = on_end


class CountedIds(PrivateIdGenerator):
    """The same ids for both."""

    def __init__(self) -> None:
        super().__init__()
        self._spans, self._traces = itertools.count(1), itertools.count(1)

    def generate_id_bits(self) -> int:
        return self.generate_trace_id() << 64 | self.generate_span_id()

    def generate_span_id(self) -> int:
        return next(self._spans)

    def generate_trace_id(self) -> int:
        return next(self._traces)


@pytest.fixture(autouse=True)
def _as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    for state in (lean.LEAN, SUCCESSION, completion.COMPLETION):
        for name, value in vars(state).items():
            monkeypatch.setattr(state, name, value)
    monkeypatch.setattr(lean.LEAN, "pipeline", None)
    monkeypatch.setattr(boot.Process, "settings", Settings.from_env({}), raising=False)
    monkeypatch.setattr("opentelemetry.trace._TRACER_PROVIDER", None)
    monkeypatch.setattr("opentelemetry.trace._set_tracer_provider", None)  # not called here
    monkeypatch.setattr("tracerun.agent.lean.os", SimpleNamespace(getpid=os.getpid))  # which registers nothing


def made(
    kept: Kept, *, sampler: str = "parentbased_always_on", install: bool = True, ids: Any = None, **env: str
) -> Any:
    """A tracer of ours; with lean spans, if nothing speaks against them."""
    settings = Settings.from_env({"OTEL_TRACES_SAMPLER": sampler, **env})
    name, _, ratio = sampler.partition(":")
    known: Any = sampling._KNOWN_SAMPLERS[name]
    chosen = known(float(ratio)) if ratio else known

    def official(attributes: dict[str, Any], ids: Any) -> OurProvider:
        provider = OurProvider(sampler=chosen, resource=Resource(attributes), shutdown_on_exit=False, id_generator=ids)
        provider.add_span_processor(kept)
        return provider

    completion.COMPLETION.provider, completion.COMPLETION.make, lean.LEAN.tracers = None, None, {}
    trace._TRACER_PROVIDER = SUCCESSION.provider = None
    if not (install and lean.is_possible(settings)):
        return official({"a": "b"}, ids or CountedIds()).get_tracer("tracerun.requests", "1")
    lean.install(kept, settings, {"a": "b"}, ids or CountedIds(), official)  # type: ignore[arg-type]
    return lean.tracer_of("tracerun.requests", "1", None)


FAR = SpanContext(5, 6, True, TraceFlags(1), TraceState([("k", "v")]))
MANY = {f"key {number}": number for number in range(200)}
VALUES = ["text", 1, True, 1.5, ["a", "b"], ("a", None), b"bytes", {"a": 1}, None, object, [1, "mixed"], "\ud800"]


def _attributes_one_by_one(span: Any) -> None:
    for number, value in enumerate(VALUES):
        span.set_attribute(f"key {number}", value)
    span.set_attribute("", "no key")


def _raises(span: Any) -> None:
    with pytest.raises(ZeroDivisionError), span:
        1 / 0  # noqa: B018


OPERATIONS: dict[str, Callable[[Any], Any]] = {
    "nothing": lambda span: None,
    "attributes": _attributes_one_by_one,
    "names of attributes": lambda span: [span.set_attributes({1: "a", "b": 1}), span.set_attribute(2, "c")],
    "plain attributes at once": lambda span: [
        span.set_attributes({"url.full": "x", "b": 1}),
        span.set_attributes({"": 1, "c": 2}),
        span.set_attributes(MANY),
    ],
    "attributes at once": lambda span: span.set_attributes(dict(zip("abcdefghijkl", VALUES, strict=True))),
    "too many attributes": lambda span: [span.set_attribute(key, value) for key, value in MANY.items()],
    "an attribute again": lambda span: [span.set_attribute("url.full", value) for value in ("x", "y")],
    "events": lambda span: [span.add_event("event", {"n": n}, timestamp=n) for n in range(1, 200)],
    "links": lambda span: [span.add_link(FAR, {"n": n}) for n in range(200)],
    "a status": lambda span: span.set_status(Status(StatusCode.ERROR, "why")),
    "a status in two": lambda span: span.set_status(StatusCode.ERROR, "why"),
    "ok stays": lambda span: [span.set_status(code) for code in (StatusCode.OK, StatusCode.ERROR)],
    "another name": lambda span: span.update_name("other"),
    "an exception": lambda span: span.record_exception(ValueError("no"), {"more": 1}, timestamp=1),
    "an exception that passes": _raises,
    "after the end": lambda span: [
        span.end(7),
        span.set_attribute("late", 1),
        span.set_attributes({"late": 1}),
        span.update_name("late"),
        span.add_event("late"),
        span.set_status(StatusCode.ERROR),
        span.end(9),
    ],
}
FIRST: list[Any] = [
    None,
    {"url.full": "http://a/b?c", "server.port": 80},
    MANY,
    dict(zip("abcdefghijkl", VALUES, strict=True)),
]


def _encoded(span: Any) -> bytes:
    """As it is sent, with times that are always the same."""
    span._start_time, span._end_time = 1, 2
    for event in span.events:
        event._timestamp = 3
        event.attributes._immutable = False
        event.attributes.pop("exception.stacktrace", None)
    return protobuf.encode_span(span)


def _timeless(span: ReadableSpan) -> dict[str, Any]:
    events = [(event.name, dict(event.attributes or {}).keys()) for event in span.events]
    links = [(link.context, dict(link.attributes or {})) for link in span.links]
    dropped = (span.dropped_attributes, span.dropped_events, span.dropped_links)
    scope, resource = span.instrumentation_scope, span.resource
    return {
        "fields": (span.name, span.context, span.parent, span.kind, span.status.status_code, span.status.description),
        "attributes": dict(span.attributes or {}),
        "more": (events, links, dropped, scope, resource),
        "size": size_of(span),
        "encoded": _encoded(span),
    }


@pytest.mark.parametrize("first", range(len(FIRST)))
@pytest.mark.parametrize("name", OPERATIONS)
def test_as_the_sdks(name: str, first: int, caplog: pytest.LogCaptureFixture) -> None:
    """Whatever is done to it, it reads as the SDK's own does, which says the same in the log."""
    results = []
    for is_lean in (False, True):
        kept = Kept()
        caplog.clear()
        context = set_span_in_context(NonRecordingSpan(FAR))
        span = made(kept, install=is_lean).start_span("GET", context, SpanKind.CLIENT, FIRST[first])
        assert isinstance(span, lean_span.LeanSpan) is is_lean
        assert isinstance(span, SdkSpan)
        assert span.is_recording()
        OPERATIONS[name](span)
        if span.is_recording():
            span.end()
        (ended,) = kept.spans
        assert (ended.end_time or 0) >= (0 if name == "after the end" else ended.start_time or 0) > -1
        assert not span.is_recording()
        results.append((_timeless(ended), [record.getMessage() for record in caplog.records]))
    assert results[0] == results[1]


def _parents() -> Iterator[Context | None]:
    yield set_span_in_context(NonRecordingSpan(None))  # type: ignore[arg-type]
    yield set_span_in_context(NonRecordingSpan(SpanContext(0, 0, False)))
    for flags, state, remote in itertools.product((0, 1), (None, TraceState([("k", "v")])), (False, True)):
        context = SpanContext(2**128 - 7 * (flags + 1), 9, remote, TraceFlags(flags), state)
        yield set_span_in_context(NonRecordingSpan(context))


@pytest.mark.parametrize(
    "sampler",
    [
        *(name for name in SAMPLERS if "ratio" not in name),
        *(f"{name}:{ratio}" for name in SAMPLERS if "ratio" in name for ratio in ("0.0", "0.5", "1.0")),
    ],
)
def test_what_is_sampled(sampler: str) -> None:
    """The decision, the ids, the flags and the state are those of the SDK's samplers, for every kind of parent."""
    for parent in _parents():
        contexts = []
        for is_lean in (False, True):
            tracer = made(Kept(), sampler=sampler, install=is_lean)
            span = tracer.start_span("GET", parent)
            contexts.append((span.get_span_context(), span.is_recording(), type(span) is lean_span.LeanSpan))
        assert contexts[0][:2] == contexts[1][:2]
        assert contexts[1][2] is contexts[1][1]


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # since Python 3.12, where there are threads
def test_the_ids_of_what_is_not_sampled() -> None:
    """They are the same for all who ask, on any thread and on both sides of a fork; and children's traces are that."""
    tracer = made(Kept(), sampler="always_off")
    span = tracer.start_span("GET")
    reading, writing = os.pipe()
    forked = os.fork()
    if not forked:
        os.write(writing, str(span.get_span_context()).encode())
        os._exit(0)
    os.waitpid(forked, 0)
    together = threading.Barrier(8)

    def ask(_: int) -> Any:
        together.wait(20)
        return span.get_span_context()

    with ThreadPoolExecutor(8) as pool:
        own, *others = pool.map(ask, range(8))
    assert own.is_valid
    assert all(other is own for other in others)
    assert os.read(reading, 9999).decode() == str(own)
    os.close(reading)
    os.close(writing)
    child = tracer.start_span("GET", set_span_in_context(span)).get_span_context()
    assert (child.trace_id, child.span_id == own.span_id) == (own.trace_id, False)
    assert repr(span) == f"NonRecordingSpan({own!r})"


@pytest.mark.parametrize("sampler", ["always_on", "always_off", "parentbased_traceidratio:0.5"])
@pytest.mark.parametrize("flags", [0, 1])
def test_a_fork_past_python_shows_at_each_span(sampler: str, flags: int) -> None:
    """As uWSGI forks: whatever is decided of the first span, the process finds out that it is another one."""
    tracer = made(Kept(), sampler=sampler, ids=PrivateIdGenerator())
    seen: list[int] = []
    ids = lean.LEAN.ids

    def on_unseen_fork() -> None:
        seen.append(1)
        ids.reseed()

    ids.on_unseen_fork = on_unseen_fork
    parent = SpanContext(5, 6, True, TraceFlags(flags))
    for count, context in enumerate((None, set_span_in_context(NonRecordingSpan(parent))), 1):
        ids._mark[0] = 0  # as the kernel leaves it in a forked process
        tracer.start_span("GET", context)
        assert len(seen) == count


def test_threads_of_a_process_forked_past_python() -> None:
    """One of them sees to the fork, the others wait for it; none draws an id that the parent may draw."""
    ids = PrivateIdGenerator()
    before, seen, under_way, go_on = ids._bits, [], threading.Event(), threading.Event()

    def on_unseen_fork() -> None:
        seen.append(1)
        under_way.set()
        go_on.wait(20)
        ids.reseed()

    ids.on_unseen_fork = on_unseen_fork
    drawn: list[Any] = []

    def draw() -> None:
        ids.generate_id_bits()
        drawn.append(ids._bits)

    ids._mark[0] = 0
    threads = [threading.Thread(target=draw) for _ in range(4)]
    for thread in threads:
        thread.start()
    assert under_way.wait(20)
    assert drawn == []
    go_on.set()
    for thread in threads:
        thread.join(20)
    assert (len(seen), len(drawn), before in drawn) == (1, 4, False)


def test_the_mark_is_set_last(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever sees the mark, while another thread draws the new seed, draws from the new generator."""
    ids = PrivateIdGenerator()
    ids._mark[0] = 0
    marks: list[bool] = []

    def urandom(count: int) -> bytes:
        marks.append(bool(ids._mark[0]))
        return bytes(count)

    monkeypatch.setattr("tracerun.agent.ids.os.urandom", urandom)
    ids.reseed()
    assert (marks, bool(ids._mark[0])) == ([False], True)


def test_an_id_generator_of_the_programs(run: Runner, web: Any) -> None:
    """One that it puts into our provider makes the ids of all spans, as in any other provider."""
    program = run.program(
        "import sys, requests\nfrom opentelemetry import trace\n"
        "from opentelemetry.sdk.trace.id_generator import IdGenerator\n"
        "class Mine(IdGenerator):\n"
        "    def generate_span_id(self): return 7\n"
        "    def generate_trace_id(self): return 8\n"
        "trace.get_tracer_provider().id_generator = Mine()\nrequests.get(sys.argv[1])\n"
    )
    done = run.traced(PYTHON, program, web.url)
    assert (done.status, done.ours) == (0, []), done
    assert [(span.trace_id, span.span_id) for span in done.spans] == [(f"{8:032x}", f"{7:016x}")]


def test_the_size_of_somebody_elses_span() -> None:
    """Its attributes may be a dict too, and hold what a lean span's do not."""
    plain = ReadableSpan("a", attributes={"key": "text"})
    large = ReadableSpan("a", attributes={"key": ("text",) * 1000})
    assert size_of(large) > size_of(plain) + 60_000


def test_what_speaks_against_it() -> None:
    """Limits or links get the SDK's span, and so does everything after it is switched off."""
    assert type(made(Kept()).start_span("GET")) is lean_span.LeanSpan
    assert type(made(Kept(), OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT="3").start_span("GET")) is not lean_span.LeanSpan
    kept = Kept()
    tracer = made(kept)
    assert type(tracer.start_span("GET", links=[Link(FAR)])) is not lean_span.LeanSpan


def test_a_start_in_the_past() -> None:
    """A start time that is given is the span's, as it is the SDK's own span's."""
    for install in (True, False):
        span = made(Kept(), install=install).start_span("GET", start_time=1)
        assert (span.start_time, type(span) is lean_span.LeanSpan) == (1, install)


def test_a_processor_of_the_programs(run: Runner, web: Any) -> None:
    """From when it is added, it gets to see all spans, those that are open then among them."""
    program = run.program(
        "import sys, requests\nfrom opentelemetry import trace\nfrom opentelemetry.sdk.trace import SpanProcessor\n"
        "class Mine(SpanProcessor):\n"
        "    def on_start(self, span, parent_context=None): print('start', span.name)\n"
        "    def on_end(self, span): print('end', span.name, type(span).__name__)\n"
        "requests.get(sys.argv[1])\n"
        "trace.get_tracer_provider().add_span_processor(Mine())\n"
        "requests.get(sys.argv[1])\n"
    )
    done = run.traced(PYTHON, program, web.url)
    assert (done.status, done.out, done.err) == (0, "start GET\nend GET ReadableSpan\n", "")
    assert len(done.spans) == 2
