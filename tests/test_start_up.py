"""Commands answer at once: what takes seconds to import is imported where it is used."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

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
}


def imported_by(*arguments: str) -> set[str]:
    """Top-level packages that ``python …`` imports; fails where it ends with an error."""
    done = subprocess.run([sys.executable, "-X", "importtime", *arguments], capture_output=True, text=True, check=True)
    return {match[1] for match in re.finditer(r"^import time:.*\| +([A-Za-z_]\w*)[\w.]*$", done.stderr, re.MULTILINE)}


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], *([command, "--help"] for command in (*COMMANDS, "train"))])
def test_help_needs_no_heavy_library(arguments: list[str]) -> None:
    modules = imported_by("-m", "casewise", *arguments)
    assert "typer" in modules
    assert not modules & HEAVY


def test_importing_casewise_needs_no_network_library() -> None:
    modules = imported_by("-c", "import casewise; casewise.Archive; casewise.read")
    assert "casewise" in modules
    assert not modules & {"torch", "monai", "sklearn", "SimpleITK"}


def test_every_package_is_reached_from_the_package_alone() -> None:
    names = ("read", "write", "Image", "Archive.similar", "Model.load", "Router.route", "InteractiveSegmentation.undo")
    rooms = ("training.fit", "adaptation.refine", "applications.Application", "segments.segments", "routing.Router")
    program = "import casewise; " + "; ".join(f"casewise.{name}" for name in (*names, *rooms))
    assert "casewise" in imported_by("-c", program)
