"""Abnormality by synthesis: trained on normal pictures alone, it sees what does not belong."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from casewise.abnormality.differences import Abnormality, _sliding, abnormality, calibrated, findings, threshold_of
from casewise.abnormality.inpainting import REMOVED, InpaintingBatches, Plan, drawn, grid_of_squares, train_inpainting, without
from casewise.abnormality.residual_calibration import ResidualCalibration
from casewise.case import Case
from casewise.errors import CasewiseError, ModelError, UsageError
from casewise.image import Image
from casewise.models import Model
from casewise.training.settings import Settings

SIZE = 40


def picture(seed: int, lesion: tuple[int, int] | None = None) -> Image:
    """(1, row, column): an oval with two darker ones in it, mirrored about the middle; a bright spot where ``lesion`` says."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:SIZE, :SIZE] - (SIZE - 1) / 2.0
    wide, high = rng.uniform(0.36, 0.42, 2) * SIZE
    array = 0.6 * ((rows / high) ** 2 + (columns / wide) ** 2 <= 1)
    for side in (-1, 1):
        array[((rows + 2) / 8) ** 2 + ((columns - side * 6) / 3) ** 2 <= 1] = 0.25
    if lesion is not None:
        array[(np.mgrid[:SIZE, :SIZE][0] - lesion[0]) ** 2 + (np.mgrid[:SIZE, :SIZE][1] - lesion[1]) ** 2 <= 9] = 1.0
    return Image((array + rng.normal(0, 0.015, array.shape) * (array > 0))[None].astype(np.float32))


@pytest.fixture(scope="module")
def model() -> Model:
    cases = [Case.of(picture(seed), subject=str(seed)) for seed in range(24)]
    plan = Plan(SIZE, (8, 16, 32), 1, (0.15, 0.3), turns=2, settings=Settings(steps=150, batch=8, rate=4e-3, augmentation="none"))
    return calibrated(train_inpainting(cases, "completion", plan), cases[:8])


def test_a_spot_that_is_in_no_normal_picture_stands_out(model: Model) -> None:
    spots = [(12, 14), (26, 27), (28, 13)]
    normal = [abnormality(model, picture(100 + n)) for n in range(6)]
    ill = [abnormality(model, picture(200 + n, spot)) for n, spot in enumerate(spots)]
    assert min(judged.score for judged in ill) > max(judged.score for judged in normal)
    for judged, spot in zip(ill, spots, strict=True):
        highest = np.unravel_index(int(judged.map.argmax()), judged.map.shape)
        assert np.hypot(highest[0] - spot[0], highest[1] - spot[1]) <= 5


def test_a_finding_is_reported_where_the_spot_is_and_none_in_a_normal_picture(model: Model) -> None:
    threshold = threshold_of(model, [picture(300 + n) for n in range(6)], share=0.0)
    (first, *_) = findings(abnormality(model, picture(400, (26, 27))), threshold)
    assert first.box is not None
    assert all(low - 2 <= place < high + 2 for low, high, place in zip(first.box.lower, first.box.upper, (26, 27), strict=True))
    assert findings(abnormality(model, picture(401)), 1.5 * threshold) == []


def test_the_answer_lies_on_the_images_own_grid(model: Model) -> None:
    wide = Image(np.pad(picture(1).array, ((0, 0), (0, 0), (10, 10))))
    judged = abnormality(model, wide)
    assert judged.real.shape == judged.synthesised.shape == judged.map.shape == wide.spatial_shape
    assert judged.map[:, :5].max() == 0


def test_a_volume_is_scored_slice_by_slice(model: Model) -> None:
    slices = np.stack([picture(1).array[0], picture(2, (26, 27)).array[0], picture(3).array[0], picture(4).array[0]], axis=-1)
    volume = Image(slices[None], np.diag([1.0, 1.0, 5.0, 1.0]))
    judged = abnormality(model, volume)
    assert judged.map.shape == volume.spatial_shape
    assert int(judged.map.max(axis=(0, 1)).argmax()) == 1


def test_what_was_not_removed_teaches_little_and_the_hole_counts() -> None:
    batch = InpaintingBatches(torch.rand(5, 1, SIZE, SIZE), (6, 10)).batch(0, 4, np.random.default_rng(0))
    x, target, weights = batch.x, batch.target, batch.voxel_weights
    gone = x == REMOVED
    assert torch.equal(gone, batch.removed) and weights is not None
    assert torch.equal(x[~gone], target[~gone])
    assert all(int(n) % 36 == 0 or int(n) % 100 == 0 for n in gone.flatten(1).sum(dim=1))
    assert (weights[gone[:, 0] & (target[:, 0] > 0)] == 1).all()
    assert (weights[~gone[:, 0]] < 0.1).all()


