"""``--show``: finding a trace in span files and drawing it in the terminal."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path
from typing import Any

import pytest
from rich.cells import cell_len
from rich.console import Console

from tracerun.calltree import Trace
from tracerun.viewer.files import SpanFiles
from tracerun.viewer.show import show

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
OTHER = "4bf9000000000000000000000000000a"
BEGIN = 1_763_777_000_000_000_000  # ns
MS = 1_000_000
SERVER, CLIENT = 2, 3
FAILED = {"code": 2}
STACK = """Traceback (most recent call last):
  File "/srv/orders/billing.py", line 41, in charge
    response.raise_for_status()
  File "/srv/venv/lib/python3.11/site-packages/requests/models.py", line 1026, in raise_for_status
    raise HTTPError(message)
HTTPError: 402 Payment Required
"""


PAGE = """
                                                  0                         143 ms
client             GET                  client    ╾──────────────────────────────╼   143 ms  ✗ 500
│  http://gateway:80/checkout/7
└─ gateway         GET /checkout/<id>   server    ━━━━━╾─────────────────────────╸   139 ms  ✗ 500
   └─ orders       place                internal       ━━───────━╾──━━━━━━━━━━━━━    115 ms  ✗ error
      │  • WARNING stock is low                         •                          +31.0 ms
      │  ✗ HTTPError: 402 Payment Required  /srv/orders/billing.py:41               +130 ms
      ├─ orders    stock.Stock/Reserve  client          ╺╾─────╼                    31.0 ms    OK
      │  └─ stock  stock.Stock/Reserve  server           ━━━━━━╸                    27.0 ms    OK
      └─ orders    SELECT               client                   ╺━━                10.0 ms
            db:5432  SELECT 1
stock              audit                internal                 ╺                  1.00 ms
   ! parent missing: 000000000000dead

━ at work   ─ waiting for the spans below it

