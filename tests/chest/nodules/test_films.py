"""From a film to its marks: one function for application and benchmark, native pixels that count, and films of every pixel size."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import nodules
from casewise import chest, formats
from casewise.applications.irregularities import NODULE, Irregularities, box_of
from casewise.chest.nodules.false_positive_reduction import (
    CANDIDATES,
    CUES,
    MOST,
    FalsePositiveReducer,
    in_lungs,
    log_odds,
    lungs_of,
)
from casewise.chest.nodules.films import Film, film_of, marks
from casewise.chest.region import Region, Regions
from casewise.chest.segments import FILM_MM, LUNGS_MM, pixel_mm
from casewise.header import Header
from casewise.image import Box, Image
from casewise.irregularities.box_fusion import Detection, fused
from casewise.irregularities.detector import maps_of, peaks, ready
from casewise.irregularities.froc import outcome
from casewise.irregularities.views import Picture
from casewise.models import shipped
from casewise.models.networks.segment_detector import SegmentDetector
from experiments.nodules.films import Film as Radiograph
from experiments.nodules.films import films, prepared


@pytest.fixture(params=range(2))
def radiograph(shared_data: Path, request: pytest.FixtureRequest) -> Radiograph:
    """The first two of those that the benchmark analysed with the application."""
    recorded = {row["film"] for row in nodules.applied()}
    known = [film for film in films() if film.name in recorded]
    assert len(known) == len(recorded) >= 3
    return known[request.param]


@pytest.mark.shared
def test_the_application_reports_what_the_benchmarks_code_marks(radiograph: Radiograph) -> None:
    image = formats.read(radiograph.path)
    regions = chest.regions(image, "cpu")
    measured = marks(film_of(image, regions), ready(shipped.load("irregularities")))
    findings = Irregularities(device="cpu").analyze(image)
    found_again = [finding for finding in findings if finding.label == NODULE]
    assert len(found_again) == len(measured.reported)
    for finding, mark in zip(found_again, measured.reported, strict=True):
        assert finding.box == box_of(mark, regions.pose, image.spatial_shape) and finding.region == mark.region
        assert finding.probability == pytest.approx(mark.probability, abs=1e-6)
    assert findings[0].probability == pytest.approx(measured.film, abs=1e-6)


@pytest.mark.shared
def test_the_benchmark_measured_what_its_code_marks(radiograph: Radiograph, monkeypatch: pytest.MonkeyPatch) -> None:
    # The rows were measured in bfloat16, in which a processor without it reckons here too, slowly: here alone.
    monkeypatch.setattr("casewise.device.computes_in_bfloat16", lambda: True)
    (row,) = [row for row in nodules.applied() if row["film"] == radiograph.name]
    image = formats.read(radiograph.path)
    measured = marks(film_of(image, chest.regions(image, "cpu")), ready(shipped.load("irregularities")))
    assert len(measured.reported) == len(row["marks"])
    for mark, (*place, probability) in zip(measured.reported, row["marks"], strict=True):
        assert (mark.row, mark.column) == pytest.approx(place, abs=2) and mark.probability == pytest.approx(probability, abs=0.02)
    assert measured.film == pytest.approx(row["probability"], abs=0.02)


def lungs(height: int, width: int) -> dict[str, np.ndarray]:
    masks = {name: np.zeros((height, width), bool) for name in ("right_lung", "left_lung")}
    masks["right_lung"][height // 8 : -height // 8, width // 10 : width // 2 - 10] = True
    masks["left_lung"][height // 8 : -height // 8, width // 2 + 10 : -width // 10] = True
    return masks


@pytest.mark.parametrize("spacing", [0.1, 0.175, 0.35, 0.7])
def test_marks_and_segments_lie_where_the_image_shows_them(spacing: float) -> None:
    """Whatever its pixels measure, what is cut and marked comes back to the image's own pixels."""
    height, width = round(210 / spacing), round(175 / spacing)
    masks = lungs(height, width)
    image = Image(np.random.default_rng(0).normal(0, 1, (1, height, width)).astype(np.float32), np.diag([spacing, spacing, 1, 1]))
    found = Regions({name: Region(name, mask, Box.around(mask) or Box((0, 0), mask.shape)) for name, mask in masks.items()})
    film = film_of(Image(image.array, image.affine, Header(spacing_known=True)), found)
    assert film.shape == (height, width)
    assert film.millimetres * film.enlarged == pytest.approx(spacing)
    for segment in film.segments:
        box = film.in_image(segment.box)
        own = masks[segment.region]
        assert own[box.slices].any() and all(0 <= lo < hi <= n for lo, hi, n in zip(box.lower, box.upper, own.shape, strict=True))
    mark = Detection(105 / film.millimetres, 50 / film.millimetres, 20, 0.9, "right_lung", 0).scaled(1 / film.enlarged)
    assert (mark.row * spacing, mark.column * spacing) == pytest.approx((105, 50), rel=0.01)


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
    judge = FalsePositiveReducer(JUDGE.weights, 0.0, film_from=film_from, mark_from=mark_from)
    found_again = [one.probability for one in judge.reported([at(chance) for chance in chances])]
    assert found_again == sorted(found_again, reverse=True) and len(found_again) <= MOST
    assert all(one >= mark_from for one in found_again)
    if found_again:
        assert max(chances) >= film_from - 1e-5


@pytest.mark.shared
def test_noise_for_a_films_own_pixels_weakens_the_mark_of_its_nodule(shared_data: Path) -> None:
    """What the networks see of the whole film at a quarter stays: the segments' own pixels reach the answer, too."""
    network = ready(shipped.load("irregularities"))
    for film in [film for film in films() if film.nodules][8:25:8]:
        own = prepared(film)
        assert own is not None
        picture = Picture.of(own.array[0])
        noise = np.random.default_rng(0).standard_normal(picture.pixels.shape, dtype=np.float32) * picture.pixels.std()
        changed = Picture(noise + picture.pixels.mean())
        changed.__dict__["quarter"] = picture.quarter
        before, after = (_hit(network, one, own, film) for one in (picture, changed))
        assert log_odds(before) - log_odds(after) > 0.3


def _hit(network: SegmentDetector, picture: Picture, own: Film, film: Radiograph) -> float:
    found = fused(one for part in maps_of(network, picture, own.segments, in_lungs) for one in peaks(part))
    return float(outcome([one.scaled(1 / own.enlarged) for one in found], film.targets).hits[0])
