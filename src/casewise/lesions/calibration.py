"""How probable it is that a piece of a map is a lesion: fitted on examinations that the network was not trained on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from casewise.errors import CasewiseError
from casewise.models.tasks.lesions import Calibration

FALSE = 0.05  # share of examinations without a lesion that may have one that is more probable than not


@dataclass(frozen=True)
class Candidate:
    """A piece that a model's rule keeps. mean : the network's mean probability over it. volume : ml. lesion : whether it is one."""

    mean: float
    volume: float
    lesion: bool


def calibrated(examinations: Sequence[tuple[Sequence[Candidate], bool]]) -> Calibration:
    """The calibration by which at most ``FALSE`` of the examinations without a lesion have a piece more probable than half.

    examinations : (candidates, whether there is a lesion) of each. A logistic regression of all candidates, lesions and others of
    equal weight, in which a weight that came out negative is left out; then its intercept is lowered as far as needed.
    Raises CasewiseError where there are no lesions or nothing else among the candidates.
    """
    from sklearn.linear_model import LogisticRegression

    pieces = [piece for own, _ in examinations for piece in own]
    truth = np.array([piece.lesion for piece in pieces], bool)
    if not truth.any() or truth.all():
        raise CasewiseError("A calibration of lesions needs some pieces that are lesions and some that are none.")
    columns = np.stack([_logits(pieces), _volumes(pieces)], axis=1)
    weights = np.zeros(2)
    used = [0, 1]
    while used:
        fitted = LogisticRegression(class_weight="balanced").fit(columns[:, used], truth)
        if (fitted.coef_[0] >= 0).all():
            weights[used] = fitted.coef_[0]
            break
        used.remove(used[int(np.argmin(fitted.coef_[0]))])
    if not used:
        raise CasewiseError("Neither the certainty nor the volume of a piece separates lesions here; nothing can be calibrated.")
    intercept = float(fitted.intercept_[0])
    free = [_best(own, weights) + intercept for own, lesion in examinations if not lesion]
    excess = float(np.quantile(free, 1 - FALSE, method="higher")) if free else 0.0
    return Calibration(intercept - max(0.0, excess + 1e-3) if np.isfinite(excess) else intercept, *(float(w) for w in weights))


def _logits(pieces: Sequence[Candidate]) -> np.ndarray:
    kept = np.clip([piece.mean for piece in pieces], 0.004, 0.996)
    return np.asarray(np.log(kept / (1 - kept)))


def _volumes(pieces: Sequence[Candidate]) -> np.ndarray:
    return np.log(np.maximum([piece.volume for piece in pieces], 1e-6))


def _best(pieces: Sequence[Candidate], weights: np.ndarray) -> float:
    return float((np.stack([_logits(pieces), _volumes(pieces)], axis=1) @ weights).max()) if pieces else -np.inf
