"""A library that warns at its import, about its importer or itself, is attributed as plain."""
# $ python PROGRAM
# $ python -W always PROGRAM
# $ python -W error PROGRAM

import os
import sys

for package, module in (("httpx", "_client"), ("flask", "app"), ("requests", "adapters")):
    os.makedirs(package)
    open(f"{package}/__init__.py", "w").close()
    with open(f"{package}/{module}.py", "w") as file:
        file.write("import warnings\nfor level in range(1, 5):\n")
        file.write("    warnings.warn(f'{__name__} is old {level}', DeprecationWarning, stacklevel=level)\n")
        file.write("class Client:\n    def _send_single_request(self): ...\nAsyncClient = Client\n")
        file.write("class Flask:\n    ...\nclass HTTPAdapter:\n    def send(self): return 'sent'\n")
sys.path.insert(0, os.getcwd())
for name in ("httpx._client", "flask.app", "requests.adapters"):
    try:
        __import__(name)
    except DeprecationWarning as warning:
        print("raised", warning)


def caller():
    import requests.adapters

    print(requests.adapters.HTTPAdapter())


try:
    caller()
except DeprecationWarning as warning:
    print("raised", warning)
