"""The oldest release of each HTTP client that the catalogue claims, and those that need environments of their own."""

from __future__ import annotations

import subprocess
from typing import Any

import pytest

from tests.conftest import PYTHON, TRACERUN, Runner
from tests.environments import CURRENT, Environments, environments
from tests.test_http_clients import CLIENT, ERROR, GET, WITHOUT_PEER, redirected_twice
from tracerun.instrumentation.catalog import by_name

__all__ = ["environments"]  # the fixture

# What is installed for a library's oldest release; its own distribution first.
OLDEST = {
    "requests": ("requests==2.28.0",),
    "urllib3": ("urllib3==1.26.0",),
    "httpx": ("httpx==0.24.0",),
    "aiohttp-client": ("aiohttp==3.8.3",),
    "httplib2": ("httplib2==0.20.0",),
    "tornado_client": ("tornado==6.3",),
    "tornado_client curl": ("tornado==6.3", "pycurl==7.45.3"),
    "pycurl": ("pycurl==7.45.3",),
    "twisted_client": ("twisted==22.10.0",),
    "twisted_client treq": ("twisted==22.10.0", "treq==22.2.0", "setuptools<80"),
    "httpx2": ("httpx2==2.0.0",),
    "curl_cffi": ("curl_cffi==0.7.0",),
    "curl_cffi async": ("curl_cffi==0.7.0",),
    "aiosonic": ("aiosonic==0.21.0",),
    "primp": ("primp==0.8.0",),
    "primp function": ("primp==0.8.0",),
    "pyqwest": ("pyqwest==0.5.1",),
    "pyqwest async": ("pyqwest==0.5.1",),
    "httpr": ("httpr==0.2.2",),
    "httpr async": ("httpr==0.2.2",),
}
OTHERS = [version for version in ("3.10", "3.12", "3.13") if version != CURRENT]
NIQUESTS = (
    "import asyncio, niquests, sys\nr = niquests.get(sys.argv[1])\nprint(r.status_code, r.text)\n\nasync def main():\n"
    "    async with niquests.AsyncSession() as session:\n        r = await session.get(sys.argv[1])\n"
    "        print(r.status_code, r.text)\n\nasyncio.run(main())"
)


def one_call(run: Runner, web: Any, python: str, text: str, count: int = 1) -> Any:
    """The spans of a program's calls, each named in its request; the program's outcome is that of its plain run."""
    program = run.program(text)
    plain = run.plain(python, program, f"{web.url}/404/thing")
    traced = run.traced(python, program, f"{web.url}/404/thing")
    assert plain.status == 0, plain
    assert (traced.status, traced.out) == (plain.status, plain.out), traced
    assert len(traced.spans) == count, traced
    for span, seen in zip(traced.spans, web.seen[count:], strict=True):
        assert (span.kind, span.name, span.status) == (CLIENT, "GET", ERROR)
        assert seen["traceparent"] == f"00-{span.trace_id}-{span.span_id}-01"
        wanted = {"url.full": f"{web.url}/404/thing", "http.response.status_code": 404, "server.port": web.port}
        if span.scope not in WITHOUT_PEER:
            wanted |= {"network.peer.address": "127.0.0.1", "network.peer.port": web.port}
        assert {name: span.attributes[name] for name in wanted} == wanted
    return traced.spans


@pytest.mark.parametrize("library", list(OLDEST))
@pytest.mark.slow
def test_oldest_release(run: Runner, web: Any, environments: Environments, library: str) -> None:
    """The oldest release that the catalogue claims is traced as the newest is."""
    python = environments.python(CURRENT, *OLDEST[library])
    (span,) = one_call(run, web, python, GET[library])
    assert span.scope == f"tracerun.{library.partition(' ')[0]}"


# By the names in OLDEST.
REDIRECTED = {
    "aiohttp": "aiohttp-client",
    "treq": "twisted_client treq",
    **{name: name for name in ("requests", "httpx", "httpx2", "httplib2", "aiosonic")},
}


@pytest.mark.parametrize("library", REDIRECTED)
@pytest.mark.slow
def test_redirects_of_the_oldest_release(run: Runner, web: Any, environments: Environments, library: str) -> None:
    """It too has a span for each request, which says how many went before it."""
    python = environments.python(CURRENT, *OLDEST[REDIRECTED[library]])
    assert redirected_twice(run, python, library, f"{web.url}/302/x") == [None, 1] * 2


@pytest.mark.parametrize("library", list(OLDEST))
def test_oldest_release_is_the_catalogues(library: str) -> None:
    """The release that is tested is the one that the catalogue names."""
    record = by_name(library.partition(" ")[0])
    assert record is not None
    distribution, _, version = OLDEST[library][0].partition("==")
    assert distribution == record.distribution
    assert f"{version}.0".startswith(f"{record.minimum}.")


@pytest.mark.parametrize("version", OTHERS)
@pytest.mark.parametrize("library", ["http_client", "urllib"])
@pytest.mark.slow
def test_other_pythons(run: Runner, web: Any, environments: Environments, version: str, library: str) -> None:
    """Python's own clients are traced on each Python."""
    (span,) = one_call(run, web, environments.python(version), GET[library])
    assert span.scope == f"tracerun.{library}"


