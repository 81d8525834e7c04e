"""What became of the spans: ``--report``, its JSON, and ``--status`` of a running process."""

from __future__ import annotations

import json
import os
import re
import signal
import stat
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import PYTHON, ROOT, TRACERUN, Runner
from tracerun import runreport

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CALLS = """
import sys, requests
for _ in range(int(sys.argv[2])):
    requests.get(sys.argv[1])
"""
# One call itself, one in each of two children, one in a fork.
FAMILY = """
import os, subprocess, sys, requests
requests.get(sys.argv[1])
call = "import sys, requests; requests.get(sys.argv[1])"
for _ in range(2):
    subprocess.run([sys.executable, "-c", call, sys.argv[1]], check=True)
pid = os.fork()
if not pid:
    requests.get(sys.argv[1])
    os._exit(0)
os.waitpid(pid, 0)
"""
# A call, then a line on stdout, then an end at the next line on stdin.
WAITING = """
import sys, requests
requests.get(sys.argv[1])
print("called", flush=True)
sys.stdin.readline()
"""


def report(run: Runner, *arguments: str, program: str = CALLS, **options: Any) -> list[str]:
    """The lines of a program's report, with its numbers that are not always the same as X."""
    done = run.traced(PYTHON, run.program(program), *arguments, flags=("--report",), **options)
    assert (done.status, done.theirs) == (0, ""), done
    return [re.sub(r"(?<=process )\d+|\d+\.\d+(?= m?s)|(?<=[a-z3] )\d+(\.\d+)+(?=:)", "X", line) for line in done.ours]


def documents(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="ascii").splitlines()]


