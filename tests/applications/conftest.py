"""A runner of two workers, and a picture for it to show to applications."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from casewise.applications.runner import Runner
from casewise.formats import write
from casewise.header import Header
from casewise.image import Image


@pytest.fixture(scope="module")
def runner() -> Iterator[Runner]:
    with Runner(workers=2) as made:
        yield made


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    pixels = np.random.default_rng(0).integers(0, 200, (1, 40, 60)).astype(np.uint8)
    return write(tmp_path / "images" / "picture.png", Image(pixels, header=Header(spacing_known=False)))
