"""The shipped brain lesions: ``python -m recipes.brain_lesions`` writes ``src/casewise/models/shipped/brain_lesions``.

Trained on all nine patients. What the card says was measured by ``python -m benchmarks.lesions`` on networks of the same kind that
were trained without a third of them; run it first. A training that was interrupted goes on.
"""

from __future__ import annotations

import shutil
from dataclasses import replace
from typing import Any

import numpy as np

from benchmarks._lesions_data import GLIOMA, HYPERINTENSITY, SCLEROSIS, SEQUENCES, WORK, brains, folds
from benchmarks._lesions_runs import LEAST_ML, LESION, SYNTHETIC, unit
from benchmarks._lesions_table import everything, values
from benchmarks._statistics import interval
from casewise.lesions import Plan, train_lesions
from casewise.models import Model
from casewise.training import Settings
from recipes._common import Card, Row, prepare_machine, progress, ship

NETWORK = "fusion"
KEPT = SEQUENCES[:2]
STEPS = (600, 120, 180)
SIZE = 160
PLAN = Plan(NETWORK, steps=STEPS, size=SIZE, synthetic=SYNTHETIC, settings=Settings(batch=8, rate=5e-3, device="cpu", mixed=True))


def main() -> None:
    prepare_machine()
    patients = brains()
    kept = WORK / "shipped"
    model = train_lesions(patients, "casewise-brain-lesions", PLAN, lesion=LESION, kept=kept, progress=progress)
    told = [row for fold in range(len(folds(patients))) for row in unit(NETWORK, fold, 0)]
    ship(of_several_patients(model), "brain_lesions", rows(told), CARD)
    shutil.rmtree(kept, ignore_errors=True)


def of_several_patients(model: Model) -> Model:
    """Without the networks of T1 post and T2, which one patient taught: with them, more sequences made the map worse. Fusion
    allows it, since each sequence has a network of its own. Half precision is enough, and half as large.
    """
    network = {**model.spec.network, "sequences": list(KEPT)}
    described = replace(model.spec, network=network, preparation=replace(model.spec.preparation, channels=len(KEPT)))
    gone = tuple(f"localiser.{number}." for number in range(len(KEPT), len(SEQUENCES)))
    weights = {name: tensor.half() for name, tensor in model.weights.items() if not name.startswith(gone)}
    return replace(model, spec=described, weights=weights)


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
        found = values(told, NETWORK, "joint", measure, full)
        made.append(_row(title, f"{len(found)} patients, three-fold", list(found.values())))
        if measure == "dice":
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
        "The table: three folds by patient, with fewer steps (benchmarks/_lesions_runs.py) and 112 pixels. The weights shipped are "
        "of all nine patients, so that what they find in these very images is no result."
    ),
    fails=(
        "**The kind is confounded with the site**: each kind was seen from one hospital, its scanner, slices and preparation. "
        "The probability of a kind says as much about where an image comes from as about the disease. Do not rely on it.",
        "**Multiple sclerosis it does not know in practice.** It was seen in one patient, and no other was there to measure it on: "
        "its row is of a network that had never seen the disease. Even of that patient, whom the shipped weights were trained on, "
        "they outline hardly a lesion (Dice 0.02) and call them white-matter hyperintensities.",
        "No healthy brain was seen as a whole: it finds false pieces in nearly every brain, on FLAIR mostly along ventricles and "
        "cortex. A lesion that it names needs a person's look.",
        "Brains with their skull: all that it learnt from were skull-stripped. Children, infarcts, bleeding, metastases, scars "
        "after surgery: not measured.",
        "T1 post and T2 were there for one patient, so that it does not take them.",
        "Lesions of few millimetres are missed, and their outlines are rough.",
    ),
    limits="Made from nine patients of three sources. No patient's care may rest on it.",
)

if __name__ == "__main__":
    main()
