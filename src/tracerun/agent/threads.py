"""Thread primitives as they were before the program's first line: gevent and eventlet replace them later.

With these the export thread is a native one everywhere, and waiting for it never enters an event loop.
"""

from __future__ import annotations

from _thread import RLock, allocate_lock, start_new_thread

__all__ = ["RLock", "allocate_lock", "start_new_thread"]
