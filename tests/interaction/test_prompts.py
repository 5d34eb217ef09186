"""What a network is told beside the image, the grid it is told it on, and volumes: begun from pictures, learnt with a user."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from casewise import Box, Image, InteractiveSegmentation
from casewise.case import Case, Structure
from casewise.errors import ModelError
from casewise.interaction.crop import Region
from casewise.interaction.intensity_likelihood import histogram, log_ratio
from casewise.interaction.prompt_maps import PromptMaps
from casewise.interaction.simulation.pictures import Habits, SimulatedUser, guessed
from casewise.interaction.simulation.volumes import SimulatedUserInVolumes
from casewise.models import Model, Preparation, Spec
from casewise.models.networks.prompts import DEFAULT, PROMPTS, prompts_of
from casewise.training import Settings, fit
from casewise.training.metrics import dice
from tests.interaction.conftest import ball_volume, disc_picture

OBJECT = (Structure.parse("object"),)
NETWORK = {"kind": "prompt_unet", "channels": [4, 8, 8], "prompts": list(PROMPTS)}


def test_prompts_are_a_setting_of_the_model(disc):
    assert prompts_of({}) == DEFAULT and prompts_of({"prompts": list(PROMPTS)}) == PROMPTS
    for wrong in ([], ["box", "colour", "distances"], ["distances", "box"], "box"):
        with pytest.raises(ModelError, match="distances last"):
            prompts_of({"prompts": wrong})
    model = Model.initial("all", Spec("segmentation", NETWORK, Preparation(2, (48, 48)), structures=OBJECT))
    image, truth = disc
    found = InteractiveSegmentation(model, image, [(22, 68), (22, 68)], device="cpu")
    assert dice(found.add_scribbles([[45, 45]], [[25, 25]]), truth) > 0.85


def test_likelihood_tells_bright_from_dark():
    image, truth = disc_picture(60, 14)
    scaled = np.clip(image.array, 0, 1)
    inner, outer = histogram(scaled, truth), histogram(scaled, ~truth)
    assert inner is not None and outer is not None
    np.testing.assert_allclose(inner.sum(axis=1), 1, rtol=1e-6)
    found = log_ratio(scaled, inner, outer)
    assert found[truth].min() > 0.3 and found[~truth].max() < -0.3 and np.abs(found).max() <= 1
    assert histogram(scaled, np.zeros_like(truth)) is None
    assert not log_ratio(scaled, None, None).any()
    assert log_ratio(scaled, inner, None)[truth].min() > 0 > log_ratio(scaled, inner, None)[~truth].max()


def test_every_prompt_is_a_channel_within_bounds():
    image, truth = disc_picture(48, 12)
    box = np.zeros((1, 48, 48), bool)
    box[0, 10:40, 10:40] = True
    maps = PromptMaps.of(np.clip(image.array, 0, 1)[None], box)
    line = np.zeros_like(box)
    line[0, 24, 20:28] = True
    for marked in (maps, maps.marked(line, np.zeros_like(line)), maps.marked(line, np.roll(line, 16, axis=1))):
        x = marked.channels(np.zeros(box.shape, np.float32), PROMPTS)
        assert x.shape == (1, 1 + len(PROMPTS), 48, 48) and np.isfinite(x).all()
        assert np.abs(x[:, :-1]).max() <= 1.0 + 1e-6
        likelihood = x[0, 1 + PROMPTS.index("likelihood")]
        assert likelihood[truth].mean() > 0.3 > likelihood[~truth].mean()


@pytest.mark.parametrize(("side", "grid"), [(30, 48), (45, 72), (60, 96)])
def test_large_boxes_of_pictures_are_seen_on_a_finer_grid(side, grid):
    region = Region.around(Image(np.zeros((1, 130, 130), np.float32)), Box((5, 5), (5 + side, 5 + side)), (48, 48))
    assert region.grid == (grid, grid)


def test_volumes_are_seen_finer_only_by_networks_for_volumes():
    image = Image(np.zeros((1, 130, 130, 9), np.float32), np.diag([1.0, 1, 3, 1]))
    box = Box((5, 5, 1), (95, 95, 8))
    assert Region.around(image, box, (48, 48)).grid[:2] == (48, 48)
    assert Region.around(image, box, (48, 48, 64)).grid == (72, 72, 7)


def test_a_network_for_volumes_begins_as_one_for_pictures():
    flat, deep = (
        Model.initial("x", Spec("segmentation", NETWORK, Preparation(n, (48, 48, 16)[:n]), structures=OBJECT)).network()
        for n in (2, 3)
    )
    known = flat.state_dict()
    deep.load_state_dict({name: known[name].reshape(t.shape) if name in known else t for name, t in deep.state_dict().items()})
    x = torch.rand(2, 1 + len(PROMPTS), 24, 16, 5)
    with torch.inference_mode():
        planes = torch.stack([flat(x[..., n]) for n in range(5)], dim=-1)
        torch.testing.assert_close(deep(x), planes, rtol=1e-4, atol=1e-4)
    mixed = [name for name, _ in deep.named_parameters() if name.startswith("through")]
    assert mixed
    for name, parameter in deep.named_parameters():
        if name in mixed:
            torch.nn.init.normal_(parameter, std=0.1)
    with torch.inference_mode():
        changed = x.clone()
        changed[..., 0] = 0
        assert not torch.allclose(deep(x)[..., 1], deep(changed)[..., 1])


def balls(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    image, truth = ball_volume((40, 40, 24), (0.6, 0.6, 1.0))
    return np.clip(image.array[0], 0, 1), truth


def volume_model() -> Model:
    return Model.initial("volumes", Spec("segmentation", NETWORK, Preparation(3, (32, 32, 12)), structures=OBJECT))


@pytest.mark.parametrize("turned", [True, False])
def test_training_on_volumes_with_a_user_learns_and_repeats(turned):
    model, losses = volume_model(), []
    cases = [Case.of(disc_picture()[0]).key]

    def trained(steps: int, **options) -> Model:
        batches = SimulatedUserInVolumes(balls, "balls", (32, 32, 12), prompts=PROMPTS, turned=turned, cases=cases)
        return fit(model, batches, settings=Settings(steps=steps, batch=2, rate=2e-3), **options)

    trained(30, progress=lambda step, total, loss: losses.append(loss))
    assert np.mean(losses[-10:]) < 0.9 * np.mean(losses[:10])
    assert trained(4).key == trained(4).key


def test_batches_of_volumes_hold_the_object_within_the_box():
    source = SimulatedUserInVolumes(balls, "balls", (32, 32, 12), prompts=PROMPTS)
    for seed in range(6):
        batch = source.batch(0, 3, np.random.default_rng(seed))
        x, truth, weights = batch.x, batch.target, batch.voxel_weights
        assert x.shape == (3, 1 + len(PROMPTS), 32, 32, 12) and truth.shape == weights.shape == (3, 32, 32, 12)
        inside = x[:, 1].numpy() > 0
        assert truth.numpy().any(axis=(1, 2, 3)).all() and not (truth.numpy().astype(bool) & ~inside).any()


def test_batches_of_pictures_come_on_the_grids_of_the_habits():
    def draw(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        image, truth = disc_picture(60, 14)
        return image.array[0], truth

    habits = Habits(grids=((1.0, 16.0, 60.0, 0.5), (2.0, 60.0, 200.0, 0.5)))
    source = SimulatedUser(draw, "discs", (24, 24), habits)
    shapes = {source.batch(0, 8, np.random.default_rng(seed)).x.shape for seed in range(12)}
    assert shapes == {(8, 1 + len(DEFAULT), 24, 24), (2, 1 + len(DEFAULT), 48, 48)}


def test_four_sequences_of_a_volume_at_once():
    image, truth = ball_volume()
    array = np.concatenate([image.array, 1 - image.array, image.array * 0 + 0.4, image.array])
    found = InteractiveSegmentation(
        volume_model(), Image(array, np.diag([0.5, 0.5, 8.0, 1.0])), [(8, 42), (6, 40), (3, 15)], device="cpu"
    )
    assert found.mask.shape == truth.shape
    assert dice(found.add_scribbles([[25, 23, 9]], [[9, 7, 4]]), truth) > 0.5


@pytest.mark.parametrize("make", [disc_picture, ball_volume])
def test_a_simulated_guess_is_like_the_object_and_not_the_same(make):
    _, truth = make()
    scores = [dice(guessed(truth, np.random.default_rng(seed)) > 0.5, truth) for seed in range(20)]
    assert 0.6 < np.median(scores) < 0.99 and len(set(scores)) > 10


def test_a_guess_from_other_images_is_reported_in_every_round():
    habits = Habits(prior=1.0, grids=((1.0, 16.0, 60.0, 1.0),))

    def draw(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        image, truth = disc_picture(60, 14)
        return image.array[0], truth

    source = SimulatedUser(draw, "discs", (24, 24), habits, PROMPTS)
    place = 1 + PROMPTS.index("prior")
    first = source.batch(0, 6, np.random.default_rng(0))
    x, truth = first.x, first.target
    later = source.batch(1, 6, np.random.default_rng(1), torch.zeros(6, 2, 24, 24)).x
    assert x[:, place].sum() > 0 and torch.equal(x[:, place], later[:, place])
    assert np.median([dice(p > 0.5, t > 0) for p, t in zip(x[:, place].numpy(), truth.numpy(), strict=True)]) > 0.5


def test_a_hint_survives_strokes_and_a_larger_box(disc):
    model = Model.initial("all", Spec("segmentation", NETWORK, Preparation(2, (48, 48)), structures=OBJECT))
    image, truth = disc
    session = InteractiveSegmentation(model, image, [(25, 65), (25, 65)], mask=truth, hint=True, device="cpu")
    plain = InteractiveSegmentation(model, image, [(25, 65), (25, 65)], device="cpu")
    for _ in range(2):
        assert not np.array_equal(session.probability, plain.probability)
        for one in (session, plain):
            one.add_scribbles([[20, 45]], [[26, 26]])
    assert session._state.maps.prior.max() > 0.9 and not plain._state.maps.prior.any()


def test_slack_is_how_far_inside_the_box_in_voxels_of_the_image():
    box = np.zeros((2, 40, 40), bool)
    box[:, 5:35, 10:30] = True
    images = np.zeros((2, 1, 40, 40), np.float32)
    slack = PromptMaps.of(images, box, scale=np.array([[1.0, 1.0], [0.5, 2.0]])).slack
    assert not slack[~box].any()
    assert slack[0, 20, 10] == pytest.approx(0.05) and slack[0, 20, 19] == pytest.approx(0.95)
    assert slack[0, 5, 20] == pytest.approx(0.05)
    assert slack[1, 20, 10] == pytest.approx(0.1) and slack[1, 5, 20] == pytest.approx(0.025)
    assert slack[1, 20, 15] == pytest.approx(0.725)  # no farther in than the nearest side
    deep = np.zeros((1, 20, 20, 6), bool)
    deep[0, 2:18, 2:18, 1:5] = True
    found = PromptMaps.of(np.zeros((1, 1, 20, 20, 6), np.float32), deep).slack[0]
    assert found[10, 10, 2] == 1 and found[10, 2, 2] == pytest.approx(0.1) and not found[..., 0].any()


def test_a_session_tells_the_scale_of_its_box():
    image = Image(np.zeros((1, 100, 100), np.float32))
    region = Region.around(image, Box((20, 20), (80, 50)), (48, 48))
    np.testing.assert_allclose(region.scale[0] * region.grid, region.window)
