"""Sets: one structure over many images."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

from casewise.server.schemas.common import Given
from casewise.server.schemas.sessions import NextImage

Strategy = Literal["first", "random", "uncertainty", "unlike"]


class SetOrder(Given):
    """A new set: the images of a category, of a site, or those named."""

    name: str = Field(min_length=1, max_length=100)
    structure: str = Field(min_length=1, max_length=100)
    strategy: Strategy = "unlike"
    category: str | None = None
    site: str | None = None
    cases: list[str] | None = Field(default=None, max_length=100_000)


class SetChange(Given):
    """What of a set changes."""

    name: str | None = Field(default=None, min_length=1, max_length=100)
    strategy: Strategy | None = None


class SetImage(BaseModel):
    """One image of a set. ``doubt`` : of an accepted mask, 0 certain … 1; None where it was not looked at."""

    key: str
    name: str
    state: Literal["waiting", "open", "accepted", "skipped", "excluded"]
    user: str | None
    strokes: int | None
    seconds: float | None
    doubt: float | None
    reason: str
    ended: float | None


class SetLine(BaseModel):
    """A set. ``strokes`` : of each accepted image, in order of acceptance; ``seconds`` alike."""

    id: int
    name: str
    structure: str
    strategy: Strategy
    counts: dict[str, int]
    strokes: list[int]
    seconds: list[float]
    created_by: str | None
    created: float


class SetDetail(SetLine):
    """``images`` : the accepted ones, most doubtful first, then the others by position. ``next`` : None where none waits.
    following : the image kept for this person after the one that they have now; None before they took one.
    """

    images: list[SetImage]
    next: NextImage | None
    following: NextImage | None


class SetImageChange(Given):
    """Skip, exclude or put back an image; or ask for its mask to be looked at again."""

    state: Literal["waiting", "skipped", "excluded"]
