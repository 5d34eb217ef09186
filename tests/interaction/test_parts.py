"""The parts: the simulated user, the label step, the networks, and training with a user in the loop."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter, label

from casewise.case import Case, Structure
from casewise.errors import ModelError
from casewise.image import Box, Image
from casewise.interaction.crop import Region
from casewise.interaction.graph_cut import least_energy
from casewise.interaction.simulation.pictures import Habits, SimulatedUser
from casewise.interaction.simulation.user import Hand, stroke
from casewise.models import Model, Preparation, Spec
from casewise.training import Settings, fit
from casewise.training.augmentation import Augmentation
from tests.interaction.conftest import disc_picture

OBJECT = (Structure.parse("object"),)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), length=st.integers(1, 40), thickness=st.integers(1, 3))
def test_a_stroke_lies_on_the_largest_error(seed, length, thickness):
    rng = np.random.default_rng(seed)
    truth, mask = (gaussian_filter(rng.random((40, 40)), 3) > 0.5 for _ in range(2))
    drawn = stroke(truth, mask, Hand(length, thickness))
    if drawn is None:
        assert np.array_equal(truth, mask)
        return
    line, foreground = drawn
    assert line.any() and not (line & ~(truth & ~mask if foreground else mask & ~truth)).any()
    sizes = [np.bincount(label(error)[0].ravel())[1:].max(initial=0) for error in (truth & ~mask, mask & ~truth)]
    assert foreground == (sizes[0] >= sizes[1])
    assert line.sum() <= length * thickness**2


def test_in_a_volume_the_stroke_lies_in_the_slice_of_the_largest_error():
    truth = np.zeros((20, 20, 5), bool)
    truth[5:15, 5:15, 1:4] = True
    truth[2:18, 2:18, 2] = True
    line, foreground = stroke(truth, np.zeros_like(truth), Hand(8), (1.0, 1.0, 3.0))
    assert foreground and set(np.flatnonzero(line.any(axis=(0, 1)))) == {2}


@pytest.mark.parametrize("seed", range(4))
def test_the_label_step_has_the_least_energy_and_obeys(seed):
    rng = np.random.default_rng(seed)
    shape = (3, 4)
    image, chance = rng.random((1, *shape), dtype=np.float32), rng.uniform(0.02, 0.98, shape).astype(np.float32)
    foreground, background = np.zeros(shape, bool), np.zeros(shape, bool)
    foreground[0, 0], background[2, 3] = True, True
    found = least_energy(image, chance, foreground, background, smoothness=0.7, sigma=0.3)

    def energy(mask: np.ndarray) -> float:
        total = -np.log(np.where(mask, chance, 1 - chance)).sum()
        for a in np.ndindex(shape):
            for shift in ((0, 1), (1, 0), (1, 1), (1, -1)):
                b = (a[0] + shift[0], a[1] + shift[1])
                if b[0] < shape[0] and 0 <= b[1] < shape[1] and mask[a] != mask[b]:
                    total += 0.7 * np.exp(-((image[0][a] - image[0][b]) ** 2) / 0.18) / np.hypot(*shift)
        return float(total)

    every = (np.array([bits >> n & 1 for n in range(12)], bool).reshape(shape) for bits in range(2**12))
    best = min(energy(mask) for mask in every if mask[0, 0] and not mask[2, 3])
    assert found[0, 0] and not found[2, 3]
    assert energy(found) == pytest.approx(best, abs=0.02)


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_places_and_masks_survive_the_way_to_the_grid_and_back(data):
    shape = (33, 47)
    pairs = [(low := data.draw(st.integers(0, n - 3)), data.draw(st.integers(low + 2, n))) for n in shape]
    box = Box(tuple(p[0] for p in pairs), tuple(p[1] for p in pairs))
    region = Region.around(Image(np.zeros((1, *shape), np.float32)), box, (64, 64))
    inside = np.zeros(shape, bool)
    inside[box.slices] = True
    index, plane = next(iter(region.planes(region.sampled(inside))))
    assert plane.shape == box.shape and index == box.slices
    assert (plane > 0.5).all()
    place = np.array([[data.draw(st.integers(low, high - 1)) for low, high in pairs]])
    marked = region.marks(place)
    assert marked.any()
    restored = next(iter(region.planes(marked.astype(np.float32))))[1]
    assert restored[tuple(place[0] - box.lower)] > 0


@pytest.mark.parametrize(
    ("kind", "dims", "shape"),
    [("prompt_unet", 2, (24, 32)), ("p_net", 2, (20, 17)), ("pc_net", 3, (18, 20, 5)), ("prompt_unet", 3, (16, 16, 8))],
)
def test_every_network_answers_with_its_head_on_its_features(kind, dims, shape):
    spec = Spec("segmentation", {"kind": kind, "channels": [4, 8]}, Preparation(dims, (16,) * dims), structures=OBJECT)
    network = Model.initial(kind, spec).network()
    x = torch.rand(1, 8, *shape)
    with torch.inference_mode():
        # Planes of a volume are answered a few at a time, whose sums are added in another order; all else is bit for bit.
        rounding = 1e-5 if (kind, dims) == ("prompt_unet", 3) else 0.0
        torch.testing.assert_close(network(x), network.head(network.features(x)), rtol=rounding, atol=rounding)
        assert network(x).shape == (1, 2, *shape)
    with pytest.raises(ModelError, match="box and strokes"):
        network(x[:, :1])


@pytest.mark.parametrize(("kind", "dims"), [("p_net", 3), ("pc_net", 2)])
def test_networks_for_other_axes_are_refused(kind, dims):
    spec = Spec("segmentation", {"kind": kind, "channels": [4, 8]}, Preparation(dims, (16,) * dims), structures=OBJECT)
    with pytest.raises(ModelError, match="P-Net is for pictures"):
        Model.initial(kind, spec)


def tasks(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    image, truth = disc_picture(60, float(rng.uniform(8, 18)))
    return image.array[0], truth


def trained(model: Model, steps: int, **options) -> Model:
    batches = SimulatedUser(tasks, "discs", (32, 32), cases=[Case.of(disc_picture()[0]).key])
    return fit(model, batches, settings=Settings(steps=steps, batch=4, rate=2e-3, checkpoint_every=5), **options)


def test_training_with_a_user_in_the_loop_learns_and_repeats(model):
    losses: list[float] = []
    first = trained(model, 40, progress=lambda step, total, loss: losses.append(loss))
    assert np.mean(losses[-15:]) < 0.9 * np.mean(losses[:15])
    assert trained(model, 5).key == trained(model, 5).key
    assert first.trained_on == {Case.of(disc_picture()[0]).key}


def disc_source(habits: Habits) -> SimulatedUser:
    image, mask = disc_picture()
    return SimulatedUser(lambda rng: (image.array[0] / image.array.max(), mask), "discs", (32, 32), habits)


def test_a_border_that_is_off_is_off_inwards_and_outwards():
    still = {"warp": Augmentation(), "far_off": 0.0, "many": 0.0, "start": 0.0}
    off = {}
    for bias in (0.0, 1.0):
        batch = disc_source(Habits(bias=bias, **still)).batch(0, 32, np.random.default_rng(3))
        x, truth = batch.x, batch.target
        seen = (x[:, 0] - x[:, :1].flatten(1).median(dim=1).values[:, None, None]).abs() > 0.3
        surplus = (truth.bool() & ~seen).flatten(1).sum(dim=1) - (seen & ~truth.bool()).flatten(1).sum(dim=1)
        off[bias] = surplus / truth.flatten(1).sum(dim=1)
    assert off[1.0].max() > off[0.0].max() + 0.03 and off[1.0].min() < off[0.0].min() - 0.03


def test_the_user_sees_the_mask_of_greatest_expected_dice_after_the_box_alone():
    source = disc_source(Habits(best=1.0, many=0.0, start=0.0, prior=0.0))
    x = source.batch(0, 4, np.random.default_rng(0)).x
    unsure = torch.full((4, 2, *x.shape[2:]), 0.0)
    unsure[:, 1] = -1.0 + x[:, 0]  # nowhere more likely than not
    seen = []
    for step in range(2):
        previous = source.batch(step + 1, 4, np.random.default_rng(0), unsure).x[:, 4]
        seen.append((previous > 0.5).any().item())
    assert seen == [True, False]


def test_an_interrupted_training_with_a_user_goes_on(model, tmp_path):
    class StoppedHereError(Exception):
        pass

    def stop(step: int, total: int, loss: float) -> None:
        if step == 13:
            raise StoppedHereError

    checkpoint = tmp_path / "state.pt"
    with pytest.raises(StoppedHereError):
        trained(model, 20, checkpoint=checkpoint, progress=stop)
    assert checkpoint.exists()
    # Checkpoints are written between batches of tasks, so the rest is as it would have been.
    assert trained(model, 20, checkpoint=checkpoint).key == trained(model, 20).key
