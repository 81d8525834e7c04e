"""Runs a launcher up to its exec, where it ends: ``python exec_is_the_end.py LAUNCHER COMMAND...``, for callgrind.

Without runpy, whose imports would count as the launcher's.
"""

import os
import sys


def _end(*_: object) -> None:
    os._exit(0)


os.execv = os.execve = os.execvp = os.execvpe = os.execl = os.execle = _end  # type: ignore[assignment]
sys.argv = sys.argv[1:]
with open(sys.argv[0], "rb") as script:
    exec(compile(script.read(), sys.argv[0], "exec"), {"__name__": "__main__", "__file__": sys.argv[0]})  # noqa: S102
