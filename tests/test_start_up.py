"""Commands answer at once: what takes seconds to import is imported where it is used."""

from __future__ import annotations

import os
import pydoc
import re
import subprocess
import sys
from pathlib import Path

import pytest

import casewise
from tests.cli.test_frame import COMMANDS

HEAVY = {
    "torch",
    "monai",
    "sklearn",
    "skimage",
    "scipy",
    "SimpleITK",
    "sqlalchemy",
    "faiss",
    "pydicom",
    "nibabel",
    "nilearn",
    "numpy",
    "highdicom",
    "h5py",
    "PIL",
    "jinja2",
    "msgspec",
    "psutil",
}


def imported_by(*arguments: str) -> set[str]:
    """Top-level packages that ``python …`` imports; fails where it ends with an error."""
    done = subprocess.run([sys.executable, "-X", "importtime", *arguments], capture_output=True, text=True, check=True)
    return {match[1] for match in re.finditer(r"^import time:.*\| +([A-Za-z_]\w*)[\w.]*$", done.stderr, re.MULTILINE)}


@pytest.mark.parametrize(
    "arguments", [["--help"], ["--version"], *([command, "--help"] for command in (*COMMANDS, "train", "serve", "work"))]
)
def test_help_needs_no_heavy_library(arguments: list[str]) -> None:
    modules = imported_by("-m", "casewise", *arguments)
    assert "typer" in modules
    assert not modules & HEAVY


def test_importing_casewise_imports_lazy_loader_alone() -> None:
    modules = imported_by("-c", "import casewise")
    assert "lazy_loader" in modules
    assert not modules & {*HEAVY, "typer", "rich", "dataclasses", "inspect", "tomllib", "typing"}


def test_the_server_answers_before_what_takes_seconds_is_imported() -> None:
    modules = imported_by("-c", "import casewise.server.run, casewise.server.worker")
    assert "fastapi" in modules
    assert not modules & {
        "torch",
        "monai",
        "sklearn",
        "skimage",
        "scipy",
        "SimpleITK",
        "faiss",
        "pydicom",
        "nibabel",
        "nilearn",
        "h5py",
    }


def test_importing_casewise_needs_no_network_library() -> None:
    modules = imported_by("-c", "import casewise; casewise.Archive; casewise.read")
    assert "casewise" in modules
    assert not modules & {"torch", "monai", "sklearn", "SimpleITK"}


def test_an_analysis_without_an_archive_needs_no_catalogue() -> None:
    modules = imported_by("-c", "import casewise.pipeline.call")
    assert "torch" in modules
    assert "sqlalchemy" not in modules


LAZY = sorted(stub.parent for stub in Path(casewise.__file__).parent.rglob("__init__.pyi"))


@pytest.mark.parametrize("folder", LAZY, ids=lambda folder: folder.name)
def test_every_name_of_a_lazy_package_leads_somewhere(folder: Path) -> None:
    parts = folder.relative_to(LAZY[0].parent).parts
    program = f"import {'.'.join(parts)}"
    subprocess.run([sys.executable, "-c", program], check=True, env=os.environ | {"EAGER_IMPORT": "1"})


def test_dir_and_help_list_the_classes_and_functions() -> None:
    listed = dir(casewise)
    assert {"Archive", "Image", "Model", "Result", "read", "write", "training", "formats"} <= set(listed)
    assert "TYPE_CHECKING" not in listed
    text = pydoc.plain(pydoc.render_doc(casewise))
    assert "class Archive(" in text
    assert "    read(" in text


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="frobnicate"):
        casewise.frobnicate  # noqa: B018


def test_every_package_is_reached_from_the_package_alone() -> None:
    names = ("read", "write", "Image", "Archive.similar", "Model.load", "Router.route", "InteractiveSegmentation.undo")
    packages = ("training.fit", "adaptation.refine", "applications.Application", "segments.segments", "routing.Router")
    program = "import casewise; " + "; ".join(f"casewise.{name}" for name in (*names, *packages))
    assert "casewise" in imported_by("-c", program)
