"""What the interactive model for volumes is trained on, and its simulated user."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.ndimage import binary_dilation, gaussian_filter, label

from casewise.case import Case
from casewise.image import Image
from casewise.interaction.simulation.pictures import Habits
from casewise.interaction.simulation.volumes import SimulatedUserInVolumes
from casewise.models.networks.prompts import PROMPTS
from experiments.interactive.pictures import LIVER
from experiments.interactive.synthetic_shapes_3d import body, nestled, scene, visible_share
from experiments.interactive.volumes import LEFT_OUT, Block, VolumeTasks, block, blocks
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
    for kind in range(8):
        tasks = VolumeTasks([made], np.eye(8)[kind])
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


def test_a_nestled_body_differs_little_from_some_of_what_leans_on_it(made):
    differences = []
    for seed in range(12):
        picture, mask = nestled(made.picture[:44, :44, :44], np.random.default_rng(seed))
        around = binary_dilation(mask, iterations=2) & ~mask
        if mask.sum() >= 60 and around.any():
            differences.append(np.quantile(np.abs(gaussian_filter(picture, 0.7)[around] - picture[mask].mean()), (0.1, 0.9)))
    assert len(differences) >= 8
    low, high = np.median(differences, axis=0)
    assert low < 0.05 and high > 0.12


def test_no_organ_that_is_left_out_is_an_object_and_no_piece_of_the_liver():
    case = anatomy()
    masks = {name: load() for name, load in case.load_masks.items()}
    named = Case.of(case.image, {LIVER: masks["left"], LEFT_OUT[0]: masks["left"], "class 2": masks["right"]})
    (found,) = blocks([named])
    assert len(found.objects) == 1 and (found.objects[0] == block(case, ("left",)).objects[0]).all()
    assert not found.solids[masks["left"]].any()


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


def strokes_of(habits: Habits, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """(strokes on the object that a network missed altogether, the object), both (N, *grid)."""
    source = SimulatedUserInVolumes(balls, "balls", (32, 32, 16), habits, PROMPTS)
    first = source.batch(0, 2, np.random.default_rng(seed))
    nothing = torch.zeros(2, 2, *first.x.shape[2:])
    nothing[:, 0] = 9
    second = source.batch(1, 2, np.random.default_rng(seed + 1), nothing)
    return second.x[:, 1 + PROMPTS.index("foreground")].numpy() == 1, first.target.numpy().astype(bool)


def test_strokes_of_people_lie_in_one_plane_and_are_thicker_than_a_middle_line():
    drawn = {0.0: 0, 1.0: 0}
    for freely in drawn:
        for seed in range(8):
            strokes, truth = strokes_of(Habits(rounds=2, freely=freely, best=0.0), seed)
            for line, mask in zip(strokes, truth, strict=True):
                assert line.any() and (line & mask).any()
                assert min(np.ptp(np.nonzero(line)[axis]) for axis in range(3)) <= 4
                drawn[freely] += int(line.sum())
    assert drawn[1.0] > 1.3 * drawn[0.0]


def test_an_object_that_the_images_border_cuts_ends_at_its_box_and_nothing_beyond_it_is_background():
    for border, least in ((0.0, 0), (1.0, 16)):
        source = SimulatedUserInVolumes(balls, "balls", (32, 32, 16), Habits(rounds=2, border=border), PROMPTS)
        cut = 0
        for seed in range(16):
            batch = source.batch(0, 2, np.random.default_rng(seed))
            box, truth = batch.x[:, 1].numpy() > 0, batch.target.numpy().astype(bool)
            for one, mask in zip(box, truth, strict=True):
                ends = [np.take(one, place, axis).any() for axis in range(3) for place in (0, -1)]
                across = [np.take(mask, place, axis).any() for axis in range(3) for place in (0, -1)]
                cut += sum(a and b for a, b in zip(ends[:4], across[:4], strict=True))
        assert cut >= least if least else cut == 0


def test_a_finer_grid_has_fewer_planes():
    habits = Habits(rounds=2, grids=((1.0, 0, 0, 0.5), (1.5, 0, 0, 0.5)))
    source = SimulatedUserInVolumes(balls, "balls", (32, 32, 20), habits, PROMPTS)
    found = {tuple(source.batch(0, 2, np.random.default_rng(seed)).x.shape[2:]) for seed in range(12)}
    assert found == {(32, 32, 20), (48, 48, 9)}