class TestReport:
    def test_the_lines(self, run: Runner, web: Any) -> None:
        """What was patched and when, the spans, where they went, and how long the set-up took."""
        assert report(run, web.url, "3") == [
            "report of app, process X, X s after its start",
            "set-up: X ms at the start, X ms at the first use",
            "requests X: traced since X s",
            "urllib3 X: traced since X s",
            "http_client: traced since X s",
            "spans: 3 started, 3 sampled, 3 ended",
            f"of 3 spans for {run.state}: 3 delivered",
        ]

    def test_libraries_that_are_not_traced(self, run: Runner) -> None:
        """One that was imported only, one that is left out, and why there is no span."""
        lines = report(run, program="import flask, httpx\n", env={"TRACERUN_ONLY": "httpx"})
        assert "httpx: imported since X s, no call yet" in lines
        assert "flask: disabled: --only names others" in lines
        assert "nothing was traced: httpx was imported, but no call was made or served" in lines
        assert lines[1] == "set-up: X ms at the start, no call yet"

    def test_a_program_without_anything(self, run: Runner) -> None:
        """The report is there all the same, and nothing is written to the disk."""
        done = run.traced(PYTHON, "-c", "pass", flags=("--report",))
        assert done.slugs == ["report"]
        assert "spans: 0 ended" in done.ours
        assert not run.state.exists()

    @pytest.mark.slow
    def test_the_name_of_a_process_without_spans(self, run: Runner) -> None:
        """It is the name that its spans would have had."""
        done = run.traced(PYTHON, "-c", "pass", flags=("--report", "-n", "shop"))
        assert done.ours[0].startswith("report of shop, process ")
        named = run.traced(PYTHON, "-c", "pass", flags=("--report", "--resource", "service.name=till"))
        assert named.ours[0].startswith("report of till, process ")

    def test_why_there_are_none(self, run: Runner, web: Any) -> None:
        """Calls that were made and not sampled are not called none; nor is an exporter that is none."""
        lines = report(run, web.url, "1", env={"OTEL_TRACES_SAMPLER": "always_off"})
        why = "calls of requests, urllib3, http_client were made or served, but none was sampled, or all were left out"
        assert f"nothing was traced: {why}" in lines
        assert "nothing was traced: the exporter is none" in report(
            run, web.url, "1", env={"TRACERUN_EXPORTER": "none"}
        )

    @pytest.mark.parametrize(("sampler", "sampled"), [("always_on", 5), ("always_off", 0)])
    def test_started_and_sampled(self, run: Runner, web: Any, sampler: str, sampled: int) -> None:
        """Both are counted, also where nothing is sampled."""
        lines = report(run, web.url, "5", env={"OTEL_TRACES_SAMPLER": sampler})
        assert f"spans: 5 started, {sampled} sampled, {sampled} ended" in lines

    def test_counted_only_where_asked_for(self, run: Runner, web: Any) -> None:
        """Without a report nothing is counted that is not counted anyway."""
        program = CALLS + (
            "from opentelemetry import trace\n"
            "from tracerun.agent import sdk\n"
            "generator = trace.get_tracer_provider().id_generator\n"
            "print(type(generator).__name__, type(sdk.State.pipeline.processor).__name__)\n"
        )
        assert run.traced(PYTHON, run.program(program), web.url, "1").out == "PrivateIdGenerator Processor\n"

    @pytest.mark.slow
    def test_what_is_lost(self, run: Runner, web: Any, port: int) -> None:
        """With the reason, in the block; without ``--report`` in one line."""
        env = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}", "TRACERUN_EXPORTER": "otlp"}
        line = f"of 2 spans for http://127.0.0.1:{port}/v1/traces: 0 delivered, 2 lost (exit budget)"
        assert line in report(run, web.url, "2", env=env)
        done = run.traced(PYTHON, run.program(CALLS), web.url, "2", env=env)
        assert (done.ours[1:], done.slugs) == ([line], ["cannot-send", "spans-lost"])

    def test_other_processes(self, run: Runner, web: Any) -> None:
        """Each says its own; the launched one counts them, and nothing is left of it."""
        done = run.traced(PYTHON, run.program(FAMILY), web.url, flags=("--report",))
        assert done.slugs == ["report"] * 4, done
        assert done.ours[-1] == "processes: 3 others of this run have ended, with 3 spans"
        assert not (run.state / "status").exists()

    @pytest.mark.slow
    def test_a_parent_without_spans(self, run: Runner, web: Any) -> None:
        """As a server's master, whose workers have them: it is not said that nothing was traced."""
        program = "import os, subprocess, sys\nsubprocess.run([sys.executable, 'call.py', *sys.argv[1:]], check=True)\n"
        run.program(CALLS, "call.py")
        lines = report(run, web.url, "2", program=program)
        assert lines[-2:] == ["spans: 0 ended", "processes: 1 others of this run have ended, with 2 spans"]
        assert not [line for line in lines if "nothing was traced" in line]

    @pytest.mark.slow
    def test_a_process_that_goes_on(self, run: Runner, web: Any) -> None:
        """It is named, with how to ask it."""
        run.program(WAITING, "other.py")
        program = (
            "import glob, os, subprocess, sys, time\n"
            "other = subprocess.Popen([sys.executable, 'other.py', *sys.argv[1:]], stdin=subprocess.PIPE, stdout=-3)\n"
            "while not glob.glob(os.environ['TRACERUN_DIR'] + '/status/*.json'): time.sleep(0.05)\n"
            "print(other.pid)\n"
        )
        done = run.traced(PYTHON, "-Wignore", run.program(program), web.url, flags=("--report",))
        assert f"processes: others of this run go on: {done.out.strip()} (tracerun --status PID)" in done.ours

    @pytest.mark.slow
    def test_an_end_by_a_signal(self, run: Runner, web: Any) -> None:
        """The report is said at every end that tracerun sees."""
        program = CALLS + "import os, signal\nos.kill(os.getpid(), signal.SIGTERM)\nimport time; time.sleep(20)\n"
        done = run.traced(PYTHON, run.program(program), web.url, "2", flags=("--report",))
        assert (done.status, done.slugs) == (-signal.SIGTERM, ["report"])


