"""How a picture must be turned to be an upright chest with bright bones, as a network knows it; and masks turned back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Plane = npt.NDArray[np.float32]
_STANDARD = ("L", "F")  # rows run to the patient's left, columns to the feet
_OPPOSITE = {"L": "R", "R": "L", "H": "F", "F": "H", "A": "P", "P": "A"}


@dataclass(frozen=True)
class Pose:
    """What makes a picture (row, column) upright: ``mirrored`` left to right, then ``turns`` of 90° against the clock, and
    ``inverted`` dark for bright.
    """

    turns: int = 0
    mirrored: bool = False
    inverted: bool = False

    def upright(self, plane: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
        """``plane`` (row, column) turned; its values stay."""
        return np.rot90(plane[:, ::-1] if self.mirrored else plane, self.turns)

    def back(self, plane: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
        """The inverse of :meth:`upright`."""
        turned = np.rot90(plane, -self.turns)
        return turned[:, ::-1] if self.mirrored else turned

    def seen(self, plane: Plane) -> Plane:
        """``plane`` with values in 0…1, turned, and dark for bright where it is inverted."""
        turned = self.upright(plane)
        return np.ascontiguousarray(1 - turned if self.inverted else turned)

    def then(self, turns: int, inverted: bool) -> Pose:
        """This pose, then ``turns`` more, and inverted or not."""
        return Pose((self.turns + turns) % 4, self.mirrored, inverted)


def pose_of(header: Mapping[str, object]) -> Pose | None:
    """How DICOM's directions say the picture lies; None where they say nothing, or that it is no frontal view."""
    directions = header.get("directions")
    if not isinstance(directions, tuple) or len(directions) != 2:
        return None
    for turns in range(4):
        for mirrored in (False, True):
            if _turned(directions, turns, mirrored) == _STANDARD:
                return Pose(turns, mirrored)
    return None


def is_side_view(header: Mapping[str, object]) -> bool:
    """Whether DICOM's directions or view say that the patient is seen from the side."""
    directions = header.get("directions")
    from_front = not isinstance(directions, tuple) or not set(directions) & {"A", "P"}
    return not from_front or str(header.get("view", "")).upper() in {"LL", "RL", "LATERAL", "LAT"}


def _turned(directions: tuple[str, str], turns: int, mirrored: bool) -> tuple[str, str]:
    row, column = directions
    if mirrored:
        row = _OPPOSITE.get(row, row)
    for _ in range(turns):  # against the clock: what ran down runs right, what ran right runs up
        row, column = column, _OPPOSITE.get(row, row)
    return row, column