who called whom               calls     total      mean  errors
client  → gateway                 1    139 ms    139 ms       1
gateway → orders                  1    115 ms    115 ms       1
orders  → stock                   1   27.0 ms   27.0 ms
orders  → db:5432 (no spans)      1   10.0 ms   10.0 ms
"""


def attributes(**values: Any) -> list[dict[str, Any]]:
    kinds = {str: "stringValue", int: "intValue", float: "doubleValue"}
    return [{"key": key.replace("__", "."), "value": {kinds[type(v)]: v}} for key, v in values.items()]


def span(number: int, parent: int = 0, begin: float = 0, end: float = 10, **more: Any) -> dict[str, Any]:
    return {
        "traceId": TRACE,
        "spanId": f"{number:016x}",
        "parentSpanId": f"{parent:016x}" if parent else "",
        "name": f"s{number}",
        "kind": 1,
        "startTimeUnixNano": str(BEGIN + int(begin * MS)),
        "endTimeUnixNano": str(BEGIN + int(end * MS)),
        **more,
    }


def event(at: float, name: str, **values: Any) -> dict[str, Any]:
    return {"name": name, "timeUnixNano": str(BEGIN + int(at * MS)), "attributes": attributes(**values)}


def line(service: str, *spans: dict[str, Any]) -> str:
    resource = {"attributes": attributes(service__name=service)}
    scope_spans = [{"scope": {"name": "tracerun.http"}, "spans": list(spans)}]
    return json.dumps({"resourceSpans": [{"resource": resource, "scopeSpans": scope_spans}]}) + "\n"


def write(folder: Path, *lines: str, name: str = "a.jsonl") -> Path:
    path = folder / name
    path.write_text("".join(lines), encoding="utf-8")
    return path


def shown(folder: Path, which: str = "last", width: int = 100, **more: Any) -> str:
    out = io.StringIO()
    assert show(str(folder), which, console=Console(file=out, width=width), **more) == 0
    return out.getvalue()


def shop() -> list[str]:
    """A chain of four services with a log line, an exception, a gRPC call, a database and an orphan."""
    get = {"http__request__method": "GET", "http__response__status_code": 500}
    rpc = attributes(rpc__service="stock.Stock", rpc__method="Reserve", rpc__grpc__status_code=0)
    to_gateway = attributes(**get, url__full="http://gateway:80/checkout/7", server__address="gateway")
    at_gateway = attributes(**get, http__route="/checkout/<id>", url__path="/checkout/7")
    error = {"exception.type": "HTTPError", "exception.message": "402 Payment Required", "exception.stacktrace": STACK}
    events = [event(31, "log", log__severity="WARNING", log__message="stock is low"), event(130, "exception", **error)]
    reserve = {"name": "stock.Stock/Reserve", "attributes": rpc}
    query = attributes(db__query__text="SELECT 1", server__address="db", server__port=5432)
    return [
        line("client", span(1, 0, 0, 143, name="GET", kind=CLIENT, status=FAILED, attributes=to_gateway)),
        line(
            "gateway",
            span(2, 1, 2, 141, name="GET /checkout/<id>", kind=SERVER, status=FAILED, attributes=at_gateway),
        ),
        line(
            "orders",
            span(3, 2, 24, 139, name="place", status=FAILED, events=events),
            span(4, 3, 31, 62, kind=CLIENT, **reserve),
            span(7, 3, 70, 80, name="SELECT", kind=CLIENT, attributes=query),
        ),
        line("stock", span(5, 4, 33, 60, kind=SERVER, **reserve), span(6, 0xDEAD, 70, 71, name="audit")),
    ]


# The drawing


def test_a_chain_of_four_services_at_100_columns(tmp_path: Path) -> None:
    """One look shows who called whom, when, how long, and where it failed."""
    write(tmp_path, *shop())
    header, *lines = shown(tmp_path).splitlines()
    assert header.startswith(f"trace {TRACE}   4 services, 7 spans, 143 ms, 3 errors   202")
    assert lines == PAGE.splitlines()


@pytest.mark.parametrize("width", [20, 24, 40, 60, 75, 76, 80, 100, 160, 240])
@pytest.mark.parametrize("verbose", [False, True])
def test_no_line_is_wider_than_the_terminal(tmp_path: Path, width: Any, verbose: Any) -> None:
    """Every width from a phone's to a wall's is kept to, and no line ends in blanks."""
    long = span(8, 5, 40, 41, name="n" * 500, attributes=attributes(**{"k" * 90: "v" * 900}), kind=CLIENT)
    write(tmp_path, *shop(), line("s" * 200, long), line("東京" * 30, span(9, 8, 40, 41, name="東" * 90)))
    for drawn in shown(tmp_path, width=width, verbose=verbose).splitlines():
        assert cell_len(drawn) <= max(width, 24)
        assert drawn == drawn.rstrip()


@pytest.mark.parametrize("width", [60, 100, 160])
def test_every_service_kind_duration_and_status_is_there(tmp_path: Path, width: Any) -> None:
    """What a developer looks for is on the page at every usual width."""
    write(tmp_path, *shop())
    page = shown(tmp_path, width=width)
    for fact in ("client", "gateway", "orders", "stock", "GET /checkout/<id>", "server", "internal", "143 ms", "✗ 500"):
        assert fact in page
    for fact in ("WARNING stock is low", "+31.0 ms", "HTTPError: 402 Payment Required", "/srv/orders/billing.py:41"):
        assert fact in page
    for fact in ("http://gateway:80/checkout/7", "db:5432  SELECT 1", "OK", "! parent missing: 000000000000dead"):
        assert fact in page


def test_a_narrow_terminal_gets_the_bars_on_lines_of_their_own(tmp_path: Path) -> None:
    """At 60 columns names stay legible, because kind and bar go below them."""
    write(tmp_path, *shop())
    lines = shown(tmp_path, width=60).splitlines()
    [at] = [place for place, drawn in enumerate(lines) if "GET /checkout/<id>" in drawn]
    assert lines[at].split() == ["└─", "gateway", "GET", "/checkout/<id>", "139", "ms", "✗", "500"]
    assert lines[at + 1].split()[1] == "server"
    assert "─" in lines[at + 1].split()[2]


def test_a_bar_is_heavy_where_the_span_works_and_light_where_it_waits(tmp_path: Path) -> None:
    """The time that a span spends in its callees is told from its own, to half a column."""
    write(tmp_path, line("a", span(1, 0, 0, 100), span(2, 1, 25, 75), span(3, 1, 50, 90), span(4, 1, 200, 300)))
    bars = [drawn.split()[-3] for drawn in shown(tmp_path).splitlines() if "internal" in drawn]
    assert [bar.strip("━╸╺╾╼─") for bar in bars] == [""] * 4
    assert bars[0].startswith("━━━━━━─")
    assert bars[0].endswith("─╼━╸")
    assert all("─" not in bar for bar in bars[1:])
    assert len(bars[3]) > len(bars[1]) > len(bars[2])


def test_the_shortest_span_still_has_a_bar(tmp_path: Path) -> None:
    """A span of a millionth of the trace is half a column wide."""
    write(tmp_path, line("a", span(1, 0, 0, 1000), span(2, 1, 999.999, 1000)))
    assert "╺" in shown(tmp_path).splitlines()[-3]


def test_a_trace_of_one_instant_is_drawn(tmp_path: Path) -> None:
    """Spans without duration divide nothing by zero."""
    write(tmp_path, line("a", span(1, 0, 0, 0), span(2, 1, 0, 0)))
    assert "2 spans, <1 µs, no errors" in shown(tmp_path)


@pytest.mark.parametrize("times", [("0", "0"), ("5", "0"), ("x", None), (str(2**80), "1"), ("0", str(2**64 - 1))])
def test_impossible_times_are_drawn(tmp_path: Path, times: Any) -> None:
    """Missing, reversed and gigantic times cost the bar its meaning, not the page."""
    odd = {**span(1), "startTimeUnixNano": times[0], "endTimeUnixNano": times[1]}
    write(tmp_path, line("a", odd, span(2, 1)), line("b", {**odd, "spanId": "00000000000000ff"}))
    assert "3 spans" in shown(tmp_path)


def test_an_event_is_marked_on_the_timeline(tmp_path: Path) -> None:
    """A log line in the middle of the trace has its dot in the middle of the bars."""
    write(tmp_path, line("a", span(1, 0, 0, 100, events=[event(50, "log", message="half")])))
    lines = shown(tmp_path).splitlines()
    [bar] = [drawn for drawn in lines if "━" in drawn and "internal" in drawn]
    [log] = [drawn for drawn in lines if "half" in drawn]
    middle = (bar.index("━") + bar.rindex("━")) // 2
    assert abs(log.rindex("•") - middle) <= 1
    assert log.endswith("+50.0 ms")


def raised_at(path: str) -> dict[str, Any]:
    stack = f'  File "{path}", line 3, in f'
    return span(1, events=[event(1, "exception", exception__type="E", exception__stacktrace=stack)])


def test_a_file_below_the_current_folder_is_named_from_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An editor's terminal can open the place of an exception with a click."""
    monkeypatch.chdir(tmp_path)
    write(tmp_path, line("a", raised_at(f"{tmp_path}/api/app.py")))
    assert "✗ E  api/app.py:3" in shown(tmp_path)


