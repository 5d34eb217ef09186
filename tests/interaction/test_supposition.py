"""Strokes that contradict an answer: the network is also asked as if the object filled its box, and the surer answer stands."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from casewise.image import Image
from casewise.interaction import FineTuning, InteractiveSegmentation
from casewise.interaction.expected_dice import expected_dice
from casewise.interaction.predictor import Predictor
from casewise.interaction.prompt_maps import PromptMaps
from casewise.interaction.supposition import filling
from casewise.models import Model
from tests.interaction.conftest import ball_volume, disc_picture

SIDE = 40
BOX = np.zeros((SIDE, SIDE), bool)
BOX[6:34, 8:32] = True
ROWS, COLUMNS = np.indices((SIDE, SIDE))


@pytest.fixture
def asked(monkeypatch) -> list[tuple[np.ndarray, np.ndarray]]:
    """The former answer and what was supposed instead, of each round in which something was."""
    found: list[tuple[np.ndarray, np.ndarray]] = []
    surer = Predictor.surer

    def recorded(self, maps, former, supposed):
        found.append((former, supposed))
        return surer(self, maps, former, supposed)

    monkeypatch.setattr(Predictor, "surer", recorded)
    return found


def begun(model: Model, image: Image, how: FineTuning | None = None) -> InteractiveSegmentation:
    return InteractiveSegmentation(model, image, [(18, 72)] * 2, fine_tuning=how, device="cpu")


def line(row: int) -> np.ndarray:
    places = np.indices((90, 90))
    return (places[0] == row) & (places[1] > 38) & (places[1] < 52)


@pytest.mark.parametrize(("scale", "away"), [(1.0, 5), (0.5, 10), (2.5, 2)])
def test_what_fills_a_box_ends_where_boxes_are_too_large_by(scale, away):
    found = filling(BOX, np.zeros_like(BOX), np.full((1, 2), scale)) > 0.5
    upper, left = max(away, 0), away
    rows, columns = np.flatnonzero(found.any(axis=1)), np.flatnonzero(found.any(axis=0))
    assert (rows[0], rows[-1]) == (6 + min(upper, 7), 33 - min(upper, 7))
    assert (columns[0], columns[-1]) == (8 + min(left, 6), 31 - min(left, 6))
    assert not found[6 + min(upper, 7), 8 + min(left, 6)]


def test_the_answer_and_its_holes_fill_the_box_and_nothing_outside_does():
    distance = np.hypot(ROWS - 12, COLUMNS - 14)
    ring = (distance > 4) & (distance < 9)
    found = filling(BOX, ring, np.ones((1, 2))) > 0.5
    assert found[(distance < 9) & BOX].all() and not found[~BOX].any()
    assert np.array_equal(filling(BOX[..., None], ring[..., None], np.ones((1, 3)))[..., 0] > 0.5, found)


@pytest.mark.parametrize(("unsure", "margin", "taken"), [(1.0, -1.0, 1), (1.0, 0.0, None), (1.0, 1.0, 0), (0.0, -1.0, 0)])
def test_what_is_supposed_is_taken_where_the_network_is_unsure_and_clearly_surer_then(model, monkeypatch, unsure, margin, taken):
    rng = np.random.default_rng(1)
    box = np.zeros((1, 48, 48), bool)
    box[:, 8:40, 8:40] = True
    maps = PromptMaps.of(rng.random((1, 1, 48, 48), np.float32), box)
    predictor = Predictor(model, "cpu", FineTuning())
    formers = [np.zeros((48, 48), np.float32), box[0].astype(np.float32)]
    compared = [expected_dice(replace(predictor, mirrored=False).logits(maps, one), box[0]) for one in formers]
    monkeypatch.setattr("casewise.interaction.predictor._UNSURE", unsure)
    monkeypatch.setattr("casewise.interaction.predictor._SURER", margin)
    best = int(np.argmax(compared)) if taken is None else taken
    assert compared[0] != compared[1]
    assert np.array_equal(predictor.surer(maps, *formers), predictor.logits(maps, formers[best]))
    assert not np.array_equal(*(predictor.logits(maps, former) for former in formers))


def test_a_stroke_that_contradicts_the_answer_makes_the_network_suppose_that_the_object_fills_its_box(model, asked):
    image, _ = disc_picture()
    session = begun(model, image)
    before = session.mask
    assert before[line(45)].all()
    session.add_scribbles(None, line(45))
    former, supposed = asked[0]
    assert len(asked) == 1 and supposed.max() == pytest.approx(0.9)
    assert (supposed > 0.5).sum() > 1.3 * (former > 0.5).sum()


def test_a_later_stroke_does_not_nor_where_a_mask_or_a_hint_says_what_the_object_is(model, asked):
    image, truth = disc_picture()
    later = begun(model, image)
    later.add_scribbles(line(22))
    later.add_scribbles(None, line(45))
    for hint in (False, True):
        InteractiveSegmentation(model, image, mask=truth, hint=hint, device="cpu").add_scribbles(None, line(45))
    assert not asked


def test_one_that_confirms_it_does_not_nor_one_of_the_object_nor_strokes_of_both_kinds(model, asked):
    image, _ = disc_picture()
    begun(model, image).add_scribbles(None, line(22))
    begun(model, image).add_scribbles(line(22))
    begun(model, image).add_scribbles(line(24), line(45))
    assert not asked


@pytest.mark.parametrize("how", [FineTuning(supposition=False), FineTuning(supervised=False), FineTuning(trainable="last")])
def test_switched_off_nothing_is_supposed(model, asked, how):
    image, _ = disc_picture()
    begun(model, image, how).add_scribbles(None, line(45))
    assert not asked


def test_nothing_is_supposed_in_volumes_of_several_planes(model, asked):
    image, truth = ball_volume()
    session = InteractiveSegmentation(model, image, [(8, 42), (6, 40), (3, 15)], device="cpu")
    session.add_scribbles(None, truth & (np.indices(truth.shape)[0] == 25))
    assert not asked
