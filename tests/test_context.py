"""The chain does not break: threads, pools, child processes, an inherited TRACEPARENT, a span around the whole run."""

from __future__ import annotations

import re
import shutil
import signal
import socket
import subprocess
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import PYTHON, TRACERUN, Runner, free_port

if TYPE_CHECKING:
    from tests.receiver import Spans

INTERNAL, SERVER, CLIENT = 1, 2, 3
ERROR, UNSET = 2, 0
TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
INHERITED: dict[str, str | None] = {"TRACEPARENT": f"00-{TRACE}-{PARENT}-01"}

HEAD = """
import asyncio, concurrent.futures, multiprocessing, os, subprocess, sys, threading, traceback
from opentelemetry import trace

tracer = trace.get_tracer("shop")

def work(name):
    tracer.start_span(name).end()
    return name
"""


def parents(spans: Spans) -> dict[str, str]:
    """The name of each span's parent, by name; empty for a root."""
    names = {span.span_id: span.name for span in spans}
    return {span.name: names.get(span.parent_id, span.parent_id) for span in spans}


def outcome(run: Runner, body: str, *flags: str, env: dict[str, str | None] | None = None) -> Any:
    """The program plain and traced, with the same outcome."""
    program = run.program(HEAD + body)
    plain = run.plain(PYTHON, program, env=env)
    traced = run.traced(PYTHON, program, flags=flags, env=env)
    assert (traced.status, traced.out, traced.theirs) == (plain.status, plain.out, plain.theirs), traced
    return traced


# Threads and pools


def test_threads_belong_to_who_starts_them(run: Runner) -> None:
    """Thread, subclass, timer, pool, run_in_executor, to_thread, callbacks, generators: each in the caller's span."""
    done = outcome(
        run,
        """
class Worker(threading.Thread):
    def run(self):
        work("subclass")

def items():
    work("generator")
    yield 1

async def main():
    loop = asyncio.get_running_loop()
    await loop.run_in_executor(None, work, "run_in_executor")
    await asyncio.to_thread(work, "to_thread")
    await asyncio.create_task(asyncio.to_thread(work, "task"))
    loop.call_soon(work, "call_soon")
    await asyncio.sleep(0.01)

with tracer.start_as_current_span("request"):
    for thread in (threading.Thread(target=work, args=("thread",)), Worker(), threading.Timer(0, work, ["timer"])):
        thread.start()
        thread.join()
    with concurrent.futures.ThreadPoolExecutor() as pool:
        pool.submit(work, "submit").result()
        list(pool.map(work, ["map 1", "map 2"]))
    list(items())
    asyncio.run(main())
work("outside")
""",
    )
    found = parents(done.spans)
    assert (found.pop("request"), found.pop("outside")) == ("", "")
    names = ["thread", "subclass", "timer", "submit", "run_in_executor", "to_thread", "task", "call_soon", "generator"]
    assert found == dict.fromkeys([*names, "map 1", "map 2"], "request")


def test_a_pools_thread_keeps_no_context(run: Runner) -> None:
    """The thread that a pool starts inside a request belongs to no request: each task brings its own context."""
    done = outcome(
        run,
        """
pool = concurrent.futures.ThreadPoolExecutor(1)
with tracer.start_as_current_span("first"):
    pool.submit(work, "of first").result()
with tracer.start_as_current_span("second"):
    pool.submit(work, "of second").result()
pool.submit(work, "of nobody").result()
""",
    )
    found = parents(done.spans)
    assert (found["of first"], found["of second"], found["of nobody"]) == ("first", "second", "")