def test_a_long_path_keeps_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file and its nearest folders tell more than the way to them, even where the current folder is gone."""
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    write(tmp_path, line("a", raised_at(f"/{'long/' * 20}shop/api/app.py")))
    assert "✗ E  …/shop/api/app.py:3" in shown(tmp_path)


def test_a_long_message_takes_three_lines_at_most(tmp_path: Path) -> None:
    """A message of a megabyte leaves room for the rest of the chain, and keeps its place in the code."""
    stack = '  File "/srv/a.py", line 3, in f'
    long = event(1, "exception", exception__message="word " * 200_000, exception__stacktrace=stack)
    write(tmp_path, line("a", span(1, events=[long])))
    lines = shown(tmp_path).splitlines()
    assert len([drawn for drawn in lines if "word" in drawn]) == 3
    assert lines[-1].strip() == "/srv/a.py:3"


def test_the_status_message_of_a_failed_span_is_shown(tmp_path: Path) -> None:
    """A failure without an exception says its message."""
    write(tmp_path, line("a", span(1, status={"code": 2, "message": "deadline passed"})))
    assert "✗ deadline passed" in shown(tmp_path)


def test_tags_that_the_row_shows_are_not_repeated(tmp_path: Path) -> None:
    """Method, route and code stand in the row; only what it lacks stands below."""
    write(tmp_path, *shop())
    page = shown(tmp_path)
    assert page.count("/checkout/<id>") == 1
    assert page.count("/checkout/7") == 1
    assert "HTTPError  " not in page


def test_verbose_shows_every_tag_and_the_stack_trace(tmp_path: Path) -> None:
    """All attributes with ids, scopes and whole stack traces, nothing cut short."""
    long = span(8, 5, 40, 41, attributes=attributes(note="w" * 300))
    write(tmp_path, *shop(), line("stock", long))
    page = shown(tmp_path, verbose=True)
    assert "http.request.method        GET" in page
    assert "0000000000000002  GET /checkout/<id>  tracerun.http" in page
    assert "raise HTTPError(message)" in page
    assert page.count("w") > 300
    assert "…" not in page


def test_without_verbose_only_the_telling_tags_are_shown(tmp_path: Path) -> None:
    """Other attributes wait for verbose."""
    write(tmp_path, line("a", span(1, attributes=attributes(thread__id=7, url__full="http://b/"))))
    page = shown(tmp_path)
    assert "http://b/" in page
    assert "thread" not in page


def test_the_table_says_who_called_whom(tmp_path: Path) -> None:
    """Calls between services are counted with total and mean time and errors; untraced peers are named."""
    calls = [span(n, 1, n, n + 10, kind=SERVER, status=FAILED if n == 4 else {}) for n in (2, 3, 4)]
    peer = span(9, 1, 0, 5, kind=CLIENT, attributes=attributes(server__address="pay", server__port=443))
    write(tmp_path, line("web", span(1, 0, 0, 50), peer), line("api", *calls), line("api", span(5, 2, 3, 4)))
    *_, title, first, second = shown(tmp_path).splitlines()
    assert title.split() == ["who", "called", "whom", "calls", "total", "mean", "errors"]
    assert first.split() == ["web", "→", "pay:443", "(no", "spans)", "1", "5.00", "ms", "5.00", "ms"]
    assert second.split() == ["web", "→", "api", "3", "30.0", "ms", "10.0", "ms", "1"]


def test_a_queue_without_an_address_is_named_in_the_table(tmp_path: Path) -> None:
    """A message goes to a destination, a query to a database, where the span names no server."""
    queue = span(1, kind=4, attributes=attributes(messaging__destination__name="jobs"))
    database = span(2, kind=CLIENT, attributes=attributes(db__system__name="sqlite"))
    write(tmp_path, line("a", queue, database, span(3, kind=CLIENT)))
    assert [drawn.split()[:3] for drawn in shown(tmp_path).splitlines()[-2:]] == [
        ["a", "→", "jobs"],
        ["a", "→", "sqlite"],
    ]


def test_a_service_that_calls_itself_is_in_the_table(tmp_path: Path) -> None:
    """A client span with a server span below is a call, even within one service."""
    write(tmp_path, line("a", span(1, kind=CLIENT), span(2, 1, kind=SERVER), span(3, 2)))
    assert shown(tmp_path).splitlines()[-1].split()[:4] == ["a", "→", "a", "1"]


def test_a_trace_within_one_service_has_no_table(tmp_path: Path) -> None:
    """Where nothing was called there is nothing to tabulate."""
    write(tmp_path, line("a", span(1), span(2, 1)))
    assert "who called whom" not in shown(tmp_path)


# Terminals


def test_output_that_is_no_terminal_has_no_escape_codes(tmp_path: Path) -> None:
    """A pipe or a file gets plain text."""
    write(tmp_path, *shop())
    assert "\x1b" not in shown(tmp_path)


def test_no_color_is_respected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """NO_COLOR takes the colours off a terminal."""
    write(tmp_path, *shop())
    pages = []
    monkeypatch.delenv("NO_COLOR", raising=False)
    for _ in range(2):
        out = io.StringIO()
        show(str(tmp_path), console=Console(file=out, width=100, force_terminal=True, color_system="standard"))
        pages.append(out.getvalue())
        monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[1;36m" in pages[0]
    assert "\x1b[1;36m" not in pages[1]


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "koi8-r"])
@pytest.mark.parametrize("width", [60, 100])
@pytest.mark.parametrize("verbose", [False, True])
def test_an_encoding_without_box_characters_gets_ascii(tmp_path: Path, encoding: Any, width: Any, verbose: Any) -> None:
    """Connectors, bars and signs fall back to ASCII, and foreign characters to escapes, within the width."""
    odd = span(9, 5, 40, 41, name="käse → 東京", attributes=attributes(http__route="/├/µ…", note="✗" * 200))
    write(tmp_path, *shop(), line("日本", odd))
    raw = io.BytesIO()
    with io.TextIOWrapper(raw, encoding=encoding, errors="strict") as out:
        assert show(str(tmp_path), verbose=verbose, console=Console(file=out, width=width)) == 0
        out.flush()
        page = raw.getvalue().decode(encoding)
    assert "`- gateway  GET /checkout/<id>" in page
    assert "\\u65e5\\u672c" in page
    assert "==" in page
    assert "x 500" in page
    assert not set(page) & set("├└│─━✗•…→")
    assert max(map(len, page.splitlines())) <= width


def test_control_characters_do_not_reach_the_terminal(tmp_path: Path) -> None:
    """Escape codes, carriage returns and direction overrides anywhere in a span are shown, not sent."""
    evil = "a\x1b[2J\x1b]0;title\x07\r\n\u202e\x9bz\ud800"
    tags = attributes(http__route=evil, server__address=evil, http__response__status_code=evil, **{evil: evil})
    events = [event(1, evil, message=evil), event(2, "exception", exception__type=evil, exception__stacktrace=evil)]
    odd = span(2, 1, name=evil, kind=CLIENT, attributes=tags, events=events, status={"code": 2, "message": evil})
    write(tmp_path, line(evil, span(1)), line(evil + "2", odd))
    for verbose in (False, True):
        page = shown(tmp_path, verbose=verbose, width=200)
        assert all(char.isprintable() or char == "\n" for char in page)
        assert "\\x1b[2J" in page


def test_rich_markup_in_a_span_is_text(tmp_path: Path) -> None:
    """Brackets and emoji codes of a name stay as they are."""
    write(tmp_path, line("[red]a[/red]", span(1, name="[bold]x[/] :smile: [/nothing]")))
    page = shown(tmp_path)
    assert "[red]a[/red]  [bold]x[/] :smile: [/nothing]" in page


def test_the_default_console_is_stdout(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without a console the page goes to standard output."""
    write(tmp_path, *shop())
    assert show(str(tmp_path)) == 0
    assert TRACE in capsys.readouterr().out


