"""The chain does not break in greenlets: gevent's and eventlet's, in pools, and in what servers make of connections."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import PYTHON, TRACERUN, Runner, WebServer
from tests.environments import CURRENT, Environments, environments
from tests.test_context import parents

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["environments"]

SERVER, CLIENT = 2, 3
SDK = "opentelemetry-sdk==1.45.1"
# Releases of late 2022, the oldest that the catalogue has.
OLDEST = {
    "gevent": ("gevent==22.10.2", "greenlet==3.0.3", "setuptools<81", SDK),
    "eventlet": ("eventlet==0.33.3", "greenlet==3.0.3", SDK),
}

HEAD = """
import contextvars, sys, traceback, warnings
from opentelemetry import trace

warnings.simplefilter("ignore")
tracer = trace.get_tracer("shop")
own = contextvars.ContextVar("own", default="unset")

def work(name):
    sleep(0)
    tracer.start_span(name).end()
    return name, own.get()

def request(body):
    own.set("of the request")
    with tracer.start_as_current_span("request"):
        body()
"""
GEVENT = """
import gevent
import gevent.pool
import gevent.threadpool
from gevent import Greenlet, sleep, spawn
"""
EVENTLET = """
import eventlet
from eventlet import sleep, spawn
from eventlet.greenpool import GreenPile, GreenPool
"""


def outcome(run: Runner, body: str, python: str = PYTHON) -> Any:
    """The program plain and traced, with the same outcome."""
    program = run.program(body)
    plain, traced = run.plain(python, program), run.traced(python, program)
    assert plain.status == 0, plain
    assert (traced.status, traced.out, traced.theirs) == (plain.status, plain.out, plain.theirs), traced
    return traced


GEVENT_WORK = """
class Worker(Greenlet):
    def __init__(self, name):
        super().__init__()
        self.work = name
    def _run(self):
        return work(self.work)

def body():
    worker = Worker("subclass")
    worker.start()
    print(spawn(work, "spawn").get(), gevent.spawn_later(0.01, work, "spawn_later").get(), worker.get())
    print(gevent.Greenlet.spawn(gevent.spawn(work, "nested").get).get())
    for kind, pool in (("pool", gevent.pool.Pool(2)), ("group", gevent.pool.Group())):
        print(pool.apply(work, [f"{kind} apply"]), pool.apply_async(work, [f"{kind} apply_async"]).get())
        print(pool.spawn(work, f"{kind} spawn").get(), pool.map(work, [f"{kind} map {n}" for n in range(4)]))
        print(list(pool.imap(work, [f"{kind} imap"])), list(pool.imap_unordered(work, [f"{kind} imap_unordered"])))
        print(pool.map_async(work, [f"{kind} map_async"]).get())
    print(threads.apply(work, ["threads apply"]), threads.spawn(work, "threads spawn").get())
    print(threads.map(work, ["threads map"]), list(threads.imap(work, ["threads imap"])))
    print(gevent.threadpool.ThreadPoolExecutor(1).submit(work, "threads submit").result())
    print(gevent.get_hub().threadpool.apply(work, ["threads hub"]))

threads = gevent.threadpool.ThreadPool(1)
request(body)
print(spawn(work, "outside").get(), threads.apply(work, ["threads outside"]))
"""
EVENTLET_WORK = """
def body():
    pool, pile = GreenPool(2), GreenPile(2)
    print(spawn(work, "spawn").wait(), eventlet.spawn_after(0.01, work, "spawn_after").wait())
    eventlet.spawn_n(work, "spawn_n")
    print(pool.spawn(work, "pool spawn").wait(), list(pool.imap(work, ["pool imap 1", "pool imap 2"])))
    pool.spawn_n(work, "pool spawn_n")
    pile.spawn(work, "pile")
    print(list(pile), list(pool.starmap(work, [["starmap"]])))
    pool.waitall()

