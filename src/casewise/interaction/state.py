"""One object of a session as it stood after one round: nothing in it changes, so that undoing gives the very same mask."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from scipy.special import expit

from casewise.image import Box, Image
from casewise.interaction.crop import Region
from casewise.interaction.image_head import ImageHead
from casewise.interaction.predictor import Predictor
from casewise.interaction.prompt_maps import PromptMaps
from casewise.interaction.strokes import Points, Strokes, holding
from casewise.interaction.supposition import filling

Floats = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

_GIVEN = 4.0  # the logit of a mask that was given
_CONTRADICTED = 0.3  # of a round's strokes: from there on the whole answer is reconsidered, and not only what they touch
_CORRECTION = 0.9  # of a round's strokes that contradict the answer: from there on they are drawn where it is wrong


@dataclass(frozen=True, eq=False)
class State:
    """One state.

    region : where the network looks. logits : (*grid) its answer. strokes : all so far, in order. given : (*box) bool, a mask that
    was not the network's answer (an existing one, or one grown through a volume), whole within the box; None otherwise.
    settled : (*box) bool, the mask of a round that changed only what its strokes touch, voxel by voxel; None otherwise.
    hint : (*spatial) bool, a guess that the network is given in every round. head : what is fitted to the region's image; None
    where the answer began from a mask. evidence : the strokes that show how often an answer is wrong (:func:`surveys`). tuned :
    whether the answer is fitted to this image's strokes. refuted : whether the strokes refuted the masks of other images that led
    the first answers, so that the network answers as it was before these. trusted : whether a person took that back, so that these
    masks stay.
    """

    region: Region
    maps: PromptMaps
    logits: Floats
    strokes: tuple[Strokes, ...]
    shape: tuple[int, ...]
    given: Mask | None = None
    hint: Mask | None = None
    settled: Mask | None = None
    head: ImageHead | None = None
    evidence: Strokes | None = None
    tuned: bool = False
    refuted: bool = False
    trusted: bool = False

    @classmethod
    def begun(cls, image: Image, box: Box, predictor: Predictor, mask: Mask | None = None, hint: bool = False) -> State:
        """After the box alone, or with an existing ``mask`` (*spatial) within it; as a ``hint`` it only leads the answers."""
        region = Region.around(image, box, predictor.size)
        if mask is None or hint:
            maps = _maps(image, region, mask)
            logits = predictor.logits(maps, maps.prior[0])
            head = ImageHead(maps, np.where(maps.box[0], expit(logits), 0).astype(np.float32))
            return cls(region, maps, logits, (), image.spatial_shape, hint=mask, head=head)
        logits = (2 * region.sampled(mask) - 1) * _GIVEN
        return cls(region, _maps(image, region, None), logits.astype(np.float32), (), image.spatial_shape, mask[box.slices].copy())

    def marked(self, image: Image, strokes: Strokes, predictor: Predictor) -> State:
        """After a further round; a foreground stroke outside the box makes the box larger."""
        box = holding(self.region.box, strokes.foreground, self.shape)
        state = self if box == self.region.box else self._in(image, box, predictor.size)
        maps = marked(state.maps, state.region, strokes)
        former = state.inside
        wrong = contradicted(former, strokes, box)
        reconsidered = self.given is None and wrong >= _CONTRADICTED
        logits = state._asked(predictor, maps, strokes, wrong)
        if surveys(strokes, wrong):
            state = replace(state, evidence=strokes if self.evidence is None else self.evidence.followed_by(strokes, self.shape))
        fitted = state._fitted(predictor, maps, logits) if self.given is None else None
        logits, tuned = (state._extended(predictor, maps, logits, strokes), False) if fitted is None else (fitted, True)
        after = replace(state, maps=maps, logits=logits, strokes=(*self.strokes, strokes), given=None, settled=None, tuned=tuned)
        if reconsidered or (tuned and not self.tuned):
            return after
        settled, logits = after._where_touched(former, state.logits, strokes)
        after = replace(after, logits=logits)
        return replace(after, settled=settled) if self.given is None else replace(after, given=settled)

    def _asked(self, predictor: Predictor, maps: PromptMaps, strokes: Strokes, wrong: float) -> Floats:
        """(*grid) the network's logits with a round's strokes, of which ``wrong`` is the share that contradicts the answer.

        First strokes of the rest alone leave open what the object is; a mask that was given or a hint of other images says it.
        """
        former, known = self.former(), bool(self.strokes) or self.head is None or self.given is not None or self.hint is not None
        if known or len(strokes.foreground) or wrong < _CONTRADICTED or not predictor.supposes(maps):
            return predictor.logits(maps, former)
        return predictor.surer(maps, former, filling(maps.box[0], self.logits > 0, self.region.scale))

    def _fitted(self, predictor: Predictor, maps: PromptMaps, logits: Floats) -> Floats | None:
        """(*grid) logits fitted to the image's strokes; None where ``logits``, the network's own, stand."""
        if self.head is None:
            return None
        evidence = self.evidence or Strokes.nothing(len(self.shape))
        kinds = ((evidence.foreground, maps.foreground[0]), (evidence.background, maps.background[0]))
        on, off = (self.region.marks(places) & held for places, held in kinds)
        return predictor.fitted(self.head, maps, (on, off), logits)

    def _extended(self, predictor: Predictor, maps: PromptMaps, logits: Floats, strokes: Strokes) -> Floats:
        """(*grid) ``logits``, the network's own, after a round's ``strokes`` of one kind carried to what looks like them.

        Strokes of both kinds at once say enough by themselves: on validation the same gained nothing there (48 calls, Dice .744
        and .745), and in 4 % of them made the mask worse by more than 0.02.
        """
        if self.head is None or strokes.of_both_kinds:
            return logits
        return predictor.extended(self.head, maps, logits)

    def _where_touched(self, former: Mask, logits: Floats, strokes: Strokes) -> tuple[Mask, Floats]:
        """((*box) bool, (*grid) logits): this answer where a stroke touches what it changes, the former one elsewhere.

        former, logits : the mask (*box) and the answer (*grid) before the strokes. Parts are separated on the image's grid: on
        the network's finer one a border that moved by half a voxel joins all of them.
        """
        box, answered = self.region.box, self.inside
        kept = unasked(former, answered, _within(strokes.foreground, box), _within(strokes.background, box))
        everywhere = np.zeros(self.shape, bool)
        everywhere[box.slices] = kept
        mixed = np.where(self.region.sampled(everywhere) >= 0.5, logits, self.logits).astype(np.float32)
        return np.where(kept, former, answered), mixed

    def former(self) -> Floats:
        """(*grid): the answer's probability within the box, as the next answer is given it."""
        return np.where(self.maps.box[0], expit(self.logits), 0).astype(np.float32)

    def _in(self, image: Image, box: Box, size: Sequence[int]) -> State:
        """The same mask and strokes in a larger box."""
        mask = self.mask
        region = Region.around(image, box, size)
        maps = _maps(image, region, self.hint)
        logits = ((2 * region.sampled(mask) - 1) * _GIVEN).astype(np.float32)
        state = replace(self, region=region, maps=maps, logits=logits, strokes=(), given=mask[box.slices].copy(), settled=None)
        state = replace(state, head=ImageHead(maps))
        return state.with_strokes(self.strokes)

    def with_strokes(self, strokes: tuple[Strokes, ...]) -> State:
        """The same mask with strokes of earlier rounds; they are obeyed, and the next prediction takes them."""
        maps = self.maps
        for one in strokes:
            maps = marked(maps, self.region, one)
        return replace(self, maps=maps, strokes=(*self.strokes, *strokes))

    @property
    def mask(self) -> Mask:
        """(*spatial) bool: the object, every stroke obeyed, nothing outside the box."""
        mask = np.zeros(self.shape, bool)
        mask[self.region.box.slices] = self.inside
        return mask

    @cached_property
    def inside(self) -> Mask:
        """(*box) bool: the same, of which nothing lies elsewhere. Not to be written to."""
        box = self.region.box
        if self.given is not None:
            mask = self.given.copy()
        elif self.settled is not None:
            mask = self.settled.copy()
        else:
            mask = np.zeros(box.shape, bool)
            for index, plane in self.region.planes(self.logits):
                mask[_in_box(index, box)] = plane > 0
        for strokes in self.strokes:
            mask[_places(strokes.foreground, box)] = True
            mask[_places(strokes.background, box)] = False
        return mask

    @property
    def probability(self) -> Floats:
        """(*spatial) float32: of the object; 0 outside the box, 1 and 0 on strokes."""
        found = np.zeros(self.shape, np.float32)
        if self.given is not None:
            found[self.region.box.slices] = self.given
        else:
            for index, plane in self.region.planes(self.logits):
                found[index] = expit(plane)
            if self.settled is not None:
                window = self.region.box.slices
                found[window] = np.where(self.settled, np.maximum(found[window], 0.51), np.minimum(found[window], 0.49))
        self._obey(found, 1.0, 0.0)
        return found

    @cached_property
    def rounds(self) -> int:
        return len(self.strokes)

    @property
    def bytes(self) -> int:
        """Memory of what a round makes; without what it shares with the state before it."""
        made = (self.logits, self.maps.to_foreground, self.maps.to_background, self.maps.foreground, self.maps.background)
        parts = (self.given, self.settled, self.__dict__.get("inside"))
        return sum(array.nbytes for array in made) + sum(part.nbytes for part in parts if part is not None)

    def arrays(self) -> list[npt.NDArray[np.generic]]:
        """All that it holds in memory, also what it shares with other states."""
        held = [self.logits, self.given, self.hint, self.settled, self.__dict__.get("inside"), *vars(self.maps).values()]
        held += [] if self.head is None else self.head.arrays()
        return [array for array in held if isinstance(array, np.ndarray)]

    def _obey(self, array: npt.NDArray[np.generic], foreground: float, background: float) -> None:
        for strokes in self.strokes:
            array[tuple(strokes.foreground.T)] = foreground
            array[tuple(strokes.background.T)] = background