def test_a_pool_of_multiprocessings_threads(run: Runner) -> None:
    """The same of multiprocessing's pool of threads: apply, map and imap, one request after the other, and errors."""
    done = outcome(
        run,
        """
from multiprocessing.pool import ThreadPool

def fails(_):
    raise ZeroDivisionError("on purpose")

pool = ThreadPool(1)
with tracer.start_as_current_span("first"):
    print(pool.apply(work, ["apply 1"]), pool.map(work, ["map 1"]), list(pool.imap(work, ["imap 1"])))
    try:
        pool.map(fails, [1])
    except ZeroDivisionError:
        traceback.print_exc()
with tracer.start_as_current_span("second"):
    print(pool.apply_async(work, ["apply 2"]).get(), list(pool.imap_unordered(work, ["imap 2"])))
print(pool.apply(work, ["apply 0"]))
pool.close()
pool.join()
with ThreadPool() as pool:
    print(pool.map(str, range(20)))
""",
    )
    found = parents(done.spans)
    for name in ("apply", "map", "imap"):
        assert found[f"{name} 1"] == "first"
    assert (found["apply 2"], found["imap 2"], found["apply 0"]) == ("second", "second", "")


def test_the_executor_of_an_event_loop_keeps_no_context(run: Runner) -> None:
    """The same of the threads behind run_in_executor, which an event loop keeps for all requests."""
    done = outcome(
        run,
        """
async def main():
    loop = asyncio.get_running_loop()
    loop.set_default_executor(concurrent.futures.ThreadPoolExecutor(1))
    with tracer.start_as_current_span("first"):
        await loop.run_in_executor(None, work, "of first")
    await loop.run_in_executor(None, work, "of nobody")

asyncio.run(main())
""",
    )
    found = parents(done.spans)
    assert (found["of first"], found["of nobody"]) == ("first", "")


def test_threads_are_what_they_are(run: Runner) -> None:
    """Tracebacks, names, weak references, context variables, signatures and the classes themselves are as plain."""
    outcome(
        run,
        """
import contextvars, inspect, pickle, weakref

variable = contextvars.ContextVar("variable", default="unset")

def fails():
    raise ZeroDivisionError("on purpose")

class Worker(threading.Thread):
    __slots__ = ("mine",)

with tracer.start_as_current_span("request"):
    variable.set("set")
    thread = threading.Thread(target=lambda: print(variable.get(), sorted(vars(threading.current_thread()))))
    reference = weakref.ref(thread)
    thread.start()
    thread.join()
    print(thread.name, thread.is_alive(), sorted(vars(thread)))
    try:
        thread.start()
    except RuntimeError as error:
        traceback.print_exc()
    del thread
    print(reference())
    thread = threading.Thread(target=fails)
    thread.start()
    thread.join()
    worker = Worker(name="mine")
    worker.start()
    worker.join()
    print(worker.name)
    with concurrent.futures.ThreadPoolExecutor(thread_name_prefix="pool") as pool:
        try:
            pool.submit(fails).result()
        except ZeroDivisionError:
            traceback.print_exc()
        print(pool.submit(lambda: (variable.get(), threading.current_thread().name)).result())
        entry = concurrent.futures.thread._WorkItem
        print(inspect.signature(concurrent.futures.ThreadPoolExecutor.submit), inspect.signature(entry.run))
    print(pickle.dumps(threading.Thread) and inspect.signature(threading.Thread.start))
    try:
        subprocess.Popen(["/nowhere/at/all"])
    except FileNotFoundError:
        traceback.print_exc()
""",
    )


def test_one_request_does_not_end_up_in_anothers_thread(run: Runner) -> None:
    """Tasks of many requests at once, on the few threads of one pool: each span has its own request's parent."""
    done = outcome(
        run,
        """
pool = concurrent.futures.ThreadPoolExecutor(3)

def request(number):
    with tracer.start_as_current_span(f"request {number}"):
        for future in [pool.submit(work, f"task {number}.{n}") for n in range(5)]:
            future.result()

threads = [threading.Thread(target=request, args=(n,)) for n in range(12)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
""",
    )
    found = parents(done.spans)
    tasks = {name: parent for name, parent in found.items() if name.startswith("task")}
    assert len(tasks) == 60
    assert all(parent == f"request {name[5:].partition('.')[0]}" for name, parent in tasks.items())


