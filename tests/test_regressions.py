"""What somebody who did not know the project has found: each as the small program that showed it."""

from __future__ import annotations

import socket
import threading
import time
from typing import Any

import pytest

from tests.conftest import PYTHON, Runner
from tracerun.instrumentation import redaction

pytestmark = pytest.mark.slow


def test_a_fork_while_another_thread_makes_the_first_call(run: Runner, web: Any) -> None:
    """The child neither waits for a set-up that is not its own, nor loses its span."""
    program = run.program(
        "import multiprocessing, sys, threading, time, urllib.request\n"
        "def get(path): return urllib.request.urlopen(sys.argv[1] + path).status\n"
        "def work(): print(get('/child'), flush=True)\n"
        "for delay in (0, 0.005, 0.03):\n"
        "    thread = threading.Thread(target=get, args=('/warm',)); thread.start(); time.sleep(delay)\n"
        "    process = multiprocessing.get_context('fork').Process(target=work)\n"
        "    process.start(); process.join(); thread.join()\n"
    )
    done = run.traced(PYTHON, program, web.url)
    assert (done.status, done.out, done.err) == (0, "200\n" * 3, "")
    assert len(done.spans) == 6  # a call that has waited for a lock in vain goes through untraced


def test_first_use_of_two_kinds_at_once(run: Runner, web: Any) -> None:
    """One thread asks for the provider, others make the first calls: nobody waits for the other for ever."""
    program = run.program(
        "import sys, threading, time, requests, urllib3\nfrom opentelemetry import trace\n"
        "ready = threading.Barrier(3)\n"
        "def manual(): ready.wait(); trace.get_tracer('t').start_span('manual').end()\n"
        "def first(): ready.wait(); requests.get(sys.argv[1])\n"
        "def second(): ready.wait(); urllib3.PoolManager().request('GET', sys.argv[1])\n"
        "threads = [threading.Thread(target=target) for target in (manual, first, second)]\n"
        "for thread in threads: thread.start()\n"
        "for thread in threads: thread.join()\n"
    )
    for _ in range(5):
        assert run.traced(PYTHON, program, web.url).status == 0
    assert len(run.spans()) == 15  # what has waited for a lock of ours in vain is untraced