request(body)
print(spawn(work, "outside").wait())
"""
WORK = {"gevent": GEVENT + HEAD + GEVENT_WORK, "eventlet": HEAD + EVENTLET + EVENTLET_WORK}
COUNT = {"gevent": 30, "eventlet": 9}


def check_work(done: Any, library: str) -> None:
    """Everything that was started in the request belongs to it, and nothing else."""
    found = parents(done.spans)
    outside = {name: found.pop(name) for name in list(found) if "outside" in name or name == "request"}
    assert set(outside.values()) == {""}
    assert set(found.values()) == {"request"}
    assert len(found) == COUNT[library], sorted(found)


@pytest.mark.parametrize("library", list(WORK))
@pytest.mark.slow
def test_greenlets_belong_to_who_spawns_them(run: Runner, library: str) -> None:
    """Each way to start one: early bound, later, subclasses, pools, maps, threads; context variables as plain."""
    done = outcome(run, WORK[library])
    assert "of the request" not in done.out
    check_work(done, library)


@pytest.mark.slow
@pytest.mark.parametrize("library", list(WORK))
def test_oldest_releases(run: Runner, environments: Environments, library: str) -> None:
    """The same with the oldest release that the catalogue claims."""
    check_work(outcome(run, WORK[library], environments.python(CURRENT, *OLDEST[library])), library)


@pytest.mark.slow
@pytest.mark.parametrize("library", list(WORK))
def test_one_request_does_not_end_up_in_anothers_greenlet(run: Runner, library: str) -> None:
    """Many requests at once on one pool of few greenlets: each task belongs to its own request."""
    if library == "gevent":
        head, make, join = GEVENT, "gevent.pool.Pool(3)", "gevent.joinall([spawn(request, n) for n in range(12)])"
    else:
        head, make, join = EVENTLET, "GreenPool(3)", "[g.wait() for g in [spawn(request, n) for n in range(12)]]"
    get = "get" if library == "gevent" else "wait"
    body = f"""
def request(number):
    with tracer.start_as_current_span(f"request {{number}}"):
        for task in [pool.spawn(work, f"task {{number}}.{{n}}") for n in range(5)]:
            task.{get}()

pool = {make}
{join}
"""
    found = parents(outcome(run, head + HEAD + body).spans)
    tasks = {name: parent for name, parent in found.items() if name.startswith("task")}
    assert len(tasks) == 60
    assert all(parent == f"request {name[5:].partition('.')[0]}" for name, parent in tasks.items())
    assert {parent for name, parent in found.items() if name.startswith("request")} == {""}


@pytest.mark.slow
def test_gevents_greenlets_are_what_they_are(run: Runner) -> None:
    """Errors, kills before and after the start, names, pickles, links, locals, a context that the program gives."""
    outcome(
        run,
        GEVENT
        + HEAD
        + """
import copy, inspect, pickle, re, weakref
from gevent.local import local

def fails():
    raise ZeroDivisionError("on purpose")

def killed():
    try:
        sleep(10)
    except gevent.GreenletExit:
        print("exits")
        raise

class Worker(Greenlet):
    mine = 1
    def __init__(self, *args):
        Greenlet.__init__(self)
        self.args_of_mine = args
    def __str__(self):
        return "worker"
    def _run(self):
        return self.args_of_mine

def body():
    gevent.get_hub().print_exception = lambda context, *error: traceback.print_exception(*error)
    failed = spawn(fails)
    failed.join()
    print(failed.successful(), repr(failed.exception))
    pool = gevent.threadpool.ThreadPool(1)
    for call in (failed.get, lambda: pool.apply(fails)):
        try:
            call()
        except ZeroDivisionError:
            traceback.print_exc()
    late, never, worker = spawn(killed), spawn(killed), Worker(1, 2)
    never.kill()
    sleep(0)
    late.kill()
    print(repr(late.value), repr(never.value), late.dead, never.dead)
    worker.link(lambda ended: print("linked", ended.value))
    worker.start()
    worker.join()
    print(worker, worker.mine, sorted(vars(worker)), type(worker).__mro__, type(worker.minimal_ident), worker.name[:6])
    print(re.sub("0x[0-9a-f]+", "", repr(worker)), inspect.signature(Worker.__init__), isinstance(worker, Greenlet))
    for copied in (pickle.dumps, copy.copy):
        try:
            copied(worker)
        except TypeError as error:
            print(error)
    given = Greenlet(own.get)
    given.gr_context = contextvars.copy_context()
    given.start()
    print(given.get(), given.gr_context is None, weakref.ref(given)() is given)
    store = local()
    store.mine = 1
    print(spawn(lambda: hasattr(store, "mine")).get(), spawn(gevent.getcurrent).get().spawn_tree_locals)
    with gevent.Timeout(0.01, False):
        sleep(10)
    try:
        spawn(1)
    except TypeError as error:
        print(error)

