"""``InteractiveSegmentation``: a person and a network outline objects in one image together."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from casewise.device import resolve_device
from casewise.errors import UsageError
from casewise.hashing import image_key
from casewise.image import Array, Box, Image
from casewise.intensity import grey
from casewise.interaction.crossing import Crossed
from casewise.interaction.fine_tuning import FineTuning
from casewise.interaction.growing import grown
from casewise.interaction.history import Began, Erased, Event, Grew, History, Marked, Standing, Step
from casewise.interaction.predictor import Predictor
from casewise.interaction.refutation import unless_refuted
from casewise.interaction.state import State
from casewise.interaction.strokes import Given, Points, Strokes, checked_box, points
from casewise.label_map import LabelMap
from casewise.models.model import Model

Mask = npt.NDArray[np.bool_]
_HELD = 256 << 20  # bytes of an object's former states; older ones are made again when they are gone back to
_MARGIN = 5  # voxels around an existing mask that its box leaves


class InteractiveSegmentation:
    """Outline objects in ``image`` with a box, then strokes. The same calls give the same masks.

    image : a picture or a volume of any spacing, with any number of channels (sequences on one grid; a colour picture counts as
        one).
    box : where the object lies: a :class:`~casewise.image.Box` or pairs (lower, upper) of voxels, half-open, one an axis; cut to
        the image. A box of one voxel along an axis of a volume is one slice, and :meth:`grow` follows the object from there.
    mask : (*spatial) an existing mask to go on from; without ``box`` the box is drawn around it. hint : the mask is a guess (from
        other images), which leads the first answer instead of being it.
    model : an interactive model, or the name or None for the one that comes with casewise. initial : the one that it was refined
        from on masks of other images: the session goes on with that where the strokes refute these masks (:attr:`refuted`).
    Raises UsageError, one sentence, for a box or strokes that cannot be, ModelError for a model of another kind.
    """

    def __init__(
        self,
        model: Model | str | None,
        image: Image,
        box: Box | Sequence[Sequence[int]] | None = None,
        *,
        mask: Array | None = None,
        hint: bool = False,
        initial: Model | None = None,
        fine_tuning: FineTuning | None = None,
        device: str = "auto",
    ) -> None:
        self.original, self.image = image, _sole_grey(image)
        self._take(interactive_model(model, self.image), initial, fine_tuning, device)
        self._objects: list[History] = []
        self._current = 0
        self.add_object(box, mask=mask, hint=hint)

    @property
    def model(self) -> Model:
        """The one that it was begun with."""
        return self._predictor.model

    @property
    def answering(self) -> Model:
        """The one whose network answers for the current object: :attr:`model`, or the initial one where it is :attr:`refuted`."""
        return self._answers(self._state).model

    @property
    def refuted(self) -> bool:
        """Whether the current object's strokes refuted the masks of other images on which the model was refined.

        Where these are right, :meth:`undo` the round that did so and go on: they then stay, whatever the strokes say.
        """
        return self._state.refuted

    @property
    def mask(self) -> Mask:
        """(*spatial) bool: the current object."""
        return self._state.mask

    @property
    def mask_in_box(self) -> Mask:
        """(*box) bool: :attr:`mask` within :attr:`box`, outside of which it has no voxel. Not to be written to."""
        return self._state.inside

    @property
    def probability(self) -> npt.NDArray[np.float32]:
        """(*spatial) float32: of the current object, 0 outside its box."""
        return self._state.probability

    @property
    def box(self) -> Box:
        """The current object's box, as drawn or as grown since."""
        return self._state.region.box

    @property
    def rounds(self) -> int:
        """How many rounds of strokes the current object has had."""
        return self._state.rounds

    @property
    def steps(self) -> int:
        """How many changes of the current object :meth:`undo` can take back."""
        return len(self._history.events) - 1

    @property
    def undone(self) -> int:
        """How many changes of the current object :meth:`redo` can do again."""
        return self._history.undone

    @property
    def strokes(self) -> tuple[Points, Points]:
        """(foreground, background), each (n, axes) places: what of the current object is marked; the newer stroke counts."""
        marked = Strokes.nothing(self.image.spatial_dims)
        for step in self._history.standing:
            if isinstance(step.event, Marked):
                marked = marked.followed_by(step.event.strokes, self.image.spatial_shape)
        return marked.foreground, marked.background

    @property
    def crossed(self) -> Crossed:
        """What the current object's last round marked as both, and how many of these voxels count as not marked."""
        rounds = (step.event for step in reversed(self._history.standing))
        return next((event.strokes.crossed for event in rounds if isinstance(event, Marked)), Crossed())

    @property
    def tuned(self) -> bool:
        """Whether the current object's mask comes from a classifier fitted to its strokes, accepted in the network's place."""
        return self._state.tuned

    @property
    def bytes(self) -> int:
        """Memory of all objects' states, about; without the image and the model."""
        states = [step.state for history in self._objects for step in history.steps() if step.state is not None]
        return sum({id(array): array.nbytes for state in states for array in state.arrays()}.values())

    @property
    def label_map(self) -> LabelMap:
        """All objects, ``object_1``, … in their order, on the image's grid; they may overlap."""
        masks = {f"object_{number}": self._of(history).mask for number, history in enumerate(self._objects, start=1)}
        return LabelMap.like(masks, self.image)

    @property
    def labels(self) -> npt.NDArray[np.uint8]:
        """(*spatial): 0, or the number of the object (from 1); where two meet, the more probable one."""
        labels = np.zeros(self.image.spatial_shape, np.uint8)
        best = np.zeros(self.image.spatial_shape, np.float32)
        for number, history in enumerate(self._objects, start=1):
            state = self._of(history)
            chance = np.where(state.mask, np.maximum(state.probability, 0.5), 0)
            labels[chance > best] = number
            best = np.maximum(best, chance)
        return labels

    def add_scribbles(self, foreground: Given = None, background: Given = None) -> Mask:
        """Mark voxels of the object and of the rest; returns the new mask (*spatial) bool.

        Each is a mask (*spatial) or a table of places (n, axes), on any plane. What is marked is obeyed; where strokes of different
        rounds meet, the newer counts; where those of one round cross, the clearly thinner one, else neither (:attr:`crossed`
        counts these voxels; UsageError where they are more than half of one kind). A foreground stroke outside the box makes the
        box larger; strokes that mark nothing change nothing and are no round.
        """
        return self.mark(Strokes.given(self.image, foreground, background))

    def mark(self, strokes: Strokes) -> Mask:
        """The same with strokes that have been checked."""
        if strokes:
            self._do(Marked(strokes, self._refutation_taken_back()))
        return self.mask

    def undo(self) -> Mask:
        """Take back the current object's last round, or other change; returns the very mask that was before."""
        self._history.undo()
        return self.mask

    def redo(self) -> Mask:
        """Do again what was taken back last; returns the very mask that was there. A new round ends what can be done again."""
        self._history.redo()
        return self.mask

    def draw_box(self, box: Box | Sequence[Sequence[int]]) -> Mask:
        """Begin the current object anew from another box, without its strokes; :meth:`undo` takes it back."""
        self._do(Began(checked_box(self.image, box)))
        return self.mask

    def erase(self, places: Given) -> Mask:
        """Take back what earlier strokes marked at ``places``, given as to :meth:`add_scribbles`.

        The rounds from the first one that marked any of them are done again without it, so the mask is as if these voxels had never
        been marked; one that marked nothing else is left out. Places that no stroke marked change nothing.
        """
        history, erased = self._history, points(self.image, places, "eraser")
        standing = history.standing
        left = [_without(step.event, erased, self.image.spatial_shape) for step in standing]
        first = next((n for n, (step, event) in enumerate(zip(standing, left, strict=True)) if step.event is not event), None)
        if first is None:
            return self.mask
        kept = standing[:first]
        for event in left[first:]:
            if event is not None:
                kept = (*kept, Step(event, self._next(self._after(kept), event)))
        history.replayed(Erased(erased), kept)
        history.trim(_HELD)
        return self.mask

    def grow(self, farthest: int | None = None) -> Mask:
        """Follow the object from the one slice of its box through the volume, ``farthest`` slices either way at most."""
        if self.image.spatial_dims != 3 or 1 not in self.box.shape:
            msg = "Only an object outlined in one slice of a volume can grow; give it a box of one voxel along one axis."
            raise UsageError(msg)
        if farthest is not None and farthest < 1:
            msg = f"An object grows by at least one slice; got {farthest}."
            raise UsageError(msg)
        self._do(Grew(farthest))
        return self.mask

    def add_object(self, box: Box | Sequence[Sequence[int]] | None = None, *, mask: Array | None = None, hint: bool = False) -> int:
        """Begin another object, from a box, an existing mask, or both; returns its number (from 0) and makes it the current one."""
        given = None if mask is None else np.asarray(mask) != 0
        if given is not None and given.shape != self.image.spatial_shape:
            msg = (
                f"The mask to go on from has the shape {given.shape}, its image {self.image.spatial_shape}; they must be the same."
            )
            raise UsageError(msg)
        where = _around(given, self.image) if box is None else checked_box(self.image, box)
        if given is not None:
            within = np.zeros_like(given)
            within[where.slices] = given[where.slices]
            given = within if within.any() else None
        event = Began(where, given, hint and given is not None)
        self._objects.append(History(Step(event, self._next(None, event))))
        self._current = len(self._objects) - 1
        return self._current

    def select(self, number: int) -> None:
        """Make the object ``number`` (from 0, as :meth:`add_object` returned it) the current one."""
        if not 0 <= number < len(self._objects):
            msg = f"There are the objects 0 to {len(self._objects) - 1}; got {number}."
            raise UsageError(msg)
        self._current = number

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write what was done, without the image and the model, to a ``.npz`` file; beside first, then renamed."""
        from casewise.interaction.session_file import save

        return save(Path(path), self._image_key, self.model, self._objects, self._current)

    @classmethod
    def resume(
        cls,
        path: str | os.PathLike[str],
        model: Model | str | None,
        image: Image,
        *,
        initial: Model | None = None,
        fine_tuning: FineTuning | None = None,
        device: str = "auto",
    ) -> InteractiveSegmentation:
        """Go on from a saved session: everything is done again, so masks and undo are as they were.

        model, initial : as it was begun with.

        Raises UsageError where the file is of another image or another model, or is damaged.
        """
        from casewise.interaction.session_file import load

        resolved = interactive_model(model, image)
        session = cls.__new__(cls)
        session.original, session.image = image, _sole_grey(image)
        objects, current = load(Path(path), session.image, session._image_key, resolved)
        session._take(resolved, initial, fine_tuning, device)
        session._objects, session._current = [], 0
        for events in objects:
            session._objects.append(History(Step(events[0], session._next(None, events[0]))))
            session._current = len(session._objects) - 1
            for event in events[1:]:
                session._again(event)
        session._current = current
        return session

    @cached_property
    def _image_key(self) -> str:
        return image_key(self.image)

    @property
    def _history(self) -> History:
        return self._objects[self._current]

    @property
    def _state(self) -> State:
        return self._of(self._history)

    def _of(self, history: History) -> State:
        return self._after(history.standing)

    def _after(self, standing: Standing) -> State:
        """The state after the last of some steps; what was dropped is made again."""
        known = next(n for n in range(len(standing), -1, -1) if n == 0 or standing[n - 1].state is not None)
        state = standing[known - 1].state if known else None
        for step in standing[known:]:
            state = step.state = self._next(state, step.event)
        if state is None:
            msg = "A session begins with a box."
            raise UsageError(msg)
        return state

    def _do(self, event: Event) -> None:
        self._history.done(Step(event, self._next(self._state, event)))
        self._history.trim(_HELD)

    def _again(self, event: Event) -> None:
        if isinstance(event, Erased):
            self.erase(event.points)
        else:
            self._do(event)

    def _take(self, model: Model, initial: Model | None, fine_tuning: FineTuning | None, device: str) -> None:
        self._predictor = Predictor(model, resolve_device(device), fine_tuning or FineTuning())
        other = initial is not None and initial.key != model.key
        self._initial = replace(self._predictor, model=initial) if initial is not None and other else None

    def _answers(self, state: State | None) -> Predictor:
        return self._initial if self._initial is not None and state is not None and state.refuted else self._predictor

    def _refutation_taken_back(self) -> bool:
        """Whether, of what can be done again, a round refuted the masks of other images."""
        if self._initial is None or self._state.refuted or not self._history.undone:
            return False
        return self._after(self._history.farthest).refuted

    def _next(self, state: State | None, event: Event) -> State:
        predictor = self._answers(state)
        if isinstance(event, Began):
            begun = State.begun(self.image, event.box, predictor, event.mask, event.hint)
            return begun if state is None else replace(begun, refuted=state.refuted, trusted=state.trusted)
        if state is None:
            msg = "A session begins with a box."
            raise UsageError(msg)
        if isinstance(event, Marked):
            state = replace(state, trusted=True) if event.trusting else state
            after = state.marked(self.image, event.strokes, predictor)
            if self._initial is None or after.refuted:
                return after
            return unless_refuted(self.image, after, self._predictor, self._initial)
        if isinstance(event, Erased):
            msg = "What was erased is taken back by doing the rounds again, never by itself."
            raise UsageError(msg)
        after = grown(self.image, state, predictor, event.farthest)
        return replace(after, refuted=state.refuted, trusted=state.trusted)


def interactive_model(model: Model | str | None, image: Image) -> Model:
    """A model, or the one at a path or of a name that comes with casewise; None for the one that does for images like this."""
    if isinstance(model, Model):
        return model
    from casewise.models import shipped

    if model is None or (model in shipped.names() and not Path(model).exists()):
        return shipped.load(model or _shipped(image))
    return Model.load(model)


def _without(event: Event, erased: Points, shape: tuple[int, ...]) -> Event | None:
    """The event without strokes at the places; itself where it has none there, None where it had no others."""
    if not isinstance(event, Marked):
        return event
    left = event.strokes.without(erased, shape)
    return event if left is event.strokes else replace(event, strokes=left) if left else None


def _shipped(image: Image) -> str:
    from casewise.models import shipped

    return "interactive_3d" if image.spatial_dims == 3 and "interactive_3d" in shipped.names() else "interactive_2d"


def _sole_grey(image: Image) -> Image:
    """A colour picture as its luminance; sequences on one grid stay as they are."""
    if image.channels == 3 and (image.header.photometric == "RGB" or image.array.dtype == np.uint8):
        return image.with_array(grey(image.array)[None])
    return image


def _around(mask: Mask | None, image: Image) -> Box:
    found = None if mask is None else Box.around(mask)
    if found is None:
        msg = "There is neither a box nor a mask with a voxel in it; give the box that the object lies in."
        raise UsageError(msg)
    lower = tuple(max(0, low - (_MARGIN if n > 1 else 0)) for low, n in zip(found.lower, image.spatial_shape, strict=True))
    upper = tuple(min(n, high + _MARGIN) for high, n in zip(found.upper, image.spatial_shape, strict=True))
    return Box(lower, upper)
