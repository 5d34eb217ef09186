"""The interaction benchmark: what its tasks are, what every method is given, and what its tables say of strokes at once."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from scipy.ndimage import zoom

from benchmarks import driver, interaction_invariance
from benchmarks._interaction_table import at_once_table, beaten
from benchmarks.interaction_invariance import AFTER
from casewise.image import Box, Image
from casewise.models import Model
from experiments import structures
from experiments.interaction.measure import OURS
from experiments.interaction.rounds import THICK, drawn_at_once, run
from experiments.interaction.structures import _fullest, _middle, structure_pictures
from experiments.interaction.tasks import Task, liver
from experiments.interactive.pictures import organs
from experiments.interactive.structures import TRAINED_ON
from experiments.interactive.volumes import blocks
from tests.interaction.conftest import disc_picture


def row(method: str, patient: int, box: float, after: float) -> dict:
    one = {"group": "structures", "structure": "wound", "task": f"{patient}", "patient": f"p{patient}", "method": method}
    return one | {"dice": [box] * 9, "expert": None, "at_once": {str(n): after + 0.01 * n for n in THICK}}


def test_strokes_at_once_are_reported_by_thickness_and_tested_by_patient() -> None:
    rows = [row(name, n, 0.7, after + 0.002 * n) for name, after in ((OURS, 0.8), ("a peer", 0.6)) for n in range(6)]
    ours, peer = (line.split(" | ") for line in at_once_table(rows).splitlines()[2:])
    assert ours[1:6] == ["0.700", "0.825", "0.845", "0.865", "0.845"] and ours[6] == "–"
    assert peer[1:6] == ["0.700", "0.625", "0.645", "0.665", "0.645"] and float(peer[6]) == pytest.approx(0.031)
    assert ours[7] == "0.0%" and peer[7] == "100.0%" and peer[8].startswith("18")
    assert at_once_table([one | {"at_once": None} for one in rows]) == ""


def test_a_peer_that_is_better_by_strokes_at_once_is_named() -> None:
    rows = [row(name, n, 0.7, after + 0.001 * n) for name, after in ((OURS, 0.8), ("a peer", 0.81)) for n in range(8)]
    found = [line for line in beaten(rows) if "at once" in line]
    assert len(found) == 3 and all(f"strokes at once, {n} pixels" in line for n, line in zip(THICK, found, strict=True))
    assert not beaten([one | {"at_once": None} for one in rows])


class Keeping:
    """A method that answers what is marked as the object, and keeps what it was given."""

    calls: ClassVar[list[tuple[np.ndarray, np.ndarray]]] = []

    def begin(self, image: Image, box: Box) -> np.ndarray:
        return np.zeros(image.spatial_shape, bool)

    def go_on(self, foreground: np.ndarray, background: np.ndarray) -> np.ndarray:
        self.calls.append((foreground.copy(), background.copy()))
        return foreground


def test_every_method_is_given_the_same_strokes_of_both_kinds_in_one_call() -> None:
    image, truth = disc_picture()
    task = Task("a disc", "structures", "disc", "p", image, truth)
    Keeping.calls = []
    found = run(task, Keeping, "one", 0)
    at_once = Keeping.calls[-3:]
    assert set(found["at_once"]) == {"2", "4", "6"}
    for (foreground, background), thickness in zip(at_once, THICK, strict=True):
        assert foreground.any() and background.any() and not (foreground & background).any()
        for given, drawn in zip((foreground, background), drawn_at_once(task, thickness, 0), strict=True):
            assert np.array_equal(given, drawn)
    assert not np.array_equal(at_once[0][0], at_once[1][0])
    volume = Task(
        "a volume", "tumour", "ball", "p", Image(np.zeros((1, 12, 12, 6), np.float32), np.eye(4)), np.ones((12, 12, 6), bool)
    )
    assert run(volume, Keeping, "one", 0)["at_once"] is None


@pytest.mark.shared
def test_the_pictures_of_structures_are_those_held_back(shared_data: Path) -> None:
    tasks = list(structure_pictures())
    held_back = {f"{folder} {path.stem}" for folder in structures.FOLDERS for path in structures.split(folder)[1]}
    assert {task.name.rpartition(" ")[0] for task in tasks} <= held_back and len(tasks) == len({task.name for task in tasks})
    assert {task.structure for task in tasks} >= {
        "nucleus",
        "nuclei",
        "membrane",
        "cell",
        "retinal_vessels",
        "wound",
        "breast_lesion",
    }
    for task in tasks:
        assert task.image.channels == 1 and task.truth.shape == task.image.spatial_shape and task.truth.sum() >= 40
        assert task.seen == (task.name.split()[0] in TRAINED_ON)
    parts = {task.name: task.truth for task in tasks if "dsb2018" in task.name}
    for name, truth in parts.items():
        if name.endswith("nucleus"):
            every = parts[name.replace("nucleus", "nuclei")]
            assert (every & truth).sum() == truth.sum() < every.sum()


def test_a_window_is_where_most_is_and_an_object_of_middle_size_is_whole() -> None:
    mask = np.zeros((300, 500), bool)
    mask[290:, 490:] = True
    window = _fullest(mask)
    assert mask[window].shape == (256, 256) and mask[window].sum() == mask.sum()
    assert mask[:100, :90][_fullest(mask[:100, :90])].shape == (100, 90)
    labels = np.zeros((60, 60), int)
    for number, (start, side) in enumerate(((5, 7), (20, 9), (40, 12)), start=1):
        labels[start : start + side, start : start + side] = number
    labels[:, 58:] = 4  # cut by the window
    assert _middle(labels) == 2


@pytest.mark.shared
def test_the_liver_that_is_measured_is_no_object_of_the_training_on_volumes(shared_data: Path) -> None:
    (task,) = liver()
    (case,) = organs()
    (made,) = blocks([case])
    assert task.truth.sum() > 30_000 and task.truth.shape == task.image.spatial_shape == case.image.spatial_shape
    factors = np.array(made.picture.shape) / task.truth.shape
    inside = zoom(task.truth.astype(np.float32), factors, order=1) > 0.5
    assert all((mask & inside).sum() < 0.02 * inside.sum() for mask in made.objects)
    assert not made.solids[inside].any()


CHANGES = pytest.mark.parametrize("change", interaction_invariance.CHANGES, ids=lambda change: change.name)


@CHANGES
def test_what_is_drawn_changes_as_the_picture_does(change: interaction_invariance.Change) -> None:
    rng = np.random.default_rng(0)
    mask = rng.random((23, 31)) > 0.6
    mask[[0, -1]] = mask[:, [0, -1]] = False
    changed = change.picture(np.where(mask, 1.0, 0.0))
    expected = change.mask(mask)
    assert np.array_equal(changed > 0.5, ~expected if change.name == "inverted" else expected)
    if change.name == "rim of the border's median":
        border = change.picture(np.full((23, 31), 7.0))
        assert border.shape == (63, 71) and (border == 7).all()


@CHANGES
def test_strokes_on_a_changed_picture_are_where_they_were_on_the_object(
    change: interaction_invariance.Change, model: Model
) -> None:
    image, truth = disc_picture()
    truth[:40] = False  # what a first answer does not know
    task = Task("a part of a disc", "heart", "disc", "p", image, truth)
    drawn = interaction_invariance.drawn_on(model, task)
    assert len(drawn.strokes) == 2 and drawn.box[truth].all()
    moved = drawn.changed(change.mask)
    changed = Image(np.ascontiguousarray(change.picture(image.array[0]))[None])
    first, after_two, at_once = interaction_invariance.answers(model, changed, moved)
    assert first.shape == moved.box.shape and not (first & ~moved.box).any()
    for mask, (foreground, background) in ((after_two, moved.strokes[-1]), (at_once, moved.at_once)):
        assert mask[foreground].all() and not mask[background].any()


def test_agreement_is_told_by_change_as_mean_and_lowest() -> None:
    rows = [
        {"task": str(n), "group": "heart", "patient": "p", "change": change.name, "dice": dict.fromkeys(AFTER, 1 - 0.1 * n)}
        for change in interaction_invariance.CHANGES
        for n in range(3)
    ]
    page = driver.page(interaction_invariance.BENCHMARK, {"machine": "a machine", "rows": {"heart": rows}})
    assert page.count("0.900 (0.800)") == 3 * len(interaction_invariance.CHANGES) and "3 tasks of short-axis heart MR" in page
