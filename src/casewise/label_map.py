"""A label map: named structures on one grid, with the affine that says where its voxels lie in the patient."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import combinations

import numpy as np
import numpy.typing as npt

from casewise.errors import CasewiseError
from casewise.grid import (
    Affine,
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
from casewise.image import Box, Image

Mask = npt.NDArray[np.bool_]
_NAMED = 8  # structures in a repr
_SAME_MM = 1e-3  # what an affine loses in a NIfTI file's 32-bit numbers


@dataclass(frozen=True, eq=False)
class Numbered(Mapping[str, Mask]):
    """Masks that are made when they are asked for, of whole numbers (*spatial): the n-th name's is where they are n. All masks of a
    hundred structures of a volume would not fit into memory. others : masks (*spatial) that take the place of those of their names.
    """

    numbers: npt.NDArray[np.unsignedinteger]
    names: tuple[str, ...]
    others: Mapping[str, Mask] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Mask:
        if name in self.others:
            return self.others[name]
        if name not in self.names:
            raise KeyError(name)
        number = self.names.index(name) + 1
        mask = np.zeros(self.numbers.shape, bool)
        box = self._boxes[number - 1] if number <= len(self._boxes) else None
        if box is not None:
            mask[box] = self.numbers[box] == number
        return mask

    @cached_property
    def _boxes(self) -> list[tuple[slice, ...] | None]:
        """Where the numbers 1, 2, 3 and so on lie; None where there is none."""
        from scipy.ndimage import find_objects

        return list(find_objects(self.numbers))

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys((*self.names, *self.others)))

    def __len__(self) -> int:
        return len({*self.names, *self.others})


@dataclass(frozen=True, eq=False, repr=False)
class LabelMap(Mapping[str, Mask]):
    """Structures by name, each a boolean mask (*spatial); masks may overlap. A mapping: ``label_map["heart"]`` is a mask.

    masks : name → (*spatial), boolean or numbers (then what is above 0); all of one shape, with 2 or 3 spatial axes in the order of
        ``Image.array``'s.
    affine : (4, 4), as of :class:`casewise.image.Image`: voxel indices to RAS in mm.
    shape : of the grid, where there may be no structure; without either, the map is empty and of no grid.
    header : what is known of the grid beside the affine: whether this says the voxels' size, and how the axes lie in the patient.
    """

    masks: Mapping[str, Mask] = field(default_factory=dict)
    affine: Affine = field(default_factory=lambda: np.eye(4))
    shape: tuple[int, ...] | None = None
    header: Header = field(default_factory=Header)

    def __post_init__(self) -> None:
        masks: Mapping[str, Mask] = self.masks
        if isinstance(masks, Numbered):
            shapes = {masks.numbers.shape, *(mask.shape for mask in masks.others.values())}
        else:
            given = {str(name): np.asarray(mask) for name, mask in masks.items()}
            masks = {name: mask if mask.dtype == np.bool_ else mask > 0 for name, mask in given.items()}
            shapes = {mask.shape for mask in masks.values()}
        shapes |= {tuple(self.shape)} if self.shape is not None else set()
        shapes = shapes or {()}
        if len(shapes) != 1 or (len(masks) and len(next(iter(shapes))) not in (2, 3)):
            got = ", ".join(map(str, sorted(shapes)))
            raise CasewiseError(f"The masks of a label map have one shape with 2 or 3 spatial axes; got {got}.")
        object.__setattr__(self, "masks", masks)
        object.__setattr__(self, "affine", checked_affine(self.affine, "A label map's"))
        object.__setattr__(self, "shape", next(iter(shapes)))

    @classmethod
    def from_labels(cls, labels: npt.NDArray[np.generic], names: Sequence[str] | Mapping[int, str], affine: Affine) -> LabelMap:
        """Of whole numbers (*spatial), 0 for background. names : of 1, 2, … in this order, or by number.

        Raises CasewiseError for a number without a name.
        """
        named = dict(names) if isinstance(names, Mapping) else dict(enumerate(names, start=1))
        if labels.dtype.kind not in "biu":
            raise CasewiseError(f"A label map is made of whole numbers; got {labels.dtype}.")
        outside = ~np.isin(labels, [0, *named])
        if outside.any():
            unnamed = ", ".join(map(str, np.unique(labels[outside])[:5]))
            raise CasewiseError(f"Every label of a label map but 0 has a name; got the labels {unnamed} without a name.")
        return cls({name: np.asarray(labels == number) for number, name in named.items()}, affine, labels.shape)

    @classmethod
    def like(cls, masks: Mapping[str, npt.NDArray[np.generic]], grid: Grid) -> LabelMap:
        """Masks (*spatial) on the grid of an image or of another label map. CasewiseError for another shape."""
        drawn = {name: np.greater(mask, mask.dtype.type(0)) for name, mask in masks.items()}  # a plain 0 would be a wide number
        return cls(drawn, grid.affine, grid.spatial_shape, _header(grid))

    def __getitem__(self, name: str) -> Mask:
        return self.masks[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.masks)

    def __len__(self) -> int:
        return len(self.masks)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self.masks)

    @property
    def spatial_shape(self) -> tuple[int, ...]:
        """(row, column) for a picture, three axes for a volume."""
        return tuple(int(n) for n in self.shape or ())

    @property
    def spatial_dims(self) -> int:
        return len(self.spatial_shape)

    @property
    def spacing(self) -> tuple[float, ...]:
        """Size of a voxel in mm along each spatial axis."""
        return spacing(self)

    def labels(self, overlap: bool = True) -> npt.NDArray[np.unsignedinteger]:
        """(*spatial) whole numbers: 0 for background, n for the n-th name (from 1); where two meet, the later name's.

        overlap : False raises CasewiseError, naming two structures that share a voxel, instead.
        """
        if not overlap and (shared := self.overlaps()):
            raise CasewiseError(f"{shared[0][0]} and {shared[0][1]} share voxels: a label array holds one number a voxel.")
        found = np.zeros(self.spatial_shape, np.min_scalar_type(len(self)))
        for number, mask in enumerate(self.values(), start=1):
            found[mask] = number
        return found

    def union(self) -> Mask:
        """(*spatial) bool: where any structure is."""
        found: Mask = np.logical_or.reduce([np.zeros(self.spatial_shape, bool), *self.masks.values()])
        return found

    def overlaps(self) -> tuple[tuple[str, str], ...]:
        """The pairs of names whose masks share a voxel."""
        return tuple((a, b) for a, b in combinations(self.masks, 2) if np.logical_and(self[a], self[b]).any())

    def __or__(self, other: Mapping[str, Mask]) -> LabelMap:
        """With the masks of another on the same grid, which replace those of the same names."""
        if isinstance(other, LabelMap) and self.shape and other.shape:
            other.check_grid(self)
        elif isinstance(other, LabelMap) and not self.shape:
            return other
        if isinstance(self.masks, Numbered):
            more = {**self.masks.others, **{name: np.asarray(mask) > 0 for name, mask in other.items()}}
            return replace(self, masks=replace(self.masks, others=more))
        return replace(self, masks={**self, **other}, shape=self.shape or None)

    def check_grid(self, grid: Grid) -> None:
        """Raises CasewiseError where the masks do not lie on the grid of an image or of another label map."""
        apart = float(np.abs(self.affine - grid.affine).max())
        if self.spatial_shape != grid.spatial_shape or apart > _SAME_MM:
            msg = (
                f"The label map is not on the image's grid: {self.spatial_shape} against {grid.spatial_shape} voxels, affines that "
                f"differ by up to {apart:.3g}; bring it there by resample_like(image)."
            )
            raise CasewiseError(msg)

    def box(self, name: str) -> Box | None:
        """The smallest box around a structure, in voxels; None for an empty one."""
        return Box.around(self[name])

    def crop(self, box: Box) -> LabelMap:
        """The part inside ``box``; every voxel keeps its place in the patient."""
        slices = checked_crop(self, box.lower, box.upper)
        masks = {name: mask[slices] for name, mask in self.items()}
        return LabelMap(masks, cropped_affine(self.affine, box.lower), box.shape, self.header)

    def reorient(self, axes: str) -> LabelMap:
        """The same voxels, the spatial axes permuted and flipped to run to ``axes``: ``RAS``; two letters of a picture.

        Raises CasewiseError where it is not known how the axes lie in the patient.
        """
        if not self.header.orientation_known:
            msg = "The label map cannot be reoriented: its image does not say where its axes run to in the patient."
            raise CasewiseError(msg)
        turn, affine = reorienting(self, axes)
        order = np.argsort(turn[:, 0])
        shape = tuple(self.spatial_shape[axis] for axis in order)
        return LabelMap({name: reoriented(mask, turn) for name, mask in self.items()}, affine, shape, self.header.without_grid())

    def resample_like(self, other: Grid) -> LabelMap:
        """On the grid of another image or label map, by the nearest voxel; empty outside."""
        resampled = Resampling(self, other)
        masks = {name: resampled(mask, order=0) for name, mask in self.items()}
        return LabelMap(masks, other.affine, other.spatial_shape, _header(other))

    def __repr__(self) -> str:
        names = ", ".join(self.names[:_NAMED]) + (f" and {len(self) - _NAMED} more" if len(self) > _NAMED else "")
        return f"LabelMap({described(self, self.header.placed)}: {names or 'no structure'})"


def _header(grid: Grid) -> Header:
    """What is known of the grid of an image or of another label map."""
    if isinstance(grid, LabelMap):
        return grid.header
    return grid.header.of_masks(grid.spatial_dims) if isinstance(grid, Image) else Header()
