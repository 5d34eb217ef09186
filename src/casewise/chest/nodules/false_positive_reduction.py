"""Fewer false positives, by a second score of each mark: where in the chest it lies, its size, what the other lung shows there.

A round shadow that the other lung shows as well is a nipple, a rib's crossing or a vessel of the hilum rather than a nodule, which
radiologists know and contralateral subtraction (Yoshida 2004) uses.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from casewise.errors import ModelError
from casewise.image import Box
from casewise.irregularities.box_fusion import Detection
from casewise.irregularities.views import stacked
from casewise.models.networks.segment_detector import SegmentDetector
from casewise.probability import logistic
from casewise.segments import Segment, Segments

RIGHT, LEFT, HEART = "right_lung", "left_lung", "heart"
CUES = ("log-odds", "of the other side", "outwards", "outwards²", "downwards", "downwards²", "extent", "heart")
NEAR_MM = 15.0  # of the mirrored place
CANDIDATES = 30  # of a film that are scored again: those that the network marked most strongly
MOST = 3  # marks that a film is given
_LEAST = 1e-6
Floats = npt.NDArray[np.float64]
Field = npt.NDArray[np.float32]


@dataclass(frozen=True)
class FalsePositiveReducer:
    """A logistic regression over :data:`CUES`, one weight a cue, and a shift; and when and from where on it reports marks.

    film_slope, film_shift : by which the log-odds of a film's best candidate become those that it has a nodule at all (Platt 1999).
    film_from : that film's probability from which any mark is reported. mark_from : what each mark must reach then.
    """

    weights: tuple[float, ...]
    shift: float
    film_slope: float = 1.0
    film_shift: float = 0.0
    film_from: float = 0.0
    mark_from: float = 0.0

    @classmethod
    def of(cls, network: SegmentDetector) -> FalsePositiveReducer:
        """The one that a detector's network brings along. Raises ModelError for one without, such as of another body region."""
        kept = network.judge
        if kept is None or kept.in_features != len(CUES):
            raise ModelError(
                f"This detector's network does not bring {len(CUES)} weights to reduce false positives by; take the shipped one."
            )
        reporting = network.reporting
        return cls(
            tuple(kept.weight[0].tolist()),
            float(kept.bias.detach()[0]),
            reporting.film_slope,
            reporting.film_shift,
            reporting.film_from,
            reporting.mark_from,
        )

    def settings(self) -> dict[str, Any]:
        """What :meth:`of` reads, by the names of a network's settings."""
        numbers = asdict(self)
        del numbers["weights"], numbers["shift"]
        return {"cues": len(self.weights), **numbers}

    def tensors(self) -> dict[str, Tensor]:
        """The same by the names of a network's weights."""
        return {"judge.weight": torch.tensor([self.weights]), "judge.bias": torch.tensor([self.shift])}

    def rescored(self, found: Sequence[Detection], lungs: Mapping[str, Box], millimetres: float) -> list[Detection]:
        """The :data:`CANDIDATES` most probable of ``found`` with their probability after the second look, highest first."""
        kept = sorted(found, key=lambda one: -one.probability)[:CANDIDATES]
        odds = cues(kept, lungs, millimetres) @ np.array(self.weights) + self.shift
        chances = logistic(odds)
        again = [replace(one, probability=float(chance)) for one, chance in zip(kept, chances, strict=True)]
        return sorted(again, key=lambda one: -one.probability)

    def film_probability(self, scored: Sequence[Detection]) -> float:
        """That a film has a nodule at all, by its rescored candidates; 0 where it has no candidate."""
        if not scored:
            return 0.0
        best = log_odds(max(one.probability for one in scored))
        return float(logistic(np.array(self.film_slope * best + self.film_shift)))

    def reported(self, scored: Sequence[Detection]) -> list[Detection]:
        """Which of a film's rescored candidates are reported, highest first; none where the film is below ``film_from``."""
        if self.film_probability(scored) < self.film_from:
            return []
        likely = [one for one in scored if one.probability >= self.mark_from]
        return sorted(likely, key=lambda one: -one.probability)[:MOST]