request(body)
""",
    )


@pytest.mark.slow
def test_eventlets_greenlets_are_what_they_are(run: Runner) -> None:
    """The same of eventlet's: errors, links, kills before and after the start, pools that are full."""
    outcome(
        run,
        HEAD
        + EVENTLET
        + """
import inspect, re

def fails():
    raise ZeroDivisionError("on purpose")

def body():
    try:
        spawn(fails).wait()
    except ZeroDivisionError:
        traceback.print_exc()
    late, never = spawn(sleep, 10), spawn(print, "never")
    never.cancel()
    sleep(0)
    late.kill()
    print(late.dead, never.dead)
    linked = spawn(own.get)
    linked.link(lambda ended, more: print("linked", ended.wait(), more), "more")
    print(linked.wait(), type(linked).__mro__, inspect.signature(type(linked).__init__))
    print(type(eventlet.spawn_n(own.get)), inspect.signature(eventlet.spawn), eventlet.spawn.__module__)
    pool = GreenPool(1)
    print(pool.spawn(lambda: pool.spawn(own.get).wait()).wait(), pool.running(), pool.free())
    with eventlet.Timeout(0.01, False):
        sleep(10)

request(body)
""",
    )


PATCHED = {
    "gevent": "from gevent import monkey, sleep\nmonkey.patch_all()\n",
    "eventlet": "import eventlet\nfrom eventlet import sleep\neventlet.monkey_patch()\n",
}


@pytest.mark.parametrize("library", list(PATCHED))
@pytest.mark.slow
def test_patched_threads_and_pools(run: Runner, library: str) -> None:
    """Threads that are greenlets: one belongs to who starts it, a pool's to nobody, its tasks to their callers."""
    done = outcome(
        run,
        "import warnings\nwarnings.simplefilter('ignore')\n"
        + PATCHED[library]
        + HEAD
        + """
import concurrent.futures, threading

pool = concurrent.futures.ThreadPoolExecutor(1)

def body():
    thread = threading.Thread(target=work, args=["thread"])
    thread.start()
    thread.join()
    print(pool.submit(work, "submit").result(), list(pool.map(work, ["map"])))

request(body)
print(pool.submit(work, "outside").result())
with tracer.start_as_current_span("second"):
    pool.submit(work, "of second").result()
""",
    )
    expected = {"thread": "request", "submit": "request", "map": "request", "outside": "", "of second": "second"}
    assert parents(done.spans) == {"request": "", "second": "", **expected}


def test_a_librarys_worker_keeps_no_context(run: Runner) -> None:
    """What a library starts once, and keeps for all requests, does not belong to the request that came first."""
    done = outcome(
        run,
        GEVENT
        + HEAD
        + """
def worker():
    work("worker")

worker.__module__ = "sentry_sdk.worker"
request(lambda: (spawn(worker).get(), spawn(work, "own").get()))
""",
    )
    assert parents(done.spans) == {"request": "", "own": "request", "worker": ""}


def test_a_connections_greenlet_has_no_parent(run: Runner) -> None:
    """What gevent's server makes of a connection belongs to nobody, whoever has started the server."""
    done = outcome(
        run,
        GEVENT
        + HEAD
        + """
from gevent import socket
from gevent.server import StreamServer

def handle(connection, address):
    with tracer.start_as_current_span(f"connection {connection.recv(1).decode()}"):
        spawn(work, f"work").get()
        connection.sendall(b"ok")
    connection.close()

def connect(number):
    with socket.create_connection(("127.0.0.1", server.server_port)) as connection:
        connection.sendall(str(number).encode())
        print(connection.recv(2))

def body():
    global server
    server = StreamServer(("127.0.0.1", 0), handle, spawn=gevent.pool.Pool(1))
    server.start()
    spawn(connect, 1).get()
    spawn(connect, 2).get()

request(body)
connect(3)
server.stop()
""",
    )
    names = {span.span_id: span.name for span in done.spans}
    connections = [span for span in done.spans if span.name.startswith("connection")]
    assert [span.parent_id for span in connections] == ["", "", ""]
    works = [names[span.parent_id] for span in done.spans if span.name == "work"]
    assert sorted(works) == ["connection 1", "connection 2", "connection 3"]


