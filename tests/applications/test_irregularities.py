"""The application ``irregularities``: what it tells, where, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from casewise import formats
from casewise.applications import Application
from casewise.applications.chest_regions import chest_regions
from casewise.applications.irregularities import ANY, NODULE, Irregularities, borders, box_of, turned_back
from casewise.applications.tuberculosis import NAME as TUBERCULOSIS
from casewise.chest.nodules.films import Film, film_of, marks
from casewise.chest.region_pose import Pose
from casewise.errors import CasewiseError
from casewise.finding import SEGMENTS, Finding
from casewise.image import Box, Image
from casewise.irregularities.box_fusion import Detection
from casewise.irregularities.detector import ready
from casewise.segments import segments
from casewise.segments_map import merged

SHAPE = (60, 90)


@given(st.integers(0, 3), st.booleans(), st.integers(8, 40), st.integers(8, 40))
def test_a_box_comes_back_to_the_image_that_was_turned(turns: int, mirrored: bool, row: int, column: int) -> None:
    pose = Pose(turns, mirrored)
    upright = pose.upright(np.zeros(SHAPE))
    upright[row : row + 6, column : column + 6] = 1
    one = Detection(row + 3, column + 3, 6, 0.5, "left_lung", 0)
    marked = np.zeros(SHAPE)
    marked[box_of(one, pose, SHAPE).slices] = 1
    assert np.array_equal(marked, pose.back(upright))


@given(st.integers(0, 3), st.booleans(), st.integers(0, 50), st.integers(0, 50), st.integers(1, 10), st.integers(1, 10))
def test_a_segment_comes_back_to_the_image_that_was_turned(
    turns: int, mirrored: bool, row: int, column: int, height: int, width: int
) -> None:
    pose = Pose(turns, mirrored)
    box = Box((row, column), (row + height, column + width))
    upright = pose.upright(np.zeros(SHAPE))
    upright[box.slices] = 1
    there = np.zeros(SHAPE)
    there[turned_back(box, pose, SHAPE).slices] = 1
    assert np.array_equal(there, pose.back(upright))


@given(st.floats(-20, 100), st.floats(-20, 120), st.floats(1, 200))
def test_a_box_lies_within_the_image(row: float, column: float, edge: float) -> None:
    box = box_of(Detection(row, column, edge, 0.5, "heart", 0), Pose(), SHAPE)
    assert all(0 <= lower < upper <= n for lower, upper, n in zip(box.lower, box.upper, SHAPE, strict=True))


def test_segments_are_drawn_where_they_end() -> None:
    lung = np.zeros((300, 200), bool)
    lung[20:280, 30:170] = True
    cut = segments({"left_lung": lung}, lung.shape)
    drawn = borders(cut) > 0
    displayed = np.zeros_like(lung)
    for one in cut:
        displayed[one.box.slices] |= cut.inside(one)
    assert drawn.any() and not drawn[~displayed].any() and drawn.sum() < displayed.sum() / 10
    for one in cut:  # every border of every segment, also where another one overlaps it
        assert drawn[one.box.lower[0], 100] and drawn[one.box.upper[0] - 1, 100]


@pytest.fixture(scope="module")
def film(shared_data: Path) -> Image:
    return formats.read(shared_data / "jsrt" / "images" / "JPCLN024.png")


@pytest.fixture(scope="module")
def application(tmp_path_factory: pytest.TempPathFactory) -> Irregularities:
    return Irregularities(device="cpu", maps=tmp_path_factory.mktemp("maps"))


def test_a_film_with_a_nodule(film: Image, application: Irregularities) -> None:
    assert isinstance(application, Application)
    findings = application.analyze(film)
    assert findings[0].label == ANY and 0 < (findings[0].probability or 0) <= 1
    assert [finding.label for finding in findings[-2:]] == [TUBERCULOSIS, SEGMENTS]
    nodules = findings[1:-2]
    assert nodules and all(finding.label == NODULE for finding in nodules)
    chances = [finding.probability or 0 for finding in nodules]
    assert chances == sorted(chances, reverse=True) and chances[0] <= (findings[0].probability or 0)
    for finding in nodules:
        assert finding.region in ("left_lung", "right_lung", "heart")
        assert finding.measures["segment"] >= 1 and finding.box is not None
    first = nodules[0].box
    assert first is not None
    assert all(lower - 40 <= at <= upper + 40 for at, lower, upper in zip((1118, 533), first.lower, first.upper, strict=True))
    lines = formats.read_mask(str(findings[-1].mask), film)
    assert 0 < lines.mean() < 0.03 and findings[-1].measures["count"] >= 5
    assert nodules[0].map is not None
    heat = formats.read(nodules[0].map)
    assert heat.spatial_shape == film.spatial_shape
    assert heat.array[0][first.slices].max() > 5 * np.median(heat.array[heat.array > 0])


def looked_at(application: Irregularities, image: Image) -> tuple[Film, list[Finding]]:
    """The film as the application cuts it, and the nodules that it reports of it."""
    film = film_of(image, chest_regions(image, "cpu"))
    return film, [finding for finding in application.analyze(image) if finding.label == NODULE]


@pytest.mark.parametrize("suffix", [".png", ".nii.gz", ".tif"])
def test_what_is_shown_is_what_the_network_saw(suffix: str, film: Image, application: Irregularities, tmp_path: Path) -> None:
    image = formats.read(formats.write(tmp_path / f"film{suffix}", film))
    own, nodules = looked_at(application, image)
    maps = marks(own, ready(application._model)).maps
    expected = own.pose.back(merged(maps, own.array.shape[1:]))
    heat = formats.read(str(nodules[0].map)).array[0]
    looked = np.zeros(heat.shape, bool)
    for segment in own.segments:
        looked[segment.box.slices] |= own.segments.inside(segment)
    assert np.array_equal(heat > 0, np.isfinite(expected)) and ((heat > 0) != own.pose.back(looked)).mean() < 0.01
    assert np.nanmax(np.abs(heat[heat > 0] / 255 - expected[heat > 0])) < 1 / 255
    for nodule in nodules:
        seen = nodule.segment
        assert seen is not None and seen.scale == 1 and nodule.box is not None
        segment = own.segments[int(nodule.measures["segment"]) - 1]
        pixels = formats.read(seen.picture)
        assert pixels.spatial_shape == seen.shape == seen.box.shape
        given = own.pose.back(own.segments.pixels(own.array, segment))
        assert np.abs(pixels.array.astype(float) - given).max() <= 0.5  # whole numbers, where the mean of the rest stands too
        shown = own.pose.back(own.segments.inside(segment))
        assert np.array_equal(pixels.array[0][shown], image.array[0][seen.box.slices][shown])
        assert 0 < shown.mean() < 1
        middle = [(lo + hi) / 2 for lo, hi in zip(nodule.box.lower, nodule.box.upper, strict=True)]
        assert all(lo <= at <= hi for lo, at, hi in zip(seen.box.lower, middle, seen.box.upper, strict=True))


def test_a_turned_and_inverted_film_shows_the_same(film: Image, application: Irregularities) -> None:
    plain = application.analyze(film)
    turned = np.ascontiguousarray(np.rot90(film.array.max() - film.array, axes=(1, 2)))
    findings = application.analyze(Image(turned, film.affine, film.header))
    assert application.notes
    assert findings[1].probability == pytest.approx(plain[1].probability, abs=0.15)
    here, there = plain[1].box, findings[1].box
    assert here is not None and there is not None
    expected = (film.spatial_shape[1] - here.upper[1], here.lower[0])
    assert np.allclose(there.lower, expected, atol=40)
    seen = findings[1].segment
    assert seen is not None
    pixels = formats.read(seen.picture).array[0]
    own = turned[0][seen.box.slices]
    assert pixels.shape == own.shape and 0.3 < (pixels == own).mean() < 1  # as it lies and as dark as it was given


@pytest.mark.parametrize("name", ["black", "hand", "volume"])
def test_what_is_no_frontal_radiograph_is_refused(name: str, application: Irregularities, shared_data: Path) -> None:
    if name == "hand":
        image = formats.read(sorted((shared_data / "mednist" / "Hand").glob("*"))[0])
    else:
        image = Image(np.zeros((1, 300, 300) if name == "black" else (1, 60, 60, 40), np.uint8))
    with pytest.raises(CasewiseError):
        application.analyze(image)
