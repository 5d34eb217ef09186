"""Where a detector looks in an image: planes with their regions, cut into segments. Training and detection look in the same way."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from casewise.errors import CasewiseError
from casewise.image import Box, Image
from casewise.irregularities.enlarging import enlargement, nearest, resampled, rescaled
from casewise.irregularities.examples import Cut
from casewise.irregularities.planes import Floats, Mask, Planes
from casewise.irregularities.views import Where
from casewise.models.networks.segment_detector import PLACE
from casewise.orientation import size_stated
from casewise.segments import Segments, segments

BODY = "body"
LONGEST = 1024  # pixels of a segment's edge: more segments are cut from a larger region
MARGIN = 16  # pixels around a region that are shown with it
MOST_ENLARGED = 4.0
LARGEST = 4096  # pixels of an enlarged plane's edge
WANTED = 48.0  # pixels of the middle irregularity, six places
_LEAST_BODY = 0.02  # of a plane
_BESIDE = 0.2  # of the largest piece's size


@dataclass(frozen=True)
class Scale:
    """How large irregularities are, and how images are enlarged to show them.

    pixel_mm : of the pixels that the detector learns from; 0 where no image says how large its pixels are. enlarged : of an image
    that does not say it. overlap : pixels that neighbouring segments share at least: the 95th percentile of the irregularities'
    size. edges : places of a mark's box, at least and at most.
    """

    pixel_mm: float = 0.0
    enlarged: float = 1.0
    overlap: int = 0
    edges: tuple[float, float] = (8.0, 29.0)

    @classmethod
    def of(cls, sizes: Sequence[float], spacings: Sequence[float] | None = None) -> Scale:
        """Of irregularities. sizes : of each, the longer edge in pixels. spacings : mm a pixel of each one's image, 0 where it is
        not stated; None where the images are enlarged by another rule.

        Irregularities that are smaller than six places on average are enlarged, at most fourfold; nothing is reduced.
        """
        low, middle, high = (float(n) for n in np.percentile(sizes, (5, 50, 95)))
        enlarged = 1.0 if spacings is None else float(np.clip(WANTED / middle, 1.0, MOST_ENLARGED))
        stated = spacings is not None and all(spacing > 0 for spacing in spacings)
        least = max(3.0, low * enlarged / PLACE)
        edges = (least, max(least + 1, 1.25 * high * enlarged / PLACE))
        overlap = min(LONGEST // 2, int(np.ceil(high * enlarged)))
        return cls(float(np.median(spacings)) / enlarged if spacings and stated else 0.0, enlarged, overlap, edges)

    def enlargement(self, image: Image, spacing: float) -> float:
        """Of an image whose planes' pixels measure ``spacing``; never below 0.8."""
        if not self.pixel_mm or not size_stated(image):
            return self.enlarged
        return enlargement(spacing / self.pixel_mm, MOST_ENLARGED)


class Turn(Protocol):
    """How a plane (rows, columns) was turned to be looked at, and its values inverted."""

    @property
    def inverted(self) -> bool: ...

    def upright(self, plane: npt.NDArray[Any]) -> npt.NDArray[Any]: ...

    def back(self, plane: npt.NDArray[Any]) -> npt.NDArray[Any]: ...


