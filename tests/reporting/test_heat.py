"""Maps of applications, drawn over a picture."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

from casewise.errors import CasewiseError
from casewise.image import Image
from casewise.reporting.heat import heats
from casewise.reporting.report import write_report
from casewise.result import ModelUse, Result


def test_the_hottest_place_is_the_most_coloured_and_cold_ones_stay_grey() -> None:
    values = np.zeros((80, 60), np.uint8)
    values[10, 20], values[40, 30] = 200, 100
    (heat,) = heats(Image(np.full((1, 80, 60), 90, np.uint8)), {"nodules": values})
    drawn = np.asarray(Pillow.open(io.BytesIO(base64.b64decode(heat.uri.partition(",")[2])))).astype(int)
    colour = drawn[..., 0] - drawn[..., 2]
    assert (heat.width, heat.height) == (60, 80) == (drawn.shape[1], drawn.shape[0])
    assert colour[10, 20] > 1.5 * colour[40, 30] > 0
    assert colour[60, 50] == 0


def test_a_map_off_the_grid_is_refused_and_a_volume_has_none() -> None:
    with pytest.raises(CasewiseError, match="grid"):
        heats(Image(np.zeros((1, 8, 8))), {"nodules": np.zeros((8, 9))})
    assert heats(Image(np.zeros((1, 8, 8, 8))), {"nodules": np.zeros((8, 8, 8))}) == ()


def test_the_report_displays_a_map(tmp_path: Path) -> None:
    image = Image(np.random.default_rng(0).integers(0, 255, (1, 50, 40), np.uint8))
    result = Result("x.png", ModelUse("none", method="route"))
    page = write_report(result, image, {}, tmp_path, maps={"nodules": np.eye(50, 40)}).read_text(encoding="utf-8")
    assert "Application maps" in page and "Map of nodules" in page
    without = write_report(result, image, {}, tmp_path, name="y").read_text(encoding="utf-8")
    assert "Application maps" not in without
