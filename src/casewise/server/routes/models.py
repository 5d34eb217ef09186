"""Calls on models."""

from __future__ import annotations

from fastapi import APIRouter

from casewise.server import models
from casewise.server.access import Admin, Reader
from casewise.server.job_line import job_line
from casewise.server.problems import NotThereError
from casewise.server.schemas.jobs import JobLine
from casewise.server.schemas.models import ModelPage, TrainOrder
from casewise.server.services import Shared

router = APIRouter(tags=["models"])


@router.get("/models")
def list_models(person: Reader, shared: Shared) -> ModelPage:
    """All models, with what they were made from, how well they did and what their licences allow; and what can be trained here."""
    return models.page(shared.archive)


@router.post("/models/train", status_code=202)
def train(order: TrainOrder, person: Admin, shared: Shared) -> JobLine:
    """Train a model on the archive's cases."""
    models.check(shared.archive, order)
    payload = {**order.model_dump(), "title": f"Train {order.name}"}
    number = shared.jobs.add("train", payload, unique_key=f"train:{order.name}", created_by=person.name)
    job = shared.jobs.get(number)
    if job is None:
        raise NotThereError(f"There is no job {number}.")
    return job_line(job)
