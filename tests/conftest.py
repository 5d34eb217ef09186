"""Fixtures that every test may use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real images beside the checkout or where CASEWISE_SHARED_DATA says; without it the test is skipped."""
    root = Path(os.environ.get("CASEWISE_SHARED_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
    if not root.is_dir():
        pytest.skip("the real images are not on this machine")
    return root
