"""Runs one command and says what it took: ``python -I -S spawn.py FILE COMMAND...``.

A process of its own, because a child's peak memory counts from the memory of whoever forked it: this one is smaller
than any Python that it starts. Nothing is imported that a bare interpreter has not loaded.
"""

import sys
import time
from posix import _exit, environ, execve, fork, wait4, waitstatus_to_exitcode

report, *command = sys.argv[1:]
began = time.monotonic_ns()
child = fork()
if child == 0:
    try:
        execve(command[0], command, environ)
    finally:
        _exit(127)
_, status, usage = wait4(child, 0)
wall = time.monotonic_ns() - began
with open(report, "w", encoding="ascii") as out:
    out.write(
        f"{waitstatus_to_exitcode(status)} {wall / 1e6} {(usage.ru_utime + usage.ru_stime) * 1e3} {usage.ru_maxrss}"
    )
