"""The mark that is gone in a forked child, with real forks: by the kernel's page, and by the process's id."""

from __future__ import annotations

import ctypes
import mmap
import os
from typing import TYPE_CHECKING, Any

import pytest

from tracerun.agent import forkmark

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*fork:DeprecationWarning"
)  # since Python 3.12, where there are threads


def _refuse(*_: Any, **__: Any) -> None:
    raise RuntimeError("as an audit hook of the program's may do")


class _Map(mmap.mmap):
    """A page of which the kernel takes only some advice."""

    takes: tuple[int, ...] = ()

    def madvise(self, option: int, *_: Any) -> None:
        if option not in self.takes:
            raise OSError(22, "Invalid argument")


def _seen_in(fork: Callable[[], int], look: Callable[[], bytes]) -> bytes:
    """What a forked process sees."""
    reading, writing = os.pipe()
    child = fork()
    if not child:
        os.write(writing, look())
        os._exit(0)
    os.close(writing)
    seen = os.read(reading, 100)
    os.close(reading)
    os.waitpid(child, 0)
    return seen


FORKS: dict[str, Callable[[], int]] = {"Python": os.fork, "C": lambda: ctypes.PyDLL(None).fork()}


@pytest.mark.parametrize("fork", FORKS.values(), ids=FORKS)
@pytest.mark.parametrize("old_kernel", [False, True], ids=["page", "pid"])
def test_a_fork(fork: Callable[[], int], old_kernel: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is gone in the child and in the child's child, stays in the parent, and can be set anew."""
    if old_kernel:
        monkeypatch.setattr(mmap, "mmap", _Map)
    mark = forkmark.mark()
    assert isinstance(mark, forkmark.ByPid) is old_kernel
    mark[0] = 1

    def look() -> bytes:
        before = b"kept " if mark[0] else b"gone "
        mark[0] = 1
        again = b"set " if mark[0] else b"unset "
        return before + again + _seen_in(fork, lambda: b"kept" if mark[0] else b"gone")

    assert _seen_in(fork, look) == b"gone set gone"
    assert mark[0]


def test_an_emulator(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that says yes to any advice, even to what is none, does not follow it: the process's id tells."""
    monkeypatch.setattr(_Map, "takes", (forkmark.WIPE_ON_FORK, forkmark.NO_ADVICE))
    monkeypatch.setattr(mmap, "mmap", _Map)
    assert isinstance(forkmark.mark(), forkmark.ByPid)


def test_no_page(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no page can be had the process's id tells, whatever the reason."""
    monkeypatch.setattr(mmap, "mmap", _refuse)
    mark = forkmark.mark()
    assert isinstance(mark, forkmark.ByPid)
    mark[0] = 1
    assert mark[0]
