"""How an image is turned before a network sees it, and back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from casewise.errors import CasewiseError
from casewise.image import Array, Image
from casewise.orientation import displayed

_SLAB = 1.2  # a volume is sliced along an axis whose voxels are at least this much longer than the next


@dataclass(frozen=True)
class View:
    """How an image is turned before a network sees it: permuted and flipped so that its axes run as the model's ``axes`` say; for a
    2D network the axis with the longest voxels comes last. Exact and invertible.
    """

    order: tuple[int, ...]
    flips: tuple[int, ...]
    spacing: tuple[float, ...]
    slices: bool

    @classmethod
    def of(cls, image: Image, spatial_dims: int, axes: str) -> View:
        if image.spatial_dims == 2:
            if spatial_dims == 3:
                msg = "The model takes volumes and this image is a picture of two axes; give it the whole series."
                raise CasewiseError(msg)
            return cls._of_picture(image, axes)
        if spatial_dims == 3:
            image.check_volume("a model of volumes")
        elif image.is_loop:  # each frame as it is displayed; never a picture of one line of pixels over time
            frame = cls._of_picture(image.frame(0), axes)
            return cls((*frame.order, 2), frame.flips, frame.spacing, slices=True)
        from nibabel.orientations import axcodes2ornt, io_orientation, ornt_transform

        turn = ornt_transform(io_orientation(image.affine), axcodes2ornt(tuple(axes)))
        order = tuple(int(axis) for axis in np.argsort(turn[:, 0]))
        flips = tuple(place for place, axis in enumerate(order) if turn[axis, 1] < 0)
        if spatial_dims == 2:
            lengths = [image.spacing[axis] for axis in order]
            longest = int(np.argmax(lengths))
            if longest != 2 and lengths[longest] > _SLAB * sorted(lengths)[1]:
                places = [place for place in range(3) if place != longest] + [longest]
                order = tuple(order[place] for place in places)
                flips = tuple(new for new, old in enumerate(places) if old in flips)
        spacing = tuple(image.spacing[axis] for axis in order)
        return cls(order, flips, spacing[:spatial_dims], slices=spatial_dims == 2)

    @classmethod
    def _of_picture(cls, image: Image, axes: str) -> View:
        """A picture is seen as it is displayed: its rows count as running to P and its columns to L.

        Nothing is known where the model's slices do not run up.
        """
        as_displayed = displayed(image)
        places = [0 if letter in "AP" else 1 for letter in axes[:2]] if axes[2] in "SI" else [0, 1]
        turned = [letter in "AR" for letter in axes[:2]] if axes[2] in "SI" else [False, False]
        order = tuple(as_displayed.axes[place] for place in places)
        flips = tuple(axis for axis, place in enumerate(places) if turned[axis] != as_displayed.flipped[place])
        return cls(order, flips, tuple(image.spacing[axis] for axis in order), slices=False)

    def forward(self, array: Array) -> Array:
        turned = np.transpose(array, (0, *(axis + 1 for axis in self.order)))
        return np.flip(turned, tuple(axis + 1 for axis in self.flips)) if self.flips else turned

    def planes(self, turned: Array) -> Iterator[Array]:
        return (turned[..., k] for k in range(turned.shape[-1])) if self.slices else iter((turned,))

    def backward(self, planes: list[npt.NDArray[np.float32]]) -> npt.NDArray[np.float32]:
        turned = np.stack(planes, axis=-1) if self.slices else planes[0]
        turned = np.flip(turned, tuple(axis + 1 for axis in self.flips)) if self.flips else turned
        return np.ascontiguousarray(np.transpose(turned, (0, *(int(axis) + 1 for axis in np.argsort(self.order)))))
