"""Calls on the hospital's network: what arrived, what is on its way to other systems, and sending a case's results."""

from __future__ import annotations

import time
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request

from casewise.errors import CasewiseError
from casewise.exchange.reaching import reach
from casewise.formats.found import Kind
from casewise.server.access import Admin, Annotator, Reader
from casewise.server.audited import about
from casewise.server.dicom.delivery import check_targets, queue
from casewise.server.dicom.network import Network, object_line
from casewise.server.job_line import job_line
from casewise.server.problems import ConflictError, NotThereError
from casewise.server.schemas.dicom import (
    AgainAnswer,
    AgainOrder,
    ArrivalPage,
    ArrivalState,
    NetworkState,
    ObjectLine,
    ObjectPage,
    ObjectState,
    Reached,
    SendOrder,
)
from casewise.server.schemas.jobs import JobLine
from casewise.server.services import Services, Shared

router = APIRouter(tags=["dicom"])
_LARGEST = 2**63 - 1
_Name = Annotated[str, Path(max_length=64)]
_Number = Annotated[int, Path(ge=1, le=_LARGEST)]
_Limit = Annotated[int, Query(ge=1, le=500)]


@router.get("/dicom")
def state(person: Reader, shared: Shared) -> NetworkState:
    """How casewise is called, who may send, and the systems that it knows."""
    return _network(shared).state()


@router.get("/dicom/arrivals")
def list_arrivals(
    person: Reader,
    shared: Shared,
    state: Annotated[list[ArrivalState], Query()] = [],  # noqa: B006  # FastAPI's way of saying "may be repeated"
    after: Annotated[str | None, Query(max_length=100, description="The next of the page before.")] = None,
    limit: _Limit = 50,
) -> ArrivalPage:
    """Series that were received, those to which something came last first."""
    return _network(shared).arrivals(state, after, limit)


@router.get("/dicom/outbox")
def list_objects(
    person: Reader,
    shared: Shared,
    state: Annotated[list[ObjectState], Query()] = [],  # noqa: B006
    case: Annotated[str | None, Query(max_length=100)] = None,
    after: Annotated[int | None, Query(ge=1, le=_LARGEST)] = None,
    limit: _Limit = 50,
) -> ObjectPage:
    """Objects for other systems, the newest first."""
    return _network(shared).objects(state, case, after, limit)


@router.post("/dicom/outbox/again", status_code=202)
def send_all_again(request: Request, order: AgainOrder, person: Annotator, shared: Shared) -> AgainAnswer:
    """Send dead letters again, now."""
    number = _network(shared).outbox.all_again(order.target)
    about(request, f"{number} objects for {order.target or 'all systems'}")
    return AgainAnswer(objects=number)


@router.post("/dicom/outbox/{number}/again", status_code=202)
def send_again(request: Request, number: _Number, person: Annotator, shared: Shared) -> ObjectLine:
    """Send an object again, now, whatever became of it."""
    row = _network(shared).outbox.again(number)
    if row is None:
        raise NotThereError(f"There is no object {number} in the outbox.")
    about(request, f"{number} {row.kind} of {row.image_key} to {row.target}")
    return object_line(row)


@router.post("/dicom/echo/{name}")
def test_connection(name: _Name, person: Admin, shared: Shared) -> Reached:
    """Ask a system whether it answers: C-ECHO, or a question to a DICOMweb service."""
    settings = _network(shared).settings
    peer = settings.systems.get(name)
    if peer is None:
        raise NotThereError(f"There is no system {name!r} in dicom.toml.")
    began = time.monotonic()
    try:
        reach(peer, settings.ae_title)
    except CasewiseError as error:
        return Reached(name=name, answers=False, sentence=str(error), seconds=time.monotonic() - began)
    return Reached(name=name, answers=True, sentence=f"{peer} answers.", seconds=time.monotonic() - began)


@router.post("/cases/{key}/send", status_code=202)
def send(request: Request, key: str, order: SendOrder, person: Annotator, shared: Shared) -> JobLine:
    """Send the newest result of a case to systems, as DICOM objects of its study."""
    row = shared.cases.row(key)
    check_targets(_network(shared).settings, order.targets)
    if not any(record.kind == Kind.DICOM.value for record in shared.archive.images([row.key])):
        raise ConflictError(
            "The image was not read from DICOM, so its results cannot be sent to a PACS; download its report instead."
        )
    newest = shared.archive.newest_result(row.key)
    if newest is None:
        raise ConflictError("This case was not analysed yet, so there is nothing to send; analyse it first.")
    number = queue(shared.jobs, row.key, order.targets, order.kinds, newest[0], person.name, priority=5)
    about(request, f"{row.key} to {', '.join(order.targets)}")
    found = shared.jobs.get(number)
    if found is None:
        raise ConflictError("The job was removed at once; send again.")
    return job_line(found)


def _network(shared: Services) -> Network:
    return Network(shared.store, None if shared.node is None else shared.node.port)
