"""How well the sequences of an examination lie on each other: a picture of each, and checkerboards with the reference.

In a checkerboard tiles of the reference and of the other sequence alternate: edges that run on from tile to tile are aligned.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from casewise.errors import CasewiseError
from casewise.files import output
from casewise.image import Image
from casewise.reporting.pictures import Pixels, data_uri, display_range, thumbnail, to_pixels
from casewise.reporting.planes import Plane, planes
from casewise.wording import number, score

_SIDE = 360
_BYTES = 90_000
_TILES = 8  # along the longer edge


@dataclass(frozen=True, eq=False)
class SequenceView:
    """A sequence on the reference's grid.

    image : as registered, (1, *spatial). stated : as the files state that it lies, None for the reference itself.
    about : what the result's JSON says of it (``told_by``, ``registration``, …).
    """

    name: str
    image: Image
    stated: Image | None
    about: Mapping[str, Any]


def checkerboard(first: Pixels, second: Pixels, tiles: int = _TILES) -> Pixels:
    """uint8 (rows, columns): square tiles of the two pictures (rows, columns) in turn, ``tiles`` along the longer edge."""
    if first.shape != second.shape:
        raise CasewiseError(f"A checkerboard is of two pictures of one size; got {first.shape} and {second.shape}.")
    edge = max(1, round(max(first.shape) / tiles))
    rows, columns = (np.arange(n) // edge for n in first.shape)
    return np.where((rows[:, None] + columns[None, :]) % 2 == 0, first, second)


def write_checkerboards(views: Sequence[SequenceView], folder: Path, name: str) -> dict[str, Path]:
    """``folder/NAME-SEQUENCE-check.png`` of each registered sequence: before on the left, after on the right; paths by sequence.

    The first view is the reference. Raises CasewiseError for a folder that cannot be written to.
    """
    from PIL import Image as Pillow

    plane = _plane(views[0].image)
    written = {}
    for view in views[1:]:
        pair = [thumbnail(board, {}, plane.spacing, 2 * _SIDE) for board in _boards(views[0], view, plane)]
        path = folder / f"{name}-{view.name.replace(' ', '_')}-check.png"
        with output(path, "The picture", suffix=path.suffix) as beside:
            Pillow.fromarray(np.concatenate(pair, axis=1)).save(beside)
        written[view.name] = path
    return written


def sequence_rows(views: Sequence[SequenceView]) -> list[dict[str, object]]:
    """What the report's template displays of each sequence, the reference first."""
    if not views:
        return []
    plane = _plane(views[0].image)
    rows: list[dict[str, object]] = []
    for view in views:
        boards = _boards(views[0], view, plane) if view.stated is not None else []
        rows.append(
            {
                "name": view.name,
                "told_by": view.about.get("told_by", ""),
                "uri": _uri(_displayed(view.image, plane), plane),
                "boards": [_uri(board, plane) for board in boards],
                "check": _check(view.about.get("registration")),
            }
        )
    return rows


def _check(registration: Mapping[str, Any] | None) -> dict[str, str] | None:
    if registration is None:
        return None
    moved = f"{number(registration['moved_mm'], 2)} mm, {number(registration['turned_degrees'], 2)}°"
    return {
        "to": str(registration["to"]),
        "before": score(registration["before"]),
        "after": score(registration["after"]),
        "misplaced": score(registration["misplaced"]),
        "moved": moved if registration["used"] else "left where the file states",
    }


def _boards(reference: SequenceView, view: SequenceView, plane: Plane) -> list[Pixels]:
    """The checkerboards before and after; the same window for both."""
    still = _displayed(reference.image, plane)
    window = display_range(view.image)
    return [
        checkerboard(still, to_pixels(plane.cut(image.array[0]), *window))
        for image in (view.stated, view.image)
        if image is not None
    ]


def _displayed(image: Image, plane: Plane) -> Pixels:
    return to_pixels(plane.cut(image.array[0]), *display_range(image))


def _plane(image: Image) -> Plane:
    return planes(image)[0]


def _uri(pixels: Pixels, plane: Plane) -> str:
    return data_uri(thumbnail(pixels, {}, plane.spacing, _SIDE), _BYTES)[0]
