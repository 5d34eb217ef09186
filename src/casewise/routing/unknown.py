"""How unlike every category an image is: the distance of its features to those of the images that the router was made from.

The cosine distance to the k-th nearest neighbour (Sun 2022) says how far an image lies from everything known, however sure a
classifier is of it. Its probability of being *unknown* stands among those of the categories: it is 1 % at the distance that half
of the known held-out images have, and it wins over the best category for 1 % of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.float32]
NEIGHBOUR = 5
FALSE_UNKNOWN = 0.01  # share of known images that may be called unknown
_AT_MEDIAN = 0.01  # probability of unknown at the median distance of known images
_BLOCK = 4096


@dataclass(frozen=True, eq=False)
class Neighbours:
    """bank : (n, features), of unit length: the known images' features."""

    bank: Matrix

    @classmethod
    def of(cls, features: Matrix) -> Neighbours:
        return cls(unit(features).astype(np.float16).astype(np.float32))

    def distances(self, features: Matrix) -> npt.NDArray[np.float64]:
        """(n,): 1 − the cosine to the ``NEIGHBOUR``-th nearest of the bank (to the farthest, where it has fewer)."""
        k = min(NEIGHBOUR, len(self.bank))
        found = []
        for start in range(0, len(features), _BLOCK):
            likeness = unit(features[start : start + _BLOCK]) @ self.bank.T
            found.append(1 - np.partition(likeness, -k, axis=1)[:, -k])
        return np.concatenate(found).astype(np.float64) if found else np.zeros(0)


@dataclass(frozen=True)
class Doubt:
    """The odds of *unknown* beside the best category: exp((distance − middle) / width)."""

    middle: float
    width: float

    def chance(self, distance: float) -> float:
        return float(1 / (1 + np.exp(-np.clip((distance - self.middle) / self.width, -50, 50))))

    @classmethod
    def fit(cls, distances: npt.NDArray[np.float64], best: npt.NDArray[np.float64], share: float = FALSE_UNKNOWN) -> Doubt:
        """From known held-out images: their distances, and the probability of the best category of each.

        *Unknown* wins where its odds exceed the best category's probability p, that is where distance − width · ln p > middle.
        """
        spread = float(np.quantile(distances, 1 - share) - np.median(distances))
        width = max(spread, 1e-4) / np.log(1 / _AT_MEDIAN)
        return cls(float(np.quantile(distances - width * np.log(best + 1e-12), 1 - share)), width)


def unit(features: Matrix) -> Matrix:
    return features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-6)
