"""Fine-tuning on the image, part by part: what it adds to the network, and where it is accepted.

Hearts and pictures of structures: the box, strokes of both kinds at once, then two strokes on the largest errors. Every
method sees the picture once, not mirrored and turned as well, so that they differ in the tuning alone. Seeds draw box and strokes,
and p is paired by patient, over the means of the seeds. The source is Wang et al. 2018 (arXiv 1710.04043).
"""

from __future__ import annotations

import time
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from benchmarks import driver
from benchmarks._interaction_table import WORSE, Row
from benchmarks.tables import p_of, shared, table
from casewise.interaction import FineTuning, InteractiveSegmentation
from casewise.interaction.simulation.user import Hand, stroke
from casewise.models import Model, shipped
from casewise.models.tasks.settings import with_settings
from casewise.statistics import paired_p
from casewise.training.metrics import dice
from experiments.interaction.groups import GROUPS
from experiments.interaction.measure import SOURCE
from experiments.interaction.rounds import drawn_at_once
from experiments.interaction.tasks import Task, box_of, heart
from experiments.splits import by_patient

ALONE, UNSUPERVISED, SUPERVISED, UNWEIGHTED = "network alone", "unsupervised", "supervised", "supervised, without weights"
HEAD = "head, where it is accepted"
METHODS = {
    ALONE: FineTuning(supervised=False),
    HEAD: FineTuning(extension=False, supposition=False),
    "head, without acceptance": FineTuning(acceptance=False, extension=False, supposition=False),
    UNSUPERVISED: replace(SOURCE, unsupervised=True),
    SUPERVISED: replace(SOURCE, supervised=True),
    "both": replace(SOURCE, unsupervised=True, supervised=True),
    UNWEIGHTED: replace(SOURCE, supervised=True, weigh_strokes=False, weigh_doubt=False),
    "last block alone, rate 0.01": replace(SOURCE, supervised=True, graph_cut=False),
    "last block alone, rate 0.001": replace(SOURCE, supervised=True, graph_cut=False, rate=1e-3),
}
TITLES = {
    "heart": "Short-axis heart MR",
    "structures": "Nuclei, membranes, vessels, wounds, breast lesions",
}
SEEDS = 3
_SINGLE = ("nucleus", "stained_nucleus", "cell")
_HAND = Hand(25, 2)
_THICK = (2, 4, 6)  # pixels across of the strokes at once, by the seed
STEPS = ("box", "strokes at once", "first correction", "second correction")

Measure = Callable[[Row], float | None]


def tasks(group: str) -> Iterator[Task]:
    """Of the heart the middle slices of eight patients; of pictures with many objects all of them at once."""
    if group == "heart":
        return heart(8, middle_alone=True)
    return (task for task in GROUPS[group]() if task.structure not in _SINGLE)


def segmented(model: Model, task: Task, how: FineTuning, seed: int) -> dict[str, Any]:
    """Dice after each of :data:`STEPS`; of all but the first, whether the tuning gave the mask, and processor seconds."""
    session = InteractiveSegmentation(model, task.image, box_of(task, seed), fine_tuning=how, device="cpu")
    scores, accepted, seconds = [dice(session.mask, task.truth)], [], []
    for turn in range(len(STEPS) - 1):
        strokes = drawn_at_once(task, _THICK[seed % len(_THICK)], seed) if turn == 0 else _correction(task, session)
        began = time.process_time()
        if strokes is not None:
            session.add_scribbles(*strokes)
        seconds.append(round(time.process_time() - began, 3))
        scores.append(dice(session.mask, task.truth))
        accepted.append(session.tuned)
    return {"dice": [round(score, 4) for score in scores], "accepted": accepted, "seconds": seconds}


def _correction(task: Task, session: InteractiveSegmentation) -> tuple[np.ndarray, np.ndarray] | None:
    """(foreground, background): a stroke on the largest error; None where there is none."""
    made = stroke(task.truth, session.mask, _HAND)
    if made is None:
        return None
    line, foreground = made
    nothing = np.zeros_like(line)
    return (line, nothing) if foreground else (nothing, line)


def units(options: Namespace) -> Iterator[driver.Unit]:
    model = Model.load(options.model) if options.model else shipped.load("interactive_2d")
    for group in TITLES:
        for method in METHODS:
            yield driver.Unit(f"{group}, {method}", partial(_rows, model, group, method), model.key)


def _rows(model: Model, group: str, method: str) -> list[Row]:
    upright = replace(model, spec=with_settings(model.spec, {"upright": True}))
    rows = []
    for task in tasks(group):
        about = {"group": group, "structure": task.structure, "task": task.name, "patient": task.patient, "method": method}
        rows += [about | {"seed": seed} | segmented(upright, task, METHODS[method], seed) for seed in range(SEEDS)]
    return rows


