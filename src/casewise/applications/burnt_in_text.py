"""Text that is burnt into an image's pixels: lines of small bright pieces of one height, which may name the patient."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from casewise.applications.planes import Plane
from casewise.boxes import around

_LEAST, _MOST = 6, 0.06  # a letter's height: pixels, and share of the picture's height
_CONTRAST = 0.35  # how much brighter than all around it, of the range of values
_MOST_LETTERS = 2000  # more pieces than these are a texture
_EDGE = 0.2  # how steeply it must rise at its outline: writing has no soft edges


@dataclass(frozen=True)
class Line:
    """A line of text: half-open rows and columns of the plane, and how many letters were distinguished."""

    letters: int
    rows: tuple[int, int]
    columns: tuple[int, int]


def text_lines(plane: Plane) -> list[Line]:
    """Lines of at least four letters, the longest first. A single side marker (L, R) is none.

    plane : (rows, columns), 0 to 1; letters are brighter than what is around them, as devices write them.
    """
    tallest = max(_LEAST + 1, int(_MOST * plane.shape[0]))
    values = np.clip(plane, -0.2, 1.2)
    # What is thinner than a letter's stroke can be, and brighter than its surroundings.
    stroke = max(3, tallest // 4 * 2 + 1)
    raised = values - around(around(values, stroke // 2, np.minimum), stroke // 2, np.maximum)
    pieces, count = ndimage.label(raised > _CONTRAST, np.ones((3, 3)))
    if count == 0:
        return []
    steep = around(values, 1, np.maximum) - around(values, 1, np.minimum)
    boxes = [
        (where[0].start, where[0].stop, where[1].start, where[1].stop)
        for number, where in enumerate(ndimage.find_objects(pieces), start=1)
        if _has_letter_size(where, tallest) and _is_letter(pieces[where] == number, steep[where])
    ]
    lines = _joined(boxes) if len(boxes) <= _MOST_LETTERS else []
    return sorted(lines, key=lambda line: -line.letters)


def _has_letter_size(where: tuple[slice, ...], tallest: int) -> bool:
    height, width = (part.stop - part.start for part in where)
    return bool(_LEAST <= height <= tallest and width <= 1.6 * height)


def _is_letter(mask: npt.NDArray[np.bool_], steep: Plane) -> bool:
    share = float(mask.mean())
    outline = mask & ~ndimage.binary_erosion(mask)
    return share >= 0.15 and float(np.median(steep[outline])) > _EDGE


def _joined(boxes: list[tuple[int, int, int, int]]) -> list[Line]:
    """Chains of letters of like height and base, each beginning less than two heights after the last ended."""
    left = sorted(boxes, key=lambda box: box[2])
    lines = []
    while left:
        chain = [left.pop(0)]
        for box in list(left):
            last = chain[-1]
            height = max(last[1] - last[0], box[1] - box[0])
            alike = abs(last[1] - box[1]) <= 0.2 * height and min(last[1] - last[0], box[1] - box[0]) >= 0.6 * height
            if alike and -1 <= box[2] - last[3] <= 1.5 * height:
                chain.append(box)
                left.remove(box)
        if len(chain) >= 4:
            rows = (min(box[0] for box in chain), max(box[1] for box in chain))
            lines.append(Line(len(chain), rows, (chain[0][2], max(box[3] for box in chain))))
    return lines
