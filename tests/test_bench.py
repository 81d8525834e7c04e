"""The bench: what it makes of samples, and that its page is the one that its results give. Nothing is timed here."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.trace import TracerProvider

from benchmarks import docs, load, results
from benchmarks.environments import Environment, environment
from benchmarks.figures import BARE, figure, rotated
from benchmarks.goals import GOALS, Goal
from benchmarks.peers import DDTRACE, EVERYONE, PEERS, TRACERUN, UPSTREAM
from benchmarks.processes import Failed, answer, used
from benchmarks.profiling import layer_of
from benchmarks.receiver import spans_in
from benchmarks.rows import ROWS
from benchmarks.tables import lines, number, shown
from benchmarks.workers import timing
from benchmarks.workers.wsgi_calls import caller


def test_each_comes_first_once() -> None:
    """In as many rounds as there are peers, each one has every place once."""
    rounds = [rotated("ABCD", turn) for turn in range(4)]
    assert ["".join(order) for order in rounds] == ["ABCD", "BCDA", "CDAB", "DABC"]
    assert rotated("ABCD", 5) == list("BCDA")


SAMPLES: dict[str, list[Any]] = {
    BARE: [{"cpu": 10.0, "cpu@9": 10.0}, {"cpu": 20.0, "cpu@9": 20.0}, {"cpu": 1.0, "cpu@9": 1.0}],
    "tracerun": [{"cpu": 20.0, "cpu@9": 30.0}, {"cpu": 22.0, "cpu@9": 26.0}, {"cpu": 30.0, "cpu@9": 59.0}],
    "other": [{"cpu": 30.0}, None, {"cpu": 3.0}],
    "failed": [None, None, None],
}


@pytest.mark.parametrize(
    ("peer", "form", "expected"),
    [
        ("tracerun", "value", 22.0),
        ("tracerun", "ratio", 2.0),
        ("tracerun", "added", 10.0),
        ("other", "value", 16.5),
        ("other", "ratio", 3.0),
        ("failed", "value", None),
        ("failed", "ratio", None),
        ("absent", "added", None),
    ],
)
def test_figures_are_medians_of_what_each_round_gives(peer: str, form: Any, expected: float | None) -> None:
    """A run is compared with bare Python's of its own round; one that failed takes its round away, and no other."""
    assert figure(SAMPLES, peer, "cpu", form) == expected


def test_growth_is_of_what_tracing_adds() -> None:
    """Not of the whole: bare Python may grow too."""
    assert figure(SAMPLES, "tracerun", "cpu@9", "growth", "cpu") == 2.0
    assert figure(SAMPLES, "other", "cpu@9", "growth", "cpu") is None


def test_a_metric_that_is_missing_in_some_rounds() -> None:
    """Instructions are counted in the first round alone."""
    samples = {BARE: [{"ms": 1.0, "count": 50.0}, {"ms": 1.0}], "tracerun": [{"ms": 2.0, "count": 100.0}, {"ms": 2.0}]}
    assert figure(samples, "tracerun", "count", "ratio") == 2.0


@pytest.mark.parametrize(
    ("value", "text"), [(0.254, "0.25"), (2.345, "2.35"), (12.34, "12.3"), (320.4, "320"), (45678.9, "45,679")]
)
def test_numbers_have_the_digits_that_mean_something(value: float, text: str) -> None:
    """Two decimals below ten, none from a hundred on."""
    assert number(value) == text


def test_units() -> None:
    """The sign tells a difference from a ratio and from a value of its own."""
    assert shown(2.1, "ratio", "ms") == "2.10×"  # noqa: RUF001
    assert shown(74, "added", "µs") == "+74.0 µs"
    assert shown(-3, "added", "µs") == "-3.00 µs"
    assert shown(20000, "value", "/s") == "20,000/s"


def test_goals_are_of_figures_that_exist() -> None:
    """And rows and metrics have one name each."""
    figures = {
        (row.name, figure.metric): row.goal(figure) for row in ROWS for figure in row.figures if figure.form != "growth"
    }
    assert {key: figures.get(key) for key in GOALS} == GOALS
    assert len({row.name for row in ROWS}) == len(ROWS)
    assert Goal(2.2).met(2.2)
    assert not Goal(0.75, at_least=True).met(0.74)
    # On a machine that is twice as slow so much more is as good.
    assert Goal(12, at=65).met(24, 130)
    assert not Goal(12, at=65).met(13, 65)


def test_rows_are_measured_beside_bare_python() -> None:
    """Those whose figures are held against it, that is; and by peers that exist."""
    for row in ROWS:
        assert set(row.peers) <= set(EVERYONE)
        assert BARE in row.peers or all(figure.form == "value" for figure in row.figures)


def test_the_page_is_that_of_the_results() -> None:
    """``python -m benchmarks.docs`` would change nothing, and no path of this machine is in either."""
    kept = results.read()
    assert docs.PAGE.read_text(encoding="utf-8") == docs.page(kept), "run python -m benchmarks.docs"
    assert str(Path.home()) not in results.FILE.read_text(encoding="utf-8")
    assert {line.group for line in lines(kept, ROWS)} == {row.group for row in ROWS}


