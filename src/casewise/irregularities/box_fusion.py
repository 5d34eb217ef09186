"""Results of overlapping segments merged in image coordinates (weighted box fusion, Solovyev 2021), and the image's probability."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

IOU = 0.4


@dataclass(frozen=True)
class Detection:
    """row, column : of the centre, in image pixels. edge : of its square box. probability : 0 to 1. region, segment : where it was
    seen best; ``segment`` counts the image's segments from 0.
    """

    row: float
    column: float
    edge: float
    probability: float
    region: str
    segment: int

    def scaled(self, factor: float) -> Detection:
        """The same on a grid of ``factor`` times as many pixels along each axis."""
        return replace(self, row=self.row * factor, column=self.column * factor, edge=self.edge * factor)


def fused(found: Iterable[Detection], iou: float = IOU) -> list[Detection]:
    """Boxes that share at least ``iou`` of their union become one, the most probable first.

    Its place and size are the mean weighted by probability; its probability, region and segment are the most probable one's: a
    place that two segments show is no more probable than the better of them says. One whose middle then lies in a more probable
    one's box is left out: what is seen once more, as a smaller part of itself, is no second irregularity.
    """
    groups: list[list[Detection]] = []
    merged: list[Detection] = []
    for one in sorted(found, key=lambda detection: -detection.probability):
        number = next((n for n, other in enumerate(merged) if overlap(one, other) >= iou), None)
        if number is None:
            groups.append([one])
            merged.append(one)
        else:
            groups[number].append(one)
            merged[number] = _mean(groups[number])
    return _apart(merged)


def _apart(found: Sequence[Detection]) -> list[Detection]:
    kept: list[Detection] = []
    for one in found:
        if all(max(abs(one.row - other.row), abs(one.column - other.column)) > other.edge / 2 for other in kept):
            kept.append(one)
    return kept


def overlap(one: Detection, other: Detection) -> float:
    """Intersection over union of two boxes."""
    sides = [
        min(a + one.edge / 2, b + other.edge / 2) - max(a - one.edge / 2, b - other.edge / 2)
        for a, b in ((one.row, other.row), (one.column, other.column))
    ]
    shared = max(0.0, sides[0]) * max(0.0, sides[1])
    return shared / (one.edge**2 + other.edge**2 - shared)


def noisy_or(probabilities: Sequence[float]) -> float:
    """The chance that at least one is right, were they independent."""
    return float(1 - np.prod(1 - np.asarray(probabilities, float))) if len(probabilities) else 0.0


def _mean(group: Sequence[Detection]) -> Detection:
    weights = np.array([one.probability for one in group]) + 1e-9
    row, column, edge = np.average([(one.row, one.column, one.edge) for one in group], axis=0, weights=weights)
    return replace(group[0], row=float(row), column=float(column), edge=float(edge))
