"""Where an object lies by its first strokes alone, for those who draw no box."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from casewise.errors import UsageError
from casewise.image import Box, Image
from casewise.interaction.strokes import Given, Points, Strokes


@dataclass(frozen=True)
class Margins:
    """How much larger than its strokes the box is; chosen and measured by benchmarks/box_from_strokes.py.

    both : of the strokes' extent, left on each side where there are strokes of both kinds. alone : the box's sides as a multiple of
    the extent of foreground strokes alone. square : whether these are of one length in the plane, by the longer extent. least :
    voxels of such a side in the plane, at least. across : of the box's longer side in the plane (in mm), how far it reaches across
    the slices on either side.
    """

    both: float = 0.25
    alone: float = 3.0
    square: bool = True
    least: int = 32
    across: float = 0.1


MARGINS = Margins()


def box_from_strokes(image: Image, foreground: Given, background: Given = None, margins: Margins = MARGINS) -> Box:
    """The box in which an object is looked for that was marked with strokes alone, cut to the image.

    foreground, background : as :meth:`InteractiveSegmentation.add_scribbles` takes them. With both, the box is drawn around both,
    since people mark as background what lies around the object. With foreground alone, it is a multiple of the strokes' extent.
    Raises UsageError without a foreground stroke.
    """
    strokes = Strokes.given(image, foreground, background)
    if not len(strokes.foreground):
        msg = "An object begins with a box or a foreground stroke, and only background was marked; mark the object first."
        raise UsageError(msg)
    inner = _extent(strokes.foreground)
    across = _across(image, inner[1] - inner[0])
    plane = [axis for axis in range(image.spatial_dims) if axis != across]
    if len(strokes.background):
        low, high = _extent(np.concatenate([strokes.foreground, strokes.background]))
        pads = np.ceil(margins.both * (high - low)).astype(int)
    else:
        low, high = inner
        extent = high - low
        longest = extent[plane].max() if margins.square else extent
        sides = np.maximum(np.ceil(margins.alone * longest).astype(int), margins.least)
        pads = np.maximum(np.ceil((sides - extent) / 2).astype(int), 0)
    if across is not None:
        reach = margins.across * max((high[axis] - low[axis] + 2 * pads[axis]) * image.spacing[axis] for axis in plane)
        pads[across] = max(1, int(np.ceil(reach / image.spacing[across])))
    lower = np.maximum(low - pads, 0)
    upper = np.minimum(high + pads, image.spatial_shape)
    return Box(tuple(int(n) for n in lower), tuple(int(n) for n in upper))


def _extent(places: Points) -> tuple[Points, Points]:
    return places.min(axis=0), places.max(axis=0) + 1


def _across(image: Image, extent: Points) -> int | None:
    """The axis that the strokes were drawn across: along which they are thinnest, of equal ones the one of longest voxels."""
    if image.spatial_dims == 2:
        return None
    return min(range(3), key=lambda axis: (int(extent[axis]), -image.spacing[axis], -axis))
