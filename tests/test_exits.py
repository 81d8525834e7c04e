"""How a process ends: by the same status or signal as plain, with every ended span delivered."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
from typing import Any

import pytest

from tests.conftest import PYTHON, TRACERUN, Done, Runner, free_port

CALLS = """
import os, signal, sys, threading, time
import urllib3
pool = urllib3.PoolManager()
for number in range(5):
    pool.request("GET", f"{sys.argv[1]}/200/{number}")

def ready():
    print("ready", flush=True)
"""
LONG = 30


def numbers(done: Done) -> list[str]:
    """Which calls have arrived as spans, sorted."""
    return sorted(span.attributes["url.full"].rpartition("/")[2] for span in done.spans)


def stopped(run: Runner, *words: str, by: int) -> Done:
    """A command that is sent a signal once it has said that it is ready."""
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(words, env=run.env, cwd=run.folder, bufsize=0, **pipes) as process:
        assert process.stdout is not None
        first = b""
        while not first.endswith(b"ready\n") and (line := process.stdout.readline()):
            first += line
        process.send_signal(by)
        try:
            out, err = process.communicate(timeout=LONG - 10)
        finally:
            process.kill()
    return Done(subprocess.CompletedProcess(words, process.returncode, first + out, err), run.spans())


def same_end(run: Runner, text: str, *arguments: str, by: int = 0) -> Done:
    """A program's end under tracerun, which must be that of its plain run; gives the traced one."""
    words = [PYTHON, run.program(CALLS + text), *arguments]
    if by:
        plain, traced = stopped(run, *words, by=by), stopped(run, TRACERUN, *words, by=by)
    else:
        plain, traced = run.plain(*words), run.traced(*words)
    assert (traced.status, traced.out, traced.err) == (plain.status, plain.out, plain.err)
    return traced


ENDINGS = [
    "",
    "sys.exit(3)",
    "sys.exit('an error')",
    "raise LookupError('an error')",
    "raise KeyboardInterrupt",
    "os._exit(4)",
    "os.execv('/bin/sh', ['sh', '-c', 'exit 5'])",
    "import atexit; atexit.register(lambda: print('at exit')); sys.exit(6)",
    "import atexit; atexit.register(os._exit, 7)",
    "threading.Thread(target=time.sleep, args=(0.2,)).start()",
    "threading.Thread(target=time.sleep, args=(60,), daemon=True).start()",
    "threading.Thread(target=lambda: os._exit(8)).start(); time.sleep(30)",
    "os.close(2); sys.exit(9)",
    "os.dup2(os.open('log', os.O_CREAT | os.O_WRONLY), 2); sys.exit(10)",
    "os.chdir('/'); sys.path.clear(); sys.exit(11)",
    "os.environ.clear(); sys.exit(12)",
]


@pytest.mark.parametrize("ending", ENDINGS, ids=[ending[:40] for ending in ENDINGS])
def test_ends_of_its_own(run: Runner, web: Any, ending: str) -> None:
    """Status and output are those of the plain run, and five of five spans are in the files."""
    assert numbers(same_end(run, ending, web.url)) == list("01234")


# What the main thread may be doing when a signal comes.
WAITS = {
    "sleep": "ready()\ntime.sleep(30)",
    "loop": "ready()\nuntil = time.monotonic() + 30\nwhile time.monotonic() < until: pass",
    "join": """
thread = threading.Thread(target=time.sleep, args=(30,), daemon=True)
thread.start()
ready()
thread.join()
""",
    "lock": "ready()\nthreading.Event().wait(30)",
    "input": "ready()\ninput()",
    "finally": """
try:
    ready()
    time.sleep(30)
finally:
    print("finally")
""",
    "child": """
import subprocess
ready()
subprocess.run(["sleep", "0.2"])
time.sleep(30)
""",
    "asyncio": """
import asyncio
async def main():
    ready()
    await asyncio.sleep(30)
asyncio.run(main())
""",
}
# In C, where no handler of Python's runs: soon after the calls, when their spans wait, and when they are sent.
QUERY = "with recursive r(n) as (select 1 union all select n + 1 from r) select max(n) from r"
IN_C = f"import sqlite3\nready()\nsqlite3.connect(':memory:').execute({QUERY!r}).fetchall()"
WAITS["query"] = IN_C
WAITS["query later"] = "time.sleep(2)\n" + IN_C
# This one holds the interpreter's lock: no thread of ours can see to anything.
WAITS["sum later"] = "time.sleep(2)\nready()\nsum(iter(int, 1))"
STOPS = [(signal.SIGTERM, wait) for wait in WAITS]
STOPS += [(signal.SIGHUP, "sleep"), (signal.SIGINT, "join"), (signal.SIGINT, "finally"), (signal.SIGINT, "input")]


