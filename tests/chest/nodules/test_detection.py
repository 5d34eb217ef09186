"""What lies between segments and findings: views, synthetic nodules, crops, peaks, fusion, FROC."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from casewise.chest.nodules.box_fusion import Detection, fused, noisy_or, overlap
from casewise.chest.nodules.detector import EDGE_MM, detections_in, peaks
from casewise.chest.nodules.froc import Target, outcome, sensitivity, threshold
from casewise.chest.nodules.training import CHANNELS, EDGE, FocalObjective, crops, joined, spec
from casewise.chest.nodules.views import COARSE, PIXEL_MM, View, flipped, reduced_by, views, whole
from hypothesis import given, settings
from hypothesis import strategies as st

from casewise.case import Case
from casewise.chest.nodules.synthetic import Nodule, disc, insert
from casewise.image import Image
from casewise.models import Model
from casewise.models.spec import Spec
from casewise.models.tasks import Batch
from casewise.segments import segments
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


def test_a_place_that_two_segments_show_is_reported_once() -> None:
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


@pytest.fixture(scope="module")
def seen(chest: tuple[np.ndarray, dict[str, np.ndarray]]) -> list[View]:
    image, masks = chest
    return list(views(segments(masks, image.shape, margin=20), image[None], PIXEL_MM, native=True))


def test_a_view_shows_native_pixels_of_its_segment_and_the_whole_image_reduced(
    chest: tuple[np.ndarray, dict[str, np.ndarray]], seen: list[View]
) -> None:
    image, _ = chest
    everything = whole(image[None])
    assert everything.shape == (225, 200)
    for view in seen:
        assert view.seen.shape == (CHANNELS, *view.inside.shape) and np.abs(view.seen).max() <= 3
        assert (view.seen[:-1, ~view.inside] == 0).all() and view.seen[:-1, view.inside].std() > 0.1
        row, column = (round(n / COARSE) for n in view.origin)
        rows, columns = view.inside.shape
        part = everything[row : row + rows, column : column + columns]
        assert np.array_equal(view.seen[-1, : part.shape[0], : part.shape[1]], part)


def test_a_places_native_pixels_stand_in_the_order_of_rows(chest: tuple[np.ndarray, dict[str, np.ndarray]]) -> None:
    image, masks = chest
    marked = image.copy()
    marked[401, 203] += 100  # of place (100, 50) the second row's fourth pixel
    cut = segments(masks, image.shape)
    plain, changed = (list(views(cut, picture[None], PIXEL_MM, native=True)) for picture in (image, marked))
    for before, after in zip(plain, changed, strict=True):
        row, column = (at - o for at, o in zip((401, 203), before.origin, strict=True))
        if not (0 <= row < before.inside.shape[0] * COARSE and 0 <= column < before.inside.shape[1] * COARSE):
            continue
        difference = (after.seen - before.seen)[:-1, row // COARSE, column // COARSE]
        assert difference.argmax() == row % COARSE * COARSE + column % COARSE


def test_mirroring_what_is_seen_is_seeing_the_mirrored_image() -> None:
    pixels = np.random.default_rng(0).normal(size=(24, 32)).astype(np.float32)

    def displayed(values: np.ndarray) -> np.ndarray:
        blocks = values.reshape(6, 4, 8, 4).transpose(1, 3, 0, 2).reshape(16, 6, 8)
        return np.concatenate([blocks, reduced_by(values, 4)[None]])

    for axis in (1, 2):
        assert np.allclose(flipped(displayed(pixels), axis), displayed(np.flip(pixels, axis - 1)), atol=1e-6)
    assert np.allclose(flipped(displayed(pixels)[-1:], 2), displayed(np.flip(pixels, 1))[-1:], atol=1e-6)


@given(st.integers(0, 2**31), st.sampled_from([0.7, 0.35]))
@settings(deadline=None, max_examples=20)
def test_synthetic_nodules_lie_where_they_may_do_not_touch_and_leave_the_rest_as_it_was(seed: int, millimetres: float) -> None:
    rng = np.random.default_rng(seed)
    before = rng.normal(100, 10, (300, 280)).astype(np.float32)
    places = np.zeros((300, 280), bool)
    places[60:240, 80:180] = True
    after, marked, nodules = insert(before, places, 4, rng, millimetres)
    assert after.shape == before.shape
    assert marked.any() == bool(nodules)
    away = np.ones(places.shape, bool)
    for number, one in enumerate(nodules):
        assert places[int(one.row), int(one.column)] and marked[int(one.row), int(one.column)]
        assert 4.99 <= one.diameter * millimetres <= 40.01
        for other in nodules[:number]:
            assert np.hypot(one.row - other.row, one.column - other.column) > (one.diameter + other.diameter) / 2
        distance = np.hypot(*np.subtract(np.indices(places.shape).T, (one.row, one.column)).T)
        assert 1 < (after - before)[distance < one.diameter / 5].mean() < 40
        away &= distance > one.diameter + 10 / millimetres
    assert np.array_equal(after[away], before[away])


def test_a_nodule_is_as_strong_as_the_film_around_it_is_uneven() -> None:
    film = np.random.default_rng(0).normal(0, 1, (200, 200))
    places = np.zeros(film.shape, bool)
    places[100, 100] = True
    added = {}
    for strength in (5, 50):
        changed, _, nodules = insert(film * strength, places, 1, np.random.default_rng(5))
        added[strength] = (changed - film * strength).max()
        assert len(nodules) == 1
    assert added[50] == pytest.approx(10 * added[5], rel=0.01)


def test_crops_show_what_is_marked_and_real_nodules_in_their_share(seen: list[View]) -> None:
    view = seen[0]
    rows, columns = np.nonzero(view.inside)
    middle = (int(rows[len(rows) // 2]), int(columns[len(rows) // 2]))
    real, drawn = np.zeros(view.inside.shape, bool), np.zeros(view.inside.shape, bool)
    real[middle[0] - 5 : middle[0] + 6, middle[1] - 5 : middle[1] + 6] = True
    drawn[:8, :8] = True
    rng = np.random.default_rng(1)
    displayed = crops(view.seen, drawn, real, [middle, middle], rng)
    other = crops(view.seen, drawn, np.zeros_like(real), [(2, 2)] * 3, rng)
    x, y, of = (np.concatenate(both) for both in zip(displayed, other, strict=True))
    assert x.shape == (5, CHANNELS, EDGE, EDGE) and y.shape == (5, EDGE, EDGE) and of.tolist() == [1, 1, 0, 0, 0]
    assert all(121 <= one.sum() <= 185 for one in y[:2]) and (y[2:].sum(axis=(1, 2)) == 64).all()
    source = joined([displayed, other], "test", share=1.0)
    batch = source.batch(0, 6, np.random.default_rng(0))
    pictures, targets, weights = batch.x, batch.target, batch.voxel_weights
    assert pictures.shape == (6, CHANNELS, EDGE, EDGE) and targets.shape == weights.shape == (6, EDGE, EDGE)
    assert (targets.sum(dim=(1, 2)) >= 121).all()
    assert torch.equal(pictures, source.batch(0, 6, np.random.default_rng(0)).x)
    assert (weights[targets == 0] == 1).all() and (weights[targets == 1] > 1).all()  # small ones count as much as large ones


def test_the_objective_asks_most_of_what_is_reported_wrong() -> None:
    target = torch.zeros(1, 4, 4, dtype=torch.long)
    target[0, 0, 0] = 1
    ones = torch.ones(1, 4, 4)

    def loss(odds: float) -> float:
        answer = torch.zeros(1, 2, 4, 4)
        answer[:, 1] = torch.where(target > 0, odds, -odds)
        return float(FocalObjective().loss(answer, Batch(answer, target, voxel_weights=ones)))

    assert loss(-4) > 10 * loss(0) > 100 * loss(4) > 0
    heavy = ones.clone()
    heavy[0, 0, 0] = 5
    flat = torch.zeros(1, 2, 4, 4)
    one, other = (FocalObjective().loss(flat, Batch(flat, target, voxel_weights=weights)) for weights in (heavy, ones))
    assert one > other


def test_peaks_are_reported_in_the_images_pixels(seen: list[View]) -> None:
    view = seen[1]
    rows, columns = np.nonzero(view.inside)
    row, column = int(rows[len(rows) // 2]), int(columns[len(rows) // 2])
    down, across = np.indices(view.inside.shape)
    odds = (8 * np.exp(-((down - row) ** 2 + (across - column) ** 2) / (2 * 6.0**2)) - 4).astype(np.float32)
    first = peaks(odds, view, 1)[0]
    assert abs(first.row - (view.origin[0] + (row + 0.5) * COARSE)) <= COARSE
    assert abs(first.column - (view.origin[1] + (column + 0.5) * COARSE)) <= COARSE
    assert first.probability > 0.9 and first.segment == 1 and first.region == view.segment.region
    assert EDGE_MM[0] - 0.01 <= first.edge * PIXEL_MM <= EDGE_MM[1] + 0.01
    assert len(peaks(np.zeros_like(odds) - 3, view, 0, most=7)) <= 7


@pytest.mark.parametrize(("branch", "blind"), [("reduced", slice(0, 16)), ("native", slice(16, 17))])
def test_a_network_sees_its_own_channels_alone(branch: str, blind: slice) -> None:
    network = Model.initial("nodules", spec(branch), 0).network()
    x = torch.randn(1, CHANNELS, 37, 50)
    changed = x.clone()
    changed[:, blind] = 7
    with torch.inference_mode():
        assert network(x).shape == (1, 2, 37, 50)
        assert torch.equal(network(x), network(changed))
        both = Model.initial("nodules", spec("both"), 0).network()
        assert not torch.equal(both(x), both(changed))


def test_several_networks_answer_with_their_mean() -> None:
    one, other = (Model.initial("nodules", spec("both"), seed) for seed in (0, 1))
    described = spec("both")
    described = Spec(described.task, {**described.network, "members": 2}, described.preparation, described.structures)
    weights = {f"members.{n}.{name}": value for n, model in enumerate((one, other)) for name, value in model.weights.items()}
    x = torch.randn(1, CHANNELS, 32, 32)
    with torch.inference_mode():
        mean = (one.network()(x) + other.network()(x)) / 2
        assert torch.allclose(Model("nodules", described, weights).network()(x), mean, atol=1e-5)


def test_a_detector_learns_through_the_one_training_loop(seen: list[View]) -> None:
    view, rng = seen[0], np.random.default_rng(0)
    rows, columns = np.nonzero(view.inside)
    places = [(float(rows[n]), float(columns[n])) for n in rng.integers(len(rows), size=4)]
    marked = np.logical_or.reduce([disc(view.inside.shape, Nodule(*place, 20)) for place in places])  # type: ignore[arg-type]
    parts = crops(np.clip(view.seen + 2 * marked, -3, 3), marked, np.zeros_like(marked), places * 4, rng)
    case = Case.of(Image(np.zeros((1, 8, 8))))
    start = Model.initial("nodules", spec("both", (8, 16, 16)), 0)
    quick = Settings(steps=40, batch=4, rate=5e-3, device="cpu", augmentation="none")
    made = fit(start, joined([parts], "test", cases=[case.key]), FocalObjective(), settings=quick, method="initial")
    x = torch.from_numpy((parts[0].astype(np.float32) - 128) / 42)
    y = torch.from_numpy(parts[1]) > 0
    with torch.inference_mode():
        chances = made.network()(x).softmax(dim=1)[:, 1]
    assert chances[y].mean() > 1.5 * chances[~y].mean()
    assert made.trained_on == {case.key}
    (found,) = detections_in([made.network()], seen)
    assert {one.segment for one in found} <= set(range(len(seen))) and found