def _maps(image: Image, region: Region, hint: Mask | None) -> PromptMaps:
    prior = None if hint is None else region.sampled(hint)[None]
    return PromptMaps.of(region.crop(image)[None], region.inside()[None], region.spacing, prior, region.scale)


def marked(maps: PromptMaps, region: Region, strokes: Strokes) -> PromptMaps:
    """The maps with a round's strokes; on the coarser grid a place that both touch is foreground."""
    foreground, background = region.marks(strokes.foreground), region.marks(strokes.background)
    return maps.marked(foreground[None], (background & ~foreground)[None])


def _within(points: Points, box: Box) -> Mask:
    """(*box) bool: places (n, axes) of the image that lie in the box."""
    marks = np.zeros(box.shape, bool)
    marks[_places(points, box)] = True
    return marks


def _places(points: Points, box: Box) -> tuple[Points, ...]:
    """Where those of the places (n, axes) of the image that lie in the box lie in it, by which an array (*box) is indexed."""
    inside = ((points >= box.lower) & (points < box.upper)).all(axis=1)
    return tuple((points[inside] - box.lower).T)


def _in_box(index: tuple[slice | int, ...], box: Box) -> tuple[slice | int, ...]:
    """An index into the image's axes as one into the box's."""
    return tuple(
        at - low if isinstance(at, int) else slice(at.start - low, at.stop - low) for at, low in zip(index, box.lower, strict=True)
    )