class TestJson:
    def test_one_line_of_each_process(self, run: Runner, web: Any) -> None:
        """Appended to one file, which is private; the numbers are those of the spans."""
        path = run.folder / "report.json"
        done = run.traced(PYTHON, run.program(FAMILY), web.url, env={"TRACERUN_REPORT": str(path)})
        assert (done.status, done.err, len(done.spans)) == (0, "", 4)
        found = documents(path)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert [each["launched"] for each in found] == [False, False, False, True]
        assert sum(each["destinations"][0]["delivered"] for each in found) == 4
        assert len({each["pid"] for each in found}) == 4
        assert len({each["run"] for each in found}) == 1
        assert found[-1]["processes"] == {"ended": 3, "spans": 3, "running": []}
        assert found[-1]["spans"] == {"started": 1, "sampled": 1, "ended": 1}
        assert all(each["final"] for each in found)

    def test_every_key_is_documented(self, run: Runner, web: Any) -> None:
        """docs/report.md names each, and no other."""
        path = run.folder / "report.json"
        run.traced(PYTHON, run.program(CALLS), web.url, "1", env={"TRACERUN_REPORT": str(path)})
        (found,) = documents(path)
        page = (ROOT / "docs" / "report.md").read_text(encoding="utf-8")
        first = re.findall(r"^\| (`[^|]+`) \|", page, re.MULTILINE)
        keys = [key.strip("`") for row in first for key in row.split(", ")]
        assert keys == [*found, *found["libraries"][0]]
        for key in ("setup", "spans", "processes", "destinations"):
            part = found[key] if isinstance(found[key], dict) else found[key][0]
            row = next(line for line in page.splitlines() if line.startswith(f"| `{key}` |"))
            assert all(f"`{name}`" in row for name in part)

    def test_a_file_that_cannot_be_written(self, run: Runner, web: Any) -> None:
        """One line says so, and the report is shown."""
        env = {"TRACERUN_REPORT": str(run.folder)}
        done = run.traced(PYTHON, run.program(CALLS), web.url, "1", env=env)
        assert (done.status, done.slugs) == (0, ["report-not-written", "report"])
        assert done.ours[0] == f"the report cannot be written to {run.folder}: Is a directory"

    def test_a_pipe_that_nobody_reads(self, run: Runner, web: Any) -> None:
        """The program's end does not wait for a reader."""
        pipe = run.folder / "pipe.json"
        os.mkfifo(pipe)
        done = run.traced(PYTHON, run.program(CALLS), web.url, "1", env={"TRACERUN_REPORT": str(pipe)}, timeout=20)
        assert done.slugs == ["report-not-written", "report"]

    def test_a_word_is_no_file(self, run: Runner, web: Any) -> None:
        """``ture`` is a misspelt word."""
        done = run.traced(PYTHON, run.program(CALLS), web.url, "1", env={"TRACERUN_REPORT": "ture"})
        assert done.slugs == ["wrong-setting"]
        assert not (run.folder / "ture").exists()


