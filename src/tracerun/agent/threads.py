"""Thread primitives and the clock as they were before the program's first import: gevent replaces them later.

With these the export thread is a native one everywhere, and waiting for it never enters an event loop.
"""

from __future__ import annotations

import _signal
import time
from _thread import RLock, allocate_lock, get_native_id, start_new_thread

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["RLock", "allocate_lock", "get_native_id", "monotonic", "start_thread"]


class _Clock:
    """Not a module's attribute: freezegun finds those and replaces them."""

    monotonic = time.monotonic


def monotonic() -> float:
    """The clock by which we wait; it goes on where the program has time stand still."""
    return _Clock.monotonic()


_mask = getattr(_signal, "pthread_sigmask", None)


def start_thread(function: Callable[[], None]) -> None:
    """Starts a native thread that takes no signal: one that the main thread blocks, and awaits, is to stay there."""
    if _mask is None:  # Windows
        start_new_thread(function, ())
        return
    before = _mask(_signal.SIG_BLOCK, _signal.valid_signals())
    try:
        start_new_thread(function, ())
    finally:
        _mask(_signal.SIG_SETMASK, before)
