"""``Session``: one person's work on one image, and ``Answered``: what a step of it came to."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from casewise.errors import UsageError
from casewise.image import Image
from casewise.server.masks import Part
from casewise.server.problems import NotThereError
from casewise.server.sessions.drawing import Drawing

if TYPE_CHECKING:
    from casewise.models import Model

Mask = npt.NDArray[np.bool_]
LEASE = 60.0  # seconds without a sign of life after which nobody counts as working on the image


@dataclass(eq=False)
class Session:
    """One person's work on one image.

    case_key : the image's key in the archive; None of an image that a client sent, until it is accepted. sent : what its client
    calls such an image in later calls; None where it names none. model : the one that structures begin with. seen : when the person
    was last heard of, noted : when that was last written down, acted : when they last did something, in seconds since 1970.
    bytes : that its rounds take in memory, about.
    """

    id: str
    user: str
    image: Image
    case_key: str | None
    model: Model
    set_id: int | None = None
    drawings: list[Drawing] = field(default_factory=list)
    current: int = 0
    created: float = 0.0
    seen: float = 0.0
    acted: float = 0.0
    noted: float = 0.0
    waiting: deque[Any] = field(default_factory=deque)
    task: asyncio.Task[None] | None = None
    bytes: int = 0
    closed: bool = False
    sent: str | None = None

    @property
    def drawing(self) -> Drawing:
        return self.drawings[self.current]

    @property
    def round(self) -> int:
        """Of the current object."""
        return self.drawing.round

    @property
    def structures(self) -> list[str]:
        return [drawing.structure for drawing in self.drawings]

    def number_of(self, structure: str) -> int | None:
        return next((n for n, drawing in enumerate(self.drawings) if drawing.structure == structure), None)

    def select(self, number: int) -> Drawing:
        if not 0 <= number < len(self.drawings):
            raise UsageError(f"The session has the objects 0 to {len(self.drawings) - 1}; got {number}.")
        self.current = number
        return self.drawing

    def meant(self, number: int | None, after: int | None) -> int:
        """The object that an order is for: the one that it names, else the current one.

        Raises StaleRoundError where there is none such, or where it is at another round than ``after``.
        """
        at = self.current if number is None else number
        if not 0 <= at < len(self.drawings):
            raise StaleRoundError(self, None, f"The session has the objects 0 to {len(self.drawings) - 1}; the order names {at}.")
        drawing = self.drawings[at]
        if after is not None and after != drawing.round:
            changed = f"The mask of {drawing.structure} has changed since"
            raise StaleRoundError(self, at, f"{changed}: this was drawn on round {after}, and it is at round {drawing.round}.")
        return at

    def check_seen(self, number: int, seen: Sequence[int]) -> None:
        """Raise StaleRoundError unless ``seen`` are the versions of all objects, by number. number : of the asker's object."""
        if list(seen) != [drawing.version for drawing in self.drawings]:
            raise StaleRoundError(self, number, "The masks have changed since they were seen here; look at them, and accept again.")

    @property
    def busy(self) -> bool:
        """Whether something is being done or waits to be."""
        return bool(self.waiting) or (self.task is not None and not self.task.done())


@dataclass(frozen=True, eq=False)
class Answered:
    """What a step came to.

    part : the part of the mask that changed since the round that the asker saw; None where nothing did. changed : voxels of the
    mask that this step turned. merged : how many orders that waited this one round answered. seconds : the server's.
    """

    session: Session
    drawing: Drawing
    number: int
    round: int
    part: Part | None
    changed: int
    reason: str
    merged: int = 1
    seconds: float = 0.0

    @property
    def mask(self) -> Mask:
        """(*spatial) bool: the object's mask as it is now."""
        return self.drawing.mask

    @property
    def patch(self) -> Part | None:
        return self.part


def held_bytes(sessions: Iterable[Session]) -> int:
    """Memory of sessions with their images, each image once."""
    held = list(sessions)
    images = {id(session.image): session.image.array.nbytes for session in held}
    return sum(images.values()) + sum(session.bytes for session in held)


class StaleRoundError(Exception):
    """The asker saw another state than the session's. ``number`` : of the object that was meant; None where there is none such."""

    def __init__(self, session: Session, number: int | None, reason: str) -> None:
        self.session, self.number = session, number
        super().__init__(reason)


class UnknownSessionError(NotThereError, LookupError):
    """There is no such session of this person."""

    @classmethod
    def of(cls, identity: str, user: str) -> UnknownSessionError:
        return cls(f"There is no session {identity[:40]!r} of {user}; begin one on an image.")