@contextmanager
def running(run: Runner, *words: str, env: dict[str, str | None] | None = None) -> Iterator[subprocess.Popen[str]]:
    """A traced program that has made its call and waits; ended by a line."""
    with subprocess.Popen(
        [TRACERUN, *words], env=run._env(env), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=run.folder
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == "called\n"
        try:
            yield process
            if process.poll() is None:
                process.stdin.write("\n")
                process.stdin.close()
            process.wait(20)
        finally:
            process.kill()


def appears(run: Runner, pid: int) -> Path:
    """The status file of a process, once it is there."""
    path = Path(runreport.path_of(str(run.state), pid))
    until = time.monotonic() + 30
    while not path.exists():
        assert time.monotonic() < until, list(run.state.rglob("*"))
        time.sleep(0.05)
    return path


def shown(path: Path, is_so: Callable[[Any], bool]) -> None:
    """Waits until a status file says something."""
    until = time.monotonic() + 30
    while not is_so(found := json.loads(path.read_bytes())):
        assert time.monotonic() < until, found
        time.sleep(0.05)


def told(run: Runner, *words: str, **options: Any) -> Any:
    return run.command(TRACERUN, "--status", *words, **options)


class TestStatus:
    def test_a_running_process(self, run: Runner, web: Any) -> None:
        """The same lines, on stdout; the file is private, and gone at the end."""
        with running(run, PYTHON, run.program(WAITING), web.url) as process:
            path = appears(run, process.pid)
            assert (stat.S_IMODE(path.stat().st_mode), stat.S_IMODE(path.parent.stat().st_mode)) == (0o600, 0o700)
            done = told(run, str(process.pid))
            assert (done.status, done.err) == (0, "")
            assert done.out.startswith(f"report of app, process {process.pid}, ")
            assert f"\nspans: 1 ended\nof 1 spans for {run.state}: 1 delivered\n" in done.out
            found = json.loads(told(run, str(process.pid), "--format", "json").out)
            assert (found["pid"], found["final"], found["launched"]) == (process.pid, False, True)
            assert found["spans"] == {"started": None, "sampled": None, "ended": 1}
        assert not path.parent.exists()

    @pytest.mark.slow
    def test_it_is_kept_up_to_date(self, run: Runner, web: Any) -> None:
        """What changes later is in it a little later, without another span."""
        program = WAITING + "requests.get(sys.argv[1])\nsys.stdin.readline()\n"
        with running(run, PYTHON, run.program(program), web.url) as process:
            path = appears(run, process.pid)
            assert process.stdin is not None
            process.stdin.write("\n")
            process.stdin.flush()
            shown(path, lambda found: found["destinations"][0]["delivered"] == 2)

    @pytest.mark.slow
    def test_a_forked_worker_has_its_own(self, run: Runner, web: Any) -> None:
        """The parent's says nothing of the child's spans, nor does the child's end take the parent's away."""
        program = (
            "import os, sys, requests\nrequests.get(sys.argv[1])\npid = os.fork()\nif not pid:\n"
            "    requests.get(sys.argv[1]); requests.get(sys.argv[1])\n    sys.stdin.readline()\n    os._exit(0)\n"
            "print('called', flush=True)\nos.waitpid(pid, 0)\nopen('ended', 'w')\nimport time\n"
            "while not os.path.exists('go'): time.sleep(0.05)\n"
        )
        with running(run, PYTHON, run.program(program), web.url) as process:
            parents = appears(run, process.pid)
            child = int(Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()[0])
            shown(appears(run, child), lambda found: found["spans"]["ended"] == 2)
            found = [json.loads(told(run, str(pid), "--format", "json").out) for pid in (process.pid, child)]
            assert [each["spans"]["ended"] for each in found] == [1, 2]
            assert [each["launched"] for each in found] == [True, False]
            assert process.stdin is not None
            process.stdin.write("\n")
            process.stdin.flush()
            while not (run.folder / "ended").exists():
                time.sleep(0.02)
            assert [path.name for path in parents.parent.iterdir()] == [parents.name]
            (run.folder / "go").touch()

    @pytest.mark.slow
    def test_a_killed_process(self, run: Runner, web: Any) -> None:
        """What it leaves is removed by who looks for it, and by the next process that keeps one."""
        for look in (lambda pid: told(run, str(pid)).slugs == ["no-such-process"], None):
            with running(run, PYTHON, run.program(WAITING), web.url) as process:
                path = appears(run, process.pid)
                process.kill()
            assert path.exists()
            if look is not None:
                assert look(process.pid)
            else:
                with running(run, PYTHON, run.program(WAITING), web.url) as another:
                    appears(run, another.pid)
                    assert not path.exists()
            assert not path.exists()

    @pytest.mark.slow
    def test_a_program_that_goes_on_by_exec(self, run: Runner, web: Any) -> None:
        """The file of what it was before is gone."""
        program = (
            WAITING + "import os\nos.execv('/bin/sh', ['sh', '-c', 'ls $0; echo end', os.environ['TRACERUN_DIR']])\n"
        )
        with running(run, PYTHON, run.program(program), web.url) as process:
            path = appears(run, process.pid)
            out, _ = process.communicate("\n", timeout=20)
        assert "status" not in out
        assert "end" in out
        assert not path.exists()

    @pytest.mark.slow
    @pytest.mark.parametrize(
        "env", [{"TRACERUN_DIR": "/dev/null/x"}, {"TRACERUN_DIR": None, "HOME": "nowhere"}], ids=str
    )
    def test_where_none_can_be_kept(self, run: Runner, web: Any, receiver: Any, env: dict[str, str | None]) -> None:
        """The program runs and its spans arrive; nothing is said of it."""
        env = {
            "XDG_STATE_HOME": None,
            "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.endpoint,
            "TRACERUN_EXPORTER": "otlp",
            **env,
        }
        with running(run, "--report", PYTHON, run.program(WAITING), web.url, env=env) as process:
            until = time.monotonic() + 20
            while not receiver.spans:
                assert time.monotonic() < until
                time.sleep(0.05)
            time.sleep(1)  # the time in which it would be written
            done = told(run, str(process.pid), env={"XDG_STATE_HOME": None, **env})
            assert done.slugs == (["no-status"] if env["TRACERUN_DIR"] else ["no-state-directory"]), done
        assert process.returncode == 0

    @pytest.mark.slow
    def test_where_there_are_very_many(self, run: Runner, web: Any) -> None:
        """A folder that others have filled gets no more."""
        folder = run.state / "status"
        folder.mkdir(parents=True)
        for number in range(1000):
            (folder / f"{number}.1.elsewhere-1.json").touch()
        with running(run, PYTHON, run.program(WAITING), web.url) as process:
            time.sleep(2)  # the time in which it would be written
            assert told(run, str(process.pid)).slugs == ["no-status"]
        assert len(list(folder.iterdir())) == 1000

    @pytest.mark.slow
    def test_a_short_program_writes_none(self, run: Runner, web: Any) -> None:
        """Nothing but the spans is on the disk after, nor was in between."""
        program = CALLS + "import os\nprint(os.path.exists(os.environ['TRACERUN_DIR'] + '/status'))\n"
        done = run.traced(PYTHON, run.program(program), web.url, "1", env={"OTEL_BSP_SCHEDULE_DELAY": "30000"})
        assert (done.out, len(done.spans)) == ("False\n", 1)
        assert {path.suffix for path in run.state.iterdir()} == {".jsonl"}

    @pytest.mark.slow
    def test_who_has_none(self, run: Runner) -> None:
        """One line each: not a number, no such process, not traced, traced without a span."""
        assert told(run, "app").slugs == ["wrong-usage"]
        assert told(run, "0").slugs == ["wrong-usage"]
        assert told(run, "4194305").slugs == ["no-such-process"]
        with subprocess.Popen(["sleep", "60"], env=run.env) as process:
            done = told(run, str(process.pid))
            process.kill()
        assert (done.status, done.slugs) == (1, ["no-status"])
        assert "nothing in its environment starts tracerun" in done.ours[0]
        words = [TRACERUN, PYTHON, "-c", "print('called', flush=True); input()"]
        with subprocess.Popen(words, env=run.env, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            process.stdout.readline()
            done = told(run, str(process.pid))
            process.communicate(b"\n")
        assert done.ours == [
            f"process {process.pid} has no status file: it has made no span yet, or cannot write in {run.state}"
        ]

    def test_the_folder_of_the_process(self, run: Runner, web: Any) -> None:
        """Its own variables say where its file is, whoever asks."""
        with running(run, PYTHON, run.program(WAITING), web.url) as process:
            appears(run, process.pid)
            done = told(run, str(process.pid), env={"TRACERUN_DIR": str(run.folder / "elsewhere")})
            assert done.out.startswith("report of app"), done

    @pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become another user")
    def test_another_users_process(self, run: Runner) -> None:
        """Whose it is, and the command that asks."""
        with subprocess.Popen(["sleep", "60"], user=65534) as process:
            done = told(run, str(process.pid))
            process.kill()
        assert (done.status, done.slugs) == (1, ["other-users-process"])
        assert f"; ask as that user: sudo -u nobody tracerun --status {process.pid}" in done.ours[0]

    def test_a_reused_id(self, run: Runner) -> None:
        """The file of an earlier process of the same id is not taken for that of this one."""
        path = Path(runreport.path_of(str(run.state), os.getpid()))
        path.parent.mkdir(parents=True)
        pid, start, rest = path.name.split(".", 2)
        path.with_name(f"{pid}.{int(start) - 1}.{rest}").write_text('{"schema": 1}', encoding="ascii")
        done = told(run, str(os.getpid()))
        assert done.slugs == ["no-status"]


def test_cleaning(tmp_path: Path) -> None:
    """Gone processes, and what is old of other containers and machines; nothing that is not ours."""
    own = Path(runreport.path_of("", os.getpid())).name
    pid, start, world, _ = own.split(".")
    gone = subprocess.run(["sh", "-c", "echo $$"], capture_output=True, text=True, check=True).stdout.strip()
    alive = [own, f"{own}.new", f"{gone}.1.other-1.json", f"{gone}.1.{world}.{int(pid):x}abcdef.ended", "notes.txt"]
    dead = [f"{gone}.{start}.{world}.json", f"{pid}.1.{world}.json", f"{gone}.1.{world}.{int(gone):x}abcdef.ended"]
    old = f"{gone}.1.old-1.json"
    for name in (*alive, *dead, old):
        (tmp_path / name).touch()
    os.utime(tmp_path / old, (0, 0))
    assert sorted(runreport.clean(str(tmp_path))) == sorted(alive)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(alive)


class TestDebug:
    def test_decisions(self, run: Runner, web: Any) -> None:
        """Each with its time, as it is taken: settings, imports, patches, the destination, its answers."""
        env: dict[str, str | None] = {"OTEL_EXPORTER_OTLP_HEADERS": "key=hush"}
        done = run.traced(PYTHON, run.program(CALLS), web.url, "1", flags=("--debug",), env=env)
        assert (done.status, done.theirs, set(done.slugs)) == (0, "", {"debug"})
        assert "hush" not in done.err
        said = "\n".join(re.sub(r"^\d+\.\d+ s: ", "", line) for line in done.ours)
        for text in (
            "is the program that was launched; Python 3.",
            "TRACERUN_EXPORTER is file",
            "OTEL_EXPORTER_OTLP_HEADERS is set, and not shown",
            "requests.adapters has been imported",
            "requests is to be patched at its first call",
            f"the exporter file sends to {run.state}",
            "service app, sampler parentbased_always_on",
            "is patched: requests.adapters:HTTPAdapter.send",
            "the process comes to its end",
            f"a batch for {run.state}: 1 delivered",
        ):
            assert text in said, done

    def test_off(self, run: Runner, web: Any) -> None:
        """Nothing is said, and nothing of it is made."""
        program = CALLS + "from tracerun.agent import guard\nguard.debug('{}', type('', (), {'__str__': None})())\n"
        assert run.traced(PYTHON, run.program(program), web.url, "1").err == ""


def test_the_report_module_is_not_loaded_at_the_start(run: Runner) -> None:
    """Neither is what it needs, also where a report is asked for: at the end is early enough."""
    code = "import sys; print([name for name in sys.modules if name.startswith(('tracerun.export', 'tracerun.run'))])"
    assert run.traced(PYTHON, "-c", code, flags=("--report",)).out == "[]\n"