def test_results_are_read_as_they_were_written(tmp_path: Path) -> None:
    """With runs that failed, and beside rows that were measured before."""
    first = results.Results({"python": "3.11"}, {"tracerun": {"flask": "3.1"}})
    first.keep("old", {BARE: [{"cpu": 1.0}]}, {})
    first.keep(
        "pass", {BARE: [{"cpu": 14.123456}, {"cpu": 15.0}], "tracerun": [None, {"cpu": 30.0}]}, {"tracerun": "why"}
    )
    file = tmp_path / "results.json"
    results.write(first, file)
    again = results.read(file)
    assert again == first
    assert again.samples("pass")[BARE] == [{"cpu": 14.123}, {"cpu": 15.0}]
    assert json.loads(file.read_text())["rows"]["pass"]["failures"] == {"tracerun": "why"}
    assert again.samples("never") == {}


def test_the_receiver_counts_spans() -> None:
    """Of several scopes, in a request of the official encoder."""
    provider = TracerProvider(shutdown_on_exit=False)
    made: list[Any] = []
    for name in ("one", "two"):
        for _ in range(3):
            span = provider.get_tracer(name).start_span("work", attributes={"size": 3, "share": 0.5})
            span.end()
            made.append(span)
    assert spans_in(encode_spans(made).SerializeToString()) == 6
    assert spans_in(b"") == 0


def test_the_load_client_knows_where_an_answer_ends() -> None:
    """Its head may come in pieces; what is no answer to count is an error."""
    head = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n"
    assert load.answer_length(head[:20]) is None
    assert load.answer_length(head + b"hel") == len(head) + 5
    with pytest.raises(ConnectionError):
        load.answer_length(b"HTTP/1.1 500 Oops\r\nContent-Length: 5\r\n\r\n")
    with pytest.raises(ConnectionError):
        load.answer_length(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")


def test_a_command_and_what_it_took() -> None:
    """Its exit status counts; its peak is its own, not that of the process that asks."""
    ballast = bytearray(200 << 20)
    usage = used([sys.executable, "-c", "pass"], {})
    assert 0 < usage.peak_kib < len(ballast) >> 10
    assert usage.cpu_ms > 0
    with pytest.raises(Failed, match="exit status 3: oh"):
        used([sys.executable, "-c", "import sys; print('oh', file=sys.stderr); sys.exit(3)"], {})
    with pytest.raises(Failed, match="exit status 127"):
        used(["/no/such/program"], {})


def test_a_workers_figures() -> None:
    """They are the last line that it prints; without any the run has failed."""
    assert answer([sys.executable, "-c", "print('hello'); print('{\"cpu_us\": 1.5}')"], {}) == {"cpu_us": 1.5}
    with pytest.raises(Failed, match="no figures"):
        answer([sys.executable, "-c", "print('hello')"], {})
    with pytest.raises(Failed, match="exit status 1: ValueError: oh"):
        answer([sys.executable, "-c", "raise ValueError('oh')"], {})


def test_a_batch_is_made_in_so_many_threads() -> None:
    """Every request of it, once."""
    made: list[int] = []
    timing.in_threads(lambda: made.append(1), 4)(100)
    assert len(made) == 100
    figures = timing.measured(timing.in_threads(lambda: made.append(1), 1), timing.Plan(seconds=0.01, batches=2), "@7")
    assert sorted(figures) == ["cpu_us@7", "requests@7", "wall_us@7"]
    assert len(made) > figures["requests@7"] > 0


def test_a_wsgi_request_is_made_whole() -> None:
    """The body is read and closed; an answer other than 200 is no figure but an error."""
    seen: list[str] = []

    class Body(list[bytes]):
        def close(self) -> None:
            seen.append("closed")

    def app(environ: Any, start_response: Any) -> Body:
        seen.append(environ["PATH_INFO"])
        start_response("200 OK" if environ["PATH_INFO"] == "/hello" else "404 Not Found", [])
        return Body([b"hello"])

    caller(app)()
    assert seen == ["/hello", "closed"]
    with pytest.raises(AssertionError, match="404"):
        caller(app, "/other")()


def test_commands_and_settings_of_the_peers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Launchers are the environments' own; nothing of whoever runs the bench is passed on."""
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "always_off")
    monkeypatch.setenv("DD_ENV", "mine")
    by_peer = {peer.name: Environment(peer, Path("/env")) for peer in PEERS}
    assert by_peer[BARE].command("-c", "pass") == ["/env/bin/python", "-c", "pass"]
    assert by_peer[TRACERUN.name].command("-V") == ["/env/bin/tracerun", "/env/bin/python", "-V"]
    variables = by_peer[UPSTREAM.name].variables("http://127.0.0.1:1")
    assert variables["OTEL_EXPORTER_OTLP_ENDPOINT"] == "http://127.0.0.1:1"
    assert "OTEL_TRACES_SAMPLER" not in variables
    assert not [name for name in by_peer[TRACERUN.name].variables("") if name.startswith(("OTEL_", "TRACERUN_"))]
    assert "DD_ENV" not in by_peer[DDTRACE.name].variables("http://127.0.0.1:1")


def test_layers_of_a_profile() -> None:
    """By the first of the paths that a file has."""
    found = [
        layer_of(f"/env/lib/{file}")
        for file in ("tracerun/export/lane.py", "opentelemetry/sdk/trace.py", "flask/app.py")
    ]
    assert found == ["tracerun, export", "OpenTelemetry's SDK", None]


def test_environments_are_made_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """They are found by what belongs into them, in the user's cache."""
    made: list[str] = []

    def make(wanted: Environment, *_: Any) -> None:
        made.append(wanted.peer.name)
        wanted.folder.mkdir(parents=True)

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr("benchmarks.environments._make", make)
    first, second = environment(UPSTREAM), environment(UPSTREAM)
    assert made == [UPSTREAM.name]
    assert first == second
    assert first.folder.parent.parent == tmp_path
