"""A child process is told where it belongs: by TRACEPARENT and TRACESTATE in the environment that it alone gets.

``os.environ`` is never touched. What a program has put into a child's environment itself stays, unless that is no
more than what this process inherited. Children of multiprocessing that are not forked get it with the data that they
are prepared with: the server that forks them keeps its environment for all of them.

Not covered is ``os.system``, which cannot be given an environment.
"""

from __future__ import annotations

import os
import sys
from functools import update_wrapper
from typing import TYPE_CHECKING, Any

from tracerun.agent import hooks, inherited
from tracerun.agent.ambient import fields_for_child
from tracerun.agent.guard import guarded
from tracerun.agent.prepared import KEY
from tracerun.environment import environment
from tracerun.instrumentation.patching import argument, with_argument

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import ModuleType

# The place of the environment among the arguments of fork_exec, a list of b"NAME=value" or none.
ENVIRONMENT = 5
_MISSING = object()
_GUARD = guarded("the environment of a child process")


def install() -> None:
    """From here on; where a module is not imported yet, from its import on."""
    hooks.when_imported("subprocess", _on_subprocess)
    hooks.when_imported("multiprocessing.spawn", _on_multiprocessing)
    # As for the exit: pickle looks for a function in the module that os has it from.
    native = sys.modules.get(os.execve.__module__, os)
    execve = os.execve
    changed = {"execve": _with_environment(execve), "execv": _execv(os.execv, execve)}
    for name in ("posix_spawn", "posix_spawnp"):
        if hasattr(os, name):
            changed[name] = _with_environment(getattr(os, name), may_be_none=sys.version_info >= (3, 13))
    for name, function in changed.items():
        for module in (os, native):
            setattr(module, name, function)


def changes(given: Mapping[Any, Any] | None) -> dict[str, str] | None:
    """The variables to set in a child's environment, or to leave out where empty; none where it stays as it is.

    Args:
        given: The environment that the program gives to the child; this process's own where it gives none.
    """
    fields = fields_for_child()
    if fields is None or given is None:
        return fields
    for key, value in given.items():
        name = os.fsdecode(key)
        if name in fields and os.fsdecode(value) != environment().get(name):
            return None
    return fields


def _merged(given: Mapping[Any, Any], fields: dict[str, str]) -> dict[Any, Any]:
    left_out = {name for field in fields for name in (field, field.encode())}
    merged = {name: value for name, value in given.items() if name not in left_out}
    merged.update((name, value) for name, value in fields.items() if value)
    return merged


# subprocess, below Popen: a program that cannot be found is reported by frames of subprocess alone.


def _on_subprocess(subprocess: ModuleType) -> None:
    if vars(subprocess).get("_fork_exec") is not None:
        subprocess._fork_exec = _fork_exec(subprocess._fork_exec)  # type: ignore[attr-defined]
    elif vars(subprocess).get("_posixsubprocess") is not None:  # Python 3.10; gevent has none, and calls os.execve
        subprocess._posixsubprocess = _Module(subprocess._posixsubprocess)  # type: ignore[attr-defined]


class _Module:
    """The module that subprocess starts processes by, for subprocess alone."""

    def __init__(self, real: ModuleType) -> None:
        self._real = real
        self.fork_exec = _fork_exec(real.fork_exec)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


def _fork_exec(original: Callable[..., int]) -> Callable[..., int]:
    def fork_exec(*args: Any) -> int:
        with _GUARD:
            given = args[ENVIRONMENT]
            variables = None if given is None else dict(entry.partition(b"=")[::2] for entry in given)
            fields = changes(variables)
            if fields is not None:
                variables = inherited.variables() if variables is None else variables
                merged = _merged(variables, fields)
                entries = [os.fsencode(name) + b"=" + os.fsencode(value) for name, value in merged.items()]
                args = (*args[:ENVIRONMENT], entries, *args[ENVIRONMENT + 1 :])
        return original(*args)

    return fork_exec


# os.posix_spawn and the exec functions; os.spawn* and os.exec*p* come down to these.


def _with_environment(original: Callable[..., Any], *, may_be_none: bool = False) -> Callable[..., Any]:
    def start(*args: Any, **kwargs: Any) -> Any:
        with _GUARD:
            env = argument(args, kwargs, 2, "env", _MISSING)
            fields = changes(env) if hasattr(env, "items") or (env is None and may_be_none) else None
            if fields is not None:
                given = inherited.variables() if env is None else env
                args, kwargs = with_argument(args, kwargs, 2, "env", _merged(given, fields))
        return original(*args, **kwargs)

    return update_wrapper(start, original)


def _execv(original: Callable[..., Any], execve: Callable[..., Any]) -> Callable[..., Any]:
    def execv(*args: Any) -> Any:
        fields = None
        with _GUARD:
            fields = changes(None)
        if fields is not None and len(args) == 2:  # noqa: PLR2004 - path and argv
            try:
                execve(*args, _merged(inherited.variables(), fields))
            except (OSError, TypeError, ValueError):
                pass  # which execve says in other words
        return original(*args)

    return update_wrapper(execv, original)


# multiprocessing


def _on_multiprocessing(spawn: ModuleType) -> None:
    original = spawn.get_preparation_data

    def get_preparation_data(name: str) -> dict[str, Any]:
        data: dict[str, Any] = original(name)
        with _GUARD:
            fields = fields_for_child()
            if fields is not None:
                data[KEY] = fields
        return data

    spawn.get_preparation_data = update_wrapper(get_preparation_data, original)  # type: ignore[attr-defined]