def test_flushes_in_quick_succession(run: Runner, receiver: Any) -> None:
    """A flush with nothing to do returns at once, however often it is asked for."""
    program = run.program(
        "from opentelemetry import trace\ntrace.get_tracer('q').start_span('s').end()\n"
        "print(all(trace.get_tracer_provider().force_flush(600_000) for _ in range(300)))\n"
    )
    env = {"TRACERUN_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.endpoint}
    done = run.traced(PYTHON, program, env=env)
    assert (done.status, done.out, done.err) == (0, "True\n", "")


def test_a_copy_in_files_while_the_receiver_hangs(run: Runner, web: Any) -> None:
    """What stays on this machine does not wait for a receiver."""
    program = run.program("import sys, requests\nfor _ in range(5): requests.get(sys.argv[1])\n")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
        done = run.traced(PYTHON, program, web.url, flags=("-e", endpoint, "--exporter", "otlp", "--also-file"))
    assert (done.status, len(done.spans)) == (0, 5), done


def test_a_receiver_that_drips(run: Runner, web: Any) -> None:
    """An answer that comes byte by byte for ever is given up after the timeout for a request."""
    program = run.program("import sys, time, requests\nrequests.get(sys.argv[1])\ntime.sleep(4)\n")
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def drip() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.sendall(b"HTTP/1.1 200 OK\r\nX: ")
                try:
                    for _ in range(600):
                        connection.sendall(b"x")
                        time.sleep(0.05)
                except OSError:
                    pass

        threading.Thread(target=drip, daemon=True).start()
        env = {"OTEL_EXPORTER_OTLP_TIMEOUT": "1000"}
        flags = ("-e", f"http://127.0.0.1:{listener.getsockname()[1]}", "--exporter", "otlp")
        done = run.traced(PYTHON, program, web.url, flags=flags, env=env)
    assert "timed out; trying again" in done.ours[0]


def test_the_context_outlives_a_pool_of_threads(run: Runner, web: Any) -> None:
    """What comes after the pool's end still belongs to the caller's span."""
    program = run.program(
        "import sys, requests\nfrom multiprocessing.pool import ThreadPool\nfrom opentelemetry import trace\n"
        "def get(path): return requests.get(sys.argv[1] + path).status_code\n"
        "with trace.get_tracer('t').start_as_current_span('outer'):\n"
        "    get('/200/before')\n"
        "    with ThreadPool(2) as pool: pool.map(get, ['/200/in1', '/200/in2'])\n"
        "    get('/200/after')\n"
    )
    spans = run.traced(PYTHON, program, web.url).spans
    outer = spans.named("outer")
    assert [span.parent_id for span in spans.all(kind=3)] == [outer.span_id] * 4


def test_a_client_writes_no_lines(run: Runner) -> None:
    """Headers of the W3C that are too long are dropped without a word."""
    program = run.program(
        "import flask\napp = flask.Flask('x')\napp.add_url_rule('/', view_func=lambda: 'ok')\n"
        "parent = '00-' + '1' * 32 + '-' + '1' * 16 + '-01'\n"
        "for state in ('a=' + 'x' * 9000, 'a=' * 600, 'bad'):\n"
        "    for context in (parent, parent + '-' + 'x' * 9000, 'ff' * 60):\n"
        "        print(app.test_client().get('/', headers={'traceparent': context, 'tracestate': state}).text)\n"
    )
    done = run.traced(PYTHON, program)
    assert (done.status, done.out, done.theirs) == (0, "ok\n" * 9, "")
    assert [line for line in done.ours if "spans are kept" not in line] == []


@pytest.mark.parametrize("healthy", [True, False], ids=["healthy", "hanging"])
def test_execs_that_fail(run: Runner, web: Any, receiver: Any, healthy: bool) -> None:
    """A command that is not there is no end of the program: nothing is flushed, dropped or said for it."""
    program = run.program(
        "import os, signal, sys, requests\nrequests.get(sys.argv[1])\n"
        "for _ in range(5):\n"
        "    try: os.execvp('no-such-program', ['x'])\n    except OSError as error: print(error)\n"
        "print('still here', flush=True); os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    with socket.create_server(("127.0.0.1", 0)) as silent:
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
        # A flush for any of them would take longer than a test's program may.
        flags = ("-e", receiver.endpoint if healthy else endpoint, "--exporter", "otlp", "--exit-timeout", "600")
        done = run.traced(PYTHON, program, web.url, flags=flags)
    assert (done.status, done.out.splitlines()[-1], done.ours) == (-9, "still here", [])


KEYS = [
    *("token[]", "password[0]", "user[password][]", "access+token", "token%20", "%2574oken", "accesstoken"),
    *("ACCESSTOKEN", "authtoken", "clientsecret", "secretkey", "userpassword", "csrfmiddlewaretoken", "db_pass"),
    *("passcode", "bearer", "client_assertion", "oauth_verifier", "id_token_hint", "device_code", "user_code"),
    *("SAMLRequest", "ticket"),
]


@pytest.mark.parametrize("key", KEYS)
def test_more_names_of_secrets(key: str) -> None:
    """Names without separators, arrays, and names that are quoted twice."""
    assert "S3CRET" not in redaction.url(f"http://host/?a=1&{key}=S3CRET&b=2")


@pytest.mark.parametrize(
    "key", ["status_code", "country_code", "page", "author", "keyword", "tokens", "monkey", "passenger"]
)
def test_names_that_are_none(key: str) -> None:
    """What only looks like one stays."""
    assert redaction.url(f"http://host/?{key}=plain") == f"http://host/?{key}=plain"


@pytest.mark.parametrize("ending", ["print('fine')", "open('/dev/null')"])
def test_no_file_descriptor_left_at_the_end(run: Runner, web: Any, ending: str) -> None:
    """The export thread is gone before the interpreter is: ending a thread there takes a file, or ends in SIGABRT."""
    program = run.program(
        "import os, resource, sys, urllib.request\nresource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))\n"
        "urllib.request.urlopen(sys.argv[1]).read()\nkept = []\n"
        f"try:\n    while True: kept.append(os.open('/dev/null', 0))\nexcept OSError: pass\n{ending}\n"
    )
    plain = run.plain(PYTHON, program, web.url)
    for _ in range(5):
        done = run.traced(PYTHON, program, web.url)
        assert (done.status, done.out, done.theirs) == (plain.status, plain.out, plain.err)


@pytest.mark.parametrize("threads", [2, 3])
def test_a_fork_while_threads_queue_for_the_first_call(run: Runner, web: Any, threads: int) -> None:
    """In the child a call of another library waits for no lock of a thread that is not there."""
    program = run.program(
        "import os, sys, threading, time, requests, httpx\ndef get(): requests.get(sys.argv[1])\n"
        f"threads = [threading.Thread(target=get) for _ in range({threads})]\n"
        "for thread in threads: thread.start()\n"
        "time.sleep(0.02)\n"
        "child = os.fork()\n"
        "if not child:\n"
        "    print(httpx.get(sys.argv[1]).status_code, flush=True); os._exit(0)\n"
        "for thread in threads: thread.join()\n"
        "os.waitpid(child, 0)\n"
    )
    for _ in range(5):
        done = run.traced(PYTHON, program, web.url)
        assert (done.status, done.out, done.theirs) == (0, "200\n", "")
    assert len(run.spans()) == 5 * (threads + 1)


def test_flushes_of_several_threads(run: Runner, receiver: Any) -> None:
    """None of them waits out its timeout."""
    program = run.program(
        "import threading\nfrom opentelemetry import trace\n"
        "provider, tracer = trace.get_tracer_provider(), trace.get_tracer('x')\n"
        "def work():\n    tracer.start_span('s').end()\n    print(provider.force_flush(600_000))\n"
        "threads = [threading.Thread(target=work) for _ in range(4)]\n"
        "for thread in threads: thread.start()\n"
        "for thread in threads: thread.join()\n"
    )
    done = run.traced(PYTHON, program, flags=("-e", receiver.endpoint, "--exporter", "otlp"))
    assert (done.status, done.out) == (0, "True\n" * 4)  # within the minute that a test's program has
    assert len(receiver.spans) == 4


def test_what_is_said_at_a_signal(run: Runner, web: Any, receiver: Any) -> None:
    """The report, and the line about lost spans, also where SIGTERM comes long after the last span."""
    program = run.program(
        "import os, signal, sys, time, requests\nrequests.get(sys.argv[1])\ntime.sleep(2)\n"
        "os.kill(os.getpid(), signal.SIGTERM)\ntime.sleep(20)\n"
    )
    flags = ("-e", receiver.endpoint, "--exporter", "otlp")
    done = run.traced(PYTHON, program, web.url, flags=(*flags, "--report"))
    assert (done.status, done.theirs, "report" in done.slugs) == (-15, "", True)
    receiver.status = 302
    done = run.traced(PYTHON, program, web.url, flags=flags)
    assert (done.status, done.theirs, "spans-lost" in done.slugs) == (-15, "", True)


def test_modules_on_pythonpath_are_not_the_launchers(run: Runner) -> None:
    """What the program has there by the names of our own libraries is the program's."""
    for name in ("click", "rich", "importlib_metadata"):
        run.program("print('the program has this')\n", f"own/{name}.py")
    program = run.program("import click\n")
    env = {"PYTHONPATH": str(run.folder / "own")}
    done = run.traced(PYTHON, program, flags=("-n", "shop"), env=env)
    assert (done.status, done.out, done.err) == (0, "the program has this\n", "")
    for words in (("--list-instrumentations",), ("--print-env", "json")):
        done = run.traced(*words, env=env)
        assert (done.status, "the program has this" in done.out) == (0, False)


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("with httpx.stream('GET', url) as r: raise ValueError('mine')", None),
        (
            (
                "def parts():\n    with httpx.stream('GET', url) as r: yield from r.iter_bytes()\n"
                "for part in parts(): break"
            ),
            None,
        ),
        ("with httpx.stream('GET', url + 'short') as r: r.read()", "httpx.RemoteProtocolError"),
    ],
    ids=["raises", "leaves early", "broken off"],
)
def test_whose_error_it_is(run: Runner, code: str, expected: str | None) -> None:
    """An error of the program's own inside of httpx's context manager is none of the request's."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    short = b"short" in connection.recv(65536)
                    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\nok" % (9 if short else 2))

        threading.Thread(target=serve, daemon=True).start()
        indented = code.replace("\n", "\n    ")
        program = run.program(
            f"import httpx, sys\nurl = 'http://127.0.0.1:{listener.getsockname()[1]}/'\n"
            f"try:\n    {indented}\nexcept Exception as error: print(type(error).__name__)\n"
        )
        (span,) = run.traced(PYTHON, program).spans
    assert span.attributes.get("error.type") == expected


def test_lengths_of_attributes(run: Runner, web: Any) -> None:
    """The SDK says of each attribute that it is too long; of ours nobody wants to hear."""
    program = run.program("import sys, requests\nrequests.get(sys.argv[1] + '?' + 'x' * 200)\n")
    done = run.traced(PYTHON, program, web.url, env={"OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT": "64"})
    assert (done.status, done.err, len(done.spans)) == (0, "", 1)
    assert len(str(done.spans[0].attributes["url.full"])) == 64


def test_a_call_in_a_forked_child_before_we_notice(run: Runner, web: Any) -> None:
    """The program's own handler runs first: its span is the child's, and stays when our handler comes."""
    program = run.program(
        "import os, sys, urllib.request\n"
        "def call(name): urllib.request.urlopen(sys.argv[1] + '/200/' + name).read()\n"
        "os.register_at_fork(after_in_child=lambda: call('handler'))\ncall('parent')\nchild = os.fork()\n"
        "if not child:\n    call('child')\n    sys.exit(0)\nos.waitpid(child, 0)\n"
    )
    done = run.traced(PYTHON, "-W", "ignore", program, web.url)
    found = sorted(span.attributes["url.full"].rpartition("/")[2] for span in done.spans)
    assert found == ["child", "handler", "parent"], done
