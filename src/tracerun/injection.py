"""How an environment starts the agent: one folder on PYTHONPATH, and marks for the agent to read.

Used by the launcher for the program, and by ``tracerun.auto`` for the program's children.
"""

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import MutableMapping

PACKAGE = os.path.dirname(os.path.abspath(__file__))
FOLDER = os.path.join(PACKAGE, "agent", "path")
# What the agent needs beside itself in a target whose own environment has none of it.
NEEDED = (os.path.join("opentelemetry", "sdk"), "typing_extensions.py")


def inject(env: "MutableMapping[str, str]") -> None:
    """Has every Python that inherits this environment start the agent, as a new run."""
    add_folder(env)
    mark(env)


def add_folder(env: "MutableMapping[str, str]") -> None:
    """Puts our folder in front of PYTHONPATH, once."""
    # An unset or empty PYTHONPATH has no entries; one that ends in a separator has the current folder as its last.
    before = [entry for entry in [env.get("PYTHONPATH", "")] if entry]
    if before and before[0].split(os.pathsep)[0] == FOLDER:
        before = before[0].split(os.pathsep, 1)[1:]
    env["PYTHONPATH"] = os.pathsep.join([FOLDER, *before])


def mark(env: "MutableMapping[str, str]") -> None:
    """Makes this process, and what it becomes by exec, the target of a new run."""
    env["TRACERUN_PID"], env["TRACERUN_RUN"] = new_run()
    env.pop("TRACERUN_TARGET", None)
    env.pop("TRACERUN_SITE", None)
    elsewhere = folders_elsewhere()
    if elsewhere:
        env["TRACERUN_SITE"] = elsewhere


def new_run() -> tuple[str, str]:
    """This process's id, and a name for the run of which it is the target."""
    return str(os.getpid()), f"{os.getpid():x}{os.urandom(3).hex()}"


def folders_elsewhere() -> str:
    """Where OpenTelemetry lies that is not beside us, as in an editable installation; mostly empty."""
    beside = os.path.dirname(PACKAGE)
    found = []
    for name in NEEDED:
        # The first entry of sys.path is the script's folder, or with -m the current one.
        for folder in (beside, *sys.path[1:]):
            if os.path.exists(os.path.join(folder, name)):
                if folder != beside and folder not in found:
                    found.append(folder)
                break
    return os.pathsep.join(found)
