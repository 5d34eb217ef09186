"""Any picture as it is displayed, a chest radiograph upright by what it shows: so one film is the same whatever its format."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt

from casewise.chest.region_pose import Pose
from casewise.device import resolve_device
from casewise.encoder import Encoder
from casewise.image import Image
from casewise.intensity import grey
from casewise.orientation import Turn, displayed

Mask = npt.NDArray[np.bool_]
# One analysis encodes its image several times (similar cases, examples, applications); routing and posing it once is enough.
_TURNS: WeakKeyDictionary[Image, Turn] = WeakKeyDictionary()


def upright_turn(image: Image, device: str = "auto") -> Turn:
    """The turn that lays ``image`` upright: by its chest where the router sees a chest radiograph, else as it is displayed.

    Left and right of a chest are as :func:`casewise.chest.regions` has them, and where nothing distinguishes them as is likeliest.
    A volume is not turned.
    """
    known = _TURNS.get(image)
    if known is None:
        known = _TURNS[image] = _found_turn(image, resolve_device(device))
    return known


def _found_turn(image: Image, device: str) -> Turn:
    from casewise.chest.region_checks import CHEST, PLAIN, can_be_chest, router
    from casewise.chest.region_network import MODEL, best_pose
    from casewise.models.shipped import load

    as_displayed = displayed(image)
    if not can_be_chest(image) or router().route(image).category != CHEST:
        return as_displayed
    plausibility, sides = best_pose(load(MODEL), image, device)
    return sides.pose.turn if plausibility >= 2 * PLAIN else as_displayed


def laid(image: Image, turn: Turn) -> Image:
    """A picture turned, (C, row, column); of its geometry it keeps the size of its pixels."""
    header = replace(image.header, format=None, directions=None, single_axis=None, orientation_known=False)
    affine = np.diag([*(image.spacing[axis] for axis in turn.axes), 1.0, 1.0])
    return Image(np.ascontiguousarray(turn.upright(image.array)), affine, header, image.source)


def upright_plane(image: Image, pose: Pose) -> npt.NDArray[np.float32]:
    """(row, column): the grey values of a chest radiograph, upright and with bright bones, in the range that the image has."""
    plane = np.ascontiguousarray(pose.upright(grey(image.array)))
    return plane.max() + plane.min() - plane if pose.inverted else plane


class UprightEncoder:
    """Implements :class:`casewise.encoder.Encoder`: another one's vectors, of pictures that were laid upright before."""

    def __init__(self, encoder: Encoder, device: str = "auto") -> None:
        self._encoder, self._device = encoder, device

    @property
    def key(self) -> str:
        return f"{self._encoder.key}-upright"

    @property
    def dimension(self) -> int:
        return self._encoder.dimension

    def encode(self, images: Sequence[Image], regions: Sequence[Mask | None] | None = None) -> npt.NDArray[np.float32]:
        """As the other's; ``regions`` are turned with their images."""
        turns = [self.turn(image) for image in images]
        turned = [image if image.spatial_dims != 2 else laid(image, turn) for image, turn in zip(images, turns, strict=True)]
        if regions is None:
            return self._encoder.encode(turned)
        masks = [
            region if region is None or region.ndim != 2 else np.ascontiguousarray(turn.upright(region))
            for region, turn in zip(regions, turns, strict=True)
        ]
        return self._encoder.encode(turned, masks)

    def turn(self, image: Image) -> Turn:
        """How a picture is laid before it is encoded."""
        return upright_turn(image, self._device)
