"""A film's lungs, segment by segment, at the size that the network learnt them in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from casewise.chest.region import LEFT_LUNG, RIGHT_LUNG, Regions
from casewise.chest.region_pose import Pose
from casewise.chest.upright import upright_plane
from casewise.errors import CasewiseError
from casewise.image import Box, Image
from casewise.segments import Segment, Segments, segments
from casewise.segments_map import PlaceMap

HEIGHT = 288  # rows from the lungs' apex to their base as the network sees them; the films that it learnt from have 330
COARSE = 165  # rows, half of theirs: lungs of fewer do not show fine signs
ROWS, COLUMNS = 192, 224  # of a segment as the network sees it; larger ones are cut further
OVERLAP = 0.25
MARGIN = 0.03  # of the lungs' height, around each
_TAILS = (1, 99)  # percent of the lungs' grey values that become 0 and 1
_BEYOND = (-0.5, 2.0)  # what is kept of darker and brighter ones
_LEAST = 64  # pixels of a lung

Mask = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Lungs:
    """A film's lungs as the network sees them.

    segments : as they were cut from the upright film, in its own pixels. pose : how the image was turned to be that film.
    pixels : (S, ``ROWS``, ``COLUMNS``), 0 and 1 at the lungs' percentiles; outside the lung its mean; left lungs mirrored.
    inside : the same shape, how much of a pixel is lung, shared out among the segments that show it. height : (S, ``ROWS``), 0 to 1
    from the lung's top to its base. side : (S,), 0 for the lung on the picture's left. scale : of a pixel here in the film's.
    """

    segments: Segments
    pose: Pose
    pixels: Floats
    inside: Floats
    height: Floats
    side: npt.NDArray[np.int64]
    scale: float

    @property
    def rows(self) -> int:
        """Of the film, from the lungs' apex to their base."""
        return round(HEIGHT / self.scale)

    def places(self, values: Floats, weights: Floats) -> list[PlaceMap]:
        """What was said of each place of each segment, (S, r, c) over the views, in the upright film's pixels.

        weights : the same shape; places where they are 0 hold no lung.
        """
        found = []
        for number, segment in enumerate(self.segments):
            step = ROWS / values.shape[1] / self.scale
            top, left = map(float, segment.box.lower)
            value, lung = values[number], weights[number] > 0
            if segment.region == LEFT_LUNG:  # mirrored: what comes last in the view is nearest to the picture's left
                left, value, lung = left + (_shape(segment, self.scale)[1] - COLUMNS) / self.scale, value[:, ::-1], lung[:, ::-1]
            found.append(PlaceMap(value, lung, (top, left), (step, step)))
        return found


def lungs_of(image: Image, found: Regions) -> Lungs:
    """The lungs of a frontal chest radiograph whose regions :func:`casewise.chest.regions` found.

    Each lung is cut into two segments or more that overlap, in the film's own pixels; what lies outside it is replaced.
    Raises CasewiseError, one sentence, where no lung was found.
    """
    masks = {
        name: np.ascontiguousarray(found.pose.upright(mask))
        for name, mask in found.by_place.items()
        if name in (RIGHT_LUNG, LEFT_LUNG) and np.count_nonzero(mask) >= _LEAST
    }
    if not masks:
        msg = "No lung was found in this radiograph, and tuberculosis is looked for in lungs; look at its regions first."
        raise CasewiseError(msg)
    return lungs_in(upright_plane(image, found.pose), masks, found.pose)


def lungs_in(plane: Floats, masks: Mapping[str, Mask], pose: Pose | None = None) -> Lungs:
    """The same of an upright film's plane (rows, columns) with bright bones, and its lungs' masks by where they lie."""
    both = np.logical_or.reduce(list(masks.values()))
    around = Box.around(both)
    if around is None:
        raise CasewiseError("The lungs' masks are empty; look at the radiograph's regions first.")
    scale = HEIGHT / around.shape[0]
    cut = segments(
        masks,
        plane.shape,
        overlap=OVERLAP,
        margin=max(1, round(MARGIN * around.shape[0])),
        single=(),
        longest=(int(ROWS / scale), int(COLUMNS / scale)),
    )
    low, high = np.percentile(plane[both], _TAILS)
    even = np.clip((plane - low) / max(float(high - low), 1e-6), *_BEYOND).astype(np.float32)
    views = [_viewed(even, cut, segment, scale) for segment in cut]
    shown = _times_shown(cut)
    inside = [_inside(cut, segment, shown[segment.region], scale) for segment in cut]
    return Lungs(
        cut,
        pose or Pose(),
        np.stack(views),
        np.stack(inside),
        np.stack([_heights(cut, segment, scale) for segment in cut]),
        np.array([int(segment.region == LEFT_LUNG) for segment in cut], np.int64),
        scale,
    )


def _viewed(plane: Floats, cut: Segments, segment: Segment, scale: float) -> Floats:
    pixels = cut.pixels(plane[None], segment, outside="mean")[0]
    lung = cut.regions[segment.region][segment.box.slices]
    return _placed(segment, pixels, scale, around=float(pixels[lung].mean()) if lung.any() else 0.0)


def _inside(cut: Segments, segment: Segment, shown: npt.NDArray[np.uint8], scale: float) -> Floats:
    share = cut.regions[segment.region][segment.box.slices] / np.maximum(shown[segment.box.slices], 1)
    return _placed(segment, share.astype(np.float32), scale, around=0.0)


def _times_shown(cut: Segments) -> dict[str, npt.NDArray[np.uint8]]:
    """For each lung in how many segments of it a pixel lies."""
    times = {name: np.zeros(mask.shape, np.uint8) for name, mask in cut.regions.items()}
    for segment in cut:
        times[segment.region][segment.box.slices] += 1
    return times


def _heights(cut: Segments, segment: Segment, scale: float) -> Floats:
    """(``ROWS``,): how far down its lung each row of a segment's view lies."""
    lung = Box.around(cut.regions[segment.region])
    top, bottom = (lung.lower[0], lung.upper[0]) if lung else (0, 1)
    rows = segment.box.lower[0] + (np.arange(ROWS) + 0.5) / scale
    return np.clip((rows - top) / (bottom - top), 0, 1).astype(np.float32)


def _placed(segment: Segment, plane: Floats, scale: float, around: float) -> Floats:
    """(``ROWS``, ``COLUMNS``): a segment's plane at the network's scale in the upper left corner, the rest ``around``."""
    seen = _resized(_turned(segment, torch.from_numpy(np.ascontiguousarray(plane))), _shape(segment, scale))
    placed = np.full((ROWS, COLUMNS), around, np.float32)
    placed[: seen.shape[0], : seen.shape[1]] = seen.numpy()
    return placed


def _turned(segment: Segment, plane: Tensor) -> Tensor:
    """Left lungs mirrored, and back."""
    return plane.flip(1) if segment.region == LEFT_LUNG else plane


def _shape(segment: Segment, scale: float) -> tuple[int, int]:
    rows, columns = (max(1, round(n * scale)) for n in segment.box.shape)
    return min(rows, ROWS), min(columns, COLUMNS)


def _resized(plane: Tensor, shape: Sequence[int]) -> Tensor:
    size = (int(shape[0]), int(shape[1]))
    if tuple(plane.shape) == size:
        return plane
    smaller = size[0] < plane.shape[0] or size[1] < plane.shape[1]
    return functional.interpolate(plane[None, None], size=size, mode="bilinear", align_corners=False, antialias=smaller)[0, 0]
