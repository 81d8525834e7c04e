"""How the process ends: normal exit, exception, Ctrl-C, SIGTERM, SIGHUP; and the line at the end of a run.

What has ended is flushed within one budget; the program dies by the same signal or with the same status.
The signals are armed at the program's first import, on the main thread, through ``_signal`` (that import may be
``signal``'s), only over the default disposition, and so that the program never sees them. When they come to us at all
is a matter of ``agent.dispositions``.
"""

from __future__ import annotations

import _signal
import os
import sys

from tracerun.agent import dispositions, guard

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType
    from typing import Any

    from tracerun.export.pipeline import Pipeline
    from tracerun.settings import Settings

SIGNALS = tuple(getattr(_signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(_signal, name))
_real_signal: Callable[..., Any] = _signal.signal
_real_getsignal: Callable[..., Any] = _signal.getsignal
_getpid = os.getpid


class _Flush:
    """What there is to flush, whether that is under way, and the first signal to die by after it."""

    pipeline: Pipeline | None = None
    before: Callable[[], None] | None = None
    under_way = False
    signal = 0
    endings: list[Callable[[], None]]


_Flush.endings = []


def arm(settings: Settings) -> None:
    """The signals lead through us from now on."""
    if settings.exporter != ("none",) and dispositions.arm(SIGNALS, _on_signal):
        _hide_from_program()


def _hide_from_program() -> None:
    """``signal.signal`` and ``signal.getsignal`` show what they would show without us."""

    def signal(signalnum: int, handler: Any, /) -> Any:
        # Like the original: only a plain int is a disposition, no object is asked whether it equals one.
        is_default = type(handler) is int and handler == _signal.SIG_DFL
        ours = is_default and signalnum in SIGNALS
        previous = dispositions.handle_again(signalnum) if ours else _real_signal(signalnum, handler)
        return _signal.SIG_DFL if previous is _on_signal else previous

    def getsignal(signalnum: int, /) -> Any:
        current = _real_getsignal(signalnum)
        return _signal.SIG_DFL if current is _on_signal else current

    signal.__doc__, getsignal.__doc__ = _real_signal.__doc__, _real_getsignal.__doc__
    _signal.signal, _signal.getsignal = signal, getsignal


def flush_at_the_end(pipeline: Pipeline) -> None:
    """``os._exit`` and the exec functions flush first; called once there is something that can be flushed.

    multiprocessing's forked children end by ``os._exit``, reloaders go on by ``os.execv``. A failed exec leaves
    everything as it was.
    """
    _Flush.pipeline = pipeline
    for name in ("_exit", "execv", "execve"):
        ending = _flushing(getattr(os, name))
        # Also in the module that os has them from: pickle looks for a function there.
        for module in (os, sys.modules.get(ending.__module__, os)):
            setattr(module, name, ending)


def end_before_flush(end: Callable[[], None]) -> None:
    """What is still open at the process's end is ended by this, to be flushed with the rest."""
    _Flush.endings.append(end)


def before_the_end(function: Callable[[], None]) -> None:
    """Has a function called before each flush that is the last, as far as can be told; maybe more than once."""
    _Flush.before = function


def end_run() -> None:
    """Calls it."""
    if _Flush.before is not None:
        with guard.guarded("the end of the run"):
            _Flush.before()


def _flushing(original: Callable[..., Any]) -> Callable[..., Any]:
    from functools import update_wrapper  # noqa: PLC0415 - loaded with the API

    is_exec = original.__name__ != "_exit"

    def ending(*args: Any, **kwargs: Any) -> Any:
        with guard.guarded("the flush at the process's end"):
            # An exec that is going to fail is no end: execvp tries every folder of PATH.
            if not is_exec or _is_executable(*args, *kwargs.values()):
                finish()
        return original(*args, **kwargs)

    return update_wrapper(ending, original)


def _is_executable(path: Any = "", *_: Any) -> bool:
    try:
        return isinstance(path, int) or (os.path.isfile(path) and os.access(path, os.X_OK))
    except (TypeError, ValueError):  # the program is about to be told
        return False


def _on_signal(number: int, _: FrameType | None) -> None:
    """Stands where the default disposition was: flush, then do what the default does."""
    _Flush.signal = _Flush.signal or number
    dispositions.hold_again()  # a second one does not interrupt the flush
    with guard.guarded("the flush at a signal"):
        finish()


def take_over(number: int) -> None:
    """On the export thread: a signal has come, and the main thread, which should handle it, is in C."""
    if not _Flush.signal and not _Flush.under_way:
        _Flush.signal = number
        _die()


def _die() -> None:
    number, _Flush.signal = _Flush.signal, 0
    if _getpid() == 1:
        return  # the kernel gives PID 1 no default disposition: without us the signal would have been ignored
    dispositions.die(number)


def finish() -> None:
    """Flushes what has ended within the exit budget. A Ctrl-C meanwhile ends the flush at once, quietly."""
    if _Flush.under_way:  # systemd sends SIGHUP right after SIGTERM; a flush within a flush would wait for itself
        return
    guard.debug("the process comes to its end")
    if _Flush.pipeline is not None:
        _Flush.under_way = True
        for end in _Flush.endings:
            with guard.guarded("ending what is open"):
                end()
        end_run()
        try:
            _Flush.pipeline.finish()
        except KeyboardInterrupt:
            pass
        finally:
            _Flush.under_way = False
    if _Flush.signal:
        _die()
