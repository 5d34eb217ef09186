"""Tuberculosis from one site to the other: networks of the whole picture and of the lungs alone, statistics of the lungs' texture,
and the mean of all three.

The regions are casewise's own, which were trained on masks of both sites; they know nothing of disease.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmarks._irregularities_texture import resized, texture
from benchmarks.tables import measured, spread, table
from casewise.case import Case
from casewise.chest import regions
from casewise.image import Box, Image
from casewise.intensity import unit_range
from casewise.models import Model
from casewise.models.preparation import Preparation
from casewise.models.spec import Spec
from casewise.statistics import auc
from casewise.training import Settings, fit
from experiments import store
from experiments.cases import chest
from experiments.nodules.radiographs import WORK

STEPS, SEEDS = 300, (1, 2)
CLASSES = ("normal", "tuberculosis")
SITES = ("shenzhen", "montgomery")
EDGE, NETWORKS = 96, ("whole picture", "lungs alone")
TEXTURE = "texture of the lungs"
STRENGTHS = (0.003, 0.01, 0.03, 0.1)  # of the regression, chosen within the site learnt from
Floats = npt.NDArray[np.float32]
Scores = npt.NDArray[np.float64]


def tuberculosis_rows(learnt: str, asked: str) -> list[dict[str, Any]]:
    """A row a film of ``asked``: its log-odds by each view, learnt from ``learnt``."""
    scores = [np.mean([_odds(_scores(view, learnt, asked, seed)) for seed in SEEDS], axis=0) for view in NETWORKS]
    scores.append(_texture_scores(learnt, asked))
    columns = dict(zip((*NETWORKS, TEXTURE), np.round(scores, 5).tolist(), strict=True))
    return [
        {"film": case.name, "ill": case.category == CLASSES[1]} | {view: of[n] for view, of in columns.items()}
        for n, case in enumerate(chest(asked))
    ]


def tuberculosis_table(rows: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """rows : by ``learnt → asked``."""
    lines, views = [], (*NETWORKS, TEXTURE)
    for pair, films in rows.items():
        truth = np.array([film["ill"] for film in films])
        scores = [np.array([film[view] for film in films]) for view in views]
        scores.append(np.mean([(score - score.mean()) / score.std() for score in scores], axis=0))
        cells = [measured(lambda drawn, own=own, true=truth: auc(own[drawn], true[drawn]), len(films)) for own in scores]
        lines.append([pair, *(spread(cell, ".3f", ".2f") for cell in cells)])
    return table(["trained on → measured on", *views, "mean of the three"], lines)


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
    path = WORK / "tuberculosis" / f"texture-{site}.npz"
    return store.arrays(path, lambda: {"x": np.stack([texture(film, lungs) for film, lungs in _films(site)])})["x"]


def _films(site: str) -> list[tuple[Floats, tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]]]:
    """Each film's pixels and lungs, which are kept on disk."""
    cases = chest(site)

    def outlined() -> dict[str, np.ndarray]:
        found = [regions(case.image, "cpu").by_place for case in cases]  # some films do not say which side is which
        return {side: np.stack([one[side] for one in found]) for side in ("left_lung", "right_lung")}

    masks = store.arrays(WORK / "tuberculosis" / f"lungs-{site}.npz", outlined)
    sides = masks["left_lung"], masks["right_lung"]
    return [(case.image.array[0].astype(np.float32), (sides[0][n], sides[1][n])) for n, case in enumerate(cases)]


def _scores(view: str, learnt: str, asked: str, seed: int) -> list[float]:
    def answers() -> list[float]:
        network = {"kind": "classifier", "channels": [16, 32, 64, 96], "patch": 2}
        preparation = Preparation(2, (EDGE, EDGE), 1, "window", (0.0, 255.0))
        spec = Spec("classification", network, preparation, classes=CLASSES)
        settings = Settings(steps=STEPS, batch=8, rate=1e-3, seed=seed, device="cpu", mixed=True)
        model = fit(Model.initial("tuberculosis", spec, seed), _cases(view, learnt), settings=settings, method="initial")
        return [model.predict(case.image, "cpu").scores[CLASSES[1]] for case in _cases(view, asked)]

    path = WORK / "tuberculosis" / f"{view.replace(' ', '-')}-{learnt}-{seed}.json"
    return list(store.rows(path, answers))


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
    """(96, 96), 0 to 255: the box around the lungs, each lung pixel given by its rank (which takes out how a film was exposed and
    developed), all else by their middle, so that borders and burnt-in text are gone.
    """
    both = lungs[0] | lungs[1]
    box = Box.around(both) or Box((0, 0), both.shape)
    small, inside = resized(film[box.slices], EDGE), resized(both[box.slices].astype(np.float32), EDGE) > 0.5
    ranks = np.argsort(np.argsort(small[inside], kind="stable"), kind="stable") / max(1, int(inside.sum()))
    picture = np.full((EDGE, EDGE), 127.5, np.float32)
    picture[inside] = ranks * 255
    return picture