@dataclass(frozen=True, eq=False)
class Scene:
    """A plane as a detector looks at it.

    array : (rows, columns) float32, ``enlarged`` times the plane on each axis. regions : name → mask on the same grid. number : of
    the plane in the image. cut : gives the segments of regions. where : as of :func:`casewise.irregularities.views.views`.
    shape : of the plane, turned. turn : None where it is looked at as it lies.
    """

    array: Floats
    regions: Mapping[str, Mask]
    cut: Cut
    where: Where | None
    number: int
    enlarged: float
    shape: tuple[int, int]
    turn: Turn | None = None

    @cached_property
    def segments(self) -> Segments:
        """As detection cuts them."""
        return self.cut(self.regions, ())

    def within(self, box: Box) -> Box:
        """A box of the plane in the array's pixels, widened to whole ones."""
        if self.turn is not None:
            flat = np.zeros(self.turn.back(np.zeros(self.shape, bool)).shape, bool)
            flat[box.slices] = True
            box = _around(self.turn.upright(flat), box)
        return rescaled(box, self.enlarged, self.array.shape)

    def in_plane(self, box: Box) -> Box:
        """A box of the array's pixels in the plane's, widened to whole ones."""
        box = rescaled(box, 1 / self.enlarged, self.shape)
        if self.turn is None:
            return box
        turned = np.zeros(self.shape, bool)
        turned[box.slices] = True
        return _around(self.turn.back(turned), box)

    def back(self, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """(rows, columns) as the plane lies, from an array as it is looked at."""
        return values if self.turn is None else self.turn.back(values)


class Look(Protocol):
    """What finds the scenes of an image. key : says all that they depend on."""

    @property
    def key(self) -> str: ...

    def scenes(self, image: Image, masks: Mapping[str, Mask], only: Sequence[int] | None = None) -> Iterator[Scene]:
        """Its scenes, in order. masks : regions of the image (*spatial), where they are at hand. only : numbers of the planes that
        are wanted.

        Raises CasewiseError, one sentence, for an image in which nothing can be looked at.
        """
        ...


@dataclass(frozen=True)
class RegionLook:
    """Looks in ``regions``, which must be given; without any in the body, everything that is not background (:func:`body`).

    Implements :class:`Look`.
    """

    regions: tuple[str, ...]
    scale: Scale

    @property
    def key(self) -> str:
        return f"regions:{self.regions}:{self.scale}"

    def scenes(self, image: Image, masks: Mapping[str, Mask], only: Sequence[int] | None = None) -> Iterator[Scene]:
        planes = Planes(image)
        missing = [name for name in self.regions if name not in masks]
        if missing:
            msg = f"This detector looks in the regions {', '.join(self.regions)}; this image has no mask of {', '.join(missing)}."
            raise CasewiseError(msg)
        held = {name: planes.masks(masks[name]) for name in self.regions}
        enlarged = self.scale.enlargement(image, planes.spacing)
        for number in range(len(planes)) if only is None else only:
            plane = planes[number]
            regions = {name: several[number] for name, several in held.items()} or {BODY: body(plane)}
            factor = min(enlarged, max(1.0, LARGEST / max(plane.shape)))
            if any(mask.any() for mask in regions.values()):
                array = resampled(plane, factor)
                large = {name: nearest(mask, array.shape) for name, mask in regions.items() if mask.any()}
                yield Scene(array, large, self._cut, None, number, factor, (plane.shape[0], plane.shape[1]))

    def _cut(self, regions: Mapping[str, Mask], boxes: tuple[Box, ...] = ()) -> Segments:
        shape = next(iter(regions.values())).shape
        return segments(
            regions, shape, single=(), least_overlap=self.scale.overlap, longest=LONGEST, margin=MARGIN, irregularities=boxes
        )


def body(plane: Floats) -> Mask:
    """(rows, columns): what is not background. Otsu's threshold (1979) of the plane smoothed over a hundredth of its size; the
    brighter or the darker side, whichever touches the border less; of it the largest piece and those of at least a fifth of its
    size (both hands, both legs), with their holes filled.

    The whole plane where that is less than a fiftieth of it or the plane is even: nothing then stands out from a background.
    """
    from scipy.ndimage import binary_fill_holes, gaussian_filter, label

    smooth = gaussian_filter(plane, max(1.0, max(plane.shape) / 100))
    bright = smooth > _otsu(smooth)
    border = np.concatenate([bright[0], bright[-1], bright[:, 0], bright[:, -1]])
    own = bright if border.mean() <= 0.5 else ~bright
    numbered, count = label(own)
    if not count:
        return np.ones(plane.shape, bool)
    sizes = np.bincount(numbered.ravel())[1:]
    large = 1 + np.flatnonzero(sizes >= _BESIDE * sizes.max())
    found = np.asarray(binary_fill_holes(np.isin(numbered, large)), bool)
    return found if found.mean() >= _LEAST_BODY else np.ones(plane.shape, bool)


def _around(mask: npt.NDArray[Any], box: Box) -> Box:
    return Box.around(mask) or box


def _otsu(values: npt.NDArray[np.floating]) -> float:
    """The threshold between whose sides the variance is largest."""
    counts, edges = np.histogram(values, 256)
    middles = (edges[:-1] + edges[1:]) / 2
    below = np.cumsum(counts)
    above = below[-1] - below
    sums = np.cumsum(counts * middles)
    with np.errstate(divide="ignore", invalid="ignore"):
        between = below * above * (sums / below - (sums[-1] - sums) / above) ** 2
    between[~np.isfinite(between)] = -1
    return float(edges[1 + int(between.argmax())])
