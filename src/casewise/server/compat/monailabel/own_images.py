"""``/session/``: a client's own image, kept here while the client works on it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

from fastapi import APIRouter, FastAPI, HTTPException, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import FileResponse, JSONResponse, Response

from casewise.errors import UnreadableImageError, UsageError
from casewise.server.access import Annotator, Person, Reader
from casewise.server.compat.monailabel.desk import Desk, OurDesk, desk_of
from casewise.server.compat.monailabel.forms import SentFile, sent
from casewise.server.compat.monailabel.found import Subject
from casewise.server.compat.monailabel.uploads import Upload
from casewise.server.repeating import repeated

_TIDY_SECONDS = 600.0
_UNTIDY = "Clients' images that have expired could not be removed; it is tried again."


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    desk = desk_of(app)
    await run_in_threadpool(desk.uploads.sweep, 0)  # what a killed server was taking in, nobody will finish
    async with repeated(partial(_tidy, desk), _TIDY_SECONDS, _UNTIDY):
        yield


router = APIRouter(prefix="/session", lifespan=_lifespan)


@router.put("/")
async def create(request: Request, person: Annotator, desk: OurDesk, expiry: int = 0, uncompress: bool = False) -> dict[str, Any]:
    """Keep an image of one file, or of the files of one series, for ``expiry`` seconds after its last use."""
    files = (await sent(request)).files.get("files", [])
    await _tidy(desk)
    upload = await run_in_threadpool(_created, desk, person, files, expiry, uncompress)
    return {"session_id": upload.name, "session_info": upload.to_json()}


@router.get("/{session_id}")
def get(session_id: str, person: Reader, desk: OurDesk, image: bool = False, update_ts: bool = False) -> Response:
    """The session, which counts as a use; with ``image`` its file."""
    upload = upload_of(desk, session_id, person)
    if not image:
        return JSONResponse(upload.to_json())
    files = desk.uploads.files(upload)
    if len(files) > 1:
        raise HTTPException(400, f"The session's image has {len(files)} files; only an image of one file is sent back.")
    return FileResponse(files[0], media_type="application/octet-stream", filename=files[0].name)


@router.delete("/{session_id}")
async def remove(session_id: str, person: Annotator, desk: OurDesk) -> dict[str, Any]:
    """Remove a session and its image, with all that was made of it."""
    upload = await run_in_threadpool(upload_of, desk, session_id, person)
    await run_in_threadpool(desk.uploads.remove, upload)
    await _tidy(desk)
    return upload.to_json()


def upload_of(desk: Desk, session_id: str, person: Person) -> Upload:
    """A person's session. Raises HTTPException 404 for one that is not there, is another's, or has expired."""
    upload = desk.uploads.get(session_id, person.name)
    if upload is None:
        raise HTTPException(404, f"There is no session {session_id[:40]!r} any more; load the image again to begin another.")
    return upload


def subject_of_session(desk: Desk, session_id: str, person: Person) -> Subject:
    """A client's own image, whose voxels it counts as its file does."""
    upload = upload_of(desk, session_id, person)
    return Subject(upload.name, None, lambda: desk.uploads.read(upload), own_file=True)


async def check_kept(desk: Desk, session_id: str, person: Person) -> None:
    """After an answer on a session's image: what was made of it must not stay where the session was removed meanwhile.

    Raises HTTPException as :func:`upload_of`.
    """
    try:
        await run_in_threadpool(upload_of, desk, session_id, person)
    except HTTPException:
        await _tidy(desk)
        raise


async def _tidy(desk: Desk) -> None:
    """Remove the images that have expired, and of those that are gone the interactive sessions, which keep copies."""
    await run_in_threadpool(desk.uploads.sweep)
    await desk.rounds.end(desk.uploads.over)


def _created(desk: Desk, person: Person, files: list[SentFile], expiry: int, unpack: bool) -> Upload:
    names = [file.name for file in files]
    if len(set(names)) < len(names):
        raise UsageError("Two of the files have the same name; give each a name of its own.")
    places: list[Path] = []

    def save(folder: Path) -> list[Path]:
        places.append(folder)
        return [file.save_in(folder) for file in files]

    try:
        return desk.uploads.add(person.name, save, expiry, unpack)
    except UnreadableImageError as error:
        raise UsageError(str(error).replace(f"{places[0]}/", "").replace(str(places[0]), "The files")) from error
