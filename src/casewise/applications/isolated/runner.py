"""``Runner``: many images, each with the applications of its route, on all cores, in bounded memory and time."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from types import TracebackType

import numpy as np

from casewise.applications.declared import ContainerRun, Declared, EndpointRun, PythonRun
from casewise.applications.isolated.answers import checked, clean
from casewise.applications.isolated.directory import Directory, copied, listed
from casewise.applications.isolated.outcome import ApplicationError, Done, Failure, Job, Outcome, Ran
from casewise.applications.isolated.process import Worker
from casewise.applications.isolated.scratch import Scratch
from casewise.confinement.processes import Table
from casewise.errors import UsageError
from casewise.image import Image

_KEPT = 12  # workers that wait for the next image; more applications than these are started anew now and then
_LAST_WORDS = "-last-words.txt"
_LONGEST_REASON = 1000


class Runner:
    """Runs the applications of jobs side by side; a context manager, which leaves no process and no temporary file.

    workers : how many run at one time (None: as many as there are cores). Each application has processes of its own, which are
    kept for the next image; every one computes with one thread.
    """

    def __init__(self, workers: int | None = None) -> None:
        self.workers = workers or _cores()
        if self.workers < 1:
            raise UsageError(f"{workers} applications at a time are not possible; give 1 or more.")
        self._folder = Scratch()
        self._scratch = self._folder.path
        self._shared = self._scratch / "shared"
        self._shared.mkdir()
        self._home = Directory.open(self._scratch)
        self._executor = ThreadPoolExecutor(self.workers, thread_name_prefix="casewise-application")
        self._stopping, self._lock, self._processes = threading.Event(), threading.Lock(), Table()
        self._idle: list[Worker] = []
        self._count = 0

    def __enter__(self) -> Runner:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """End every process that is left, also in the middle of an image."""
        self._stopping.set()
        self._executor.shutdown(wait=True, cancel_futures=True)
        with self._lock:
            idle, self._idle = self._idle, []
        for worker in idle:
            worker.close()
        self._home.close()
        self._folder.remove()

    def run(self, jobs: Iterable[Job], ahead: int | None = None) -> Iterator[Ran]:
        """Each job's outcomes, in the order of the jobs.

        Jobs are taken from ``jobs`` as there is room: no more than ``ahead`` (4 for each worker) are under way and in memory. While
        the caller makes the next job or deals with a ``Ran``, the applications go on.
        """
        room = ahead if ahead is not None else 4 * self.workers
        waiting: deque[tuple[Job, _Voxels, list[Future[Outcome]]]] = deque()
        for job in jobs:
            voxels = self._voxels(job.image)
            voxels.leave(job.known)
            waiting.append((job, voxels, [self._executor.submit(self._one, job, known, voxels) for known in job.applications]))
            while waiting and (len(waiting) >= room or all(future.done() for future in waiting[0][2])):
                yield self._through(*waiting.popleft())
        while waiting:
            yield self._through(*waiting.popleft())

    def _through(self, job: Job, voxels: _Voxels, futures: list[Future[Outcome]]) -> Ran:
        outcomes = []
        for known, future in zip(job.applications, futures, strict=True):
            try:
                outcomes.append(future.result())
            except CancelledError:
                outcomes.append(Failure(known.name, f"{known.name} was stopped, because casewise was."))
        voxels.remove()
        return Ran(job, tuple(outcomes))

    def _one(self, job: Job, known: Declared, voxels: _Voxels) -> Outcome:
        began = time.perf_counter()
        worker: Worker | None = None
        sound, log, own = False, "", voxels
        try:
            image = job.for_application(known)
            if image is not job.image:
                own = self._voxels(image)
            worker = self._worker(known)
            number = self._number()
            with worker.folder.make(str(number)) as folder, folder.make("out") as out:
                answer = worker.run(self._task(job, image, known, own, worker, number), folder)
                if not folder.holds(out, "out"):
                    raise ApplicationError("put something else in the place of its out folder, which is not followed")
                done = _adopted(answer, known, job, out, began)
            sound = True
            return done
        except ApplicationError as error:
            sound, reason = error.sound, str(error)
            log = error.log or (worker.last_words if worker is not None and not sound else "")
        except OSError as error:
            place = f" ({error.filename})" if error.filename else ""
            reason = f"cannot be run: {(error.strerror or str(error)).lower()}{place}"
        except (ValueError, TypeError, LookupError, AttributeError, RecursionError, MemoryError) as error:
            # Whatever it answered with must end its own part alone.
            reason = f"returned a result that cannot be used ({type(error).__name__})"
        finally:
            if own is not voxels:
                own.remove()
            if worker is not None:
                self._give_back(worker, known, sound)
        reason = clean(reason, _LONGEST_REASON).rstrip(".")
        return Failure(known.name, f"{known.name} {reason}.", _since(began), _kept_words(log, job.folder, known.name))

    def _worker(self, known: Declared) -> Worker:
        with self._lock:
            for place in range(len(self._idle) - 1, -1, -1):
                if self._idle[place].declared == known:
                    return self._idle.pop(place)
        worker = Worker(known, self._home, f"{known.name}-{self._number()}", self._processes, self._stopping, self._shared)
        try:
            worker.start()
        except ApplicationError as error:
            error.log = error.log or worker.last_words
            worker.close()
            raise
        return worker

    def _give_back(self, worker: Worker, known: Declared, sound: bool) -> None:
        """Keep the process for the next image, or end it where it was stopped, died, or has grown."""
        if not sound or not worker.is_fresh():
            worker.close()
            self._remove_container(known, worker)
            return
        worker.tidy()
        with self._lock:
            self._idle.append(worker)
            old = self._idle.pop(0) if len(self._idle) > max(_KEPT, self.workers) else None
        if old is not None:
            old.close()

    def _task(self, job: Job, image: Image, known: Declared, voxels: _Voxels, worker: Worker, number: int) -> dict[str, object]:
        wants_voxels = isinstance(known.run, PythonRun) or (isinstance(known.run, EndpointRun) and known.run.send == "nifti")
        return {
            "folder": str(worker.root / str(number)),
            "source": str(job.path.absolute()),
            "member": job.member,
            "category": job.category,
            "grid": list(job.image.spatial_shape),
            "array": str(voxels.path()) if wants_voxels else None,
            "affine": image.affine.tolist(),
            "header": image.header.to_json(),
            "shared": str(voxels.shared) if known.shared else None,
            "ident": f"casewise-{worker.pid}-{number}-{uuid.uuid4().hex[:8]}",
        }

    def _remove_container(self, known: Declared, worker: Worker) -> None:
        """A container outlives the client that started it."""
        if not isinstance(known.run, ContainerRun):
            return
        with suppress(OSError, subprocess.SubprocessError):
            names = [known.run.runtime, "ps", "--all", "--quiet", "--filter", f"name=casewise-{worker.pid}-"]
            found = subprocess.run(names, capture_output=True, text=True, timeout=20, check=True).stdout.split()  # noqa: S603
            if found:
                subprocess.run([known.run.runtime, "rm", "--force", *found], capture_output=True, timeout=60, check=True)  # noqa: S603

    def _voxels(self, image: Image) -> _Voxels:
        name = f"image-{self._number()}"
        return _Voxels(image, self._scratch / f"{name}.npy", self._shared / name)

    def _number(self) -> int:
        with self._lock:
            self._count += 1
            return self._count


class _Voxels:
    """An image's voxels as a file that workers map, written when the first of them asks.

    shared : folder of what applications make of the image for one another; there when the first of them has.
    """

    def __init__(self, image: Image, path: Path, shared: Path) -> None:
        self._image, self._path, self._lock = image, path, threading.Lock()
        self.shared = shared

    def leave(self, known: Mapping[str, Callable[[Path], None]]) -> None:
        """Write what is known of the image where the applications look for it."""
        for name, write in known.items():
            self.shared.mkdir(exist_ok=True)
            write(self.shared / name)

    def path(self) -> Path:
        with self._lock:
            if not self._path.exists():
                np.save(self._path, self._image.array, allow_pickle=False)
        return self._path

    def remove(self) -> None:
        self._path.unlink(missing_ok=True)
        shutil.rmtree(self.shared, ignore_errors=True)


def _adopted(answer: dict[str, object], known: Declared, job: Job, out: Directory, began: float) -> Done:
    """The answer, checked once more on this side, with the application's files copied to where they stay."""
    found, notes = answer.get("findings"), answer.get("notes")
    if not isinstance(found, list) or not isinstance(notes, list) or not all(isinstance(note, str) for note in notes):
        raise ApplicationError("returned an invalid result")
    left = listed(out)
    place = job.folder / known.name
    checked(found, known.name, job.image.spatial_shape, out.path, left.files)
    for item in found:
        for key in ("mask", "map"):
            if item.get(key):
                item[key] = os.path.relpath(out.path / item[key], out.path)
    findings = checked(found, known.name, job.image.spatial_shape, place, left.files)
    kept: list[Path] = []
    if left.files:
        job.folder.mkdir(parents=True, exist_ok=True)
        with Directory.open(job.folder) as folder, folder.ensured(known.name) as target:
            kept = copied(left.files, out, target)
    others = [f"It wrote {left.others} links or other things than files, which were left behind."] if left.others else []
    return Done(known.name, tuple(findings), _since(began), tuple(kept), (*(clean(note) for note in notes), *others))


def _kept_words(log: str, folder: Path, name: str) -> Path | None:
    """What it said last goes to a file that only this user may read: it may name the patient."""
    if not log.strip():
        return None
    try:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{name}{_LAST_WORDS}"
        path.unlink(missing_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(log.encode("utf-8", errors="backslashreplace"))
    except OSError:
        return None
    return path


def _since(began: float) -> float:
    return round(time.perf_counter() - began, 4)


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
