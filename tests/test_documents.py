"""What the documents say in Python runs, in the order of the page, and every public name has a page with an example."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from sybil import Sybil
from sybil.parsers.markdown import PythonCodeBlockParser, SkipParser

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
