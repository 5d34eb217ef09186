"""Real, synthesised and difference side by side: which slice they show, and where the files are looked for."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

from casewise.errors import CasewiseError
from casewise.image import Image
from casewise.reporting.comparison import Synthesis, comparisons, synthesised_beside
from casewise.reporting.report import write_report
from casewise.result import ModelUse, Result


def pixels(uri: str) -> np.ndarray:
    return np.asarray(Pillow.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))).convert("RGB")).astype(int)


def volume() -> tuple[Image, np.ndarray, np.ndarray]:
    """A grey block of five slices; the fourth holds a bright spot that was not synthesised."""
    array = np.zeros((40, 40, 5), np.float32)
    array[5:35, 5:35] = 100
    synthesised = array.copy()
    array[8:22, 14:28, 3] = 200
    return Image(array[None], np.diag([1.0, 1.0, 5.0, 1.0])), synthesised, np.abs(array - synthesised) / 20


def test_the_slice_with_the_largest_difference_is_displayed() -> None:
    image, synthesised, difference = volume()
    (comparison,) = comparisons(image, [Synthesis("abnormality", synthesised, difference)])
    assert comparison.caption == "slice 3"
    real, made, apart = (pixels(uri) for uri in (comparison.real, comparison.synthesised, comparison.difference))
    assert real.shape == made.shape == apart.shape
    assert real.max() > made.max() + 60
    orange = apart[..., 0] - apart[..., 2]
    assert orange.max() > 100
    assert np.median(orange) == 0


def test_a_picture_is_displayed_whole() -> None:
    array = np.full((30, 50), 80, np.uint8)
    difference = np.zeros((30, 50), np.float32)
    difference[3, 4] = 2
    (comparison,) = comparisons(Image(array[None]), [Synthesis("abnormality", array, difference)])
    assert comparison.caption == ""
    assert pixels(comparison.real).shape[1] > pixels(comparison.real).shape[0]


def test_what_is_off_the_grid_is_refused() -> None:
    image, synthesised, difference = volume()
    with pytest.raises(CasewiseError, match="synthesised image"):
        comparisons(image, [Synthesis("abnormality", synthesised[:-1], difference)])


def test_the_synthesised_image_lies_beside_the_map(tmp_path: Path) -> None:
    assert synthesised_beside(tmp_path / "abnormality-map.nii.gz") is None
    (tmp_path / "abnormality-synthesised.nii.gz").touch()
    assert synthesised_beside(tmp_path / "abnormality-map.nii.gz") == tmp_path / "abnormality-synthesised.nii.gz"
    assert synthesised_beside(tmp_path / "abnormality-synthesised.nii.gz") is None


def test_the_report_has_the_three_side_by_side(tmp_path: Path) -> None:
    image, synthesised, difference = volume()
    result = Result("head.nii.gz", ModelUse("none", method="route"))
    maps = {"abnormality": difference}
    made = [Synthesis("abnormality", synthesised, difference)]
    page = write_report(result, image, {}, tmp_path, maps=maps, syntheses=made).read_text(encoding="utf-8")
    for what in ("Real", "Synthesised", "Difference"):
        assert f'alt="{what}, slice 3"' in page
    assert "Application maps" not in page
