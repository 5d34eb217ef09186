"""Bootstrap intervals, paired tests and the area under the ROC curve, by patient."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence

import numpy as np
import numpy.typing as npt

RESAMPLES = 2000
Numbers = npt.NDArray[np.int64]


def interval(values: Sequence[float], seed: int = 0) -> tuple[float, float]:
    """95 % bootstrap interval of the mean."""
    array = np.asarray(values, float)
    rng = np.random.default_rng(seed)
    means = array[rng.integers(len(array), size=(RESAMPLES, len(array)))].mean(axis=1)
    return float(np.percentile(means, 2.5)), float(np.percentile(means, 97.5))


def paired_p(first: Sequence[float], second: Sequence[float]) -> float:
    """Two-sided Wilcoxon signed-rank test of patients' values; 1 where nothing differs."""
    from scipy import stats  # slow to import

    differences = np.asarray(first, float) - np.asarray(second, float)
    if not np.any(np.abs(differences) > 1e-12):
        return 1.0
    return float(stats.wilcoxon(differences).pvalue)


def auc(scores: npt.ArrayLike, truth: npt.ArrayLike) -> float:
    """Area under the ROC curve, from ranks; 0.5 where all are true, or none."""
    from scipy import stats

    ranks, positive = stats.rankdata(scores), np.asarray(truth, bool)
    n, m = int(positive.sum()), int((~positive).sum())
    return float((ranks[positive].sum() - n * (n + 1) / 2) / (n * m)) if n and m else 0.5


def paired_bootstrap(measure: Callable[[Numbers], float | None], count: int, seed: int = 0) -> tuple[float, float, float]:
    """(2.5 %, 97.5 %, p) of ``measure(numbers of the patients drawn)``; p: of a difference that is 0 under the null hypothesis.

    Draws for which the measure is None are left out.
    """
    rng = np.random.default_rng(seed)
    drawn = [measure(rng.integers(count, size=count)) for _ in range(RESAMPLES)]
    values = np.array([value for value in drawn if value is not None])
    p = 2 * min((values <= 0).mean(), (values >= 0).mean())
    return float(np.percentile(values, 2.5)), float(np.percentile(values, 97.5)), float(min(1.0, max(p, 1 / RESAMPLES)))


def grouped(names: Sequence[Hashable]) -> Callable[[Numbers], Numbers]:
    """From numbers of groups (patients, in the order in which they first appear) to the numbers of all that belong to them."""
    members: dict[Hashable, list[int]] = {}
    for number, name in enumerate(names):
        members.setdefault(name, []).append(number)
    groups = [np.asarray(numbers) for numbers in members.values()]
    return lambda drawn: np.concatenate([groups[number] for number in drawn])
