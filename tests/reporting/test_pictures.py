from __future__ import annotations

import re
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.extra.numpy import array_shapes, arrays
from skimage.draw import polygon2mask
from skimage.measure import find_contours

from casewise.errors import CasewiseError
from casewise.image import Image
from casewise.reporting.contours import borders, outline
from casewise.reporting.pictures import COLOURS, data_uri, display_range, overlay, rgb, thumbnail, window
from tests.reporting.pages import decoded


def grey(array, **header):
    return Image(np.asarray(array)[None], header=header)


def test_the_headers_window_is_used_for_ct():
    ct = np.linspace(-1000, 2000, 3001).reshape(1, -1)
    displayed = window(grey(ct, modality="CT", window=(40, 400)))
    assert display_range(grey(ct, modality="CT", window=(40, 400))) == (-160, 240)
    assert displayed[0, 840] == 0 and displayed[0, 1240] == 255 and displayed[0, 1040] in (127, 128)


@pytest.mark.parametrize(
    "header",
    [
        {},
        {"modality": "US", "window": (0.1, 0.1)},
        {"modality": "MR", "window": (90000, 10)},
        {"modality": "CT", "window": (40, 0)},
    ],
)
def test_without_a_window_that_means_something_percentiles_are(header):
    values = np.arange(1001.0).reshape(7, 143)
    assert display_range(grey(values, **header)) == pytest.approx((5, 995))


@pytest.mark.parametrize("value", [0, -7.5, 255, np.nan, np.inf])
@pytest.mark.parametrize("shape", [(1, 1), (5, 4), (3, 4, 5)])
def test_a_constant_image_is_mid_grey_without_warnings(value, shape):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        displayed = window(grey(np.full(shape, value, np.float32)))
    assert displayed.shape == shape and (displayed == 128).all()


def test_a_few_bright_pixels_are_not_lost():
    array = np.zeros((2000, 2001), np.uint16)
    array[1001, 1000] = 9
    assert window(grey(array))[1001, 1000] == 255


def test_nan_is_black_and_does_not_disturb_the_window():
    array = np.arange(100.0).reshape(10, 10)
    array[0, 0], array[9, 9] = np.nan, np.inf
    displayed = window(grey(array))
    assert displayed[0, 0] == 0 and displayed[9, 9] == 255 and 100 < displayed[5, 0] < 150


def test_eight_bit_colour_is_unchanged():
    colour = np.random.default_rng(1).integers(0, 256, (3, 8, 9), np.uint8)
    np.testing.assert_array_equal(window(Image(colour)), np.moveaxis(colour, 0, -1))
    assert window(Image(colour.astype(np.uint16) * 256)).shape == (8, 9, 3)


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int16, np.uint32, np.float16, np.float64])
def test_every_kind_of_number_is_displayed(dtype):
    displayed = window(grey((np.arange(64).reshape(8, 8) % 2).astype(dtype)))
    assert set(np.unique(displayed)) == {0, 255}


def loops(path: str) -> list[np.ndarray]:
    """The closed lines of an outline as (n, 2) of (row, column) in half pixels."""
    found = []
    for line in re.findall(r"M[^z]*z", path):
        steps = np.array([[int(n) for n in pair.split()] for pair in re.findall(r"-?\d+ -?\d+", line)])
        found.append(np.cumsum(steps, axis=0)[:, ::-1])
    return found


@settings(max_examples=80, deadline=None)
@given(arrays(bool, array_shapes(min_dims=2, max_dims=2, max_side=12)))
def test_an_outline_holds_the_masks_pixels_and_no_others(mask):
    inside = np.zeros((2 * mask.shape[0] + 1, 2 * mask.shape[1] + 1), bool)
    for loop in loops(outline(mask)):
        inside ^= polygon2mask(inside.shape, loop)
    np.testing.assert_array_equal(inside[1::2, 1::2], mask)


