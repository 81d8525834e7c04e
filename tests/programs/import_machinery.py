"""Specs, loaders, caches, resources and sources of hooked modules are those of plain imports."""
# $ python PROGRAM
# mask: 0x\w+

import importlib
import importlib.metadata
import importlib.resources
import importlib.util
import inspect
import os
import pkgutil
import sys

for name in ("requests.adapters", "httpx._client", "flask.app", "urllib3.connectionpool", "grpc._channel"):
    spec = importlib.util.find_spec(name)
    print(spec.name, spec.origin, spec.cached, spec.parent, spec.has_location, spec.submodule_search_locations)
    print(spec.loader.get_filename(name) if hasattr(spec.loader, "get_filename") else None, name in sys.modules)
    module = importlib.import_module(name)
    print(module.__loader__, module.__spec__, module.__file__, module.__cached__, module.__package__)
    print(type(module.__loader__), module.__spec__.loader is module.__loader__, inspect.getsourcefile(module))
    print(module.__loader__.is_package(name), len(module.__loader__.get_source(name)), inspect.getmodule(module))
print([module.name for module in pkgutil.iter_modules(sys.modules["requests"].__path__)])
print([module.name for module in pkgutil.walk_packages(sys.modules["flask"].__path__, "flask.")])
print(importlib.metadata.version("requests"), importlib.metadata.packages_distributions()["requests"])
print(sorted(path.name for path in importlib.resources.files("requests").iterdir() if path.suffix == ".py"))
print(
    pkgutil.get_data("requests", "__version__.py")[:30],
    pkgutil.get_loader("requests.adapters") if sys.version_info < (3, 12) else "",
)
print(sorted(entry.name for entry in importlib.metadata.entry_points(group="console_scripts") if entry.name == "flask"))
print(
    os.path.basename(sys.modules["requests"].__file__),
    sys.path_hooks,
    sorted(vars(sys.modules["requests.adapters"]))[:20],
)
