"""Calls on sets."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path

from casewise.server.access import Annotator, Reader
from casewise.server.schemas.sessions import NextImage
from casewise.server.schemas.sets import SetChange, SetDetail, SetImageChange, SetLine, SetOrder
from casewise.server.services import Shared

router = APIRouter(tags=["sets"])
Number = Annotated[int, Path(ge=1, lt=2**31)]


@router.get("/sets")
def list_sets(person: Reader, shared: Shared) -> list[SetLine]:
    """All sets, the newest first."""
    return shared.sets.lines()


@router.post("/sets", status_code=201)
def make_set(order: SetOrder, person: Annotator, shared: Shared) -> SetDetail:
    """A new set."""
    return shared.sets.detail(shared.sets.create(order, person.name), person.name)


@router.get("/sets/{number}")
def read_set(number: Number, person: Reader, shared: Shared) -> SetDetail:
    """A set with its images, the most doubtful masks first, and which image would be this person's next."""
    return shared.sets.detail(number, person.name)


@router.patch("/sets/{number}")
def change_set(number: Number, change: SetChange, person: Annotator, shared: Shared) -> SetDetail:
    """Rename a set, or choose another strategy."""
    shared.sets.change(number, change)
    return shared.sets.detail(number, person.name)


@router.post("/sets/{number}/next")
def next_image(number: Number, person: Annotator, shared: Shared) -> NextImage | None:
    """Take the next image: it is this person's until it is accepted or skipped, or for half an hour without a sign of life."""
    return shared.sets.next(number, person.name)


@router.put("/sets/{number}/images/{key}")
def change_image(number: Number, key: str, change: SetImageChange, person: Annotator, shared: Shared) -> SetDetail:
    """Skip, exclude or put back an image."""
    shared.sets.change_image(number, key, change, person.name)
    return shared.sets.detail(number, person.name)
