"""A module of the package."""

import sys

print("module", __name__, __package__, __spec__.name, sys.argv)
