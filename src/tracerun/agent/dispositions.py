"""What the kernel does at SIGTERM and SIGHUP, apart from what Python would do.

A Python signal handler runs on the main thread, once that is back from C: over a database call that lasts a minute
a program would outlive SIGTERM by a minute. So our handler stands in Python's table from the first import on, but the
kernel has its own default, as without us, except while spans wait to be sent. Only then the signal comes to Python, and
the export thread sees that it came (``came``), should the main thread be in C.

Source: sigaction(2); CPython's Modules/signalmodule.c and Modules/faulthandler.c.
"""

from __future__ import annotations

import _signal
import os
import sys
from _thread import allocate_lock

from tracerun.agent import guard

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

# A pointer comes first in the C library's struct sigaction everywhere. The rest of it we copy, but for one flag,
# whose place is known on Linux: with SA_RESETHAND the kernel takes the handler out as it calls it, and we see that.
POINTER, SIZE = 8, 256
FLAGS = slice(136, 140)
SA_RESETHAND = 0x80000000
LINUX = sys.platform == "linux" and sys.maxsize > 2**32
_DEFAULT = bytes(SIZE)

_real_signal: Callable[..., Any] = _signal.signal
_real_getsignal: Callable[..., Any] = _signal.getsignal
_kill = os.kill


class _State:
    """Ours in Python's table: the handler, its signals; whether spans wait; the C library's function."""

    handler: Callable[..., Any]
    armed: tuple[int, ...] = ()
    waiting = False
    pinned = False
    sigaction: Callable[[int, bytes | None, bytes | None], int] | None = None
    pythons = b""
    impossible = False


_LOCK = allocate_lock()


def arm(signals: tuple[int, ...], handler: Callable[..., Any]) -> bool:
    """Puts a handler into Python's table where the default stands, and leaves the kernel its default.

    Only on the main thread of the main interpreter; elsewhere nothing is armed.

    Returns:
        Whether any signal was armed.
    """
    _State.handler = handler
    armed = []
    loaded = "faulthandler" in sys.modules
    for number in signals:
        if _real_getsignal(number) == _signal.SIG_DFL:
            try:
                _set_under_the_default(number, handler)
            except ValueError:
                break
            armed.append(number)
    if not loaded:
        sys.modules.pop("faulthandler", None)
    _State.armed = tuple(armed)
    return bool(armed)


def _set_under_the_default(number: int, handler: Callable[..., Any]) -> None:
    try:
        import faulthandler  # noqa: PLC0415 - built in; not on every platform has it register()

        register, unregister = faulthandler.register, faulthandler.unregister
    except (ImportError, AttributeError):
        _real_signal(number, handler)
        return
    # It keeps the kernel's disposition and puts it back: without ctypes, which would cost a start-up its time.
    register(number, 2, all_threads=False)
    try:
        _real_signal(number, handler)
    finally:
        unregister(number)


def handle_again(number: int) -> Any:
    """The program has asked for the default: ours in its place, as at the start. Gives what stood there."""
    previous = _real_signal(number, _State.handler)
    if number not in _State.armed:
        _State.armed += (number,)
    _apply(again=True)
    return previous


def hold_again() -> None:
    """A signal has come and is being seen to: the next one is to come to Python too."""
    if _State.waiting:
        _apply(again=True)


def start_over() -> None:
    """In a forked child: nothing waits; a thread that is not there may have had the lock."""
    global _LOCK  # noqa: PLW0603 - there is one for the process
    _LOCK = allocate_lock()
    _State.pinned = False
    let_go()


def hold() -> None:
    """Spans wait from now on: the signals are to come to Python."""
    if not _State.waiting:
        _State.waiting = True
        _apply()


def pin() -> None:
    """Something waits from now on until the process's end: a span that is open all the while."""
    _State.pinned = True
    hold()


def let_go() -> None:
    """Nothing waits any more: the kernel has its default back."""
    if _State.waiting and not _State.pinned:
        _State.waiting = False
        _apply()


