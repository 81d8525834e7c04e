"""Virtual environments for the tests: of any Python on this machine, with any releases, each made once a session."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import PYTHON, ROOT

CURRENT = f"{sys.version_info[0]}.{sys.version_info[1]}"
# The launcher's where it is installed by itself, as uv tool and pipx do it.
NEWEST = "3.13"


def interpreter(version: str) -> str:
    """The interpreter of a Python version; the test is skipped where this machine has none."""
    if version == CURRENT:
        return str(getattr(sys, "_base_executable", PYTHON))
    found = sorted(Path("~/.pyenv/versions").expanduser().glob(f"{version}.*/bin/python"))
    path = str(found[-1]) if found else shutil.which(f"python{version}")
    if path is None:
        pytest.skip(f"no Python {version} in ~/.pyenv/versions or on PATH")
    return path


def pinned(*names: str) -> list[str]:
    """Distributions at the releases that constraints.txt has, for Python 3.11 and later where there are two."""
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    lines.sort(key=lambda line: "python_version <" not in line)
    by_name = {line.partition("==")[0].lower(): line.partition(";")[0].strip() for line in lines}
    return [by_name[name] for name in names]


class Environments:
    """Makes virtual environments, which all tests of a session (of all its workers) share."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def python(self, version: str, *packages: str, options: tuple[str, ...] = ()) -> str:
        """The interpreter of an environment.

        Args:
            version: Of Python, such as ``3.12``.
            packages: What is installed in it, as for pip.
            options: Of pip.
        """
        base = interpreter(version)
        name = "-".join([version, *(Path(package).name for package in packages)]).replace("=", "")
        place = self._folder / name
        with open(self._folder / f"{name}.lock", "wb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not (place / "made").exists():
                _make(base, place, packages, options)
                (place / "made").touch()
        return str(place / "bin" / "python")

    def installed(self, version: str) -> Path:
        """The scripts of an environment with tracerun's wheel, PyInstaller and a notebook's kernel."""
        more = ["requests", "pyinstaller==6.22.3", "ipykernel==7.4.0"]
        options = ("-c", str(ROOT / "constraints.txt"))
        return Path(self.python(version, str(ROOT), *more, options=options)).parent


def _make(base: str, place: Path, packages: tuple[str, ...], options: tuple[str, ...]) -> None:
    subprocess.run([base, "-m", "venv", "--without-pip", "--clear", str(place)], check=True)
    if packages:
        pip = [PYTHON, "-m", "pip", "--python", str(place / "bin" / "python"), "install", "-q", "--no-compile"]
        env = {**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
        done = subprocess.run([*pip, *options, *packages], env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


@pytest.fixture(scope="session")
def environments(tmp_path_factory: pytest.TempPathFactory) -> Environments:
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "environments"
    folder.mkdir(exist_ok=True)
    return Environments(folder)
