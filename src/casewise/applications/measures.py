"""Sizes and intensities of a mask, in the patient's millimetres where the image knows them, else in pixels."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from scipy.spatial import ConvexHull
from scipy.spatial.distance import cdist

from casewise.image import Box, Image

Mask = npt.NDArray[np.bool_]
Points = npt.NDArray[np.float64]
_ROWS = 1024  # distances are taken so many points at a time, to stay small in memory


def measure(mask: Mask, image: Image) -> dict[str, float]:
    """Measures of ``mask`` (*spatial) on the grid of ``image``; empty for an empty mask.

    A picture: ``area_mm2`` and ``longest_diameter_mm``; a volume: ``volume_ml`` and ``longest_diameter_mm``. Where the spacing is
    not known: ``area_px`` or ``volume_voxels``, and ``longest_diameter_px`` or ``longest_diameter_voxels``. Of a grey image also
    the mean under the mask: ``mean_hu`` for CT, else ``mean_intensity``. Of a loop, those of the frame in which the mask is
    largest, and which ``frame`` that is, from 0.
    """
    if image.is_loop and mask.any():
        number = int(np.argmax(np.count_nonzero(mask, axis=(0, 1))))
        return {"frame": float(number)} | measure(mask[..., number], image.frame(number))
    box = Box.around(mask)
    if box is None:
        return {}
    size = size_of(mask, image)
    pixel = _unit(image)
    longest = {f"longest_diameter_{'mm' if _known(image) else pixel}": longest_diameter(mask[box.slices], image.affine)}
    return size | longest | _intensity(mask, image)


def size_of(mask: Mask, image: Image) -> dict[str, float]:
    """``area_mm2`` or ``area_px`` of a picture's mask, ``volume_ml`` or ``volume_voxels`` of a volume's.

    Raises CasewiseError for a loop, which has no volume.
    """
    image.check_volume("a measure of volume")
    count = int(np.count_nonzero(mask))
    picture = image.spatial_dims == 2
    if not _known(image):
        return {f"{'area' if picture else 'volume'}_{_unit(image)}": float(count)}
    if picture:
        return {"area_mm2": count * float(np.linalg.norm(np.cross(image.affine[:3, 0], image.affine[:3, 1])))}
    return {"volume_ml": count * abs(float(np.linalg.det(image.affine[:3, :3]))) / 1000}


def longest_diameter(mask: Mask, affine: npt.NDArray[np.float64]) -> float:
    """Greatest distance of two points of the largest connected piece of ``mask`` (*spatial), in the affine's units.

    The points are the middles of the voxels' faces, so that a single voxel measures its own length and not nothing.
    """
    points = _extremes(_largest_piece(mask)) @ affine[:3, : mask.ndim].T
    flat = points @ _axes(affine, mask.ndim)
    hull = flat[ConvexHull(flat).vertices]
    return max(float(cdist(hull[start : start + _ROWS], hull).max()) for start in range(0, len(hull), _ROWS))


def _largest_piece(mask: Mask) -> Mask:
    touching = ndimage.generate_binary_structure(mask.ndim, mask.ndim)
    pieces, count = ndimage.label(mask, touching)
    if count == 1:
        return mask
    sizes = np.bincount(pieces.ravel())
    return np.asarray(pieces == 1 + int(np.argmax(sizes[1:])))


def _extremes(mask: Mask) -> Points:
    """(n, axes) voxel coordinates: where each line of voxels along each axis enters and leaves the mask."""
    points = []
    for axis in range(mask.ndim):
        lines = np.argwhere(mask.any(axis=axis)).astype(np.float64)
        first = mask.argmax(axis=axis)
        last = mask.shape[axis] - 1 - np.flip(mask, axis).argmax(axis=axis)
        held = mask.any(axis=axis)
        for ends in (first[held] - 0.5, last[held] + 0.5):
            points.append(np.insert(lines, axis, ends, axis=1))
    return np.concatenate(points)


def _axes(affine: npt.NDArray[np.float64], dims: int) -> Points:
    """(3, dims): orthonormal directions that the grid's own axes span: distances within a tilted picture stay as they are."""
    return np.asarray(np.linalg.qr(affine[:3, :dims])[0])


def _intensity(mask: Mask, image: Image) -> dict[str, float]:
    if image.channels != 1:
        return {}
    values = image.array[0][mask].astype(np.float64)
    finite = values[np.isfinite(values)]
    if finite.size == 0:
        return {}
    return {"mean_hu" if image.header.modality == "CT" else "mean_intensity": float(finite.mean())}


def _known(image: Image) -> bool:
    return image.header.spacing_known


def _unit(image: Image) -> str:
    return "px" if image.spatial_dims == 2 else "voxels"
