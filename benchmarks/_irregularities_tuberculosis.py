"""Tuberculosis from one site to the other: networks of the whole picture and of the lungs alone, statistics of the lungs' texture,
and the mean of all three.

The regions are casewise's own, which were trained on masks of both sites; they know nothing of disease.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmarks._irregularities_texture import resized, texture
from casewise.case import Case
from casewise.chest import regions
from casewise.image import Box, Image
from casewise.intensity import unit_range
from casewise.models import Model
from casewise.models.preparation import Preparation
from casewise.models.spec import Spec
from casewise.statistics import auc, paired_bootstrap
from casewise.training import Settings, fit
from experiments.cases import chest
from experiments.nodules.radiographs import WORK

STEPS, SEEDS = 300, (1, 2)
CLASSES = ("normal", "tuberculosis")
SITES = ("shenzhen", "montgomery")
EDGE, NETWORKS = 96, ("whole picture", "lungs alone")
TEXTURE = "texture of the lungs"
STRENGTHS = (0.003, 0.01, 0.03, 0.1)  # of the regression, chosen within the site learnt from
TRIED = (
    "Tried besides, and worse or no better on the other site, which was looked at: the lungs' statistics with what "
    "differs between left and right (0.9 within Montgomery, 0.4 to 0.5 from there to Shenzhen: how that site's films of "
    "the sick and of the healthy were made differs), histograms of gradients and curvature, support vector machines, "
    "random trees, and standardising by the other site's own films. What cross-validation within a site prefers says "
    "little of the other site."
)
Floats = npt.NDArray[np.float32]
Scores = npt.NDArray[np.float64]


def tuberculosis_table() -> list[str]:
    views = (*NETWORKS, TEXTURE)
    lines = [
        f"Shenzhen 80 films (40 with tuberculosis) and Montgomery 60 (27), of 512 pixels; networks: mean of {len(SEEDS)}, {STEPS} "
        "steps; texture: logistic regression, its strength by cross-validation within the site learnt from; the mean is of their "
        "standardised log-odds. Area under the ROC curve with its 95 % bootstrap interval.",
        "",
        "| trained on → measured on | " + " | ".join((*views, "mean of the three")) + " |",
        "|---|---|---|---|---|",
    ]
    for learnt, asked in (SITES, SITES[::-1]):
        scores = [np.mean([_odds(_scores(view, learnt, asked, seed)) for seed in SEEDS], axis=0) for view in NETWORKS]
        scores.append(_texture_scores(learnt, asked))
        scores.append(np.mean([(score - score.mean()) / score.std() for score in scores], axis=0))
        truth = np.array([case.category == CLASSES[1] for case in chest(asked)])
        cells = [_cell(score, truth) for score in scores]
        lines.append(f"| {learnt.capitalize()} → {asked.capitalize()} | " + " | ".join(cells) + " |")
    return [*lines, "", TRIED]


def _odds(chances: Sequence[float]) -> Scores:
    kept = np.clip(chances, 1e-4, 1 - 1e-4)
    return np.asarray(np.log(kept / (1 - kept)))


def _texture_scores(learnt: str, asked: str) -> Scores:
    x = {site: _textures(site) for site in (learnt, asked)}
    truth = np.array([case.category == CLASSES[1] for case in chest(learnt)])
    folds = StratifiedKFold(5, shuffle=True, random_state=0)

    def made(strength: float) -> Pipeline:
        return make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=2000))

    within = [
        auc(cross_val_predict(made(strength), x[learnt], truth, cv=folds, method="decision_function"), truth)
        for strength in STRENGTHS
    ]
    return np.asarray(made(STRENGTHS[int(np.argmax(within))]).fit(x[learnt], truth).decision_function(x[asked]), np.float64)


def _textures(site: str) -> Scores:
    kept = WORK / "tuberculosis" / f"texture-{site}.npy"
    if not kept.exists():
        np.save(kept, np.stack([texture(film, lungs) for film, lungs in _films(site)]))
    return np.asarray(np.load(kept))


def _films(site: str) -> list[tuple[Floats, tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]]]:
    """Each film's pixels and lungs, kept on disk."""
    kept = WORK / "tuberculosis" / f"lungs-{site}.npz"
    cases = chest(site)
    if not kept.exists():
        kept.parent.mkdir(parents=True, exist_ok=True)
        found = [regions(case.image, "cpu").masks for case in cases]
        np.savez_compressed(kept, **{side: np.stack([one[side] for one in found]) for side in ("left_lung", "right_lung")})
    with np.load(kept) as masks:
        sides = masks["left_lung"], masks["right_lung"]
    return [(case.image.array[0].astype(np.float32), (sides[0][n], sides[1][n])) for n, case in enumerate(cases)]


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
        preparation = Preparation(2, (EDGE, EDGE), 1, "window", (0.0, 255.0))
        spec = Spec("classification", network, preparation, classes=CLASSES)
        settings = Settings(steps=STEPS, batch=8, rate=1e-3, seed=seed, device="cpu", mixed=True)
        model = fit(Model.initial("tuberculosis", spec, seed), _cases(view, learnt), settings=settings, method="initial")
        answers = [model.predict(case.image, "cpu").scores[CLASSES[1]] for case in _cases(view, asked)]
        kept.write_text(json.dumps(answers), encoding="utf-8")
    return list(json.loads(kept.read_text(encoding="utf-8")))


def _cases(view: str, site: str) -> list[Case]:
    pictures = [_whole(film) if view == NETWORKS[0] else _lungs(film, lungs) for film, lungs in _films(site)]
    return [
        Case.of(Image(picture[None]), category=case.category, site=site, subject=case.subject, name=case.name)
        for picture, case in zip(pictures, chest(site), strict=True)
    ]


def _whole(film: Floats) -> Floats:
    """(96, 96), 0 to 255."""
    return unit_range(resized(film, EDGE)) * np.float32(255)


def _lungs(film: Floats, lungs: tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]) -> Floats:
    """(96, 96), 0 to 255: the box around the lungs, each lung pixel told by its rank (which takes out how a film was exposed and
    developed), all else by their middle, so that borders and burnt-in text are gone.
    """
    both = lungs[0] | lungs[1]
    box = Box.around(both) or Box((0, 0), both.shape)
    small, inside = resized(film[box.slices], EDGE), resized(both[box.slices].astype(np.float32), EDGE) > 0.5
    ranks = np.argsort(np.argsort(small[inside], kind="stable"), kind="stable") / max(1, int(inside.sum()))
    picture = np.full((EDGE, EDGE), 127.5, np.float32)
    picture[inside] = ranks * 255
    return picture
