"""``/train/``: trainings as jobs, one at a time, with what Slicer and OHIF read of their progress."""

from __future__ import annotations

import re
from itertools import count
from typing import Annotated, Any

from fastapi import APIRouter, Depends, HTTPException

from casewise.errors import UsageError
from casewise.models.listing import model_folder
from casewise.server.access import Annotator, Person, Reader
from casewise.server.compat.monailabel import offers
from casewise.server.compat.monailabel.desk import Shared
from casewise.server.compat.monailabel.forms import json_object
from casewise.server.compat.monailabel.tasks import newest, open_job, stopped, task
from casewise.server.label_names import structures as names_of
from casewise.server.models import check
from casewise.server.schemas.models import TrainOrder
from casewise.server.services import Services

router = APIRouter(prefix="/train")
KIND = "train"
_ALL, _NEW = "all", "new"
_MOST_STEPS = 100_000
_NAME = re.compile(r"[A-Za-z0-9_-]{1,60}")
_BUSY = "A training runs already (job {number}); wait for it, or stop it first."
Params = Annotated[dict[str, Any], Depends(json_object)]


def trainers(shared: Services, structures: list[str]) -> dict[str, Any]:
    """What can be trained here, with its options; the first of a list is the default."""
    starts = [name for name, offer in offers.models(shared.archive).items() if offer.type == "segmentation"]
    config = {"structure": [*structures, _ALL] if structures else [_ALL], "start": [_NEW, *starts], "steps": 0, "name": ""}
    description = "Trains a model on this archive's masks. steps: 0 for as many as usual. name: of the new model."
    return {offers.TRAINER: {"description": description, "config": config, "labels": structures}}


def train_stats(shared: Services) -> dict[str, Any]:
    """Trainer → how far its last training is; nothing before the first one."""
    job = newest(shared.jobs, KIND)
    if job is None:
        return {offers.TRAINER: {}}
    measures = (job.result or {}).get("measures", {})
    best = next((value for name, value in measures.items() if "dice" in name), 0.0) if isinstance(measures, dict) else 0.0
    stats: dict[str, Any] = {"epoch": job.done, "total_epochs": max(job.total, job.done), "best_metric": best}
    if job.ended is not None:
        stats["total_time"] = f"{job.ended - job.created:.0f} s"
    return {offers.TRAINER: stats}


@router.get("/")
def status(person: Reader, shared: Shared, check_if_running: bool = False, all: bool = False) -> Any:
    """The last training; 404 where there was none, or with ``check_if_running`` where none runs."""
    if all and not check_if_running:
        return [task(job) for job in shared.jobs.list(kinds=[KIND])]
    job = open_job(shared.jobs, KIND) if check_if_running else newest(shared.jobs, KIND)
    if job is None:
        raise HTTPException(404, "No training is running." if check_if_running else "There has been no training.")
    return {**task(job), "status": "RUNNING"} if check_if_running else task(job)


@router.post("/")
def start_each(params: Params, person: Annotator, shared: Shared) -> dict[str, Any]:
    """As OHIF asks: options by trainer. Without a trainer, the one that there is."""
    named = {name: given for name, given in params.items() if isinstance(given, dict)} or {offers.TRAINER: params}
    orders = {name: _order(shared, name, given) for name, given in named.items()}
    return {name: {"result": _started(shared, order, named[name], person), "detail": None} for name, order in orders.items()}


@router.post("/{model}")
def start(model: str, params: Params, person: Annotator, shared: Shared) -> dict[str, Any]:
    """Train; 429 while a training runs or waits."""
    return _started(shared, _order(shared, model, params), params, person)


@router.delete("/")
def stop(person: Annotator, shared: Shared) -> dict[str, Any] | None:
    """Stop the training, one that waits too; null where there is none."""
    job = open_job(shared.jobs, KIND)
    found = None if job is None else shared.jobs.stop(job.id)
    return None if found is None else stopped(found)


def _started(shared: Services, order: TrainOrder, params: dict[str, Any], person: Person) -> dict[str, Any]:
    busy = open_job(shared.jobs, KIND)
    if busy is not None:
        raise HTTPException(429, _BUSY.format(number=busy.id))
    payload = {**order.model_dump(), "title": f"Train {order.name}", "request": {"model": offers.TRAINER, **params}}
    job = shared.jobs.get(shared.jobs.add(KIND, payload, unique_key=f"train:{order.name}", created_by=person.name))
    if job is None:
        raise HTTPException(409, "The training was removed as soon as it was queued; try again.")
    return task(job)


def _order(shared: Services, trainer: str, params: dict[str, Any]) -> TrainOrder:
    """What is to be trained. Raises HTTPException 404 for an unknown trainer, UsageError or ConflictError for wrong options."""
    if trainer != offers.TRAINER:
        raise HTTPException(404, f"There is no trainer {trainer[:60]!r}; there is {offers.TRAINER}.")
    held = names_of(shared.archive.structures())
    if not held:
        raise UsageError("No image of the archive has a mask yet, so there is nothing to train on; save labels first.")
    wanted = params.get("structure") or held[0]
    if wanted not in (*held, _ALL):
        raise UsageError(f"structure is one of {', '.join([*held[:20], _ALL])}; got {str(wanted)[:60]!r}.")
    steps = params.get("steps") or 0
    if not isinstance(steps, int) or not 0 <= steps <= _MOST_STEPS:
        raise UsageError(f"steps is a whole number up to {_MOST_STEPS:,}, or 0 for as many as usual; got {str(steps)[:20]!r}.")
    name = params.get("name") or _free_name(shared, offers.slug(wanted))
    if not isinstance(name, str) or _NAME.fullmatch(name) is None:
        raise UsageError(f"A model's name has up to 60 letters, digits, - and _; got {str(name)[:60]!r}.")
    known, start = offers.models(shared.archive), params.get("start") or _NEW
    if start != _NEW and (not isinstance(start, str) or start not in known or known[start].folder is None):
        raise UsageError(f"start is {_NEW!r} or one of the models of /info/; got {str(start)[:60]!r}.")
    parent = None if start == _NEW else known[start].model
    structures = held if wanted == _ALL else [wanted]
    order = TrainOrder(task="segmenter", name=name, structures=structures, start=parent, steps=steps or None)
    check(shared.archive, order)
    return order


def _free_name(shared: Services, stem: str) -> str:
    taken = {str(entry["name"]) for entry in shared.archive.models()}
    return next(
        name
        for number in count(1)
        if (name := f"{stem[:50]}-{number}") not in taken and not model_folder(shared.archive.folder, name).exists()
    )