@given(arrays(bool, array_shapes(min_dims=2, max_dims=2, max_side=9)))
def test_borders_are_those_of_scikit_image(mask):
    lines = find_contours(np.pad(mask, 1).astype(np.uint8), 0.5, fully_connected="low")
    theirs = [[tuple(point) for point in np.rint(2 * (line[:-1] - 0.5)).astype(int).tolist()] for line in lines]
    ours = [[tuple(point) for point in line.tolist()] for line in borders(mask)]
    assert sorted(map(sides_of, ours)) == sorted(map(sides_of, theirs))


def sides_of(line):
    """The sides of a closed line, whichever way and wherever it begins."""
    return sorted(tuple(sorted((point, line[number - 1]))) for number, point in enumerate(line))


def test_an_outline_lies_on_the_border():
    mask = np.zeros((40, 50), bool)
    mask[10:30, 5:45] = True
    (loop,) = loops(outline(mask))
    assert loop.min(axis=0).tolist() == [20, 10] and loop.max(axis=0).tolist() == [60, 90]
    assert len(loop) == 8
    assert outline(np.zeros((3, 3), bool)) == ""
    assert len(outline(np.ones((2048, 2048), bool))) < 100


def test_the_overlays_contour_is_the_masks_own_border_and_the_rest_is_tinted():
    picture = np.full((30, 40), 100, np.uint8)
    mask = np.zeros((30, 40), bool)
    mask[10:20, 10:30] = True
    drawn = overlay(picture, {"a": mask}, opacity=0.5)
    assert drawn.shape == (30, 40, 3)
    colour = np.array(rgb(COLOURS[0]))
    border = mask.copy()
    border[11:19, 11:29] = False
    assert (drawn[border] == colour).all()
    assert (drawn[~mask] == 100).all()
    np.testing.assert_allclose(drawn[12, 12], (100 + colour) / 2, atol=1)
    assert (picture == 100).all()


def test_empty_masks_change_nothing_and_foreign_grids_are_named():
    picture = np.arange(12, dtype=np.uint8).reshape(3, 4)
    np.testing.assert_array_equal(overlay(picture, {"a": np.zeros((3, 4), bool)})[..., 0], picture)
    with pytest.raises(CasewiseError, match=r"'a'.*\(4, 3\).*\(3, 4\)"):
        overlay(picture, {"a": np.zeros((4, 3), bool)})


def test_colours_are_distinguishable_in_brightness_or_hue_by_dichromats():
    # Viénot's matrices for protanopia and deuteranopia, on linear light.
    matrices = (
        np.array([[0.11238, 0.88762, 0], [0.11238, 0.88762, 0], [0.00401, -0.00401, 1]]),
        np.array([[0.29275, 0.70725, 0], [0.29275, 0.70725, 0], [-0.02234, 0.02234, 1]]),
    )
    linear = np.array([(np.array(rgb(colour)) / 255) ** 2.2 for colour in COLOURS])
    for matrix in matrices:
        perceived = np.clip(linear @ matrix.T, 0, 1) ** (1 / 2.2) * 255
        apart = np.linalg.norm(perceived[:, None] - perceived[None], axis=-1) + 1000 * np.eye(len(perceived))
        assert apart.min() > 25


def test_thumbnails_keep_true_proportions():
    thick = np.random.default_rng(0).integers(0, 255, (10, 100), np.uint8)
    assert thumbnail(thick, {}, (5.0, 1.0), 200).shape == (100, 200, 3)
    assert thumbnail(thick[:, :1], {}, (1.0, 1.0), 200).shape == (200, 20, 3)
    assert thumbnail(np.zeros((1, 5000), np.uint8), {}, (1.0, 1.0), 200).shape == (1, 200, 3)


def test_pictures_are_lossless_until_they_are_too_large():
    noise = np.random.default_rng(0).integers(0, 256, (300, 200), np.uint8)
    uri, lossless = data_uri(noise, 100_000)
    assert lossless
    np.testing.assert_array_equal(decoded(uri), noise)
    uri, lossless = data_uri(noise, 30_000)
    assert not lossless and decoded(uri).shape == (300, 200) and len(uri) < 41_000
