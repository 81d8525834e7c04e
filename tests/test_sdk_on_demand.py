"""The SDK, which is loaded once somebody asks for more than our own spans are: what asks for it, and what does not."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import PYTHON, TRACERUN

if TYPE_CHECKING:
    from tests.conftest import Runner

# A request around each operation, of a program that knows the API alone; what it prints says whether the SDK is there.
PROGRAM = """
import sys
from wsgiref.util import setup_testing_defaults
import flask
from opentelemetry import trace
from opentelemetry.trace import Link, SpanContext, Status, StatusCode, TraceFlags
app = flask.Flask("shop")
FAR = SpanContext(5, 6, True, TraceFlags(1))
def operate(span):
    pass
exec(sys.argv[1])
@app.route("/<name>")
def answer(name):
    operate(trace.get_current_span())
    return name
@app.route("/fails/<name>")
def fail(name):
    operate(trace.get_current_span())
    raise ValueError("no " + name)
app.logger.disabled = True
client = app.test_client()
client.get("/a?b=c")
client.get("/fails/b")
print("opentelemetry.sdk.trace" in sys.modules)
"""
# Of each: what is done, and whether that needs the SDK.
OPERATIONS = {
    "nothing": ("", False),
    "attributes": ("span.set_attribute('a', 1); span.set_attributes({'b': 'x', 'c': True})", False),
    "lists": ("span.set_attribute('a', ['x', 'y']); span.set_attributes({'b': (1, 2), 'c': [1.5]})", False),
    "no attributes": ("span.set_attribute('', 1); span.set_attributes({'': 1, 'b': 2})", False),
    "no attributes of events": ("span.add_event('first', {'': 1, 'b': 2})", False),
    "many attributes": ("[span.set_attribute(f'key {n}', n) for n in range(200)]", False),
    "events": ("span.add_event('first'); span.add_event('second', {'a': 1}); span.add_event('at', None, 7)", False),
    "events with lists": ("span.add_event('first', {'a': 1}); span.add_event('second', {'a': [1, 2]})", False),
    "a status and a text": ("span.set_status(Status(StatusCode.ERROR, 'why'), 'ignored')", True),
    "a status that is none": ("span.set_status('bad'); span.set_status(StatusCode.UNSET, 'why')", True),
    "many events": ("[span.add_event(f'event {n}', {'n': n}) for n in range(200)]", True),
    "an exception": ("span.record_exception(KeyError('why'), {'more': 1}, escaped=True)", False),
    "a status": ("span.set_status(Status(StatusCode.ERROR, 'why'))", False),
    "a status in two": ("span.set_status(StatusCode.ERROR, 'why')", False),
    "ok stays": ("span.set_status(Status(StatusCode.OK)); span.set_status(Status(StatusCode.ERROR))", False),
    "a name": ("span.update_name('other')", False),
    "a link": ("span.add_event('first', {'a': 1}); span.add_link(FAR, {'b': 2})", True),
    "asked what it is": (
        """print(span.is_recording(), span.name, span.kind, span.parent, span.status.status_code, span.end_time,
        dict(span.attributes)["http.request.method"], span.dropped_events, span.links,
        span.context == span.get_span_context())""",
        False,
    ),
    "asked for its events": (
        "span.add_event('first', {'a': 1}, 7); print([(e.name, e.attributes['a'], e.timestamp) for e in span.events])",
        True,
    ),
    "printed": ("import json; print(json.loads(span.to_json())['attributes'])", True),
    "attributes changed while they are read": (
        """for key in span.attributes: span.set_attribute(key, "hidden")
    for key, value in span.attributes.items(): span.set_attribute("copy." + key, value)
    view = span.attributes
    span.set_attributes(view)
    span.set_attribute("late", [1])
    print("late" in view)""",
        False,
    ),
    "an exception with a trace of its own": (
        "span.record_exception(KeyError('why'), {'exception.stacktrace': 'short', 'more': 1})",
        False,
    ),
    "asked who it is": (
        "print(span.instrumentation_scope, span.resource == trace.get_tracer_provider().resource)",
        True,
    ),
    "its resource used": ("print(span.resource.merge(span.resource).attributes['telemetry.sdk.language'])", True),
    "used as a context manager": (
        "span.add_event('a')\n    try:\n        with span: 1 / 0\n    except ZeroDivisionError: pass",
        True,  # which warns of what we say of the span after its end
    ),
    "a span of its own": (
        "with trace.get_tracer('own').start_as_current_span('inner') as own: own.set_attribute('a', (1,))",
        True,
    ),
    "the SDK imported": (
        """from opentelemetry.sdk.trace import ReadableSpan, Span, TracerProvider
    print(isinstance(span, Span), isinstance(span, ReadableSpan), isinstance(span, trace.Span))
    from opentelemetry.sdk.trace.id_generator import IdGenerator
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope
    provider = trace.get_tracer_provider()
    print(isinstance(provider, TracerProvider), isinstance(provider.id_generator, IdGenerator))
    print(isinstance(span.instrumentation_scope, InstrumentationScope), span._readable_span().instrumentation_scope)
    span.add_event("late", {"a": (1, 2)})""",
        True,
    ),
    "ended twice": ("span.set_attribute('a', 1); span.end(); span.end(); span.set_attribute('b', 1)", True),
}
# The standard limits; whoever names one gets the SDK's own spans from the start.
OFFICIAL = {"OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT": "128"}

CHANGING = [
    "service.instance.id",
    "process.pid",
    "traceId",
    "spanId",
    "parentSpanId",
    "startTimeUnixNano",
    "endTimeUnixNano",
]


def _exported(run: Runner) -> list[Any]:
    """All that was sent, but for what differs from run to run."""
    found: list[Any] = []
    for path in sorted(run.state.glob("*.jsonl")):
        found.extend(json.loads(line) for line in path.read_bytes().splitlines() if line.startswith(b"{"))
        path.unlink()
    return [_lasting(request) for request in found]


def _lasting(value: Any) -> Any:
    if isinstance(value, list):
        return [_lasting(item) for item in value if not (isinstance(item, dict) and item.get("key") in CHANGING)]
    if not isinstance(value, dict):
        return value
    kept = {key: _lasting(item) for key, item in value.items() if key not in CHANGING}
    if len(value.get("timeUnixNano", "")) > len("7"):  # not one that the program gives
        del kept["timeUnixNano"]
    return kept


@pytest.mark.parametrize("name", OPERATIONS)
def test_as_with_the_sdk(run: Runner, name: str) -> None:
    """Whatever a program does with our span, it is sent as the SDK's own would be, which is loaded only if it must."""
    done, needed = OPERATIONS[name]
    results = []
    for env in ({}, OFFICIAL):
        words = (PYTHON, run.program(PROGRAM), "def operate(span):\n    " + (done or "pass"))
        ended = run.traced(*words, env=env)
        *shown, loaded = ended.out.splitlines()
        assert (ended.status, ended.slugs) == (0, ["spans-kept"]), ended
        assert loaded == str(needed or bool(env))
        results.append((shown, sorted(ended.theirs.splitlines()), _exported(run)))
    assert results[0] == results[1]
    assert "resourceSpans" in results[0][2][0]


