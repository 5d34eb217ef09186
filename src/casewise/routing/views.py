"""What the router looks at: an image as a few pictures in 0…1, freed of what says nothing about its content.

Size, padding, bit depth and window differ from source to source while the anatomy stays; a router that took them in would know the
source and not the image. So every view is brought to its own contrast, its empty border is cut off, and it is made no larger than
``EDGE`` pixels before a network takes it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from casewise.image import Array, Image
from casewise.intensity import percentile_range, rescaled

View = npt.NDArray[np.float32]  # (row, column), or (row, column, 3) of what is in colours
SLICES = 9  # of a volume
EDGE = 256
HU_WINDOW = (-160.0, 240.0)  # soft tissue: what CT pictures of most kinds are displayed in
_ENDS = 0.15  # the share of a volume's slices at either end that shows little of what it is of
_NOTHING_HU, _AIR_HU, _FAT_HU = -4096.0, -500.0, -100.0  # padding may lie below air; a body does not lie below fat
_EMPTY = 0.06  # a border line whose values differ by no more than this shows nothing
_LEAST = 16  # pixels that trimming leaves an edge
_COLOURED = 0.025  # mean distance of the channels from their mean, as a share of the range, from which on colours say something


def views(image: Image, count: int = SLICES, ends: float = _ENDS, *, colours: bool = False) -> list[View]:
    """Pictures (row, column) of ``image``, each in 0…1: one of a picture, up to ``count`` slices of a volume.

    ends : the share of a volume's slices at either end that is passed over. colours : whether a picture in colours is one of
    (row, column, 3); without it, and where its channels hardly differ, it is grey.

    Slices lie across the axis of the longest voxels; where the voxels are of one size, across head to feet, as the affine says.
    Raises CasewiseError for values that are not finite and for numbers of channels that are no picture's.
    """
    from casewise.models.preparation import Preparation

    if colours and image.spatial_dims == 2 and image.channels == 3:
        channels = Preparation(intensity="none", channels=3).parts(image)[0].array
        picture = _reduced(np.moveaxis(channels, 0, -1))
        if _coloured(picture):
            return [normalised(picture)]
    planes = [part.array[0] for part in Preparation(intensity="none").parts(image)]
    window = HU_WINDOW if in_hounsfield_units(image) else None
    chosen = _spread(planes, count, ends) if image.spatial_dims == 3 else planes
    return [normalised(_reduced(plane), window) for plane in chosen]


def image_of(view: View) -> Image:
    """A view as an image (channel, row, column)."""
    return Image(view[None] if view.ndim == 2 else np.ascontiguousarray(np.moveaxis(view, -1, 0)))


def normalised(plane: Array, window: tuple[float, float] | None = None) -> View:
    """``plane`` (row, column[, 3]) without its empty border and stretched to 0…1: by ``window``, or by its own percentiles."""
    stretched = _stretched(np.asarray(plane, np.float32), window)
    trimmed = _trimmed(stretched)
    return trimmed if trimmed.shape == stretched.shape or window is not None else _stretched(trimmed, None)


def _spread(planes: Sequence[View], count: int, ends: float) -> list[View]:
    """Up to ``count`` planes at equal distances, the ends and (where others are left) the blank ones passed over."""
    last = len(planes) - 1
    places = sorted({round(place) for place in np.linspace(ends * last, (1 - ends) * last, count)})
    chosen = [planes[place] for place in places]
    return [plane for plane in chosen if float(np.ptp(plane)) > 0] or chosen[:1]


def in_hounsfield_units(image: Image) -> bool:
    """Whether an image of CT, or of a modality that nobody states, has CT's values: little else is as far below zero as air is."""
    modality = image.header.modality
    if image.channels != 1 or modality not in (None, "CT"):
        return False
    step = max(1, image.array.size // 100_000)
    sampled = image.array.reshape(-1)[::step]
    lowest, highest = float(sampled.min()), float(sampled.max())
    return _NOTHING_HU <= lowest <= _AIR_HU and highest >= _FAT_HU


def _reduced(plane: View) -> View:
    """Means of blocks, so that at most twice ``EDGE`` pixels an edge are left: percentiles of four million pixels take long."""
    factor = max(plane.shape[:2]) // EDGE
    if factor < 2 or min(plane.shape[:2]) < 2 * factor:
        return plane
    rows, columns = (n - n % factor for n in plane.shape[:2])
    blocks = plane[:rows, :columns].reshape(rows // factor, factor, columns // factor, factor, *plane.shape[2:])
    return np.asarray(blocks.mean(axis=(1, 3), dtype=np.float32))


def _stretched(plane: View, window: tuple[float, float] | None) -> View:
    lower, upper = window or percentile_range(plane[::2, ::2])
    if upper <= lower:
        lower, upper = float(plane.min()), float(plane.max())
    if upper <= lower:
        return np.zeros_like(plane)
    return rescaled(plane, lower, upper)


def _trimmed(plane: View) -> View:
    bounds = []
    for axis in (0, 1):
        differing = plane.max(axis=1 - axis) - plane.min(axis=1 - axis)  # of a picture in colours, each channel's own
        filled = np.flatnonzero((differing if plane.ndim == 2 else differing.max(axis=1)) > _EMPTY)
        bounds.append((int(filled[0]), int(filled[-1]) + 1) if filled.size else (0, plane.shape[axis]))
    if any(upper - lower < min(_LEAST, n) for (lower, upper), n in zip(bounds, plane.shape[:2], strict=True)):
        return plane
    (top, bottom), (left, right) = bounds
    return np.ascontiguousarray(plane[top:bottom, left:right])


def _coloured(picture: View) -> bool:
    """Whether the channels of (row, column, 3) differ by more than a scanner's or a screen's tint of grey."""
    low, high = percentile_range(picture[::2, ::2])
    apart = np.abs(picture - picture.mean(axis=2, keepdims=True)).mean()
    return high > low and bool(np.isfinite(apart)) and float(apart) > _COLOURED * (high - low)
