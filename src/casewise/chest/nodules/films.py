"""From a film to its marks: the one way by which the application reports nodules and the benchmark measures them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from casewise.chest.nodules.false_positive_reduction import FalsePositiveReducer, in_lungs, lungs_of
from casewise.chest.region import HEART, LEFT_LUNG, RIGHT_LUNG, Regions
from casewise.chest.region_pose import Pose
from casewise.chest.segments import PIXEL_MM, chest_segments, pixel_mm
from casewise.chest.upright import upright_plane
from casewise.errors import CasewiseError
from casewise.image import Box, Image
from casewise.irregularities.box_fusion import Detection
from casewise.irregularities.detector import detect
from casewise.irregularities.enlarging import enlargement, nearest, resampled, rescaled
from casewise.models.networks.segment_detector import SegmentDetector
from casewise.orientation import size_stated
from casewise.segments import Segments
from casewise.segments_map import PlaceMap

LUNGS = (RIGHT_LUNG, LEFT_LUNG)
SOUGHT = (*LUNGS, HEART)  # where it is looked: of other regions nothing was learnt
Plane = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Film:
    """A radiograph as the detector knows it. array : (1, rows, columns) float32, upright, bones bright.

    segments : of its lungs and heart by where they lie (:attr:`casewise.chest.Regions.by_place`), in the array's pixels. pose :
    how it was turned to be upright. millimetres : of one of the array's pixels. measured : whether the file says so; else it was
    estimated from the lungs' height. enlarged : pixels of the array a pixel of the image, on each axis; 1 where the image's pixels
    are of about the size that the detector learnt from, never below 0.8 (:data:`casewise.segments.LEAST_SCALE`).
    """

    array: Plane
    segments: Segments
    pose: Pose
    millimetres: float
    measured: bool
    enlarged: float = 1.0

    @property
    def regions(self) -> Mapping[str, npt.NDArray[np.bool_]]:
        return self.segments.regions

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns) of the upright image."""
        rows, columns = (max(1, round(n / self.enlarged)) for n in self.array.shape[1:])
        return rows, columns

    def in_image(self, box: Box) -> Box:
        """A box of the array's pixels in those of the upright image, widened to whole ones."""
        return rescaled(box, 1 / self.enlarged, self.shape)


def film_of(image: Image, found: Regions) -> Film:
    """``image``, whose regions were found by :func:`casewise.chest.regions`, upright and cut into segments.

    Raises CasewiseError, one sentence, where no lung was found.
    """
    if not any(name in LUNGS for name in found.by_place):
        msg = "No lung was found in this radiograph, and irregularities are sought in lungs; look at its regions first."
        raise CasewiseError(msg)
    masks = {name: np.ascontiguousarray(found.pose.upright(mask)) for name, mask in found.by_place.items() if name in SOUGHT}
    plane = upright_plane(image, found.pose)
    millimetres = pixel_mm(image, masks)
    enlarged = enlargement(millimetres / PIXEL_MM)
    plane = resampled(plane, enlarged)
    masks = {name: nearest(mask, plane.shape) for name, mask in masks.items()}
    millimetres /= enlarged
    return Film(plane[None], chest_segments(masks, millimetres), found.pose, millimetres, size_stated(image), enlarged)


@dataclass(frozen=True, eq=False)
class Marks:
    """candidates : of a film, with their probability after the reduction of false positives. reported : those that are reported.

    Both the most probable first, in the pixels of the upright image. maps : the network's probability of a nodule in every place of
    each segment, before that reduction, in these pixels too; empty where candidates were at hand. film : the probability that the
    film has a nodule at all.
    """

    candidates: list[Detection]
    reported: list[Detection]
    film: float
    maps: Sequence[PlaceMap] = ()


def marks(film: Film, network: SegmentDetector) -> Marks:
    """What a detector's network, which brings its false-positive reduction along, reports of a film."""
    found, maps = candidates(film, network)
    among = marks_among(found, lungs_of(film.regions), film.millimetres, FalsePositiveReducer.of(network))
    factor = 1 / film.enlarged
    return Marks(
        [one.scaled(factor) for one in among.candidates],
        [one.scaled(factor) for one in among.reported],
        among.film,
        [one.scaled(factor) for one in maps],
    )


def marks_among(found: Sequence[Detection], lungs: Mapping[str, Box], millimetres: float, reducer: FalsePositiveReducer) -> Marks:
    """The same of candidates that are at hand, in their own pixels. lungs : boxes of the film's. millimetres : of its pixels."""
    again = reducer.rescored(found, lungs, millimetres)
    return Marks(again, reducer.reported(again), reducer.film_probability(again))


def candidates(film: Film, network: SegmentDetector) -> tuple[list[Detection], list[PlaceMap]]:
    """What a detector's network marks in a film, merged over its segments, the most probable first; and its maps of the segments.

    Both in the film's pixels.
    """
    return detect(network, film.array[0], film.segments, in_lungs)