def contradicted(mask: Mask, strokes: Strokes, box: Box) -> float:
    """The share, 0…1, of the strokes' voxels that say another thing than ``mask`` (*box) bool; outside the box there is nothing."""
    drawn = len(strokes.foreground) + len(strokes.background)
    held = int(mask[_places(strokes.foreground, box)].sum()), int(mask[_places(strokes.background, box)].sum())
    return (len(strokes.foreground) - held[0] + held[1]) / max(drawn, 1)


def surveys(strokes: Strokes, wrong: float) -> bool:
    """Whether a round's strokes were drawn over object and rest, and not only where the answer shown was wrong.

    wrong : what :func:`contradicted` says of them. Corrections lie where the network errs, so they cannot show how often it does: a
    classifier fitted to a few of them predicts the others better than the network and is still worse elsewhere. Of strokes that
    were simulated as drawn at once, at most 84 % contradicted the answer after the box (129 on images of validation).
    """
    return strokes.of_both_kinds and wrong < _CORRECTION


def unasked(before: Mask, after: Mask, foreground: Mask, background: Mask) -> Mask:
    """Where ``after`` differs from ``before`` for no stroke's sake; all of one shape, bool.

    A connected part that is gained needs a foreground stroke in it, one that is lost a background stroke. Strokes that mostly
    confirm the answer are no reason to change what they do not touch: without this 17 % of calls with one to four strokes of
    experts on hearts made the mask worse by more than 0.02, with it 1 % (192 calls, 16 patients; benchmarks/interaction_calls.py).
    """
    found = np.zeros(before.shape, bool)
    for changed, asked in ((after & ~before, foreground), (before & ~after, background)):
        parts, count = ndimage.label(changed, np.ones([3] * changed.ndim))
        touched = np.zeros(count + 1, bool)
        touched[np.unique(parts[asked])] = True
        found |= changed & ~touched[parts]
    return found
