"""What the documents say in Python runs, in the order of the page, and every public name has a page with an example."""

from __future__ import annotations

import importlib
import os
import re
import shutil
from pathlib import Path

import pytest
from sybil import Sybil
from sybil.parsers.markdown import PythonCodeBlockParser, SkipParser

import casewise
from tests.command_lines import code_blocks
from tests.document_files import make

ROOT = Path(__file__).resolve().parents[1]
SYBIL = Sybil([PythonCodeBlockParser(), SkipParser()], patterns=["*.md"], path=str(ROOT))
PAGES = [
    path
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
    if any(code_blocks(path.read_text(encoding="utf-8"), "python"))
]


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("documents")
    make(folder)
    return folder


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_snippets_run(page: Path, files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(files, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OMP_NUM_THREADS", os.environ.get("OMP_NUM_THREADS", "1"))
    for example in SYBIL.parse(page).examples():
        example.evaluate()


REFERENCE = {path: path.read_text(encoding="utf-8") for path in sorted((ROOT / "docs" / "reference").glob("*.md"))}
PUBLIC = ["adaptation", "applications", "archive", "chest", "formats", "interaction", "lesions", "models", "routing", "training"]


def public_names() -> list[tuple[str, str]]:
    """(package, name) of what is for users: of casewise itself, and of its packages."""
    packages = ["casewise", *(f"casewise.{name}" for name in PUBLIC)]
    modules = {name: importlib.import_module(name) for name in packages}
    own = [(package, name) for package, module in modules.items() for name in module.__all__]
    return [(package, name) for package, name in own if not isinstance(getattr(modules[package], name), type(casewise))]


@pytest.mark.parametrize(("package", "name"), public_names())
def test_a_public_name_has_a_page_with_an_example(package: str, name: str) -> None:
    wanted = getattr(importlib.import_module(package), name)
    home = f"{wanted.__module__}.{name}"
    pages = [text for text in REFERENCE.values() if re.search(rf"^::: {re.escape(home)}$", text, re.MULTILINE)]
    assert pages, f"no page of docs/reference has '::: {home}'"
    assert any(re.search(rf"\b{name}\b", block) for text in pages for block in code_blocks(text, "python")), (
        f"{home} has no example"
    )


@pytest.mark.parametrize("page", REFERENCE, ids=lambda page: page.name)
def test_the_reference_names_what_exists(page: Path) -> None:
    for home in re.findall(r"^::: (\S+)$", REFERENCE[page], re.MULTILINE):
        module, _, name = home.rpartition(".")
        assert hasattr(importlib.import_module(module), name), home