def test_nothing_is_wrapped_before_it_is_needed(run: Runner) -> None:
    """A program that is not traced yet has the interpreter's own threads, pools and processes."""
    outcome(
        run,
        "",
    )
    program = run.program(
        "import _thread, concurrent.futures.thread, os, subprocess, threading\n"
        "print([getattr(threading, n) for n in dir(threading) if n.startswith('_start_')])\n"
        "print(os.posix_spawn, os.execve, concurrent.futures.thread._WorkItem.run.__module__)\n"
    )
    plain, traced = run.plain(PYTHON, program), run.traced(PYTHON, program)
    assert (traced.out, traced.ours) == (plain.out, [])


@pytest.mark.slow
def test_background_work_of_a_request(run: Runner, port: int, web: Any) -> None:
    """What a served request leaves running, in a thread or as a background task, calls on inside its trace."""
    run.program(
        "import threading, requests\n"
        "from fastapi import BackgroundTasks, FastAPI\n"
        f"URL = {web.url!r}\n"
        "app = FastAPI()\n"
        "@app.get('/order')\n"
        "def order(tasks: BackgroundTasks):\n"
        "    tasks.add_task(requests.get, URL + '/200/task')\n"
        "    threading.Thread(target=requests.get, args=(URL + '/200/thread',)).start()\n"
        "    return 'ok'\n",
        "web.py",
    )
    import requests

    with run.serving(TRACERUN, "uvicorn", "web:app", "--port", str(port), port=port):
        assert requests.get(f"http://127.0.0.1:{port}/order", timeout=20).status_code == 200
        until = time.monotonic() + 10
        while len(web.seen) < 2 and time.monotonic() < until:
            time.sleep(0.02)
    server = run.spans().one(kind=SERVER)
    assert [span.parent_id for span in run.spans().all(kind=CLIENT)] == [server.span_id] * 2


# Child processes


STARTS = {
    "run": "subprocess.run(CHILD, check=True)",
    "environment given": "subprocess.run(CHILD, check=True, env={**os.environ, 'MINE': '1'})",
    "shell": "subprocess.run(' '.join(CHILD[:2]), shell=True, check=True)",
    "popen": "os.popen(' '.join(CHILD[:2])).read()",
    "asyncio": "asyncio.run(asyncio_child())",
    "posix_spawn": "os.waitpid(os.posix_spawn(CHILD[0], CHILD, os.environ), 0)",
    "posix_spawnp": "os.waitpid(os.posix_spawnp(CHILD[0], CHILD, os.environ), 0)",
    "execve by name": "pid = os.fork()\n    if not pid:\n"
    "        os.execve(path=CHILD[0], argv=CHILD, env=dict(os.environ))\n    os.waitpid(pid, 0)",
    "spawnv": "os.spawnv(os.P_WAIT, CHILD[0], CHILD)",
    "spawnve": "os.spawnve(os.P_WAIT, CHILD[0], CHILD, dict(os.environ))",
    "fork and exec": "pid = os.fork()\n    if not pid:\n        os.execvp(CHILD[0], CHILD)\n    os.waitpid(pid, 0)",
    "fork": "pid = os.fork()\n    if not pid:\n        work('child')\n        os._exit(0)\n    os.waitpid(pid, 0)",
    "multiprocessing fork": "start('fork')",
    "multiprocessing spawn": "start('spawn')",
    "multiprocessing forkserver": "start('forkserver')",
}
CHILDREN = """
CHILD = [sys.executable, os.path.join(os.path.dirname(os.path.abspath(__file__)), "child.py")]

async def asyncio_child():
    await (await asyncio.create_subprocess_exec(*CHILD)).wait()

def start(method):
    process = multiprocessing.get_context(method).Process(target=work, args=("child",))
    process.start()
    process.join()

if __name__ == "__main__":
    before = dict(os.environ)
    with tracer.start_as_current_span("parent"):
        {start}
    print(dict(os.environ) == before, "TRACEPARENT" in os.environ)
"""


@pytest.mark.parametrize("how", list(STARTS))
@pytest.mark.slow
def test_child_processes(run: Runner, how: str) -> None:
    """A child's spans belong to the span that it was started in, and os.environ is never touched."""
    run.program("from opentelemetry import trace\ntrace.get_tracer('shop').start_span('child').end()\n", "child.py")
    done = outcome(run, CHILDREN.replace("{start}", STARTS[how].replace("\n    ", "\n        ")))
    assert done.out.endswith("True False\n")
    assert parents(done.spans) == {"parent": "", "child": "parent"}