LATE = """
import sys, threading
sys.setswitchinterval(1e-5)
import requests
requests.get(sys.argv[1])
assert "opentelemetry.sdk.trace" not in sys.modules
def ask(way):
    if way % 2:
        import opentelemetry.sdk.trace
    from opentelemetry import trace
    requests.get(sys.argv[1])
    with trace.get_tracer(f"own {way}").start_as_current_span("own"):
        requests.get(sys.argv[1])
threads = [threading.Thread(target=ask, args=(way,)) for way in range(8)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
"""


def test_many_ask_at_once(run: Runner, web: Any) -> None:
    """Threads that import the SDK and threads that ask for tracers, all at once: each has its spans."""
    done = run.traced(PYTHON, run.program(LATE), web.url)
    assert (done.status, done.err) == (0, ""), done
    assert len(done.spans) == 1 + 8 * 3
    own = {span.span_id: span for span in done.spans if span.name == "own"}
    inner = [span for span in done.spans if span.parent_id in own]
    assert len(own) == len(inner) == 8
    assert {span.service for span in done.spans} == {"app"}


FORKING = """
import os, sys
import requests
os.register_at_fork(after_in_child=lambda: requests.get(sys.argv[1]))
requests.get(sys.argv[1])
if not os.fork():
    requests.get(sys.argv[1])
    from opentelemetry import trace
    print(trace.get_tracer_provider().resource.attributes["process.pid"] == os.getpid(), flush=True)
    requests.get(sys.argv[1])
    sys.exit()
os.wait()
requests.get(sys.argv[1])
assert "opentelemetry.sdk.trace" not in sys.modules
"""


