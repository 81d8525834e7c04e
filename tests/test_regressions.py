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
        "def work():\n    begin = time.monotonic(); get('/child')\n"
        "    print('late' if time.monotonic() - begin > 8 else 'in time', flush=True)\n"
        "for delay in (0, 0.005, 0.03):\n"
        "    thread = threading.Thread(target=get, args=('/warm',)); thread.start(); time.sleep(delay)\n"
        "    process = multiprocessing.get_context('fork').Process(target=work)\n"
        "    process.start(); process.join(); thread.join()\n"
    )
    done = run.traced(PYTHON, program, web.url)
    assert (done.status, done.out, done.err) == (0, "in time\n" * 3, "")
    assert len(done.spans) == 6


def test_first_use_of_two_kinds_at_once(run: Runner, web: Any) -> None:
    """One thread asks for the provider, others make the first calls: nobody waits for the other for ever."""
    program = run.program(
        "import sys, threading, time, requests, urllib3\nfrom opentelemetry import trace\n"
        "ready = threading.Barrier(3)\n"
        "def manual(): ready.wait(); trace.get_tracer('t').start_span('manual').end()\n"
        "def first(): ready.wait(); requests.get(sys.argv[1])\n"
        "def second(): ready.wait(); urllib3.PoolManager().request('GET', sys.argv[1])\n"
        "threads = [threading.Thread(target=target) for target in (manual, first, second)]\n"
        "begin = time.monotonic()\n"
        "for thread in threads: thread.start()\n"
        "for thread in threads: thread.join()\n"
        "print(time.monotonic() - begin < 9)\n"  # what waits for a lock of ours gives up after ten seconds
    )
    for _ in range(5):
        assert run.traced(PYTHON, program, web.url).out == "True\n"
    assert len(run.spans()) == 15


def test_flushes_in_quick_succession(run: Runner, receiver: Any) -> None:
    """A flush with nothing to do returns at once, however often it is asked for."""
    program = run.program(
        "import time\nfrom opentelemetry import trace\n"
        "trace.get_tracer('q').start_span('s').end()\n"
        "provider, begin = trace.get_tracer_provider(), time.monotonic()\n"
        "print(all(provider.force_flush(3000) for _ in range(300)), time.monotonic() - begin < 60)\n"
    )
    env = {"TRACERUN_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.endpoint}
    done = run.traced(PYTHON, program, env=env)
    assert (done.status, done.out, done.err) == (0, "True True\n", "")


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
        "import os, sys, time, requests\nrequests.get(sys.argv[1])\nbegin = time.monotonic()\n"
        "for _ in range(5):\n"
        "    try: os.execvp('no-such-program', ['x'])\n    except OSError as error: print(error)\n"
        "print(time.monotonic() - begin < 5.5)\n"
    )
    with socket.create_server(("127.0.0.1", 0)) as silent:
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
        flags = ("-e", receiver.endpoint if healthy else endpoint, "--exporter", "otlp")
        done = run.traced(PYTHON, program, web.url, flags=flags)
    assert done.out.splitlines()[-1] == "True"
    assert len(done.ours) == (0 if healthy else 1), done


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
