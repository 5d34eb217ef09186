"""A job as the calls give it."""

from __future__ import annotations

from typing import cast

from casewise.server.jobs import Job
from casewise.server.schemas.jobs import JobLine, JobState


def job_line(job: Job) -> JobLine:
    title = job.payload.get("title")
    return JobLine(
        id=job.id,
        kind=job.kind,
        state=cast(JobState, job.state),
        title=title if isinstance(title, str) else job.kind.capitalize(),
        progress=(job.done, job.total),
        message=job.message,
        error=job.error,
        tries=job.tries,
        priority=job.priority,
        worker=job.worker,
        created_by=job.created_by,
        created=job.created,
        changed=job.changed,
        ended=job.ended,
        result=job.result,
        url=f"/api/v1/jobs/{job.id}",
    )
