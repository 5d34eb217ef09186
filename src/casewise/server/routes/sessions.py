"""Calls on interactive sessions."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Depends, FastAPI, HTTPException, Request
from fastapi.responses import JSONResponse
from starlette.concurrency import run_in_threadpool

from casewise.errors import ArchiveError
from casewise.image import Box
from casewise.server.access import Annotator
from casewise.server.audited import about
from casewise.server.masks import Part, Points, places, runs
from casewise.server.schemas.common import MaskPatch, Problem, Runs
from casewise.server.schemas.sessions import (
    Accepted,
    AcceptOrder,
    Answer,
    BoxOrder,
    EraseOrder,
    ObjectOrder,
    ObjectState,
    OfObject,
    SessionOrder,
    SessionState,
    StaleRound,
    Step,
    StrokesOrder,
)
from casewise.server.services import Services, services
from casewise.server.sessions import Answered, Drawing, Known, Session, StaleRoundError
from casewise.server.sets import BusySetError

router = APIRouter(tags=["sessions"], responses={400: {"model": Problem}, 404: {"model": Problem}})
Shared = Annotated[Services, Depends(services)]
_STALE: dict[int | str, dict[str, Any]] = {409: {"model": StaleRound}}


@router.post("/sessions", status_code=201)
async def begin_session(request: Request, order: SessionOrder, person: Annotator, shared: Shared) -> SessionState:
    """Begin a session on an image, or go on with the one that this person has on it."""
    about(request, f"{order.case} {order.structure}")
    if order.set is not None:  # else it would be missed once the mask has been kept
        await run_in_threadpool(shared.sets.check, order.set)
    try:
        session = await shared.sessions.open(
            order.case, person.name, order.structure, set_id=order.set, box=order.box, begin=order.begin, model=order.model
        )
    except ArchiveError as error:
        raise HTTPException(404, str(error)) from error
    return await run_in_threadpool(state_of, session, session.number_of(order.structure))


@router.get("/sessions/{identity}")
async def session(identity: str, person: Annotator, shared: Shared, number: int | None = None) -> SessionState:
    """A session as it stands. Asking says that the person is still there; a guess that has been prepared since begins.

    number : of the object that is told as the current one.
    """
    found = await shared.sessions.arrived(identity, person.name)
    return await run_in_threadpool(state_of, found, _there(found, number))


@router.get("/sessions/{identity}/mask")
async def session_mask(identity: str, person: Annotator, shared: Shared, number: int | None = None) -> MaskPatch:
    """The whole mask of an object, the current one unless another is named."""
    found = await shared.sessions.get(identity, person.name)
    return await run_in_threadpool(_mask, found.drawings[_there(found, number)])


@router.post("/sessions/{identity}/strokes", responses=_STALE)
async def add_strokes(identity: str, order: StrokesOrder, person: Annotator, shared: Shared) -> Answer:
    """Mark voxels as the object or as the rest. Strokes that wait for a running round are answered by one round."""
    foreground, background = await _places(shared, identity, person.name, order.foreground, order.background)
    return await _said(
        await shared.sessions.strokes(identity, person.name, foreground, background, count=order.count, **_known(order))
    )


@router.post("/sessions/{identity}/erase", responses=_STALE)
async def erase_strokes(identity: str, order: EraseOrder, person: Annotator, shared: Shared) -> Answer:
    """Take back what earlier strokes marked at these voxels."""
    (voxels,) = await _places(shared, identity, person.name, order.voxels)
    return await _said(await shared.sessions.erase(identity, person.name, voxels, **_known(order)))


@router.post("/sessions/{identity}/box", responses=_STALE)
async def draw_box(identity: str, order: BoxOrder, person: Annotator, shared: Shared) -> Answer:
    """Draw an object's box."""
    return await _said(await shared.sessions.box(identity, person.name, order.box, **_known(order)))


@router.post("/sessions/{identity}/undo", responses=_STALE)
async def undo(identity: str, order: Step, person: Annotator, shared: Shared) -> Answer:
    """Take back an object's last round."""
    return await _said(await shared.sessions.undo(identity, person.name, **_known(order)))


@router.post("/sessions/{identity}/redo", responses=_STALE)
async def redo(identity: str, order: Step, person: Annotator, shared: Shared) -> Answer:
    """Do again what was taken back last."""
    return await _said(await shared.sessions.redo(identity, person.name, **_known(order)))


@router.post("/sessions/{identity}/grow", responses=_STALE)
async def grow(identity: str, order: Step, person: Annotator, shared: Shared) -> Answer:
    """Follow an object from its one slice through the volume."""
    return await _said(await shared.sessions.grow(identity, person.name, **_known(order)))