@pytest.mark.parametrize("packages", [("niquests",), ("niquests==3.10.0", "urllib3-future==2.11.906")], ids=str)
@pytest.mark.slow
def test_niquests(run: Runner, web: Any, environments: Environments, packages: tuple[str, ...]) -> None:
    """Niquests is traced, sync and async, by way of urllib3-future in urllib3's place."""
    python = environments.python(CURRENT, *packages)
    spans = one_call(run, web, python, NIQUESTS, 2)
    assert {span.scope for span in spans} == {"tracerun.urllib3"}


def with_both(environments: Environments) -> str:
    """The interpreter of an environment where urllib3 is itself, beside urllib3-future."""
    packages = ("niquests==3.10.0", "urllib3-future==2.11.906", "idna")
    python = environments.python(CURRENT, *packages)
    back = [
        PYTHON,
        "-m",
        "pip",
        "--python",
        python,
        "install",
        "-q",
        "--force-reinstall",
        "--no-deps",
        "urllib3==2.2.3",
    ]
    subprocess.run(back, check=True, capture_output=True)
    return python


@pytest.mark.slow
def test_urllib3_future_beside_urllib3(run: Runner, web: Any, environments: Environments) -> None:
    """Where urllib3 is itself, niquests' urllib3-future is traced under its own name."""
    spans = one_call(run, web, with_both(environments), NIQUESTS, 2)
    assert {span.scope for span in spans} == {"tracerun.urllib3_future"}


MULTIPLEXED = (
    "import asyncio, niquests, sys\nwith niquests.Session(multiplexed=True, disable_http1=True) as session:\n"
    "    answers = [session.get(sys.argv[1]) for _ in range(3)]\n    session.gather()\n"
    "    print([(r.status_code, r.text) for r in answers])\n\nasync def main():\n"
    "    async with niquests.AsyncSession(multiplexed=True, disable_http1=True) as session:\n"
    "        answers = [await session.get(sys.argv[1]) for _ in range(3)]\n        await session.gather()\n"
    "        print([r.status_code for r in answers])\n\nasyncio.run(main())"
)
TEAPOT = (
    "async def app(scope, receive, send):\n"
    "    await send({'type': 'http.response.start', 'status': 418, 'headers': [(b'content-length', b'2')]})\n"
    "    await send({'type': 'http.response.body', 'body': b'no'})\n"
)


@pytest.mark.slow
def test_multiplexed_requests_of_niquests(run: Runner, port: int, environments: Environments) -> None:
    """Of several requests at once over HTTP/2 each is a span with the status of its own response."""
    run.program(TEAPOT, "teapot.py")
    program = run.program(MULTIPLEXED)
    python = environments.python(CURRENT, "niquests")
    with run.serving(PYTHON, "-m", "hypercorn", "--bind", f"127.0.0.1:{port}", "teapot:app", port=port):
        plain = run.plain(python, program, f"http://127.0.0.1:{port}/")
        traced = run.traced(python, program, f"http://127.0.0.1:{port}/")
    assert plain.status == 0, plain
    assert (traced.status, traced.out) == (0, plain.out), traced
    described = [
        (span.status, span.attributes["http.response.status_code"], span.attributes["network.protocol.version"])
        for span in traced.spans
    ]
    assert described == [(ERROR, 418, "2")] * 6


PYQWEST = (
    "import httpx, pyqwest.httpx, sys\nfrom opentelemetry import trace\n\n"
    "with trace.get_tracer('shop').start_as_current_span('work'):\n"
    "    with pyqwest.SyncClient().stream('GET', sys.argv[1]) as r:\n        print(r.status, b''.join(r.content))\n"
    "    print(pyqwest.get_default_sync_transport().execute_sync(pyqwest.SyncRequest('GET', sys.argv[1])).status)\n"
    "    over = pyqwest.httpx.PyqwestTransport(pyqwest.get_default_sync_transport())\n"
    "    with httpx.Client(transport=over) as client:\n"
    "        print(client.get(sys.argv[1]).text)\n"
)


def test_pyqwest_traces_itself(run: Runner, web: Any) -> None:
    """Every way to call it is traced once, also by httpx over it, as the tracer has it that pyqwest is given."""
    program = run.program(PYQWEST)
    plain = run.plain(PYTHON, program, f"{web.url}/404?token=hush")
    done = run.traced(PYTHON, program, f"{web.url}/404?token=hush")
    assert plain.status == 0, plain
    assert (done.status, done.out) == (0, plain.out), done
    *spans, work = done.spans
    assert [span.scope for span in spans] == ["tracerun.pyqwest"] * 2 + ["tracerun.httpx"]
    for span in spans:
        assert (span.kind, span.name, span.status, span.parent_id) == (CLIENT, "GET", ERROR, work.span_id)
        assert span.attributes["url.full"] == f"{web.url}/404?token=REDACTED"
        assert (span.attributes["http.response.status_code"], span.attributes["error.type"]) == (404, "404")
    sent = [seen["traceparent"] for seen in web.seen[3:]]
    assert sent == [f"00-{span.trace_id}-{span.span_id}-01" for span in spans]
    listed = run.command(TRACERUN, "--list-instrumentations", PYTHON, env={"COLUMNS": "200"}).out
    (row,) = (line for line in listed.splitlines() if line.startswith("pyqwest "))
    assert "traced (traces itself" in row


def test_pyqwest_disabled(run: Runner, web: Any) -> None:
    """What is disabled makes no spans by itself either."""
    done = run.traced(PYTHON, run.program(GET["pyqwest"]), f"{web.url}/200", flags=("--disable", "pyqwest"))
    assert (done.status, done.out, len(done.spans)) == (0, "200 body of /200\n", 0), done
    assert "traceparent" not in web.seen[0]