@pytest.mark.parametrize(("number", "wait"), STOPS, ids=[f"{number.name}-{wait}" for number, wait in STOPS])
@pytest.mark.slow
def test_stopped_by_a_signal(run: Runner, web: Any, number: int, wait: str) -> None:
    """The process dies by the same signal as plain, wherever it lands, and nothing that has ended is lost."""
    traced = same_end(run, "sys.tracebacklimit = 0\n" + WAITS[wait], web.url, by=number)
    assert traced.status == -number
    assert numbers(traced) == list("01234")


HANDLING = {
    "called": """
signal.signal(signal.SIGTERM, lambda *_: print("handled") or sys.exit(7))
ready()
time.sleep(30)
""",
    "goes on": """
def handle(number, frame):
    print(number, frame is not None, handle is signal.getsignal(number))
    handled.set()
handled = threading.Event()
signal.signal(signal.SIGTERM, handle)
ready()
handled.wait(30)
""",
    "an object": """
class Handler:
    __hash__ = None
    def __call__(self, number, frame):
        sys.exit(8)
    def __eq__(self, other):
        raise TypeError
signal.signal(signal.SIGTERM, Handler())
ready()
time.sleep(30)
""",
    "restored": """
print(signal.signal(signal.SIGTERM, print))
print(signal.signal(signal.SIGTERM, signal.SIG_DFL) is print)
print(signal.getsignal(signal.SIGTERM))
ready()
time.sleep(30)
""",
    "put back": """
before = signal.getsignal(signal.SIGTERM)
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print(signal.signal(signal.SIGTERM, before))
ready()
time.sleep(30)
""",
    "ignored": """
print(signal.signal(signal.SIGTERM, signal.SIG_IGN))
os.kill(os.getpid(), signal.SIGTERM)
ready()
print(signal.getsignal(signal.SIGTERM))
""",
    "from a thread": """
def change():
    try:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
    except ValueError as error:
        print(error)
thread = threading.Thread(target=change)
thread.start()
thread.join()
ready()
time.sleep(30)
""",
    "awaited": """
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
ready()
print(signal.sigwait([signal.SIGTERM]))
""",
    "asyncio": """
import asyncio
async def main():
    loop, done = asyncio.get_running_loop(), asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, done.set)
    ready()
    await done.wait()
    print(loop.remove_signal_handler(signal.SIGTERM), signal.getsignal(signal.SIGTERM))
asyncio.run(main())
""",
    "gevent": """
import gevent
handled = gevent.event.Event()
watcher = gevent.signal_handler(signal.SIGTERM, handled.set)
ready()
print(handled.wait(30), signal.getsignal(signal.SIGTERM))
watcher.cancel()
""",
    "gevent, taken back": """
import gevent
gevent.signal_handler(signal.SIGTERM, print).cancel()
gevent.sleep(0.6)
ready()
gevent.sleep(30)
""",
    "asyncio, taken back": """
import asyncio
async def main():
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, print)
    loop.remove_signal_handler(signal.SIGTERM)
    ready()
    await asyncio.sleep(30)
asyncio.run(main())
""",
}


@pytest.mark.slow
@pytest.mark.parametrize("text", HANDLING.values(), ids=HANDLING.keys())
def test_the_programs_own_handling(run: Runner, web: Any, text: str) -> None:
    """Handlers are called and shown as plain, and where the default is restored the spans are still delivered."""
    assert numbers(same_end(run, text, web.url, by=signal.SIGTERM)) == list("01234")


def test_sent_by_a_thread_of_the_program(run: Runner, web: Any) -> None:
    """A signal that another thread sends to the process, or to that thread, ends it as plain."""
    for send in ("os.kill(os.getpid(), signal.SIGTERM)", "signal.pthread_kill(threading.get_ident(), signal.SIGTERM)"):
        text = f"threading.Thread(target=lambda: {send}).start()\ntime.sleep(30)"
        assert same_end(run, text, web.url).status == -signal.SIGTERM
    assert len(run.spans()) == 10


def test_what_the_program_sees(run: Runner) -> None:
    """The dispositions of all signals, and what the functions look like, are those of the plain run."""
    text = (
        "import inspect, signal\n"
        "for number in sorted(signal.valid_signals()):\n"
        "    print(number, signal.getsignal(number))\n"
        "print(inspect.signature(signal.signal), signal.signal.__doc__, signal.getsignal.__doc__)\n"
        "import _signal\n"
        "print(_signal.signal.__doc__, _signal.signal.__name__, _signal.getsignal(15), _signal.signal(15, 0))\n"
    )
    app = run.program(text)
    plain, traced = run.plain(PYTHON, app), run.traced(PYTHON, app)
    assert (traced.status, traced.out, traced.err) == (plain.status, plain.out, plain.err)


