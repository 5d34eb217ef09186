"""Tuberculosis from one site to the other: by the whole picture, by the lungs alone, and by the mean of both."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

from benchmarks._cases import chest
from benchmarks._irregularities_data import WORK
from benchmarks._irregularities_regions import chest_regions
from benchmarks._statistics import auc, paired_bootstrap
from casewise.case import Case
from casewise.image import Box, Image
from casewise.models import Model
from casewise.models.preparation import Preparation
from casewise.models.spec import Spec
from casewise.training import Settings, fit

EDGE, STEPS, SEEDS = 96, 300, (1, 2)
CLASSES = ("normal", "tuberculosis")
SITES = ("shenzhen", "montgomery")
VIEWS = ("whole picture", "lungs alone")


def tuberculosis_table() -> list[str]:
    lines = [
        f"Shenzhen 80 films (40 with tuberculosis) and Montgomery 60 (27), of 512 pixels; mean of {len(SEEDS)} networks, "
        f"{STEPS} steps. Area under the ROC curve with its 95 % bootstrap interval.",
        "",
        "| trained on → measured on | " + " | ".join((*VIEWS, "mean of both")) + " |",
        "|---|---|---|---|",
    ]
    for learnt, asked in (SITES, SITES[::-1]):
        scores = [np.mean([_scores(view, learnt, asked, seed) for seed in SEEDS], axis=0) for view in VIEWS]
        truth = np.array([case.category == CLASSES[1] for case in chest(asked)])
        cells = [_cell(score, truth) for score in (*scores, np.mean(scores, axis=0))]
        lines.append(f"| {learnt.capitalize()} → {asked.capitalize()} | " + " | ".join(cells) + " |")
    return lines


def _cell(scores: npt.NDArray[np.float64], truth: npt.NDArray[np.bool_]) -> str:
    def measure(drawn: np.ndarray) -> float:
        return auc(scores[drawn], truth[drawn]) if 0 < truth[drawn].sum() < len(drawn) else 0.5

    low, high, _ = paired_bootstrap(measure, len(truth))
    return f"{auc(scores, truth):.3f} ({low:.2f} to {high:.2f})"


def _scores(view: str, learnt: str, asked: str, seed: int) -> list[float]:
    kept = WORK / "tuberculosis" / f"{view.replace(' ', '-')}-{learnt}-{seed}.json"
    if not kept.exists():
        kept.parent.mkdir(parents=True, exist_ok=True)
        network = {"kind": "classifier", "channels": [16, 32, 64, 96], "patch": 2}
        spec = Spec("classification", network, Preparation(2, (EDGE, EDGE), 1, "window", (0.0, 255.0)), classes=CLASSES)
        settings = Settings(steps=STEPS, batch=8, rate=1e-3, seed=seed, device="cpu", mixed=True)
        model = fit(Model.initial("tuberculosis", spec, seed), _cases(view, learnt), settings=settings, method="initial")
        answers = [model.predict(case.image, "cpu").scores[CLASSES[1]] for case in _cases(view, asked)]
        kept.write_text(json.dumps(answers), encoding="utf-8")
    return list(json.loads(kept.read_text(encoding="utf-8")))


def _cases(view: str, site: str) -> Sequence[Case]:
    kept = WORK / "tuberculosis" / f"{view.replace(' ', '-')}-{site}.npz"
    cases = chest(site)
    if not kept.exists():
        np.savez(kept, pictures=np.stack([_picture(case.image, view) for case in cases]))
    pictures = np.load(kept)["pictures"]
    return [
        Case.of(Image(picture[None]), category=case.category, site=site, subject=case.subject, name=case.name)
        for picture, case in zip(pictures, cases, strict=True)
    ]


def _picture(image: Image, view: str) -> npt.NDArray[np.float32]:
    """(96, 96), 0 to 255: the film as it is, or the box around its lungs, each lung pixel told by its rank (which takes out
    how a film was exposed and developed), all else by their middle.
    """
    array = image.array[0].astype(np.float32)
    if view == VIEWS[0]:
        small = _resized(array)
        low, high = np.percentile(small, (0.5, 99.5))
        return np.asarray(np.clip((small - low) / (high - low), 0, 1) * 255, np.float32)
    found = chest_regions(image)
    lungs = found["left_lung"] | found["right_lung"]
    box = Box.around(lungs)
    window = box.slices if box is not None else (slice(None), slice(None))
    small, inside = _resized(array[window]), _resized(lungs[window].astype(np.float32)) > 0.5
    ranks = np.argsort(np.argsort(small[inside], kind="stable"), kind="stable") / max(1, int(inside.sum()))
    picture = np.full((EDGE, EDGE), 127.5, np.float32)
    picture[inside] = ranks * 255
    return picture


def _resized(values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    tensor = torch.from_numpy(np.ascontiguousarray(values))[None, None]
    return functional.interpolate(tensor, size=(EDGE, EDGE), mode="bilinear", align_corners=False, antialias=True)[0, 0].numpy()
