"""The geometry that images and label maps share: a grid of voxels cropped, reoriented and resampled together with its affine.

An affine is (4, 4): from voxel indices in the order of the spatial axes to RAS coordinates in mm. A picture has two spatial axes;
its third index is 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from casewise.errors import CasewiseError

Affine = npt.NDArray[np.float64]
_SAME = 1e-5  # voxels: far below what a file's numbers can state, far above rounding
_OPPOSITE = dict(zip("RASLPI", "LPIRAS", strict=True))


class Grid(Protocol):
    """Whatever has voxels in space: an ``Image``, a ``LabelMap``."""

    @property
    def spatial_shape(self) -> tuple[int, ...]: ...

    @property
    def affine(self) -> Affine: ...


def checked_affine(affine: npt.ArrayLike, whose: str) -> Affine:
    """``affine`` as float64. Raises CasewiseError for what is no invertible 4×4 matrix; ``whose`` begins the sentence."""
    checked = np.asarray(affine, dtype=np.float64)
    if checked.shape != (4, 4) or not np.isfinite(checked).all() or abs(np.linalg.det(checked[:3, :3])) < 1e-12:
        got = " ".join(np.array2string(checked, threshold=16, max_line_width=1000).split())
        raise CasewiseError(f"{whose} affine is an invertible 4×4 matrix of finite numbers; got {got}.")
    return checked


def spacing(grid: Grid) -> tuple[float, ...]:
    """Size of a voxel along each spatial axis, in mm."""
    return tuple(float(length) for length in np.linalg.norm(grid.affine[:3, :3], axis=0)[: len(grid.spatial_shape)])


def axes_of(grid: Grid) -> str:
    """Where each spatial axis runs to in the patient, by its nearest axis: ``LPS``; two letters of a picture."""
    from nibabel.orientations import aff2axcodes

    return "".join(str(letter) for letter in aff2axcodes(grid.affine)[: len(grid.spatial_shape)])


def described(grid: Grid, known: bool = True) -> str:
    """``512×512×60 voxels of 0.7×0.7×2.5 mm, axes LPS``; known : whether the affine says where the voxels lie."""
    shape = "×".join(map(str, grid.spatial_shape))
    size = "×".join(f"{edge:.3g}" for edge in spacing(grid))
    return f"{shape} voxels of {size} mm, axes {axes_of(grid)}" if known else f"{shape} voxels of unknown size"


def cropped_affine(affine: Affine, lower: Sequence[int]) -> Affine:
    """The affine of a crop whose first voxel is ``lower`` (one index a spatial axis)."""
    moved = affine.copy()
    moved[:3, 3] += affine[:3, : len(lower)] @ np.asarray(lower, dtype=np.float64)
    return moved


def checked_crop(grid: Grid, lower: Sequence[int], upper: Sequence[int]) -> tuple[slice, ...]:
    """The slices of a half-open box. Raises CasewiseError where it is not inside the grid."""
    shape = grid.spatial_shape
    if len(lower) != len(shape) or any(lo < 0 or hi > n for lo, hi, n in zip(lower, upper, shape, strict=True)):
        box = [list(pair) for pair in zip(lower, upper, strict=True)]
        msg = f"The box {box} is not inside the grid of {shape} voxels; give [lower, upper] within each spatial axis."
        raise CasewiseError(msg)
    return tuple(slice(lo, hi) for lo, hi in zip(lower, upper, strict=True))


def reorienting(grid: Grid, axes: str) -> tuple[npt.NDArray[Any], Affine]:
    """How a grid is turned so that its spatial axes run to ``axes``, and its affine then.

    axes : a letter for each spatial axis: R, L, A, P, S or I (``RAS``). Axes are permuted and flipped, never resampled.
    Returns nibabel's orientation transform for :func:`reoriented`. Raises CasewiseError for axes that the grid cannot have.
    """
    from nibabel.orientations import axcodes2ornt, inv_ornt_aff, io_orientation, ornt_transform

    dims, own = len(grid.spatial_shape), io_orientation(grid.affine)
    allowed = {frozenset((letter, _OPPOSITE[letter])) for letter in axes_of(grid)}
    wanted = [frozenset((letter, _OPPOSITE.get(letter, ""))) for letter in axes]
    if len(wanted) != dims or set(wanted) != allowed:
        pairs = ", ".join("/".join(sorted(pair)) for pair in sorted(allowed, key=sorted))
        msg = f"Axes {axes!r} do not fit a grid whose axes run {axes_of(grid)}; give {dims} letters, one of each of {pairs}."
        raise CasewiseError(msg)
    turn = ornt_transform(own, np.vstack([axcodes2ornt(tuple(axes)), own[dims:]]))
    shape = (*grid.spatial_shape, *(1 for _ in range(3 - dims)))
    return turn[:dims], grid.affine @ inv_ornt_aff(turn, shape)


def reoriented(array: npt.NDArray[Any], turn: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """``array`` (*spatial, …) with its spatial axes permuted and flipped by the ``turn`` of :func:`reorienting`; a copy."""
    from nibabel.orientations import apply_orientation

    return np.ascontiguousarray(apply_orientation(array, turn))


class Resampling:
    """Puts arrays on the grid ``source`` on the grid ``target``: 0 outside the source, half a voxel beyond its last centre.

    Raises CasewiseError for a picture and a volume, and for pictures of different planes.
    """

    def __init__(self, source: Grid, target: Grid) -> None:
        dims = len(source.spatial_shape)
        if dims != len(target.spatial_shape):
            shapes = f"{source.spatial_shape} cannot be resampled to one of {target.spatial_shape}"
            msg = f"A grid of {shapes}: give two volumes or two pictures."
            raise CasewiseError(msg)
        change = np.linalg.solve(source.affine, target.affine)
        beside = np.abs(change[dims:3, :dims]) @ np.asarray(target.spatial_shape) + np.abs(change[dims:3, 3])
        if (beside > 0.5).any():
            raise CasewiseError("The two pictures lie in different planes; give pictures of one plane, or volumes.")
        self._matrix, self._offset = change[:dims, :dims], change[:dims, 3]
        self._source, self._target = source.spatial_shape, target.spatial_shape
        ends = np.abs(self._matrix - np.eye(dims)) @ np.asarray(self._target) + np.abs(self._offset)
        self._same = self._source == self._target and bool((ends < _SAME).all())

    def __call__(self, array: npt.NDArray[Any], order: int) -> npt.NDArray[Any]:
        """``array`` (*spatial) on the target's grid, of its own type. order : 0 nearest voxel, 1 linear."""
        if self._same:
            return array.copy()
        from scipy.ndimage import affine_transform

        kind = array.dtype
        wide = array.astype(np.uint8) if kind == np.bool_ else array if order == 0 else array.astype(np.float64)
        found = affine_transform(wide, self._matrix, self._offset, self._target, order=order, mode="nearest")
        found[~self._inside()] = 0
        return np.asarray(np.rint(found).astype(kind) if order and kind.kind in "iu" else found.astype(kind))

    def _inside(self) -> npt.NDArray[np.bool_]:
        inside = np.ones(self._target, bool)
        steps = np.ogrid[tuple(slice(n) for n in self._target)]
        for row, offset, length in zip(self._matrix, self._offset, self._source, strict=True):
            place = offset + sum(step * index for step, index in zip(row, steps, strict=True))
            inside &= (place > -0.5 - _SAME) & (place < length - 0.5 + _SAME)
        return inside
