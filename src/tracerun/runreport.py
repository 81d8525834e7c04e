"""What a process reports of its tracing, as lines; and the file beside the span files in which it keeps that.

The document itself is made in the target (``export/report.py``) and described in docs/report.md; the launcher reads it
for ``--status``.
"""

from __future__ import annotations

import os
from time import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

SCHEMA = 1
FOLDER = "status"
# Of processes that have ended, kept for the report of the one that was launched.
ENDED = ".ended"
RUNNING = ".json"
# What belongs to another machine, container or start of this machine cannot be asked for; it is old some time.
OLDEST = 7 * 24 * 3600
_kill = os.kill


def lines(document: dict[str, Any]) -> list[str]:
    """The report as it is read by people, the heading first."""
    heading = f"report of {document['service']}, process {document['pid']}, {document['seconds']:.1f} s after its start"
    return [heading, *_of_setup(document), *_of_libraries(document), *_of_spans(document), *_of_processes(document)]


def _of_setup(document: dict[str, Any]) -> Iterator[str]:
    setup = document["setup"]
    first = "no call yet" if setup["sdk_ms"] is None else f"{setup['sdk_ms']:.1f} ms at the first use"
    yield f"set-up: {setup['start_ms']:.1f} ms at the start, {first}"


def _of_libraries(document: dict[str, Any]) -> Iterator[str]:
    for row in document["libraries"]:
        name = f"{row['name']} {row['version'] or ''}".strip()
        at = "" if row["at"] is None else f" since {row['at']:.2f} s"
        state = {"traced": f"traced{at}", "imported": f"imported{at}, no call yet"}.get(row["state"])
        yield f"{name}: {state or row['state']}" + (f": {row['reason']}" if row["reason"] else "")
    if document["nothing"]:
        yield f"nothing was traced: {document['nothing']}"
    for row in document["errors"]:
        yield f"internal errors in {row['where']}: {row['count']} ({row['kind']})"


def _of_spans(document: dict[str, Any]) -> Iterator[str]:
    spans = document["spans"]
    counted = "" if spans["started"] is None else f"{spans['started']} started, {spans['sampled']} sampled, "
    yield f"spans: {counted}{spans['ended']} ended"
    for row in document["destinations"]:
        yield of_destination(row)


def of_destination(row: dict[str, Any]) -> str:
    """Of so many spans, how many arrived, and why the others did not."""
    parts = [f"{row['delivered']} delivered"]
    if row["waiting"]:
        parts.append(f"{row['waiting']} waiting")
    parts += [f"{number} lost ({reason})" for reason, number in row["dropped"].items()]
    if row["unknown"]:
        parts.append(f"{row['unknown']} sent without an answer")
    settled = row["delivered"] + row["waiting"] + row["unknown"] + sum(row["dropped"].values())
    return f"of {settled} spans for {row['where']}: {', '.join(parts)}"


def _of_processes(document: dict[str, Any]) -> Iterator[str]:
    others = document["processes"] or {"ended": 0, "running": []}
    if others["ended"]:
        yield f"processes: {others['ended']} others of this run have ended, with {others['spans']} spans"
    if others["running"] and document["launched"]:
        yield f"processes: others of this run go on: {', '.join(map(str, others['running']))} (tracerun --status PID)"


def path_of(directory: str, pid: int) -> str:
    """The status file of a process that is there; its name says which process that is, however often ids are reused.

    Args:
        directory: The folder of the span files.
        pid: A process of this PID namespace.
    """
    return os.path.join(directory, FOLDER, f"{pid}.{_start_of(pid)}.{_world()}{RUNNING}")


def clean(folder: str) -> list[str]:
    """Removes the files of processes that are no more; gives the names of the rest.

    Args:
        folder: That of the status files.
    """
    rest = []
    for name in os.listdir(folder):
        if _is_stale(folder, name):
            remove(os.path.join(folder, name))
        else:
            rest.append(name)
    return rest


def _is_stale(folder: str, name: str) -> bool:
    pid, start, world, *_ = (*name.split("."), "", "", "")
    if not pid.isdecimal():
        return False
    if world != _world() or name.endswith(ENDED):
        is_over = world == _world() and not is_running(name.split(".")[3])
        return is_over or _age(os.path.join(folder, name)) > OLDEST
    return not is_there(int(pid)) or _start_of(int(pid)) != start


def is_running(run: str) -> bool:
    """Whether the process is there that was launched; the name of a run begins with its id."""
    try:
        return is_there(int(run[:-6], 16))
    except ValueError:
        return False


def is_there(pid: int) -> bool:
    """Whether there is a process, whoever it belongs to."""
    if os.name == "nt":  # there it would be ended
        return True
    try:
        _kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        return True
    return pid > 0


def remove(path: str) -> None:
    """Removes a file that may have been removed already, or not be ours."""
    try:
        os.unlink(path)
    except OSError:
        pass


def _age(path: str) -> float:
    try:
        return time() - os.stat(path, follow_symlinks=False).st_mtime
    except OSError:
        return 0.0


def _start_of(pid: int) -> str:
    """When a process started, in the kernel's ticks (proc_pid_stat(5), field 22); 0 where it cannot be told."""
    # The second field is the command's name, in which there may be anything.
    fields = _read(f"/proc/{pid}/stat").rpartition(b")")[2].split()
    return fields[19].decode() if len(fields) > 19 else "0"  # noqa: PLR2004 - two fields were cut off


def _world() -> str:
    """In which start of which machine, and in which PID namespace, this process's ids mean something."""
    try:
        namespace = os.stat("/proc/self/ns/pid").st_ino
    except OSError:
        namespace = 0
    return f"{_read('/proc/sys/kernel/random/boot_id')[:8].decode() or '0'}-{namespace:x}"


def _read(path: str) -> bytes:
    try:
        with open(path, "rb", 0) as file:
            return file.read(4096)
    except OSError:
        return b""
