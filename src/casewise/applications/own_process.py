"""casewise's own applications, in processes that each hold all of them: the parent's side, and the whole concurrency model.

- **One process runs one image at a time**, with all of casewise's own applications that are to see it, one after the other, in one
  thread. What they share (a chest's regions, loaded models) is computed once and stays in its memory; nothing is locked.
- **Images run side by side**: there are as many processes as the runner has threads, and the next is started only when an image
  waits and all others are busy. A call of one image has one. They are kept for the images that follow. Whoever knows that images
  will come starts them ahead (``start``): what they import takes as long as to read and route the first image.
- **A request names one application**, so that each has its own time limit, and ``seconds`` are its own. The image goes with the
  first request (its voxels in a file that is mapped, its chest's regions, where a refined model gave them, in the request itself).
- **Who fails, fails alone.** An application that passes its time or its memory, crashes, or raises what is no CasewiseError
  costs its own answer: the process is killed with all that it started, a new one is given the image again and goes on with the
  applications that are left.
- The process is confined as foreign ones are (images come from outside), but its answers are those of casewise's own code.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Sequence
from dataclasses import asdict

from casewise.applications.declared import Declared, PythonRun
from casewise.applications.isolated.adoption import EXPECTED, adopted, failure_of, read_answer
from casewise.applications.isolated.environment import OF_LIBRARIES
from casewise.applications.isolated.held_process import HeldProcess, Idle, Supervision, Voxels
from casewise.applications.outcome import ApplicationError, Job, Outcome
from casewise.applications.own_worker import END, Picture, Request
from casewise.chest.region_codec import packed
from casewise.image import Image

_TARGET, _AHEAD = "casewise.applications.own_worker:main", "casewise.applications.own_worker:main_ahead"


class OwnProcess(HeldProcess):
    """One such process. Where an ApplicationError that it raises is not ``sound``, it must be closed.

    ahead : whether it is started before there is an image.
    """

    def __init__(self, supervision: Supervision, memory_mb: float, ahead: bool = False) -> None:
        name = f"own-{supervision.number()}"
        super().__init__(_AHEAD if ahead else _TARGET, name, "casewise's own applications", supervision, memory_mb, OF_LIBRARIES)
        self._at_hand: Voxels | None = None

    def analyze(self, job: Job, declared: Declared, image: Image, voxels: Voxels, began: float) -> Outcome:
        """One application's answer. voxels : of ``image``. Raises ApplicationError, a clause, where there is none."""
        if not isinstance(declared.run, PythonRun):
            raise TypeError(type(declared.run))
        out_name = str(self._supervision.number())
        with self.folder.make(out_name) as out:
            picture = None if voxels is self._at_hand else _picture(job, image, voxels)
            self._at_hand = voxels
            request = Request(declared.name, declared.run.target, dict(declared.settings), str(out.path), picture)
            self.send(asdict(request))
            limit = declared.seconds
            too_late = f"was stopped after {limit:g} s, its limit (seconds in its declaration)"
            answer = self.wait(END, limit, declared.memory_mb, too_late)
            return adopted(read_answer(answer, "answer"), declared.name, job, out, began)


class OwnApplications:
    """Safe for threads: each call of ``run`` has a process for itself. at_once : how many calls there may be."""

    def __init__(self, supervision: Supervision, at_once: int) -> None:
        self._supervision = supervision
        self._idle: Idle[OwnProcess] = Idle(at_once)

    def run(self, job: Job, applications: Sequence[Declared], voxels: Voxels) -> list[Outcome]:
        """What each of the applications makes of the job's image, in their order."""
        process: OwnProcess | None = None
        outcomes: list[Outcome] = []
        try:
            for declared in applications:
                outcome, process = self._one(job, declared, voxels, process)
                outcomes.append(outcome)
        finally:
            if process is not None:
                self._idle.give_back(process)
        return outcomes

    def start(self, count: int) -> None:
        """Start processes for images that will come, so that they import meanwhile what takes long."""
        for _ in range(count):
            self._idle.give_back(OwnProcess(self._supervision, Declared.memory_mb, ahead=True))

    def close(self) -> None:
        """End every process that waits."""
        self._idle.close()

    def _one(self, job: Job, declared: Declared, voxels: Voxels, process: OwnProcess | None) -> tuple[Outcome, OwnProcess | None]:
        """An application's outcome, and the process for the next one; None where it had to be ended."""
        began = time.perf_counter()
        own = voxels
        try:
            image = job.for_application(declared)
            if image is not job.image:
                own = self._supervision.voxels(image)
            process = process or self._idle.take(OwnProcess.is_fresh) or OwnProcess(self._supervision, declared.memory_mb)
            return process.analyze(job, declared, image, own, began), process
        except EXPECTED as error:
            failure = failure_of(error, declared.name, job, began, process.stderr_tail if process is not None else "")
            if process is not None and not (isinstance(error, ApplicationError) and error.sound):
                process.close()
                process = None
            return failure, process
        finally:
            if own is not voxels:
                own.remove()


def _picture(job: Job, image: Image, voxels: Voxels) -> Picture:
    regions = base64.b64encode(packed(job.regions)).decode() if job.regions is not None and image is job.image else None
    header = image.header.to_json()
    return Picture(str(voxels.path()), image.affine.tolist(), header, job.category, str(job.path.absolute()), regions)
