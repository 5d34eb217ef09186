"""Left lung, right lung and what lies between them, from the shipped lung model, which never saw JSRT's films.

The regions that casewise ships were trained on those films too; a benchmark that took them would know their lungs beforehand.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from casewise.errors import CasewiseError
from casewise.image import Image

_LEAST = 0.01  # of the image, for a part to be a lung


def chest_regions(image: Image, device: str = "cpu") -> dict[str, npt.NDArray[np.bool_]]:
    """``right_lung``, ``left_lung`` and ``heart`` (what lies between their lower two thirds), (*spatial) bool."""
    from scipy.ndimage import label

    from casewise.models import shipped

    mask = shipped.load("lungs").predict(image.with_array(image.array[:1]), device).mask > 0
    parts, count = label(mask[::4, ::4])
    parts = parts.repeat(4, 0).repeat(4, 1)[: mask.shape[0], : mask.shape[1]] * mask
    sizes = np.bincount(parts.ravel(), minlength=count + 1)[1:]
    largest = [int(n) + 1 for n in np.argsort(-sizes)[:2] if sizes[n] > _LEAST * mask.size]
    if not largest:
        msg = "No lung was found in this image; give a frontal chest radiograph."
        raise CasewiseError(msg)
    columns = np.arange(mask.shape[1])
    if len(largest) == 2:
        lungs = sorted((parts == n for n in largest), key=lambda part: float((part.sum(0) * columns).sum() / part.sum()))
    else:
        middle = int((mask.sum(0) * columns).sum() / mask.sum())
        lungs = [mask & (columns < middle), mask & (columns >= middle)]
    return {"right_lung": lungs[0], "left_lung": lungs[1], "heart": _between(*lungs)}


def _between(right: npt.NDArray[np.bool_], left: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    rows = np.flatnonzero(right.any(1) & left.any(1))
    between = np.zeros_like(right)
    for row in rows[len(rows) // 3 :]:
        start, stop = np.flatnonzero(right[row])[-1] + 1, np.flatnonzero(left[row])[0]
        between[row, start : max(start, stop)] = True
    return between
