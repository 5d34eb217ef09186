"""One structure of a session: the model's answers to one person's box and strokes, and what they cost."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from casewise.errors import UsageError
from casewise.image import Box, Image
from casewise.server.masks import Part

if TYPE_CHECKING:
    from casewise.interaction import InteractiveSegmentation
    from casewise.interaction.strokes import Strokes
    from casewise.models import Model

Mask = npt.NDArray[np.bool_]
Points = npt.NDArray[np.int64]
_REMEMBERED = 64  # changes whose boxes are kept
_REFUTED = (
    "The strokes contradict the accepted masks of {structure}, so it goes on without them; look whether these are right. "
    "If they are, undo as far as the mask before, and go on from that."
)


@dataclass(eq=False)
class Drawing:
    """A structure that is being outlined.

    outline : None before the first box, stroke or mask. by_strokes : whether its box was drawn around the first strokes; undoing
    these leaves nothing. part : its mask, None where that is empty. version : counts every change, also an undo. turned :
    voxels that the last one turned. strokes, seconds : what the person spent on it, counted : how much of this was recorded when
    it was accepted last; None before. similar : keys of the cases whose masks led the first answer.
    awaits_guess : whether it begins from a guess that a job prepares, once that is there. initial : the model that ``model`` was
    refined from on accepted cases; None where it was not.
    """

    structure: str
    model: Model
    image: Image
    outline: InteractiveSegmentation | None = None
    by_strokes: bool = False
    strokes: int = 0
    seconds: float = 0.0
    counted: tuple[int, float] | None = None
    accepted: bool = False
    reason: str = ""
    similar: tuple[str, ...] = ()
    awaits_guess: bool = False
    initial: Model | None = None
    part: Part | None = None
    version: int = 0
    turned: int = 0
    _parked: InteractiveSegmentation | None = None
    _changes: list[tuple[int, Box]] = field(default_factory=list)

    @property
    def round(self) -> int:
        """How many steps undo can take back."""
        return 0 if self.outline is None else self.outline.steps

    @property
    def mask(self) -> Mask:
        """(*spatial) bool."""
        shape = self.image.spatial_shape
        return np.zeros(shape, bool) if self.part is None else self.part.whole(shape)

    @property
    def voxels(self) -> int:
        return 0 if self.part is None else int(np.count_nonzero(self.part.bits))

    @property
    def said(self) -> str:
        """The ``reason``; and a sentence where the strokes refuted it, and where the last round's marked voxels as both."""
        if self.outline is None:
            return self.reason
        refuted = _REFUTED.format(structure=self.structure) if self.outline.refuted else ""
        return " ".join(part for part in (self.reason, refuted, self.outline.crossed.sentence) if part)

    @property
    def can_undo(self) -> bool:
        return self.round > 0

    @property
    def can_redo(self) -> bool:
        return self._parked is not None or (self.outline is not None and self.outline.undone > 0)

    @property
    def marked(self) -> tuple[Points, Points]:
        """(foreground, background), each (n, axes): the strokes that count."""
        nothing = np.zeros((0, self.image.spatial_dims), np.int64)
        return (nothing, nothing) if self.outline is None else self.outline.strokes

    def begin(self, box: Box | Sequence[Sequence[int]] | None, mask: Mask | None = None, hint: bool = False) -> None:
        from casewise.interaction import InteractiveSegmentation

        if self.outline is not None:
            if box is None:
                raise UsageError("The object has begun already; draw a box to begin it anew.")
            self._change(lambda outline: outline.draw_box(box))
            return
        outline = InteractiveSegmentation(self.model, self.image, box, mask=mask, hint=hint, initial=self.initial)
        self._started(outline, by_strokes=False)

    def add(self, strokes: Strokes, count: int = 1) -> None:
        """A round of strokes; without a box one is drawn around them."""
        from casewise.interaction import InteractiveSegmentation
        from casewise.interaction.box_from_strokes import box_from_strokes

        if self.outline is None:
            box = box_from_strokes(self.image, strokes.foreground, strokes.background)
            outline = InteractiveSegmentation(self.model, self.image, box, initial=self.initial)
            outline.mark(strokes)
            self._started(outline, by_strokes=True)
            self.reason = "The first strokes began; the object is looked for around them."
        else:
            self._change(lambda outline: outline.mark(strokes))
        self.strokes += count

    def erase(self, voxels: Points) -> None:
        self._change(lambda outline: outline.erase(voxels))

    def grow(self) -> None:
        self._change(lambda outline: outline.grow())

    def undo(self) -> None:
        if self.by_strokes and self.outline is not None and self.outline.steps == 1:
            self._parked, self.outline = self.outline, None
            self._moved()
            return
        self._change(lambda outline: outline.undo())

    def redo(self) -> None:
        if self.outline is None and self._parked is not None:
            self.outline, self._parked = self._parked, None
            self._moved()
            return
        self._change(lambda outline: outline.redo())

    def changed_since(self, version: int) -> Box | None:
        """The box of all that changed after ``version``; None where nothing did, the whole image where it is not remembered."""
        if version >= self.version:
            return None
        if self.version - version > _REMEMBERED:
            return Box.whole(self.image.spatial_shape)
        boxes = [box for number, box in self._changes if number > version]
        return _union(boxes)

    def within(self, box: Box) -> Mask:
        """(*box) bool: the mask there."""
        return _within(self.part, box)

    def save(self, path: Path) -> None:
        if self.outline is not None:
            self.outline.save(path)

    def resume(self, path: Path) -> None:
        from casewise.interaction import InteractiveSegmentation

        self.outline = InteractiveSegmentation.resume(path, self.model, self.image, initial=self.initial)
        self.part = _part(self.outline)

    def _started(self, outline: InteractiveSegmentation, *, by_strokes: bool) -> None:
        self.outline, self.by_strokes, self._parked = outline, by_strokes, None
        self._moved()

    def _change(self, change: Callable[[InteractiveSegmentation], object]) -> None:
        if self.outline is None:
            raise UsageError("Nothing has been marked in this object yet; draw a box or a stroke first.")
        change(self.outline)
        self._moved()

    def _moved(self) -> None:
        """Note what of the mask changed."""
        before, self.part = self.part, _part(self.outline)
        self.version += 1
        self.accepted = False
        box, self.turned = _difference(before, self.part)
        if box is not None:
            self._changes.append((self.version, box))
            del self._changes[:-_REMEMBERED]