def test_a_fork_before_it(run: Runner, web: Any) -> None:
    """The child has ids and a resource of its own, and keeps them once the SDK is loaded."""
    done = run.traced(PYTHON, run.program(FORKING), web.url)
    assert (done.status, done.out, done.theirs) == (0, "True\n", ""), done
    assert len({span.trace_id for span in done.spans}) == len({span.span_id for span in done.spans}) == 5
    by_process: dict[str, int] = {}
    for request in _requests(run):
        (resource,) = request["resourceSpans"]
        (instance,) = [
            attribute["value"]["stringValue"]
            for attribute in resource["resource"]["attributes"]
            if attribute["key"] == "service.instance.id"
        ]
        by_process[instance] = by_process.get(instance, 0) + sum(len(part["spans"]) for part in resource["scopeSpans"])
    assert sorted(by_process.values()) == [2, 3]


def _requests(run: Runner) -> list[Any]:
    paths = sorted(run.state.glob("*.jsonl"))
    lines = [line for path in paths for line in path.read_bytes().splitlines()]
    return [json.loads(line) for line in lines if line.startswith(b"{")]


SUCCESSOR = """
import sys, flask, requests
from opentelemetry import trace
app = flask.Flask("shop")
@app.route("/<path>")
def answer(path):
    requests.get(sys.argv[1])
    return path
class Tracer(trace.NoOpTracer):
    def start_span(self, name, context=None, *args, **kwargs):
        print("start", name, trace.get_current_span(context).get_span_context().trace_id)
        return super().start_span(name, context, *args, **kwargs)
class Provider(trace.TracerProvider):
    def get_tracer(self, name, *args, **kwargs):
        print("tracer", name)
        return Tracer()
requests.get(sys.argv[1])
trace.set_tracer_provider(Provider())
requests.get(sys.argv[1])
print("opentelemetry.sdk.trace" in sys.modules)
app.test_client().get("/health")
import opentelemetry.sdk.trace
requests.get(sys.argv[1])
app.test_client().get("/health")
print(type(trace.get_tracer_provider()).__name__)
"""


def test_a_provider_of_the_programs_without_it(run: Runner, web: Any) -> None:
    """One that is not built on the SDK takes over from our spans, and keeps doing so where the SDK is imported.

    Its spans belong where ours would, and what is excluded has none.
    """
    env: dict[str, str | None] = {"TRACEPARENT": f"00-{7:032x}-{8:016x}-01", "OTEL_PYTHON_EXCLUDED_URLS": "/health"}
    done = run.traced(PYTHON, run.program(SUCCESSOR), web.url, env=env)
    out = "tracer tracerun.requests\nstart GET 7\nFalse\ntracer tracerun.flask\nstart GET 7\nProvider\n"
    assert (done.status, done.out, done.slugs) == (0, out, ["own-provider"]), done
    assert len(done.spans) == 1


BROKEN = """
import sys, requests
requests.get(sys.argv[1])
from opentelemetry import trace
for _ in range(2):
    with trace.get_tracer("own").start_as_current_span("own") as span:
        print(type(span).__name__, requests.get(sys.argv[1]).status_code)
class Session(requests.Session):
    def get_adapter(self, url):
        class Adapter(requests.adapters.HTTPAdapter):
            def add_headers(self, request, **kwargs):
                for _ in range(2):
                    trace.get_current_span().set_status(None)
        return Adapter()
print("odd status", Session().get(sys.argv[1]).status_code)
"""


