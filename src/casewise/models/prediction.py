"""What a model answers about an image, on the image's own grid."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from casewise.label_map import LabelMap
from casewise.models.regions import Regions, masks_of


@dataclass(frozen=True, eq=False)
class Prediction:
    """A segmenter fills ``probabilities``, a classifier ``scores``.

    labels : names of the structures or classes.
    probabilities : (1 + structures, *spatial) float32, background first, summing to 1; None from a classifier.
    scores : class name → probability; empty from a segmenter. affine : the image's.
    regions : of structures that overlap, which of the probabilities' kinds make up each (:mod:`casewise.models.regions`).
    """

    labels: tuple[str, ...]
    probabilities: npt.NDArray[np.float32] | None = None
    scores: Mapping[str, float] = field(default_factory=dict)
    affine: npt.NDArray[np.float64] = field(default_factory=lambda: np.eye(4))
    regions: Regions = ()

    @property
    def mask(self) -> npt.NDArray[np.uint8]:
        """(*spatial): 0 background, n the n-th structure."""
        if self.probabilities is None:
            msg = "a classifier's prediction has no mask"
            raise AttributeError(msg)
        return np.asarray(self.probabilities.argmax(axis=0).astype(np.uint8))

    def masks(self) -> LabelMap:
        """The structures, each (*spatial) bool, on the image's grid; empty from a classifier."""
        if self.probabilities is None:
            return LabelMap()
        return LabelMap(masks_of(self.mask, self.labels, self.regions), self.affine, self.probabilities.shape[1:])


def blend(first: Prediction, second: Prediction, share: float = 0.5) -> Prediction:
    """The mean of two predictions of one image: ``share`` of the second, the rest of the first."""
    if first.probabilities is not None and second.probabilities is not None:
        mixed = (1 - share) * first.probabilities + share * second.probabilities
        return replace(first, probabilities=mixed.astype(np.float32))
    scores = {name: (1 - share) * first.scores[name] + share * second.scores[name] for name in first.labels}
    return Prediction(first.labels, scores=scores)
