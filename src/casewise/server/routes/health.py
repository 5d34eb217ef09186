"""Whether the server is alive and ready, and its measures; for whoever keeps it running, not under ``/api/v1``."""

from __future__ import annotations

import shutil
from typing import Annotated

import sqlalchemy as sa
from fastapi import APIRouter, Depends, HTTPException, Request, Response

from casewise.errors import CasewiseError
from casewise.server.access import person
from casewise.server.addresses import from_this_machine
from casewise.server.metrics import CONTENT_TYPE
from casewise.server.services import Services, services

router = APIRouter(tags=["health"])
Shared = Annotated[Services, Depends(services)]
_FREE = 0.05  # of the disk


@router.get("/healthz")
async def alive() -> dict[str, str]:
    """The process answers."""
    return {"status": "alive"}


@router.get("/readyz", responses={503: {"description": "Not ready."}})
def ready(shared: Shared, response: Response) -> dict[str, str]:
    """The store and the archive answer, and more than 5 % of the disk is free. It says no more: it needs no sign-in."""
    if _works(shared):
        return {"status": "ready"}
    response.status_code = 503
    return {"status": "not ready"}


@router.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
def metrics(request: Request, shared: Shared) -> Response:
    """Prometheus's text: jobs, rounds, sessions, requests. For an admin's token, or from this machine."""
    asking = person(request)
    if not (from_this_machine(request.scope, shared.settings) or (asking is not None and asking.may("admin"))):
        raise HTTPException(401 if asking is None else 403, "The metrics are for an admin's token, or for this machine itself.")
    return Response(shared.metrics.text(), media_type=CONTENT_TYPE)


def _works(shared: Services) -> bool:
    try:
        with shared.store.read() as connection:
            connection.execute(sa.select(1))
        shared.archive.newest()
        disk = shutil.disk_usage(shared.archive.folder)
    except (CasewiseError, sa.exc.SQLAlchemyError, OSError):
        return False
    return disk.free > _FREE * disk.total