@given(size=st.integers(16, 64), shares=st.lists(st.floats(0.1, 0.6), min_size=1, max_size=3))
@settings(max_examples=25, deadline=None)
def test_the_sliding_part_covers_every_pixel(size: int, shares: list[float]) -> None:
    edges = [max(2, round(share * size)) for share in shares]
    for edge in edges:
        covered = sum(gone.sum(dim=0) for gone in _sliding(size, edge))
        assert int(torch.as_tensor(covered).min()) >= 1


def test_squares_of_a_grid_lie_two_edges_apart() -> None:
    grid = grid_of_squares(40, 6, 1, 2)[0]
    assert int(grid.sum()) == 9 * 36
    assert grid[1:7, 2:8].all() and not grid[7:13].any() and grid[13:19, 14:20].all()


def test_a_slice_between_those_scored_is_given_what_the_one_before_is(model: Model) -> None:
    slices = np.stack([picture(n).array[0] for n in range(4)], axis=-1)
    volume = Image(slices[None], np.diag([-1.0, -1.0, 1.5, 1.0]))
    judged = abnormality(model, volume, apart_mm=3.0)
    assert len(judged.slices) == 2
    middle = judged.synthesised[18:22, 18:22]
    assert np.allclose(middle[..., 0], middle[..., 1], atol=1e-3)
    assert not np.allclose(middle[..., 1], middle[..., 2], atol=1e-3)
    assert len(abnormality(model, volume).slices) == 4


def test_only_what_is_looked_at_is_scored(model: Model) -> None:
    image, within = picture(7, (26, 27)), np.zeros((SIZE, SIZE), bool)
    within[4:20, 4:36] = True
    judged = abnormality(model, image, within=within)
    assert judged.map[~within].max() == 0
    assert judged.synthesised.shape == image.spatial_shape


@given(st.integers(0, 1000))
@settings(max_examples=15, deadline=None)
def test_four_in_five_normal_differences_count_less_than_one(seed: int) -> None:
    rng = np.random.default_rng(seed)
    made, spread = rng.uniform(0, 1, 4000).astype(np.float32), rng.uniform(0, 0.2, 4000).astype(np.float32)
    off = (rng.normal(0, 1, 4000) * (0.05 + spread)).astype(np.float32)
    usual = ResidualCalibration.learnt([{"synthesised": made, "spread": spread, "off": off}], "either")
    counted = np.abs(off) / usual.of(0, made, spread)
    assert abs(float(np.mean(counted < 1)) - 0.8) < 0.03
    assert usual.of(0, made[:1], np.float32([0.19])) > usual.of(0, made[:1], np.float32([0.01]))
    again = ResidualCalibration.from_numbers(usual.to_numbers(), 1)
    assert np.allclose(again.values, usual.values, atol=1e-4)


def test_numbers_that_are_no_usual_differences_are_refused() -> None:
    with pytest.raises(ModelError, match="42 numbers for 1 sizes"):
        ResidualCalibration.from_numbers([1.0], 1)


def test_the_same_seed_removes_the_same_parts() -> None:
    first, second = (drawn(SIZE, (5, 9), 6, np.random.default_rng(4)) for _ in range(2))
    assert torch.equal(first, second)
    assert float(without(torch.ones(6, 1, SIZE, SIZE), first).min()) == REMOVED


def test_training_the_same_gives_the_same_model() -> None:
    cases = [Case.of(picture(seed)) for seed in range(3)]
    plan = Plan(SIZE, (4, 8), turns=2, settings=Settings(steps=3, batch=2, augmentation="none"))
    assert train_inpainting(cases, "a", plan).key == train_inpainting(cases, "b", plan).key


def test_a_model_that_completes_nothing_is_named(model: Model) -> None:
    from casewise.models import Preparation, Spec
    from tests.discs import DISC

    spec = Spec("segmentation", {"kind": "unet", "channels": [4, 8]}, Preparation(2, (32, 32)), structures=(DISC,))
    with pytest.raises(ModelError, match="discs completes no pictures"):
        abnormality(Model.initial("discs", spec), picture(0))


def test_empty_pictures_teach_nothing() -> None:
    with pytest.raises(CasewiseError, match="content to inpaint"):
        train_inpainting([Case.of(Image(np.zeros((1, SIZE, SIZE), np.float32)))], "none", Plan(SIZE))


@pytest.mark.parametrize("wrong", [{"holes": ()}, {"holes": (0.9,)}, {"sign": "darker"}, {"turns": 0}, {"verdict": -1.0}])
def test_a_plan_that_cannot_be_gets_its_sentence(wrong: dict[str, object]) -> None:
    with pytest.raises(UsageError, match="got"):
        Plan(**wrong)  # type: ignore[arg-type]


def test_findings_are_the_strongest_first() -> None:
    values = np.zeros((20, 20), np.float32)
    values[2:5, 2:5], values[10:14, 10:14], values[18, 18] = 0.5, 0.9, 1.0
    found = findings(Abnormality(values, values, values, 1.0), 0.3)
    assert [finding.box.to_json() if finding.box else None for finding in found] == [[[10, 14], [10, 14]], [[2, 5], [2, 5]]]