@pytest.mark.slow
def test_what_the_kernel_sees(run: Runner, web: Any) -> None:
    """Where nothing waits to be sent, the kernel's dispositions are those of the plain run, come what may."""
    text = """
def show():
    # Signals below 32: the C library has two of its own, for threads.
    for line in open("/proc/self/status"):
        if line.startswith(("SigIgn", "SigCgt")):
            print(line.split()[0], hex(int(line.split()[1], 16) & 0x7FFFFFFF))
time.sleep(2)
show()
signal.signal(signal.SIGTERM, lambda *_: None)
show()
pool.request("GET", f"{sys.argv[1]}/200/5")
signal.signal(signal.SIGHUP, signal.SIG_IGN)
time.sleep(2)
show()
for number in (signal.SIGHUP, signal.SIGTERM):
    signal.signal(number, signal.SIG_DFL)
show()
"""
    for shell in ("", "trap '' INT; "):  # as in the background of a shell
        words = [PYTHON, run.program(CALLS + text), web.url]
        plain = run.plain("sh", "-c", f'{shell}exec "$@"', "sh", *words)
        traced = run.plain("sh", "-c", f'{shell}exec "$@"', "sh", TRACERUN, *words)
        assert (traced.status, traced.out, traced.err) == (plain.status, plain.out, plain.err)
        assert plain.status == 0


def test_the_default_is_restored_while_spans_wait(run: Runner, web: Any) -> None:
    """A program that takes its own handler back dies of the signal, and loses nothing."""
    text = "signal.signal(15, print)\nprint(signal.signal(15, signal.SIG_DFL))\n" + IN_C
    traced = same_end(run, text, web.url, by=signal.SIGTERM)
    assert (traced.status, numbers(traced)) == (-signal.SIGTERM, list("01234"))


def test_ignored_from_outside(run: Runner, web: Any) -> None:
    """Under nohup SIGHUP stays ignored."""
    app = run.program(CALLS + "os.kill(os.getpid(), signal.SIGHUP)\nprint(signal.getsignal(signal.SIGHUP))")
    plain, traced = (
        run.plain("sh", "-c", "trap '' HUP; exec \"$@\"", "sh", *words, PYTHON, app, web.url)
        for words in ((), (TRACERUN,))
    )
    assert (traced.status, traced.out) == (plain.status, plain.out)
    assert traced.status == 0
    assert numbers(traced) == list("01234")


def test_nothing_is_armed_where_nothing_is_exported(run: Runner) -> None:
    """With `--exporter none` no signal is caught."""
    app = run.program("print([line for line in open('/proc/self/status') if line.startswith('Sig')][1:])")
    assert run.traced(PYTHON, app, flags=("--exporter", "none")).out == run.plain(PYTHON, app).out


@pytest.fixture
def silent() -> Any:
    """A receiver that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(LONG)
        yield listener


# Says when the flush begins.
SAYS = """
pipeline = sys.modules["tracerun.agent.sdk"].State.pipeline
finish = pipeline.finish
pipeline.finish = lambda: ready() or finish()
"""


@contextlib.contextmanager
def flushing(run: Runner, silent: Any, web: Any, ending: str, budget: str) -> Any:
    """A program whose flush at its end is under way: it waits for an answer that does not come."""
    env = {
        **run.env,
        "TRACERUN_EXPORTER": "otlp",
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{silent.getsockname()[1]}",
        "OTEL_EXPORTER_OTLP_TIMEOUT": "600000",
        "TRACERUN_EXIT_TIMEOUT": budget,
    }
    words = [TRACERUN, PYTHON, run.program(CALLS + SAYS + ending), web.url]
    with subprocess.Popen(words, env=env, cwd=run.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        yield process


ENDS_BY_SIGTERM = "os.kill(os.getpid(), signal.SIGTERM)\ntime.sleep(30)"


@pytest.mark.parametrize(("ending", "sent"), [(ENDS_BY_SIGTERM, signal.SIGHUP), ("", signal.SIGTERM)])
def test_a_signal_during_the_flush(run: Runner, web: Any, silent: Any, ending: str, sent: int) -> None:
    """The flush goes on within its budget, then the process dies by the first signal."""
    with flushing(run, silent, web, ending, "1") as process:
        process.send_signal(sent)
        _, err = process.communicate(timeout=LONG)
    assert process.returncode == -signal.SIGTERM
    assert b"Traceback" not in err


@pytest.mark.parametrize(("ending", "status"), [(ENDS_BY_SIGTERM, -signal.SIGTERM), ("", 0), ("sys.exit(3)", 3)])
def test_ctrl_c_during_the_flush(run: Runner, web: Any, silent: Any, ending: str, status: int) -> None:
    """It ends the flush at once and quietly; the status stays what it was to be."""
    with flushing(run, silent, web, ending, "600") as process:
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=LONG)
    assert process.returncode == status
    assert b"Traceback" not in err


def test_as_pid_1(run: Runner, web: Any) -> None:
    """The kernel gives PID 1 no default disposition: SIGTERM is survived as plain, and the spans are delivered."""
    unshare = [shutil.which("unshare") or "unshare", "--pid", "--fork"]
    try:
        subprocess.run([*unshare, "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no PID namespaces here: unshare --pid --fork does not work")
    app = run.program(CALLS + "os.kill(1, signal.SIGTERM)\nprint('still', os.getpid(), flush=True)\nos._exit(3)")
    plain, traced = run.plain(*unshare, PYTHON, app, web.url), run.plain(*unshare, TRACERUN, PYTHON, app, web.url)
    assert (traced.status, traced.out, traced.err) == (plain.status, plain.out, plain.err)
    assert plain.out == "still 1\n"
    assert numbers(traced) == list("01234")


# Programs of several processes: each call is made once, by one of them.
FAMILIES = {
    "fork, normal end": """
