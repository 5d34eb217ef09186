"""From one slice through a volume: each slice starts from its neighbour's mask, until the object ends."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from casewise.image import Box, Image
from casewise.interaction.crop import Region
from casewise.interaction.predictor import Predictor
from casewise.interaction.prompt_maps import PromptMaps
from casewise.interaction.simulation.user import Hand, largest, middle_line
from casewise.interaction.state import State

Mask = npt.NDArray[np.bool_]

_LEAST = 8  # voxels of a slice's mask; less is the end
_ALIKE = 0.45  # Dice with the slice before; less is another object
_MARGIN = 0.12  # of the mask's sides, left around it in the next slice


def grown(image: Image, state: State, predictor: Predictor, farthest: int | None) -> State:
    """The state after following its object from the one slice of its box, in both directions."""
    axis = state.region.order[2]
    first = state.region.box.lower[axis]
    whole = state.mask
    start: Mask = np.take(whole, first, axis).copy()
    for step in (1, -1):
        for place, plane in _followed(image, start, axis, first, step, predictor, farthest):
            whole[_at(axis, place)] = plane
    box = _widened(Box.around(whole) or state.region.box, whole.shape, state.region.box)
    # The strokes that led here are kept: they still hold where they were drawn.
    return State.begun(image, box, predictor, whole).with_strokes(state.strokes)


def _followed(
    image: Image, plane: Mask, axis: int, first: int, step: int, predictor: Predictor, farthest: int | None
) -> Iterator[tuple[int, Mask]]:
    place, count = first + step, 0
    while 0 <= place < image.spatial_shape[axis] and (farthest is None or count < farthest):
        found = _next_plane(image, plane, axis, place, predictor)
        if found is None:
            return
        yield place, found
        plane, place, count = found, place + step, count + 1


def _next_plane(image: Image, plane: Mask, axis: int, place: int, predictor: Predictor) -> Mask | None:
    """The object in the slice at ``place``, from its mask ``plane`` in the one before; None where it has ended."""
    around = Box.around(plane)
    if around is None:
        return None
    pads = [max(3, round(_MARGIN * side)) for side in around.shape]
    lower = [max(0, low - pad) for low, pad in zip(around.lower, pads, strict=True)]
    upper = [min(n, high + pad) for high, pad, n in zip(around.upper, pads, plane.shape, strict=True)]
    lower.insert(axis, place)
    upper.insert(axis, place + 1)
    region = Region.around(image, Box(tuple(lower), tuple(upper)), predictor.size)
    full = np.zeros(image.spatial_shape, bool)
    full[_at(axis, place)] = plane
    before = region.sampled(full)
    maps = PromptMaps.of(region.crop(image)[None], region.inside()[None], region.spacing, scale=region.scale)
    # A short stroke in the middle of the former mask says which object is meant.
    line = np.zeros(region.grid, bool)
    line[..., 0] = middle_line(largest(before[..., 0] > 0.5), Hand(10, 1)) if (before[..., 0] > 0.5).any() else False
    logits = predictor.logits(maps.marked(line[None], np.zeros_like(line)[None]), before)
    found = np.zeros(image.spatial_shape, bool)
    for index, values in region.planes(logits):
        found[index] = values > 0
    mask: Mask = np.take(found, place, axis)
    overlap = 2 * int((mask & plane).sum()) / max(1, int(mask.sum()) + int(plane.sum()))
    return mask if mask.sum() >= _LEAST and overlap >= _ALIKE else None


def _at(axis: int, place: int) -> tuple[slice | int, ...]:
    return tuple(place if other == axis else slice(None) for other in range(3))


def _widened(found: Box, shape: tuple[int, ...], drawn: Box) -> Box:
    """With room for what was missed, and never less than what was drawn."""
    pads = [max(2, side // 8) for side in found.shape]
    lower = [max(0, min(low - pad, old)) for low, pad, old in zip(found.lower, pads, drawn.lower, strict=True)]
    upper = [max(high + pad, old) for high, pad, old in zip(found.upper, pads, drawn.upper, strict=True)]
    return Box(tuple(lower), tuple(min(n, high) for high, n in zip(upper, shape, strict=True)))
