"""One call with one to four strokes of an expert at once: how often does it make the mask worse?

ACDC, end of diastole, the middle slice, 16 patients and three structures: after a box, one to four of the expert's own strokes
(connected parts of the expert's scribbles on object and rest, drawn at random) are given in one call; then all of them. The
threshold at which the whole answer is reconsidered was chosen on the first eight patients.
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator, Mapping
from functools import partial
from itertools import groupby
from typing import Any

import numpy as np
from scipy import ndimage

from benchmarks import driver
from benchmarks.tables import table
from casewise.interaction.session import InteractiveSegmentation
from casewise.training.metrics import dice
from experiments.interaction.tasks import Task, box_of, generator, heart

WORSE = 0.02
CHOSEN_ON = 8
STRUCTURES = ("left_ventricle", "right_ventricle", "myocardium")


def calls(task: Task) -> list[dict[str, object]]:
    """A row a call: strokes, and the Dice before and after it."""
    if task.expert is None:
        return []
    parts = [
        (kind, parts == number)
        for kind, marks in enumerate(task.expert)
        for parts, count in (ndimage.label(marks, np.ones((3, 3))),)
        for number in range(1, count + 1)
    ]
    rows = []
    for strokes in dict.fromkeys((1, 2, 3, 4, len(parts))):
        order = generator(0, task.name, strokes).permutation(len(parts))[:strokes]
        fore, back = (_together([parts[n] for n in order], kind, task.truth.shape) for kind in (0, 1))
        session = InteractiveSegmentation(None, task.image, box_of(task, 0), device="cpu")
        before = dice(session.mask, task.truth)
        session.add_scribbles(fore, back)
        rows.append(
            {
                "task": task.name,
                "structure": task.structure,
                "patient": task.patient,
                "strokes": "all" if strokes == len(parts) and strokes > 4 else strokes,
                "before": round(before, 4),
                "after": round(dice(session.mask, task.truth), 4),
            }
        )
    return rows


def _together(parts: list[tuple[int, np.ndarray]], kind: int, shape: tuple[int, ...]) -> np.ndarray:
    """The union of the parts of one kind (0 on the object, 1 on the rest)."""
    return np.any([np.zeros(shape, bool), *(mask for own, mask in parts if own == kind)], axis=0)


def units(options: Namespace) -> Iterator[driver.Unit]:
    for patient, tasks in groupby(heart(16, middle_alone=True), lambda task: task.patient):
        yield driver.Unit(patient, partial(_rows, list(tasks)))


def _rows(tasks: list[Task]) -> list[dict[str, object]]:
    return [row for task in tasks for row in calls(task)]


def figures(units: driver.Rows) -> Mapping[str, Any]:
    """By number of strokes, over all patients and over those that nothing was chosen on."""
    rows = [row for of in units.values() for row in of]
    patients = sorted({row["patient"] for row in rows})
    lines, few = [], (1, 2, 3, 4)
    for name, chosen in (("1 to 4", few), *((str(n), (n,)) for n in few), ("all", ("all",))):
        for whose, mine in (("all", set(patients)), ("fresh", set(patients[CHOSEN_ON:]))):
            own = [row for row in rows if row["strokes"] in chosen and row["patient"] in mine]
            if own:
                lines.append([name, whose, *_cells(own)])
    head = ["strokes", "patients", "calls", "Dice before", "after", "left ventricle", "right ventricle", "myocardium", "worse"]
    return {"table": table(head, lines), "patients": len(patients), "worse": WORSE, "chosen_on": CHOSEN_ON}


def _cells(own: list[dict[str, Any]]) -> list[object]:
    before, after = (np.array([row[key] for row in own]) for key in ("before", "after"))
    means = [np.mean([row["after"] for row in own if row["structure"] == name]) for name in STRUCTURES]
    worse = int((after - before < -WORSE).sum())
    cells = [f"{value:.3f}" for value in (before.mean(), after.mean(), *means)]
    return [len(own), *cells, f"{worse} ({100 * worse / len(own):.1f} %)"]


BENCHMARK = driver.Benchmark("interaction_calls", __doc__, units, figures)

if __name__ == "__main__":
    raise SystemExit(driver.run(BENCHMARK))
