"""Sets of images: does each accepted mask make the next one easier?

The images of one structure, one a patient, in a random order. Each is segmented by the simulated user until Dice 0.90 or eight
strokes, and its last mask, not the truth, goes into an archive that was empty at the start. Beside it: the same network image by
image; the accepted masks laid into the box without refining the network; and the archive that was given masks of another structure.
"""

from __future__ import annotations

import tempfile
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import driver
from benchmarks.tables import mean, p_of, table
from casewise.archive import Archive
from casewise.interaction import InteractiveSegmentation
from casewise.interaction.sets.guidance import REFINEMENT, Prepared, accept, prepare
from casewise.interaction.simulation.user import Hand, stroke
from casewise.models import Model, shipped
from casewise.statistics import paired_p
from casewise.training.metrics import dice
from experiments.interaction.rounds import ROUNDS
from experiments.interaction.tasks import Task, box_of, films, generator, heart, hippocampi
from experiments.splits import by_patient

HEART = ("myocardium", "right_ventricle", "left_ventricle")
STRUCTURES = (*HEART, "heart", "hippocampus", "left_lung")
ARMS = ("image by image", "with the set", "with the set, not refined", "with masks of another structure")
TITLES = {
    "heart": "heart on radiographs (JSRT)",
    "hippocampus": "hippocampus, T1, 3D",
    "left_lung": "left lung (JSRT), by a network that saw no radiograph",
}
ENOUGH = 0.9


def one(session: InteractiveSegmentation, task: Task, seed: int) -> list[float]:
    """Dice after the box and after each stroke, until it is enough."""
    scores = [dice(session.mask, task.truth)]
    while scores[-1] < ENOUGH and len(scores) <= ROUNDS:
        thickness = int(generator(seed, task.name, len(scores)).integers(1, 3))
        made = stroke(task.truth, session.mask, Hand(25, thickness), task.image.spacing)
        if made is None:
            break
        line, foreground = made
        session.add_scribbles(line if foreground else None, None if foreground else line)
        scores.append(dice(session.mask, task.truth))
    return [round(score, 4) for score in scores]


def run(model: Model, tasks: list[Task], others: dict[str, Task], arm: str, seed: int) -> Iterable[dict]:
    """One order of one set. ``others``: of each patient, the task whose mask the control accepts instead."""
    order = np.random.default_rng([seed, 5]).permutation(len(tasks))
    with tempfile.TemporaryDirectory() as folder, Archive.open(Path(folder) / "set", create=True) as archive:
        for place, number in enumerate(order):
            task = tasks[int(number)]
            prepared, box, began = Prepared(model, None, (), ""), box_of(task, seed), time.process_time()
            if arm != ARMS[0]:
                refinement = None if arm == ARMS[2] else REFINEMENT
                prepared = prepare(model, task.image, archive, task.structure, box, settings=refinement, device="cpu")
            waited = time.process_time() - began
            hint = prepared.guess is not None
            led = {"mask": prepared.guess, "hint": hint, "initial": model}
            session = InteractiveSegmentation(prepared.model, task.image, box, **led, device="cpu")
            scores = one(session, task, seed)
            if arm in ARMS[1:3] and session.mask.any():
                accept(archive, session, task.structure, prepared=prepared)
            elif arm == ARMS[3]:
                archive.add(task.image, {task.structure: others[task.patient].truth})
            row = {"arm": arm, "structure": task.structure, "seed": seed, "patient": task.patient, "place": place, "dice": scores}
            row |= {"guessed": hint, "used": bool(prepared.cases), "refuted": session.refuted, "waited": round(waited, 2)}
            yield row | {"strokes": len(scores) - 1 if scores[-1] >= ENOUGH else ROUNDS + 1}


def units(options: Namespace) -> Iterator[driver.Unit]:
    """One order of one arm each."""
    models = {structure: model for structure in STRUCTURES if (model := _model(options.model, structure)) is not None}
    for structure, model in models.items():
        for arm in ARMS:
            for seed in range(options.orders):
                make = partial(unit, model, structure, arm, seed, options.patients)
                yield driver.Unit(f"{structure}, {arm}, order {seed}", make, model.key)


def unit(model: Model, structure: str, arm: str, seed: int, patients: int) -> list[dict]:
    tasks, others = _tasks(structure, patients)
    return [row | {"model": model.key} for row in run(model, tasks, others, arm, seed)]


