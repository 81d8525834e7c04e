"""The package's program."""

import sys

from . import module

print("main", __name__, __package__, sys.argv, module.__name__)
