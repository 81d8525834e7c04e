"""The proof: the target's interpreter, started with the agent as the launcher would, says what the agent found.

No line of the target's program is run. What sends the test span is the agent itself (`agent/proof.py`), by the
same code and the same packages as in the program.
"""

from __future__ import annotations

import ast
import os
import subprocess
from typing import TYPE_CHECKING, Any

from tracerun.cli.check.agents import AGENTS
from tracerun.interpreter import is_python, options

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tracerun.cli.target import Target

# Loading the SDK, the answer to the span, and gRPC's own patience.
LONGEST = 15.0
MARK = "tracerun-check:"
# The options of Python that decide what is found and run before a program.
_TELLING = "EIOPSs"
# No import but the agent's: the folder of the program, which comes first on the path, may hold files by any name.
_CODE = """
import sys
if sys.path[:1] == [""]:
    sys.path[0] = {folder!r}
found = dict(executable=sys.executable, version="%d.%d.%d" % sys.version_info[:3], prefix=sys.prefix)
found["sitecustomize"] = getattr(sys.modules.get("sitecustomize"), "__file__", None)
found["pythonpath"] = getattr(sys.modules.get("os"), "environ", {{}}).get("PYTHONPATH", "")
found["rivals"] = [name for name in {rivals!r} if name in sys.modules]
if "tracerun.agent.boot" in sys.modules:
    from tracerun.agent.proof import prove
    found["agent"] = prove(send={send!r})
sys.stdout.write("\\n" + {mark!r} + ascii(found) + "\\n")
"""


class Trial:
    """One start of an interpreter.

    Args:
        words: The interpreter and its options.
        env: As the launcher makes it.
        send: Whether a span is sent.
        folder: What stands first on the program's ``sys.path``; empty for the current folder.

    Attributes:
        found: What the interpreter says of itself; empty where it has said nothing.
        report: The agent's report; empty where no agent has started.
        trouble: Why nothing was said.
    """

    def __init__(self, words: list[str], env: Mapping[str, str], *, send: bool, folder: str = "") -> None:
        self.words = words
        self.found: dict[str, Any] = {}
        self.report: dict[str, Any] = {}
        self.trouble = ""
        code = _CODE.format(folder=folder, rivals=[agent.module for agent in AGENTS], send=send, mark=MARK)
        try:
            done = subprocess.run(
                [*words, "-c", code],
                env=env,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=LONGEST,
                check=False,
            )
        except subprocess.TimeoutExpired:
            self.trouble = f"it has not ended after {LONGEST:.0f} seconds"
            return
        except OSError as error:
            self.trouble = str(error.strerror)
            return
        self._read(done)

    def _read(self, done: subprocess.CompletedProcess[bytes]) -> None:
        lines = [line for line in done.stdout.decode("utf-8", "replace").splitlines() if line.startswith(MARK)]
        if lines:
            self.found = ast.literal_eval(lines[-1].removeprefix(MARK))
            self.report = self.found.get("agent", {})
        else:
            said = done.stderr.decode("utf-8", "replace").strip().splitlines()
            self.trouble = said[-1][:200] if said else f"it ended with the status {done.returncode}"


def interpreter_words(words: list[str], python: list[str], path: str, target: Target) -> list[str]:
    """How the command starts its interpreter: with its options, and behind ``env`` what env does to it.

    Args:
        words: The command as it was typed.
        python: The Python command line behind it.
        path: The command's file.
        target: The interpreter's file, where the command does not name it.
    """
    letters = "".join(dict.fromkeys(letter for letter in options(python[1:])[0] if letter in _TELLING))
    flags = [f"-{letters}"] if letters else []
    if not python or python[-1] == path:  # a script, by its first line
        return [target.python, *flags]
    before = words[: len(words) - len(python)]
    if is_python(words[0]):
        return [path, *flags]
    return [*before, python[0], *flags] if words[len(before) :] == python else [target.python, *flags]


def program_folder(python: list[str]) -> str:
    """What stands first on the program's ``sys.path``: the script's folder, or the current one."""
    _, option, rest = options(python[1:])
    if option or not rest or rest[0] == "-":
        return ""
    place = os.path.realpath(rest[0])
    return place if os.path.isdir(place) else os.path.dirname(place)
