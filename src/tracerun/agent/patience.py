"""Calls code of third parties with a time limit: on a thread of its own, while this one waits.

No signal and no exception from outside could break into a call that blocks in C. A Ctrl-C reaches the program's
thread, which waits.
"""

from __future__ import annotations

import _frozen_importlib
import sys
from _thread import get_ident

from tracerun.agent.threads import allocate_lock, monotonic, start_thread

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

LIMIT = 5.0
# How often it is looked whether the other thread waits for a module that this one is importing.
_STEP = 0.05


def call(function: Callable[[], None], limit: float = LIMIT) -> bool:
    """Calls a function that does not raise; gives whether it goes on for longer than the limit.

    False also where it cannot end before this thread has finished an import: it is left to itself then.
    """
    done, thread = allocate_lock(), [0]
    done.acquire()

    def run() -> None:
        thread[0] = get_ident()
        try:
            function()
        finally:
            # Whoever asks for the current thread (logging does) makes an entry for this one, which would stay.
            getattr(sys.modules.get("threading"), "_active", {}).pop(thread[0], None)
            done.release()

    start_thread(run)
    until = monotonic() + limit
    while not done.acquire(timeout=_STEP):
        if _waits_for_import_of(get_ident(), thread[0]):
            return False
        if monotonic() >= until:
            return True
    return False


def _waits_for_import_of(owner: int, waiting: int) -> bool:
    """Whether a thread waits for a module that another one is importing."""
    locks = _frozen_importlib._blocking_on.get(waiting)  # type: ignore[attr-defined]
    # One lock until Python 3.11, a list of them since.
    return any(getattr(lock, "owner", None) == owner for lock in (locks if isinstance(locks, list) else [locks]))
