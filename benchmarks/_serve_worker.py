"""The worker of ``_serve_kills``, ``python -m benchmarks._serve_worker ARCHIVE``: casewise's own, with a kind *analyse* that waits,
and dies of the jobs that are poison.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

from casewise.server.jobs import Job
from casewise.server.work import Work
from casewise.server.worker import work

LEASE = 2.0
BEGAN = "began"  # the file in the archive's folder where each try of a job is noted


def is_poison(job: Job) -> bool:
    return str(job.payload["application"]).startswith("poison")


def analyse(job: Work) -> dict[str, object]:
    with (job.archive.folder / BEGAN).open("a") as file:
        file.write(f"{job.job.id}\n")
    for step in range(4):
        job.progress("Analysing", step, 4)
        time.sleep(0.02)
    if is_poison(job.job):
        os.kill(os.getpid(), signal.SIGKILL)
    return {"through": True}


if __name__ == "__main__":
    work(Path(sys.argv[1]), kinds={"analyse": analyse}, lease=LEASE, follow_parent=True)
