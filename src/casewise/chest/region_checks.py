"""Whether what was outlined can be a frontal chest radiograph's, and what must be said of the picture."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from casewise.chest.region import HEART, LEFT_LUNG, RIGHT_LUNG, Remark
from casewise.chest.region_pose import Pose, is_side_view, stated_pose, usual_poses
from casewise.chest.region_sides import Sides
from casewise.errors import CasewiseError
from casewise.image import Image
from casewise.orientation import TURNS, Turn, joined

if TYPE_CHECKING:
    from casewise.routing.router import Router

CHEST = "chest-xray"  # as the router calls it
STRUCTURES = (RIGHT_LUNG, LEFT_LUNG, HEART)
PLAIN = 0.82  # both lungs outlined with this certainty: the picture need not be turned to look for better
_PLAIN_HEART = 0.75
_LEAST_SHARE = 0.015  # of the picture that a lung covers
_LEAST_PIXELS = 32
_LONGEST = 3.0  # times the shorter edge
_CERTAIN = 0.9
_EDGE = 0.2  # of a lung's length that lies at the picture's edge where it is cut off


@dataclass(frozen=True, eq=False)
class Outline:
    """chances : (1 + structures, row, column) probabilities of the picture in this pose, cleaned."""

    pose: Pose
    chances: npt.NDArray[np.float32]

    @cached_property
    def masks(self) -> dict[str, npt.NDArray[np.bool_]]:
        """Where each structure wins, on the network's grid, upright."""
        winner = self.chances.argmax(axis=0)
        return {name: winner == number for number, name in enumerate(STRUCTURES, start=1)}

    @cached_property
    def certainty(self) -> dict[str, float]:
        """Mean probability of each structure where it wins; 0 where it does nowhere."""
        return {
            name: float(self.chances[number][mask].mean()) if mask.any() else 0.0
            for number, (name, mask) in enumerate(self.masks.items(), start=1)
        }

    def seen(self, name: str) -> bool:
        least = _PLAIN_HEART if name == HEART else PLAIN
        return float(self.masks[name].mean()) >= _LEAST_SHARE and self.certainty[name] >= least

    @property
    def plausibility(self) -> float:
        """0 to 2: the certainties of both lungs, less where one is small."""
        return sum(
            self.certainty[name] * min(1.0, float(self.masks[name].mean()) / _LEAST_SHARE) for name in (RIGHT_LUNG, LEFT_LUNG)
        )


def can_be_chest(image: Image) -> bool:
    """Whether :func:`refuse` lets it pass."""
    try:
        refuse(image)
    except CasewiseError:
        return False
    return True


def refuse(image: Image) -> None:
    """Raise CasewiseError, one sentence, for what cannot be a frontal chest radiograph whatever it shows."""
    if image.spatial_dims != 2:
        shape = "×".join(map(str, image.spatial_shape))
        msg = f"Regions are outlined in a frontal chest radiograph, and this is a volume of {shape} voxels; give the radiograph."
        raise CasewiseError(msg)
    rows, columns = image.spatial_shape
    if min(rows, columns) < _LEAST_PIXELS or max(rows, columns) > _LONGEST * min(rows, columns):
        msg = (
            f"The picture has {rows}×{columns} pixels; a chest radiograph has at least {_LEAST_PIXELS} an edge and is at most "
            f"{_LONGEST:.0f} times as long as wide: give the whole picture."
        )
        raise CasewiseError(msg)
    if image.array.min() == image.array.max():
        value = float(image.array.flat[0])
        msg = f"The picture has one value throughout ({value:g}), so nothing can be seen in it; give a radiograph."
        raise CasewiseError(msg)
    if is_side_view(image.header):
        view = image.header.view or "\\".join(image.header.directions or ())
        msg = f"The picture's header says that the patient is seen from the side ({view}); regions are outlined in frontal views."
        raise CasewiseError(msg)