def test_what_the_program_gives_a_child_stays(run: Runner) -> None:
    """A TRACEPARENT of the program's own reaches the child; an inherited one gives way to the current span."""
    body = """
text = "import os; print(*(os.environ.get(name) for name in ('TRACEPARENT', 'TRACESTATE')))"
show = [sys.executable, "-S", "-E", "-c", text]
own = "00-11111111111111111111111111111111-2222222222222222-01"
with tracer.start_as_current_span("request"):
    subprocess.run(show, env={**os.environ, "TRACEPARENT": own})
    subprocess.run(show, env={os.fsencode(k): os.fsencode(v) for k, v in os.environ.items()})
"""
    program = run.program(HEAD + body)
    done = run.traced(PYTHON, program, env={**INHERITED, "TRACESTATE": "vendor=1"})
    span = done.spans.one()
    assert span.trace_id == TRACE
    assert done.out.splitlines() == [
        "00-11111111111111111111111111111111-2222222222222222-01 vendor=1",
        f"00-{TRACE}-{span.span_id}-01 vendor=1",
    ]


PAST_OS_ENVIRON = """
import ctypes
show = [sys.executable, "child.py"]
os.environ.update(GONE="1", KEPT="2")
os.putenv("DATA", "/data")
os.putenv(b"KEPT", b"3")
os.unsetenv("GONE")
ctypes.CDLL(None).setenv(b"FROM_C", b"yes", 1)
os.environ = {}
with tracer.start_as_current_span("request"):
    sys.stdout.flush()
    {start}
"""


@pytest.mark.parametrize("start", ["subprocess.run(show)", "os.system(' '.join(show))", "os.execv(show[0], show)"])
def test_what_the_program_sets_past_os_environ(run: Runner, start: str) -> None:
    """A child that is given no environment has the process's own, which is not that of os.environ."""
    run.program("import os; print(*map(os.environ.get, ('DATA', 'GONE', 'KEPT', 'FROM_C')))\n", "child.py")
    program = run.program(HEAD + PAST_OS_ENVIRON.replace("{start}", start))
    done = run.traced(PYTHON, program, env=INHERITED)
    assert done.out == run.command(PYTHON, program).out == "/data None 3 yes\n"


def test_a_pool_of_processes_that_a_server_forks_keeps_one_environment(run: Runner) -> None:
    """The fork server, started inside a request, does not make later children that request's."""
    done = outcome(
        run,
        """
def start(name):
    process = multiprocessing.get_context("forkserver").Process(target=work, args=(name,))
    process.start()
    process.join()

if __name__ == "__main__":
    with tracer.start_as_current_span("first"):
        start("of first")
    with tracer.start_as_current_span("second"):
        start("of second")
    start("of nobody")
""",
    )
    found = parents(done.spans)
    assert (found["of first"], found["of second"], found["of nobody"]) == ("first", "second", "")


def test_an_inherited_context_parents_what_has_no_parent(run: Runner, port: int) -> None:
    """TRACEPARENT in the environment parents calls, on every thread; a request that is served has its own caller."""
    import requests

    run.program(
        "import flask, requests, threading\n"
        "app = flask.Flask(__name__)\n"
        "@app.get('/')\n"
        "def index():\n"
        "    return 'ok'\n"
        "from opentelemetry import trace\n"
        "tracer = trace.get_tracer('shop')\n"
        "tracer.start_span('at start').end()\n"
        "thread = threading.Thread(target=lambda: tracer.start_span('on a thread').end())\n"
        "thread.start(); thread.join()\n",
        "web.py",
    )
    with run.serving(TRACERUN, "flask", "--app", "web", "run", "--port", str(port), port=port, env=INHERITED):
        assert requests.get(f"http://127.0.0.1:{port}/", timeout=20).text == "ok"
    spans = run.spans()
    for name in ("at start", "on a thread"):
        assert (spans.named(name).trace_id, spans.named(name).parent_id) == (TRACE, PARENT)
    server = spans.one(kind=SERVER)
    assert server.trace_id != TRACE
    assert server.parent_id == ""


