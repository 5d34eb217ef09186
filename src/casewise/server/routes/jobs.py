"""Calls on jobs, and the stream of their events."""

from __future__ import annotations

import hashlib
from typing import Annotated

from fastapi import APIRouter, Depends, Header, HTTPException, Path, Query, Request
from fastapi.responses import StreamingResponse

from casewise.errors import UsageError
from casewise.json_safe import dumps
from casewise.server.access import Annotator, Person, Reader
from casewise.server.audited import about
from casewise.server.job_line import job_line
from casewise.server.jobs import Job
from casewise.server.schemas.jobs import AnalyseOrder, JobLine, JobPage, JobState
from casewise.server.services import Services, services

router = APIRouter(tags=["jobs"])
Shared = Annotated[Services, Depends(services)]
_LARGEST = 2**63 - 1
Number = Annotated[int, Path(ge=1, le=_LARGEST)]


@router.post("/jobs", status_code=202)
def add(request: Request, order: AnalyseOrder, asking: Annotator, shared: Shared) -> JobLine:
    """Queue an analysis; one that is the same and has not ended is given instead."""
    keys = list(dict.fromkeys(order.cases))
    known = shared.cases.names(keys)
    missing = [key for key in keys if key not in known]
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise HTTPException(404, f"The archive has no case {missing[0][:80]}{more}.")
    what = {"cases": keys, "application": order.application, "model": order.model, "adapt": order.adapt}
    same = dumps(what | {"cases": sorted(keys)})
    title = "Analyse 1 case" if len(keys) == 1 else f"Analyse {len(keys)} cases"
    number = shared.jobs.add(
        order.kind,
        what | {"title": title},
        unique_key=f"{order.kind} {hashlib.sha256(same.encode()).hexdigest()}",
        priority=order.priority,
        created_by=asking.name,
    )
    about(request, f"{number} {title}")
    return job_line(_found(shared, number))


@router.get("/jobs")
def page(
    asking: Reader,
    shared: Shared,
    state: Annotated[list[JobState], Query()] = [],  # noqa: B006  # FastAPI's way of saying "may be repeated"
    kind: Annotated[list[str], Query()] = [],  # noqa: B006
    after: Annotated[int | None, Query(ge=1, le=_LARGEST)] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
) -> JobPage:
    """The newest first."""
    found = shared.jobs.list(state, kind, after, limit + 1)
    shown = found[:limit]
    return JobPage(
        jobs=[job_line(job) for job in shown],
        counts=shared.jobs.counts(),
        workers=list(shared.jobs.workers()),
        images_an_hour=shared.pace.an_hour(),
        waited=shared.jobs.waited(),
        next=shown[-1].id if len(found) > limit else None,
    )


@router.get("/jobs/{number}")
def get(number: Number, asking: Reader, shared: Shared) -> JobLine:
    return job_line(_found(shared, number))


@router.delete("/jobs/{number}")
def stop(number: Number, asking: Annotator, shared: Shared) -> JobLine:
    """Stop a job: at once if it waits, at its next step if it runs; one that has ended stays as it is."""
    _check_theirs(asking, _found(shared, number))
    shared.jobs.stop(number)
    return job_line(_found(shared, number))


@router.post("/jobs/{number}/again", status_code=202)
def again(number: Number, asking: Annotator, shared: Shared) -> JobLine:
    """Queue a job that has ended once more."""
    _check_theirs(asking, _found(shared, number))
    try:
        shared.jobs.again(number)
    except UsageError as error:
        raise HTTPException(409, str(error)) from error
    return job_line(_found(shared, number))


@router.get("/events", response_class=StreamingResponse, responses={200: {"content": {"text/event-stream": {}}}})
async def events(
    asking: Reader,
    shared: Shared,
    jobs: Annotated[list[int] | None, Query(max_length=100)] = None,
    last: Annotated[str | None, Header(alias="Last-Event-ID")] = None,
) -> StreamingResponse:
    """Server-sent events. ``state`` and ``progress`` carry a job; ``arrived``, that the archive has new images.

    jobs : only these (may be repeated), whose states come first; without it all jobs, from now on.
    """
    wanted = None if jobs is None else [number for number in jobs if 0 < number <= _LARGEST]
    # Whoever listens for longer than a login lasts unused comes back, and is asked again who it is.
    text = shared.events.stream(wanted, _moment(last), longest=60 * shared.settings.idle_minutes + 60)
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}  # the second: nginx passes each event on at once
    return StreamingResponse(text, media_type="text/event-stream", headers=headers)


def _found(shared: Services, number: int) -> Job:
    job = shared.jobs.get(number)
    if job is None:
        raise HTTPException(404, f"There is no job {number}.")
    return job


def _check_theirs(asking: Person, job: Job) -> None:
    if job.created_by != asking.name and not asking.may("admin"):
        raise HTTPException(
            403, f"Job {job.id} is {job.created_by or 'the server'}'s; they or an admin may stop it or run it again."
        )


def _moment(last: str | None) -> float | None:
    """The time in an event's id; what is no id of ours is passed over."""
    try:
        moment = float(last or "")
    except ValueError:
        return None
    return moment if 0 <= moment < 1e12 else None
