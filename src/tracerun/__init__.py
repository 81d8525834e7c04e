"""tracerun: run any Python program unchanged and see how each request travelled."""

import os

__version__ = "0.1.0"

# Python's `warnings` and `logging` leave out frames of the import system when they count `stacklevel`: those
# whose file's path holds "importlib" and "_bootstrap". By this detour the paths of all our modules do, so that
# our wrappers shift no attribution. The folder exists for this alone; in an archive there is none.
if os.path.isdir(os.path.join(__path__[0], "importlib_bootstrap")):
    __path__[0] = os.path.join(__path__[0], "importlib_bootstrap", os.pardir)


def printable(line: str) -> str:
    """A text on one line, as a terminal can show it: values that we quote may hold line breaks and escapes."""
    return line if line.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in line)
