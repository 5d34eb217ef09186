"""Irregularities of a frontal chest radiograph, looked for in segments of its lungs and heart."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from casewise.applications.tuberculosis import NAME as TUBERCULOSIS
from casewise.applications.tuberculosis import tuberculosis_in
from casewise.finding import ABSENT, MEASURE, SEGMENTS, Finding, SegmentPicture
from casewise.image import Box, Image

if TYPE_CHECKING:
    from casewise.applications.intended import Intended
    from casewise.chest.nodules.films import Film
    from casewise.chest.region_pose import Pose
    from casewise.irregularities.box_fusion import Detection
    from casewise.models import Model
    from casewise.segments import Segments
    from casewise.segments_map import PlaceMap

NAME = "irregularities"
NODULE, ANY = "nodule", "any nodule"
COARSE_MM = 1.0  # pixels larger than this lose nodules under a centimetre


class Irregularities:
    """Implements :class:`casewise.applications.Application` by the shipped models, loaded at the first image.

    maps : folder where the heat map is written, on the image's grid; None writes none. notes : what was seen in the last image that
    whoever reads its findings must know.
    """

    name = NAME

    def __init__(self, device: str = "auto", maps: str | Path | None = None) -> None:
        self._device = device
        self._maps = None if maps is None else Path(maps)
        self.notes: list[str] = []
        self._public: Callable[[str], str] = str

    def analyze(self, image: Image) -> list[Finding]:
        """``any nodule`` with the probability of the likeliest (how well that predicts whether a film has one at all stands in
        benchmarks/results/nodules.md); then, where that reaches the film's threshold, each nodule that is likely enough, at
        most three, the most probable first, with its box, the lung or heart it lies in and its segment's number
        (``measures["segment"]``, from 1); ``tuberculosis``; and, where maps are written, ``segments``, whose mask is their borders,
        for the report. The map is the network's own: its probability in every place that a segment shows, from 1 to 255, and 0
        where no segment looked. Each nodule then has its ``segment``, with the pixels that the network was given.

        Raises CasewiseError, one sentence, for a volume, for a picture that is no frontal chest radiograph, and for a film unlike
        those of the tuberculosis model's training.
        """
        from casewise.chest.nodules.films import marks
        from casewise.device import resolve_device
        from casewise.irregularities.detector import ready

        film = self._film(image)
        if self._intended is not None:
            self._intended.check(Image(film.array), self.name)
        network = ready(self._model, resolve_device(self._device))
        self.notes.append(_sought(film, self._public))
        found = marks(film, network)
        path = self._written(found.maps, film, image)
        whole = Finding(self.name, ANY, found.film, map=path, kind=MEASURE if found.reported else ABSENT)
        nodules = [self._finding(one, film, image, path) for one in found.reported]
        tuberculosis, notes = tuberculosis_in(image, self._device, self.name, self._maps)
        self.notes += notes
        return [whole, *nodules, tuberculosis, *self._segments(film, image)]

    @cached_property
    def _model(self) -> Model:
        from casewise.models.shipped import load

        return load("irregularities")

    @cached_property
    def _intended(self) -> Intended | None:
        """The tuberculosis model's own check: a film unlike those that it learnt from gets no answer here either."""
        from casewise.applications.intended import Intended
        from casewise.models.shipped import FOLDER

        return Intended.load(FOLDER / TUBERCULOSIS)

    def _film(self, image: Image) -> Film:
        from casewise.applications.chest_regions import chest_regions
        from casewise.chest.nodules.films import film_of

        found = chest_regions(image, self._device)
        self._public = found.public
        self.notes = [remark.sentence for remark in found.remarks]
        film = film_of(image, found)
        if film.millimetres * film.enlarged > COARSE_MM:
            wide = film.millimetres * film.enlarged
            self.notes.append(f"Its pixels are about {wide:.2f} mm wide; nodules under a centimetre are hardly to be seen in them.")
        return film

    def _finding(self, one: Detection, film: Film, image: Image, path: Path | None) -> Finding:
        box = box_of(one, film.pose, image.spatial_shape)
        segment = None if self._maps is None else self._segment(self._maps, one.segment, film, image)
        measures = {"segment": float(one.segment + 1)}
        if film.measured:
            measures["extent_mm"] = round(one.edge * film.millimetres * film.enlarged, 1)
        region = self._public(one.region)
        return Finding(self.name, NODULE, one.probability, region, box, map=path, measures=measures, segment=segment)

    def _segment(self, folder: Path, number: int, film: Film, image: Image) -> SegmentPicture:
        """The segment's pixels as the network was given them, but turned as the image lies, and bright where that is."""
        from casewise.segment_files import on_grid, write_segment

        segment = film.segments[number]
        pixels = film.segments.pixels(film.array, segment)
        if film.pose.inverted:
            pixels = float(film.array.max()) + float(film.array.min()) - pixels
        box = turned_back(film.in_image(segment.box), film.pose, image.spatial_shape)
        path = write_segment(
            folder, f"{self.name}-segment-{number + 1:02d}", on_grid(film.pose.back(pixels), box.shape), box, image
        )
        return SegmentPicture(self._public(segment.region), box, 1.0, path)

    def _segments(self, film: Film, image: Image) -> list[Finding]:
        if self._maps is None:
            return []
        from casewise.formats import mask_suffix, write_mask
        from casewise.irregularities.enlarging import nearest

        drawn = np.ascontiguousarray(film.pose.back(nearest(borders(film.segments), film.shape)))
        path = write_mask(self._maps / f"{self.name}-segments{mask_suffix(image)}", drawn, image)
        count = {"count": float(len(film.segments))}
        return [Finding(self.name, SEGMENTS, region="lungs and heart", mask=path, measures=count, kind=MEASURE)]

    def _written(self, maps: Sequence[PlaceMap], film: Film, image: Image) -> Path | None:
        if self._maps is None:
            return None
        from casewise.formats import mask_suffix, write_mask
        from casewise.segments_map import in_grey_levels, merged

        heat = in_grey_levels(merged(maps, film.shape))
        turned = np.ascontiguousarray(film.pose.back(heat))
        return write_mask(self._maps / f"{self.name}-map{mask_suffix(image)}", turned, image)


