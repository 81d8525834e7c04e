"""Where there is no exec: the launcher stays as the parent, and ends with the program's status."""

from __future__ import annotations

import subprocess
import sys
from typing import NoReturn


def wait_for(path: str, words: list[str], env: dict[str, str]) -> NoReturn:
    """Runs the program, leaves Ctrl-C to it, and exits with its status."""
    with subprocess.Popen(words, executable=path, env=env) as process:
        while True:
            try:
                sys.exit(process.wait())
            except KeyboardInterrupt:  # the console has sent it to the program too, which decides
                continue
