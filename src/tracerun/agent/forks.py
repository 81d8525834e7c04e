"""A fork while another thread loads the SDK or an instrumentor: it waits, for the child could not go on with that.

The child would have the locks of modules whose importing thread is not there. So as long as something is loaded,
``os.fork`` waits for it first; not a hook of ``os.register_at_fork``, for what is imported while such a hook waits
(logging, say) may bring hooks of its own, of which half would run then.
"""

from __future__ import annotations

import os
import sys

from tracerun.agent.threads import RLock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

# A fork waits no longer: the thread that loads may itself wait for an import of the forking one.
TIMEOUT = 5.0
NAMES = ("fork", "forkpty")


class _Loading:
    """What stands in the place of the functions that fork, while something is loaded."""

    depth = 0
    originals: dict[str, Callable[..., Any]]
    ours: dict[str, Callable[..., Any]]


_Loading.originals, _Loading.ours = {}, {}
LOCK = RLock()


class loading:  # noqa: N801 - used like contextlib's functions; that module is not loaded at start-up
    """``with forks.loading():`` forks of other threads wait until the block has ended. One thread at a time."""

    __slots__ = ()

    def __enter__(self) -> None:
        LOCK.acquire()
        _Loading.depth += 1
        if _Loading.depth == 1:
            for name in NAMES:
                original = getattr(os, name, None)
                if original is not None:
                    _Loading.originals[name] = original
                    _Loading.ours[name] = ours = _waiting(original)
                    setattr(os, name, ours)

    def __exit__(self, *_: object) -> None:
        _Loading.depth -= 1
        if _Loading.depth == 0:
            for name, original in _Loading.originals.items():
                if getattr(os, name) is _Loading.ours[name]:
                    setattr(os, name, original)
        LOCK.release()


def _waiting(original: Callable[..., Any]) -> Callable[..., Any]:
    def fork() -> Any:
        if LOCK.acquire(timeout=TIMEOUT):
            LOCK.release()
        return original()

    return fork


def in_child(*locks: Any) -> bool:
    """After a fork, in the child: frees locks whose owner is not there; whether there were any."""
    lost = [lock for lock in (LOCK, *locks) if not lock._is_owned() and not _is_free(lock)]
    for lock in lost:
        lock._at_fork_reinit()
    if lost:
        _Loading.depth = 0
        for name, original in _Loading.originals.items():
            setattr(os, name, original)
    return bool(lost)


def _is_free(lock: Any) -> bool:
    free = lock.acquire(blocking=False)
    if free:
        lock.release()
    return bool(free)


def watch(after_in_child: Callable[[], None]) -> None:
    """Called at boot."""
    if hasattr(os, "register_at_fork") and sys.platform != "win32":
        os.register_at_fork(after_in_child=after_in_child)
