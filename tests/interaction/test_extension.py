"""What a stroke says is carried to what looks like it, as far as the network is unsure there."""

from __future__ import annotations

import numpy as np
import pytest

from casewise.image import Image
from casewise.interaction import FineTuning, InteractiveSegmentation
from casewise.interaction.image_head import ImageHead
from casewise.interaction.prompt_maps import PromptMaps
from casewise.models import Model
from casewise.training.metrics import dice
from tests.interaction.conftest import ball_volume, disc_picture
from tests.interaction.test_invariance import CHANGES

NETWORK = FineTuning(extension=False, supposition=False)
ALONE = FineTuning(supervised=False)
SIDE, RIM = 64, 6
ROWS, COLUMNS = np.indices((SIDE, SIDE))
BRIGHT = COLUMNS // 8 % 2 == 0
STROKE = (COLUMNS >= 25) & (COLUMNS < 31) & (ROWS > 20) & (ROWS < 44)  # on one of the dark stripes


def stripes() -> tuple[PromptMaps, np.ndarray]:
    """(maps, logits): stripes beside each other in a box, the bright ones surely the object, the dark ones half-heartedly too."""
    rng = np.random.default_rng(5)
    box = np.zeros((1, SIDE, SIDE), bool)
    box[:, RIM:-RIM, RIM:-RIM] = True
    image = np.clip(0.3 + 0.4 * BRIGHT + rng.normal(0, 0.03, BRIGHT.shape), 0, 1).astype(np.float32)
    image[~box[0]] = 0.1
    logits = np.where(box[0], np.where(BRIGHT, 2.0, 0.3), -7.0).astype(np.float32)
    return PromptMaps.of(image[None, None], box), logits


def marked(maps: PromptMaps, foreground: np.ndarray | None = None, background: np.ndarray | None = None) -> PromptMaps:
    nothing = np.zeros((SIDE, SIDE), bool)
    return maps.marked(*((nothing if one is None else one)[None] for one in (foreground, background)))


def rows_of(mask: np.ndarray) -> np.ndarray:
    return np.indices(mask.shape)[0]


def session(model: Model, image: Image, how: FineTuning | None = None) -> InteractiveSegmentation:
    return InteractiveSegmentation(model, image, [(18, 72)] * 2, fine_tuning=how, device="cpu")


def test_a_stroke_on_one_stripe_takes_the_next_that_looks_like_it_away_and_leaves_what_does_not():
    maps, logits = stripes()
    found = ImageHead(maps).extended(marked(maps, background=STROKE), logits)
    following = (COLUMNS > 40) & (COLUMNS < 47) & (ROWS > 14) & (ROWS < 50)
    assert (logits[following] > 0).all() and (found[following] < 0).mean() > 0.75
    assert (found[maps.box[0] & BRIGHT] > 0).mean() > 0.98


def test_where_the_network_is_surer_than_trees_can_be_nothing_changes():
    maps, logits = stripes()
    logits[(ROWS > 40) & maps.box[0]] = 3.2
    found = ImageHead(maps).extended(marked(maps, background=STROKE), logits)
    sure = np.abs(logits) > 3.15
    assert np.array_equal(found[sure], logits[sure]) and not np.array_equal(found, logits)


@pytest.mark.parametrize("logit", [-1.0, -7.0])
def test_without_an_example_of_the_object_nothing_changes(logit):
    maps, _ = stripes()
    logits = np.full((SIDE, SIDE), logit, np.float32)
    assert ImageHead(maps).extended(marked(maps, background=STROKE), logits) is logits


def test_strokes_of_one_kind_are_carried_on_and_are_no_fitted_answer(model):
    image, truth = disc_picture()
    found, network = session(model, image), session(model, image, NETWORK)
    line = np.zeros(truth.shape, bool)
    line[20:26, 22:60] = True
    assert np.array_equal(found.mask, network.mask)
    for one in (found, network):
        one.add_scribbles(None, line)
    assert not found.tuned and not np.array_equal(found.probability, network.probability)
    assert not found.mask[line].any()
    assert dice(found.mask, truth) >= dice(network.mask, truth) - 0.01


def test_strokes_of_both_kinds_at_once_are_not_carried_on(model):
    image, _ = disc_picture()
    drawn = [[45, 44], [45, 45]], [[24, 24], [24, 25]]
    found, network = session(model, image), session(model, image, NETWORK)
    assert np.array_equal(*(one.add_scribbles(*drawn) for one in (found, network)))
    assert np.array_equal(found.probability, network.probability)


