"""The image that every part of casewise speaks in: an array, where its voxels lie in the patient, and what its header said."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from casewise.errors import CasewiseError

Array = npt.NDArray[np.generic]


@dataclass(frozen=True, eq=False)
class Image:
    """A 2D picture or a 3D volume with its geometry.

    array : (C, *spatial) with 2 or 3 spatial axes. A picture's axes are (row, column). A DICOM series is (row, column, slice);
        NIfTI, NRRD and MHA keep their file's own index order (i, j, k). C is 1 for grey, 3 for RGB.
    affine : (4, 4), float64: from voxel indices in the order of the spatial axes (a picture's third index is 0) to
        **RAS** coordinates in mm: + is towards the patient's Right, Anterior and Superior (DICOM's own LPS has x and y negated).
    header : plain values (str, int, float, bool, tuple) under lower-case keys: ``modality`` (DICOM's code: CT, MR, CR, DX, US, …),
        ``sequence``, ``body_part``, ``age`` (years), ``sex`` (M, F, O), ``manufacturer``, ``scanner``, ``photometric``, ``window``
        (centre, width), ``spacing_known`` (False for a PNG: its affine then counts pixels, not mm), ``orientation_known`` (False
        where a file says nothing of the patient's axes), ``axes_note`` (what a person should know of them), ``format``.
        Never a patient's name, identifier or birth date.
    source : where it was read from, if it was.
    """

    array: Array
    affine: npt.NDArray[np.float64] = field(default_factory=lambda: np.eye(4))
    header: Mapping[str, object] = field(default_factory=dict)
    source: Path | None = None

    def __post_init__(self) -> None:
        if self.array.ndim not in (3, 4):
            msg = (
                f"An image has a channel axis and 2 or 3 spatial axes; this array has shape {self.array.shape}. "
                "Add the channel axis in front: array[None]."
            )
            raise CasewiseError(msg)
        affine = np.asarray(self.affine, dtype=np.float64)
        if affine.shape != (4, 4) or not np.isfinite(affine).all() or abs(np.linalg.det(affine[:3, :3])) < 1e-12:
            got = " ".join(np.array2string(affine, threshold=16, max_line_width=1000).split())
            msg = f"An image's affine is an invertible 4×4 matrix of finite numbers; got {got}."
            raise CasewiseError(msg)
        object.__setattr__(self, "affine", affine)
        object.__setattr__(self, "header", MappingProxyType(dict(self.header)))

    def __reduce__(self) -> tuple[object, ...]:
        """So that it can be handed to another process: the header's read-only view cannot."""
        return Image, (self.array, self.affine, dict(self.header), self.source)

    @property
    def spatial_shape(self) -> tuple[int, ...]:
        """(row, column) for a picture, three axes for a volume."""
        return tuple(int(n) for n in self.array.shape[1:])

    @property
    def spatial_dims(self) -> int:
        return self.array.ndim - 1

    @property
    def channels(self) -> int:
        return int(self.array.shape[0])

    @property
    def spacing(self) -> tuple[float, ...]:
        """Size of a voxel in mm along each spatial axis (pixels where ``header['spacing_known']`` is False)."""
        lengths = np.linalg.norm(self.affine[:3, :3], axis=0)
        return tuple(float(length) for length in lengths[: self.spatial_dims])

    def with_array(self, array: Array) -> Image:
        """The same geometry and header around another array (C', *spatial) on the same grid."""
        if tuple(array.shape[1:]) != self.spatial_shape:
            msg = f"The new array's grid {tuple(array.shape[1:])} is not the image's {self.spatial_shape}."
            raise CasewiseError(msg)
        return replace(self, array=array)


@dataclass(frozen=True)
class Box:
    """A half-open box of voxels, in the order of ``Image.array``'s spatial axes (a picture: row, column)."""

    lower: tuple[int, ...]
    upper: tuple[int, ...]

    def __post_init__(self) -> None:
        if len(self.lower) != len(self.upper) or any(lo >= hi for lo, hi in zip(self.lower, self.upper, strict=True)):
            msg = f"A box needs lower < upper on every axis; given was lower {self.lower}, upper {self.upper}."
            raise CasewiseError(msg)

    @property
    def slices(self) -> tuple[slice, ...]:
        return tuple(slice(lo, hi) for lo, hi in zip(self.lower, self.upper, strict=True))

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(hi - lo for lo, hi in zip(self.lower, self.upper, strict=True))

    def to_json(self) -> list[list[int]]:
        """``[[lower, upper], …]``, one pair an axis."""
        return [[int(lo), int(hi)] for lo, hi in zip(self.lower, self.upper, strict=True)]

    @classmethod
    def around(cls, mask: Array) -> Box | None:
        """The smallest box that holds every non-zero voxel of ``mask`` (*spatial); None for an empty mask."""
        lower, upper = [], []
        for axis in range(mask.ndim):
            hits = np.flatnonzero(np.any(mask, axis=tuple(a for a in range(mask.ndim) if a != axis)))
            if hits.size == 0:
                return None
            lower.append(int(hits[0]))
            upper.append(int(hits[-1]) + 1)
        return cls(tuple(lower), tuple(upper))