def cues(found: Sequence[Detection], lungs: Mapping[str, Box], millimetres: float) -> Floats:
    """(findings, cues) of an image's findings. lungs : as :func:`lungs_of` gives them; millimetres : of the image's pixels.

    Outwards from the mediastinum and downwards from the apex are counted from −0.5 to 0.5 over the box of the nearer lung.
    """
    if not found:
        return np.zeros((0, len(CUES)))
    odds = np.array([log_odds(one.probability) for one in found])
    places = np.array([(one.row, one.column) for one in found])
    rows = []
    for number, one in enumerate(found):
        side = _side(one, lungs)
        outwards, downwards = _relative(one, lungs[side], side)
        there = _mirrored(outwards, downwards, side, lungs)
        near = np.hypot(*(places - there).T) * millimetres < NEAR_MM
        other = float(odds[near].max()) if near.any() else float(odds.min())
        extent = float(np.log(one.edge * millimetres / NEAR_MM))
        rows.append((odds[number], other, outwards, outwards**2, downwards, downwards**2, extent, float(one.region == HEART)))
    return np.array(rows)


def log_odds(probability: float) -> float:
    kept = min(max(probability, _LEAST), 1 - _LEAST)
    return float(np.log(kept / (1 - kept)))


def lungs_of(regions: Mapping[str, npt.NDArray[np.bool_]]) -> dict[str, Box]:
    """The box of each lung of an upright image; where one is missing, the other's, mirrored in the image."""
    boxes = {name: Box.around(regions[name]) for name in (RIGHT, LEFT) if name in regions}
    found = {name: box for name, box in boxes.items() if box is not None}
    columns = next(iter(regions.values())).shape[1]
    for name, other in ((RIGHT, LEFT), (LEFT, RIGHT)):
        if name not in found and other in found:
            box = found[other]
            found[name] = Box((box.lower[0], columns - box.upper[1]), (box.upper[0], columns - box.lower[1]))
    return found


def in_lungs(segments: Segments, segment: Segment, rows: npt.NDArray[np.float32], columns: npt.NDArray[np.float32]) -> Field:
    """Implements :data:`casewise.irregularities.views.Where`: how far outwards from the mediastinum and downwards from the apex a
    place lies, over the box of the nearer lung, so that both lungs are measured alike.
    """
    lungs = lungs_of(segments.regions)
    middle = _middle(lungs)
    across = np.empty(len(columns))
    down = np.empty((len(rows), len(columns)))
    for side, own in ((RIGHT, columns < middle), (LEFT, columns >= middle)):
        box = lungs[side]
        outwards = (columns[own] - box.lower[1]) / box.shape[1] - 0.5
        across[own] = -outwards if side == RIGHT else outwards
        down[:, own] = ((rows - box.lower[0]) / box.shape[0] - 0.5)[:, None]
    return stacked(np.broadcast_to(across, down.shape), down)


def _middle(lungs: Mapping[str, Box]) -> float:
    return (lungs[RIGHT].upper[1] + lungs[LEFT].lower[1]) / 2


def _side(one: Detection, lungs: Mapping[str, Box]) -> str:
    """The right lung is on the picture's left."""
    return RIGHT if one.column < _middle(lungs) else LEFT


def _relative(one: Detection, box: Box, side: str) -> tuple[float, float]:
    across = (one.column - box.lower[1]) / box.shape[1] - 0.5
    return (-across if side == RIGHT else across), (one.row - box.lower[0]) / box.shape[0] - 0.5


def _mirrored(outwards: float, downwards: float, side: str, lungs: Mapping[str, Box]) -> Floats:
    other = LEFT if side == RIGHT else RIGHT
    box = lungs[other]
    across = -outwards if other == RIGHT else outwards
    return np.array([box.lower[0] + (downwards + 0.5) * box.shape[0], box.lower[1] + (across + 0.5) * box.shape[1]])