@pytest.mark.parametrize(
    "value", ["", "nonsense", "00-0-0-01", f"00-{'0' * 32}-{'0' * 16}-01", f"ff-{TRACE}-{PARENT}-01"]
)
def test_a_wrong_traceparent_is_none(run: Runner, value: str) -> None:
    """What is no TRACEPARENT is passed over in silence, as the specification has it for a wrong header."""
    done = run.traced(PYTHON, run.program(HEAD + "work('it')"), env={"TRACEPARENT": value})
    assert (done.status, done.err, done.spans.one().parent_id) == (0, "", "")


def test_children_of_children(run: Runner, web: Any) -> None:
    """A chain of processes, one of them untraced, is one trace, and the last one's call ends it."""
    run.program(f"import requests\nrequests.get('{web.url}/200')\n", "last.py")
    run.program("import subprocess, sys\nsubprocess.run(['sh', '-c', f'{sys.executable} last.py'])\n", "middle.py")
    body = "with tracer.start_as_current_span('first'):\n    subprocess.run([sys.executable, 'middle.py'])\n"
    done = outcome(run, body)
    assert parents(done.spans) == {"first": "", "GET": "first"}


# The span around the run


BATCH = "import sys, requests\nfor n in range(10):\n    print(requests.get(f'{sys.argv[1]}/200/{n}').status_code)\n"


def test_ten_calls_of_a_batch_job_are_one_trace(run: Runner, web: Any) -> None:
    """Without --root-span ten calls are ten traces; with it they are one, and the run is its root."""
    program = run.program(BATCH, "nightly.py")
    loose = run.traced(PYTHON, program, web.url).spans
    assert len({span.trace_id for span in loose}) == 10
    for path in run.state.glob("*"):
        path.unlink()
    done = run.traced(PYTHON, program, web.url, flags=("--root-span",))
    assert (done.status, done.out) == (0, "200\n" * 10)
    root = done.spans.named("nightly")
    assert (root.kind, root.parent_id, root.status) == (INTERNAL, "", UNSET)
    assert [span.parent_id for span in done.spans.all(kind=CLIENT)] == [root.span_id] * 10
    assert len({span.trace_id for span in done.spans}) == 1


@pytest.mark.parametrize("how", ["variable", "pyproject"])
def test_the_other_two_ways_to_ask(run: Runner, how: str) -> None:
    """TRACERUN_ROOT_SPAN and [tool.tracerun] root-span ask for the same."""
    program = run.program("print('ran')", "job.py")
    if how == "pyproject":
        run.program("[tool.tracerun]\nroot-span = true\n", "pyproject.toml")
    done = run.traced(PYTHON, program, env={"TRACERUN_ROOT_SPAN": "true"} if how == "variable" else None)
    assert (done.out, [span.name for span in done.spans]) == ("ran\n", ["job"])


ENDS = {
    "return": ("pass", UNSET),
    "sys.exit": ("import sys; sys.exit(3)", UNSET),
    "os._exit": ("import os; os._exit(3)", UNSET),
    "exception": ("raise ZeroDivisionError('token=hush')", ERROR),
    "keyboard interrupt": ("raise KeyboardInterrupt", ERROR),
    "exec": ("import os; os.execvp('true', ['true'])", UNSET),
    "failed exec": ("import os\ntry:\n    os.execvp('nowhere-at-all', ['x'])\nexcept OSError:\n    pass", UNSET),
    "SIGTERM": ("import os, signal; os.kill(os.getpid(), signal.SIGTERM)", UNSET),
    "SIGHUP": ("import os, signal; os.kill(os.getpid(), signal.SIGHUP)", UNSET),
}


