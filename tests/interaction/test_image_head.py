"""What is fitted to one image's strokes: used where it predicts held-back strokes better, and never a trace where it does not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from casewise.image import Image
from casewise.interaction import FineTuning, InteractiveSegmentation
from casewise.interaction import image_head as own
from casewise.interaction.image_head import multiscale, of_negative
from casewise.interaction.state import surveys
from casewise.interaction.strokes import Strokes
from casewise.models import Model
from casewise.training.metrics import dice
from tests.interaction.conftest import disc_picture
from tests.interaction.test_invariance import CHANGES

ALONE = FineTuning(supervised=False)
HEAD = FineTuning(extension=False)
BOX = [(4, 92), (4, 92)]


def vessels() -> tuple[Image, np.ndarray]:
    """(picture, object): dark lines two pixels wide, all over, on a ground that is brighter to the right."""
    rng = np.random.default_rng(1)
    rows, columns = np.indices((96, 96)).astype(float)
    truth = np.zeros((96, 96), bool)
    for offset in (8, 24, 40, 56, 72, 88):
        truth |= np.abs(rows - offset - 5 * np.sin(columns / 12 + offset)) < 1.2
    truth[:, :6] = truth[:, -6:] = False
    picture = 0.5 + 0.3 * columns / 96 - 0.25 * truth + rng.normal(0, 0.02, truth.shape)
    return Image(picture.astype(np.float32)[None]), truth


@given(st.lists(st.sampled_from([0.0, -0.0, 1.0, -1.0]) | st.floats(-(2.0**100), 2.0**100, width=32), max_size=40))
def test_places_are_ordered_as_numpy_orders_them(values):
    brightness = np.array(values, np.float32)
    assert own._ascending(brightness).tolist() == np.argsort(brightness, kind="stable").tolist()


def strokes(truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(object, rest): along parts of two lines, and two upright lines between."""
    rows, columns = np.indices(truth.shape)
    foreground = truth & (rows > 30) & (rows < 66) & (columns > 20) & (columns < 50)
    background = ~truth & np.isin(columns, (30, 70)) & (rows > 10) & (rows < 86)
    return foreground, background


def session(model: Model, image: Image, box: list[tuple[int, int]], how: FineTuning | None = None) -> InteractiveSegmentation:
    return InteractiveSegmentation(model, image, box, fine_tuning=how, device="cpu")


def test_thin_lines_all_over_are_found_from_strokes_on_a_few(model):
    image, truth = vessels()
    tuned, alone = session(model, image, BOX), session(model, image, BOX, ALONE)
    found, plain = tuned.add_scribbles(*strokes(truth)), alone.add_scribbles(*strokes(truth))
    assert tuned.tuned and not alone.tuned
    assert dice(found, truth) > dice(plain, truth) + 0.2


@pytest.mark.parametrize("change", ["negative", "mirrored", "turned"])
def test_a_picture_is_fitted_alike_however_it_lies(model, change):
    of_masks, of_picture = CHANGES[change]
    image, truth = vessels()
    drawn = strokes(truth)
    found = session(model, image, BOX).add_scribbles(*drawn)
    other = session(model, Image(np.ascontiguousarray(of_picture(image.array[0]))[None]), BOX)
    mask = other.add_scribbles(*(np.ascontiguousarray(of_masks(one)) for one in drawn))
    assert other.tuned and dice(of_masks(found), mask) > 0.97


def test_where_it_predicts_worse_the_network_stands_bit_for_bit(model):
    """Noise predicts no unseen strokes; the distances of an untrained network still do."""
    rng = np.random.default_rng(2)
    image = Image(rng.normal(0.5, 0.1, (1, 96, 96)).astype(np.float32))
    rows, columns = np.indices((96, 96))
    disc = np.hypot(rows - 48, columns - 48) < 24
    foreground, background = disc & (rows % 16 == 0), ~disc & (rows % 24 == 0)
    tuned, alone = session(model, image, BOX, HEAD), session(model, image, BOX, ALONE)
    assert np.array_equal(tuned.add_scribbles(foreground, background), alone.add_scribbles(foreground, background))
    assert not tuned.tuned
    assert np.array_equal(tuned.probability, alone.probability)
    always = session(model, image, BOX, FineTuning(acceptance=False))
    always.add_scribbles(foreground, background)
    assert always.tuned and not np.array_equal(always.mask, alone.mask)


@pytest.mark.parametrize("kinds", [(True, False), (False, True)])
@pytest.mark.parametrize("acceptance", [True, False])
def test_strokes_of_one_kind_fit_nothing(model, kinds, acceptance):
    image, truth = vessels()
    given_ = [drawn if kind else None for kind, drawn in zip(kinds, strokes(truth), strict=True)]
    tuned, alone = session(model, image, BOX, replace(HEAD, acceptance=acceptance)), session(model, image, BOX, ALONE)
    assert np.array_equal(tuned.add_scribbles(*given_), alone.add_scribbles(*given_))
    assert not tuned.tuned


