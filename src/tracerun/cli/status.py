"""``--status PID``: the report of a process that is running, from the file that it keeps beside its span files.

The process is neither signalled nor asked anything.
"""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Any

from tracerun import printable, runreport
from tracerun.errors import TracerunError, WrongUsage
from tracerun.injection import FOLDER
from tracerun.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Mapping


def status(number: str, *, as_json: bool) -> int:
    """Prints the report; gives the exit code.

    Args:
        number: The process's id, as it was typed.
        as_json: Whether the document is printed, not the lines that are made of it.

    Raises:
        TracerunError: There is no report of such a process; the message says why.
    """
    if not (number.isascii() and number.isdecimal() and 0 < int(number) < 2**31):
        raise WrongUsage(f"--status {number}: allowed: the id of a process")
    pid = int(number)
    if not runreport.is_there(pid):
        _clean(_folders(None))
        raise TracerunError(f"there is no process {pid}", slug="no-such-process", exit_code=1)
    env = _environment_of(pid)
    folders = _folders(env)
    document = next(filter(None, (_read(folder, pid) for folder in folders)), None)
    if document is None:
        raise _why_none(pid, env, folders)
    text = json.dumps(document, indent=2) if as_json else "\n".join(map(printable, runreport.lines(document)))
    sys.stdout.write(text + "\n")
    return 0


def _clean(folders: list[str]) -> None:
    """Removes what processes that were killed have left."""
    for folder in folders:
        try:
            runreport.clean(os.path.join(folder, runreport.FOLDER))
        except OSError:  # there is none, or it is not ours
            continue


def _environment_of(pid: int) -> dict[str, str] | None:
    """What a process was started with, for the folder of its own; none where that may not be seen."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            pairs = [os.fsdecode(pair).partition("=") for pair in file.read().split(b"\0")]
    except OSError:
        return None
    return {name: value for name, _, value in pairs if name}


def _folders(env: Mapping[str, str] | None) -> list[str]:
    """The folders of span files in which the process may have its own, the likeliest first."""
    ours = Settings.from_env()
    places = [ours.directory, *(_of_environment(env) if env is not None else ()), ours.default_directory]
    return list(dict.fromkeys(filter(None, places)))


def _of_environment(env: Mapping[str, str]) -> list[str]:
    home, state = env.get("HOME", ""), env.get("XDG_STATE_HOME", "")
    places = [
        env.get("TRACERUN_DIR", ""),
        os.path.join(state, "tracerun"),
        os.path.join(home, ".local", "state", "tracerun"),
    ]
    return [place for place in places if os.path.isabs(place)]


def _read(folder: str, pid: int) -> dict[str, Any] | None:
    try:
        with open(runreport.path_of(folder, pid), "rb") as file:
            document = json.load(file)
    except (OSError, ValueError):
        return None
    return document if isinstance(document, dict) and document.get("schema") == runreport.SCHEMA else None


def _why_none(pid: int, env: Mapping[str, str] | None, folders: list[str]) -> TracerunError:
    owner = _owner_of(pid)
    if owner not in ("", _name(os.geteuid())):
        line = f"process {pid} belongs to {owner}; ask as that user: sudo -u {owner} tracerun --status {pid}"
        return TracerunError(line, slug="other-users-process", exit_code=1)
    if not folders:
        line = "no folder of span files is known, beside which status files are; set TRACERUN_DIR"
        return TracerunError(line, slug="no-state-directory", exit_code=1)
    return TracerunError(
        f"process {pid} has no status file: {_reason(pid, env, folders)}", slug="no-status", exit_code=1
    )


def _reason(pid: int, env: Mapping[str, str] | None, folders: list[str]) -> str:
    if _namespace(pid) not in (0, _namespace(os.getpid())):
        return "it runs in a container, or another PID namespace; ask in there"
    if env is not None and FOLDER not in env.get("PYTHONPATH", "").split(os.pathsep):
        return "nothing in its environment starts tracerun, so that it is not traced unless it imports tracerun.auto"
    return f"it has made no span yet, or cannot write in {folders[0]}"


def _owner_of(pid: int) -> str:
    try:
        return _name(os.stat(f"/proc/{pid}").st_uid)
    except OSError:
        return ""


def _name(user: int) -> str:
    import pwd  # noqa: PLC0415 - not on Windows

    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:  # a container's user may have no entry
        return f"#{user}"


def _namespace(pid: int) -> int:
    """The PID namespace of a process; 0 where that may not be seen."""
    try:
        return os.stat(f"/proc/{pid}/ns/pid").st_ino
    except OSError:
        return 0