@pytest.mark.parametrize("how", list(ENDS))
def test_the_run_ends_once_however_it_ends(run: Runner, how: str) -> None:
    """Each exit that can be observed ends the span; only an unhandled exception makes it fail."""
    text, status = ENDS[how]
    program = run.program(f"import time\ntime.sleep(0.05)\n{text}\n", "job.py")
    plain = run.plain(PYTHON, program)
    done = run.traced(PYTHON, program, flags=("--root-span",))
    assert (done.status, done.out, done.theirs) == (plain.status, plain.out, plain.theirs), done
    span = done.spans.one(name="job")
    assert span.status == status
    if how == "exception":
        assert span.attributes["error.type"] == "ZeroDivisionError"
        assert "hush" not in repr(span.events)
        assert "Traceback" in span.events[0].attributes["exception.stacktrace"]


def test_a_forked_child_does_not_end_its_parents_run(run: Runner) -> None:
    """The span is one, of the process that was launched; what forked children do belongs to it."""
    done = outcome(
        run,
        "for how in ('_exit', 'exit'):\n"
        "    pid = os.fork()\n"
        "    if not pid:\n"
        "        work(how)\n"
        "        os._exit(0) if how == '_exit' else sys.exit(0)\n"
        "    os.waitpid(pid, 0)\n",
        "--root-span",
    )
    assert parents(done.spans) == {"app": "", "_exit": "app", "exit": "app"}


def test_children_belong_to_the_run(run: Runner, web: Any) -> None:
    """A child process's calls are in the run's trace, and the child has no such span of its own."""
    run.program(BATCH.replace("range(10)", "range(2)"), "child.py")
    done = outcome(run, f"subprocess.run([sys.executable, 'child.py', '{web.url}'])\nwork('here')\n", "--root-span")
    root = done.spans.named("app")
    assert {span.parent_id for span in done.spans if span is not root} == {root.span_id}
    assert len(done.spans) == 4


def test_a_signal_ends_the_run_also_while_the_main_thread_is_in_c(run: Runner) -> None:
    """SIGTERM ends a program that waits in C at once, as without us, and its span is kept."""
    # A minute and more in C, outside of the interpreter's lock.
    text = "import hashlib\nprint('ready', flush=True)\nhashlib.pbkdf2_hmac('sha256', b'x', b'y', 10**9)\n"
    program = run.program(text, "job.py")
    words = [TRACERUN, "--root-span", PYTHON, program]
    process = subprocess.Popen(words, env=run.env, stdout=subprocess.PIPE, cwd=run.folder)
    assert process.stdout is not None
    process.stdout.readline()
    time.sleep(0.5)
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == -signal.SIGTERM
    process.stdout.close()
    assert run.spans().one().name == "job"


# What is on the wire

STRICT = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-0[01]")


def test_flags_on_the_wire_over_http(run: Runner, web: Any) -> None:
    """A strict parser of version 00 takes every header: root or child, sampled or not, also of a caller with others."""
    port = free_port()
    run.program(
        "import flask, requests, httpx\n"
        "app = flask.Flask(__name__)\n"
        "@app.get('/')\n"
        "def index():\n"
        f"    requests.get('{web.url}/200'); httpx.get('{web.url}/200')\n"
        "    return 'ok'\n",
        "web.py",
    )
    import requests

    with run.serving(TRACERUN, "flask", "--app", "web", "run", "--port", str(port), port=port):
        for headers in ({}, *({"traceparent": f"00-{TRACE}-{PARENT}-{flags}"} for flags in ("00", "01", "02", "03"))):
            assert requests.get(f"http://127.0.0.1:{port}/", headers=headers, timeout=20).text == "ok"
    sent = [seen["traceparent"] for seen in web.seen]
    assert len(sent) == 10
    assert all(STRICT.fullmatch(header) for header in sent), sent
    assert [header[-2:] for header in sent] == ["01"] * 2 + ["00"] * 2 + ["01"] * 2 + ["00"] * 2 + ["01"] * 2
    assert all(TRACE in header for header in sent[2:])


