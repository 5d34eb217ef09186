"""What surrounds a nodule, cut from segments of a radiograph that never was."""

from __future__ import annotations

import numpy as np
import pytest

from casewise.errors import CasewiseError
from casewise.lesions.nodules import PLACE_MM, PLACES, RADIOGRAPH, labelled_nodule, surroundings
from casewise.segments import Segments, segments

PIXEL = 0.175
SHAPE = (1400, 1600)
PLACE = (700, 450)


@pytest.fixture(scope="module")
def film() -> tuple[np.ndarray, Segments]:
    """(1, rows, columns) with a bright disc of 14 mm in one lung, and its segments."""
    rows, columns = np.ogrid[: SHAPE[0], : SHAPE[1]]
    lungs = {
        name: ((rows - 700) / 600) ** 2 + ((columns - middle) / 320) ** 2 <= 1
        for name, middle in (("right_lung", 420), ("left_lung", 1180))
    }
    array = np.random.default_rng(0).normal(100, 4, SHAPE).astype(np.float32)
    array[np.hypot(rows - PLACE[0], columns - PLACE[1]) <= 7 / PIXEL] += 60
    array[~(lungs["right_lung"] | lungs["left_lung"])] += 400
    return array[None], segments(lungs, SHAPE, least_overlap=200, margin=40)


def test_a_nodule_lies_in_the_middle_at_its_own_size(film: tuple[np.ndarray, Segments]) -> None:
    array, cut = film
    picture = surroundings(array, cut, *PLACE, PIXEL)
    assert picture.array.shape == (1, PLACES, PLACES)
    assert picture.header.sequences == (RADIOGRAPH,)
    own = labelled_nodule(picture, 14.0, "benign", "p")
    image, masks = own.loaded((RADIOGRAPH,))
    disc = masks.union()
    bright = image.array[0] > np.percentile(image.array[0], 95.5) * 0.5
    inside = slice(PLACES // 2 - 14, PLACES // 2 + 14)
    shared = (bright & disc)[inside, inside].sum() * 2 / (bright[inside, inside].sum() + disc.sum())
    assert shared > 0.85
    assert abs(disc.sum() * PLACE_MM**2 - np.pi * 49) < 15
    middle = picture.affine @ [(PLACES - 1) / 2, (PLACES - 1) / 2, 0, 1]
    assert np.allclose(middle[:2], np.multiply(PLACE, PIXEL), atol=0.01)


def test_what_the_segment_does_not_show_is_replaced(film: tuple[np.ndarray, Segments]) -> None:
    array, cut = film
    corner = surroundings(array, cut, 300, 250, PIXEL).array[0][:4, :4]
    assert float(array[0][50:60, 20:30].std()) > 3
    assert float(corner.max() - corner.min()) < 1e-4


def test_a_place_in_no_lung_and_coarse_pixels_are_refused(film: tuple[np.ndarray, Segments]) -> None:
    array, cut = film
    with pytest.raises(CasewiseError, match="The place 20, 800 lies in no segment"):
        surroundings(array, cut, 20, 800, PIXEL)
    with pytest.raises(CasewiseError, match=r"Pixels of 0\.50 mm are too large"):
        surroundings(array, cut, *PLACE, 0.5)
