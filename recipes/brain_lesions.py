"""The shipped brain lesions: ``python -m recipes.brain_lesions`` writes ``src/casewise/models/shipped/brain_lesions``.

Trained on all nine patients. What the card says was measured by ``python -m benchmarks.lesions`` on networks of the same plan that
were trained without a third of them; run it first. A training that was interrupted goes on.
"""

from __future__ import annotations

import shutil
from argparse import Namespace
from dataclasses import replace
from typing import Any

from casewise.lesions import train_lesions
from casewise.lesions.tuning import LEAST_ML
from experiments.lesions.cases import GLIOMA, HYPERINTENSITY, SCLEROSIS, WORK, brains, folds
from experiments.lesions.measures import everything, values
from experiments.lesions.runs import LESION, SHIPPED, best, judged, limited, plan, unit
from recipes._common import Recipe, Row, mean_row, progress, ship
from recipes.brain_lesions_calibration import calibrations, slab_rows


def main(options: Namespace) -> None:
    patients = limited(brains(), SHIPPED)
    kept = WORK / "shipped"
    model = train_lesions(
        patients, "casewise-brain-lesions", plan(SHIPPED, "joint", 0), lesion=LESION, kept=kept, progress=progress
    )
    measured = [row for fold in range(len(folds(patients))) for row in unit(SHIPPED, fold, 0)]
    # In half precision, which is half as large.
    model = replace(best(measured).given_to(model), weights={name: tensor.half() for name, tensor in model.weights.items()})
    network = {**model.spec.network, "calibration": calibrations(slab_rows())}
    model = replace(model, spec=replace(model.spec, network=network))
    ship(model, "brain_lesions", rows(judged(measured)[0]), options.output)
    shutil.rmtree(kept, ignore_errors=True)


def rows(measured: list[dict[str, Any]]) -> list[Row]:
    """By patient, all sequences that the patient has, joint training."""
    full, made = everything(measured), []
    kinds = {row["patient"]: row["category"] for row in measured}
    for title, measure in (
        ("Dice of the map", "dice"),
        (f"share of lesions of {LEAST_ML} ml or more that are found", "sensitivity"),
        ("false pieces a patient", "false"),
        ("AUROC, slices with a lesion against those without, within a patient", "slice_auc"),
    ):
        found = values(measured, SHIPPED, "joint", measure, full)
        made.append(mean_row(title, f"{len(found)} patients, three-fold", list(found.values())))
        if measure != "slice_auc":
            for kind in (GLIOMA, HYPERINTENSITY, SCLEROSIS):
                own = [value for patient, value in found.items() if kinds[patient] == kind]
                made.append(mean_row(title, f"{kind}, {len(own)} patient{'s' if len(own) > 1 else ''}", own))
    return made


RECIPE = Recipe(__doc__, main)

if __name__ == "__main__":
    RECIPE.run()