def test_flags_on_the_wire_over_grpc(run: Runner) -> None:
    """The same of gRPC's metadata, sync and asyncio, sampled and not."""
    program = run.program(
        """
import asyncio, grpc
from concurrent import futures
from grpc import aio

def handle(request, context):
    print(dict(context.invocation_metadata())["traceparent"])
    return request

handlers = grpc.method_handlers_generic_handler("shop.Shop", {"Buy": grpc.unary_unary_rpc_method_handler(handle)})
server = grpc.server(futures.ThreadPoolExecutor(1))
server.add_generic_rpc_handlers((handlers,))
port = server.add_insecure_port("127.0.0.1:0")
server.start()
with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
    channel.unary_unary("/shop.Shop/Buy")(b"x")

async def main():
    async with aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        await channel.unary_unary("/shop.Shop/Buy")(b"x")

asyncio.run(main())
server.stop(0).wait()
"""
    )
    for sampler, flags in (("always_on", "01"), ("always_off", "00")):
        done = run.traced(PYTHON, program, flags=("--sampler", sampler))
        sent = done.out.split()
        assert len(sent) == 2, done
        assert all(STRICT.fullmatch(header) and header.endswith(flags) for header in sent)


# A service of another language

NODE = """
const http = require('http');
const [port, next] = process.argv.slice(2);
http.createServer((request, response) => {
  http.get(next, (answer) => { answer.resume(); answer.on('end', () => response.end('through node')); });
}).listen(Number(port), '127.0.0.1');
"""
PACKAGES = ("@opentelemetry/api@1", "@opentelemetry/auto-instrumentations-node@0")


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A folder with OpenTelemetry's own instrumentation of Node in it, installed by npm."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        pytest.skip("no node and npm on PATH")
    folder = tmp_path_factory.mktemp("node")
    words = [npm, "install", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", str(folder), *PACKAGES]
    try:
        subprocess.run(words, capture_output=True, text=True, check=True, timeout=300)
    except subprocess.TimeoutExpired:
        pytest.skip("npm cannot install: no answer in five minutes")
    except subprocess.CalledProcessError as error:
        pytest.skip(f"npm cannot install: {error.stderr.strip().splitlines()[-1:]}")
    (folder / "service.js").write_text(NODE)
    return folder


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_node_service_in_the_chain(run: Runner, node: Any, receiver: Any) -> None:
    """Python, Node, Python: one trace, each SERVER span under the CLIENT span that called it."""
    import os

    run.program("import flask\napp = flask.Flask(__name__)\n@app.get('/end')\ndef end():\n    return 'end'\n", "web.py")
    last, middle = free_port(), free_port()
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("OTEL_")},
        "OTEL_SERVICE_NAME": "node",
        "OTEL_TRACES_EXPORTER": "otlp",
        "OTEL_METRICS_EXPORTER": "none",
        "OTEL_LOGS_EXPORTER": "none",
        "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.endpoint,
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        "OTEL_BSP_SCHEDULE_DELAY": "100",
        "OTEL_NODE_RESOURCE_DETECTORS": "none",
    }
    words = ["node", "--require", "@opentelemetry/auto-instrumentations-node/register", "service.js"]
    service = subprocess.Popen([*words, str(middle), f"http://127.0.0.1:{last}/end"], env=environment, cwd=node)
    try:
        with run.serving(TRACERUN, "flask", "--app", "web", "run", "--port", str(last), port=last):
            wait_for(middle)
            app = run.program("import sys, requests\nprint(requests.get(sys.argv[1]).text)\n", "first.py")
            done = run.traced(PYTHON, app, f"http://127.0.0.1:{middle}/")
            assert done.out == "through node\n", done
            spans = receiver.wait_for(2)
    finally:
        service.kill()  # with SIGKILL: its SDK holds on at SIGTERM
        service.wait()
    first = run.spans().one(kind=CLIENT)
    inside, outside = spans.one(kind=SERVER), spans.one(kind=CLIENT)
    end = run.spans().one(kind=SERVER)
    assert (inside.parent_id, outside.parent_id, end.parent_id) == (first.span_id, inside.span_id, outside.span_id)
    assert {span.trace_id for span in (first, inside, outside, end)} == {first.trace_id}


def wait_for(port: int) -> None:
    """Returns once something listens on a port."""
    until = time.monotonic() + 60
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            assert time.monotonic() < until, f"nothing listens on {port}"
            time.sleep(0.05)
        else:
            return
