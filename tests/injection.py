"""Runs a program under tracerun again and again, each time with another function of ours that raises.

``python injection.py FILE``: prints what the program prints with all in order, then a line for each function of ours
that was called: its name, and whether the program printed the same while that function raised.
"""

from __future__ import annotations

import contextlib
import gc
import inspect
import io
import os
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import CodeType, FrameType

# Not beside the program's own call but on its way, or no more than an assignment.
ON_THE_WAY = {"run", "run_in", "wrapper", "__call__", "invoke", "traced"}
ASSIGNMENTS = {"Steps.__init__"}


def is_ours(code: CodeType) -> bool:
    """Whether a function stands in one of the modules that patch."""
    return "/tracerun/" in code.co_filename and "/instrumentation/" in code.co_filename


def can_be_broken(frame: FrameType) -> bool:
    """Whether this is a call by our code of a function of ours that has no call of the program's inside."""
    code, caller = frame.f_code, frame.f_back
    suspends = code.co_flags & (inspect.CO_GENERATOR | inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR)
    if not is_ours(code) or caller is None or not is_ours(caller.f_code) or suspends or code.co_name.startswith("<"):
        return False
    takes_over = code.co_name in ON_THE_WAY or code.co_varnames[:1] == ("original",)
    return not takes_over and name_of(code) not in ASSIGNMENTS


def name_of(code: CodeType) -> str:
    """A function's name with its class's, where Python has it there (3.11)."""
    return getattr(code, "co_qualname", code.co_name)


class Faults:
    """The trace function: notes which functions are called, or has one of them raise."""

    def __init__(self) -> None:
        self.seen: dict[CodeType, None] = {}
        self.broken: CodeType | None = None

    def __call__(self, frame: FrameType, event: str, _: Any) -> None:
        if event == "call" and can_be_broken(frame):
            if frame.f_code is self.broken:
                # A trace function that raises is taken out, which would be one fault for the whole run.
                threading.settrace(self)
                raise RuntimeError("injected")
            self.seen[frame.f_code] = None


def printed(program: CodeType, faults: Faults) -> str:
    """What the program prints."""
    out = io.StringIO()
    threading.settrace(faults)
    with contextlib.redirect_stdout(out):
        sys.settrace(faults)
        try:
            exec(program, {"__name__": "__main__"})
        except BaseException as error:  # noqa: BLE001 - as much an outcome as any
            print("raised", type(error).__name__, error)
        finally:
            sys.settrace(None)
    return out.getvalue()


def main() -> None:
    """The program of FILE."""
    gc.disable()  # Python 3.11 fails where a finalizer runs while it makes an abstract syntax tree (Werkzeug does)
    program = compile(Path(sys.argv[1]).read_text(encoding="utf-8"), "program.py", "exec")
    faults = Faults()
    printed(program, faults)  # the first run also loads and patches
    faults.seen.clear()
    expected = printed(program, faults)
    print(expected, end="", flush=True)
    for code in list(faults.seen):
        faults.broken = code
        gc.collect()
        got = printed(program, faults)
        print(
            f"{Path(code.co_filename).stem}.{name_of(code)}:",
            "same" if got == expected else f"differs: {got!r}",
            flush=True,
        )


if __name__ == "__main__":
    main()
    os._exit(0)  # grpc.aio's threads do not end where a server was left behind
