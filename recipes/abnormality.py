"""The shipped completions: ``python -m recipes.abnormality [brain] [chest]`` writes ``abnormality_brain``, ``abnormality_chest``.

Each learns from all the normal images at hand. What their cards say, what counts as more than normal, and how normal images score
was measured by ``python -m benchmarks.abnormality``, whose networks did not see the patients they judged; run it first: what it
has finished is told on the cards.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

from casewise.abnormality.differences import calibrated
from casewise.abnormality.inpainting import train_completion
from casewise.case import Case
from casewise.statistics import interval
from experiments.abnormality.cases import chests, normal_case, patients
from experiments.abnormality.measures import (
    OURS,
    PLAIN,
    _auroc,
    _count,
    brain,
    everything,
    normal_limits,
)
from experiments.abnormality.runs import BRAIN, CHEST, OTHER, UNITS, run
from recipes._common import Card, Row, prepare_machine, progress, ship

WORK = Path(".work/abnormality")
KINDS = ("brain", "chest")


def main() -> None:
    prepare_machine()
    for kind in sys.argv[1:] or KINDS:
        if not any((WORK / f"{unit.name}.npz").exists() for unit in UNITS if unit.kind == kind):
            run(next(unit for unit in UNITS if unit.kind == kind), WORK)
        cases = normal(kind)
        name = f"casewise-abnormality-{kind}"
        checkpoint = WORK / f"{kind}-shipped.checkpoint"
        model = train_completion(cases, name, BRAIN if kind == "brain" else CHEST, progress, checkpoint)
        model = calibrated(model, cases)
        scores, threshold = normal_limits(WORK, kind)
        network = {**model.spec.network, "normal": scores, "threshold": threshold}
        ship(replace(model, spec=replace(model.spec, network=network)), f"abnormality_{kind}", rows(WORK, kind), CARDS[kind])


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


def rows(work: Path, kind: str) -> list[Row]:
    """For a model's card."""
    found = everything(work)
    if kind == "brain":
        own = brain(found["brain"])[OURS]
        on = f"FLAIR, three-fold, {_count(found['brain'])} patients"
        made = [Row("AUROC, slices with lesions against those without", on, *own.slices)]
        made.append(Row("AUROC within a patient, mean", on, float(np.mean(own.within)), *interval(own.within)))
        made.append(Row("best Dice of the map", on, float(np.mean(own.dice)), *interval(own.dice)))
        plain = brain(found["brain"])[PLAIN]
        made.append(Row("AUROC of a plain intensity threshold", on, *plain.slices))
        return [*made, Row("best Dice of a plain intensity threshold", on, float(np.mean(plain.dice)), *interval(plain.dice))]
    made = []
    for site in (site for site in OTHER if site in found):
        value = _auroc(found[site], OURS)
        made.append(
            Row(
                "AUROC, tuberculosis against normal", f"{site.capitalize()}, {len(found[site])} patients, by the other site", *value
            )
        )
    return made