def figures(units: driver.Rows) -> Mapping[str, Any]:
    rows = [row for of in units.values() for row in of]
    parts = []
    for group, title in TITLES.items():
        own = [row for row in rows if row["group"] == group]
        if own:
            parts += [f"## {title}\n", f"{_about(own)}\n", f"{_methods(own)}\n"]
            structures = list(dict.fromkeys(row["structure"] for row in own))
            parts += [f"{_structures(own, structures)}\n"] if len(structures) > 1 else []
    return {"groups": "\n".join(parts), "claims": "\n".join(claims(rows)), "seeds": SEEDS}


def _about(rows: list[Row]) -> str:
    counts = [len({row[key] for row in rows}) for key in ("task", "patient", "seed")]
    return "{} tasks of {} patients, {} draws of box and strokes each.".format(*counts)


def _methods(rows: list[Row]) -> str:
    """A row a method: Dice after each step, p of the last three against the network alone, and what was accepted."""
    head = [
        "method",
        *STEPS,
        *(f"p, {step}" for step in STEPS[1:]),
        "worse",
        "accepted",
        "there",
        "alone there",
        "s a round (95th)",
    ]
    alone = [row for row in rows if row["method"] == ALONE]
    before = {_key(row): row for row in alone}
    lines = []
    for method in METHODS:
        mine = [row for row in rows if row["method"] == method]
        if not mine:
            continue
        cells = [f"{np.mean([row['dice'][n] for row in mine]):.3f}" for n in range(len(STEPS))]
        cells += ["–" if method == ALONE else p_of(*(by_patient(of, _after(n)) for of in (alone, mine))) for n in (1, 2, 3)]
        drops = [row["dice"][1] - before[_key(row)]["dice"][1] < -WORSE for row in mine if _key(row) in before]
        cells.append("–" if method == ALONE else f"{np.mean(drops):.1%}")
        chosen = [row for row in mine if row["accepted"][0]]
        cells.append(f"{len(chosen) / len(mine):.0%}" if method == HEAD else "–")
        both = [(row, before[_key(row)]) for row in chosen if _key(row) in before] if method == HEAD else []
        cells += [f"{np.mean([pair[n]['dice'][1] for pair in both]):.3f}" if both else "–" for n in (0, 1)]
        seconds = [one for row in mine for one in row["seconds"]]
        lines.append([method, *cells, f"{np.median(seconds):.2f} ({np.percentile(seconds, 95):.2f})"])
    return table(head, lines)


def _structures(rows: list[Row], structures: Sequence[str]) -> str:
    """Dice after the strokes at once by structure, with p against the network alone."""
    names = [method for method in METHODS if any(row["method"] == method for row in rows)]
    lines = []
    for structure in structures:
        of_it = [row for row in rows if row["structure"] == structure]
        alone = by_patient([row for row in of_it if row["method"] == ALONE], _after(1))
        cells = [structure.replace("_", " ")]
        for method in names:
            mine = by_patient([row for row in of_it if row["method"] == method], _after(1))
            mean = np.mean([row["dice"][1] for row in of_it if row["method"] == method])
            cells.append(f"{mean:.3f}" if method == ALONE else f"{mean:.3f}, {p_of(alone, mine)}")
        lines.append(cells)
    return table(["strokes at once: Dice, p", *names], lines)


def claims(rows: list[Row]) -> list[str]:
    """What the source says of fine-tuning, and whether the rows of all groups together agree."""
    claims = (
        ("Unsupervised fine-tuning improves the mask after the box", UNSUPERVISED, ALONE, 0),
        ("Supervised fine-tuning improves the mask after strokes", SUPERVISED, ALONE, 1),
        ("Weights of strokes and of doubt improve the supervised fine-tuning", SUPERVISED, UNWEIGHTED, 1),
    )
    return [f"- {claim}: {verdict(rows, method, other, step)}" for claim, method, other, step in claims]


def verdict(rows: list[Row], method: str, other: str, step: int) -> str:
    """Confirmed where ``method`` is better than ``other`` beyond chance, refuted where it is worse; else that neither is shown."""
    sides = [by_patient([row for row in rows if row["method"] == name], _after(step)) for name in (other, method)]
    before, after = shared(*sides)
    if len(before) < 5:
        return "not measured on five patients."
    p, gain = paired_p(before, after), float(np.mean(after) - np.mean(before))
    word = "not shown" if p >= 0.05 else "confirmed" if gain > 0 else "refuted"
    means = f"Dice {np.mean(after):.3f} and {np.mean(before):.3f} after the {STEPS[step]}"
    return f"**{word}**, {method} and {other} have {means}, {len(before)} patients, p {p:.2g}."


def _after(step: int) -> Measure:
    return lambda row: row["dice"][step]


def _key(row: Row) -> tuple[str, int]:
    return row["task"], row["seed"]


def options(parser: ArgumentParser) -> None:
    parser.add_argument("--model", help="a model's folder, instead of the one for pictures that comes with casewise")


BENCHMARK = driver.Benchmark("interaction_tuning", __doc__, units, figures, options)

if __name__ == "__main__":
    raise SystemExit(driver.run(BENCHMARK))
