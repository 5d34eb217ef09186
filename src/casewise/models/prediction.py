"""What a model answers about an image, on the image's own grid."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from casewise.header import Header
from casewise.label_map import LabelMap, Numbered
from casewise.models.regions import Regions, masks_of


@dataclass(frozen=True, eq=False)
class Prediction:
    """A segmenter fills ``probabilities``, or ``winners`` and ``certainty``; a classifier ``scores``.

    labels : names of the structures or classes.
    probabilities : (1 + structures, *spatial) float32, background first, summing to 1; None from a classifier.
    scores : class name → probability; empty from a segmenter. affine : the image's.
    winners, certainty : (*spatial) uint8, 0 background and n the n-th structure, and (*spatial) float32, its probability, from a
        segmenter of so many structures that all their probabilities would not fit into memory.
    regions : of structures that overlap, which of the probabilities' kinds make up each (:mod:`casewise.models.regions`).
    header : of the structures' masks, as of :class:`casewise.label_map.LabelMap`.
    """

    labels: tuple[str, ...]
    probabilities: npt.NDArray[np.float32] | None = None
    scores: Mapping[str, float] = field(default_factory=dict)
    affine: npt.NDArray[np.float64] = field(default_factory=lambda: np.eye(4))
    regions: Regions = ()
    winners: npt.NDArray[np.uint8] | None = None
    certainty: npt.NDArray[np.float32] | None = None
    header: Header = field(default_factory=Header)

    @property
    def outlines(self) -> bool:
        """Whether it is a segmenter's."""
        return self.probabilities is not None or self.winners is not None

    @property
    def mask(self) -> npt.NDArray[np.uint8]:
        """(*spatial): 0 background, n the n-th structure."""
        if self.winners is not None:
            return self.winners
        if self.probabilities is None:
            msg = "a classifier's prediction has no mask"
            raise AttributeError(msg)
        return np.asarray(self.probabilities.argmax(axis=0).astype(np.uint8))

    def masks(self) -> LabelMap:
        """The structures, each (*spatial) bool, on the image's grid; empty from a classifier."""
        if not self.outlines:
            return LabelMap()
        mask = self.mask
        if self.winners is not None:
            return LabelMap(Numbered(mask, self.labels), self.affine, mask.shape, self.header)
        return LabelMap(masks_of(mask, self.labels, self.regions), self.affine, mask.shape, self.header)

    def chance(self, structure: int, mask: npt.NDArray[np.bool_]) -> float:
        """The mean probability of a structure (its number, from 0) over the voxels of its mask (*spatial)."""
        if self.probabilities is None:
            if self.certainty is None:
                raise AttributeError("a classifier's prediction has no structures")
            return float(self.certainty[mask].mean(dtype=np.float64))
        kinds = self.regions[structure] if self.regions else (structure + 1,)
        return float(self.probabilities[list(kinds)][:, mask].sum(axis=0).mean(dtype=np.float64))


def blend(first: Prediction, second: Prediction, share: float = 0.5) -> Prediction:
    """The mean of two predictions of one image: ``share`` of the second, the rest of the first."""
    if first.probabilities is not None and second.probabilities is not None:
        mixed = (1 - share) * first.probabilities + share * second.probabilities
        return replace(first, probabilities=mixed.astype(np.float32))
    scores = {name: (1 - share) * first.scores[name] + share * second.scores[name] for name in first.labels}
    return Prediction(first.labels, scores=scores)