def remarks_on(outline: Outline, image: Image, sides: Sides) -> tuple[Remark, ...]:
    """What must be said of a picture that was outlined. Raises CasewiseError where no chest was seen.

    A picture that had to be turned or inverted for lungs to be seen must show both, for a hand on its side has two dark halves. It
    must not look like another known kind of image either, nor must one in which one lung alone is seen; and without a heart it must
    look like a chest.
    """
    expected = stated_pose(image)
    usual = usual_poses(image) if expected is None else (expected,)
    as_stated = not outline.pose.inverted and any(outline.pose.same_way_up(pose) for pose in usual)
    lungs = [outline.seen(name) for name in (RIGHT_LUNG, LEFT_LUNG)]
    plain = as_stated and all(lungs)
    doubtful = not as_stated and not outline.seen(HEART)
    if not (any(lungs) if as_stated else all(lungs)) or (not plain and _is_other(image)) or (doubtful and not _is_chest(image)):
        msg = (
            f"No frontal view of the lungs can be seen in this picture{_likeness(image)}; regions are outlined in chest "
            "radiographs, also inverted or turned ones."
        )
        raise CasewiseError(msg)
    return (*_pose_remarks(outline.pose, image, sides), *_missing(outline, sides), *_doubts(outline, sides))


def _is_other(image: Image) -> bool:
    """Whether the router takes the picture for another known kind."""
    route = router().route(image)
    return route.known and route.category != CHEST


def _is_chest(image: Image) -> bool:
    route = router().route(image)
    return route.known and route.category == CHEST


def _likeness(image: Image) -> str:
    """What the router takes the picture for, as a clause."""
    route = router().route(image)
    if route.category == CHEST:
        return ", although it looks somewhat like a chest radiograph: a side view, perhaps, or a part of one"
    if not route.known:
        return ": it is like no kind of image that is known"
    return f": it looks like {route.category.replace('-', ' ')} ({route.probability:.0%})"


@cache
def router() -> Router:
    """The shipped router, which says what else a picture may be."""
    from casewise.routing.router import Router

    return Router.load()


def _pose_remarks(pose: Pose, image: Image, sides: Sides) -> list[Remark]:
    found = []
    if pose.inverted:
        sentence = "The picture is inverted: bones are dark and lungs bright; it was outlined as if they were not."
        found.append(Remark("inverted", sentence))
    source = "by what its file states" if sides.stated else "by what it shows"
    change = _change(pose, image)
    if change.turns % 2 and change.mirrored:
        found.append(Remark("transposed", f"The picture's rows and columns are exchanged, {source}."))
    elif change.mirrored:
        way = "left to right" if change.turns == 0 else "top to bottom"
        found.append(Remark("mirrored", f"The picture is mirrored {way}, {source}."))
    elif change.turns:
        sentence = (
            f"The picture is turned by {90 * change.turns}° clockwise, {source}; left and right are those of the upright picture."
        )
        found.append(Remark("rotated", sentence))
    if change == Turn(3, mirrored=True):
        found.append(Remark("rotated", f"It is also turned by 180°, {source}."))
    return [*found, *sides.remarks]


def _change(pose: Pose, image: Image) -> Turn:
    """From how such a picture usually lies to ``pose``: none where it only counts rows or columns first, as its format may."""
    usual = usual_poses(image)
    base = next((one for one in usual if pose.same_way_up(one)), usual[0])
    return next(turn for turn in TURNS if joined(base.turn, turn) == pose.turn)


def _missing(outline: Outline, sides: Sides) -> list[Remark]:
    found = []
    for name in STRUCTURES:
        if not outline.seen(name):
            public = sides.name(name)
            words = public.replace("_", " ")
            sentence = f"The {words} could not be outlined: it may be white, hidden or not in the picture."
            found.append(Remark(f"{public}_missing", sentence))
    return found


def _doubts(outline: Outline, sides: Sides) -> list[Remark]:
    found = []
    masks = outline.masks
    for name in (RIGHT_LUNG, LEFT_LUNG):
        mask = masks[name]
        if not outline.seen(name):
            continue
        words = sides.name(name).replace("_", " ")
        outer = mask[:, 0] if name == RIGHT_LUNG else mask[:, -1]
        held = mask.any(axis=1).sum()
        if outer.sum() > _EDGE * held or mask[0].any() or mask[-1].any():
            found.append(Remark("cut_off", f"The {words} reaches the picture's edge, so that a part of it may not be shown."))
        if outline.certainty[name] < _CERTAIN:
            found.append(Remark("doubtful", f"The {words}'s outline is doubtful: look at it before it is used."))
    if sides.known and all(outline.seen(name) for name in STRUCTURES):
        middles = {name: float(np.nonzero(mask)[1].mean()) for name, mask in masks.items()}
        if middles[HEART] < (middles[RIGHT_LUNG] + middles[LEFT_LUNG]) / 2 - 0.02 * masks[HEART].shape[1]:
            sentence = "The heart lies on the patient's right: the picture is mirrored, or the heart is on the other side."
            found.append(Remark("heart_on_right", sentence))
    return found
