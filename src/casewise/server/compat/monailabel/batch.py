"""``/batch/infer`` and ``/scoring/``: a model over many images, and how well its drafts fit the accepted masks, as jobs."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, HTTPException

from casewise.server.access import Annotator, Person, Reader
from casewise.server.compat.monailabel import offers
from casewise.server.compat.monailabel.desk import Shared
from casewise.server.compat.monailabel.drafts import FINAL, ORIGINAL, checked_tag
from casewise.server.compat.monailabel.forms import json_object
from casewise.server.compat.monailabel.tasks import newest, open_job, stopped, task
from casewise.server.services import Services

router = APIRouter()
BATCH, SCORE = "segment", "score drafts"
_IMAGES = ("all", "labeled", "unlabeled")
Params = Annotated[dict[str, Any], Depends(json_object)]


@router.get("/batch/infer")
@router.get("/batch/infer/", include_in_schema=False)
def batch_status(person: Reader, shared: Shared, check_if_running: bool = False, all: bool = False) -> Any:
    """The last run of a model over many images."""
    return _status(shared, BATCH, "run over many images", check_if_running, all)


@router.post("/batch/infer/{model}")
def batch_start(model: str, params: Params, person: Annotator, shared: Shared, images: str = "all") -> dict[str, Any]:
    """Segment all images, those with masks, or those without; the answers are kept as drafts of the tag ``original``."""
    if images not in _IMAGES:
        raise HTTPException(400, f"images is one of {', '.join(_IMAGES)}; got {images[:40]!r}.")
    offer = offers.models(shared.archive).get(model)
    if offer is None or offer.folder is None:
        known = [name for name, one in offers.models(shared.archive).items() if one.folder is not None]
        raise HTTPException(404, f"There is no model {model[:60]!r} that outlines by itself; there are {', '.join(known)}.")
    tag = checked_tag(str(params.get("label_tag") or ORIGINAL))
    if tag == FINAL:
        raise HTTPException(400, "A model's answers are no accepted masks; give another label_tag than final.")
    request = {"model": model, "images": images, **params}
    return _start(
        shared, BATCH, {"model": model, "images": images, "tag": tag, "request": request, "title": f"Segment by {model}"}, person
    )


@router.delete("/batch/infer")
@router.delete("/batch/infer/", include_in_schema=False)
def batch_stop(person: Annotator, shared: Shared) -> dict[str, Any] | None:
    """Stop it; null where nothing runs."""
    return _stop(shared, BATCH)


@router.get("/scoring/")
def scoring_status(person: Reader, shared: Shared, check_if_running: bool = False, all: bool = False) -> Any:
    """The last scoring."""
    return _status(shared, SCORE, "scoring", check_if_running, all)


@router.post("/scoring/{method}")
def scoring_start(method: str, params: Params, person: Annotator, shared: Shared) -> dict[str, Any]:
    """Note the Dice of each draft and the accepted masks beside the draft."""
    if method not in offers.SCORING:
        raise HTTPException(404, f"There is no scoring {method[:60]!r}; there is {', '.join(offers.SCORING)}.")
    return _start(
        shared, SCORE, {"tag": ORIGINAL, "request": {"method": method, **params}, "title": "Compare drafts with masks"}, person
    )


@router.delete("/scoring/")
def scoring_stop(person: Annotator, shared: Shared) -> dict[str, Any] | None:
    """Stop it; null where nothing runs."""
    return _stop(shared, SCORE)


def _status(shared: Services, kind: str, what: str, running: bool, all: bool) -> Any:
    if all and not running:
        return [task(job) for job in shared.jobs.list(kinds=[kind])]
    job = open_job(shared.jobs, kind) if running else newest(shared.jobs, kind)
    if job is None:
        raise HTTPException(404, f"No {what} is going on." if running else f"There has been no {what}.")
    return task(job)


def _start(shared: Services, kind: str, payload: dict[str, Any], person: Person) -> dict[str, Any]:
    busy = open_job(shared.jobs, kind)
    if busy is not None:
        raise HTTPException(429, f"Job {busy.id} of this kind has not ended; wait for it, or stop it first.")
    job = shared.jobs.get(shared.jobs.add(kind, payload, created_by=person.name))
    if job is None:
        raise HTTPException(409, "The job was removed as soon as it was queued; try again.")
    return task(job)


def _stop(shared: Services, kind: str) -> dict[str, Any] | None:
    job = open_job(shared.jobs, kind)
    found = None if job is None else shared.jobs.stop(job.id)
    return None if found is None else stopped(found)