@router.post("/sessions/{identity}/objects")
async def objects(identity: str, order: ObjectOrder, person: Annotator, shared: Shared) -> SessionState:
    """Begin another structure in the image, or make an earlier object current."""
    if (order.structure is None) == (order.number is None):
        raise HTTPException(400, "Name a structure to begin, or the number of the object to go on with, and not both.")
    if order.structure is not None:
        found = await shared.sessions.add_object(identity, person.name, order.structure)
    else:
        found = await shared.sessions.select(identity, person.name, order.number or 0)
    chosen = order.number if order.structure is None else found.number_of(order.structure)
    return await run_in_threadpool(state_of, found, chosen)


@router.post("/sessions/{identity}/accept", responses=_STALE)
async def accept_session(request: Request, identity: str, order: AcceptOrder, person: Annotator, shared: Shared) -> Accepted:
    """Keep the masks in the archive, with the strokes and seconds that they cost."""
    kept = await shared.sessions.accept(
        identity, person.name, number=order.number, seen=order.seen, seconds=order.seconds, force=order.force
    )
    about(request, f"{kept.key} {', '.join(kept.labels)}")
    following = None
    if kept.set_id is not None:
        # The masks are kept: an error would have the page say that they are not.
        with suppress(BusySetError):
            following = await run_in_threadpool(shared.sets.next, kept.set_id, person.name)
    return Accepted(key=kept.key, structures=list(kept.labels), next=following)


@router.delete("/sessions/{identity}", status_code=204)
async def close_session(identity: str, person: Annotator, shared: Shared) -> None:
    """End a session; what was not accepted is gone."""
    await shared.sessions.close(identity, person.name)


def state_of(session: Session, number: int | None = None) -> SessionState:
    """A session with all its masks, as the page gets it. number : of the object that the asker works on; else the current one."""
    current = session.current if number is None else number
    drawing = session.drawings[current]
    return SessionState(
        id=session.id,
        case=session.case_key or "",
        set=session.set_id,
        user=session.user,
        model=drawing.model.name,
        current=current,
        reason=drawing.said,
        similar=list(drawing.similar),
        objects=[_object(one, number, None if one.outline is None else _mask(one)) for number, one in enumerate(session.drawings)],
    )


def add_handlers(app: FastAPI) -> None:
    """How the errors of sessions are answered."""
    app.add_exception_handler(StaleRoundError, _stale)


def _object(drawing: Drawing, number: int, mask: MaskPatch | None) -> ObjectState:
    image, voxels = drawing.image, drawing.voxels
    size = float(np.prod(image.spacing)) * voxels if image.header.spacing_known else None
    flat = image.spatial_dims == 2
    outline = drawing.outline
    foreground, background = (runs(marked, image.spatial_shape) for marked in drawing.marked)
    return ObjectState(
        number=number,
        structure=drawing.structure,
        round=drawing.round,
        version=drawing.version,
        strokes=drawing.strokes,
        seconds=round(drawing.seconds, 1),
        box=None if outline is None else [(low, high) for low, high in outline.box.to_json()],
        voxels=voxels,
        volume_ml=None if size is None or flat or image.is_loop else round(size / 1000, 4),
        area_cm2=None if size is None or not flat else round(size / 100, 4),
        accepted=drawing.accepted,
        can_undo=drawing.can_undo,
        can_redo=drawing.can_redo,
        mask=mask,
        foreground=foreground,
        background=background,
    )


def _mask(drawing: Drawing) -> MaskPatch:
    """The whole mask; of an empty one the first voxel, unset."""
    part = drawing.part
    if part is None:
        dims = drawing.image.spatial_dims
        part = Part(Box((0,) * dims, (1,) * dims), np.zeros((1,) * dims, bool))
    return part.patch()


def _there(session: Session, number: int | None) -> int:
    """The object that is asked for, the current one unless another is named."""
    at = session.current if number is None else number
    if not 0 <= at < len(session.drawings):
        raise HTTPException(404, f"The session has the objects 0 to {len(session.drawings) - 1}; got {at}.")
    return at


def _known(order: OfObject) -> Known:
    return {"number": order.number, "after": order.after, "seconds": order.seconds}


async def _said(answered: Answered) -> Answer:
    return await run_in_threadpool(_answer, answered)


def _answer(answered: Answered) -> Answer:
    return Answer(
        object=_object(answered.drawing, answered.number, None),
        patch=None if answered.patch is None else answered.patch.patch(),
        changed=answered.changed,
        merged=answered.merged,
        ms=round(1000 * answered.seconds, 1),
        reason=answered.reason,
    )


async def _places(shared: Services, identity: str, user: str, *given: Runs) -> Sequence[Points]:
    found = await shared.sessions.get(identity, user)
    return await run_in_threadpool(lambda: [places(one, found.image.spatial_shape) for one in given])


async def _stale(request: Request, error: Exception) -> JSONResponse:
    if not isinstance(error, StaleRoundError):
        raise error
    state = await run_in_threadpool(state_of, error.session, error.number)
    return JSONResponse({"detail": str(error), "session": state.model_dump(mode="json")}, status_code=409)
