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
    """A round of strokes."""

    strokes: Strokes


@dataclass(frozen=True)
class Grew:
    """The object was followed through the volume."""

    farthest: int | None = None


@dataclass(frozen=True, eq=False)
class Erased:
    """What earlier strokes marked at ``points`` (n, axes) was taken back, and the rounds since were done again without it."""

    points: Points


Event = Began | Marked | Grew | Erased
Standing = tuple[tuple[Event, State], ...]  # the events that count, without what was erased, and the state after each


@dataclass(eq=False)
class History:
    """Events and the state after each; the first event is always the box."""

    first: Began | Event
    begun: State
    _later: list[tuple[Event, Standing]] = field(default_factory=list)
    _undone: list[tuple[Event, Standing]] = field(default_factory=list)

    @property
    def state(self) -> State:
        return self.standing[-1][1]

    @property
    def standing(self) -> Standing:
        return self._later[-1][1] if self._later else ((self.first, self.begun),)

    @property
    def events(self) -> list[Event]:
        """All that was done and not undone, in order."""
        return [self.first, *(event for event, _ in self._later)]

    @property
    def undone(self) -> int:
        """How many events can be done again."""
        return len(self._undone)

    def done(self, event: Event, state: State) -> None:
        before = () if isinstance(event, Began) else self.standing
        self.replayed(event, (*before, (event, state)))

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
