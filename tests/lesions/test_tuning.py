"""What of a map counts as lesions is chosen by Dice and by F1 of lesions together."""

from __future__ import annotations

import numpy as np
import pytest

from casewise.image import Image
from casewise.lesions.tuning import PLAIN, Pieces, chosen, pieces
from casewise.models.tasks.lesions import Rule


def table(sizes: list[int], peaks: list[float], hits: list[int], lesion: int) -> Pieces:
    """Pieces of a map in one patient with one lesion; 10 voxels are 0.1 ml."""
    voxels, own = np.asarray(sizes, float), np.asarray(hits, float)
    means, whole = np.full(len(sizes), 0.6), np.asarray([float(lesion)])
    return Pieces(voxels, voxels / 100, np.asarray(peaks), means, own, whole, own[:, None], lesion)


# A large piece of the lesion, a hesitant second piece of it, and ten small pieces elsewhere, as hesitant as that.
PATIENT = table([900, 300, *[30] * 10], [0.99, 0.9, *[0.9] * 10], [900, 300, *[0] * 10], 1200)


def test_f1_is_the_harmonic_mean_of_lesions_found_and_pieces_that_are_right() -> None:
    everything, sure = PATIENT.scored(Rule(0.5, 0.5, 0.0, 0.05)), PATIENT.scored(Rule(0.5, 0.95, 0.0, 0.05))
    assert (everything["found"], everything["false"], sure["false"]) == (1, 10, 0)
    precision = 2 / 12
    assert everything["f1"] == pytest.approx(2 * precision / (1 + precision))
    assert sure["f1"] == pytest.approx(1.0)
    assert everything["dice"] == pytest.approx(2 * 1200 / (1500 + 1200)) and sure["dice"] == pytest.approx(2 * 900 / 2100)


def test_false_lesions_weigh_against_a_little_dice() -> None:
    """By Dice alone the hesitant pieces would stay (.89 against .86); ten false lesions are not worth it."""
    cuts = {(None, threshold): PATIENT for _, threshold in PLAIN}
    choice = chosen([cuts, cuts])
    kept = PATIENT.scored(choice.rule)
    assert choice.rule.peak >= 0.95
    assert kept["false"] == 0


def test_a_lesion_missed_weighs_against_a_little_dice() -> None:
    """A small second lesion, found by a small piece only: leaving it out costs Dice nothing to speak of, and F1 a third."""
    two = Pieces(
        np.asarray([900.0, 12.0]),
        np.asarray([9.0, 0.12]),
        np.asarray([0.99, 0.96]),
        np.asarray([0.6, 0.6]),
        np.asarray([900.0, 6.0]),
        np.asarray([900.0, 12.0]),
        np.asarray([[900.0, 0.0], [0.0, 6.0]]),
        912,
    )
    rule = chosen([{(None, threshold): two for _, threshold in PLAIN}]).rule
    assert two.scored(rule)["found"] == 2


def test_pieces_are_counted_in_the_map_itself() -> None:
    truth = np.zeros((20, 20, 6), bool)
    truth[2:8, 2:8, 1:4] = True
    chances = np.where(truth, 0.9, 0.0).astype(np.float32)
    chances[14:18, 14:18, 1:4] = 0.8
    brain = np.ones((1, 20, 20, 6), np.float32)
    brain[0, 0, 0, 0] = 0  # the ground, darker than all else
    image = Image(brain, np.diag([2.0, 2.0, 2.0, 1.0]))
    found = pieces(chances, truth, image, PLAIN)[None, 0.5].scored(Rule(0.5, 0.5, 0.0, 0.05))
    assert (found["lesions"], found["found"], found["false"]) == (1, 1, 1)
    assert found["f1"] == pytest.approx(2 / 3)
