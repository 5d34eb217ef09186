"""Fine-tuning is repeated as its source has it: trained on some shapes, tested on others; the page judges by its rows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit
from skimage.draw import disk, polygon, rectangle

from benchmarks import _interaction_source as source
from benchmarks import driver, interaction_source
from benchmarks._interaction_source import CUT, P_NET, PLAIN, SIZE, SOURCE, U_NET, BoxCrops, Ellipse, InBox, Piece
from benchmarks.interaction_source import ALONE, ARMS, LABELS, OTHER, PEERS, SHAPE, TUNED, change, verdict
from casewise.image import Image
from casewise.interaction.fine_tuning import graph_cut_mask, tuned
from casewise.training.metrics import dice
from experiments import datasets
from experiments.interaction.peers import Geodesic
from experiments.interaction.rounds import ROUNDS, played
from experiments.interaction.tasks import Task, box_of


def picture(points: tuple[np.ndarray, np.ndarray], seed: int) -> tuple[np.ndarray, np.ndarray]:
    mask = np.zeros((120, 120), bool)
    mask[points] = True
    return (0.25 + 0.5 * mask + np.random.default_rng(seed).normal(0, 0.05, mask.shape)).astype(np.float32), mask


def shapes() -> list[Piece]:
    """Discs and oblongs."""
    drawn = [disk((60, 55), radius) for radius in (14, 20, 27)]
    drawn += [rectangle((40, 30), extent=extent) for extent in ((20, 45), (35, 25), (50, 30))]
    return [Piece(*picture(points, number), f"shape {number}") for number, points in enumerate(drawn)]


def triangle(seed: int = 9) -> Task:
    image, mask = picture(polygon((30, 90, 80), (60, 25, 95)), seed)
    return Task(f"triangle {seed}", "shapes", "triangle", "nobody", Image(image[None]), mask)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    network = replace(P_NET, settings={**P_NET.settings, "channels": [8, 8]}, steps=60, batch=2, rate=2e-2)
    return network.trained(shapes(), tmp_path_factory.mktemp("training") / "checkpoint.pt")


def test_a_network_that_learnt_two_shapes_segments_a_third_from_its_box(tiny):
    task = triangle()
    whole = np.zeros_like(task.truth)
    whole[box_of(task, 0).slices] = True
    for how in (PLAIN, CUT, SOURCE):
        mask = InBox(tiny, how).begin(task.image, box_of(task, 0))
        assert dice(mask, task.truth) > max(0.85, dice(whole, task.truth) + 0.1)
        assert not (mask & ~whole).any()


@pytest.mark.parametrize("how", [PLAIN, SOURCE])
def test_strokes_are_obeyed_against_the_network_and_every_round_begins_anew(tiny, how):
    task = triangle()
    box = box_of(task, 0)
    session = InBox(tiny, how)
    first = session.begin(task.image, box)
    foreground, background = np.zeros_like(first), np.zeros_like(first)
    foreground[box.lower[0] + 2, box.lower[1] + 2 : box.lower[1] + 12] = True
    background[60:70, 58] = True
    assert not first[foreground].any() and first[background].all()
    marked = session.go_on(foreground, background)
    assert marked[foreground].all() and not marked[background].any()
    nothing = np.zeros_like(first)
    assert np.array_equal(session.go_on(nothing, nothing), first)


def test_what_lies_outside_the_box_has_no_part_in_the_tuning(tiny):
    task = triangle()
    session = InBox(tiny, SOURCE)
    mask = session.begin(task.image, box_of(task, 0))
    features, maps = session._features[0].clone(), session._maps
    whole = tuned(session._network.head.state_dict(), features, maps, session._logits, SOURCE)
    labels = graph_cut_mask(maps, expit(whole), SOURCE)
    again = np.zeros_like(mask)
    for index, plane in session._region.planes(np.where(labels, 8.0, -8.0).astype(np.float32)):
        again[index] = plane > 0
    assert dice(again, mask) > 0.98


def test_the_image_alone_counts_and_neither_its_scale_nor_its_offset(tiny):
    task = triangle()
    other = Image(7 * task.image.array - 300)
    masks = [InBox(tiny, PLAIN).begin(image, box_of(task, 0)) for image in (task.image, other)]
    assert np.mean(masks[0] == masks[1]) > 0.999
    batch = BoxCrops(shapes(), prompted=True).batch(0, 3, np.random.default_rng(0))
    assert batch.x.shape == (3, 2, *SIZE) and not batch.x[:, 1].any()
    assert BoxCrops(shapes(), prompted=False).batch(0, 3, np.random.default_rng(0)).x.shape == (3, 1, *SIZE)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000))
def test_every_object_that_is_learnt_lies_within_its_box(seed):
    batch = BoxCrops(shapes(), prompted=True).batch(0, 2, np.random.default_rng(seed))
    again = BoxCrops(shapes(), prompted=True).batch(0, 2, np.random.default_rng(seed))
    assert np.array_equal(batch.x, again.x) and np.array_equal(batch.target, again.target)
    for inside, truth in zip(batch.voxel_weights.numpy() > 0, batch.target.numpy() > 0, strict=True):
        assert truth.any() and not (truth & ~inside).any() and inside.sum() < inside.size
        rows, columns = (np.flatnonzero(truth.any(axis=axis)) for axis in (1, 0))
        sides = [np.flatnonzero(inside.any(axis=axis)) for axis in (1, 0)]
        # Ten pixels a side at most: the smallest object is 17 pixels wide when it is scaled, so it fills 0.46 of its box or more.
        assert all(np.ptp(own) >= 0.4 * np.ptp(side) for own, side in zip((rows, columns), sides, strict=True))


def test_an_ellipse_fills_its_box_and_obeys_strokes():
    task = triangle()
    box = box_of(task, 0)
    method = Ellipse()
    mask = method.begin(task.image, box)
    assert mask.sum() == pytest.approx(np.pi / 4 * np.prod(box.shape), rel=0.02) and mask[box.slices].sum() == mask.sum()
    rows, columns = np.nonzero(mask)
    ends = zip((rows, columns), box.lower, box.upper, strict=True)
    assert all(places.min() - low <= 1 and high - 1 - places.max() <= 1 for places, low, high in ends)
    corner, middle = np.zeros_like(mask), np.zeros_like(mask)
    corner[box.lower], middle[60, 60] = True, True
    after = method.go_on(corner, middle)
    assert after[box.lower] and not after[60, 60] and (after ^ mask).sum() == 2


def test_two_strokes_are_the_first_two_of_eight():
    few, many = (played(triangle(), Geodesic(), 0, rounds) for rounds in (2, ROUNDS))
    assert few.dice == many.dice[:3] and len(many.dice) == ROUNDS + 1


def page(gains: dict[str, float], seed: int = 0) -> str:
    """Of methods whose Dice is 0.8 and a gain."""
    rng = np.random.default_rng(seed)
    units = {f"{one.name} trained": {"steps": 9, "batch": 4, "rate": 0.001, "weights": 1234} for one in (P_NET, U_NET)}
    places = [("heart", False), ("left_ventricle", False), ("left_lung", True)]
    for method in (*ARMS, *PEERS):
        units[method] = []
        for number in range(30):
            structure, seen = places[number % 3]
            scores = [0.8 + gains.get(method, 0.0) + 0.01 * rng.random() for _ in range(3)]
            about = {"method": method, "task": f"{number}", "structure": structure, "patient": f"p{number // 3}", "seen": seen}
            units[method].append(about | {"dice": scores, "seconds": [0.1] * 3})
    return driver.page(interaction_source.BENCHMARK, {"machine": "a machine", "rows": units})


def sentence(text: str, beginning: str) -> str:
    return next(line for line in text.splitlines() if line.startswith(beginning))


def test_the_page_confirms_and_refutes_by_its_rows():
    robust, improves = "More robust on objects never seen", "Fine-tuning improves"
    good = page({TUNED: 0.1, ALONE: 0.05})
    assert "**confirmed**:" in sentence(good, robust)
    assert "**confirmed** after the box" in sentence(good, improves) and "**confirmed** after scribbles" in sentence(good, improves)
    bad = page({TUNED: -0.1, ALONE: -0.05})
    assert "**refuted**:" in sentence(bad, robust) and sentence(bad, improves).count("**refuted**") == 2
    assert "0.755" in sentence(bad, improves) and "-0.05" in sentence(bad, improves)
    assert "**confirmed in part**" in sentence(page({TUNED: 0.1, LABELS: 0.2}), improves)
    assert "**confirmed in part**" in sentence(page({TUNED: 0.1, ALONE: 0.05, SHAPE: 0.1}), robust)
    assert "| placenta (source) | yes | 0.846 | 0.864 | +0.018 |" in good and "| left lung | yes | 0.855 | 0.905 |" in good


def test_a_gain_within_chance_is_neither_confirmed_nor_refuted():
    def rows(gains: list[float]) -> list[dict]:
        made = []
        for number, gain in enumerate(gains):
            for method, score in ((OTHER, 0.8), (TUNED, 0.8 + gain)):
                made.append({"method": method, "patient": f"p{number}", "dice": [score] * 3})
        return made

    outcomes = {}
    for name, gains in {"chance": [0.1, -0.09] * 5, "gain": [0.01 * n for n in range(1, 11)], "same": [0.0] * 10}.items():
        one = change(rows(gains), OTHER, TUNED, 0)
        outcomes[name] = verdict([one])
        assert one.low <= np.mean(gains) <= one.high and one.patients == 10
    assert outcomes == {"chance": "not confirmed", "gain": "confirmed", "same": "refuted"}


@pytest.mark.shared
def test_no_patient_is_in_training_and_test_and_no_tested_kind_but_the_seen_is_learnt():
    learnt = {path.stem for path in datasets.files("jsrt-more/images/*")}
    tasks = list(source.tasks(2))
    assert {(task.structure, task.seen) for task in tasks} == {
        ("heart", False),
        ("right_ventricle", False),
        ("left_ventricle", False),
        ("left_lung", True),
        ("left_clavicle", True),
    }
    assert all(task.seen == (task.structure in source.LEARNT) for task in tasks)
    films = {Path(task.name.split(" ")[0]).stem for task in tasks if task.patient.startswith("jsrt/")}
    assert len(films) == 2 and not films & learnt
    assert all(task.truth.any() and task.truth.shape == task.image.spatial_shape for task in tasks)
