"""A program that empties sys.modules, sys.meta_path or sys.path ends as plain."""
# $ python PROGRAM modules
# $ python PROGRAM meta_path
# $ python PROGRAM path
# $ python PROGRAM ours

import os
import sys

import requests

requests.get(os.environ["WEB"])
if sys.argv[1] == "modules":
    sys.modules.clear()
elif sys.argv[1] == "meta_path":
    sys.meta_path.clear()
elif sys.argv[1] == "path":
    sys.path.clear()
else:
    for name in [name for name in sys.modules if name.partition(".")[0] in ("tracerun", "opentelemetry")]:
        del sys.modules[name]
print("emptied")
