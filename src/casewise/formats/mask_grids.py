"""A mask put on the grid of its image, voxel by voxel: turned, or cut out of a larger image, never resampled."""

from __future__ import annotations

from itertools import pairwise, product
from pathlib import Path

import numpy as np
import numpy.typing as npt

from casewise.errors import UnreadableImageError
from casewise.formats.found import Kind
from casewise.image import Image
from casewise.orientation import column_first, directions_of, has_places, in_own_space, volume_column_first, volume_rows_first

Mask = npt.NDArray[np.bool_]
Affine = npt.NDArray[np.float64]
_TOLERANCE = 0.1
_LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


def on_grid(path: Path, chosen: Mask, mask: Image, like: Image, cut_out: bool = False) -> Mask:
    """(*spatial) on the grid of ``like``, of a mask (*spatial) on that of ``mask``.

    By where voxels lie in the patient, where both say so: axes may be permuted and flipped. An NRRD or MetaImage file that has
    places, but not the patient's, is compared by them and never turned (:func:`_as_stored`). Else by the shape. A picture's mask
    may then be coarser or finer by a whole factor. Without a place in the patient no mask comes onto a DICOM volume that lies in
    space: its slices' order is ours, not the file's.
    cut_out : the mask may cover a part of the image only, and is empty elsewhere.

    Raises UnreadableImageError for whatever else differs.
    """
    if not is_placed(mask):
        _check_order_is_known(path, mask, like)
    if comparable(mask, like):
        return _by_place(path, chosen, mask, like, cut_out)
    chosen, _ = _with_axes(chosen, mask.affine, like.spatial_dims)
    if chosen.ndim == like.spatial_dims:
        chosen = _rows_first(path, chosen, mask, like)
    if chosen.shape == like.spatial_shape:
        return chosen
    factor = whole_factor(chosen.shape, like.spatial_shape)
    if factor is not None:
        return _by_factor(chosen, like.spatial_shape, factor)
    msg = f"{path} has the shape {chosen.shape}, its image {like.spatial_shape}; a mask has the shape of its image."
    raise UnreadableImageError(msg)


def _by_place(path: Path, chosen: Mask, mask: Image, like: Image, cut_out: bool) -> Mask:
    chosen, affine = _with_axes(chosen, mask.affine, like.spatial_dims)
    placed = is_placed(mask) and is_placed(like)
    if chosen.ndim == like.spatial_dims:
        read_as = [affine] if placed else _as_stored(affine, mask, like)
        for one in read_as:
            turned = _turned(path, chosen, one, like, cut_out)
            if turned is not None:
                return turned
    remedy = "resample the mask to the image's grid"
    if not placed:
        whose = "neither says" if in_own_space(mask) and in_own_space(like) else "only one says"
        remedy = f"{whose} how its axes run in the patient, so that nothing is turned; save the mask with its image's own geometry"
    msg = (
        f"{path} lies on another grid than its image: {chosen.shape} against {like.spatial_shape} voxels, of "
        f"{_steps(mask)} against {_steps(like)} mm, the first at {_point(mask.affine)} against {_point(like.affine)} mm; {remedy}."
    )
    raise UnreadableImageError(msg)


def _as_stored(affine: Affine, mask: Image, like: Image) -> list[Affine]:
    """Of the affines that the mask may mean, where it or its image is in a space of its own, those that turn nothing.

    What draws a mask on an image whose space has no name takes it for one that has: ITK for LPS, 3D Slicer and nibabel for RAS.
    Each writes the affine of its reading, of voxels in the image's order. To turn the mask would be to trust a reading.
    """
    axes = like.spatial_dims
    order = np.eye(axes) if _same_order(mask, like) else np.eye(axes)[[1, 0, *range(2, axes)]]
    both = in_own_space(mask) and in_own_space(like)
    readings = [affine] if both else [affine, _LPS_TO_RAS @ affine]
    return [one for one in readings if (np.rint(np.linalg.solve(one, like.affine)[:axes, :axes]) == order).all()]


def _check_order_is_known(path: Path, mask: Image, like: Image) -> None:
    """A series of DICOM has its slices in no order but that of their places, so that a mask without one may be upside down."""
    if mask.spatial_dims == 3 and like.spatial_dims == 3 and like.header.format == Kind.DICOM.value and is_placed(like):
        msg = (
            f"{path} does not say where its voxels lie, and its image is a DICOM volume: neither which axis counts the rows nor in "
            "which order the slices come is known; save the mask with the affine of its volume, or as a DICOM Segmentation."
        )
        raise UnreadableImageError(msg)


def is_placed(image: Image) -> bool:
    """Whether voxels can be matched by where they lie in the patient."""
    return image.header.placed


def comparable(mask: Image, like: Image) -> bool:
    """Whether a mask's places are compared with its image's, not only the shapes."""
    return has_places(mask) and has_places(like)


def whole_factor(shape: tuple[int, ...], wanted: tuple[int, ...]) -> int | None:
    """The whole factor by which a picture's mask is coarser or finer than its picture on both axes; None where there is none."""
    if len(shape) != 2 or len(wanted) != 2:
        return None
    for small, large in pairwise((shape, wanted, shape)):
        factor = large[0] // small[0]
        if factor > 1 and (small[0] * factor, small[1] * factor) == tuple(large):
            return factor
    return None


