"""Whether a volume is a brain without its skull: all that the shipped models of brains were trained on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from casewise.errors import CasewiseError
from casewise.image import Image

_EMPTY = 0.25  # of a volume at least has one and the same value where the brain was freed of its skull
_PLAIN = 0.5  # of neighbours in the foreground that are exactly alike: so much only in a drawing
_SAMPLES = 300_000
_EDGES_MM = (60.0, 240.0)  # of the foreground, along the two axes of a slice: a child's vertex, a large brain
_SHELLS = np.arange(0.04, 0.40, 0.04)  # depths below the surface, as shares of the radius of a disc as large
_SLICES = 16
_DIP = 1.35  # times as bright as a shell further in: scalp over bone. Brains without a skull come to 1.2
_DARK, _BRIGHT = 0.45, 1.75  # a shell, as a multiple of what is deep; brains without a skull come to 0.75 and 1.4
Floats = npt.NDArray[np.float32]


def check_brain(image: Image, application: str, channel: int = 0) -> None:
    """Raises CasewiseError, one sentence that says what is wrong, for a volume that is no brain without its skull.

    Checked on one channel by how much of it is empty, its size (where the voxels' is known), whether it has any texture, and how
    bright it is below its surface: a scalp is brighter than the bone under it, a body darker or brighter than what it holds. Of a
    picture only the first is looked at.
    """
    array = image.array[channel]
    empty = _empty(array)
    if empty < _EMPTY:
        msg = (
            f"{application} is for a brain without its skull, and this image shows more: less than {_EMPTY:.0%} of it is empty; "
            "remove the skull first."
        )
        raise CasewiseError(msg)
    if image.spatial_dims != 3:
        return
    foreground = _Foreground.of(array, image.spacing)
    if foreground.plain > _PLAIN:
        raise CasewiseError(
            f"{application} is for a brain, and this image has no texture, as one that was drawn; give an MR image."
        )
    if image.header.spacing_known and not all(_EDGES_MM[0] <= edge <= _EDGES_MM[1] for edge in foreground.edges_mm):
        edges = " × ".join(f"{edge:.0f}" for edge in foreground.edges_mm)
        msg = (
            f"{application} is for a whole brain, and its content is {edges} mm large in a slice, not from "
            f"{_EDGES_MM[0]:.0f} to {_EDGES_MM[1]:.0f}; give whole slices with their voxel size."
        )
        raise CasewiseError(msg)
    rim = foreground.rim()
    if rim is None:
        raise CasewiseError(
            f"{application} is for a brain, and there is nothing as solid as one in this image; give its FLAIR or T1."
        )
    dips = max(rim[i] / max(rim[j], 0.05) for i in range(5) for j in range(i + 1, 7))
    if dips > _DIP or rim.min() < _DARK or rim.max() > _BRIGHT:
        msg = (
            f"{application} is for a brain without its skull, and what lies below this image's surface is not as bright as what is "
            "deep, as cortex is: it has a skull, or is no brain; remove the skull first, or choose another application."
        )
        raise CasewiseError(msg)


def _empty(array: npt.NDArray[np.generic]) -> float:
    # An odd step, so that it does not stay on a few columns.
    sample = array.reshape(-1)[:: array.size // _SAMPLES | 1]
    return float(np.unique(sample, return_counts=True)[1].max()) / sample.size


@dataclass(frozen=True, eq=False)
class _Foreground:
    """values, inside : (row, column, slice), across the longest voxels. spacing : mm of rows and columns. plain : share of
    neighbours that are alike. edges_mm : of the foreground.
    """

    values: Floats
    inside: npt.NDArray[np.bool_]
    spacing: tuple[float, float]
    plain: float
    edges_mm: tuple[float, float]

    @classmethod
    def of(cls, array: npt.NDArray[np.generic], spacing: tuple[float, ...]) -> _Foreground:
        from casewise.examination.normalisation import foreground

        across = int(np.argmax(spacing)) if max(spacing) > 1.2 * min(spacing) else 2
        values = np.moveaxis(np.asarray(array, np.float32), across, 2)
        rows, columns = (step for axis, step in enumerate(spacing) if axis != across)
        inside = foreground(values)
        both = inside[1:] & inside[:-1]
        plain = float((values[1:] == values[:-1])[both].mean()) if both.any() else 1.0
        edges = tuple(step * _length(inside.mean(axis=axes)) for step, axes in ((rows, (1, 2)), (columns, (0, 2))))
        return cls(values, inside, (rows, columns), plain, (edges[0], edges[1]))

    def rim(self) -> npt.NDArray[np.float64] | None:
        """How bright each shell is, as a multiple of what lies deeper: the mean over slices; None where no slice is solid."""
        from scipy import ndimage

        found = []
        filled = np.flatnonzero(self.inside.mean(axis=(0, 1)) > 0.02)
        for place in filled[:: len(filled) // _SLICES + 1]:
            pieces, count = ndimage.label(ndimage.binary_fill_holes(self.inside[..., place]))
            if not count:
                continue
            largest = pieces == 1 + int(np.argmax(np.bincount(pieces.ravel())[1:]))
            depth = ndimage.distance_transform_edt(np.pad(largest, 1), sampling=self.spacing)[1:-1, 1:-1]
            depth = depth / np.sqrt(largest.sum() * np.prod(self.spacing) / np.pi)
            plane, low = self.values[..., place], float(self.values.min())
            shells = [(depth > start) & (depth <= start + 0.04) for start in _SHELLS]
            deep = depth > _SHELLS[-1]
            if deep.any() and all(shell.any() for shell in shells):
                inner = float(np.median(plane[deep])) - low
                found.append([(float(plane[shell].mean()) - low) / max(inner, 1e-6) for shell in shells])
        return np.median(found, axis=0) if found else None


def _length(shares: npt.NDArray[np.floating]) -> int:
    """From the first to the last line of which a hundredth is foreground."""
    filled = np.flatnonzero(shares > 0.01)
    return int(filled[-1] - filled[0] + 1) if filled.size else 0
