"""Which categories the training images are of that lie nearest to an image: what its category can be understood by."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from casewise.routing.classifiers import Svm
from casewise.routing.out_of_distribution import NEIGHBOUR, Neighbours, unit


@dataclass(frozen=True)
class NearestCategory:
    """A category, and its share of the training images that are nearest to the image's views."""

    category: str
    share: float

    def to_json(self) -> dict[str, object]:
        return {"category": self.category, "share": self.share}


def nearest_categories(
    features: npt.NDArray[np.float32], neighbours: Neighbours, svm: Svm, categories: Sequence[str]
) -> tuple[NearestCategory, ...]:
    """Of the five training images nearest to each view by the cosine, the largest share first; the shares sum to 1.

    features : (views, features). A router keeps its training images' features, not their categories: each is of the one that the
    router's own support vector machine gives it, at the length of the view's features.
    """
    if not np.isfinite(features).all():
        return ()
    count = min(NEIGHBOUR, len(neighbours.bank))
    likeness = unit(features) @ neighbours.bank.T
    places = np.argpartition(likeness, -count, axis=1)[:, -count:]
    lengths = np.linalg.norm(features, axis=1)[:, None, None]
    found = (neighbours.bank[places] * lengths).reshape(-1, features.shape[1]).astype(np.float32)
    counted = Counter(categories[number] for number in svm.scores(found).argmax(axis=1))
    total = counted.total()
    return tuple(
        NearestCategory(name, number / total) for name, number in sorted(counted.items(), key=lambda one: (-one[1], one[0]))
    )
