"""What TotalSegmentator does to a volume before nnU-Net sees it: turned to RAS, and resampled to one spacing; its labels come back
by the nearest voxel (Wasserthal et al., Radiology: Artificial Intelligence 2023).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import msgspec
import numpy as np
import numpy.typing as npt

from casewise.models.documents import read

Array = npt.NDArray[Any]
_ALLOWED = "spacing is three lengths in mm along R, A and S, and step a share of a window from above 0 to 1."
_Length = Annotated[float, msgspec.Meta(gt=0)]


class Canonical(msgspec.Struct, frozen=True):
    """spacing : mm along R, A and S to which a volume is brought; None: its own. step : the share of a window by which it moves.

    The network's axes are named by numbers: 0, 1 and 2 of S, A and R.
    """

    step: Annotated[float, msgspec.Meta(gt=0, le=1)] = 0.5
    spacing: tuple[_Length, _Length, _Length] | None = None

    def to_toml(self) -> dict[str, Any]:
        return {"step": self.step} | ({"spacing": list(self.spacing)} if self.spacing is not None else {})

    def lengths(self, spacing: Sequence[float], axes: Sequence[int]) -> tuple[float, ...]:
        """Of the voxels after it, from those before it (mm), along ``axes``."""
        return tuple(spacing) if self.spacing is None else tuple(self.spacing[2 - axis] for axis in axes)

    def shape(self, shape: Sequence[int], spacing: Sequence[float], axes: Sequence[int]) -> tuple[int, ...]:
        """Voxels along ``axes`` of a volume with ``shape`` voxels of ``spacing`` (mm)."""
        return tuple(round(n * zoom) for n, zoom in zip(shape, self._zooms(spacing, axes), strict=True))

    def bring(self, volume: Array, spacing: Sequence[float], axes: Sequence[int]) -> Array:
        """(C, *shape) from (C, a, b, c): linear between the centres of the first and the last voxel, cut to whole numbers, as
        TotalSegmentator does; unchanged where the voxels are of that length.
        """
        zooms = self._zooms(spacing, axes)
        if all(zoom == 1 for zoom in zooms):
            return volume
        from scipy.ndimage import zoom as zoomed

        order = tuple(int(place) for place in np.argsort(axes)[::-1])  # to R, A, S: sums are rounded in that order
        back = tuple(int(place) for place in np.argsort(order))
        factors = [zooms[place] for place in order]
        turned = (zoomed(one.astype(np.float64).transpose(order), factors, order=1, mode="nearest") for one in volume)
        return np.stack([one.astype(np.int32).astype(np.float32).transpose(back) for one in turned])

    def _zooms(self, spacing: Sequence[float], axes: Sequence[int]) -> tuple[float, ...]:
        """NIfTI, in which TotalSegmentator hands images on, has lengths of 32 bits."""
        if self.spacing is None:
            return (1.0,) * len(axes)
        return tuple(float(np.float32(old)) / new for old, new in zip(spacing, self.lengths(spacing, axes), strict=True))


def canonical_of(network: Mapping[str, Any]) -> Canonical | None:
    """Of a model's network of the kind ``nnunet``: its ``canonical``, where it has one."""
    given = network.get("canonical")
    return None if given is None else read(given, Canonical, "The network's canonical", _ALLOWED)


def nearest(array: Array, shape: Sequence[int]) -> Array:
    """(…, *shape) from (…, a, b, c) by the nearest voxel, first and last voxels' centres on each other."""
    for axis, count in enumerate(shape, start=array.ndim - len(shape)):
        held = array.shape[axis]
        if held != count:
            places = np.floor(np.arange(count) * ((held - 1) / max(1, count - 1)) + 0.5).astype(np.intp)
            array = array.take(places, axis=axis)
    return array
