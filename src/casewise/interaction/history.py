"""What was done to one object, and how it stood after each step."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from casewise.errors import UsageError
from casewise.image import Box
from casewise.interaction.state import State
from casewise.interaction.strokes import Strokes


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


Event = Began | Marked | Grew


@dataclass(eq=False)
class History:
    """Events and the state after each; the first event is always the box."""

    first: Began | Event
    begun: State
    _later: list[tuple[Event, State]] = field(default_factory=list)

    @property
    def state(self) -> State:
        return self._later[-1][1] if self._later else self.begun

    @property
    def events(self) -> list[Event]:
        return [self.first, *(event for event, _ in self._later)]

    def done(self, event: Event, state: State) -> None:
        self._later.append((event, state))

    def undo(self) -> None:
        """Raises UsageError where only the box is left."""
        if not self._later:
            msg = "There is no round left to take back: only the box was drawn."
            raise UsageError(msg)
        self._later.pop()
