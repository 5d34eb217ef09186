"""What regions are made of: poses, clean masks, the ratio's lines; properties, without a network."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from casewise.chest.cardiothoracic_ratio import cardiothoracic, drawing, measured
from casewise.chest.clavicles import cut, surroundings
from casewise.chest.region import HEART, LEFT_LUNG, LEFT_LUNG_FULL, NAMES, OVERLAP, RIGHT_LUNG, UNSIDED, Region, Regions
from casewise.chest.region_checks import Outline
from casewise.chest.region_evidence import numbers_of
from casewise.chest.region_masks import cleaned, filled_outline, full_lungs, hidden_lung, on_grid
from casewise.chest.region_pose import Pose, is_side_view, pose_of
from casewise.errors import CasewiseError
from casewise.header import Header
from casewise.image import Box

POSES = [Pose(turns, mirrored, dark) for turns, mirrored, dark in itertools.product(range(4), (False, True), (False, True))]


def chances_of(seed: int, shape: tuple[int, int] = (24, 31)) -> np.ndarray:
    """Smooth random probabilities (4, row, column): blobs of every structure, with holes and islands."""
    noise = np.random.default_rng(seed).normal(0, 1, (4, *shape))
    smooth = ndimage.gaussian_filter(noise, (0, 2, 2)) * 12
    exponent = np.exp(smooth - smooth.max(axis=0))
    return (exponent / exponent.sum(axis=0)).astype(np.float32)


@given(pose=st.sampled_from(POSES), rows=st.integers(1, 9), columns=st.integers(1, 9))
def test_a_pose_is_undone_exactly(pose: Pose, rows: int, columns: int) -> None:
    plane = np.arange(rows * columns).reshape(rows, columns)
    assert np.array_equal(pose.back(pose.upright(plane)), plane)
    assert np.array_equal(pose.then(1, False).upright(plane), np.rot90(pose.upright(plane)))


@pytest.mark.parametrize("pose", [pose for pose in POSES if not pose.inverted])
def test_dicom_directions_tell_the_pose(pose: Pose) -> None:
    """A picture whose corners are named by where they lie in the patient is turned so that its first pixel is right and up."""
    upright = np.array([["HR", "HL"], ["FR", "FL"]])
    displayed = pose.back(upright)

    def direction(start: str, end: str) -> str:
        (letter,) = set(end) - set(start)
        return str(letter)

    directions = (direction(displayed[0, 0], displayed[0, 1]), direction(displayed[0, 0], displayed[1, 0]))
    found = pose_of(Header(directions=directions))
    assert found is not None and np.array_equal(found.upright(displayed), upright)


def test_a_side_view_is_known_by_its_header() -> None:
    assert is_side_view(Header(directions=("A", "F"))) and pose_of(Header(directions=("A", "F"))) is None
    assert is_side_view(Header(view="LL")) and not is_side_view(Header(view="PA", directions=("L", "F")))
    assert not is_side_view(Header()) and pose_of(Header()) is None


@given(seed=st.integers(0, 100_000))
@settings(max_examples=60, deadline=None)
def test_cleaned_probabilities_give_whole_pieces(seed: int) -> None:
    chances = cleaned(chances_of(seed))
    assert np.allclose(chances.sum(axis=0), 1, atol=1e-4) and chances.min() >= 0
    for number in range(1, 4):
        _, pieces = ndimage.label(chances.argmax(axis=0) == number)
        assert pieces <= 1


@given(seed=st.integers(0, 100_000), rows=st.integers(8, 90), columns=st.integers(8, 90))
@settings(max_examples=40, deadline=None)
def test_masks_come_apart_and_whole_on_any_grid(seed: int, rows: int, columns: int) -> None:
    masks = on_grid(cleaned(chances_of(seed)), (rows, columns))
    assert [mask.shape for mask in masks] == [(rows, columns)] * 3
    assert np.sum(masks, axis=0).max() <= 1
    assert all(ndimage.label(mask)[1] <= 1 for mask in masks)


@given(seed=st.integers(0, 100_000))
@settings(max_examples=40, deadline=None)
def test_a_filled_outline_holds_its_mask_and_is_convex(seed: int) -> None:
    mask = ndimage.gaussian_filter(np.random.default_rng(seed).normal(0, 1, (40, 33)), 3) > 0.1
    filled = filled_outline(mask)
    assert filled[mask].all()
    again = filled_outline(filled)
    assert not (again & ~ndimage.binary_dilation(filled, np.ones((3, 3)))).any()
    heart = np.roll(mask, 5, axis=1)
    assert not (hidden_lung(heart, [mask]) & ~heart).any()


def test_the_lung_behind_the_heart_is_found() -> None:
    lung = np.zeros((60, 60), bool)
    lung[5:55, 30:55] = True
    heart = np.zeros_like(lung)
    heart[30:50, 15:45] = True
    seen = lung & ~heart
    assert np.array_equal(hidden_lung(heart, [seen]), lung & heart)


def lungs_beside_a_heart() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(right, left, heart) of 60×60 pixels: the heart covers the left lung's inner half, and reaches below both lungs."""
    right, left, heart = (np.zeros((60, 60), bool) for _ in range(3))
    right[5:50, 4:24] = True
    left[5:50, 34:56] = True
    heart[25:55, 20:45] = True
    return right & ~heart, left & ~heart, heart


def test_a_full_lung_is_its_field_with_what_lies_behind_the_heart() -> None:
    right, left, heart = lungs_beside_a_heart()
    full_right, full_left = full_lungs(right, left, heart)
    assert np.array_equal(full_left, left | (heart & (np.arange(60) >= 34) & (np.arange(60) < 50)[:, None]))
    assert np.array_equal(full_right, right | (heart & (np.arange(60) < 24) & (np.arange(60) < 50)[:, None]))