# Hostile and large traces


def test_broken_and_foreign_lines_are_skipped_and_counted(tmp_path: Path) -> None:
    """A file may hold anything; what can be read is shown, and how much could not."""
    deep = f'{{"resourceSpans":[{{"traceId":"{TRACE}"}},{"[" * 99_999}}}\n'
    broken = ["{cut\n", "[]\n", '{"resourceMetrics":[]}\n', "\n", deep, "\x00\n"]
    unparsable = f'{{"resourceSpans": "traceId": "{TRACE}"}}\n'
    write(tmp_path, *broken, line("a", span(1)), unparsable)
    page = shown(tmp_path)
    assert "1 span" in page
    assert page.endswith("6 lines of the span files could not be read\n")


def test_bytes_that_are_no_text_are_skipped(tmp_path: Path) -> None:
    """Invalid UTF-8 in one line costs that line only."""
    (tmp_path / "a.jsonl").write_bytes(
        line("a", span(1)).encode() + b'{"resourceSpans":"\xff' + TRACE.encode() + b'"}\n'
    )
    assert "1 span" in shown(tmp_path)


def test_a_line_that_is_being_written_is_not_broken(tmp_path: Path) -> None:
    """The last line of a running process may be cut anywhere; it is neither shown nor counted."""
    whole = line("a", span(1))
    for cut in range(0, len(whole) - 2, 7):
        write(tmp_path, whole, line("a", span(2, 1))[:cut])
        page = shown(tmp_path)
        assert "1 span," in page
        assert "could not be read" not in page


