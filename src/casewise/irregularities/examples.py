"""Images that a detector is trained on, in several variants: as they are, mirrored, less sharp, with grain."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from casewise.image import Box
from casewise.irregularities.training import Irregularity, Row, windows
from casewise.irregularities.views import Floats, Mask, Picture, Where, views
from casewise.models.networks.segment_detector import SegmentDetector
from casewise.segments import Segments

SIDES = ("left_", "right_")
GRAIN = 0.06  # of the image's standard deviation, at most
BLUR = (0.3, 1.2)  # pixels
Cut = Callable[[Mapping[str, Mask], tuple[Box, ...]], Segments]


@dataclass(frozen=True, eq=False)
class Example:
    """plane : (rows, columns) float32. regions : name → (rows, columns) bool. irregularities : boxes in the plane's pixels."""

    plane: Floats
    regions: Mapping[str, Mask]
    irregularities: tuple[Irregularity, ...] = ()


def rows_of(network: SegmentDetector, example: Example, cut: Cut, where: Where | None, rng: np.random.Generator) -> list[Row]:
    """Windows of every segment of an example, for :func:`casewise.irregularities.training.joined`.

    cut : the segments of regions, so that each of the boxes lies whole in one of them and partly in an overlap.
    """
    boxes = tuple(one.box for one in example.irregularities)
    segments = cut(example.regions, boxes)
    picture = Picture.of(example.plane)
    return [row for view in views(network, picture, segments, where) for row in windows(view, example.irregularities, rng)]


def mirrored(example: Example) -> Example:
    """Left for right; regions and their names too."""
    edge = example.plane.shape[1]

    def moved(one: Irregularity) -> Irregularity:
        (top, left), (bottom, right) = one.box.lower, one.box.upper
        return replace(one, box=Box((top, edge - right), (bottom, edge - left)))

    regions = {_other_side(name): np.ascontiguousarray(mask[:, ::-1]) for name, mask in example.regions.items()}
    return Example(np.ascontiguousarray(example.plane[:, ::-1]), regions, tuple(map(moved, example.irregularities)))


def spoilt(example: Example, rng: np.random.Generator) -> Example:
    """Half the time a little less sharp; a little grain."""
    from scipy.ndimage import gaussian_filter

    plane = gaussian_filter(example.plane, rng.uniform(*BLUR)) if rng.random() < 0.5 else example.plane
    grain = np.float32(plane.std() * rng.uniform(0, GRAIN))
    return replace(example, plane=plane + grain * rng.standard_normal(plane.shape, dtype=np.float32))


def _other_side(name: str) -> str:
    for own, other in (SIDES, SIDES[::-1]):
        if name.startswith(own):
            return other + name.removeprefix(own)
    return name
