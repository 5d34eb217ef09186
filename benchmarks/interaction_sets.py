"""Sets of images: does each accepted mask make the next one easier? ``python -m benchmarks.interaction_sets`` keeps a table.

The images of one heart structure, one a patient, in a random order. Each is segmented by the simulated user until Dice 0.90 or
eight strokes, and its last mask, not the truth, goes into an archive that was empty at the start. Beside it: the same network image
by image, and the archive that was given masks of another structure. What is done is kept (``--work``): a stopped run goes on.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch

from benchmarks._interaction_runs import ROUNDS
from benchmarks._interaction_tasks import Task, box_of, generator, heart
from benchmarks._statistics import interval, paired_p
from casewise.archive import Archive
from casewise.interaction import InteractiveSegmentation
from casewise.interaction.sets import Prepared, accept, prepare
from casewise.interaction.user import Hand, stroke
from casewise.models import Model, shipped
from casewise.training.measures import dice

RESULTS = Path(__file__).parent / "results"
STRUCTURES = ("myocardium", "right_ventricle", "left_ventricle")
ARMS = ("image by image", "with the set", "with masks of another structure")
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
            prepared = Prepared(model, None, (), "")
            if arm != ARMS[0]:
                prepared = prepare(model, task.image, archive, task.structure, device="cpu")
            hint = prepared.guess is not None
            box = box_of(task, seed)
            session = InteractiveSegmentation(prepared.model, task.image, box, mask=prepared.guess, hint=hint, device="cpu")
            scores = one(session, task, seed)
            if arm == ARMS[1] and session.mask.any():
                accept(archive, session, task.structure, prepared=prepared)
            elif arm == ARMS[2]:
                archive.add(task.image, {task.structure: others[task.patient].truth})
            row = {"arm": arm, "structure": task.structure, "seed": seed, "patient": task.patient, "place": place, "dice": scores}
            yield row | {"strokes": len(scores) - 1 if scores[-1] >= ENOUGH else ROUNDS + 1, "guessed": hint}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="interactive_2d")
    parser.add_argument("--structures", nargs="+", default=list(STRUCTURES), choices=STRUCTURES)
    parser.add_argument("--arms", nargs="+", default=list(ARMS), choices=ARMS)
    parser.add_argument("--patients", type=int, default=16)
    parser.add_argument("--orders", type=int, default=2)
    parser.add_argument("--work", type=Path, default=Path(".work/interaction"))
    given = parser.parse_args()
    torch.set_num_threads(1)
    given.work.mkdir(parents=True, exist_ok=True)
    file = given.work / "sets.jsonl"
    model = shipped.load(given.model) if given.model in shipped.names() else Model.load(given.model)
    tasks = list(heart(given.patients))
    done = {(row["arm"], row["structure"], row["seed"]) for row in _rows(file, model.key)}
    for structure in given.structures:
        chosen = _middle(tasks, structure)
        others = {task.patient: task for task in _middle(tasks, STRUCTURES[STRUCTURES.index(structure) - 1])}
        chosen = [task for task in chosen if task.patient in others]
        for seed in range(given.orders):
            for arm in given.arms:
                if (arm, structure, seed) not in done:
                    rows = [row | {"model": model.key} for row in run(model, chosen, others, arm, seed)]
                    with file.open("a", encoding="utf-8") as out:
                        out.writelines(json.dumps(row) + "\n" for row in rows)
    _write(_rows(file, model.key))


def _middle(tasks: list[Task], structure: str) -> list[Task]:
    """One task a patient: the last of its slices, which is the middle one."""
    return list({task.patient: task for task in tasks if task.structure == structure}.values())


def _rows(file: Path, key: str) -> list[dict]:
    rows = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
    return [row for row in rows if row["model"] == key]


def _write(rows: list[dict]) -> None:
    lines = [
        "# Sets of images: does each accepted mask make the next easier?",
        "",
        "`python -m benchmarks.interaction_sets`: ACDC, the middle slice of each patient, no heart in the training; strokes until",
        "Dice 0.90 (9: not within eight). p: Wilcoxon, paired by patient (mean of its orders), against image by image.",
        "",
        "| structure | arm | patients, orders | strokes (95 %) | p | first half | second half | Dice after the box | reached |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for structure in dict.fromkeys(row["structure"] for row in rows):
        base = _by_patient([row for row in rows if (row["structure"], row["arm"]) == (structure, ARMS[0])])
        for arm in ARMS:
            mine = [row for row in rows if (row["structure"], row["arm"]) == (structure, arm)]
            if mine:
                values = _by_patient(mine)
                low, high = interval(list(values.values()))
                p = (
                    "–"
                    if arm == ARMS[0] or set(values) != set(base)
                    else f"{paired_p([values[n] for n in base], list(base.values())):.2g}"
                )
                half = max(row["place"] for row in mine) / 2
                early, late = ([row["strokes"] for row in mine if (row["place"] > half) == late] for late in (False, True))
                first, reached = np.mean([row["dice"][0] for row in mine]), np.mean([row["strokes"] <= ROUNDS for row in mine])
                orders = len({row["seed"] for row in mine})
                lines.append(
                    f"| {structure.replace('_', ' ')} | {arm} | {len(values)}, {orders} | {np.mean(list(values.values())):.2f} "
                    f"({low:.2f}–{high:.2f}) | {p} | {np.mean(early):.2f} | {np.mean(late):.2f} | {first:.3f} | {reached:.0%} |"
                )
    (RESULTS / "interaction_sets.md").write_text("\n".join([*lines, ""]), encoding="utf-8")
    (RESULTS / "interaction_sets.json").write_text(json.dumps(rows, indent=0) + "\n", encoding="utf-8")


def _by_patient(rows: list[dict]) -> dict[str, float]:
    found: dict[str, list[float]] = {}
    for row in rows:
        found.setdefault(row["patient"], []).append(row["strokes"])
    return {patient: float(np.mean(values)) for patient, values in sorted(found.items())}


if __name__ == "__main__":
    main()
