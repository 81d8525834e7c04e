"""For PyInstaller, which finds this folder by its entry point: what a frozen program needs of tracerun.

Source: PyInstaller, "Providing PyInstaller Hooks with your Package".
"""

from __future__ import annotations

import os


def hook_dirs() -> list[str]:
    """The folder of our hook."""
    return [os.path.dirname(__file__)]