def test_a_last_line_without_its_newline_is_read(tmp_path: Path) -> None:
    """A complete request counts, even if its line end is still to come."""
    write(tmp_path, line("a", span(1)), line("a", span(2, 1)).rstrip("\n"))
    assert "2 spans" in shown(tmp_path)


def test_a_span_that_came_twice_is_shown_once(tmp_path: Path) -> None:
    """Doubles within a file and across files count once."""
    write(tmp_path, line("a", span(1), span(1)))
    write(tmp_path, line("a", span(1), span(2, 1)), name="b.jsonl")
    assert "2 spans" in shown(tmp_path)


def test_rings_and_self_parents_are_shown(tmp_path: Path) -> None:
    """Spans that call each other in a circle are drawn once, marked."""
    write(tmp_path, line("a", span(1, 1), span(2, 3), span(3, 2)))
    page = shown(tmp_path)
    assert "3 spans" in page
    assert page.count("! parent loop") == 2


def test_a_child_that_starts_before_its_caller_is_marked(tmp_path: Path) -> None:
    """Clocks that differ between machines are named as the reason."""
    write(tmp_path, line("a", span(1, 0, 50, 90)), line("b", span(2, 1, 20, 60, events=[event(5, "log")])))
    page = shown(tmp_path)
    assert "! starts 30.0 ms before its caller: the clocks differ" in page
    assert "70.0 ms" in page


