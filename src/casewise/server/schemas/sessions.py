"""Interactive sessions."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

from casewise.server.schemas.common import BoxPairs, Given, MaskPatch, Runs


class SessionOrder(Given):
    """Begin a session, or find the one that this person has on this image.

    begin : ``guess`` starts from the set's accepted cases where they fit; ``mask`` from the image's own mask of the structure;
    ``empty`` from nothing: the first box or strokes begin. box : where the structure lies; it may be given later.
    """

    case: str
    structure: str = Field(min_length=1, max_length=100)
    set: int | None = Field(None, ge=1, le=2**31 - 1)
    box: BoxPairs | None = None
    begin: Literal["guess", "mask", "empty"] = "guess"
    model: str | None = None


class ObjectState(BaseModel):
    """One structure of a session. ``mask`` : whole; None in the answer to an order, whose ``patch`` says
    what changed. ``version`` : counts every change of the mask, also an undo. ``seconds`` : of work so far. foreground,
    background : the strokes that count.
    """

    number: int
    structure: str
    round: int
    version: int
    strokes: int
    seconds: float
    box: BoxPairs | None
    voxels: int
    volume_ml: float | None
    area_cm2: float | None
    accepted: bool
    can_undo: bool
    can_redo: bool
    mask: MaskPatch | None
    foreground: Runs
    background: Runs


class SessionState(BaseModel):
    """A session as it stands. ``current`` : the object that the asker named, else the one chosen last; ``model``, ``reason`` and
    ``similar`` are about it. ``reason`` : one sentence on where the first mask came from. ``similar`` : keys of those cases.
    """

    id: str
    case: str
    set: int | None
    user: str
    model: str
    current: int
    reason: str
    similar: list[str]
    objects: list[ObjectState]


class StaleRound(BaseModel):
    """The order named an object that the session does not have, or was made on another mask than that of now: the session as it
    stands. Nothing was done.
    """

    detail: str
    session: SessionState


class OfObject(Given):
    """An order for an object. ``number`` : which one; without it the order is for the one that was chosen last, be it from another
    window. ``after`` : the round of it that the person saw. Where there is no such object, or another round, 409 refuses it.
    """

    number: int | None = Field(default=None, ge=0)
    after: int = Field(ge=0)
    seconds: float = Field(default=0, ge=0, le=3600, description="Seconds of work since the last order.")


class StrokesOrder(OfObject):
    """Strokes of an object."""

    foreground: Runs = Field(default=[])
    background: Runs = Field(default=[])
    count: int = Field(default=1, ge=1, le=100, description="How many strokes these are.")


class EraseOrder(OfObject):
    """Take back what earlier strokes marked at these voxels; the rounds are done again without it."""

    voxels: Runs


class BoxOrder(OfObject):
    """An object's box, drawn (again); an object that has begun begins anew, which can be undone."""

    box: BoxPairs


class Step(OfObject):
    """Undo, redo, grow."""


class ObjectOrder(Given):
    """Another structure in the same image; or, with ``number``, an earlier one made current."""

    structure: str | None = Field(default=None, min_length=1, max_length=100)
    number: int | None = Field(default=None, ge=0)


class Answer(BaseModel):
    """What an order came to. ``patch`` : the part of the mask that changed; None where nothing did. ``merged`` : how many orders
    that waited were answered by this one round. ``ms`` : the server's time.
    """

    object: ObjectState
    patch: MaskPatch | None
    changed: int
    merged: int
    ms: float
    reason: str


class AcceptOrder(Given):
    """Keep the masks of all objects that have one. ``number`` : of the object that the seconds were spent on. ``seen`` : the
    versions of all objects, by number, that the person saw; where any is another now, 409 refuses it. ``force`` : also an empty
    mask (the structure is not there).
    """

    number: int | None = Field(default=None, ge=0)
    seen: list[int] | None = Field(default=None, max_length=1000)
    seconds: float = Field(default=0, ge=0, le=3600)
    force: bool = False


class NextImage(BaseModel):
    """Which image comes next in the set, and why. ``prepared`` : whether its first mask is ready."""

    key: str
    name: str
    reason: str
    prepared: bool
    job: int | None


class Accepted(BaseModel):
    """What was kept."""

    key: str
    structures: list[str]
    next: NextImage | None
