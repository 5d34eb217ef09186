"""What lies between segments and findings: synthetic nodules, views, candidates, crops, fusion, FROC."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from casewise.anatomy import segments
from casewise.case import Case
from casewise.detection.candidates import candidates
from casewise.detection.froc import Target, outcome, sensitivity, threshold
from casewise.detection.fusion import Detection, fused, noisy_or, overlap
from casewise.detection.nodules import insert
from casewise.detection.polar import CHANNELS, EDGE, RINGS, SECTORS, surroundings
from casewise.detection.training import Examples, spec
from casewise.detection.views import PIXEL_MM, views, whole
from casewise.image import Image
from casewise.models import Model
from casewise.training import Settings, fit

boxes = st.builds(
    Detection,
    row=st.floats(0, 500),
    column=st.floats(0, 500),
    edge=st.floats(20, 120),
    probability=st.floats(0, 1),
    region=st.just("left_lung"),
    segment=st.integers(0, 3),
)


@pytest.fixture(scope="module")
def chest() -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Two dark lungs with a little texture in a bright chest."""
    rows, columns = np.mgrid[:900, :800]
    masks = {
        "right_lung": ((rows - 450) / 380) ** 2 + ((columns - 200) / 150) ** 2 <= 1,
        "left_lung": ((rows - 450) / 380) ** 2 + ((columns - 600) / 150) ** 2 <= 1,
    }
    noise = np.random.default_rng(0).normal(0, 1, rows.shape)
    image = 200 - 120 * (masks["right_lung"] | masks["left_lung"]) + noise + 20 * np.sin(rows / 60)
    return image.astype(np.float32), masks


@given(st.lists(boxes, max_size=20))
@settings(deadline=None)
def test_fusion_keeps_the_best_of_each_place_and_makes_nothing_up(found: list[Detection]) -> None:
    merged = fused(found)
    assert len(merged) <= len(found)
    assert [one.probability for one in merged] == sorted((one.probability for one in merged), reverse=True)
    assert {one.probability for one in merged} <= {one.probability for one in found}
    if found:
        assert merged[0].probability == max(one.probability for one in found)
        for one in merged:
            assert min(f.row for f in found) - 1e-6 <= one.row <= max(f.row for f in found) + 1e-6
            assert min(f.edge for f in found) - 1e-6 <= one.edge <= max(f.edge for f in found) + 1e-6


def test_a_place_that_two_segments_show_is_told_once() -> None:
    one = Detection(100, 100, 40, 0.9, "left_lung", 0)
    other = Detection(104, 98, 40, 0.5, "left_lung", 1)
    apart = Detection(300, 100, 40, 0.7, "left_lung", 1)
    merged = fused([other, apart, one])
    assert [(round(m.row), m.segment, m.probability) for m in merged] == [(101, 0, 0.9), (300, 1, 0.7)]
    assert overlap(one, one) == pytest.approx(1) and overlap(one, apart) == 0


def test_the_chance_of_any_grows_with_each() -> None:
    assert noisy_or([]) == 0
    assert noisy_or([0.5, 0.5]) == pytest.approx(0.75)


def test_froc_counts_each_nodule_once_and_every_false_finding() -> None:
    found = [Detection(10, 10, 20, p, "lung", 0) for p in (0.9, 0.8)] + [Detection(90, 90, 20, 0.7, "lung", 0)]
    hit = outcome(found, [Target(12, 10, 5), Target(50, 50, 5)])
    assert hit.hits.tolist() == [0.9, -1] and hit.misses.tolist() == [0.7]
    empty = outcome([Detection(5, 5, 20, 0.95, "lung", 0)], [])
    assert sensitivity([hit, empty], 0.4) == 0  # the false finding of the other image is more probable
    assert sensitivity([hit, empty], 0.5) == 0.5
    assert threshold([hit, empty], 5) < 0 and sensitivity([hit, empty], 5) == 0.5