def _part(outline: InteractiveSegmentation | None) -> Part | None:
    return None if outline is None else Part.inside(outline.box, outline.mask_in_box)


def _difference(before: Part | None, after: Part | None) -> tuple[Box | None, int]:
    """(the box of the voxels in which two masks differ, None where they are the same; how many voxels these are)."""
    around = _union([part.box for part in (before, after) if part is not None])
    if around is None:
        return None, 0
    changed = _within(before, around) ^ _within(after, around)
    box = Box.around(changed)
    if box is None:
        return None, 0
    lower = tuple(low + start for low, start in zip(box.lower, around.lower, strict=True))
    upper = tuple(high + start for high, start in zip(box.upper, around.lower, strict=True))
    return Box(lower, upper), int(np.count_nonzero(changed))


def _within(part: Part | None, box: Box) -> Mask:
    """(*box) bool: what of the mask lies in a box that may be larger or smaller than its own."""
    found = np.zeros(box.shape, bool)
    if part is None:
        return found
    low = tuple(max(one, other) for one, other in zip(part.box.lower, box.lower, strict=True))
    high = tuple(min(one, other) for one, other in zip(part.box.upper, box.upper, strict=True))
    if all(start < end for start, end in zip(low, high, strict=True)):
        common = Box(low, high)
        found[_inside(common, box)] = part.bits[_inside(common, part.box)]
    return found


def _inside(inner: Box, outer: Box) -> tuple[slice, ...]:
    return tuple(slice(low - start, high - start) for low, high, start in zip(inner.lower, inner.upper, outer.lower, strict=True))


def _union(boxes: Sequence[Box]) -> Box | None:
    if not boxes:
        return None
    lower = tuple(min(sides) for sides in zip(*(box.lower for box in boxes), strict=True))
    upper = tuple(max(sides) for sides in zip(*(box.upper for box in boxes), strict=True))
    return Box(lower, upper)
