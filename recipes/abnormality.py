"""The shipped completions: ``python -m recipes.abnormality [brain] [chest]`` writes ``abnormality_brain``, ``abnormality_chest``.

Each learns from all the normal images at hand. The figures on their cards, the threshold and the scores of normal images come from
networks that did not see the patients they are measured on (``experiments.abnormality``; ``python -m benchmarks.abnormality`` keeps
these networks, so that they are trained once).
"""

from __future__ import annotations

from argparse import Namespace
from dataclasses import replace

import numpy as np

from casewise.abnormality.differences import calibrated
from casewise.abnormality.inpainting import train_inpainting
from casewise.case import Case
from casewise.statistics import interval
from experiments.abnormality.cases import chests, normal_case, patients
from experiments.abnormality.measures import (
    OURS,
    PLAIN,
    auroc,
    clear,
    normal_limits,
    patient_rows,
    slice_rows,
    tested,
    within,
)
from experiments.abnormality.runs import BRAIN, CHEST, OTHER, WORK
from recipes._common import Recipe, Row, progress, ship

KINDS = ("brain", "chest")


def main(options: Namespace) -> None:
    for kind in options.kinds or KINDS:
        cases = normal(kind)
        name = f"casewise-abnormality-{kind}"
        checkpoint = WORK / f"{kind}-shipped.checkpoint"
        model = train_inpainting(cases, name, BRAIN if kind == "brain" else CHEST, progress, checkpoint)
        model = calibrated(model, cases)
        scores, threshold = normal_limits(kind)
        network = {**model.spec.network, "normal": scores, "threshold": threshold}
        ship(replace(model, spec=replace(model.spec, network=network)), f"abnormality_{kind}", rows(kind), options.output)


def normal(kind: str) -> list[Case]:
    """Lesion-free slices of every patient; normal radiographs of both sites."""
    if kind == "brain":
        return [normal_case(patient) for patient in patients() if patient.normal()]
    return [case for site in ("shenzhen", "montgomery") for case in chests(site) if case.category == "normal"]


def rows(kind: str) -> list[Row]:
    if kind == "brain":
        found = tested("brain")
        slices, patients = clear(slice_rows(found)), patient_rows(found)
        on = f"FLAIR, three-fold, {len(patients)} patients"
        apart = within(slices, OURS)
        dices = {method: [row["dice"][method] for row in patients] for method in (OURS, PLAIN)}
        return [
            Row("AUROC, slices with lesions against those without", on, *auroc(slices, OURS)),
            Row("AUROC within a patient, mean", on, float(np.mean(apart)), *interval(apart)),
            Row("best Dice of the map", on, float(np.mean(dices[OURS])), *interval(dices[OURS])),
            Row("AUROC of a plain intensity threshold", on, *auroc(slices, PLAIN)),
            Row("best Dice of a plain intensity threshold", on, float(np.mean(dices[PLAIN])), *interval(dices[PLAIN])),
        ]
    made = []
    for site in OTHER:
        slices = slice_rows(tested(site))
        on = f"{site.capitalize()}, {len(slices)} patients, by the other site"
        made.append(Row("AUROC, tuberculosis against normal", on, *auroc(slices, OURS)))
    return made


RECIPE = Recipe(__doc__, main, lambda parser: parser.add_argument("kinds", nargs="*", metavar="brain|chest"))

if __name__ == "__main__":
    RECIPE.run()
