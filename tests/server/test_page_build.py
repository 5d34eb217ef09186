"""The page: its types say what the calls' documents say, its lock file names no address, and a wheel holds it."""

from __future__ import annotations

import importlib
import json
import pkgutil
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from pydantic import BaseModel

from casewise.server import schemas

ROOT = Path(__file__).resolve().parents[2]
WEB = ROOT / "web"
STATIC = ROOT / "src" / "casewise" / "server" / "static"


def models() -> dict[str, set[str]]:
    found = {}
    for module in pkgutil.iter_modules(schemas.__path__):
        for name, model in vars(importlib.import_module(f"{schemas.__name__}.{module.name}")).items():
            if isinstance(model, type) and issubclass(model, BaseModel) and model is not BaseModel:
                found[name] = set(model.model_fields)
    return found


def interfaces() -> dict[str, set[str]]:
    text = "".join(path.read_text(encoding="utf-8") for path in sorted((WEB / "src").glob("types*.ts")))
    found: dict[str, set[str]] = {}
    for name, base, body in re.findall(r"export interface (\w+)(?: extends (\w+))? \{\n(.*?)\n\}", text, re.DOTALL):
        found[name] = set(re.findall(r"^  (\w+)\??:", body, re.MULTILINE)) | found.get(base, set())
    return found


@pytest.mark.parametrize("name", sorted(interfaces()))
def test_the_page_knows_the_documents_of_the_calls_as_they_are(name: str) -> None:
    assert interfaces()[name] == models()[name]


def test_the_lock_file_names_versions_and_no_addresses() -> None:
    lock = json.loads((WEB / "package-lock.json").read_text(encoding="utf-8"))
    wanted = json.loads((WEB / "package.json").read_text(encoding="utf-8"))
    direct = wanted.get("dependencies", {}) | wanted.get("devDependencies", {})
    assert all(re.fullmatch(r"\d+\.\d+\.\d+", version) for version in direct.values())
    packages = lock["packages"]
    assert all(packages[f"node_modules/{name}"]["version"] == version for name, version in direct.items())
    assert not [name for name, package in packages.items() if "resolved" in package]


def test_a_wheel_holds_the_page(tmp_path: Path) -> None:
    if not STATIC.is_dir():
        pytest.skip("the page is not built: make page")
    package = tmp_path / "src" / "casewise"
    for name in ("pyproject.toml", "README.md", "LICENSE", "LICENSE-WEIGHTS.md"):
        shutil.copy(ROOT / name, tmp_path)
    for name in ("server/static", "server/templates"):
        shutil.copytree(ROOT / "src" / "casewise" / name, package / name)
    for folder in (package, package / "server"):
        (folder / "__init__.py").touch()
    code = "from setuptools import build_meta; print(build_meta.build_wheel('dist'))"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True, capture_output=True, text=True)
    with zipfile.ZipFile(tmp_path / "dist" / done.stdout.split()[-1]) as wheel:
        held = set(wheel.namelist())
    built = {f"casewise/server/static/{path.relative_to(STATIC).as_posix()}" for path in STATIC.rglob("*") if path.is_file()}
    assert {"casewise/server/static/page.js", "casewise/server/static/page.css"} <= built <= held
    assert "casewise/server/templates/page.html" in held
