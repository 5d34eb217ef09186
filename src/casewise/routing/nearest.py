"""Which categories the training images are of that lie nearest to an image: what its category can be understood by."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class NearestCategory:
    """A category, and its share of the training images that are nearest to the image's views."""

    category: str
    share: float

    def to_json(self) -> dict[str, object]:
        return {"category": self.category, "share": self.share}


def nearest_categories(nearest: npt.NDArray[np.int64], categories: Sequence[str]) -> tuple[NearestCategory, ...]:
    """Of the training images nearest to each view, the largest share first; the shares sum to 1.

    nearest : (views, k) their categories, as :class:`casewise.routing.out_of_distribution.Near` has them.
    """
    counted = Counter(categories[number] for number in nearest.ravel().tolist())
    total = counted.total()
    return tuple(
        NearestCategory(name, number / total) for name, number in sorted(counted.items(), key=lambda one: (-one[1], one[0]))
    )