APP = """
import requests
URL = {url!r}

def call(name):
    return requests.get(URL + "/200/" + name).status_code

def app(environ, start_response):
    name = environ["PATH_INFO"].strip("/")
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [" ".join(str(got) for got in calls(name)).encode()]
"""
GEVENT_APP = """
from gevent import monkey
monkey.patch_all()
import gevent
from gevent.pool import Pool
pool = Pool(2)
def calls(name):
    return [*pool.map(call, [name + ".1", name + ".2"]), gevent.spawn(call, name + ".3").get()]
"""
EVENTLET_APP = """
import eventlet
eventlet.monkey_patch()
pool = eventlet.GreenPool(2)
def calls(name):
    return [*pool.imap(call, [name + ".1", name + ".2"]), eventlet.spawn(call, name + ".3").wait()]
"""
SERVE = {
    "gevent": (
        "from gevent.pywsgi import WSGIServer\n",
        "WSGIServer(('127.0.0.1', {port}), app, log=None).serve_forever()",
    ),
    "eventlet": (
        "from eventlet import wsgi\n",
        "wsgi.server(eventlet.listen(('127.0.0.1', {port})), app, log_output=False)",
    ),
}
SERVERS: dict[str, tuple[str, Callable[[int], list[str]]]] = {
    "gevent": (GEVENT_APP, lambda _: [PYTHON, "web.py"]),
    "gunicorn": (GEVENT_APP, lambda port: ["gunicorn", "-k", "gevent", "-b", f"127.0.0.1:{port}", "web:app"]),
    "eventlet": (EVENTLET_APP, lambda _: [PYTHON, "web.py"]),
}


@pytest.mark.slow
@pytest.mark.parametrize("server", list(SERVERS))
def test_requests_of_a_server(run: Runner, port: int, web: WebServer, server: str) -> None:
    """Calls from a request's greenlets belong to it, also on a connection that is kept alive; requests to nobody."""
    text, words = SERVERS[server]
    if server in SERVE:
        imports, serve = SERVE[server]
        text += imports + APP.format(url=web.url) + f"if __name__ == '__main__':\n    {serve.format(port=port)}\n"
    else:
        text += APP.format(url=web.url)
    run.program(text, "web.py")
    import requests

    with run.serving(TRACERUN, *words(port), port=port), requests.Session() as session:
        for number in range(4):
            assert session.get(f"http://127.0.0.1:{port}/{number}", timeout=20).text == "200 200 200"
    spans = run.spans()
    servers = {span.span_id: span for span in spans.all(kind=SERVER)}
    assert sorted(span.attributes["url.path"] for span in servers.values()) == ["/0", "/1", "/2", "/3"]
    assert {span.parent_id for span in servers.values()} == {""}
    calls = spans.all(kind=CLIENT)
    assert len(calls) == 12
    for span in calls:
        path = servers[span.parent_id].attributes["url.path"]
        assert f"/200{path}." in span.attributes["url.full"]


def test_nothing_is_wrapped_before_it_is_needed(run: Runner) -> None:
    """A program that is not traced yet has gevent's and eventlet's own greenlets."""
    program = run.program(
        "import warnings\nwarnings.simplefilter('ignore')\n"
        "import sys, eventlet.greenthread as green, gevent.threadpool as pool\n"
        "print(green.GreenThread.__init__.__code__.co_filename, green._spawn_n.__code__.co_filename)\n"
        "print(pool.ThreadResult.__init__.__code__.co_filename, 'opentelemetry' in sys.modules)\n"
    )
    plain, traced = run.plain(PYTHON, program), run.traced(PYTHON, program)
    assert (traced.out, traced.ours) == (plain.out, [])
