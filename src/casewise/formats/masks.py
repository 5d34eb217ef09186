"""``read_mask``: a mask from any file, put exactly on the grid of its image, or refused in one sentence."""

from __future__ import annotations

import os
from itertools import pairwise, product
from pathlib import Path

import numpy as np
import numpy.typing as npt

from casewise.errors import UnreadableImageError
from casewise.formats.reading import read
from casewise.image import Array, Image

_TOLERANCE = 0.1
_SAME_VALUE = 0.01


def read_mask(
    path: str | os.PathLike[str], like: Image, member: str | None = None, value: int | None = None, above: float = 0
) -> npt.NDArray[np.bool_]:
    """(*spatial) bool on the grid of ``like``: where the file's label is ``value``, or is above ``above`` if no value is given.

    A mask whose axes are merely permuted or flipped is turned exactly. One without a place in space is taken by its shape; a
    picture's mask may be coarser or finer by a whole factor (then the nearest pixel counts). Whatever else differs is an error:
    nothing is resampled.
    """
    path = Path(path)
    mask = read(path, member)
    if mask.channels != 1:
        raise UnreadableImageError(f"{path} is a colour picture; a mask has one channel of label numbers.")
    labels = mask.array[0]
    chosen = labels > above if value is None else np.abs(labels.astype(np.float64) - value) < _SAME_VALUE
    return _on_grid(path, chosen, mask, like)


def _on_grid(path: Path, chosen: npt.NDArray[np.bool_], mask: Image, like: Image) -> npt.NDArray[np.bool_]:
    known = _is_placed(mask) and _is_placed(like)
    chosen, affine = _with_axes(chosen, mask.affine, like.spatial_dims)
    if known and chosen.ndim == like.spatial_dims:
        turned = _turned(chosen, affine, like)
        if turned is not None:
            return turned
        msg = (
            f"{path} lies on another grid than its image: {chosen.shape} against {like.spatial_shape} voxels, first voxel at "
            f"{_point(mask.affine)} against {_point(like.affine)} mm; resample the mask to the image's grid."
        )
        raise UnreadableImageError(msg)
    if chosen.shape == like.spatial_shape:
        return chosen
    if chosen.ndim == 2 and like.spatial_dims == 2:
        fitted = _by_whole_factor(chosen, like.spatial_shape)
        if fitted is not None:
            return fitted
    msg = f"{path} has the shape {chosen.shape}, its image {like.spatial_shape}; a mask has the shape of its image."
    raise UnreadableImageError(msg)


def _is_placed(image: Image) -> bool:
    """Whether voxels can be matched by where they lie in space."""
    return image.header.get("spacing_known", True) is True and image.header.get("orientation_known", True) is True


def _with_axes(
    chosen: npt.NDArray[np.bool_], affine: npt.NDArray[np.float64], axes: int
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.float64]]:
    """The mask with a last axis of length 1 added where its image has one and it has not."""
    return (chosen[..., None], affine) if chosen.ndim == 2 and axes == 3 else (chosen, affine)


def _turned(chosen: npt.NDArray[np.bool_], affine: npt.NDArray[np.float64], like: Image) -> npt.NDArray[np.bool_] | None:
    """The mask with its axes permuted and flipped onto the image's, if that is all that differs; None otherwise."""
    axes = like.spatial_dims
    # From the image's voxel indices to the mask's.
    change = np.linalg.solve(affine, like.affine)
    if axes == 2 and np.abs(change[2, [0, 1, 3]]).max() > _TOLERANCE:
        return None
    exact = np.rint(change[:axes, :axes])
    if not (np.abs(exact).sum(axis=0) == 1).all() or not (np.abs(exact).sum(axis=1) == 1).all():
        return None
    order = [int(np.flatnonzero(exact[:, axis])[0]) for axis in range(axes)]
    flipped = [exact[order[axis], axis] < 0 for axis in range(axes)]
    turned = chosen.transpose(order)
    if turned.shape != like.spatial_shape:
        return None
    shift = np.zeros(axes)
    for axis in range(axes):
        if flipped[axis]:
            shift[order[axis]] = chosen.shape[order[axis]] - 1
    for corner in product(*((0, n - 1) for n in like.spatial_shape)):
        index = np.zeros(4)
        index[:axes], index[3] = corner, 1
        if np.abs((change @ index)[:axes] - (exact @ np.asarray(corner) + shift)).max() > _TOLERANCE:
            return None
    return np.ascontiguousarray(np.flip(turned, tuple(axis for axis in range(axes) if flipped[axis])))


def _by_whole_factor(chosen: npt.NDArray[np.bool_], shape: tuple[int, ...]) -> npt.NDArray[np.bool_] | None:
    """A coarser mask repeated, or a finer one picked at the pixels' centres, by one whole factor on both axes."""
    for small, large in pairwise((chosen.shape, shape, chosen.shape)):
        factor = large[0] // small[0]
        if factor > 1 and (small[0] * factor, small[1] * factor) == tuple(large):
            if small == chosen.shape:
                return _repeated(chosen, factor)
            return np.ascontiguousarray(chosen[factor // 2 :: factor, factor // 2 :: factor])
    return None


def _repeated(chosen: Array, factor: int) -> npt.NDArray[np.bool_]:
    return np.repeat(np.repeat(chosen, factor, axis=0), factor, axis=1).astype(bool)


def _point(affine: npt.NDArray[np.float64]) -> str:
    return "(" + ", ".join(f"{x:.1f}" for x in affine[:3, 3]) + ")"
