"""How a picture must be turned to be an upright chest with bright bones, as a network knows it; and masks turned back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from casewise.header import Header
from casewise.image import Image
from casewise.orientation import FRONTAL, Turn, column_first, joined, stated, turn_to

Plane = npt.NDArray[np.float32]
MIRROR = Turn(mirrored=True)


@dataclass(frozen=True)
class Pose(Turn):
    """What makes a picture (row, column) upright: ``mirrored`` left to right, then ``turns`` of 90° against the clock, and
    ``inverted`` dark for bright.
    """

    inverted: bool = False

    @classmethod
    def of(cls, turn: Turn, inverted: bool = False) -> Pose:
        return cls(turn.turns, turn.mirrored, inverted)

    @property
    def turn(self) -> Turn:
        return Turn(self.turns, self.mirrored)

    def seen(self, plane: Plane) -> Plane:
        """``plane`` with values in 0…1, turned, and dark for bright where it is inverted."""
        turned = self.upright(plane)
        return np.ascontiguousarray(1 - turned if self.inverted else turned)

    def then(self, turns: int, inverted: bool) -> Pose:
        """This pose, then ``turns`` more, and inverted or not."""
        return Pose.of(joined(self.turn, Turn(turns % 4)), inverted)

    def facing(self) -> Pose:
        """This pose, then left for right: as upright as it was."""
        return Pose.of(joined(self.turn, MIRROR), self.inverted)

    def same_way_up(self, other: Turn) -> bool:
        """Whether both bring the same edge of the picture to the top."""
        return Turn(other.turns, other.mirrored) in (self.turn, self.facing().turn)


def pose_of(header: Header) -> Pose | None:
    """How DICOM's directions say the picture lies; None where they say nothing, or that it is no frontal view."""
    turn = turn_to(header.directions, FRONTAL) if header.directions else None
    return None if turn is None else Pose.of(turn)


def stated_pose(image: Image) -> Pose | None:
    """How the picture lies, by DICOM's directions or by an affine that is a coronal plane's; None where neither is there."""
    turn = stated(image)
    return None if turn is None else Pose.of(turn)


def usual_poses(image: Image) -> tuple[Pose, ...]:
    """How a picture that states nothing usually lies, the likeliest first: upright as displayed.

    Which axis is displayed as the rows is not certain where libraries write pictures either way: ITK counts along a row first, and
    who hands an array of rows to nibabel counts rows first.
    """
    transposed = Pose(1, mirrored=True)
    return (transposed, Pose()) if column_first(image) else (Pose(),)


def is_side_view(header: Header) -> bool:
    """Whether DICOM's directions or view say that the patient is seen from the side."""
    from_side = bool(set(header.directions or ()) & {"A", "P"})
    return from_side or (header.view or "").upper() in {"LL", "RL", "LATERAL", "LAT"}
