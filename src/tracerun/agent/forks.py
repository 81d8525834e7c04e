"""A fork while another thread loads the SDK or an instrumentor: it waits, for the child could not go on with that.

The child would have the locks of modules whose importing thread is not there. So as long as something is loaded,
``os.fork`` waits for it first; not a hook of ``os.register_at_fork``, for what is imported while such a hook waits
(logging, say) may bring hooks of its own, of which half would run then. It waits, too, for what the program's other
threads import at that moment: they go on with just that as the loading ends, and plain they would be past it by now.
"""

from __future__ import annotations

import os
import sys
from _thread import get_ident

from tracerun.agent.threads import RLock, allocate_lock, monotonic

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

# A fork waits no longer: the thread that loads may itself wait for an import of the forking one.
TIMEOUT, PAUSE = 5.0, 0.001
NAMES = ("fork", "forkpty")


class _Loading:
    """The threads that load something, and what stands in the place of the functions that fork meanwhile.

    The lock is held for a few statements only, never while anything waits: whoever loads has other locks.
    """

    lock: Any = RLock()
    threads: list[int]
    originals: dict[str, Callable[..., Any]]


_Loading.threads, _Loading.originals = [], {}


class loading:  # noqa: N801 - used like contextlib's functions; that module is not loaded at start-up
    """``with forks.loading():`` forks of other threads wait until the block has ended."""

    __slots__ = ()

    def __enter__(self) -> None:
        with _Loading.lock:
            _Loading.threads.append(get_ident())
            if not _Loading.originals:
                for name in NAMES:
                    if hasattr(os, name):
                        _Loading.originals[name] = original = getattr(os, name)
                        setattr(os, name, _waiting(original))

    def __exit__(self, *_: object) -> None:
        with _Loading.lock:
            _Loading.threads.remove(get_ident())
            if not _Loading.threads:
                _restore()


def _restore() -> None:
    for name, original in _Loading.originals.items():
        if getattr(getattr(os, name), "tracerun_original", None) is original:
            setattr(os, name, original)
    _Loading.originals.clear()


def _waiting(original: Callable[..., Any]) -> Callable[..., Any]:
    def fork() -> Any:
        never, until = allocate_lock(), monotonic() + TIMEOUT
        never.acquire()
        while (_others() or is_importing("")) and monotonic() < until:
            never.acquire(timeout=PAUSE)
        return original()

    fork.tracerun_original = original  # type: ignore[attr-defined]
    return fork


def _others() -> bool:
    me = get_ident()
    return any(thread != me for thread in _Loading.threads)


def is_importing(package: str) -> bool:
    """Whether another thread has the lock of a module, whose name begins so.

    Private to Python, 3.10 to 3.13 alike; nothing is assumed.
    """
    locks = getattr(sys.modules.get("_frozen_importlib"), "_module_locks", {})
    owners = [getattr(lock(), "owner", None) for name, lock in list(locks.items()) if name.startswith(package)]
    return any(owner not in (None, get_ident()) for owner in owners)


def in_child(*locks: Any) -> bool:
    """After a fork, in the child: whether another thread was loading.

    Locks that are not this thread's are free from now on: another thread may have had one and not loaded yet.
    """
    for lock in (_Loading.lock, *locks):
        if not lock._is_owned():
            lock._at_fork_reinit()
    if not _others():
        return False
    _Loading.threads = [thread for thread in _Loading.threads if thread == get_ident()]
    if not _Loading.threads:
        _restore()
    return True


def under_way() -> bool:
    """Whether anything is being loaded."""
    return bool(_Loading.threads)


def watch(after_in_child: Callable[[], None]) -> None:
    """Called once, before anything is loaded."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=after_in_child)
