"""The shipped breast ultrasound classifier: ``python -m recipes.breast_ultrasound_class`` writes the model of its name.

BUSI holds several pictures of one lesion and does not say which: pictures that are nearly the same are taken for one subject.
"""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from scipy.sparse.csgraph import connected_components
from skimage.transform import resize

from casewise import formats
from casewise.case import Case
from casewise.hashing import file_key
from casewise.models import Model
from casewise.training import Settings
from casewise.training.initial import Input, train_classifier
from experiments import datasets
from recipes._common import Recipe, Scores, above_half_row, accuracy_row, auc_row, crossed, progress, scores_of, ship

CLASSES = ("normal", "benign", "malignant")
SETTINGS = Settings(steps=400, batch=8, rate=1e-3, validate_every=50, patience=4, device="cpu")
INPUT = Input(size=128, channels=(16, 32, 64, 128))
NORMALS = 0.1  # share of the normal pictures of the five folds that may be called malignant
RESULTS = Path(__file__).resolve().parents[1] / "benchmarks" / "results" / "breast_ultrasound.json"
ALIKE = 0.9  # correlation of two pictures at 32×32 pixels


def cases() -> list[Case]:
    paths = [path for name in sorted(CLASSES) for path in datasets.files(f"busi/{name}/*.png")]
    images = [formats.read(path) for path in paths]
    small = np.stack([resize(image.array.mean(axis=0), (32, 32), anti_aliasing=True).ravel() for image in images])
    _, group = connected_components(np.corrcoef(small) > ALIKE, directed=False)
    return [
        Case(
            key=file_key(path),
            load_image=lambda image=image: image,  # type: ignore[misc]
            category=path.parent.name,
            subject=f"busi/{number}",
            site="busi",
            name=datasets.name_of(path),
        )
        for path, image, number in zip(paths, images, group, strict=True)
    ]


def train(chosen: Sequence[Case]) -> Model:
    return train_classifier(chosen, CLASSES, "casewise-breast-ultrasound", input=INPUT, settings=SETTINGS, progress=progress)


def main(options: Namespace) -> None:
    everything = cases()
    scores = crossed(everything, train, scores_of)
    groups = len({case.subject for case in everything})
    on = f"BUSI, five-fold, {len(everything)} pictures in {groups} groups of alike ones"
    rows = [accuracy_row(scores, everything, on), auc_row(scores, everything, "malignant", on)]
    lesions = [number for number, case in enumerate(everything) if case.category != "normal"]
    both = [everything[number] for number in lesions]
    odds = [{"malignant": scores[n]["malignant"] / (scores[n]["malignant"] + scores[n]["benign"])} for n in lesions]
    rows.append(auc_row(odds, both, "malignant", f"the {len(both)} pictures with a lesion, five-fold"))
    shift = malignant_shift(scores, everything)
    after = [moved(score, shift) for score in scores]
    for answers, said in ((scores, "as trained"), (after, "calibrated")):
        for of in ("normal", "malignant"):
            called = [{"malignant": float(max(one, key=lambda name: one[name]) == "malignant")} for one in answers]
            rows.append(above_half_row(called, everything, "malignant", of, f"{on}, called so, {said}"))
    kept = [
        {"picture": case.name, "group": case.subject, "truth": case.category, "as_trained": before, "calibrated": moved_one}
        for case, before, moved_one in zip(everything, scores, after, strict=True)
    ]
    RESULTS.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    model = train(everything)
    weights = {**model.weights, "head.bias": model.weights["head.bias"] - torch.tensor([0.0, 0.0, shift])}
    ship(replace(model, weights=weights), "breast_ultrasound_class", rows, options.output)


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
