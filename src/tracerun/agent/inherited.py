"""The environment that a child inherits which is given none: the process's own, as C has it.

``os.environ`` is what it was at the start, and what Python has set since through it. ``os.putenv``, ``os.unsetenv`` and
``setenv`` of a library in C go past it, and a program may put another mapping in its place. The module behind ``os``
reads the environment anew each time it is made; one that nobody else gets to see costs a millisecond, and starting a
process costs more.
"""

from __future__ import annotations

import _imp
from _frozen_importlib import BuiltinImporter


def variables() -> dict[bytes, bytes]:
    """All variables of this process, by name."""
    spec = BuiltinImporter.find_spec("posix")
    assert spec is not None  # noqa: S101 - os has it from there
    module = _imp.create_builtin(spec)
    _imp.exec_builtin(module)
    found: dict[bytes, bytes] = module.environ
    return found
