"""The second look at findings, fitted on the films of the other folds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from casewise.chest.nodules.box_fusion import Detection
from casewise.chest.nodules.false_positive_reduction import CANDIDATES, Judge, cues, lungs_of
from casewise.chest.nodules.views import PIXEL_MM
from experiments.nodules.radiographs import Radiograph

STRENGTH = 1.0  # of the regression, for standardised cues
Found = Mapping[str, Sequence[Detection]]


def judged(films: Sequence[Radiograph], folds: Sequence[Sequence[int]], found: Found) -> dict[str, list[Detection]]:
    """What was found in each film, judged by a regression that was fitted on the films of the other folds."""
    again: dict[str, list[Detection]] = {}
    for fold in folds:
        judge = fitted([film for number, film in enumerate(films) if number not in fold], found)
        for film in (films[number] for number in fold):
            again[film.name] = judge.judged(found[film.name], lungs_of(film.regions), PIXEL_MM)
    return again


def fitted(films: Sequence[Radiograph], found: Found) -> Judge:
    x = np.concatenate([cues(found[film.name][:CANDIDATES], lungs_of(film.regions), PIXEL_MM) for film in films])
    right = np.concatenate([_right(film, found[film.name][:CANDIDATES]) for film in films])
    scaler = StandardScaler().fit(x)
    fit = LogisticRegression(C=STRENGTH, max_iter=1000).fit(scaler.transform(x), right)
    weights = fit.coef_[0] / scaler.scale_
    return Judge(tuple(float(weight) for weight in weights), float(fit.intercept_[0] - weights @ scaler.mean_))


def _right(film: Radiograph, found: Sequence[Detection]) -> npt.NDArray[np.bool_]:
    return np.array([any(np.hypot(one.row - t.row, one.column - t.column) <= t.reach for t in film.nodules) for one in found], bool)
