"""``/logs/``: what the jobs report; the server's own log stays with its administrator."""

from __future__ import annotations

import html
from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import HTMLResponse, PlainTextResponse, Response

from casewise.server.access import Reader
from casewise.server.compat.monailabel.desk import Shared
from casewise.server.compat.monailabel.tasks import task

router = APIRouter(prefix="/logs")
_JOBS = 50


@router.get("/")
def logs(
    person: Reader,
    shared: Shared,
    lines: Annotated[int, Query(ge=1, le=1000)] = 300,
    html: bool = True,
    text: bool = False,
) -> Response:
    """The last lines of the newest jobs."""
    jobs = reversed(shared.jobs.list(limit=_JOBS))
    found = [f"job {job.id} {job.kind} {line}" for job in jobs for line in task(job)["details"]][-lines:]
    return _page("\n".join(found) + "\n", as_text=text or not html)


@router.get("/gpu")
def gpu(person: Reader, html: bool = True, text: bool = False) -> Response:
    """The graphics processors, and how much of their memory is in use."""
    import torch

    found = []
    for number in range(torch.cuda.device_count()):
        free, total = torch.cuda.mem_get_info(number)
        found.append(f"{torch.cuda.get_device_name(number)}: {(total - free) >> 20} of {total >> 20} MiB in use")
    return _page("\n".join(found or ["There is no graphics processor that casewise can use."]) + "\n", as_text=text or not html)


def _page(text: str, as_text: bool) -> Response:
    return (
        PlainTextResponse(text)
        if as_text
        else HTMLResponse(f"<!DOCTYPE html><title>casewise</title><pre>{html.escape(text)}</pre>")
    )