def test_one_that_cannot_be_loaded(run: Runner, web: Any) -> None:
    """The program's own spans are not made, and one line says why; its calls are traced. ``--check`` has a fault."""
    sitecustomize = (
        "import sys\n"
        "class Finder:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name == 'opentelemetry.sdk.trace': raise ImportError('no such wheel')\n"
        "sys.meta_path.insert(0, Finder())\n"
    )
    run.program(sitecustomize, "site/sitecustomize.py")
    env: dict[str, str | None] = {"PYTHONPATH": str(run.folder / "site")}
    checked = run.command(TRACERUN, "--check", PYTHON, run.program(BROKEN), env=env)
    (line,) = [line for line in checked.out.splitlines() if line.startswith("  fault")]
    assert (checked.status, "no such wheel" in line) == (1, True)
    done = run.traced(PYTHON, run.program(BROKEN), web.url, env=env)
    assert (done.status, done.out, done.theirs) == (0, "NonRecordingSpan 200\n" * 2 + "odd status 200\n", ""), done
    assert done.slugs == ["opentelemetry-misfit"]
    assert "no such wheel" in done.ours[0]
    assert len(done.spans) == 4


# Each once our spans are there, and the SDK is not.
ASKING = {
    "wrapped": """
from unittest import mock
with mock.patch("opentelemetry.trace.get_tracer_provider", wraps=trace.get_tracer_provider):
    own()
""",
    "replaced": """
original = trace.get_tracer_provider
trace.get_tracer_provider = lambda: original()
own()
""",
    "put back": """
saved = trace._TRACER_PROVIDER
from opentelemetry.sdk.trace import TracerProvider
trace._TRACER_PROVIDER = TracerProvider(shutdown_on_exit=False)
trace._TRACER_PROVIDER = saved
own()
""",
    "without descriptors": """
import os, resource
limit = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (3, limit[1]))
early = trace.get_tracer("early").start_span("early")
resource.setrlimit(resource.RLIMIT_NOFILE, limit)
print(type(early).__name__)
own()
""",
    "interrupted": """
import signal, time
class Interrupted(Exception): pass
def interrupt(*_): raise Interrupted
signal.signal(signal.SIGUSR1, interrupt)
class Signalling:
    def find_spec(self, name, *_):
        if name == "opentelemetry.sdk.trace.sampling":
            sys.meta_path.remove(self)
            signal.raise_signal(signal.SIGUSR1)
            time.sleep(0)
sys.meta_path.insert(0, Signalling())
try:
    trace.get_tracer("early")
except Interrupted:
    print("interrupted")
own()
""",
}
TIMED = ASKING["interrupted"].replace("class Interrupted(Exception)", "class Interrupted(TimeoutError)")
ASKING["timed out"] = TIMED
ASKED = """
import sys, requests
requests.get(sys.argv[1])
from opentelemetry import trace
def own():
    span = trace.get_tracer("own").start_span("own")
    span.end()
    print(type(span).__name__)
"""
FIRST = {"timed out": "interrupted\n", "without descriptors": "NonRecordingSpan\n", "interrupted": "interrupted\n"}


@pytest.mark.parametrize("name", ASKING)
def test_ways_of_asking(run: Runner, web: Any, name: str) -> None:
    """The program's spans are made, however it asks, and though it could not have them a moment before."""
    done = run.traced(PYTHON, run.program(ASKED + ASKING[name]), web.url)
    assert (done.status, done.out, done.err) == (0, FIRST.get(name, "") + "_Span\n", ""), done
    assert [span.name for span in done.spans] == ["GET", "own"]


SHADOWED = """
import sys, requests
requests.get(sys.argv[1])
print("opentelemetry.sdk.trace" in sys.modules)
from opentelemetry import trace
trace.get_tracer("own").start_span("own").end()
import subprocess
"""


def test_what_stands_in_its_way(run: Runner, web: Any) -> None:
    """A file of the program's by the name of what the SDK imports, and a value that the SDK cannot read."""
    run.program("print('the program has its own')", "subprocess.py")
    env: dict[str, str | None] = {"OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT": "many"}
    done = run.traced(PYTHON, run.program(SHADOWED), web.url, env=env)
    assert (done.status, done.out, done.theirs) == (0, "False\nthe program has its own\n", ""), done
    assert [span.name for span in done.spans] == ["GET", "own"]


