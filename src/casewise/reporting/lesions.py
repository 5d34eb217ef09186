"""Lesions of an examination in its report: each sequence with its own map, the combined map, and the probability of each class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from casewise.finding import Finding
from casewise.image import Array, Box, Image
from casewise.reporting.pictures import Pixels, check_grid, data_uri, display_range, rgb, thumbnail, to_pixels
from casewise.reporting.planes import Plane, planes
from casewise.reporting.registration import SequenceView
from casewise.wording import score

_SIDE = 420
_BYTES = 120_000
_COLOUR, _OPACITY = "#D55E00", 0.7
_LEAST = 0.05  # of a map, below which nothing is drawn
_HALF = 0.5


def lesion_parts(
    image: Image, findings: Sequence[Finding], maps: Mapping[str, Array], sequences: Sequence[SequenceView]
) -> list[dict[str, object]]:
    """What the report's template displays of each application that made maps of a volume; none of a picture.

    maps : ``APPLICATION`` → its combined map; ``APPLICATION: … on SEQUENCE`` → the map of that sequence alone, drawn over it. Each
    (*spatial) on the image's grid, 0 to 1. classes are the application's findings that have a probability and no place.
    Raises CasewiseError for a map off the image's grid.
    """
    if image.spatial_dims != 3:
        return []
    parts: list[dict[str, object]] = []
    for application, combined in maps.items():
        if ": " in application:
            continue
        check_grid(application, combined, image.spatial_shape)
        own_findings = [finding for finding in findings if finding.application == application]
        plane = _through_the_finding(image, combined, own_findings)
        figures = [_figure("all sequences together", image, combined, plane)]
        for view in sequences:
            own = next((m for t, m in maps.items() if t.startswith(f"{application}: ") and t.endswith(f" on {view.name}")), None)
            if own is not None:
                check_grid(view.name, own, image.spatial_shape)
                figures.append(_figure(f"{view.name} alone", view.image, own, plane))
        title = "Lesions" if any(finding.label == "lesions" for finding in own_findings) else "Map"
        classes = _classes(own_findings)
        parts.append({"title": title, "application": application, "figures": figures, "classes": classes, "slice": plane.index})
    return parts


def _classes(findings: Sequence[Finding]) -> list[dict[str, object]]:
    bare = [f for f in findings if f.probability is not None and f.box is None and f.map is None and f.mask is None]
    return [
        {"name": f.label, "text": score(f.probability), "percent": round(100 * min(1.0, max(0.0, f.probability or 0.0)), 1)}
        for f in bare
    ]


def _through_the_finding(image: Image, probabilities: Array, findings: Sequence[Finding]) -> Plane:
    """The first cut of the image, where it has most of the map within the box of the application's first finding that has one.

    Without a box it has most of the whole map, unless the first finding is less probable than not: what is highest on the map
    is then no finding, and the cut goes through the middle.
    """
    plane = planes(image)[0]
    if plane.through is None:
        return plane
    box = next((f.box for f in findings if f.box is not None and len(f.box.lower) == 3), None)
    probability = next((f.probability for f in findings if f.probability is not None), None)
    if box is None and probability is not None and probability < _HALF:
        return plane
    box = box or Box((0, 0, 0), image.spatial_shape)
    values = np.asarray(probabilities[box.slices], np.float32)
    others = tuple(axis for axis in range(3) if axis != plane.through)
    held = np.where(values >= _HALF, values, 0).sum(axis=others)
    held = held if held.any() else values.sum(axis=others)
    return plane.at(box.lower[plane.through] + int(np.argmax(held))) if held.any() else plane


def _figure(title: str, image: Image, probabilities: Array, plane: Plane) -> dict[str, object]:
    picture = to_pixels(plane.cut(image.array[0]), *display_range(image))
    heat = plane.cut(np.asarray(probabilities)).astype(np.float32)
    plain = data_uri(thumbnail(picture, {}, plane.spacing, _SIDE), _BYTES)[0]
    drawn = data_uri(thumbnail_of(_heated(picture, heat), plane, heat >= _HALF), _BYTES)[0]
    return {"title": title, "plain": plain, "drawn": drawn, "highest": score(float(np.max(probabilities, initial=0.0)))}


def thumbnail_of(coloured: Pixels, plane: Plane, outlined: Array) -> Pixels:
    """uint8 (rows, columns, 3) of a coloured cut (rows, columns, 3), with the outline of what was ``outlined`` (rows, columns)."""
    channels = [thumbnail(coloured[..., n], {}, plane.spacing, _SIDE)[..., 0] for n in range(3)]
    edge = thumbnail(coloured[..., 0], {"": outlined}, plane.spacing, _SIDE, {"": _COLOUR})
    line = np.all(edge == np.array(rgb(_COLOUR), np.uint8), axis=2)
    picture = np.stack(channels, axis=2)
    picture[line] = rgb(_COLOUR)
    return picture


def _heated(picture: Pixels, heat: npt.NDArray[np.float32]) -> Pixels:
    grey = np.repeat(picture[..., None], 3, axis=2).astype(np.float32)
    share = (np.where(heat < _LEAST, 0, np.clip(heat, 0, 1)) * _OPACITY)[..., None]
    return np.rint(grey * (1 - share) + np.array(rgb(_COLOUR), np.float32) * share).astype(np.uint8)
