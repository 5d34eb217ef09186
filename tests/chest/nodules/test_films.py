"""From a film to its marks: one function for the application and the benchmark, at one scale, and what its network sees."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from casewise.chest.nodules.box_fusion import Detection
from casewise.chest.nodules.detector import odds, seen_mm
from casewise.chest.nodules.training import spec
from casewise.chest.nodules.views import PIXEL_MM, PLACE_MM, reduced_by, views, whole
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import nodules
from casewise import chest, formats
from casewise.applications.chest_regions import chest_regions
from casewise.applications.irregularities import NODULE, Irregularities, box_of
from casewise.chest.nodules.false_positive_reduction import CANDIDATES, CUES, MOST, FalsePositiveReducer, lungs_of
from casewise.chest.nodules.films import Film, film_of, marks_among
from casewise.chest.region_pose import Pose
from casewise.chest.segments import FILM_MM, LUNGS_MM, pixel_mm
from casewise.header import Header
from casewise.image import Image
from casewise.models import Model, shipped
from casewise.segments import Segments
from experiments.nodules import films as nodule_films
from experiments.nodules import measured as measuring

FILMS = {"jsrt/JPCLN024.png": "jsrt/images/JPCLN024.png", "nih/00001873_000.jpg": "nih-cxr1024/images/00001873_000.jpg"}


@pytest.mark.shared
@pytest.mark.parametrize("name", FILMS)
def test_the_application_reports_what_the_benchmark_measures(name: str, shared_data: Path) -> None:
    image = formats.read(shared_data / FILMS[name])
    application = Irregularities(device="cpu")
    findings = application.analyze(image)
    regions = chest_regions(image, "cpu")
    here = nodule_films.found_on(image, regions)
    measured = marks_among(
        here.found, here.lungs, here.millimetres, FalsePositiveReducer.of(shipped.load("irregularities").ready("cpu"))
    )
    found_again = [finding for finding in findings if finding.label == NODULE]
    assert len(found_again) == len(measured.reported)
    for finding, mark in zip(found_again, measured.reported, strict=True):
        assert finding.box == box_of(mark, regions.pose, image.spatial_shape) and finding.region == mark.region
        assert finding.probability == pytest.approx(mark.probability, abs=1e-6)
    assert findings[0].probability == pytest.approx(measured.candidates[0].probability, abs=1e-6)
    (kept,) = (row.shipped for row in nodules.kept()[0][measuring.CROSSED] if row.film == name)
    assert len(kept) == len(found_again)
    for (row, column, probability), mark in zip(kept, measured.reported, strict=True):
        assert (mark.row, mark.column, mark.probability) == pytest.approx((row, column, probability), abs=0.01)


@pytest.mark.shared
def test_what_the_shipped_network_sees_is_what_is_said_of_it(shared_data: Path) -> None:
    path = shared_data / FILMS["jsrt/JPCLN024.png"]
    image = formats.read(path)
    film = film_of(image, chest.regions(image))
    native = next(views(film.segments, film.array, PIXEL_MM, native=True))
    noisy = native.seen.copy()
    noisy[:-1] = np.random.default_rng(0).normal(size=noisy[:-1].shape)
    network = shipped.load("irregularities").ready("cpu")
    assert np.array_equal(odds(network, native.seen), odds(network, noisy))
    assert np.array_equal(odds(network, native.seen), odds(network, native.seen[-1:]))
    assert seen_mm(network) == 0.7
    application = Irregularities(device="cpu")
    application.analyze(image)
    assert any("at 0.7 mm a pixel" in note for note in application.notes)
    assert not any("resolution" in note for note in application.notes)


@pytest.mark.parametrize("branch", ["native", "both"])
def test_a_network_that_sees_native_pixels_is_said_to(branch: str) -> None:
    network = Model.initial("nodules", spec(branch, (8, 16)), 0).ready("cpu")
    seen = np.random.default_rng(0).normal(size=(17, 32, 32)).astype(np.float32)
    noisy = seen.copy()
    noisy[:-1] = np.random.default_rng(1).normal(size=noisy[:-1].shape)
    assert not np.array_equal(odds(network, seen), odds(network, noisy))
    assert seen_mm(network) is None


def lungs(height: int, width: int) -> dict[str, np.ndarray]:
    masks = {name: np.zeros((height, width), bool) for name in ("right_lung", "left_lung")}
    masks["right_lung"][height // 8 : -height // 8, width // 10 : width // 2 - 10] = True
    masks["left_lung"][height // 8 : -height // 8, width // 2 + 10 : -width // 10] = True
    return masks


@pytest.mark.parametrize("enlarged", [2, 3, 5])
def test_a_film_is_seen_at_one_scale_whatever_its_pixels_measure(enlarged: int) -> None:
    film = np.random.default_rng(0).normal(100, 20, (90, 80)).astype(np.float32)
    larger = film.repeat(enlarged, 0).repeat(enlarged, 1)
    step = PLACE_MM / 0.35
    assert np.allclose(whole(film[None], step), whole(larger[None], step * enlarged), atol=1e-4)


@given(st.integers(5, 60), st.floats(0.3, 9))
def test_reducing_keeps_what_is_even_and_the_size(length: int, step: float) -> None:
    even = np.full((length, 7), 3.5, np.float32)
    reduced = reduced_by(even, step)
    assert reduced.shape == (int(np.ceil(length / step - 1e-9)), int(np.ceil(7 / step - 1e-9)))
    assert np.allclose(reduced, 3.5, atol=1e-4)


def test_reducing_is_the_mean_of_blocks_and_enlarging_is_linear() -> None:
    ramp = np.arange(12, dtype=np.float32)[:, None] * np.ones((1, 4), np.float32)
    assert np.allclose(reduced_by(ramp, 4)[:, 0], [1.5, 5.5, 9.5])
    uneven = np.random.default_rng(1).random((43, 38)).astype(np.float32)
    for step in (1, 3, 4):  # whole steps go another way
        assert np.allclose(reduced_by(uneven, step), reduced_by(uneven, step + 1e-9), atol=1e-6)
    assert np.allclose(reduced_by(ramp, 0.5)[2:-2, 0], np.arange(2, 22) * 0.5 - 0.25)


@pytest.mark.parametrize("spacing", [0.1, 0.175, 0.35, 0.7, 0.9])
def test_a_place_lies_where_the_image_shows_it(spacing: float) -> None:
    """A bright square of 7 mm is seen at its own place in millimetres, whatever the pixels measure."""
    height, width = round(210 / spacing), round(175 / spacing)
    masks = lungs(height, width)
    image = np.random.default_rng(0).normal(0, 1, (height, width)).astype(np.float32)
    row, column = round(105 / spacing), round(50 / spacing)
    half = round(3.5 / spacing)
    image[row - half : row + half, column - half : column + half] += 400
    header = {"spacing_known": True}
    picture = Image(image[None], np.diag([spacing, spacing, 1, 1]), header)
    film = Film(image[None], _segments(masks, picture), Pose(), pixel_mm(picture, masks), True)
    assert film.millimetres == pytest.approx(spacing)
    hit = 0
    for view in views(film.segments, film.array, film.millimetres):
        assert view.seen.shape == (1, *view.inside.shape)
        place = [(at - origin) / view.step for at, origin in zip((row, column), view.origin, strict=True)]
        if all(5 < at < n - 5 for at, n in zip(place, view.inside.shape, strict=True)):
            hit += 1
            rows, columns = np.nonzero(view.seen[0] > 2.9)
            assert np.hypot(rows.mean() + 0.5 - place[0], columns.mean() + 0.5 - place[1]) < 1.2
            assert view.inside[int(place[0]), int(place[1])]
    assert hit


def _segments(masks: dict[str, np.ndarray], image: Image) -> Segments:
    from casewise.chest.segments import chest_segments

    return chest_segments(masks, pixel_mm(image, masks))


def test_a_film_without_spacing_is_no_larger_than_films_are() -> None:
    unknown = Image(np.zeros((1, 1000, 800), np.uint8), header=Header(spacing_known=False))
    tall, low = lungs(1000, 800), lungs(1000, 800)
    for name, mask in low.items():
        low[name] = mask & (np.arange(1000) > 600)[:, None]
    assert pixel_mm(unknown, tall) == pytest.approx(LUNGS_MM / 750)
    assert pixel_mm(unknown, low) == pytest.approx(FILM_MM / 1000)


def at(probability: float, row: float = 100) -> Detection:
    return Detection(row, 60, 20, probability, "right_lung", 0)


JUDGE = FalsePositiveReducer((1.0, *[0.0] * (len(CUES) - 1)), 0.0, film_from=0.6, mark_from=0.3)


def test_a_film_whose_likeliest_candidate_falls_short_is_given_no_mark() -> None:
    assert JUDGE.reported([at(0.59), at(0.5)]) == [] == JUDGE.reported([])
    found_again = JUDGE.reported([at(0.35), at(0.6), at(0.2)])
    assert [one.probability for one in found_again] == [0.6, 0.35]
    assert len(JUDGE.reported([at(0.9)] * 20)) == MOST


def test_the_strongest_candidates_alone_are_scored() -> None:
    found = [at(0.01 + n / 100, row=20 + 5 * n) for n in range(66)]
    masks = lungs(400, 300)
    judged = JUDGE.rescored(found, lungs_of(masks), 0.7)
    assert len(judged) == CANDIDATES
    assert {one.row for one in judged} == {one.row for one in found[-CANDIDATES:]}


@given(st.lists(st.floats(0, 1), max_size=40), st.floats(0, 1), st.floats(0, 1))
def test_what_is_reported_keeps_to_its_thresholds(chances: list[float], film_from: float, mark_from: float) -> None:
    judge = FalsePositiveReducer(JUDGE.weights, 0.0, film_from, mark_from)
    found_again = [one.probability for one in judge.reported([at(chance) for chance in chances])]
    assert found_again == sorted(found_again, reverse=True) and len(found_again) <= MOST
    assert all(one >= mark_from for one in found_again)
    if found_again:
        assert max(chances) >= film_from