def test_inserted_nodules_are_found_as_candidates_of_the_segment_that_holds_them(
    chest: tuple[np.ndarray, dict[str, np.ndarray]],
) -> None:
    image, masks = chest
    inner = masks["left_lung"] & (np.arange(900)[:, None] % 900 > 150) & (np.arange(900)[:, None] < 750)
    changed, nodules = insert(image, inner, PIXEL_MM, 3, np.random.default_rng(3))
    assert nodules and not np.array_equal(changed, image)
    far = np.ones_like(inner)
    for nodule in nodules:
        assert inner[int(nodule.row), int(nodule.column)]
        assert 5.99 <= nodule.diameter * PIXEL_MM <= 40.01
        reach = int(nodule.diameter) + 20
        top, left = max(0, int(nodule.row) - reach), max(0, int(nodule.column) - reach)
        far[top : int(nodule.row) + reach, left : int(nodule.column) + reach] = False
    assert np.array_equal(changed[far], image[far])
    cut = segments(masks, image.shape, margin=20)
    context, factor = whole(changed[None], masks["left_lung"] | masks["right_lung"])
    found = []
    for view in views(cut, changed[None]):
        assert view.pixels.min() >= 0 and view.pixels.max() <= 1
        for place in candidates(view, 20):
            assert view.inside[int(place.row / 4), int(place.column / 4)]
            found.append((place.row + view.origin[0], place.column + view.origin[1]))
            seen = surroundings(view, place.row, place.column, context, factor)
            assert seen.shape == (len(CHANNELS), RINGS, SECTORS) and np.isfinite(seen).all()
    for nodule in nodules:
        assert min(np.hypot(row - nodule.row, column - nodule.column) for row, column in found) <= nodule.diameter / 2 + 10


def test_surroundings_are_means_of_rings_and_sectors(chest: tuple[np.ndarray, dict[str, np.ndarray]]) -> None:
    image, masks = chest
    view = next(iter(views(segments(masks, image.shape), image[None])))
    context, factor = whole(image[None], masks["left_lung"])
    seen = surroundings(view, 200, 150, context, factor)
    crop = (view.pixels[200 - EDGE // 2 : 200 + EDGE // 2, 150 - EDGE // 2 : 150 + EDGE // 2] - 0.5) * 6
    offset = np.arange(EDGE) + 0.5 - EDGE / 2
    distance = np.hypot(offset[:, None], offset[None])
    for ring in (0, 7, RINGS - 1):
        inside = (distance >= ring * EDGE / 2 / RINGS) & (distance < (ring + 1) * EDGE / 2 / RINGS)
        assert seen[0, ring].mean() == pytest.approx(crop[inside].mean(), abs=0.05)
        assert seen[2, ring].mean() == pytest.approx(crop[inside].mean(), abs=0.15)
    assert (seen[1] >= 0).all() and (seen[3] <= seen[1] + 0.2).all()  # means of 4 × 4 pixels vary less than the pixels


def test_what_is_turned_by_a_quarter_is_shifted_by_a_quarter(chest: tuple[np.ndarray, dict[str, np.ndarray]]) -> None:
    image, masks = chest
    view = next(iter(views(segments(masks, image.shape), image[None])))
    square = replace(view, pixels=view.pixels[:256, :256])
    turned = replace(view, pixels=np.ascontiguousarray(np.rot90(view.pixels[:256, :256])))
    context = np.zeros((64, 64), np.float32)
    one, other = surroundings(square, 128, 128, context, 16), surroundings(turned, 128, 128, context, 16)
    shifted = np.roll(one[:4], -SECTORS // 4, axis=2)
    assert np.allclose(shifted, other[:4], atol=1e-3) or np.allclose(np.roll(one[:4], SECTORS // 4, axis=2), other[:4], atol=1e-3)


def test_a_network_answers_the_same_of_what_is_turned() -> None:
    network = Model.initial("nodules", spec("both"), 0).network()
    x = torch.randn(2, len(CHANNELS), RINGS, SECTORS)
    with torch.inference_mode():
        assert torch.allclose(network(x), network(x.roll(7, dims=3)), atol=1e-5)
        assert not torch.allclose(network(x), network(x.roll(3, dims=2)), atol=1e-3)


@pytest.mark.parametrize(("branch", "blind"), [("reduced", (0, 1, 4)), ("native", (2, 3, 4)), ("both", (2, 3))])
def test_a_network_sees_its_own_channels_alone(branch: str, blind: tuple[int, ...]) -> None:
    network = Model.initial("nodules", spec(branch), 0).network()
    x = torch.randn(2, len(CHANNELS), RINGS, SECTORS)
    changed = x.clone()
    changed[:, list(blind)] = 7
    with torch.inference_mode():
        assert torch.equal(network(x), network(changed))


def test_a_detector_learns_through_the_one_training_loop() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(120, len(CHANNELS), RINGS, SECTORS)).astype(np.float32)
    kind = np.repeat([0, 1, 2], 40).astype(np.uint8)
    x[kind > 0, :, :6] += 2
    case = Case.of(Image(np.zeros((1, 8, 8))))
    start = Model.initial("nodules", spec("both"), 0)
    made = fit(
        start,
        [case],
        settings=Settings(steps=40, batch=24, device="cpu", augmentation="none"),
        method="initial",
        source=Examples(x, kind, "test"),
    )
    with torch.inference_mode():
        chances = made.network()(torch.from_numpy(x)).softmax(dim=1)[:, 1].numpy()
    assert chances[kind > 0].mean() > chances[kind == 0].mean() + 0.4
    assert made.trained_on == {case.key}
