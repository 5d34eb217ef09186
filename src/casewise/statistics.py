"""Intervals and paired tests, by patient."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from scipy import stats

_ROUNDS = 2000


def interval(values: Sequence[float], seed: int = 0) -> tuple[float, float]:
    """95 % bootstrap interval of the mean."""
    array = np.asarray(values, float)
    rng = np.random.default_rng(seed)
    means = array[rng.integers(len(array), size=(_ROUNDS, len(array)))].mean(axis=1)
    return float(np.percentile(means, 2.5)), float(np.percentile(means, 97.5))


def paired_p(first: Sequence[float], second: Sequence[float]) -> float:
    """Two-sided Wilcoxon signed-rank test of patients' values; 1 where nothing differs."""
    differences = np.asarray(first, float) - np.asarray(second, float)
    if not np.any(np.abs(differences) > 1e-12):
        return 1.0
    return float(stats.wilcoxon(differences).pvalue)


def auc(scores: Sequence[float], truth: Sequence[bool]) -> float:
    """Area under the ROC curve, from ranks."""
    ranks = stats.rankdata(scores)
    positive = np.asarray(truth, bool)
    n, m = int(positive.sum()), int((~positive).sum())
    return float((ranks[positive].sum() - n * (n + 1) / 2) / (n * m))


def paired_bootstrap(measure: Callable[[np.ndarray], float], count: int, seed: int = 0) -> tuple[float, float, float]:
    """(2.5 %, 97.5 %, p) of ``measure(numbers of the patients drawn)``, a difference that is 0 under the null hypothesis."""
    rng = np.random.default_rng(seed)
    values = np.array([measure(rng.integers(count, size=count)) for _ in range(_ROUNDS)])
    p = 2 * min((values <= 0).mean(), (values >= 0).mean())
    return float(np.percentile(values, 2.5)), float(np.percentile(values, 97.5)), float(min(1.0, max(p, 1 / _ROUNDS)))
