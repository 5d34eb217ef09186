"""The shipped brain lesions: ``python -m recipes.brain_lesions`` writes ``src/casewise/models/shipped/brain_lesions``.

Trained on all nine patients. What the card says was measured by ``python -m benchmarks.lesions`` on networks of the same plan that
were trained without a third of them; run it first. A training that was interrupted goes on.
"""

from __future__ import annotations

import shutil
from dataclasses import replace
from typing import Any

import numpy as np

from casewise.lesions import train_lesions
from casewise.lesions.tuning import LEAST_ML
from casewise.statistics import interval
from experiments.lesions.cases import GLIOMA, HYPERINTENSITY, SCLEROSIS, WORK, brains, folds
from experiments.lesions.measures import everything, values
from experiments.lesions.runs import LESION, SHIPPED, best, judged, limited, plan, unit
from recipes._common import Card, Row, prepare_machine, progress, ship
from recipes.brain_lesions_calibration import calibrations, slab_rows


def main() -> None:
    prepare_machine()
    patients = limited(brains(), SHIPPED)
    kept = WORK / "shipped"
    model = train_lesions(
        patients, "casewise-brain-lesions", plan(SHIPPED, "joint", 0), lesion=LESION, kept=kept, progress=progress
    )
    told = [row for fold in range(len(folds(patients))) for row in unit(SHIPPED, fold, 0)]
    # In half precision, which is half as large.
    model = replace(best(told).given_to(model), weights={name: tensor.half() for name, tensor in model.weights.items()})
    network = {**model.spec.network, "calibration": calibrations(slab_rows())}
    model = replace(model, spec=replace(model.spec, network=network))
    ship(model, "brain_lesions", rows(judged(told)[0]), CARD)
    shutil.rmtree(kept, ignore_errors=True)


def rows(told: list[dict[str, Any]]) -> list[Row]:
    """By patient, all sequences that the patient has, joint training."""
    full, made = everything(told), []
    kinds = {row["patient"]: row["category"] for row in told}
    for title, measure in (
        ("Dice of the map", "dice"),
        (f"share of lesions of {LEAST_ML} ml or more that are found", "sensitivity"),
        ("false pieces a patient", "false"),
        ("AUROC, slices with a lesion against those without, within a patient", "slice_auc"),
    ):
        found = values(told, SHIPPED, "joint", measure, full)
        made.append(_row(title, f"{len(found)} patients, three-fold", list(found.values())))
        if measure != "slice_auc":
            for kind in (GLIOMA, HYPERINTENSITY, SCLEROSIS):
                own = [value for patient, value in found.items() if kinds[patient] == kind]
                made.append(_row(title, f"{kind}, {len(own)} patient{'s' if len(own) > 1 else ''}", own))
    return made


def _row(what: str, on: str, own: list[float]) -> Row:
    low, high = interval(own)
    return Row(what, on, float(np.mean(own)), low, high)


CARD = Card(
    command="python -m benchmarks.lesions && python -m recipes.brain_lesions",
    data=(
        "BraTS 2018, three patients with glioma of one centre (Pennsylvania): FLAIR and T1, whole tumour (research use; cite Menze "
        "2015, Bakas 2017 and 2018): **the weights are for research alone**",
        "Five patients with white-matter hyperintensities (Shanghai; cite Zhu 2022; no licence stated): FLAIR, slices of 8 mm",
        "One patient with multiple sclerosis (Ljubljana; Lesjak 2018, CC BY 4.0): FLAIR, T1, T1 post, T2",
        "Synthetic lesions in their slices, in training alone",
    ),
    split=(
        "The table: three folds by patient, the same plan, and what of the map counts chosen on the other folds' patients. The "
        "weights shipped are of all nine patients, so that what they find in these very images is no result; what of their map "
        "counts was chosen on the maps of the three folds."
    ),
    fails=(
        "**The kind is confounded with the site**: each kind was seen from one hospital, its scanner, slices and preparation. "
        "The probability of a kind says as much about where an image comes from as about the disease. Do not rely on it.",
        "**Multiple sclerosis it does not know in practice.** It was seen in one patient, and no other was there to measure it on: "
        "its row is of a network that had never seen the disease, and found nothing. Even of that patient, whom the shipped "
        "weights were trained on, nothing is outlined.",
        "**Small lesions are missed**: pieces below 0.2 ml, not bright enough, or of which the network is not sure do not count. "
        "What it outlines is nearly always a lesion, but about half of the lesions of 0.05 ml or more are not among it.",
        "Outlines follow the brightness of FLAIR: what is bright beside a lesion, such as an artefact, is outlined with it. "
        "Without FLAIR, by T1 alone, the map is rough.",
        "No healthy brain was seen in training. The probability of a lesion is calibrated on slabs without lesions of the same "
        "nine patients, each by a network and a calibration that never saw the patient: 23 of 24 lesion-free slabs are below one "
        "half (0 of 24 before), 8 of 9 patients with lesions above it by FLAIR (9 of 9 before); by T1 alone 9 of 10, and 2 of 4 "
        "patients. Rows: `benchmarks/results/lesion_probability.json`.",
        "Brains with their skull are refused: all that it learnt from were skull-stripped. Children, infarcts, bleeding, "
        "metastases, scars after surgery: not measured.",
        "T1 post and T2 were there for one patient, so that it does not take them.",
    ),
    limits="Made from nine patients of three sources. No patient's care may rest on it.",
)

if __name__ == "__main__":
    main()