def test_corrections_are_no_evidence_against_the_network(model):
    """Drawn where the answer errs, they cannot show how often it does; once the rest is drawn over too, they are fitted to."""
    image, truth = vessels()
    found, alone = session(model, image, BOX, HEAD), session(model, image, BOX, ALONE)
    foreground, background = strokes(truth)
    for one in (found, alone):
        one.add_scribbles(None, background & (np.arange(96) < 50))
    wrong = truth & ~found.mask, ~truth & found.mask & (np.arange(96) > 60)
    assert wrong[0].any() and wrong[1].any()
    assert np.array_equal(found.add_scribbles(*wrong), alone.add_scribbles(*wrong))
    assert not found.tuned
    found.add_scribbles(foreground & found.mask, background & ~found.mask)
    assert found.tuned


@given(kinds=st.tuples(st.booleans(), st.booleans()), wrong=st.floats(0, 1))
def test_only_strokes_of_both_kinds_that_do_not_all_contradict_survey_an_image(kinds, wrong):
    drawn = Strokes(*(np.zeros((int(kind), 2), np.int64) for kind in kinds))
    assert surveys(drawn, wrong) == (all(kinds) and wrong < 0.9)


def test_few_strokes_fit_nothing(model):
    image, _ = disc_picture()
    tuned = session(model, image, [(22, 68), (22, 68)], FineTuning(acceptance=False))
    tuned.add_scribbles([[45, 45]], [[24, 24]])
    assert not tuned.tuned


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 1000), acceptance=st.booleans())
def test_strokes_are_obeyed_and_the_same_calls_give_the_same_mask(model, seed, acceptance):
    image, truth = vessels()
    rng = np.random.default_rng(seed)
    at = rng.integers(0, 80, (4, 2))
    drawn = [np.zeros(truth.shape, bool) for _ in range(2)]
    for number, (row, column) in enumerate(at):
        drawn[number % 2][row : row + 2, column : column + 12] = True
    drawn[1] &= ~drawn[0]
    masks = [session(model, image, BOX, FineTuning(acceptance=acceptance)).add_scribbles(*drawn) for _ in range(2)]
    assert np.array_equal(*masks)
    assert masks[0][drawn[0]].all() and not masks[0][drawn[1]].any()


def test_undone_done_again_and_resumed_it_is_the_same(model, tmp_path):
    image, truth = vessels()
    found = session(model, image, BOX)
    begun = found.mask
    mask = found.add_scribbles(*strokes(truth))
    after = found.add_scribbles(None, [[16, column] for column in range(40, 60)])
    path = found.save(tmp_path / "a.session.npz")
    resumed = InteractiveSegmentation.resume(path, model, image, device="cpu")
    assert np.array_equal(resumed.mask, after) and resumed.tuned == found.tuned
    assert np.array_equal(found.undo(), mask) and found.tuned
    assert np.array_equal(found.undo(), begun) and not found.tuned
    assert np.array_equal(found.redo(), mask) and found.tuned


def test_a_mask_that_was_given_is_corrected_and_not_fitted_over(model):
    image, truth = vessels()
    found = InteractiveSegmentation(model, image, BOX, mask=truth, device="cpu")
    found.add_scribbles(*strokes(truth))
    assert not found.tuned and dice(found.mask, truth) > 0.9


def test_held_back_strokes_are_not_seen_by_the_network(model, monkeypatch):
    """Each half is predicted from maps in which only the other half is marked."""
    image, truth = vessels()
    seen, original = [], own.ImageHead.chosen

    def spied(self, marked, evidence, logits, network):
        return original(self, marked, evidence, logits, lambda maps, former: seen.append((maps, marked)) or network(maps, former))

    monkeypatch.setattr(own.ImageHead, "chosen", spied)
    session(model, image, BOX).add_scribbles(*strokes(truth))
    (one, marked), (other, _) = seen
    for kind in ("foreground", "background"):
        first, second, every = (getattr(maps, kind) for maps in (one, other, marked))
        assert first.any() and second.any() and not (first & second).any()
        assert np.array_equal(first | second, every)


def test_a_line_has_the_hessian_of_a_line():
    rows, _ = np.indices((64, 64))
    found = multiscale(np.exp(-((rows - 32.0) ** 2) / 2)[None].astype(np.float32))
    largest, smallest = found[3::4, 32, 32], found[4::4, 32, 32]
    assert (smallest < -0.1).all() and np.abs(largest).max() < 1e-2


@pytest.mark.parametrize("shape", [(1, 40, 50), (2, 30, 33), (3, 24, 20, 7)])
def test_what_is_seen_of_a_negative_needs_no_further_filter(shape):
    images = np.random.default_rng(len(shape)).random(shape, np.float32)
    assert np.array_equal(of_negative(multiscale(images), len(images)), multiscale(-images))


def test_one_plane_of_a_volume_is_fitted_like_a_picture_and_a_volume_is_not(model):
    image, truth = vessels()
    volume = Image(np.repeat(image.array[..., None], 3, axis=-1))
    drawn = [np.stack([np.zeros_like(one), one, np.zeros_like(one)], axis=-1) for one in strokes(truth)]
    for depth, expected in (((1, 2), True), ((0, 3), False)):
        found = session(model, volume, [*BOX, depth])
        found.add_scribbles(*drawn)
        assert found.tuned is expected
