"""Jobs."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

from casewise.server.schemas.common import Given

JobState = Literal["waiting", "running", "done", "failed", "dead", "stopped"]


class JobLine(BaseModel):
    """A job. ``progress`` : (done, total); total 0 where it is not known yet. ``error`` : one sentence."""

    id: int
    kind: str
    state: JobState
    title: str
    progress: tuple[int, int]
    message: str
    error: str | None
    tries: int
    priority: int
    worker: str | None
    created_by: str | None
    created: float
    changed: float
    ended: float | None
    result: dict[str, object] | None
    url: str


class JobPage(BaseModel):
    """``workers`` : names of the workers heard from in the last minute, each HOST:PROCESS:…

    ``images_an_hour`` : analysed in the last hour, by them or by a cluster; null where the server has just begun.
    ``waited`` : seconds that the oldest job that is due has waited.
    """

    jobs: list[JobLine]
    counts: dict[str, int]
    workers: list[str]
    images_an_hour: float | None
    waited: float
    next: int | None


class AnalyseOrder(Given):
    """Analyse cases."""

    kind: Literal["analyse"] = "analyse"
    cases: list[str] = Field(min_length=1, max_length=10_000)
    application: str | None = None
    model: str | None = None
    adapt: Literal["none", "similar", "subset"] | None = None
    priority: int = Field(default=0, ge=-10, le=10)
