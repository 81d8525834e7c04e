"""A folder with __main__, and the zip archive made of it, run as plain."""
# $ python folder_program a b
# $ env PYTHONPATH=folder_program TRACERUN python -m folder_program a
# before: python -m zipapp folder_program -o program.pyz -p /usr/bin/env\ python
# $ python program.pyz a b
# $ ./program.pyz x
# $ env PYTHONPATH=program.pyz TRACERUN python -m helper
# spans: 1

import os
import sys

import helper
import requests

print(__name__, __file__, __package__, __spec__ and (__spec__.name, __spec__.origin), type(__loader__))
print(sys.argv, sys.path)
print(helper.__file__, helper.__spec__.origin, type(helper.__loader__))
print(requests.get(os.environ["WEB"]).text)
