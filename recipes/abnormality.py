"""The shipped completions: ``python -m recipes.abnormality [brain] [chest]`` writes ``abnormality_brain``, ``abnormality_chest``.

Each learns from all the normal images at hand. The figures on their cards, the threshold and the scores of normal images come from
networks that did not see the patients they are measured on (``experiments.abnormality``; ``python -m benchmarks.abnormality`` keeps
these networks, so that they are trained once).
"""

from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np

from casewise.abnormality.differences import calibrated
from casewise.abnormality.inpainting import train_completion
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
from recipes._common import Card, Row, prepare_machine, progress, ship

KINDS = ("brain", "chest")


def main() -> None:
    prepare_machine()
    for kind in sys.argv[1:] or KINDS:
        cases = normal(kind)
        name = f"casewise-abnormality-{kind}"
        checkpoint = WORK / f"{kind}-shipped.checkpoint"
        model = train_completion(cases, name, BRAIN if kind == "brain" else CHEST, progress, checkpoint)
        model = calibrated(model, cases)
        scores, threshold = normal_limits(kind)
        network = {**model.spec.network, "normal": scores, "threshold": threshold}
        ship(replace(model, spec=replace(model.spec, network=network)), f"abnormality_{kind}", rows(kind), CARDS[kind])


def normal(kind: str) -> list[Case]:
    """Lesion-free slices of every patient; normal radiographs of both sites."""
    if kind == "brain":
        return [normal_case(patient) for patient in patients() if patient.normal()]
    return [case for site in ("shenzhen", "montgomery") for case in chests(site) if case.category == "normal"]


CARDS = {
    "brain": Card(
        command="python -m recipes.abnormality brain",
        data=(
            "BraTS 2018, FLAIR of 3 patients with glioma (Pennsylvania), lesion-free slices; research use only",
            "WMH of Shanghai, FLAIR of 5 patients, lesion-free slices; no licence stated",
            "open-ms, FLAIR of 1 patient with multiple sclerosis (Ljubljana), lesion-free slices; CC BY 4.0",
        ),
        split=(
            "The table is by three networks, each trained on the lesion-free slices of two thirds of the patients and judging the "
            "others. The weights shipped were made in the same way from all nine. A plain threshold on the intensities stands "
            "beside it, because on FLAIR lesions are bright: it is the simpler way."
        ),
        fails=(
            "Lesion-free slices lie mostly at the brain's top and bottom: it hardly knows what is normal at the ventricles.",
            "What is darker than usual is never called abnormal, and another sequence than FLAIR is not judged.",
            "It takes a brain without its skull; an image with more than that is refused.",
            "Field inhomogeneity and other contrasts than those of three scanners are called abnormal.",
        ),
        limits="Nine patients. A difference says that something is unlike nine patients' normal slices, not that it is disease.",
    ),
    "chest": Card(
        command="python -m recipes.abnormality chest",
        data=(
            "NLM Shenzhen chest X-rays, public, the normal ones of 80 patients",
            "NLM Montgomery County chest X-rays, public, the normal ones of 60 patients",
        ),
        split=(
            "The table is by a network trained on one site's normal radiographs and judging all of the other's. The "
            "weights shipped were made in the same way from the normal ones of both."
        ),
        fails=(
            "**Its score does not tell ill from healthy at a new site**: by Montgomery's normal films alone Shenzhen's normal "
            "films scored higher than the ill ones (0.351). What is unlike the films it learnt from may be the site's own way.",
            "It judges what lies in the lungs as casewise outlines them: what hides a lung's border is left out with it.",
            "Pixels of about 3 mm: nodules and fine reticulation are smaller.",
            "How normal films score was measured at a site that its network had not seen: films of the two sites of the shipped "
            "one score lower, and then seem more normal than they are.",
            "Devices, tubes, collapsed lungs and children were in no normal radiograph it saw.",
        ),
        limits="A difference says that something is unlike some eighty normal films of two sources, not that it is disease.",
    ),
}

if __name__ == "__main__":
    main()


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