def test_a_chain_of_5000_spans_is_shown(tmp_path: Path) -> None:
    """Depth costs neither recursion nor width: the deepest rows carry their depth as a number."""
    write(tmp_path, line("a", *(span(n, n - 1, n / 1000, 10 - n / 1000) for n in range(1, 5001))))
    page = shown(tmp_path)
    assert "5,000 spans" in page
    assert "└─4999 a" in page


@pytest.mark.slow
def test_a_trace_of_20000_spans_is_shown(tmp_path: Path) -> None:
    """Every span of a large trace has its row."""
    write(
        tmp_path,
        *(
            line("a", *(span(n, n // 9, n / 100, n / 100 + 1) for n in range(b, b + 500)))
            for b in range(1, 20_000, 500)
        ),
    )
    page = shown(tmp_path)
    assert "20,000 spans" in page
    assert page.count(" internal ") == 20_000


# Finding a trace


def named(trace_id: str, number: int = 1, **more: Any) -> dict[str, Any]:
    return {**span(number, **more), "traceId": trace_id}


def test_last_is_the_trace_whose_latest_span_ended_last(tmp_path: Path) -> None:
    """Neither the order of lines nor the age of files decides, but the ends of spans."""
    old = write(
        tmp_path, line("a", named(TRACE, end=900)), line("a", named("b" * 32, begin=850, end=899)), name="z.jsonl"
    )
    write(tmp_path, line("a", named("c" * 32, begin=800, end=880)))
    os.utime(old, (1, 1))
    assert SpanFiles(str(tmp_path)).last() == TRACE
    assert f"trace {TRACE}" in shown(tmp_path, "LAST")


def test_a_broken_line_cannot_claim_to_be_last(tmp_path: Path) -> None:
    """A time in a line that is no span, or in a text within one, does not count."""
    text = json.dumps({"endTimeUnixNano": str(2**63)})
    claim = '{"resourceSpans": [], "x": {"endTimeUnixNano": "9999999999999999999", "traceId": "b"}}\n'
    write(tmp_path, line("a", named("b" * 32, name=text, end=5)), claim, line("a", named(TRACE, end=6)))
    assert SpanFiles(str(tmp_path)).last() == TRACE


@pytest.mark.parametrize("which", [TRACE, TRACE.upper(), TRACE[:5], TRACE[:5].upper(), f" {TRACE[:12]}\n"])
def test_a_trace_is_found_by_id_or_unique_prefix_in_either_case(tmp_path: Path, which: Any) -> None:
    """As much of an id as is unique is enough."""
    write(tmp_path, line("a", named(OTHER, end=99)), line("a", span(1)))
    assert f"trace {TRACE}" in shown(tmp_path, which)


def test_ids_in_upper_case_are_found(tmp_path: Path) -> None:
    """A writer may have used upper-case hex digits."""
    write(tmp_path, line("a", {**span(0xAB), "traceId": TRACE.upper()}), line("a", span(2, 0xAB)))
    assert "2 spans" in shown(tmp_path, TRACE[:8])


def test_a_trace_is_collected_from_the_files_of_all_processes(tmp_path: Path) -> None:
    """Each process writes its own file; the chain joins them."""
    for place, text in enumerate(shop()):
        write(tmp_path, line("noise", named(OTHER, number=place + 1)), text, name=f"{place}.jsonl")
    assert "4 services, 7 spans" in shown(tmp_path, TRACE[:6])


def test_a_link_to_a_trace_is_not_that_trace(tmp_path: Path) -> None:
    """Only spans of its own make a trace; ids in links and texts do not."""
    link = {"links": [{"traceId": OTHER, "spanId": "00000000000000aa"}], "name": json.dumps({"traceId": OTHER})}
    write(tmp_path, line("a", {**span(1), **link}))
    assert SpanFiles(str(tmp_path)).matching("4bf9") == [TRACE]


def test_only_files_that_end_in_jsonl_are_read(tmp_path: Path) -> None:
    """Other files, folders, pipes and dead links of the directory are left alone."""
    write(tmp_path, line("a", span(2)), name="a.json")
    (tmp_path / "folder.jsonl").mkdir()
    (tmp_path / "dead.jsonl").symlink_to(tmp_path / "nowhere")
    os.mkfifo(tmp_path / "pipe.jsonl")
    write(tmp_path, line("a", span(1)))
    assert "1 span" in shown(tmp_path)


def test_a_file_that_vanishes_meanwhile_is_no_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A running process may drop its oldest file between the listing and the reading."""
    path = str(write(tmp_path, line("a", span(1))))
    monkeypatch.setattr(SpanFiles, "_paths", lambda _: [str(tmp_path / "gone.jsonl"), path])
    files = SpanFiles(str(tmp_path))
    assert (len(files.spans(TRACE)), files.unreadable) == (1, [])


def test_a_file_that_cannot_be_opened_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is missing from the page for want of permission is said below it."""
    path = str(write(tmp_path, line("a", span(1))))
    (tmp_path / "locked.jsonl").mkdir()  # a folder cannot be opened, not even by root
    monkeypatch.setattr(SpanFiles, "_paths", lambda _: [str(tmp_path / "locked.jsonl"), path])
    assert f"could not open {tmp_path}/locked.jsonl" in shown(tmp_path, width=300)


def test_traces_and_spans_are_counted_once_each(tmp_path: Path) -> None:
    """Doubles and links do not raise the counts."""
    write(tmp_path, line("a", span(1), span(1), span(2, links=[{"traceId": "c" * 32}])), line("a", named(OTHER)))
    assert SpanFiles(str(tmp_path)).count() == (2, 3)


# When there is no such trace


def refused(capsys: pytest.CaptureFixture[str], folder: Path, which: str = "last") -> str:
    assert show(str(folder), which) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    [message] = captured.err.splitlines()
    assert message.startswith("tracerun: ")
    assert message.endswith(" [no-trace]")
    return message.removesuffix(" [no-trace]")


@pytest.mark.parametrize("which", ["last", "4bf9"])
def test_without_any_trace_one_line_says_how_to_make_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], which: Any
) -> None:
    """An empty or missing directory is answered with the command that fills it."""
    for folder in (tmp_path, tmp_path / "missing"):
        assert (
            refused(capsys, folder, which) == f"tracerun: no traces in {folder}; make one with: tracerun python app.py"
        )


def test_a_directory_of_broken_files_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No trace and unreadable lines are named together."""
    write(tmp_path, "nonsense\n", "more\n")
    assert "no traces in" in (message := refused(capsys, tmp_path))
    assert "(2 lines could not be read)" in message


@pytest.mark.parametrize("which", ["abc", "zzz", TRACE + "0", "4bf9.*", "\x1b[2J"])
def test_an_unknown_id_is_answered_with_what_there_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], which: Any
) -> None:
    """The line names the id, safely, and counts what was searched."""
    write(tmp_path, *shop())
    message = refused(capsys, tmp_path, which)
    assert "no trace begins with" in message
    assert f"1 trace (7 spans) in {tmp_path}" in message
    assert "tracerun python app.py" in message
    assert message.isprintable()


def test_an_ambiguous_prefix_is_answered_with_the_ids_that_match(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The reader can copy the id that was meant."""
    write(tmp_path, line("a", span(1)), line("a", named(OTHER)), line("a", named("c" * 32)))
    assert refused(capsys, tmp_path, "4BF9") == f"tracerun: 2 traces begin with '4BF9': {OTHER}, {TRACE}"


def test_many_matching_ids_are_cut_to_a_few(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A short prefix among many traces does not fill the screen."""
    write(tmp_path, *(line("a", named(f"4b{n:030x}")) for n in range(50)))
    message = refused(capsys, tmp_path, "4b")
    assert message.startswith("tracerun: 50 traces begin with '4b': ")
    assert message.endswith(" and 45 more")


def test_a_directory_that_cannot_be_read_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A wrong path is told from an empty directory."""
    path = write(tmp_path, "")
    assert refused(capsys, path) == f"tracerun: cannot read {path}; check its permissions"


def test_the_trace_model_is_shared_with_the_tree_exporter(tmp_path: Path) -> None:
    """Rows of the terminal view are the rows that plain text is made of."""
    write(tmp_path, *shop())
    files = SpanFiles(str(tmp_path))
    assert len(Trace(files.spans(files.last())).rows) == 7
