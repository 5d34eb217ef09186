"""Segments keep their promises for every region that can be drawn, and for every radiograph at hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy import ndimage
from scipy.ndimage import label

from casewise import formats
from casewise.boxes import around, grown, intersect
from casewise.errors import CasewiseError
from casewise.image import Box
from casewise.segments import Segments, segments

Masks = dict[str, np.ndarray]
RELAXED = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


def ellipse(shape: tuple[int, int], centre: tuple[float, float], radii: tuple[float, float], angle: float) -> np.ndarray:
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    down, right = rows - centre[0], columns - centre[1]
    along, across = down * np.cos(angle) + right * np.sin(angle), right * np.cos(angle) - down * np.sin(angle)
    return (along / radii[0]) ** 2 + (across / radii[1]) ** 2 <= 1


@st.composite
def chests(draw: st.DrawFn) -> Masks:
    """Two lungs (apart, touching or one of them missing), upright or rotated, of any size, and a heart that lies over both."""
    edge = st.one_of(st.integers(100, 600), st.integers(100, 4000))
    rows, columns = draw(edge), draw(edge)
    angle = draw(st.sampled_from((0.0, 0.2, -0.5, 1.0, np.pi / 2)))
    size = draw(st.sampled_from((0.02, 0.3, 0.9)))
    gap = draw(st.sampled_from((0.0, 0.02, 0.2)))
    tall, wide = max(1.0, rows * 0.45 * size), max(1.0, columns * 0.2 * size)
    middle = columns / 2
    right = ellipse((rows, columns), (rows / 2, middle - wide - gap * columns / 2), (tall, wide), angle)
    left = ellipse((rows, columns), (rows / 2, middle + wide + gap * columns / 2), (tall, wide), angle)
    heart = ellipse((rows, columns), (rows * 0.6, middle), (max(1.0, tall * 0.4), max(1.0, wide * 0.8)), 0.0)
    masks = {"right_lung": right, "left_lung": left & ~right, "heart": heart}
    if draw(st.booleans()):
        masks[draw(st.sampled_from(("left_lung", "heart")))] = np.zeros((rows, columns), bool)
    return {name: mask for name, mask in masks.items() if name != "heart" or draw(st.booleans())}


def check(cut: Segments, masks: Masks, parts: int = 2, single: tuple[str, ...] = ("heart",)) -> None:
    """Everything that is promised of segments, whatever the masks."""
    grid = next(iter(masks.values())).shape
    for name, mask in masks.items():
        own = [segment for segment in cut if segment.region == name]
        if not mask.any():
            assert not own
            continue
        assert len(own) >= (1 if name in single else parts)
        covered = np.zeros(grid, bool)
        for segment in own:
            assert min(segment.scale) >= 0.8
            assert all(0 <= lo < hi <= n for lo, hi, n in zip(segment.box.lower, segment.box.upper, grid, strict=True))
            displayed = cut.inside(segment)
            covered[segment.box.slices] |= displayed
            for other in cut.apart:  # never two lungs in one
                if other != name:
                    assert not (displayed & masks[other][segment.box.slices] & ~mask[segment.box.slices]).any()
        assert not (mask & ~covered).any()
        if len(own) > 1:
            for segment in own:
                assert any(intersect(segment.box, other.box) for other in own if other is not segment)


@RELAXED
@given(chests(), st.integers(2, 5), st.sampled_from((0.1, 0.25, 0.5)), st.integers(0, 40), st.integers(0, 60))
def test_segments_of_any_chest(masks: Masks, parts: int, overlap: float, least: int, margin: int) -> None:
    grid = next(iter(masks.values())).shape
    cut = segments(masks, grid, parts=parts, overlap=overlap, least_overlap=least, margin=min(margin, min(grid) // 10))
    check(cut, masks, parts)


@RELAXED
@given(chests(), st.integers(2, 4), st.integers(20, 200))
def test_no_segment_is_longer_than_allowed(masks: Masks, parts: int, longest: int) -> None:
    grid = next(iter(masks.values())).shape
    longest = max(longest, max(grid) // 8)
    cut = segments(masks, grid, parts=parts, longest=longest)
    check(cut, masks, parts)
    assert max(max(segment.box.shape) for segment in cut) <= longest


@RELAXED
@given(chests(), st.data())
def test_every_irregularity_lies_whole_in_a_segment_and_in_an_overlap(masks: Masks, data: st.DataObject) -> None:
    grid = masks["right_lung"].shape
    inside = np.argwhere(masks["right_lung"])
    boxes = []
    for _ in range(data.draw(st.integers(1, 4))):
        row, column = inside[data.draw(st.integers(0, len(inside) - 1))]
        edge = data.draw(st.integers(1, max(1, min(grid) // 4)))
        lower = (max(0, int(row) - edge // 2), max(0, int(column) - edge // 2))
        boxes.append(Box(lower, (min(grid[0], lower[0] + edge), min(grid[1], lower[1] + edge))))
    cut = segments(masks, grid, irregularities=boxes)
    check(cut, masks)
    for number, box in enumerate(boxes):
        holders = [segment for segment in cut if number in segment.irregularities]
        assert holders
        for segment in holders:
            assert all(
                lo <= low and high <= hi
                for lo, hi, low, high in zip(segment.box.lower, segment.box.upper, box.lower, box.upper, strict=True)
            )
        seen = np.zeros(grid, np.uint8)
        for segment in cut:
            if segment.region == holders[0].region:
                seen[segment.box.slices] += 1
        assert seen[box.slices].max() >= 2  # partly in an overlap


@RELAXED
@given(st.tuples(*[st.integers(12, 70)] * 3), st.tuples(*[st.integers(12, 40)] * 3), st.integers(0, 2**31))
def test_blocks_of_a_volume(grid: tuple[int, int, int], longest: tuple[int, int, int], seed: int) -> None:
    rng = np.random.default_rng(seed)
    lower = rng.integers(0, np.array(grid) - 6)
    upper = np.minimum(grid, lower + rng.integers(4, 60, 3))
    mask = np.zeros(grid, bool)
    mask[tuple(slice(a, b) for a, b in zip(lower, upper, strict=True))] = rng.random(tuple(upper - lower)) < 0.7
    mask[tuple(lower)] = True
    cut = segments({"liver": mask}, grid, parts=2, longest=longest)
    check(cut, {"liver": mask}, parts=1 if len(cut) == 1 else 2)
    assert all(n <= most for segment in cut for n, most in zip(segment.box.shape, longest, strict=True))


@pytest.mark.parametrize("scale", [0.79, 1.01, (1.0, 0.5), (1.0, 1.0, 1.0), float("nan")])
def test_a_lower_resolution_is_refused(scale: object) -> None:
    mask = np.ones((100, 80), bool)
    with pytest.raises(CasewiseError, match="resolution"):
        segments({"lung": mask}, (100, 80), scale=scale)  # type: ignore[arg-type]


def test_scaled_pixels_keep_at_least_four_fifths() -> None:
    mask = ellipse((300, 200), (150, 100), (120, 60), 0.3)
    cut = segments({"lung": mask}, mask.shape, scale=(0.8, 0.93))
    ramp = np.add.outer(np.arange(300.0), np.arange(200.0))[None]
    for segment in cut:
        pixels = cut.pixels(ramp, segment, outside="keep")
        assert pixels.shape[1:] == segment.shape
        assert all(new >= 0.8 * old for new, old in zip(segment.shape, segment.box.shape, strict=True))
        middle = tuple((lo + hi - 1) / 2 for lo, hi in zip(segment.box.lower, segment.box.upper, strict=True))
        assert pixels.mean() == pytest.approx(sum(middle), abs=0.5)


@pytest.mark.parametrize("outside", ["mean", "noise", "zero"])
def test_what_lies_outside_is_replaced_and_what_lies_inside_is_kept(outside: str) -> None:
    mask = ellipse((200, 160), (100, 80), (80, 30), 0.5)
    array = np.random.default_rng(0).normal(50, 5, (1, 200, 160)) + np.where(mask, 0, 1000)
    cut = segments({"lung": mask}, mask.shape)
    for segment in cut:
        pixels, inside = cut.pixels(array, segment, outside=outside), cut.inside(segment)
        assert np.array_equal(pixels[0][inside], array[0][segment.box.slices][inside].astype(np.float32))
        hidden = pixels[0][~inside]
        assert hidden.mean() == pytest.approx(0 if outside == "zero" else 50, abs=2)
        assert (hidden.std() > 1) == (outside == "noise")


@pytest.mark.parametrize(
    ("masks", "shape", "wanted"),
    [
        ({}, (50, 50), "one region or more"),
        ({"lung": np.zeros((50, 50), bool)}, (50, 50), "None of the regions"),
        ({"lung": np.ones((50, 50), bool)}, (50, 51), "grid"),
        ({"lung": np.ones(50, bool)}, (50,), "2 or 3 axes"),
    ],
)
def test_masks_that_cannot_be_cut_are_refused(masks: Masks, shape: tuple[int, ...], wanted: str) -> None:
    with pytest.raises(CasewiseError, match=wanted):
        segments(masks, shape)


def test_an_overlap_that_leaves_no_room_is_refused() -> None:
    with pytest.raises(CasewiseError, match="smaller overlap"):
        segments({"lung": np.ones((100, 20), bool)}, (100, 20), longest=30, least_overlap=40)
    with pytest.raises(CasewiseError, match="overlap"):
        segments({"lung": np.ones((100, 20), bool)}, (100, 20), overlap=0)


@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 12), st.integers(0, 2**31))
def test_a_margin_is_all_that_lies_within_it(rows: int, columns: int, margin: int, seed: int) -> None:
    mask = np.random.default_rng(seed).random((rows, columns)) < 0.05
    wanted = np.zeros_like(mask)
    for row, column in np.argwhere(mask):
        wanted[max(0, row - margin) : row + margin + 1, max(0, column - margin) : column + margin + 1] = True
    assert np.array_equal(grown(mask, margin), wanted)


@given(st.integers(1, 30), st.integers(1, 30), st.integers(0, 9), st.integers(0, 2**31))
def test_what_lies_around_a_pixel(rows: int, columns: int, margin: int, seed: int) -> None:
    values = np.random.default_rng(seed).random((rows, columns), np.float32)
    assert np.array_equal(around(values, margin, np.minimum), ndimage.minimum_filter(values, 2 * margin + 1))
    assert np.array_equal(around(values, margin, np.maximum), ndimage.maximum_filter(values, 2 * margin + 1))


def test_true_masks_of_radiographs(shared_data: Path) -> None:
    names = ("left_lung", "right_lung", "heart")
    paths = sorted((shared_data / "jsrt" / "masks" / "heart").glob("*.png"))
    assert paths
    for path in paths:
        masks = {name: formats.read(path.parents[1] / name / path.name).array[0] > 0 for name in names}
        check(segments(masks, masks["heart"].shape, least_overlap=100, margin=20), masks)


@pytest.mark.parametrize("site", ["shenzhen", "montgomery"])
def test_true_masks_of_the_other_radiographs(site: str, shared_data: Path) -> None:
    """Their masks hold both lungs; the two largest pieces are taken for the two."""
    paths = sorted((shared_data / site / "lung_masks").glob("*.png"))
    assert paths
    for path in paths:
        pieces, count = label(formats.read(path).array[0] > 0)
        sizes = np.bincount(pieces.ravel())[1:]
        masks = {f"lung_{n}": pieces == piece + 1 for n, piece in enumerate(np.argsort(-sizes)[: min(2, count)])}
        check(segments(masks, pieces.shape, least_overlap=25, margin=5), masks)


@pytest.mark.parametrize("shape", [(1, 1), (1, 60), (3, 2, 90)])
def test_an_image_of_few_voxels_an_edge_is_cut_too(shape: tuple[int, ...]) -> None:
    cut = segments({"region": np.ones(shape, bool)}, shape)
    covered = np.zeros(shape, bool)
    for segment in cut:
        covered[segment.box.slices] = True
    assert covered.all()
