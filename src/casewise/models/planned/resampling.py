"""Resampling as nnU-Net does it: by splines (skimage's ``resize``), plane by plane where voxels are long along one axis."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from casewise.models.planned.plan import Resampling

Floats = npt.NDArray[np.float32]


def scaled(shape: Sequence[int], spacing: Sequence[float], target: Sequence[float]) -> tuple[int, ...]:
    """Voxels an axis at the spacing ``target``, which come from ``shape`` at ``spacing`` (mm)."""
    return tuple(max(1, round(old / new * n)) for n, old, new in zip(shape, spacing, target, strict=True))


def resampled(volume: Floats, shape: Sequence[int], spacing: Sequence[float], target: Sequence[float], way: Resampling) -> Floats:
    """(C, *shape) from (C, a, b, c), whose voxels of ``spacing`` (mm) become those of ``target``."""
    from skimage.transform import resize

    shape = tuple(shape)
    if volume.shape[1:] == shape:
        return volume
    apart = _apart(spacing, target, way)
    if apart is None:
        return np.stack([_float(resize(_double(one), shape, way.order, mode="edge", anti_aliasing=False)) for one in volume])
    flat = shape[:apart] + shape[apart + 1 :]
    turned = np.moveaxis(volume, apart + 1, 1)
    if turned.shape[2:] != flat:
        planes = [[resize(_double(plane), flat, way.order, mode="edge", anti_aliasing=False) for plane in one] for one in turned]
        turned = np.asarray(planes)
    return np.moveaxis(_float(_along(turned, shape[apart], way.order_z)), 1, apart + 1)


def _along(turned: npt.NDArray[np.floating], count: int, order: int) -> npt.NDArray[np.floating]:
    """(C, count, …) from (C, n, …)."""
    from scipy.ndimage import map_coordinates

    held = turned.shape[1]
    if held == count:
        return turned
    places = (np.arange(count) + 0.5) * (held / count) - 0.5
    grid = np.meshgrid(places, *(np.arange(n) for n in turned.shape[2:]), indexing="ij")
    return np.stack([map_coordinates(_double(one), grid, order=order, mode="nearest") for one in turned])


def _apart(spacing: Sequence[float], target: Sequence[float], way: Resampling) -> int | None:
    """The axis along which is resampled apart, if any."""
    if way.force_separate_z is not None:
        chosen = spacing if way.force_separate_z else None
    else:
        limit = way.separate_z_anisotropy_threshold
        chosen = next((one for one in (spacing, target) if max(one) / min(one) > limit), None)
    if chosen is None:
        return None
    longest = [axis for axis, length in enumerate(chosen) if length == max(chosen)]
    return longest[0] if len(longest) == 1 else None


def _double(array: npt.NDArray[np.generic]) -> npt.NDArray[np.float64]:
    return array.astype(np.float64, copy=False)


def _float(array: npt.NDArray[np.generic]) -> Floats:
    return array.astype(np.float32, copy=False)
