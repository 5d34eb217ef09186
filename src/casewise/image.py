"""The image that every part of casewise speaks in: an array, where its voxels lie in the patient, and what its header said."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from casewise.errors import CasewiseError
from casewise.grid import (
    Grid,
    Resampling,
    checked_affine,
    checked_crop,
    cropped_affine,
    described,
    reoriented,
    reorienting,
    spacing,
)
from casewise.header import Header

Array = npt.NDArray[np.generic]


@dataclass(frozen=True, eq=False, repr=False)
class Image:
    """A 2D picture or a 3D volume with its geometry.

    array : (C, *spatial) with 2 or 3 spatial axes. A picture's axes are (row, column). A DICOM series is (row, column, slice);
        NIfTI, NRRD and MHA keep their file's own index order (i, j, k). C is 1 for grey, 3 for RGB.
        A loop (frames of one plane over time, or other frames that form no volume) is (row, column, frame): ``is_loop``.
    affine : (4, 4), float64: from voxel indices in the order of the spatial axes (a picture's third index is 0) to
        **RAS** coordinates in mm: + is towards the patient's Right, Anterior and Superior (DICOM's own LPS has x and y negated).
        Of a loop it says where a frame lies at most; its third column is no length.
    header : what the file says beside; a mapping is read by :meth:`casewise.header.Header.from_json`. Never a patient's name,
        identifier or birth date.
    source : where it was read from, if it was.
    """

    array: Array
    affine: npt.NDArray[np.float64] = field(default_factory=lambda: np.eye(4))
    header: Header = field(default_factory=Header)
    source: Path | None = None

    def __post_init__(self) -> None:
        if self.array.ndim not in (3, 4):
            msg = (
                f"An image has a channel axis and 2 or 3 spatial axes; this array has shape {self.array.shape}. "
                "Add the channel axis in front: array[None]."
            )
            raise CasewiseError(msg)
        object.__setattr__(self, "affine", checked_affine(self.affine, "An image's"))
        if not isinstance(self.header, Header):
            object.__setattr__(self, "header", Header.from_json(self.header))

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
    def is_loop(self) -> bool:
        """Whether the third axis counts frames, over time or otherwise, and not places in the patient."""
        return self.spatial_dims == 3 and self.header.third_axis != "space"

    def frame(self, number: int) -> Image:
        """One frame of a loop, from 0, as a picture (C, row, column) with the size of its pixels."""
        if not self.is_loop or not 0 <= number < self.spatial_shape[2]:
            count = self.spatial_shape[2] if self.is_loop else "no"
            raise CasewiseError(f"The image has {count} frames; got frame {number}, counted from 0.")
        known = self.header.spacing_at is not None
        header = replace(self.header, third_axis="space", frame_times=(), axes_note=None, spacing_known=known)
        return replace(self, array=self.array[..., number], header=header)

    def check_volume(self, use: str) -> None:
        """Raises CasewiseError for a loop, naming what ``use`` needs three axes of space for."""
        if self.is_loop:
            count, over = self.spatial_shape[2], " over time" if self.header.third_axis == "time" else ""
            msg = f"The image is a loop of {count} frames{over}, which {use} does not take; give one frame, or a volume."
            raise CasewiseError(msg)

    @property
    def spacing(self) -> tuple[float, ...]:
        """Size of a voxel in mm along each spatial axis (pixels where ``header.spacing_known`` is False; 1 per frame of a loop)."""
        return spacing(self)

    def with_array(self, array: Array) -> Image:
        """The same geometry and header around another array (C', *spatial) on the same grid."""
        if tuple(array.shape[1:]) != self.spatial_shape:
            msg = f"The new array's grid {tuple(array.shape[1:])} is not the image's {self.spatial_shape}."
            raise CasewiseError(msg)
        return replace(self, array=array)

    def crop(self, box: Box) -> Image:
        """The part inside ``box``; every voxel keeps its place in the patient."""
        slices = checked_crop(self, box.lower, box.upper)
        return replace(self, array=self.array[(slice(None), *slices)], affine=cropped_affine(self.affine, box.lower))

    def reorient(self, axes: str) -> Image:
        """The same voxels, the spatial axes permuted and flipped to run to ``axes``: ``RAS``; two letters of a picture.

        Raises CasewiseError where the file does not say how the axes lie in the patient.
        """
        if not self.header.orientation_known:
            msg = "The image cannot be reoriented: its file does not say where its axes run to in the patient."
            raise CasewiseError(msg)
        turn, affine = reorienting(self, axes)
        array = np.stack([reoriented(channel, turn) for channel in self.array])
        return replace(self, array=array, affine=affine, header=self.header.without_grid())

    def resample_like(self, other: Grid) -> Image:
        """On the grid of another image or label map, linearly interpolated, of the same type; 0 outside."""
        self.check_volume("resampling")
        resampled = Resampling(self, other)
        array = np.stack([resampled(channel, order=1) for channel in self.array])
        return replace(self, array=array, affine=other.affine, header=self.header.without_grid())

    def __repr__(self) -> str:
        about = ", ".join(str(said) for said in (self.header.modality, self.header.sequence, self.header.body_part) if said)
        loop = f", a loop over {self.header.third_axis}" if self.is_loop else ""
        channels = f", {self.channels} channels" if self.channels > 1 else ""
        return f"Image({about + ': ' if about else ''}{described(self, self.header.placed)}, {self.array.dtype}{channels}{loop})"


@dataclass(frozen=True)
class Box:
    """A half-open box of voxels, in the order of ``Image.array``'s spatial axes (a picture: row, column)."""

    lower: tuple[int, ...]
    upper: tuple[int, ...]

    def __post_init__(self) -> None:
        if len(self.lower) != len(self.upper) or any(lo >= hi for lo, hi in zip(self.lower, self.upper, strict=True)):
            msg = f"A box needs lower < upper on every axis; got lower {self.lower}, upper {self.upper}."
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
    def whole(cls, shape: Sequence[int]) -> Box:
        """The box of all voxels of a grid of ``shape`` (*spatial)."""
        return cls((0,) * len(shape), tuple(shape))

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
