"""A mark that is gone in a forked child: how a process finds out, at each span, that it is another one.

Source: madvise(2), ``MADV_WIPEONFORK``, since Linux 4.14.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    import mmap

# Not among the constants of Python's module.
WIPE_ON_FORK, NO_ADVICE = 18, -1


class ByPid:
    """The same by the process's id, where there is no such page: a system call each time."""

    def __getitem__(self, _: int) -> bool:
        return os.getpid() == self._pid

    def __setitem__(self, _: int, __: int) -> None:
        self._pid = os.getpid()


def mark() -> mmap.mmap | ByPid:
    """Something whose ``[0]`` is true once it was set to 1, and false in a process that was forked since, in C too."""
    try:
        import mmap  # noqa: PLC0415 - an extension module, which may be missing

        page = mmap.mmap(-1, mmap.PAGESIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        page.madvise(WIPE_ON_FORK)
    except Exception:  # noqa: BLE001 - the kernel, the platform, or an audit hook of the program's
        return ByPid()
    try:
        page.madvise(NO_ADVICE)
    except OSError:
        return page
    return ByPid()  # an emulator that takes any advice, and follows none
