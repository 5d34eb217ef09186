"""The marks in a client's call: scribbles in a label map, clicks in its params, a region of interest."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from casewise.errors import UsageError
from casewise.image import Box, Image
from casewise.interaction.crossing import Crossed, uncrossed
from casewise.server.compat.monailabel.grid import ClientGrid
from casewise.server.compat.monailabel.label_files import read_labels, values_by_name
from casewise.server.compat.monailabel.rounds import Flat, Marks, flat_indices

FOREGROUND, BACKGROUND = "foreground_scribbles", "background_scribbles"
_UNNAMED = "object"  # the structure, where the client does not say which one it marks
_MOST_CLICKS = 10_000
_DAB = ((0, 0, 0), (1, 0, 0), (-1, 0, 0), (0, 1, 0), (0, -1, 0))  # what one click marks: its voxel and those beside it in the slice


def scribbles(label: Path | None, params: dict[str, Any], image: Image, grid: ClientGrid) -> Marks:
    """Marks of the scribbles model. Raises UsageError, one sentence, for a call without scribbles."""
    structure = _structure(params, "selected_label_name")
    if label is None:
        raise UsageError("Scribbles come in a part called label, a label map of the image's shape; add it.")
    labels = read_labels(label, image, grid)
    values = [int(value) for value in np.unique(labels) if value != 0]
    names = values_by_name(params.get("label_info"), values, number="id")
    if FOREGROUND not in names and BACKGROUND not in names:
        raise UsageError(f"label_info names no {FOREGROUND} and no {BACKGROUND}; add them as segments, and draw in them.")
    foreground, background = (_drawn(labels, names.get(name), image, grid) for name in (FOREGROUND, BACKGROUND))
    return _marks(structure, foreground, background, params, grid, Crossed())


def clicks(params: dict[str, Any], image: Image, grid: ClientGrid) -> Marks:
    """Marks of the clicks model. Raises UsageError, one sentence, for points that cannot be."""
    structure = _structure(params, "label")
    clicked = [_own(_checked(params, name), image, grid) for name in ("foreground", "background")]
    on, off, crossed = uncrossed(clicked[0], clicked[1], image.spatial_shape)
    foreground, background = (_dabs(_checked(params, name), image, grid) for name in ("foreground", "background"))
    # Where dabs of both kinds meet, a click itself counts, else neither.
    both = np.intersect1d(foreground, background)
    foreground, background = np.union1d(np.setdiff1d(foreground, both), on), np.union1d(np.setdiff1d(background, both), off)
    return _marks(structure, foreground, background, params, grid, crossed)


def _marks(structure: str, foreground: Flat, background: Flat, params: dict[str, Any], grid: ClientGrid, crossed: Crossed) -> Marks:
    similar, anew = bool(params.get("similar_cases", True)), bool(params.get("reset_state"))
    return Marks(structure, foreground, background, _box(params, grid), anew, similar, crossed)


def _structure(params: dict[str, Any], name: str) -> str:
    given = params.get(name) or _UNNAMED
    if not isinstance(given, str) or len(given) > 100:
        raise UsageError(f"{name} is a structure's name of at most 100 letters; got {str(given)[:60]!r}.")
    if given == "background":
        raise UsageError(
            "background is what lies beside a structure; choose the structure, and mark what is beside it as background."
        )
    return given


def _drawn(labels: npt.NDArray[np.integer[Any]], value: int | None, image: Image, grid: ClientGrid) -> Flat:
    if value is None:
        return np.zeros(0, np.int64)
    points = np.stack(np.unravel_index(np.flatnonzero(labels == value), labels.shape), axis=1)
    return flat_indices(grid.places(points), image.spatial_shape)


def _box(params: dict[str, Any], grid: ClientGrid) -> Box | None:
    roi = params.get("roi")
    if roi is None or roi == []:
        return None
    if not isinstance(roi, list) or len(roi) != 6 or not all(_whole(one) for one in roi):
        raise UsageError(f"roi is six whole numbers, two an axis, or an empty list; got {str(roi)[:60]}.")
    return grid.box([int(one) for one in roi])


def _checked(params: dict[str, Any], name: str) -> list[list[int]]:
    points = params.get(name) or []
    fits = isinstance(points, list) and len(points) <= _MOST_CLICKS
    if not fits or not all(isinstance(point, list) and len(point) == 3 and all(map(_whole, point)) for point in points):
        raise UsageError(f"{name} is a list of at most {_MOST_CLICKS} points [i, j, k] of whole numbers; got {str(points)[:60]}.")
    return [[int(one) for one in point] for point in points]


def _whole(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1 << 31 and float(value).is_integer()


def _own(points: Sequence[Sequence[int]], image: Image, grid: ClientGrid) -> Flat:
    return flat_indices(grid.places(points), image.spatial_shape)


def _dabs(points: Sequence[Sequence[int]], image: Image, grid: ClientGrid) -> Flat:
    grid.places(points)  # a click outside the image is refused, a dab at its edge is cut
    around = (np.asarray(points, np.int64).reshape(-1, 1, 3) + np.asarray(_DAB)).reshape(-1, 3)
    inside = ((around >= 0) & (around < grid.shape)).all(axis=1)
    return _own(around[inside].tolist(), image, grid)