@pytest.mark.parametrize("how", [NETWORK, ALONE])
def test_switched_off_it_leaves_no_trace(model, how):
    image, truth = disc_picture()
    one, other = session(model, image, how), session(model, image, FineTuning(supervised=False, extension=False, supposition=False))
    assert np.array_equal(*(each.add_scribbles(truth & (rows_of(truth) == 40)) for each in (one, other)))
    assert np.array_equal(one.probability, other.probability)


@pytest.mark.parametrize("change", ["negative", "mirrored", "turned"])
def test_a_picture_is_answered_alike_however_it_lies(model, change):
    of_masks, of_picture = CHANGES[change]
    image, truth = disc_picture()
    line = truth & (rows_of(truth) == 40)
    found = session(model, image).add_scribbles(line)
    other = session(model, Image(np.ascontiguousarray(of_picture(image.array[0]))[None]))
    mask = other.add_scribbles(np.ascontiguousarray(of_masks(line)))
    assert dice(of_masks(found), mask) > 0.98


def test_undone_and_resumed_it_is_the_same(model, tmp_path):
    image, truth = disc_picture()
    found = session(model, image)
    begun = found.mask
    first = found.add_scribbles(truth & (rows_of(truth) == 40))
    second = found.add_scribbles(None, ~truth & (rows_of(truth) == 22))
    resumed = InteractiveSegmentation.resume(found.save(tmp_path / "a.session.npz"), model, image, device="cpu")
    assert np.array_equal(resumed.mask, second) and np.array_equal(resumed.undo(), first)
    assert np.array_equal(found.undo(), first) and np.array_equal(found.undo(), begun)
    assert np.array_equal(found.redo(), first)


def volume_session(model: Model, image: Image, how: FineTuning | None = None) -> InteractiveSegmentation:
    return InteractiveSegmentation(model, image, [(8, 42), (6, 40), (3, 15)], fine_tuning=how, device="cpu")


def test_a_stroke_in_one_plane_of_a_volume_is_carried_to_what_looks_like_it_in_others():
    maps, logits = stripes()
    planes = 5
    images, box = (np.repeat(array[..., None], planes, axis=-1) for array in (maps.images, maps.box))
    volume, deep = PromptMaps.of(images, box), np.repeat(logits[..., None], planes, axis=-1)
    line = np.zeros((1, *deep.shape), bool)
    line[0, ..., 1] = STROKE
    found = ImageHead(volume).extended(volume.marked(np.zeros_like(line), line), deep)
    following = (COLUMNS > 40) & (COLUMNS < 47) & (ROWS > 14) & (ROWS < 50)
    assert (found[following, 4] < 0).mean() > 0.75
    assert (found[maps.box[0] & BRIGHT, 4] > 0).mean() > 0.98


def test_in_a_session_on_a_volume_strokes_of_one_kind_are_carried_on(model):
    image, truth = ball_volume()
    line = truth & (np.indices(truth.shape)[2] == 9)
    found, network = volume_session(model, image), volume_session(model, image, NETWORK)
    assert np.array_equal(found.mask, network.mask)
    for one in (found, network):
        one.add_scribbles(line)
    assert not found.tuned and found.mask[line].all()
    assert not np.array_equal(found.probability[..., 12], network.probability[..., 12])
    assert dice(found.mask, truth) >= dice(network.mask, truth) - 0.01


@pytest.mark.parametrize("how", [NETWORK, ALONE])
def test_switched_off_volumes_are_left_to_the_network(model, how):
    image, truth = ball_volume()
    line = truth & (np.indices(truth.shape)[0] == 25)
    one, other = volume_session(model, image, how), volume_session(model, image, FineTuning(supervised=False, extension=False))
    assert np.array_equal(*(each.add_scribbles(line) for each in (one, other)))
    assert np.array_equal(one.probability, other.probability)


def test_a_volume_is_answered_alike_in_a_mirror(model):
    image, truth = ball_volume()
    line = truth & (np.indices(truth.shape)[0] == 25)
    found = volume_session(model, image).add_scribbles(line)
    mirrored = Image(np.ascontiguousarray(image.array[:, :, ::-1]), image.affine)
    box = [(8, 42), (46 - 40, 46 - 6), (3, 15)]
    other = InteractiveSegmentation(model, mirrored, box, device="cpu").add_scribbles(np.ascontiguousarray(line[:, ::-1]))
    assert dice(found[:, ::-1], other) > 0.97
