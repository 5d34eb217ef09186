"""How unlike every category an image is: two scores over its features, added.

The cosine distance to the k-th nearest neighbour (Sun 2022) says how far an image lies from everything known, however sure a
classifier is of it. The network's own odds of *unknown*, learnt from made-up pictures of nothing (outlier exposure, Hendrycks
2019), know noise and scraps that come to lie near something known; of a real image of another kind they say less than the distance
does, so that they count only where they pass what known images reach. Their sum is the *strangeness*. The probability of *unknown*
stands among those of the categories: it is 1 % at the strangeness that half of the known held-out images have, and it wins over
the best category for 1 % of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import logsumexp

from casewise.probability import logistic

Matrix = npt.NDArray[np.float32]
Array = npt.NDArray[np.float64]
NEIGHBOUR = 5
FALSE_UNKNOWN = 0.01  # share of known images that may be called unknown
_AT_MEDIAN = 0.01  # probability of unknown at the median strangeness of known images
_BLOCK = 4096


@dataclass(frozen=True, eq=False)
class Neighbours:
    """bank : (n, features), of unit length: the known images' features."""

    bank: Matrix

    @classmethod
    def of(cls, features: Matrix) -> Neighbours:
        return cls(unit(features).astype(np.float16).astype(np.float32))

    def distances(self, features: Matrix) -> Array:
        """(n,): 1 − the cosine to the ``NEIGHBOUR``-th nearest of the bank (to the farthest, where it has fewer)."""
        k = min(NEIGHBOUR, len(self.bank))
        found = []
        for start in range(0, len(features), _BLOCK):
            likeness = unit(features[start : start + _BLOCK]) @ self.bank.T
            found.append(1 - np.partition(likeness, -k, axis=1)[:, -k])
        return np.concatenate(found).astype(np.float64) if found else np.zeros(0)


@dataclass(frozen=True)
class Doubt:
    """strangeness = distance + weight · max(0, odds − highest); the odds of *unknown* beside the best category are
    exp((strangeness − middle) / width). highest : odds that 1 % of known images pass.
    """

    middle: float
    width: float
    weight: float = 0.0
    highest: float = 0.0

    def strangeness(self, distance: Array, odds: Array) -> Array:
        return np.asarray(distance + self.weight * np.maximum(0, odds - self.highest))

    def probability(self, strangeness: float) -> float:
        return float(logistic((strangeness - self.middle) / self.width))

    @classmethod
    def fit(cls, distances: Array, odds: Array, best: Array, images: int, share: float = FALSE_UNKNOWN) -> Doubt:
        """From pictures of known held-out images: their distances, the network's odds, the best category's probability of each.

        images : of how many different images they are. The fewer, the less is known of the rare ones: spreads are taken wider by
        2 / √images. *Unknown* wins where its odds exceed the best category's probability p, that is where
        strangeness − width · ln p > middle.
        """
        weight = _spread(distances, share) / max(_spread(odds, share), 1e-4)
        highest = float(np.quantile(odds, 1 - share))
        strangeness = distances + weight * np.maximum(0, odds - highest)
        wider = 1 + 2 / np.sqrt(max(1, images))
        width = wider * max(_spread(strangeness, share), 1e-4) / np.log(1 / _AT_MEDIAN)
        decided = strangeness - width * np.log(best + 1e-12)
        middle = float(np.median(decided) + wider * _spread(decided, share))
        return cls(middle, float(width), float(weight), highest)


def odds(logits: Matrix) -> Array:
    """(n,): ln of the network's odds of its last class, *unknown*, against all the others; ``logits`` is (n, classes)."""
    return np.asarray(logits[:, -1] - logsumexp(logits[:, :-1], axis=1), np.float64)


def _spread(values: Array, share: float) -> float:
    return float(np.quantile(values, 1 - share) - np.median(values))


def unit(features: Matrix) -> Matrix:
    return np.asarray(features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-6))