@given(seed=st.integers(0, 100_000))
@settings(max_examples=40, deadline=None)
def test_full_lungs_hold_their_fields_add_nothing_but_heart_and_never_meet(seed: int) -> None:
    masks = on_grid(cleaned(chances_of(seed, (40, 37))), (40, 37))
    right, left, heart = masks
    if not (right.any() and left.any() and heart.any()):
        return
    columns = [np.nonzero(mask)[1].mean() for mask in (right, left)]
    if columns[0] >= columns[1]:
        right, left = left, right
    full_right, full_left = full_lungs(right, left, heart)
    for full, lung in ((full_right, right), (full_left, left)):
        assert (full & ~lung & ~heart).sum() == 0
        assert full[lung].all()
    assert not (full_right & full_left).any()


@given(seed=st.integers(0, 100_000), mirrored=st.booleans())
@settings(max_examples=40, deadline=None)
def test_the_surroundings_of_a_clavicle_mirror_with_their_lung(seed: int, mirrored: bool) -> None:
    rng = np.random.default_rng(seed)
    picture, lung = rng.integers(0, 255, (1, 50, 44)), np.zeros((50, 44), bool)
    top, left = int(rng.integers(0, 30)), int(rng.integers(0, 30))
    lung[top : top + int(rng.integers(1, 20)), left : left + int(rng.integers(1, 14))] = True
    box, other = surroundings(lung, mirrored=mirrored), surroundings(lung[:, ::-1], mirrored=not mirrored)
    assert box.shape == other.shape and box.lower[0] == other.lower[0]
    part = cut(picture, box, mirrored=mirrored)
    assert part.shape == (1, *box.shape)
    assert np.array_equal(part, cut(picture[..., ::-1], other, mirrored=not mirrored))


def test_names_by_place_and_disjoint_masks() -> None:
    mask = np.zeros((6, 6), bool)
    mask[1:3, 1:3] = True
    box = Box.around(mask)
    assert box is not None
    for sided in (True, False):
        names = [name if sided else UNSIDED.get(name, name) for name in NAMES]
        found = Regions({name: Region(name, mask, box) for name in names})
        assert list(found.all_by_place) == list(NAMES)
        assert list(found.by_place) == [RIGHT_LUNG, LEFT_LUNG, HEART, OVERLAP], (
            "what is measured in lung fields sees no second lung"
        )
        assert list(found.disjoint) == [found.public(name) for name in (RIGHT_LUNG, LEFT_LUNG, HEART)]
        assert found.sides_known == sided and found.public(LEFT_LUNG_FULL) in found


def test_a_ratio_of_known_boxes() -> None:
    right, left, heart = (np.zeros((100, 120), bool) for _ in range(3))
    right[10:80, 10:50], left[10:80, 70:110], heart[50:75, 45:85] = True, True, True
    found = measured(right, left, heart)
    assert found.midline.place == 60 and (found.midline.start, found.midline.end) == (10, 80)
    assert (found.right.length, found.left.length, found.thorax.length) == (15, 25, 100)
    assert found.ratio == pytest.approx(0.4)


@pytest.mark.parametrize("pose", POSES)
def test_the_ratio_does_not_depend_on_how_the_picture_lies(pose: Pose) -> None:
    right, left, heart = (np.zeros((100, 120), bool) for _ in range(3))
    right[10:80, 10:50], left[20:90, 70:112], heart[50:75, 45:85] = True, True, True
    names = (RIGHT_LUNG, LEFT_LUNG, HEART)
    displayed = {name: np.ascontiguousarray(pose.back(mask)) for name, mask in zip(names, (right, left, heart), strict=True)}
    boxes = {name: Box.around(mask) for name, mask in displayed.items()}
    found = Regions({name: Region(name, mask, boxes[name], 1.0) for name, mask in displayed.items()}, (), pose)
    lines = cardiothoracic(found)
    assert lines == measured(right, left, heart)
    drawn = drawing(lines, found)
    assert drawn.shape == displayed[HEART].shape and 0 < drawn.mean() < 0.1
    upright = np.asarray(pose.upright(drawn))
    assert upright[int(lines.thorax.place), 10:112].all()


def test_a_ratio_needs_all_three() -> None:
    mask = np.ones((4, 4), bool)
    only = Regions({RIGHT_LUNG: Region(RIGHT_LUNG, mask, Box((0, 0), (4, 4)), 1.0)})
    with pytest.raises(CasewiseError, match="left lung and heart"):
        cardiothoracic(only)


def test_lungs_that_do_not_lie_side_by_side_have_no_ratio() -> None:
    """As a network outlines them in half a film: the right lung begins where the left one ends, or beyond."""
    right, left, heart = (np.zeros((20, 30), bool) for _ in range(3))
    left[5:15, 8:12], heart[8:12, 10:20] = True, True
    for first in (12, 20):
        right[:], right[5:15, first : first + 4] = False, True
        with pytest.raises(CasewiseError, match="side by side"):
            measured(right, left, heart)


def test_lungs_of_one_row_say_nothing_of_the_sides() -> None:
    chances = np.full((4, 5, 30), 0.01, np.float32)
    chances[0] = 0.97
    for number, columns in enumerate((np.s_[2:8], np.s_[20:28], np.s_[10:18]), start=1):
        chances[number, 2, columns] = 2.0
    with np.errstate(all="raise"):
        assert numbers_of(Outline(Pose(), chances / chances.sum(axis=0))) is None
