"""The peers' virtual environments: made once, and kept in the user's cache until what belongs into them changes."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.peers import LIBRARIES, TRACERUN, Peer

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ROOT = Path(__file__).resolve().parent.parent
# Settings of whoever runs the bench would change what is measured.
_FOREIGN = ("OTEL_", "TRACERUN_", "PYTHON", "DD_", "NEW_RELIC_", "VIRTUAL_ENV", "GRPC_")


@dataclass(frozen=True)
class Environment:
    """One peer's environment."""

    peer: Peer
    folder: Path

    @property
    def python(self) -> str:
        """Its interpreter."""
        return str(self.folder / "bin" / "python")

    def command(self, *words: str) -> list[str]:
        """Python with these arguments, under the peer's launcher if it has one."""
        return [*self.launched(), self.python, *words]

    def launched(self) -> list[str]:
        """The launcher's words."""
        if not self.peer.launcher:
            return []
        script, *more = self.peer.launcher
        return [str(self.folder / "bin" / script), *more]

    def variables(self, endpoint: str, more: Mapping[str, str] | None = None) -> dict[str, str]:
        """The environment that commands are started with.

        Args:
            endpoint: The URL that spans go to; empty where that is left to the peer's default.
            more: Settings beside the peer's own.
        """
        kept = {key: value for key, value in os.environ.items() if not key.startswith(_FOREIGN)}
        destination = self.peer.destination if endpoint else {}
        own = {key: value.replace("{endpoint}", endpoint) for key, value in destination.items()}
        path = f"{self.folder / 'bin'}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
        fixed = {"PATH": path, "NO_PROXY": "127.0.0.1,localhost", "GRPC_VERBOSITY": "NONE"}
        # Files of tracerun's own, if any, are not put where the user's are.
        state = {"XDG_STATE_HOME": str(cache() / "state")}
        return {**kept, **fixed, **state, **self.peer.variables, **own, **(more or {})}

    def versions(self) -> dict[str, str]:
        """The releases that are installed, by distribution."""
        code = "import importlib.metadata as m, json; print(json.dumps({d.name: d.version for d in m.distributions()}))"
        done = subprocess.run([self.python, "-I", "-c", code], capture_output=True, text=True, check=True)
        found: dict[str, str] = json.loads(done.stdout)
        return {name.lower(): version for name, version in sorted(found.items())}


def cache() -> Path:
    """The folder of this bench in the user's cache."""
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "tracerun-benchmarks"


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """Keeps other benches out of the environments, and of the processor, while a block runs."""
    cache().mkdir(parents=True, exist_ok=True)
    with open(cache() / "lock", "wb") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SystemExit("another bench is running") from None
        yield


def environment(peer: Peer) -> Environment:
    """A peer's environment, which is made if there is none of these requirements yet."""
    wanted = [*LIBRARIES, *peer.requirements, *(_own_requirements() if peer is TRACERUN else ())]
    pins = _pins(peer)
    key = hashlib.sha256("\n".join([sys.version, *wanted, *pins]).encode()).hexdigest()[:12]
    made = Environment(peer, cache() / f"{peer.name}-{key}")
    if not (made.folder / ".made").exists():
        _make(made, wanted, pins)
        (made.folder / ".made").touch()
    if peer is TRACERUN:
        _install_checkout(made)
    return made


def _own_requirements() -> list[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return [str(requirement) for requirement in project["dependencies"]]


def _pins(peer: Peer) -> list[str]:
    """The releases that this project's tests run on; a peer that brings OpenTelemetry has its own ones of that."""
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    foreign = any(requirement.startswith("opentelemetry-") for requirement in peer.requirements)
    return [line for line in lines if not (foreign and re.match("opentelemetry", line))]


def _make(made: Environment, wanted: list[str], pins: list[str]) -> None:
    base = str(getattr(sys, "_base_executable", sys.executable))
    subprocess.run([base, "-m", "venv", "--without-pip", "--clear", str(made.folder)], check=True)
    with tempfile.NamedTemporaryFile("w", suffix=".txt", encoding="utf-8") as constraints:
        constraints.write("\n".join(pins))
        constraints.flush()
        _pip(made, "-c", constraints.name, *wanted)


def _install_checkout(made: Environment) -> None:
    """The wheel of this checkout: an editable installation costs each start of Python more."""
    key = _checkout()
    stamp = made.folder / ".checkout"
    if stamp.exists() and stamp.read_text(encoding="utf-8") == key:
        return
    stamp.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder, "tree")
        tree.mkdir()
        for name in _CHECKOUT:
            if (ROOT / name).is_dir():
                shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(ROOT / name, tree / name)
        _pip(made, "--force-reinstall", "--no-deps", str(tree))
    stamp.write_text(key, encoding="utf-8")


_CHECKOUT = ("LICENSE", "README.md", "pyproject.toml", "scripts", "src")


def _checkout() -> str:
    files = [
        path for name in _CHECKOUT for path in ([ROOT / name] if (ROOT / name).is_file() else (ROOT / name).rglob("*"))
    ]
    contents = hashlib.sha256()
    for path in sorted(path for path in files if path.is_file() and "__pycache__" not in path.parts):
        contents.update(str(path.relative_to(ROOT)).encode() + b"\0" + path.read_bytes())
    return contents.hexdigest()


def _pip(made: Environment, *words: str) -> None:
    pip = [sys.executable, "-m", "pip", "--python", made.python, "install", "-q", *words]
    settings = {**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    done = subprocess.run(pip, env=settings, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"the environment of {made.peer.name} cannot be made:\n{done.stderr}")
