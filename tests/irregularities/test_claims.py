"""The claims of WO 2020/094734, on the path by which the shipped recipe trains and on the one by which the application detects.

Training: ``experiments.nodules.networks.variant``, whose windows the shipped heads learn from. Detection: ``film_of`` and
``candidates``, which ``marks`` and the application ask. Both are followed with an encoder that only keeps what it is given
(:mod:`tests.irregularities.blind`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from casewise import chest, formats
from casewise.chest.nodules.films import Film, candidates, film_of
from casewise.chest.region import HEART, LEFT_LUNG, RIGHT_LUNG, Region, Regions
from casewise.chest.segments import OVERLAP_MM, PIXEL_MM
from casewise.header import Header
from casewise.image import Box, Image
from casewise.irregularities import detector, examples
from casewise.irregularities.enlarging import enlargement
from casewise.irregularities.training import Irregularity
from casewise.irregularities.views import Picture, View, displayed, views
from casewise.segments import LEAST_SCALE, Segment, Segments
from experiments.nodules import networks
from experiments.nodules.radiographs import Truth
from tests.irregularities.blind import Blind

SHAPE = (560, 540)
LUNGS = (RIGHT_LUNG, LEFT_LUNG)
PATHS = ("training", "detection")
few = settings(deadline=None, max_examples=5, suppress_health_check=list(HealthCheck))
numbers = st.integers(0, 3)


@dataclass
class Seen:
    """What a path gave its network of one film."""

    film: Film
    network: Blind
    segments: list[Segments] = field(default_factory=list)
    pictures: list[Picture] = field(default_factory=list)
    views: list[list[View]] = field(default_factory=list)
    irregularities: list[tuple[Irregularity, ...]] = field(default_factory=list)
    order: list[View] = field(default_factory=list)

    def spied(self, network: Any, picture: Picture, segments: Segments, *more: Any, **options: Any) -> Iterator[View]:
        self.segments.append(segments)
        self.pictures.append(picture)
        own: list[View] = []
        self.views.append(own)
        for view in views(network, picture, segments, *more, **options):
            own.append(view)
            self.order.append(view)
            yield view

    def all(self) -> Iterator[tuple[Segments, Picture, View]]:
        for segments, picture, several in zip(self.segments, self.pictures, self.views, strict=True):
            assert len(several) == len(segments)
            for view in several:
                yield segments, picture, view


def followed(path: str, film: Film, nodules: tuple[Truth, ...] = ()) -> Seen:
    seen = Seen(film, Blind())
    if path == "detection":
        with patch.object(detector, "views", seen.spied):
            candidates(film, seen.network)
        return seen
    listed = SimpleNamespace(key="00000001", nodules=nodules)
    cut = networks.rows_of

    def rows_of(network: object, example: examples.Example, *more: Any) -> list[Any]:
        seen.irregularities.append(example.irregularities)
        return cut(network, example, *more)  # type: ignore[arg-type]

    with (
        patch.object(networks, "rows_of", rows_of),
        patch.object(examples, "views", seen.spied),
    ):
        for number in range(networks.VARIANTS):
            networks.variant(listed, film, number, seen.network)  # type: ignore[arg-type]
    return seen


def ellipse(row: float, column: float, height: float, width: float) -> np.ndarray:
    rows, columns = np.ogrid[: SHAPE[0], : SHAPE[1]]
    return np.asarray(((rows - row) / height) ** 2 + ((columns - column) / width) ** 2 <= 1)


@cache
def drawn(path: str, number: int) -> Seen:
    """A film with two lungs and a heart over the left one, and a nodule in one of them, each of its own shape."""
    rng = np.random.default_rng(number)
    height, down = rng.uniform(180, 240), rng.uniform(-20, 20)
    masks = {
        RIGHT_LUNG: ellipse(280, 185, height, rng.uniform(60, 78)),
        LEFT_LUNG: ellipse(280 + down, 350, height - abs(down), rng.uniform(60, 78)),
        HEART: ellipse(330, 300, *rng.uniform(60, 110, 2)),
    }
    rows, columns = np.nonzero(masks[LUNGS[number % 2]])
    place = rng.integers(len(rows))
    nodule = Truth(float(rows[place]), float(columns[place]), float(rng.uniform(6, 30)), 3)
    return followed(path, film(masks, number), (nodule,))


def film(masks: dict[str, np.ndarray], seed: int = 0, spacing: float = PIXEL_MM) -> Film:
    pixels = np.random.default_rng(seed).normal(100, 10, (1, *SHAPE)) - 40 * (masks[RIGHT_LUNG] | masks[LEFT_LUNG])
    image = Image(pixels.astype(np.float32), np.diag([spacing, spacing, 1, 1]), Header(spacing_known=True))
    boxes = {name: Box.around(mask) for name, mask in masks.items()}
    return film_of(image, Regions({name: Region(name, mask, boxes[name] or Box.whole(SHAPE)) for name, mask in masks.items()}))


def cores(segments: Segments, name: str) -> np.ndarray:
    """Pixels that belong to a region and to no other."""
    others = [mask for other, mask in segments.regions.items() if other != name]
    return segments.regions[name] & ~np.logical_or.reduce(others)


def shown(segments: Segments, segment: Segment) -> np.ndarray:
    mask = np.zeros(next(iter(segments.regions.values())).shape, bool)
    mask[segment.box.slices] = segments.inside(segment)
    return mask


def whole(box: Box, inner: Box) -> bool:
    pairs = zip(box.lower, box.upper, inner.lower, inner.upper, strict=True)
    return all(lo <= low and high <= hi for lo, hi, low, high in pairs)


def of(segments: Segments, region: str) -> list[Segment]:
    return [segment for segment in segments if segment.region == region]


@pytest.mark.parametrize("path", PATHS)
@few
@given(numbers)
def test_claim_1_segments_keep_four_fifths_of_the_resolution(path: str, number: int) -> None:
    """Every pixel of the film that a segment shows reaches the encoder, as it is."""
    seen = drawn(path, number)
    assert seen.film.enlarged >= LEAST_SCALE
    native = [pixels for scale, pixels in seen.network.given if scale == 1]
    assert len(native) == sum(map(len, seen.segments))
    for segments, picture, view in seen.all():
        assert min(view.segment.scale) * seen.film.enlarged >= LEAST_SCALE
        box = view.segment.box
        inner = tuple(slice(lo - o, hi - o) for lo, hi, o in zip(box.lower, box.upper, view.origin, strict=True))
        own = segments.inside(view.segment)
        assert np.array_equal(view.pixels[inner][own], picture.pixels[box.slices][own])


@given(st.floats(0.05, 2))
def test_claim_1_no_film_is_reduced_by_more_than_a_fifth(millimetres: float) -> None:
    assert enlargement(millimetres / PIXEL_MM) >= LEAST_SCALE


@pytest.mark.parametrize("path", PATHS)
@few
@given(numbers)
def test_claims_2_3_and_16_a_neural_network_is_given_the_pixels_and_answers_where_irregularities_are(
    path: str, number: int
) -> None:
    seen = drawn(path, number)
    native = [pixels for scale, pixels in seen.network.given if scale == 1]
    for pixels, view in zip(native, seen.order, strict=True):
        assert isinstance(seen.network, torch.nn.Module)
        assert np.allclose(pixels.numpy(), view.pixels)
        assert seen.network(view.features).shape == (1, 2, *view.inside.shape)


@pytest.mark.parametrize("path", PATHS)
@few
@given(numbers, st.integers(0, 2**31))
def test_claim_4_what_a_segment_does_not_show_is_replaced(path: str, number: int, seed: int) -> None:
    """Other pixels there, and the native features of every segment are the same; those of the whole image are its context."""
    seen = drawn(path, number)
    for segments, picture, view in list(seen.all())[seed % 3 :: 3]:
        hidden = np.ones(picture.pixels.shape, bool)
        hidden[: SHAPE[0], : SHAPE[1]] &= ~shown(segments, view.segment)[: SHAPE[0], : SHAPE[1]]
        inner = tuple(slice(o, o + n) for o, n in zip(view.origin, view.pixels.shape, strict=True))
        assert hidden.any() and (view.pixels[hidden[inner]] == 0).all()
        noise = np.random.default_rng(seed).normal(0, 2, picture.pixels.shape).astype(np.float32)
        other = Picture(np.where(hidden, noise, picture.pixels).astype(np.float32))
        assert np.array_equal(displayed(other, segments, view.segment, inner)[0], view.pixels)


@pytest.mark.parametrize("path", PATHS)
@few
@given(numbers)
def test_claim_5_segments_of_a_lung_overlap(path: str, number: int) -> None:
    seen = drawn(path, number)
    for segments in seen.segments:
        for lung in LUNGS:
            own = [shown(segments, segment) for segment in of(segments, lung)]
            assert any((one & other).any() for n, one in enumerate(own) for other in own[n + 1 :])


@few
@given(numbers)
def test_claims_6_and_17_part_of_each_irregularity_lies_in_an_overlap_in_training(number: int) -> None:
    seen = drawn("training", number)
    assert all(seen.irregularities)
    for segments, several in zip(seen.segments, seen.irregularities, strict=True):
        for one in several:
            inside = np.zeros(SHAPE, int)
            inside[one.box.slices] = 1
            boxes = np.zeros(SHAPE, int)
            for segment in segments:
                boxes[segment.box.slices] += 1
            assert (boxes[inside > 0] >= 2).any()


@few
@given(numbers)
def test_claim_6_neighbours_share_as_much_as_irregularities_measure_in_detection(number: int) -> None:
    """Nobody knows where one lies; the overlap is the 95th percentile of their diameters."""
    seen = drawn("detection", number)
    (segments,) = seen.segments[:1]
    for lung in LUNGS:
        first, second = (segment.box for segment in of(segments, lung)[:2])
        length = min(first.upper[0], second.upper[0]) - max(first.lower[0], second.lower[0])
        extent = max(first.upper[0], second.upper[0]) - min(first.lower[0], second.lower[0])
        assert length >= min(round(OVERLAP_MM / seen.film.millimetres), extent - 2)


@few
@given(numbers)
def test_claim_7_each_irregularity_lies_whole_in_a_segment_that_shows_it_in_training(number: int) -> None:
    seen = drawn("training", number)
    for segments, several in zip(seen.segments, seen.irregularities, strict=True):
        for one in several:
            assert any(whole(segment.box, one.box) for segment in segments)
            middle = tuple((a + b) // 2 for a, b in zip(one.box.lower, one.box.upper, strict=True))
            assert any(shown(segments, segment)[middle] for segment in segments)


@few
@given(numbers, st.floats(0, 1))
def test_claim_7_whatever_is_no_larger_than_the_overlap_lies_whole_in_a_segment_in_detection(number: int, share: float) -> None:
    seen = drawn("detection", number)
    (segments,) = seen.segments[:1]
    for lung in LUNGS:
        boxes = [segment.box for segment in of(segments, lung)]
        low, high = min(box.lower[0] for box in boxes), max(box.upper[0] for box in boxes)
        edge = min(round(OVERLAP_MM / seen.film.millimetres), high - low) - 2
        top = low + round(share * (high - low - edge))
        assert any(box.lower[0] <= top and top + edge <= box.upper[0] for box in boxes)


@pytest.mark.parametrize("path", PATHS)
@few
@given(numbers)
def test_claims_8_and_9_each_lung_is_cut_into_two_segments_or_more_that_cover_it(path: str, number: int) -> None:
    seen = drawn(path, number)
    for segments in seen.segments:
        for lung in LUNGS:
            own = of(segments, lung)
            assert len(own) >= 2
            assert np.logical_or.reduce([shown(segments, segment) for segment in own])[cores(segments, lung)].all()


@pytest.mark.parametrize("path", PATHS)
@few
@given(numbers)
def test_claims_10_and_18_no_segment_shows_two_lungs(path: str, number: int) -> None:
    seen = drawn(path, number)
    for segments in seen.segments:
        for own, other in (LUNGS, LUNGS[::-1]):
            for segment in of(segments, own):
                visible = shown(segments, segment)
                assert visible[segments.regions[own]].any()
                assert not visible[cores(segments, other)].any()


@pytest.mark.parametrize("path", PATHS)
@few
@given(numbers)
def test_claims_11_12_19_and_20_the_heart_and_what_it_covers_of_the_lungs_are_one_more_segment(path: str, number: int) -> None:
    seen = drawn(path, number)
    for segments, several in zip(seen.segments, seen.views, strict=True):
        heart = of(segments, HEART)
        assert heart and any(view.segment.region == HEART for view in several)
        overlap = segments.regions[HEART] & (segments.regions[LEFT_LUNG] | segments.regions[RIGHT_LUNG])
        visible = np.logical_or.reduce([shown(segments, segment) for segment in heart])
        assert visible[segments.regions[HEART]].all() and (not overlap.any() or visible[overlap].all())


def test_claims_11_and_12_windows_of_the_heart_are_trained_on() -> None:
    masks = {RIGHT_LUNG: ellipse(280, 150, 220, 90), LEFT_LUNG: ellipse(280, 390, 220, 90), HEART: ellipse(330, 300, 90, 90)}
    given_regions: list[str] = []
    real = examples.windows

    def windows(view: View, *more: Any) -> list[Any]:
        rows = real(view, *more)
        given_regions.extend([view.segment.region] * len(rows))
        return rows

    with patch.object(examples, "windows", windows):
        followed("training", film(masks), (Truth(330.0, 340.0, 20.0, 3),))
    assert given_regions.count(HEART) >= networks.VARIANTS


@pytest.mark.shared
def test_the_claims_hold_on_a_real_film(shared_data: Path) -> None:
    image = formats.read(shared_data / "jsrt/images/JPCLN012.png")
    real = film_of(image, chest.regions(image, "cpu"))
    for path in PATHS:
        seen = followed(path, real, (Truth(800.0, 700.0, 15.0, 3),))
        for segments in seen.segments:
            assert all(len(of(segments, lung)) >= 2 for lung in LUNGS) and of(segments, HEART)
            for own, other in (LUNGS, LUNGS[::-1]):
                assert not any(shown(segments, segment)[cores(segments, other)].any() for segment in of(segments, own))
        assert real.enlarged >= LEAST_SCALE and all(min(s.scale) == 1 for segments in seen.segments for s in segments)
