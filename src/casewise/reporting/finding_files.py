"""The files that applications wrote beside their findings (masks, maps, syntheses), read back for a report's pictures."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
import numpy.typing as npt

from casewise import formats
from casewise.errors import CasewiseError
from casewise.finding import SEGMENTS, Finding
from casewise.image import Box, Image
from casewise.label_map import LabelMap
from casewise.reporting.comparison import Synthesis, synthesised_beside
from casewise.reporting.heat import hottest
from casewise.reporting.segment_views import SegmentPixels

_OWN = 0.1  # of a segment's pixels: fewer are alike by chance, where an application evens out contrast
_SAME_MM = 1e-2  # what an affine loses in a file


def masks_of(findings: Sequence[Finding], image: Image) -> LabelMap:
    """The masks that applications wrote, each by its finding's ``mask_name``; one off the image's grid is left to its file."""
    masks: dict[str, npt.NDArray[np.bool_]] = {}
    for finding in findings:
        if finding.mask is not None and finding.mask_name is not None and finding.mask_name not in masks:
            with suppress(CasewiseError):
                masks[finding.mask_name] = formats.read_mask(finding.mask, image)
    return LabelMap.like(masks, image)


def maps_of(findings: Sequence[Finding], image: Image) -> dict[str, npt.NDArray[np.generic]]:
    """The maps that applications wrote, for the pictures; one off the image's grid is left to its file.

    An application's first is under its name, the others under ``APPLICATION: LABEL``.
    """
    maps: dict[str, npt.NDArray[np.generic]] = {}
    read: set[Path] = set()
    for finding in findings:
        if finding.map is None or finding.map in read:
            continue
        read.add(finding.map)
        title = finding.application if finding.application not in maps else f"{finding.application}: {finding.label}"
        values = _map(finding.map, image)
        if values is not None:
            maps[title] = values
    return maps


def segments_of(findings: Sequence[Finding], image: Image) -> list[SegmentPixels]:
    """The segments that findings were made in, with the pixels that were looked at; one whose picture has not its shape is left to
    its file.
    """
    held: dict[tuple[Path, Path | None], list[int]] = {}
    for number, finding in enumerate(findings):
        if finding.segment is not None:
            held.setdefault((finding.segment.picture, finding.map), []).append(number)
    found: list[SegmentPixels] = []
    maps: dict[Path, npt.NDArray[np.generic] | None] = {}
    for (picture, path), numbers in held.items():
        segment = findings[numbers[0]].segment
        if path is not None and path not in maps:
            maps[path] = _map(path, image)
        heat = None if path is None else maps[path]
        with suppress(CasewiseError):
            pixels = formats.read(picture)
            if segment is not None and pixels.spatial_shape == segment.shape:
                part, most = (None, 0.0) if heat is None else (_where_shown(heat, segment.box, pixels, image), hottest(heat))
                found.append(SegmentPixels(tuple(numbers), segment, pixels, part, most))
    return found


def _where_shown(heat: npt.NDArray[np.generic], box: Box, pixels: Image, image: Image) -> npt.NDArray[np.generic]:
    """A map within a segment, 0 where the segment's pixels are not the image's own: these were replaced, and what the map says
    there comes from another segment. As it is where pixels cannot be compared.
    """
    part = heat[box.slices]
    if pixels.spatial_shape != part.shape:
        return part
    own = pixels.array[0] == image.array[0][box.slices]
    return np.where(own, part, 0) if own.mean() > _OWN else part


def looked_in_segments(findings: Sequence[Finding]) -> frozenset[str]:
    """The applications that look at segments alone: the zeros of their maps are places that none of these shows."""
    return frozenset(one.application for one in findings if one.segment is not None or one.label == SEGMENTS)


def _map(path: Path, image: Image) -> npt.NDArray[np.generic] | None:
    with suppress(CasewiseError):
        values = formats.read(path)
        if _on_grid(values, image):
            return np.asarray(values.array[0])
    return None


def _on_grid(values: Image, image: Image) -> bool:
    """A picture's file may hold no place; a volume's says where its axes run to."""
    alike = values.spatial_shape == image.spatial_shape
    return alike and (image.spatial_dims == 2 or float(np.abs(values.affine - image.affine).max()) < _SAME_MM)


def syntheses_of(findings: Sequence[Finding], image: Image) -> list[Synthesis]:
    """What applications synthesised of the image, beside their maps; a file off the image's grid is left to itself."""
    made: dict[str, Synthesis] = {}
    for finding in findings:
        beside = synthesised_beside(finding.map) if finding.map is not None else None
        if finding.map is None or beside is None or finding.application in made:
            continue
        with suppress(CasewiseError):
            synthesised, difference = formats.read(beside), formats.read(finding.map)
            if synthesised.spatial_shape == difference.spatial_shape == image.spatial_shape:
                made[finding.application] = Synthesis(finding.application, synthesised.array[0], difference.array[0])
    return list(made.values())
