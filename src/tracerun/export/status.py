"""The status file of this process, beside the span files: what ``tracerun --status PID`` shows.

Written by the export thread, at most once a second and where something has changed, and never by a process that makes
no span or comes to its end before that. Where it cannot be written there is none.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from tracerun import runreport
from tracerun.agent import guard, libraries
from tracerun.agent.threads import allocate_lock, monotonic
from tracerun.export import report

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tracerun.export.pipeline import Pipeline
    from tracerun.settings import Settings

PAUSE = 1.0
# Of all processes together; a process that finds more keeps none.
MOST = 1000
_NEW = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
_load = json.loads


class StatusFile:
    """The file of one process.

    Args:
        pipeline: What it is about.
    """

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline
        self.forget()

    def forget(self) -> None:
        """In a forked child: the parent's file is the parent's."""
        self._lock = allocate_lock()
        self._path = ""
        self._is_possible = bool(self._pipeline.settings.state_directory)
        self._next = 0.0
        self._shown: tuple[int, ...] | None = None

    def _now(self) -> tuple[int, ...]:
        """What has to change before it is written again."""
        lanes = self._pipeline.lanes
        traced = sum(watched.state == libraries.TRACED for watched in libraries.WATCHED)
        return traced, len(guard.errors()), *(number for lane in lanes for number in (lane.settled, len(lane)))

    def due(self) -> float:
        """Seconds until there is something to write; -1 where there is nothing."""
        if not self._is_possible or self._shown == self._now():
            return -1
        return max(0.0, self._next - monotonic())

    def keep(self) -> None:
        """Writes the file where that is due."""
        if self.due() != 0 or not self._lock.acquire(blocking=False):
            return
        try:
            if self.due() != 0:  # the process is coming to its end since
                return
            self._shown, self._next = self._now(), monotonic() + PAUSE
            self._path = _written(self._pipeline.settings, report.document(self._pipeline), before=self._path)
        except OSError:  # a read-only or full disk, or another user's folder: then there is none
            self._is_possible = False
        finally:
            self._lock.release()

    def hold_off(self, budget: float) -> None:
        """The process is coming to its end, within so many seconds, if it is one: an exec may fail."""
        self._next = monotonic() + budget + PAUSE

    def end(self) -> None:
        """The process is at its end; for the report of the launched process it leaves what it has to say."""
        if not self._lock.acquire(timeout=PAUSE):
            return
        try:
            settings = self._pipeline.settings
            if settings.report and self._pipeline.ended and not report.is_main():
                _leave(settings, report.document(self._pipeline))
            if self._path:
                runreport.remove(self._path)
                _remove_folder(os.path.dirname(self._path))
                self._path, self._shown = "", None
        except OSError:  # as above
            pass
        finally:
            self._lock.release()


def others(settings: Settings) -> dict[str, Any] | None:
    """How many other processes of this run have ended, and with how many spans; and those that are still running.

    Args:
        settings: Of this process, which comes to its end.
    """
    if not settings.state_directory or not settings.report:
        return None
    found: dict[str, Any] = {"ended": 0, "spans": 0, "running": []}
    folder = os.path.join(settings.state_directory, runreport.FOLDER)
    for path, other in _documents(folder):
        if other.get("run") != settings.run or other.get("pid") == os.getpid():
            continue
        if not path.endswith(runreport.ENDED):
            found["running"].append(other["pid"])
        elif report.is_main():
            found["ended"] += 1
            found["spans"] += other["spans"]["ended"]
            runreport.remove(path)
    _remove_folder(folder)
    return found


def _documents(folder: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """All that can be read of what processes keep or have left."""
    try:
        names = sorted(runreport.clean(folder))
    except OSError:
        return
    for name in [name for name in names if name.endswith((runreport.RUNNING, runreport.ENDED))][:MOST]:
        path = os.path.join(folder, name)
        try:
            with open(path, "rb") as file:
                found = _load(file.read())
        except (OSError, ValueError):
            continue
        if isinstance(found, dict) and found.get("schema") == runreport.SCHEMA:
            yield path, found


def _written(settings: Settings, document: dict[str, Any], before: str) -> str:
    """Puts the file in its place, as a whole; gives its path."""
    path = before or runreport.path_of(settings.state_directory, os.getpid())
    if not before:
        folder = os.path.dirname(path)
        os.makedirs(folder, mode=0o700, exist_ok=True)
        if len(runreport.clean(folder)) >= MOST:
            raise OSError
        guard.debug("the status file is {}", path)
    _put(path, report.as_json(document))
    return path


def _leave(settings: Settings, document: dict[str, Any]) -> None:
    if not settings.state_directory or not runreport.is_running(settings.run):
        return
    path = runreport.path_of(settings.state_directory, os.getpid()).removesuffix(runreport.RUNNING)
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    _put(f"{path}.{settings.run}{runreport.ENDED}", report.as_json(document))


def _put(path: str, data: bytes) -> None:
    """Writes a file that is there as a whole or not at all."""
    made = f"{path}.new"
    descriptor = os.open(made, _NEW, 0o600)
    try:
        os.write(descriptor, data)
    finally:
        os.close(descriptor)
    os.replace(made, path)


def _remove_folder(folder: str) -> None:
    """Removes the folder of the last file."""
    try:
        os.rmdir(folder)
    except OSError:
        pass
