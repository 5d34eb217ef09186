"""Free-response ROC: how many of the true findings are hit at so many false ones an image (Bunch 1978)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from casewise.irregularities.box_fusion import Detection

RATES = (0.5, 1.0, 2.0, 4.0)


@dataclass(frozen=True)
class Target:
    """A true finding: its centre, and within how many pixels of it a detection's centre must lie to hit it."""

    row: float
    column: float
    reach: float


@dataclass(frozen=True, eq=False)
class Outcome:
    """Of one image. hits : for each true finding the highest probability of a detection that hits it, −1 where none does.
    misses : the probabilities of detections that hit nothing; further ones that hit the same finding count as neither.
    """

    hits: npt.NDArray[np.float64]
    misses: npt.NDArray[np.float64]


def outcome(found: Sequence[Detection], targets: Sequence[Target]) -> Outcome:
    hits = np.full(len(targets), -1.0)
    misses = []
    for one in found:
        near = [n for n, t in enumerate(targets) if np.hypot(one.row - t.row, one.column - t.column) <= t.reach]
        for number in near:
            hits[number] = max(hits[number], one.probability)
        if not near:
            misses.append(one.probability)
    return Outcome(hits, np.array(misses, float))


def threshold(outcomes: Sequence[Outcome], rate: float) -> float:
    """The least probability above which there are at most ``rate`` misses an image."""
    misses = np.sort(np.concatenate([one.misses for one in outcomes]))[::-1]
    allowed = int(np.floor(rate * len(outcomes) + 1e-9))
    return float(misses[allowed]) if allowed < len(misses) else -0.5


def sensitivity(outcomes: Sequence[Outcome], rate: float) -> float:
    """The share of true findings hit at ``rate`` misses an image; NaN where there are none."""
    hits = np.concatenate([one.hits for one in outcomes])
    return float((hits > threshold(outcomes, rate)).mean()) if len(hits) else float("nan")
