"""Where the voxels of a NIfTI file lie, as the standard says it: by the sform, else the qform, else the voxel size alone.

nibabel's own reading of the qform is not used: it refuses a qfac of 0 (which the standard takes for 1) and a quaternion that
rounding made longer than 1 (which the standard's reference implementation makes a unit again).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from casewise.errors import UnreadableImageError
from casewise.header import Header

Matrix = npt.NDArray[np.float64]

# What casewise writes into descrip of its own files. Of the orientation it says what does not go with the spacing.
_UNKNOWN_SPACING, _ROWS_FIRST = b"spacing unknown", b"rows first"
_UNKNOWN_ORIENTATION, _KNOWN_ORIENTATION = b"orientation unknown", b"orientation known"
_TO_MM = {1: 1000.0, 2: 1.0, 3: 0.001}
_LONGEST = 1.01  # squared length of a quaternion's three stored parts: above it, it is not rounding


def geometry(path: Path, header: Any) -> tuple[Matrix, dict[str, object]]:
    """(4, 4) from voxel indices to RAS mm, and ``spacing_known``, ``orientation_known``, and ``rows_first`` where
    casewise wrote a picture that counts rows first. Raises UnreadableImageError.
    """
    unit = int(header["xyzt_units"]) & 7
    scale = _TO_MM.get(unit, 1.0)
    noted = header["descrip"].item()
    known = _UNKNOWN_SPACING not in noted
    about: dict[str, object] = {"rows_first": True} if _ROWS_FIRST in noted else {}
    affine = _stated(path, header)
    if affine is not None:
        affine[:3] *= scale
        if not _is_grid(affine):
            msg = f"{path} has an affine (sform or qform) that does not describe a grid; correct it and save the file again."
            raise UnreadableImageError(msg)
        oriented = (known or _KNOWN_ORIENTATION in noted) and _UNKNOWN_ORIENTATION not in noted
        return affine, {"spacing_known": known, "orientation_known": oriented, **about}
    sizes = _voxel_size(path, header, "neither an affine nor a voxel size that can be")
    return np.diag([*(scale * sizes), 1.0]), {"spacing_known": known and unit in _TO_MM, "orientation_known": False, **about}


def notes(header: Header) -> bytes:
    """What goes into descrip of a file that casewise writes, for what its affine cannot say."""
    noted = [] if header.spacing_known else [_UNKNOWN_SPACING]
    if header.orientation_known != header.spacing_known:
        noted.append(_KNOWN_ORIENTATION if header.orientation_known else _UNKNOWN_ORIENTATION)
    return b"; ".join([*noted, _ROWS_FIRST] if header.rows_first else noted)


def _stated(path: Path, header: Any) -> Matrix | None:
    """The sform, where there is one that is not all zeros; else the qform; None where the file has neither."""
    rows = np.array([header["srow_x"], header["srow_y"], header["srow_z"]], dtype=np.float64)
    sform = _with_thickness(header, np.vstack([rows, [0, 0, 0, 1]])) if int(header["sform_code"]) > 0 else None
    if sform is not None and not rows[:, :3].any():
        if int(header["qform_code"]) <= 0:
            return sform
        sform = None
    if int(header["qform_code"]) <= 0:
        return sform
    if sform is None:
        return _of_quaternion(path, header)
    _check_same_hand(path, header, sform)
    return sform


def _check_same_hand(path: Path, header: Any, sform: Matrix) -> None:
    """Of two affines of which one is the other's mirror image, one has left and right exchanged, and nothing says which."""
    try:
        qform = _of_quaternion(path, header)
    except UnreadableImageError:
        return  # the sform alone is used
    if _is_grid(sform) and _is_grid(qform) and np.linalg.det(sform[:3, :3]) * np.linalg.det(qform[:3, :3]) < 0:
        msg = (
            f"{path} says two things about left and right: its sform is the mirror image of its qform; set the code of the one "
            "that is wrong to 0 (sform_code or qform_code) and save the file again."
        )
        raise UnreadableImageError(msg)


def _of_quaternion(path: Path, header: Any) -> Matrix:
    b, c, d = (float(header[f"quatern_{part}"]) for part in "bcd")
    squared = b * b + c * c + d * d
    if not squared <= _LONGEST:
        msg = f"{path} has a qform whose quaternion is no rotation: its parts are {b:g}, {c:g}, {d:g}; correct it and save again."
        raise UnreadableImageError(msg)
    if squared > 1:
        b, c, d = (part / np.sqrt(squared) for part in (b, c, d))
    a = np.sqrt(max(0.0, 1 - squared))
    rotation = np.array([
        [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
        [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)],
        [2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - c * c - b * b],
    ])  # fmt: skip
    handed = -1.0 if float(header["pixdim"][0]) < 0 else 1.0
    affine = np.eye(4)
    affine[:3, :3] = rotation * (_voxel_size(path, header, "a qform without a voxel size that can be") * (1, 1, handed))
    affine[:3, 3] = [float(header[f"qoffset_{axis}"]) for axis in "xyz"]
    return affine


def _voxel_size(path: Path, header: Any, lack: str) -> npt.NDArray[np.float64]:
    """(3,) pixdim; 1 along an axis of one voxel whose size is not stated."""
    zooms = np.asarray(header["pixdim"][1:4], dtype=np.float64)
    sound = np.isfinite(zooms) & (zooms > 1e-6) & (zooms < 1e4)
    if not sound[_lengths(header) > 1].all():
        displayed = [float(f"{zoom:g}") for zoom in zooms]
        raise UnreadableImageError(f"{path} has {lack}: pixdim is {displayed}; set it and save the file again.")
    return np.where(sound, zooms, 1.0)


def _lengths(header: Any) -> npt.NDArray[np.int64]:
    """(3,) voxels along i, j and k; 1 for axes that the file does not have."""
    dims = [int(n) for n in header["dim"]]
    return np.array([*dims[1 : min(dims[0], 3) + 1], 1, 1, 1][:3])


def _with_thickness(header: Any, affine: Matrix) -> Matrix:
    """A single slice whose sform gives it no thickness lies where it lies, 1 mm thick."""
    empty = [axis for axis in range(3) if not affine[:3, axis].any() and _lengths(header)[axis] == 1]
    if len(empty) == 1:
        one, other = (affine[:3, (empty[0] + step) % 3] for step in (1, 2))
        normal = np.cross(one, other)
        if np.linalg.norm(normal) > 0:
            affine[:3, empty[0]] = normal / np.linalg.norm(normal)
    return affine


def _is_grid(affine: Matrix) -> bool:
    lengths = np.linalg.norm(affine[:3, :3], axis=0)
    if not np.isfinite(affine).all() or lengths.min() < 1e-6 or lengths.max() > 1e4:
        return False
    return bool(abs(np.linalg.det(affine[:3, :3] / lengths)) >= 1e-4)
