"""A mark that is gone in a forked child: how a process finds out, at each span, that it is another one.

Source: madvise(2), ``MADV_WIPEONFORK``, since Linux 4.14.
"""

from __future__ import annotations

import mmap
import os

# Not among the constants of Python's module.
WIPE_ON_FORK, NO_ADVICE = 18, -1


class _ByPid:
    """The same by the process's id, where the kernel knows no such pages: a system call each time."""

    def __getitem__(self, _: int) -> int:
        return os.getpid() == self._pid

    def __setitem__(self, _: int, __: int) -> None:
        self._pid = os.getpid()


def mark() -> mmap.mmap | _ByPid:
    """Something whose ``[0]`` is what was put there, and 0 in a process that was forked since, in C too."""
    try:
        page = mmap.mmap(-1, mmap.PAGESIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        page.madvise(WIPE_ON_FORK)
    except (AttributeError, OSError, TypeError):
        return _ByPid()
    try:
        page.madvise(NO_ADVICE)
    except OSError:
        return page
    return _ByPid()  # an emulator that takes any advice, and follows none
