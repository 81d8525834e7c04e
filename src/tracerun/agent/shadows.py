"""Imports of ours that get the standard library, also where the program has files by its names.

Beside a program may lie a ``uuid.py``, which it imports, or not. What we load needs the library's: it gets that,
and the name in ``sys.modules`` is the program's again afterwards, so that its file is run when it is run without
us, and not for us.
"""

import os
import sys
from _frozen_importlib_external import PathFinder
from _thread import get_ident

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType

_LIBRARY = os.path.dirname(getattr(os, "__file__", ""))
_PATH = [_LIBRARY, os.path.join(_LIBRARY, "lib-dynload")]


class out_of_the_way:  # noqa: N801 - used like contextlib's functions; that module is not loaded at start-up
    """``with shadows.out_of_the_way():`` this thread's imports see no shadow of the standard library."""

    __slots__ = ("_finder",)

    def __enter__(self) -> None:
        self._finder = _Finder()
        sys.meta_path.insert(0, self._finder)

    def __exit__(self, *_: object) -> None:
        if self._finder in sys.meta_path:
            sys.meta_path.remove(self._finder)
        for name in self._finder.shadowed:
            sys.modules.pop(name, None)


class _Finder:
    """The finder on ``sys.meta_path``, for one thread."""

    def __init__(self) -> None:
        self._thread = get_ident()
        self.shadowed: list[str] = []

    def find_spec(
        self,
        name: str,
        path: "Sequence[str] | None" = None,
        target: "ModuleType | None" = None,  # noqa: ARG002 - the protocol's arguments (PEP 451)
    ) -> "ModuleSpec | None":
        """The library's spec where the program has a module of that name in front of it."""
        if path is None and name in sys.stdlib_module_names and get_ident() == self._thread:
            found = PathFinder.find_spec(name)
            if found is not None and not (found.origin or _LIBRARY).startswith(_LIBRARY):
                ours = PathFinder.find_spec(name, _PATH)
                if ours is not None:
                    self.shadowed.append(name)
                return ours
        return None
