"""What the interactive model for volumes is trained on, and its simulated user."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter, label

from casewise.case import Case
from casewise.image import Image
from casewise.interaction.simulation.pictures import Habits
from casewise.interaction.simulation.volumes import SimulatedUserInVolumes
from casewise.models.networks.prompts import PROMPTS
from experiments.interactive.synthetic_shapes_3d import body, scene, visible_share
from experiments.interactive.volumes import Block, VolumeTasks, block
from tests.interaction.conftest import ball_volume

SHAPE = (60, 50, 44)


def anatomy() -> Case:
    """Two organs in a noisy volume of three tissues."""
    rng = np.random.default_rng(0)
    field = gaussian_filter(rng.normal(0, 1, SHAPE), 4)
    places = np.indices(SHAPE)
    organs = {name: sum((p - c) ** 2 for p, c in zip(places, centre, strict=True)) < 81 for name, centre in CENTRES.items()}
    picture = np.digitize(field / field.std(), (-0.5, 0.5)) / 2 + 0.1
    picture[organs["left"]], picture[organs["right"]] = 0.9, 0.3
    picture = gaussian_filter(picture, 0.7) + rng.normal(0, 0.01, SHAPE)
    return Case.of(Image(picture.astype(np.float32)[None]), organs)


CENTRES = {"left": (18, 15, 20), "right": (42, 34, 22)}


@pytest.fixture(scope="module")
def made() -> Block:
    return block(anatomy())


def test_solids_are_pieces_that_keep_away_from_where_none_may_be(made):
    numbers = np.unique(made.solids)[1:]
    assert len(numbers) >= 4
    assert all(label(made.solids == number)[1] == 1 for number in numbers)
    apart = np.zeros(SHAPE, bool)
    apart[:30] = True
    found = block(anatomy(), ("left",), apart)
    assert found.solids.any() and not found.solids[:30].any() and len(found.objects) == 1


def test_every_kind_of_task_is_an_object_within_a_picture(made):
    for kind in range(7):
        tasks = VolumeTasks([made], np.eye(7)[kind])
        rng = np.random.default_rng(kind)
        for _ in range(4):
            picture, mask = tasks(rng)
            assert picture.shape == mask.shape and mask.dtype == bool and 60 <= mask.sum() <= 0.6 * mask.size
            assert picture.dtype == np.float32 and picture.min() >= 0 and picture.max() <= 1
    again = [VolumeTasks([made])(np.random.default_rng(3)) for _ in range(2)]
    np.testing.assert_array_equal(again[0][0], again[1][0])
    np.testing.assert_array_equal(again[0][1], again[1][1])


def test_some_of_a_scenes_object_can_be_seen_and_often_some_of_it_not(made):
    shares = []
    parts = made.parts[1][:44, :44, :44].astype(np.int32)
    for seed in range(12):
        rng = np.random.default_rng(seed)
        mask, inner = body(parts.shape, rng)
        if mask.sum() >= 60:
            shares.append(visible_share(scene(made.picture[:44, :44, :44], parts, mask, rng, inner), mask))
    assert len(shares) >= 8 and np.median(shares) > 0.3 and min(shares) < 0.9


def balls(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    image, truth = ball_volume((40, 40, 24), (0.6, 0.6, 1.0))
    return np.clip(image.array[0], 0, 1), truth


def test_batches_may_have_other_numbers_of_planes_but_as_many_in_all():
    source = SimulatedUserInVolumes(balls, "balls", (32, 32, 12), prompts=PROMPTS, planes=(6, 12, 24))
    found = set()
    for seed in range(24):
        batch = source.batch(0, 2, np.random.default_rng(seed))
        x = batch.x
        assert batch.target.numpy().any(axis=(1, 2, 3)).all()
        assert source.batch(1, 2, np.random.default_rng(seed), torch.zeros(len(x), 2, *x.shape[2:])).x.shape == x.shape
        found.add((x.shape[0], x.shape[-1]))
    assert found == {(4, 6), (2, 12), (1, 24)}
    assert source.key != SimulatedUserInVolumes(balls, "balls", (32, 32, 12), prompts=PROMPTS).key


def test_an_annotators_border_is_off_by_little_and_within_the_box():
    habits = Habits(rounds=2, bias=0.0)
    sizes = {}
    for bias in (0.0, 1.0):
        source = SimulatedUserInVolumes(balls, "balls", (32, 32, 16), replace(habits, bias=bias), PROMPTS)
        sizes[bias] = []
        for seed in range(12):
            batch = source.batch(0, 2, np.random.default_rng(seed))
            x, truth = batch.x, batch.target
            assert not (truth.numpy().astype(bool) & ~(x[:, 1].numpy() > 0)).any()
            sizes[bias].append(truth.float().mean().item())
    assert not np.allclose(sizes[0.0], sizes[1.0])
    assert 0.7 < np.mean(sizes[1.0]) / np.mean(sizes[0.0]) < 1.4