def _model(given: list[str], structure: str) -> Model | None:
    """The one given for the structure, or for all; None for the left lung, which the models that come with casewise know."""
    named = dict(one.split("=", 1) if "=" in one else ("", one) for one in given)
    folder = named.get(structure, named.get("") if structure != "left_lung" else None)
    if folder is not None:
        return Model.load(folder)
    if structure == "left_lung":
        return None
    volumes = structure == "hippocampus" and "interactive_3d" in shipped.names()
    return shipped.load("interactive_3d" if volumes else "interactive_2d")


def _tasks(structure: str, patients: int) -> tuple[list[Task], dict[str, Task]]:
    """(one task a patient, each patient's task of another structure)."""
    if structure == "hippocampus":
        found = list(hippocampi(patients))
        return found, {task.patient: replace(task, truth=_beside(task.truth)) for task in found}
    if structure in ("heart", "left_lung"):
        found = list(films(patients))
        both = {name: {task.patient: task for task in found if task.structure == name} for name in ("heart", "left_lung")}
        return list(both[structure].values()), both["left_lung" if structure == "heart" else "heart"]
    found = list(heart(patients))
    others = {task.patient: task for task in _middle(found, HEART[HEART.index(structure) - 1])}
    return [task for task in _middle(found, structure) if task.patient in others], others


def _beside(mask: np.ndarray) -> np.ndarray:
    """What lies beside the object: its mask moved along the first axis, by half its own width, to where there is more room."""
    hits = np.flatnonzero(mask.any(axis=(1, 2)))
    far = (len(hits) + 1) // 2
    right = min(far, len(mask) - 1 - int(hits[-1]))
    left = min(far, int(hits[0]))
    return np.roll(mask, right if right >= left else -left, axis=0)


def _middle(tasks: list[Task], structure: str) -> list[Task]:
    """One task a patient: the last of its slices, which is the middle one."""
    return list({task.patient: task for task in tasks if task.structure == structure}.values())


def figures(units: driver.Rows) -> Mapping[str, Any]:
    rows = [row for of in units.values() for row in of]
    lines = []
    for structure in dict.fromkeys(row["structure"] for row in rows):
        own = [row for row in rows if row["structure"] == structure]
        for arm in ARMS:
            mine = [row for row in own if row["arm"] == arm]
            if mine:
                orders = {row["seed"] for row in mine}
                base = by_patient([row for row in own if row["arm"] == ARMS[0] and row["seed"] in orders], "strokes")
                lines.append([TITLES.get(structure, structure).replace("_", " "), arm, *_cells(mine, arm, base)])
    head = ["structure", "arm", "patients, orders", "strokes (95 %)", "p", "first half", "second half", "p of halves"]
    return {"table": table([*head, "Dice after the box", "last Dice", "no stroke", "reached", "waiting, s"], lines)}


def _cells(mine: list[dict], arm: str, base: dict[str, float]) -> list[str]:
    values = dict(sorted(by_patient(mine, "strokes").items()))
    tested = arm != ARMS[0] and set(values) == set(base)
    p = f"{paired_p([values[n] for n in base], list(base.values())):.2g}" if tested else "–"
    half = max(row["place"] for row in mine) / 2
    early, late = ([row for row in mine if (row["place"] > half) == later] for later in (False, True))
    cells = [f"{len(values)}, {len({row['seed'] for row in mine})}", mean(list(values.values()), ".2f", dash="–"), p]
    cells += [f"{np.mean([row['strokes'] for row in part]):.2f}" for part in (early, late)]
    cells.append(p_of(by_patient(late, "strokes"), by_patient(early, "strokes")))
    cells += [f"{np.mean([row['dice'][place] for row in mine]):.3f}" for place in (0, -1)]
    cells += [f"{np.mean([row['strokes'] <= most for row in mine]):.0%}" for most in (0, ROUNDS)]
    return [*cells, f"{np.mean([row['waited'] for row in mine]):.1f}" if arm != ARMS[0] else "–"]


def options(parser: ArgumentParser) -> None:
    about = "models instead of those that come with casewise; the left lung is measured with one of its own alone"
    parser.add_argument("--model", nargs="+", default=[], metavar="[STRUCTURE=]FOLDER", help=about)
    parser.add_argument("--patients", type=int, default=16)
    parser.add_argument("--orders", type=int, default=2)


BENCHMARK = driver.Benchmark("interaction_sets", __doc__, units, figures, options)

if __name__ == "__main__":
    raise SystemExit(driver.run(BENCHMARK))
