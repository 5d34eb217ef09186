"""Measures of an image's quality, each from one plane; what counts as too much is decided elsewhere."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from casewise.applications.planes import Plane

Mask = npt.NDArray[np.bool_]
# Immerkær, Fast noise variance estimation, CVIU 64 (1996): blind to edges and slopes; its sum of squares is 36.
_LAPLACIANS = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], dtype=np.float32)
_MAD = 0.6745
_BANDS = 8
_WALL = 0.1  # how much brighter than the lung a chest wall is, of the range of values


def clipped_percent(native: npt.NDArray[np.float32], low: bool = False) -> float:
    """Share of pixels in plateaus (3×3 or more) of the highest value, or of the lowest, that do not touch the image's edge.

    A saturated detector or too narrow a window makes such plateaus; a frame or the air around the patient touches the edge.
    """
    at_end = native == (native.min() if low else native.max())
    plateau = _all_of_three(_all_of_three(at_end, 0), 1)
    if not plateau.any():
        return 0.0
    factor = max(1, max(plateau.shape) // 512)
    pieces, _ = ndimage.label(plateau[::factor, ::factor])
    outer = np.unique(np.concatenate([pieces[0], pieces[-1], pieces[:, 0], pieces[:, -1]]))
    return 100 * float(np.mean((pieces > 0) & ~np.isin(pieces, outer)))


def blur(small: Plane) -> float:
    """Crété-Roffet's blur (2007): how little a further blur changes the picture, 0 (sharp) to 1."""
    from skimage.measure import blur_effect

    return float(blur_effect(np.clip(small, 0, 1), h_size=11))


def noise_percent(small: Plane) -> float:
    """Standard deviation of pixel noise in what is not background, in percent of the range of values."""
    residual = np.abs(ndimage.convolve(small, _LAPLACIANS, mode="nearest"))
    inside = ndimage.binary_erosion(small > 0.05)
    return 100 * float(np.median(residual[inside])) / _MAD / 6 if inside.sum() > 100 else 0.0


def edge_percent(small: Plane) -> float:
    """How much of that side of the image is body which has most of it; body is brighter than half of Otsu's threshold."""
    body = ndimage.binary_opening(small > _otsu(small) / 2)
    # An opening wears off what lies at the edge itself.
    return 100 * float(max(side.mean() for side in (body[1], body[-2], body[:, 1], body[:, -2])))


@dataclass(frozen=True)
class Chest:
    """Of a frontal chest radiograph. polarity : −1 to 1, above 0 where the middle is brighter than the lungs beside it.

    cut_percent : in how much of the lungs' height the lung of one side runs to the image's edge, with no chest wall in between.
    """

    polarity: float
    cut_percent: float


def chest(small: Plane) -> Chest:
    """Looks for a bright middle, dark lungs beside it and a bright chest wall outside of these."""
    plane = np.clip(ndimage.uniform_filter(small, max(3, max(small.shape) // 48)), 0, 1)
    rows, columns = plane.shape
    middle = plane[int(0.3 * rows) : int(0.7 * rows)]
    bands = [np.median(band, axis=0) for band in np.array_split(middle, min(_BANDS, len(middle)))]
    profile = np.median(bands, axis=0)
    first, last = int(0.25 * columns), int(0.75 * columns)
    centre = float(profile[int(0.45 * columns) : int(0.55 * columns) + 1].mean())
    beside = [float(profile[int(a * columns) : int(b * columns) + 1].mean()) for a, b in ((0.2, 0.36), (0.64, 0.8))]
    spine = first + int(np.argmax(profile[first:last]))
    cut = [np.mean([not _ends_in_wall(band[side]) for band in bands]) for side in (slice(spine, None, -1), slice(spine, None))]
    return Chest(centre - float(np.mean(beside)), 100 * float(max(cut)))


def _ends_in_wall(outwards: npt.NDArray[np.float32]) -> bool:
    """Whether values that fall from the spine into the lung rise again before the image's edge."""
    return bool(np.max(outwards - np.minimum.accumulate(outwards)) > _WALL)


def centre_brighter(small: Plane) -> float:
    """−1 to 1: how much brighter the middle is than the edge: above 0 for a limb on a dark ground."""
    rows, columns = small.shape
    plane = np.clip(small, 0, 1)
    ring = np.ones_like(plane, dtype=bool)
    deep, wide = max(2, rows // 10), max(2, columns // 10)
    ring[deep : rows - deep, wide : columns - wide] = False
    # Frames and the ringing of resampling make the outermost pixels bright.
    outside = max(1, min(plane.shape) // 20)
    edge = plane[outside:-outside, outside:-outside][ring[outside:-outside, outside:-outside]]
    middle = plane[rows // 4 : rows - rows // 4, columns // 4 : columns - columns // 4]
    return float(np.median(middle) - np.median(edge))


def _all_of_three(mask: Mask, axis: int) -> Mask:
    """Where a pixel and the next two along an axis are set; two pixels shorter along it."""
    length = mask.shape[axis]
    if length < 3:
        return np.zeros_like(mask)
    parts = [np.take(mask, range(start, length - 2 + start), axis=axis) for start in range(3)]
    return np.asarray(parts[0] & parts[1] & parts[2])


def _otsu(plane: Plane) -> float:
    from skimage.filters import threshold_otsu

    values = np.clip(plane, 0, 1)
    return float(threshold_otsu(values)) if values.min() < values.max() else 1.0