def _rows_first(path: Path, chosen: Mask, mask: Image, like: Image) -> Mask:
    """The mask with its axes in the order of the image's: picture files count rows first, NIfTI, NRRD and MetaImage columns.

    Libraries that save an array do not all keep to that, so the shapes decide; square ones do not.
    """
    if _same_order(mask, like):
        return chosen
    turned = chosen.swapaxes(0, 1)
    fits, turned_fits = (_fits(shape, like.spatial_shape) for shape in (chosen.shape, turned.shape))
    if fits and turned_fits:
        msg = (
            f"{path} is a {mask.header.format} file and its image a {like.header.format} file: both are square, so "
            "that it is not clear whether rows or columns come first; save the mask in the image's kind of file."
        )
        raise UnreadableImageError(msg)
    if turned_fits and any(_says_directions(one) for one in (mask, like)):
        msg = (
            f"{path} would have to be transposed onto its image, of which only one says where its axes run to in the patient; save "
            "the mask in the image's kind of file."
        )
        raise UnreadableImageError(msg)
    return np.ascontiguousarray(turned) if turned_fits else chosen


def _same_order(mask: Image, like: Image) -> bool:
    """Whether both count rows first, or both columns. A file without a voxel size is of an array as it was."""
    if like.spatial_dims == 2:
        return _column_first(mask) == _column_first(like)
    pairs = ((mask, like), (like, mask))
    return not any(volume_rows_first(one) and volume_column_first(other) and other.header.spacing_known for one, other in pairs)


def _says_directions(image: Image) -> bool:
    return is_placed(image) if image.spatial_dims == 3 else directions_of(image) is not None


def _column_first(image: Image) -> bool:
    """Whether the file's kind counts along a row first. A file without a voxel size is of an array as it was."""
    return column_first(image) and image.header.spacing_known


def _fits(shape: tuple[int, ...], wanted: tuple[int, ...]) -> bool:
    return shape == wanted or whole_factor(shape, wanted) is not None


def _with_axes(chosen: Mask, affine: npt.NDArray[np.float64], axes: int) -> tuple[Mask, npt.NDArray[np.float64]]:
    """The mask with a last axis of length 1 where its image has one, and without where it has not."""
    if chosen.ndim == 2 and axes == 3:
        return chosen[..., None], affine
    if chosen.ndim == 3 and axes == 2 and chosen.shape[-1] == 1:
        return chosen[..., 0], affine
    return chosen, affine


def _turned(path: Path, chosen: Mask, affine: npt.NDArray[np.float64], like: Image, cut_out: bool) -> Mask | None:
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
    shift = np.rint(change[:axes, 3])
    for corner in product(*((0, n - 1) for n in like.spatial_shape)):
        index = np.zeros(4)
        index[:axes], index[3] = corner, 1
        if np.abs((change @ index)[:axes] - (exact @ np.asarray(corner) + shift)).max() > _TOLERANCE:
            return None
    turned = np.flip(chosen.transpose(order), tuple(axis for axis in range(axes) if flipped[axis]))
    # Where the turned mask's first voxel lies in the image.
    first = np.asarray([shift[order[a]] - (chosen.shape[order[a]] - 1) if flipped[a] else -shift[order[a]] for a in range(axes)])
    if not cut_out:
        return np.ascontiguousarray(turned) if turned.shape == like.spatial_shape and not first.any() else None
    return laid(path, turned, tuple(int(n) for n in first), like.spatial_shape)


def laid(path: Path, part: Mask, first: tuple[int, ...], shape: tuple[int, ...]) -> Mask:
    """(*shape) empty but for ``part``, whose first voxel comes to ``first``.

    Raises UnreadableImageError where it marks what is beyond.
    """
    whole = np.zeros(shape, bool)
    inside = tuple(slice(max(0, -low), max(0, min(n, size - low))) for low, n, size in zip(first, part.shape, shape, strict=True))
    if int(part[inside].sum()) != int(part.sum()):
        raise UnreadableImageError(f"{path} lies on another grid than its image: it reaches beyond the image's {shape} voxels.")
    target = tuple(slice(low + cut.start, low + cut.stop) for low, cut in zip(first, inside, strict=True))
    if part[inside].size:
        whole[target] = part[inside]
    return whole


def _by_factor(chosen: Mask, shape: tuple[int, ...], factor: int) -> Mask:
    """A coarser mask repeated, or a finer one picked at the pixels' centres, by one whole factor on both axes."""
    if chosen.shape[0] < shape[0]:
        return np.repeat(np.repeat(chosen, factor, axis=0), factor, axis=1).astype(bool)
    return np.ascontiguousarray(chosen[factor // 2 :: factor, factor // 2 :: factor])


def _steps(image: Image) -> str:
    return " × ".join(f"{step:.4g}" for step in image.spacing)


def _point(affine: npt.NDArray[np.float64]) -> str:
    return "(" + ", ".join(f"{round(x, 1) + 0.0:.1f}" for x in affine[:3, 3]) + ")"