def _sought(film: Film, public: Callable[[str], str]) -> str:
    regions = Counter(public(segment.region).replace("_", " ") for segment in film.segments)
    parts = ", ".join(f"{count} of the {name}" for name, count in regions.items())
    how = "at their native resolution" if film.enlarged == 1 else f"at {film.enlarged:.2g} times their resolution"
    return f"Nodules were looked for in {len(film.segments)} segments {how}: {parts}."


def borders(segments: Segments) -> npt.NDArray[np.uint8]:
    """(rows, columns), 1 along the border of what each segment holds, in lines of a seven-hundredth of the image."""
    from scipy.ndimage import minimum_filter

    shape = next(iter(segments.regions.values())).shape
    width = max(1, round(max(shape) / 700))
    drawn = np.zeros(shape, np.uint8)
    for segment in segments:
        inside = segments.inside(segment).astype(np.uint8)
        drawn[segment.box.slices] |= inside & ~minimum_filter(inside, 2 * width + 1, mode="constant")
    return drawn


def box_of(one: Detection, pose: Pose, shape: Sequence[int]) -> Box:
    """A detection's box in an upright picture as one of the image it was turned from, whose ``shape`` is (rows, columns)."""
    row, column = _back(one.row, one.column, pose, shape)
    bounds = []
    for place, n in ((row, shape[0]), (column, shape[1])):
        low = min(max(0, round(place - one.edge / 2)), n - 1)
        bounds.append((low, max(low + 1, min(n, round(place + one.edge / 2)))))
    return Box(tuple(lo for lo, _ in bounds), tuple(hi for _, hi in bounds))


def turned_back(box: Box, pose: Pose, shape: Sequence[int]) -> Box:
    """A box of an upright picture as one of the image it was turned from, whose ``shape`` is (rows, columns)."""
    corners = np.array([_back(row, column, pose, shape) for row, column in (box.lower, box.upper)], int)
    return Box(tuple(corners.min(axis=0).tolist()), tuple(corners.max(axis=0).tolist()))


def _back(row: float, column: float, pose: Pose, shape: Sequence[int]) -> tuple[float, float]:
    """A point of an upright picture, from the upper left corner of its first pixel on, in the image it was turned from."""
    turned = tuple(shape) if pose.turns % 2 == 0 else (shape[1], shape[0])
    for _ in range(pose.turns):  # undoes numpy's rot90 once: what it moved to (r, c) came from (c, rows − r)
        row, column = column, turned[0] - row
        turned = (turned[1], turned[0])
    return row, shape[1] - column if pose.mirrored else column
