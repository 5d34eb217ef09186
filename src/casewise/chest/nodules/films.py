"""From a film to its marks: the one way by which the application reports nodules and the benchmark measures them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from torch import nn

from casewise.chest.nodules.box_fusion import Detection, fused
from casewise.chest.nodules.detector import looked, sees_native
from casewise.chest.nodules.false_positive_reduction import FalsePositiveReducer, lungs_of
from casewise.chest.nodules.views import views
from casewise.chest.region import HEART, OVERLAP, Regions
from casewise.chest.region_pose import Pose
from casewise.chest.segments import chest_segments, pixel_mm
from casewise.errors import CasewiseError
from casewise.image import Box, Image
from casewise.orientation import size_stated
from casewise.segments import Segments
from casewise.segments_map import PlaceMap


@dataclass(frozen=True, eq=False)
class Film:
    """A radiograph as the detector knows it. array : (1, rows, columns), upright, bones bright. pose : how it was turned to be so.

    segments : of its lungs and heart by where they lie (:attr:`casewise.chest.Regions.by_place`), in its own pixels.
    millimetres : of a pixel. measured : whether the file says so; else it was estimated from the lungs' height.
    """

    array: npt.NDArray[np.generic]
    segments: Segments
    pose: Pose
    millimetres: float
    measured: bool

    @property
    def regions(self) -> Mapping[str, npt.NDArray[np.bool_]]:
        return self.segments.regions


def film_of(image: Image, found: Regions) -> Film:
    """``image``, whose regions were found by :func:`casewise.chest.regions`, upright and cut into segments.

    Raises CasewiseError, one sentence, where no lung was found.
    """
    if not any(name not in (HEART, OVERLAP) for name in found.by_place):
        msg = "No lung was found in this radiograph, and irregularities are sought in lungs; look at its regions first."
        raise CasewiseError(msg)
    masks = {name: np.ascontiguousarray(found.pose.upright(mask)) for name, mask in found.by_place.items() if name != OVERLAP}
    plane = found.pose.upright(_grey(image))
    if found.pose.inverted:
        plane = plane.max() + plane.min() - plane
    millimetres = pixel_mm(image, masks)
    measured = size_stated(image)
    return Film(np.ascontiguousarray(plane)[None], chest_segments(masks, millimetres), found.pose, millimetres, measured)


@dataclass(frozen=True, eq=False)
class Marks:
    """candidates : of a film, with their probability after the reduction of false positives. reported : those that are reported.

    Both the most probable first. maps : the network's probability of a nodule in every place of each segment, before that
    reduction; empty where candidates were at hand.
    """

    candidates: list[Detection]
    reported: list[Detection]
    maps: Sequence[PlaceMap] = ()


def marks(film: Film, network: nn.Module) -> Marks:
    """What a detector's network, which brings its false-positive reduction along, reports of a film."""
    found, maps = _looked(film, network)
    among = marks_among(fused(found), lungs_of(film.regions), film.millimetres, FalsePositiveReducer.of(network))
    return replace(among, maps=maps)


def marks_among(found: Sequence[Detection], lungs: Mapping[str, Box], millimetres: float, reducer: FalsePositiveReducer) -> Marks:
    """The same of candidates that are at hand. lungs : boxes of the upright film's. millimetres : of its pixels."""
    again = reducer.rescored(found, lungs, millimetres)
    return Marks(again, reducer.reported(again))


def candidates(film: Film, network: nn.Module) -> list[Detection]:
    """What a detector's network marks in a film, merged over its segments, the most probable first."""
    found, _ = _looked(film, network)
    return fused(found)


def _looked(film: Film, network: nn.Module) -> tuple[list[Detection], list[PlaceMap]]:
    return looked(network, views(film.segments, film.array, film.millimetres, sees_native(network)))


def _grey(image: Image) -> npt.NDArray[np.float32]:
    weights = np.array([0.299, 0.587, 0.114] if image.channels == 3 else [1 / image.channels] * image.channels, np.float32)
    return np.tensordot(weights, image.array.astype(np.float32), axes=1)
