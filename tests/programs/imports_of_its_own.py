"""Finders, path hooks and importers of the program's own do their work as plain, whatever they do to ours."""
# $ python PROGRAM first
# $ python PROGRAM last
# $ python PROGRAM only
# $ python PROGRAM hook
# $ python PROGRAM builtin-import
# mask: 0x\w+

import builtins
import importlib.abc
import importlib.machinery
import importlib.util
import os
import sys

how = sys.argv[1]
seen = []


class Finder(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        seen.append(name)
        if name == "invented":
            return importlib.util.spec_from_loader(name, Loader())
        if name == "requests.adapters" and how == "first":
            spec = importlib.machinery.PathFinder.find_spec(name, path, target)
            spec.loader_state = "seen"
            return spec
        return None


class Loader(importlib.abc.Loader):
    def exec_module(self, module):
        module.value = "made up"


if how == "first":
    sys.meta_path.insert(0, Finder())
elif how == "last":
    sys.meta_path.append(Finder())
elif how == "only":
    sys.meta_path[:] = [
        Finder(),
        importlib.machinery.BuiltinImporter,
        importlib.machinery.FrozenImporter,
        importlib.machinery.PathFinder,
    ]
elif how == "hook":

    class Hook(importlib.machinery.FileFinder):
        @classmethod
        def for_path(cls, path):
            if path != "virtual":
                raise ImportError(path)
            finder = cls(path)
            seen.append(path)
            return finder

        def find_spec(self, name, target=None):
            return importlib.util.spec_from_loader(name, Loader()) if name == "invented" else None

    sys.path_hooks.insert(0, Hook.for_path)
    sys.path.insert(0, "virtual")
else:
    original = builtins.__import__

    def traced(name, *args, **kwargs):
        seen.append(name)
        return original(name, *args, **kwargs)

    builtins.__import__ = traced

import requests

first = [name for name in seen if not name.startswith(("tracerun", "opentelemetry"))]
if how != "builtin-import":
    if how != "last":
        import invented

        print(invented.value, invented.__spec__.name, invented.__loader__)
    print(first.count("requests.adapters"), first[:40])
print(requests.adapters.__spec__.loader_state, type(requests.adapters.__loader__), requests.adapters.__spec__.origin)
print(requests.get(os.environ["WEB"]).text)
