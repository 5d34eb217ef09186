"""Left lung, right lung and what lies between them, from a network that never saw JSRT's films.

The regions that casewise ships were trained on those films too; a benchmark that took them would know their lungs beforehand.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt

from casewise.errors import CasewiseError
from casewise.image import Image
from casewise.models import Model

_LEAST = 0.01  # of the image, for a part to be a lung


def chest_regions(image: Image, device: str = "cpu") -> dict[str, npt.NDArray[np.bool_]]:
    """``right_lung``, ``left_lung`` and ``heart`` (what lies between their lower two thirds), (*spatial) bool."""
    masks = _lungs().predict(image.with_array(image.array[:1]), device).masks()
    lungs = [_largest(masks[name]) for name in ("right_lung", "left_lung")]
    if min(lung.mean() for lung in lungs) < _LEAST:
        msg = "A lung was not found in this image; give a frontal chest radiograph."
        raise CasewiseError(msg)
    return {"right_lung": lungs[0], "left_lung": lungs[1], "heart": _between(*lungs)}


@cache
def _lungs() -> Model:
    """Learnt from Shenzhen and Montgomery alone, as in the benchmark of regions, which keeps it."""
    from experiments.regions.cases import all_sites
    from experiments.regions.runs import base

    return base(all_sites())


def _largest(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    from scipy.ndimage import label

    parts, count = label(mask[::4, ::4])
    if count < 2:
        return mask
    largest = parts == int(np.argmax(np.bincount(parts.ravel())[1:])) + 1
    return largest.repeat(4, 0).repeat(4, 1)[: mask.shape[0], : mask.shape[1]] & mask


def _between(right: npt.NDArray[np.bool_], left: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    rows = np.flatnonzero(right.any(1) & left.any(1))
    between = np.zeros_like(right)
    for row in rows[len(rows) // 3 :]:
        start, stop = np.flatnonzero(right[row])[-1] + 1, np.flatnonzero(left[row])[0]
        between[row, start : max(start, stop)] = True
    return between
