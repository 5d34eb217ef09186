"""The application ``irregularities``: what it tells, where, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from casewise import formats
from casewise.applications import Application
from casewise.applications.irregularities import ANY, NODULE, SEGMENTS, TUBERCULOSIS, Irregularities, borders, box_of, heat_map
from casewise.chest.nodules.box_fusion import Detection
from casewise.chest.region_pose import Pose
from casewise.errors import CasewiseError
from casewise.image import Image
from casewise.segments import segments

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


@given(st.floats(-20, 100), st.floats(-20, 120), st.floats(1, 200))
def test_a_box_lies_within_the_image(row: float, column: float, edge: float) -> None:
    box = box_of(Detection(row, column, edge, 0.5, "heart", 0), Pose(), SHAPE)
    assert all(0 <= lower < upper <= n for lower, upper, n in zip(box.lower, box.upper, SHAPE, strict=True))


def test_the_heat_map_is_as_hot_as_the_likeliest_finding_and_cold_far_from_all() -> None:
    heat = heat_map([Detection(40, 60, 20, 0.8, "heart", 0), Detection(44, 60, 20, 0.3, "heart", 0)], (200, 180))
    assert heat.shape == (200, 180)
    assert heat.max() == pytest.approx(0.8, abs=0.06) and heat[40, 60] > 0.7
    assert heat[150:, 150:].max() == 0


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
    assert heat.array[0][first.slices].max() == pytest.approx(255 * chances[0], abs=12)


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


@pytest.mark.parametrize("name", ["black", "hand", "volume"])
def test_what_is_no_frontal_radiograph_is_refused(name: str, application: Irregularities, shared_data: Path) -> None:
    if name == "hand":
        image = formats.read(sorted((shared_data / "mednist" / "Hand").glob("*"))[0])
    else:
        image = Image(np.zeros((1, 300, 300) if name == "black" else (1, 60, 60, 40), np.uint8))
    with pytest.raises(CasewiseError):
        application.analyze(image)
