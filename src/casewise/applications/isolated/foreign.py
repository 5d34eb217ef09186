"""Applications that do not come with casewise: each has processes of its own, which are kept for the next image."""

from __future__ import annotations

import time
import uuid

from casewise.applications.declared import Declared, EndpointRun, PythonRun
from casewise.applications.isolated.adoption import EXPECTED, IN_ITS_PLACE, adopted, failure_of
from casewise.applications.isolated.held_process import Idle, Supervision, Voxels
from casewise.applications.isolated.process import Worker
from casewise.applications.isolated.turns import turn
from casewise.applications.outcome import ApplicationError, Job, Outcome
from casewise.image import Image

_KEPT = 12  # workers that wait for the next image; more applications than these are started anew now and then


class ForeignApplications:
    """Safe for threads: each call of ``run`` has a worker for itself. at_once : how many calls there may be."""

    def __init__(self, supervision: Supervision, at_once: int) -> None:
        self._supervision = supervision
        self._idle: Idle[Worker] = Idle(max(_KEPT, at_once))

    def run(self, job: Job, declared: Declared, voxels: Voxels) -> Outcome:
        """What one application makes of the job's image."""
        began = time.perf_counter()
        worker: Worker | None = None
        sound, own = False, voxels
        try:
            image = job.for_application(declared)
            if image is not job.image:
                own = self._supervision.voxels(image)
            worker = self._worker(declared)
            number = self._supervision.number()
            with worker.folder.make(str(number)) as folder, folder.make("out") as out:
                with turn(declared, self._supervision.stopping):
                    answer = worker.run(_task(job, image, declared, own, worker, number), folder)
                if not folder.holds(out, "out"):
                    raise ApplicationError(IN_ITS_PLACE.format("its out folder"))
                done = adopted(answer, declared.name, job, out, began)
            sound = True
            return done
        except EXPECTED as error:
            sound = isinstance(error, ApplicationError) and error.sound
            return failure_of(error, declared.name, job, began, worker.stderr_tail if worker is not None else "")
        finally:
            if own is not voxels:
                own.remove()
            if worker is not None:
                self._idle.give_back(worker, sound)

    def close(self) -> None:
        """End every process that waits."""
        self._idle.close()

    def _worker(self, declared: Declared) -> Worker:
        waiting = self._idle.take(lambda one: one.declared == declared)
        if waiting is not None:
            return waiting
        worker = Worker(declared, f"{declared.name}-{self._supervision.number()}", self._supervision)
        try:
            worker.start()
        except ApplicationError as error:
            error.log = error.log or worker.stderr_tail
            worker.close()
            raise
        return worker


def _task(job: Job, image: Image, declared: Declared, voxels: Voxels, worker: Worker, number: int) -> dict[str, object]:
    run = declared.run
    wants_voxels = isinstance(run, PythonRun) or (isinstance(run, EndpointRun) and run.send == "nifti")
    return {
        "folder": str(worker.root / str(number)),
        "source": str(job.path.absolute()),
        "member": job.member,
        "category": job.category,
        "grid": list(job.image.spatial_shape),
        "array": str(voxels.path()) if wants_voxels else None,
        "affine": image.affine.tolist(),
        "header": image.header.to_json(),
        "ident": f"casewise-{worker.pid}-{number}-{uuid.uuid4().hex[:8]}",
    }
