"""Programs of the system that some tests need: a test is skipped where one is missing, and fails there in CI."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import NoReturn

import pytest


def chromium() -> str:
    """The path of Chromium or Chrome."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        found = shutil.which(name)
        if found:
            return found
    missing("Chromium")


def postgresql() -> Path:
    """The folder of the newest PostgreSQL server's programs."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[4].partition(".")[0]))
    if not found or (os.geteuid() == 0 and shutil.which("runuser") is None):
        missing("a PostgreSQL server")
    return found[-1].parent


def missing(what: str) -> NoReturn:
    if os.environ.get("CI") == "true":
        pytest.fail(f"{what} is not installed; CI installs it (.ci/run).")
    pytest.skip(f"{what} is not installed on this machine")
