"""Span files: OTLP JSON lines on this machine, one writer per process, bounded in total.

Source: OpenTelemetry Protocol File Exporter specification; a Collector's otlpjsonfile receiver reads them.
"""

from __future__ import annotations

import errno
import os
from itertools import count
from time import gmtime, strftime, time
from typing import TYPE_CHECKING

from tracerun.export import otlp_json
from tracerun.export.lane import Outcome

if TYPE_CHECKING:
    from collections.abc import Sequence

    from opentelemetry.sdk.trace import ReadableSpan

CAP = 64 * 1024 * 1024
# A file is closed at this size, so that dropping the oldest costs little at a time.
SEGMENT = 4 * 1024 * 1024
SUFFIX = ".jsonl"
_APPEND = os.O_WRONLY | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
# Of the files of this process, whoever in it writes them.
_NUMBERS = count(1)
# All descriptors are the program's: it may give some back.
_NO_DESCRIPTOR = (errno.EMFILE, errno.ENFILE)


class SpanFiles:
    """The span files of one process.

    Args:
        folder: Where they are kept; made with mode 0700 where it is missing.
        run: The launch that this process belongs to; part of the files' names.
    """

    is_local = True

    def __init__(self, folder: str, run: str) -> None:
        self.folder = folder
        self.where = folder or "span files"
        self._run = run or "0"
        self._path = ""
        self._identity = (0, 0)
        self._size = 0
        self.pruned = False

    def send(self, spans: Sequence[ReadableSpan], deadline: float | None) -> Outcome:  # noqa: ARG002 - a write is short
        """Appends one batch as one line."""
        line = otlp_json.encode_request(spans).encode("ascii") + b"\n"
        try:
            self._write(line)
        except OSError as error:
            why = error.strerror or str(error)
            if error.errno in _NO_DESCRIPTOR:
                return Outcome(retry_after=0.0, why=why)
            return Outcome(dropped={"span file not writable": len(spans)}, why=why)
        return Outcome(len(spans))

    def _write(self, line: bytes) -> None:
        """Appends a line, or nothing.

        The file is open only meanwhile: a program counts its descriptors, runs out of them, and closes those that
        it does not know (daemons do), whereupon the number is soon a file of its own.
        """
        descriptor = self._reopened() if self._size and self._size + len(line) <= SEGMENT else None
        if descriptor is None:
            descriptor = self._made(len(line))
        try:
            try:
                rest = memoryview(line)
                while rest:
                    rest = rest[os.write(descriptor, rest) :]
            except OSError:
                os.ftruncate(descriptor, self._size)
                if not self._size:  # each try makes a file of its own
                    os.unlink(self._path)
                raise
            self._size += len(line)
        finally:
            os.close(descriptor)

    def _reopened(self) -> int | None:
        """The file that is being written; None where another process has removed it, being the oldest."""
        try:
            descriptor = os.open(self._path, _APPEND)
        except FileNotFoundError:
            return None
        status = os.fstat(descriptor)
        if (status.st_dev, status.st_ino) != self._identity:
            os.close(descriptor)
            return None
        return descriptor

    def _made(self, coming: int) -> int:
        """A new file."""
        if not self.folder:
            raise OSError(None, "no home folder is known; set TRACERUN_DIR")
        os.makedirs(self.folder, mode=0o700, exist_ok=True)
        self._prune(CAP - max(coming, SEGMENT))
        path, descriptor = self._begun()
        status = os.fstat(descriptor)
        self._path, self._identity, self._size = path, (status.st_dev, status.st_ino), 0
        return descriptor

    def _begun(self) -> tuple[str, int]:
        """A file that nobody else has: before an exec, or in another PID namespace, somebody had this process's id."""
        stamp = strftime("%Y%m%dT%H%M%S", gmtime(time()))
        while True:
            name = f"{stamp}-{self._run}-{os.getpid()}-{next(_NUMBERS)}{SUFFIX}"
            path = os.path.join(self.folder, name)
            try:
                return path, os.open(path, _APPEND | os.O_CREAT | os.O_EXCL, 0o600)
            except FileExistsError:
                continue

    def _prune(self, most: int) -> None:
        """Removes the oldest files of all processes until the rest has at most so many bytes."""
        files = []
        with os.scandir(self.folder) as entries:
            for entry in entries:
                if entry.name.endswith(SUFFIX) and entry.is_file(follow_symlinks=False):
                    status = entry.stat(follow_symlinks=False)
                    files.append((status.st_mtime_ns, entry.path, status.st_size))
        files.sort()
        total = sum(size for _, _, size in files)
        for _, path, size in files:
            if total <= most:
                break
            try:
                os.unlink(path)
            except OSError:  # another process was faster, or it is not ours to remove
                continue
            total -= size
            self.pruned = True

    def close(self) -> None:
        """What comes after goes into a new file."""
        self._size = 0

    def forget(self) -> None:
        """In a forked child: the parent's file is the parent's; the child begins one of its own."""
        self._size = 0