def prepare() -> None:
    """Finds out what Python's own disposition is, where that can only be done on the main thread."""
    if _State.armed and not _State.pythons and not callable(_real_getsignal(_signal.SIGINT)):
        _apply(again=True)


def came() -> int:
    """The signal that has come since spans wait and was not handled yet; 0 for none.

    Where a library has put the kernel's default back meanwhile (gevent does), Python's is put there again.
    """
    if LINUX and _State.sigaction is not None and _State.waiting:
        for number in _State.armed:
            now = _read(number)
            if _is_ours(number) and _pointer(now) == 0:
                if _flags(now) & SA_RESETHAND:
                    return number
                _State.sigaction(number, _State.pythons, None)
    return 0


def die(number: int) -> None:
    """The process's end by a signal that is ours, from any thread."""
    try:
        _real_signal(number, _signal.SIG_DFL)
    except ValueError:  # not the main thread
        if _State.sigaction is not None and _is_ours(number):
            _State.sigaction(number, _DEFAULT, None)
    _kill(os.getpid(), number)


def _apply(*, again: bool = False) -> None:
    """Brings the kernel's side to what is wanted; whoever changes that meanwhile leaves it to us."""
    done = None if again else not _State.waiting
    while done != _State.waiting and not _State.impossible:
        if not _LOCK.acquire(blocking=False):
            return
        try:
            done = _State.waiting
            with guard.guarded("the dispositions of signals"):
                if _State.sigaction is not None or _load():
                    for number in _State.armed:
                        _set(number, waiting=done)
        finally:
            _LOCK.release()


def _set(number: int, *, waiting: bool) -> None:
    if not _is_ours(number) or _State.sigaction is None:
        return
    now = _pointer(_read(number))  # a third party's own handler, in C, stays
    if waiting and now in (0, _pointer(_State.pythons)):
        _State.sigaction(number, _State.pythons, None)
    elif not waiting and now == _pointer(_State.pythons):
        _State.sigaction(number, _DEFAULT, None)


def _is_ours(number: int) -> bool:
    return _real_getsignal(number) is _State.handler


def _load() -> bool:
    """The C library's function, and Python's own disposition; whether both could be had."""
    if not _State.armed:
        _State.impossible = True
        return False
    try:
        import _ctypes  # noqa: PLC0415 - with the first span, and without the rest of ctypes

        address = _ctypes.dlsym(_ctypes.dlopen(None, 0), "sigaction")  # type: ignore[arg-type]
        call: Any = _ctypes.call_cdeclfunction
    except (ImportError, AttributeError, OSError):  # Windows, or an interpreter without ctypes
        _State.impossible = True
        _hand_to_python()
        return False
    _State.sigaction = lambda *args: call(address, args)
    if callable(_real_getsignal(_signal.SIGINT)):
        action = _read(_signal.SIGINT)
    else:  # as in the background of a shell, which has it ignored
        _hand_to_python()
        action = next((_read(number) for number in _State.armed if _is_ours(number)), _DEFAULT)
    if not _pointer(action):
        _State.sigaction = None
        return False
    if LINUX:
        flags = _flags(action) | SA_RESETHAND
        action = action[: FLAGS.start] + flags.to_bytes(4, sys.byteorder) + action[FLAGS.stop :]
    _State.pythons = action
    return True


def _hand_to_python() -> None:
    """The signals that are ours come to Python from now on; possible on the main thread only."""
    try:
        for number in _State.armed:
            if _is_ours(number):
                _real_signal(number, _State.handler)
    except ValueError:
        pass


def _read(number: int) -> bytes:
    """The kernel's disposition of a signal, as the C library's struct."""
    action = bytes(SIZE)  # nobody else has this object: the C library writes into it
    if _State.sigaction is None or _State.sigaction(number, None, action) != 0:
        return _DEFAULT
    return action


def _pointer(action: bytes) -> int:
    return int.from_bytes(action[:POINTER], sys.byteorder)


def _flags(action: bytes) -> int:
    return int.from_bytes(action[FLAGS], sys.byteorder)