if not os.fork():
    call("child")
else:
    os.wait()
    call("parent")
""",
    "fork, os._exit": """
if not os.fork():
    call("child")
    os._exit(0)
os.wait()
call("parent")
""",
    "fork, signal": """
if not os.fork():
    call("child")
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(30)
os.wait()
call("parent")
""",
    "subprocess": """
import subprocess
if len(sys.argv) == 2:
    subprocess.run([sys.executable, __file__, sys.argv[1], "child"])
    call("parent")
else:
    call("child")
""",
    "process": """
child = context.Process(target=call, args=("child",))
child.start()
child.join()
call("parent")
""",
    "pool": """
with context.Pool(2) as pool:
    pool.map(call, ["child", "parent"])
""",
    "executor, a process for each task": """
from concurrent.futures import ProcessPoolExecutor
if context.get_start_method() == "fork":
    context = multiprocessing.get_context("forkserver")
with ProcessPoolExecutor(1, mp_context=context, max_tasks_per_child=1) as pool:
    list(pool.map(call, ["child", "parent"]))
""",
    "executor": """
from concurrent.futures import ProcessPoolExecutor
with ProcessPoolExecutor(2, mp_context=context) as pool:
    list(pool.map(call, ["child", "parent"]))
""",
}
FAMILY = """
import multiprocessing, os, signal, sys, time
import urllib3

def call(name):
    urllib3.PoolManager().request("GET", f"{{sys.argv[1]}}/200/{{name}}")

if __name__ == "__main__":
    context = multiprocessing.get_context({method!r})
    call("before")
{text}
"""
BY_METHOD = ("process", "pool", "executor")
CASES: list[Any] = [(family, "fork") for family in FAMILIES]
for method in ("spawn", "forkserver"):
    CASES += [pytest.param(family, method, marks=pytest.mark.slow) for family in BY_METHOD]


@pytest.mark.parametrize(("family", "method"), CASES)
def test_child_processes(run: Runner, web: Any, family: str, method: str) -> None:
    """Each process delivers its own spans, and each span arrives exactly once."""
    text = "".join(f"    {line}\n" for line in FAMILIES[family].splitlines())
    app = run.program(FAMILY.format(method=method, text=text))
    plain, traced = run.plain(PYTHON, app, web.url), run.traced(PYTHON, app, web.url)
    assert (traced.status, traced.out, traced.err) == (plain.status, plain.out, plain.err)
    expected = ["before", "child", "parent"]
    if family == "subprocess":
        expected.insert(0, "before")
    assert numbers(traced) == expected
    assert len({span.span_id for span in traced.spans}) == len(expected)


def test_a_receiver_that_is_not_there(run: Runner, web: Any) -> None:
    """The end is the plain one, and one line says what was lost."""
    app = run.program(CALLS + "sys.exit(3)")
    endpoint = f"http://127.0.0.1:{free_port()}"
    flags = ("-e", endpoint, "--exporter", "otlp", "--exit-timeout", "0.3")
    done = run.traced(PYTHON, app, web.url, flags=flags, env={"TRACERUN_EXPORTER": None})
    assert (done.status, done.out, done.theirs) == (3, "", "")
    assert [line for line in done.ours if "of 5 spans for " in line and "5 lost" in line]
    assert os.path.basename(endpoint) in done.err