@pytest.mark.parametrize(
    "env",
    [
        {"OTEL_LINK_ATTRIBUTE_COUNT_LIMIT": "3"},
        {"OTEL_PYTHON_SDK_INTERNAL_METRICS_ENABLED": "true"},
        {"OTEL_EXPERIMENTAL_RESOURCE_DETECTORS": "process"},
    ],
    ids=["limits", "metrics", "detectors"],
)
def test_what_needs_it_from_the_start(run: Runner, web: Any, env: dict[str, str | None]) -> None:
    """What only the SDK does is asked of it."""
    code = "import sys, requests; requests.get(sys.argv[1]); print('opentelemetry.sdk.trace' in sys.modules)"
    done = run.traced(PYTHON, "-c", code, web.url, env=env)
    assert (done.status, done.out, done.err, len(done.spans)) == (0, "True\n", "", 1), done
    detected = "process.command" in json.dumps(_requests(run))
    assert detected is ("OTEL_EXPERIMENTAL_RESOURCE_DETECTORS" in env)


SHARED = """
import sys, threading
sys.setswitchinterval(1e-5)
import flask
from opentelemetry import trace
app = flask.Flask("shop")
@app.route("/")
def answer():
    span = trace.get_current_span()
    for number in range(100):
        span.add_event(f"event {number}")
    seen = []
    threads = [threading.Thread(target=lambda: seen.append(len(span.events))) for _ in range(4)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    print(seen)
    return "x"
app.test_client().get("/")
"""


def test_a_span_that_threads_share(run: Runner) -> None:
    """Each sees all of its events, and they are sent once."""
    done = run.traced(PYTHON, run.program(SHARED))
    assert (done.status, done.out, done.theirs) == (0, "[100, 100, 100, 100]\n", ""), done
    assert [len(span.events) for span in done.spans] == [100]


def test_one_that_is_put_there(run: Runner, web: Any) -> None:
    """A provider that the program puts there itself, past ``set_tracer_provider``, takes over all the same."""
    put = "trace._TRACER_PROVIDER = Provider()\nimport opentelemetry.sdk.trace"
    program = SUCCESSOR.replace("trace.set_tracer_provider(Provider())", put)
    done = run.traced(PYTHON, run.program(program), web.url)
    assert (done.status, done.slugs, done.out.count("start GET")) == (0, ["own-provider"], 6), done
    assert len(done.spans) == 1


PROCESSOR = """
import flask
from opentelemetry import trace
app = flask.Flask("shop")
@app.route("/")
def answer():
    from opentelemetry.sdk.trace import SpanProcessor
    class Mine(SpanProcessor):
        def on_end(self, span): print("end", span.name)
    trace.get_tracer_provider().add_span_processor(Mine())
    return "x"
app.test_client().get("/")
app.test_client().get("/")
"""


def test_a_processor_is_added_while_a_span_is_open(run: Runner) -> None:
    """It is shown that span's end, and all that come after it; we are too."""
    done = run.traced(PYTHON, run.program(PROCESSOR))
    assert (done.status, done.out, done.theirs) == (0, "end GET /\n" * 3, ""), done
    assert len(done.spans) == 2


# The SDK's import takes its time on a thread; a child is forked meanwhile, past the function that would wait.
FORKED_WHILE_LOADING = """
import os, sys, threading, time
from os import fork
import requests
requests.get(sys.argv[1])
begun = threading.Event()
class Slow:
    def find_spec(self, name, *_):
        if name == "opentelemetry.sdk.trace.sampling":
            begun.set()
            time.sleep(1)
sys.meta_path.insert(0, Slow())
from opentelemetry import trace
thread = threading.Thread(target=trace.get_tracer, args=("own",))
thread.start()
begun.wait()
if not fork():
    print(requests.get(sys.argv[1]).status_code, type(trace.get_tracer("own").start_span("own")).__name__, flush=True)
    sys.exit()
os.wait()
thread.join()
print(type(trace.get_tracer("own").start_span("own")).__name__)
"""


def test_a_child_that_is_forked_while_it_is_loaded(run: Runner, web: Any) -> None:
    """The child can never load the rest, and does not wait for it: its calls are traced, one line says what is not."""
    env: dict[str, str | None] = {"PYTHONWARNINGS": "ignore"}
    done = run.traced(PYTHON, run.program(FORKED_WHILE_LOADING), web.url, env=env, timeout=30)
    assert (done.status, done.out, done.theirs) == (0, "200 NonRecordingSpan\n_Span\n", ""), done
    assert done.slugs == ["child-not-loading"]
    assert len(done.spans) == 2
