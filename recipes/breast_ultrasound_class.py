"""The shipped breast ultrasound classifier: ``python -m recipes.breast_ultrasound_class`` writes the model of its name.

The encoder stays as it was learnt on photographs; two linear layers are fitted to what it sees. BUSI holds several pictures of one
lesion and does not say which, and it is here in two copies: pictures that are nearly the same are taken for one subject, and of two
copies of a picture one is left out.
"""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from casewise.case import Case
from experiments.splits import folds
from experiments.ultrasound.fitting import Seen, answered, fitted, model_of
from experiments.ultrasound.pictures import pictures
from recipes._common import Recipe, Row, Scores, above_half_row, accuracy_row, auc_row, report, ship

NORMALS = 0.1  # share of the normal pictures of the five folds that may be called malignant
SEEDS = 3  # splits into five folds; the answers to a picture are averaged over them
RESULTS = Path(__file__).resolve().parents[1] / "benchmarks" / "results" / "breast_ultrasound.json"
LESIONS = ("benign", "malignant")


def main(options: Namespace) -> None:
    known = pictures()
    seen, cases = Seen.of(known), [picture.case for picture in known]
    splits = [crossed(seen, cases, seed) for seed in range(SEEDS)]
    scores: Scores = [
        {name: float(np.mean([split[n][name] for split in splits])) for name in split} for n, split in enumerate(splits[0])
    ]
    groups = len({case.subject for case in cases})
    on = f"BUSI, five-fold, {SEEDS} splits, {len(cases)} pictures in {groups} groups of alike ones"
    rows = [accuracy_row(scores, cases, on), auc_row(scores, cases, "malignant", on), *of_lesions(scores, cases, "")]
    for number, split in enumerate(splits, start=1):
        rows += of_lesions(split, cases, f", split {number} alone")[:1]
    rows += against_former(scores, cases)
    shift = malignant_shift(scores, cases)
    after = [moved(score, shift) for score in scores]
    for answers, said in ((scores, "as fitted"), (after, "calibrated")):
        for of in ("normal", "malignant"):
            called = [{"malignant": float(max(one, key=lambda name: one[name]) == "malignant")} for one in answers]
            rows.append(above_half_row(called, cases, "malignant", of, f"{on}, called so, {said}"))
    kept = [
        {"picture": case.name, "group": case.subject, "truth": case.category, "as_trained": before, "calibrated": one}
        for case, before, one in zip(cases, scores, after, strict=True)
    ]
    RESULTS.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    model = model_of(fitted(seen, range(len(cases))), known)
    weights = {**model.weights, "head.bias": model.weights["head.bias"] - torch.tensor([0.0, 0.0, shift])}
    ship(replace(model, weights=weights), "breast_ultrasound_class", rows, options.output)


def crossed(seen: Seen, cases: Sequence[Case], seed: int) -> Scores:
    """For each picture what a network says that was fitted without its fold."""
    found: dict[int, dict[str, float]] = {}
    for fold in folds(cases, seed):
        rest = sorted(set(range(len(cases))) - set(fold))
        found |= dict(zip(fold, answered(fitted(seen, rest, seed), seen, fold), strict=True))
    report(f"split {seed + 1} of {SEEDS}")
    return [found[number] for number in range(len(cases))]


def of_lesions(scores: Scores, cases: Sequence[Case], more: str, among: Sequence[int] | None = None) -> list[Row]:
    """Balanced accuracy and AUROC of malignant against benign, by the share of malignant in both."""
    numbers = [n for n, case in enumerate(cases) if case.category in LESIONS and (among is None or n in among)]
    chosen = [cases[n] for n in numbers]
    sums = [scores[n]["benign"] + scores[n]["malignant"] for n in numbers]
    odds = [{name: scores[n][name] / total for name in LESIONS} for n, total in zip(numbers, sums, strict=True)]
    on = f"the {len(chosen)} pictures with a lesion, five-fold{more}"
    return [accuracy_row(odds, chosen, on), auc_row(odds, chosen, "malignant", on)]


def against_former(scores: Scores, cases: Sequence[Case]) -> list[Row]:
    """On the pictures that the former network (trained from nothing) was asked about in five folds, by both."""
    former = json.loads((RESULTS.parent / "breast_ultrasound_former.json").read_text(encoding="utf-8"))
    answers = {row["picture"]: row["as_trained"] for row in former}
    among = [number for number, case in enumerate(cases) if case.name in answers]
    theirs: Scores = [answers.get(case.name, {name: 1.0 for name in score}) for case, score in zip(cases, scores, strict=True)]
    rows = of_lesions(scores, cases, ", those of the former network", among)
    return rows + of_lesions(theirs, cases, ", by the former network from nothing", among)


def malignant_shift(scores: Scores, pictures: Sequence[Case]) -> float:
    """By how much the log of the probability of malignant is lowered, so that at most ``NORMALS`` of the normal are called so."""
    normal = [score for score, case in zip(scores, pictures, strict=True) if case.category == "normal"]
    ahead = [float(np.log(one["malignant"] + 1e-9) - np.log(max(one["normal"], one["benign"]) + 1e-9)) for one in normal]
    return max(0.0, sorted(ahead, reverse=True)[int(NORMALS * len(ahead))] + 1e-3)


def moved(score: dict[str, float], shift: float) -> dict[str, float]:
    """A picture's probabilities after the shift."""
    raised = {name: chance * (float(np.exp(-shift)) if name == "malignant" else 1.0) for name, chance in score.items()}
    return {name: round(chance / sum(raised.values()), 4) for name, chance in raised.items()}


RECIPE = Recipe(__doc__, main)

if __name__ == "__main__":
    RECIPE.run()
