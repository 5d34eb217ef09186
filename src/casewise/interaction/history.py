"""What was done to one object, and how it stood after each step."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from casewise.errors import UsageError
from casewise.image import Box
from casewise.interaction.state import State
from casewise.interaction.strokes import Points, Strokes


@dataclass(frozen=True, eq=False)
class Began:
    """A box was drawn; ``mask`` (*spatial) bool: an existing mask in it, to go on from, or only a ``hint`` for the first answer."""

    box: Box
    mask: npt.NDArray[np.bool_] | None = None
    hint: bool = False


@dataclass(frozen=True, eq=False)
class Marked:
    """A round of strokes. ``trusting``: the first after a person took back that strokes refute the masks of other images."""

    strokes: Strokes
    trusting: bool = False


@dataclass(frozen=True)
class Grew:
    """The object was followed through the volume."""

    farthest: int | None = None


@dataclass(frozen=True, eq=False)
class Erased:
    """What earlier strokes marked at ``points`` (n, axes) was taken back, and the rounds since were done again without it."""

    points: Points


Event = Began | Marked | Grew | Erased


@dataclass(eq=False)
class Step:
    """An event and the state after it; None where that was dropped to save memory: it is the same when it is made again."""

    event: Event
    state: State | None


Standing = tuple[Step, ...]  # the events that count, without what was erased, in order


@dataclass(eq=False)
class History:
    """Events and the state after each; the first event is always the box."""

    first: Step
    _later: list[tuple[Event, Standing]] = field(default_factory=list)
    _undone: list[tuple[Event, Standing]] = field(default_factory=list)

    @property
    def standing(self) -> Standing:
        return self._later[-1][1] if self._later else (self.first,)

    @property
    def events(self) -> list[Event]:
        """All that was done and not undone, in order."""
        return [self.first.event, *(event for event, _ in self._later)]

    @property
    def undone(self) -> int:
        """How many events can be done again."""
        return len(self._undone)

    @property
    def farthest(self) -> Standing:
        """What counted before all that can be done again was taken back."""
        return self._undone[0][1] if self._undone else self.standing

    def done(self, step: Step) -> None:
        before = () if isinstance(step.event, Began) else self.standing
        self.replayed(step.event, (*before, step))

    def replayed(self, event: Event, standing: Standing) -> None:
        """``event`` changed what counts to ``standing``."""
        self._later.append((event, standing))
        self._undone.clear()

    def undo(self) -> None:
        """Raises UsageError where only the box is left."""
        if not self._later:
            msg = "There is no round left to take back: only the box was drawn."
            raise UsageError(msg)
        self._undone.append(self._later.pop())

    def redo(self) -> None:
        """Raises UsageError where nothing was undone since the last round."""
        if not self._undone:
            msg = "There is nothing to do again: nothing was taken back since the last round."
            raise UsageError(msg)
        self._later.append(self._undone.pop())

    def steps(self) -> list[Step]:
        """All that are held, also the undone ones, each once, the oldest first."""
        every = (step for _, standing in [*self._later, *reversed(self._undone)] for step in standing)
        return list({id(step): step for step in (self.first, *every)}.values())

    def trim(self, most: int) -> int:
        """Drop the states of the oldest steps until the others take ``most`` bytes, never the current one; returns their bytes."""
        held = [step for step in self.steps() if step.state is not None]
        total = sum(step.state.bytes for step in held if step.state is not None)
        for step in held:
            if total <= most:
                break
            if step is not self.standing[-1] and step.state is not None:
                total -= step.state.bytes
                step.state = None
        return total
