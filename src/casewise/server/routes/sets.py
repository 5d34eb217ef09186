"""Calls on sets."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query
from fastapi.responses import FileResponse

from casewise.reporting.report import file_stem
from casewise.server import exports
from casewise.server.access import Annotator, Reader
from casewise.server.job_line import job_line
from casewise.server.problems import NotThereError
from casewise.server.schemas.jobs import JobLine
from casewise.server.schemas.sessions import NextImage
from casewise.server.schemas.sets import SetChange, SetDetail, SetImageChange, SetLine, SetOrder
from casewise.server.services import Services, Shared

router = APIRouter(tags=["sets"])
_ZIP: dict[int | str, Any] = {200: {"content": {"application/zip": {}}, "description": "A folder that nnU-Net reads"}}
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
    """Skip, exclude or put back an image. One that another person has accepted or has open is an admin's to change: 409."""
    shared.sets.change_image(number, key, change, person)
    return shared.sets.detail(number, person.name)


@router.post("/sets/{number}/export", status_code=202)
def order_export(number: Number, person: Annotator, shared: Shared) -> JobLine:
    """Have the set's accepted images and masks packed as a folder that nnU-Net reads; the job's result has its address."""
    name = shared.sets.line(number).name
    payload = {"set": number, "format": "nnunet", "title": f"Export {name}"}
    job = shared.jobs.get(shared.jobs.add("export", payload, unique_key=f"export:{number}", created_by=person.name))
    if job is None:
        raise NotThereError(f"There is no job that exports {name}.")
    return job_line(job)


@router.get("/sets/{number}/export", response_class=FileResponse, responses=_ZIP)
def newest_export(
    number: Number, person: Annotator, shared: Shared, format: Annotated[Literal["nnunet"], Query()] = "nnunet"
) -> FileResponse:
    """The newest export of a set."""
    return _sent(shared, number, None)


@router.get("/sets/{number}/export/{job}", response_class=FileResponse, responses=_ZIP)
def one_export(number: Number, job: Number, person: Annotator, shared: Shared) -> FileResponse:
    """The export that a job made; it is there until the next one is."""
    return _sent(shared, number, job)


def _sent(shared: Services, number: int, job: int | None) -> FileResponse:
    name = file_stem(shared.sets.line(number).name)
    path = exports.finished(shared.archive.folder, shared.jobs, number, job)
    return FileResponse(path, media_type="application/zip", filename=f"{name}.zip")
