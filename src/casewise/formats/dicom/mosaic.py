"""Siemens mosaics: the slices of a volume side by side in one picture, separated with their geometry, or refused."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from casewise.errors import UnreadableImageError
from casewise.formats.dicom.elements import Vector, text, vector, whole
from casewise.formats.dicom.private import private_number
from casewise.image import Array

_NEAR = 1e-2
_GRID_OF_UIH = (0x0065, 0x1050)


@dataclass(frozen=True)
class Mosaic:
    """How the tiles of a mosaic lie. rows, columns : of one tile. step : from a tile's slice to the next one's, LPS mm.

    corner : of the first tile's slice, LPS mm: ImagePositionPatient is where the whole picture would begin if it had been
    taken with its centre where the slice's is.
    """

    count: int
    across: int
    rows: int
    columns: int
    step: Vector
    corner: Vector

    def position(self, tile: int) -> Vector:
        return tuple(float(x) for x in np.asarray(self.corner) + tile * np.asarray(self.step))

    def unfolded(self, picture: Array) -> Array:
        """(tile, C, row, column) from (1, C, row, column)."""
        _, channels, height, width = picture.shape
        tiles = picture.reshape(channels, height // self.rows, self.rows, width // self.columns, self.columns)
        ordered = tiles.transpose(1, 3, 0, 2, 4).reshape(-1, channels, self.rows, self.columns)
        return np.ascontiguousarray(ordered[: self.count])


def mosaic_of(
    path: Path, dataset: Any, position: Vector | None, orientation: Vector | None, spacing: Vector | None
) -> Mosaic | None:
    """The mosaic that a file of one frame is; None if it is none.

    Raises UnreadableImageError where it is one but does not state how many slices it has, how far apart, or to which side.
    """
    uih = private_number(dataset, _GRID_OF_UIH, "UIH") or 0
    if uih > 1:
        raise UnreadableImageError(f"{path} is a grid of {uih:.0f} slices in one picture (United Imaging), which is not read.")
    if "MOSAIC" not in text(dataset, "ImageType").upper().split("\\"):
        return None
    csa = _csa(dataset)
    count = _count(dataset, csa)
    if count is None:
        raise UnreadableImageError(_unstated(path, "how many slices it holds (NumberOfImagesInMosaic)"))
    across = int(np.ceil(np.sqrt(count)))
    rows, columns = whole(dataset, "Rows") or 0, whole(dataset, "Columns") or 0
    if rows % across or columns % across or min(rows, columns) < across:
        raise UnreadableImageError(f"{path} is a mosaic of {rows}×{columns} pixels, which {across}×{across} tiles do not fill.")
    if position is None or orientation is None or spacing is None:
        raise UnreadableImageError(_unstated(path, "where it lies (position, orientation and pixel spacing)"))
    normal = csa.get("normal")
    across_planes = np.cross(orientation[:3], orientation[3:])
    if normal is None or min(np.linalg.norm(normal - across_planes), np.linalg.norm(normal + across_planes)) > _NEAR:
        raise UnreadableImageError(_unstated(path, "to which side its slices follow each other (SliceNormalVector)"))
    distance = _distance(dataset, csa)
    if distance is None:
        raise UnreadableImageError(_unstated(path, "how far its slices are apart (SpacingBetweenSlices)"))
    sign = 1.0 if float(np.dot(normal, across_planes)) > 0 else -1.0
    tile = rows // across, columns // across
    down, right = np.asarray(orientation[3:]) * spacing[0], np.asarray(orientation[:3]) * spacing[1]
    corner = np.asarray(position) + down * (rows - tile[0]) / 2 + right * (columns - tile[1]) / 2
    return Mosaic(count, across, *tile, tuple(sign * distance * across_planes), tuple(corner))


def _unstated(path: Path, what: str) -> str:
    return f"{path} is a Siemens mosaic that does not state {what}; export it as single slices, or convert it with dcm2niix."


def _count(dataset: Any, csa: dict[str, Any]) -> int | None:
    private = private_number(dataset, (0x0019, 0x100A), "SIEMENS")
    stated = {int(count) for count in (private, csa.get("count")) if count is not None and 1 <= count <= 4096}
    return stated.pop() if len(stated) == 1 else None


def _distance(dataset: Any, csa: dict[str, Any]) -> float | None:
    standard = vector(dataset, "SpacingBetweenSlices", 1)
    for distance in (standard[0] if standard else None, csa.get("distance")):
        if distance is not None and 1e-3 < abs(distance) < 1e3:
            return abs(float(distance))
    return None


def _csa(dataset: Any) -> dict[str, Any]:
    """``count``, ``normal``, ``distance`` as far as Siemens' own header (CSA) says them."""
    from nibabel.nicom import csareader

    try:
        header = csareader.get_csa_header(dataset, "image")
        if header is None:
            return {}
        found: dict[str, Any] = {
            "count": csareader.get_n_mosaic(header),
            "distance": csareader.get_scalar(header, "SpacingBetweenSlices"),
        }
        normal = csareader.get_slice_normal(header)
    except Exception:  # a damaged private header may raise anything; what it should have said is then missing
        return {}
    if normal is not None and np.isfinite(np.asarray(normal, dtype=np.float64)).all():
        found["normal"] = _unit(np.asarray(normal, dtype=np.float64))
    return {key: value for key, value in found.items() if value is not None}


def _unit(direction: npt.NDArray[np.float64]) -> npt.NDArray[np.float64] | None:
    length = float(np.linalg.norm(direction))
    return direction / length if direction.shape == (3,) and length > 0 else None
