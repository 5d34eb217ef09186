"""Read and route images, in this process or ahead of the caller in another one."""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Generator, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from itertools import islice
from multiprocessing import get_context, parent_process
from multiprocessing.connection import wait
from pathlib import Path
from typing import TYPE_CHECKING

from casewise import formats
from casewise.errors import CasewiseError
from casewise.image import Image
from casewise.progress import Progress, silent

if TYPE_CHECKING:
    from casewise.examination.examination import Examination
    from casewise.examination.reading import Source
    from casewise.routing.route import Route
    from casewise.routing.router import Router

MANY = 50  # images from which a second process earns the seconds that it takes to start
_AHEAD = 4  # images that are read before they are asked for


@dataclass(frozen=True)
class ResultPlace:
    """Where the results of one image are written, and the name by which they, and the report, call it instead of its file's."""

    folder: Path
    name: str


@dataclass(frozen=True, eq=False)
class LoadedImage:
    """An image, its route (None where there is no router), and how long the steps took.

    examination : the sequences that were brought onto the image's grid, where it is the reference of an examination.
    results : where its results go; None for where those of the other images of the call go, under the name of its file.
    known : what the caller knows of it for rules: ``site``, ``calling_ae``, ``called_ae``. notes : sentences for its report.
    """

    path: Path
    image: Image
    route: Route | None
    seconds: dict[str, float]
    examination: Examination | None = None
    results: ResultPlace | None = None
    known: Mapping[str, str | None] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def load(
    source: Path | Source, router: Router | None, device: str = "auto", seed: int = 0, progress: Progress = silent
) -> LoadedImage:
    """Read and route one image; of an examination (a ``Source``, or the folder of one) the reference is routed.

    seed : of the registration of sequences. progress : called for each sequence that is read, corrected for its bias field, and
    registered. Raises CasewiseError, one sentence, for a file that cannot be read or routed.
    """
    seconds: dict[str, float] = {}
    path, image, examination = _read(source, seconds, seed, progress)
    route = None
    if router is not None:
        began = time.perf_counter()
        route = router.route(image, device=device)
        seconds["route"] = _since(began)
    return LoadedImage(path, image, route, seconds, examination)


def _read(
    source: Path | Source, seconds: dict[str, float], seed: int, progress: Progress
) -> tuple[Path, Image, Examination | None]:
    """(the file or folder that results are named after, its image, the examination that it is of, if any)."""
    began = time.perf_counter()
    if isinstance(source, Path) and not source.is_dir():
        image = formats.read(source)
        seconds["read"] = _since(began)
        return source, image, None
    from casewise.examination import reading
    from casewise.examination.examination import of_study

    given = reading.Source(folder=source) if isinstance(source, Path) else source
    found = reading.study_in(given.folder) if given.folder else None
    if given.folder and found is None:
        image = formats.read(given.folder)
        seconds["read"] = _since(began)
        return given.folder, image, None
    if given.folder and found:
        study = reading.read_study(given.folder, *found, progress)
    else:
        study = reading.read_named(given.files, progress)
    seconds["read"] = _since(began)
    began = time.perf_counter()
    examination = of_study(study, given, seed=seed, progress=progress)
    seconds["register"] = _since(began)
    return given.folder or examination.channels[0].given.path, examination.reference, examination


def prefetch(
    paths: Sequence[Path | Source],
    router: Router | None,
    device: str = "auto",
    *,
    ahead: bool = False,
    seed: int = 0,
    progress: Progress = silent,
) -> Generator[tuple[Path | Source, LoadedImage | CasewiseError]]:
    """Each path with its image and route, or with the error, in the order of ``paths``.

    ahead : a second process reads and routes the next images while the caller deals with this one. The program's main module must
    be importable without effect, as for every process that Python spawns. seed : of the registration of sequences.
    progress : of the image that the caller waits for; a second process reports nothing.
    """
    return _by_another(paths, router, device, seed) if ahead else _here(paths, router, device, seed, progress)


def _here(
    paths: Sequence[Path | Source], router: Router | None, device: str, seed: int, progress: Progress
) -> Generator[tuple[Path | Source, LoadedImage | CasewiseError]]:
    for path in paths:
        try:
            yield path, load(path, router, device, seed, progress)
        except CasewiseError as error:
            yield path, error


def _by_another(
    paths: Sequence[Path | Source], router: Router | None, device: str, seed: int
) -> Generator[tuple[Path | Source, LoadedImage | CasewiseError]]:
    waiting: deque[tuple[Path | Source, Future[LoadedImage]]] = deque()
    left: Iterator[Path | Source] = iter(paths)
    pool = _process(router, device, seed)
    try:
        while True:
            waiting.extend((path, pool.submit(_load, path)) for path in islice(left, _AHEAD - len(waiting)))
            if not waiting:
                return
            path, future = waiting.popleft()
            try:
                yield path, future.result()
            except CasewiseError as error:
                yield path, error
            except BrokenProcessPool:
                # The others that it had were not begun; they go to the next process.
                left = iter([*(other for other, _ in waiting), *left])
                waiting.clear()
                pool = _process(router, device, seed)
                yield path, CasewiseError(f"{path} ended the process that read it; it may need more memory than there is.")
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _process(router: Router | None, device: str, seed: int) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(1, get_context("spawn"), _begin, (router, device, seed))


_settings: dict[str, object] = {}


def _begin(router: Router | None, device: str, seed: int) -> None:
    import torch

    threading.Thread(target=_exit_with_the_caller, daemon=True).start()
    torch.set_num_threads(1)
    _settings.update(router=router, device=device, seed=seed)


def _exit_with_the_caller() -> None:
    """Without this, a pool's process would wait for ever after its caller was killed."""
    caller = parent_process()
    if caller is not None:
        wait([caller.sentinel])
        os._exit(0)


def _load(path: Path | Source) -> LoadedImage:
    return load(path, _settings["router"], str(_settings["device"]), _settings["seed"])  # type: ignore[arg-type]


def _since(began: float) -> float:
    return round(time.perf_counter() - began, 4)
