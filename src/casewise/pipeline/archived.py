"""An archive's own images analysed by workers, and the results recorded in its catalogue: each image once, whatever is killed.

Workers read the images and write reports and masks below the archive; results come back as JSON and are recorded here, in batches:
a transaction of many costs little more than one of a single result, and a worker that dies has recorded nothing half.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from casewise.allocation import keep_freed
from casewise.applications.of_archive import declared_files, registry_of
from casewise.applications.runner import Runner
from casewise.archive import Archive
from casewise.archive.columns import Written
from casewise.archive.nameless import NamelessArchive, display_name
from casewise.errors import CasewiseError
from casewise.pipeline.alone import alone
from casewise.pipeline.analyzer import Analyzer, Failure
from casewise.pipeline.call import open_analyzer
from casewise.pipeline.many import STEP, Options, embed_first
from casewise.pipeline.recorded import recorded, results_folder, skipped
from casewise.pipeline.result_batches import ResultBatches
from casewise.prefetch import LoadedImage, ResultPlace
from casewise.progress import Progress, silent
from casewise.result import Result
from casewise.workers import Here, Lost, Make, Workers, chunked

if TYPE_CHECKING:
    from casewise.workers.contract import Do

JOB = 0  # in place of the number of a server's job, which counts from 1


@dataclass(frozen=True)
class Outcome:
    """document : the result as it is to be recorded; None where there is none, for the reason ``failure``, a sentence."""

    document: Written | None = None
    failure: str = ""

    @classmethod
    def of(cls, document: Mapping[str, object]) -> Outcome:
        """With a result, whose JSON the worker writes: the process that records the results of all has enough to do."""
        return cls(Written(json.dumps(document)))


@dataclass
class Analysed:
    """Of an archive's images: how many have a result of this call, how many had one before, and (key, reason) of the others."""

    done: int = 0
    kept: int = 0
    failed: list[tuple[str, str]] = field(default_factory=list)


@dataclass(frozen=True)
class ArchiveAnalysis:
    """Opens what a worker needs. options : with the archive. runner : as of :class:`casewise.pipeline.many.Analysis`."""

    options: Options
    runner: Runner | None = None
    progress: Progress = silent

    @contextmanager
    def __call__(self) -> Iterator[Do[str, Outcome]]:
        with ExitStack() as stack:
            runner = self.runner
            if runner is None:
                keep_freed()
                runner = stack.enter_context(Runner(1))
            archive = stack.enter_context(NamelessArchive.open(str(self.options.archive)))
            options = {**vars(self.options), "archive": archive}
            analyzer = stack.enter_context(stack.enter_context(open_analyzer(**options, runner=runner, progress=self.progress)))
            together = self.runner is not None

            def do(keys: Sequence[str]) -> Iterator[Outcome]:
                for group in [keys] if together else [[key] for key in keys]:
                    for answer in analyzer.loaded(_images(archive, analyzer, group)):
                        yield _outcome(answer, archive.folder)

            yield do


def analyze_all(
    options: Options,
    workers: Workers,
    *,
    runner: Runner | None = None,
    progress: Progress = silent,
    notify: Callable[[str], None] = lambda sentence: None,
) -> Analysed:
    """Analyse the images of the archive of ``options`` that have no result yet; see :func:`analyze_archive`.

    The applications are those that the archive's server runs; ``options.declarations`` take the place of CASEWISE_APPLICATIONS.
    runner : of the applications, where the worker is this process and uses all cores.
    """
    options = options.fixed(notify)
    with Archive.open(str(options.archive)) as archive:
        named = [Path(file) for file in options.declarations] or None
        registry_of(archive.folder, named)  # a mistake in the files is said before a worker starts
        options = replace(options, declarations=tuple(declared_files(archive.folder, named)))
        if not isinstance(workers, Here) and archive.keys_without_result():
            embed_first(options, workers, progress)
        make = ArchiveAnalysis(options, runner, progress if runner is not None else silent)
        return analyze_archive(archive, make, workers, progress=progress, notify=notify)


def analyze_archive(
    archive: Archive,
    make: Make[str, Outcome],
    workers: Workers,
    *,
    progress: Progress = silent,
    notify: Callable[[str], None] = lambda sentence: None,
) -> Analysed:
    """Analyse the images of ``archive`` that have no result yet, and record what comes of each.

    Images that fail are named, and tried again by the next call. notify : called with sentences for the user. Raises UsageError
    where another call does the same, and CasewiseError for what stops all images.
    """
    with alone(archive.folder, f"Another call is analysing the images of {archive.folder}; wait for it."):
        keys = archive.keys_without_result()
        found = Analysed(kept=len(archive) - len(keys))
        if found.kept:
            notify(f"{found.kept:,} of {found.kept + len(keys):,} images have a result already, and are left out.")
        chunks = [keys] if isinstance(workers, Here) and keys else chunked(keys, workers.size)
        progress(STEP, 0, len(keys))

        def count(number: int) -> None:
            found.done += 1

        with ResultBatches(archive) as batches, closing(workers.run(chunks, make)) as coming:
            for number, (key, outcome) in enumerate(coming, 1):
                if isinstance(outcome, Lost):
                    found.failed.append((key, outcome.reason))
                elif outcome.document is None:
                    found.failed.append((key, outcome.failure))
                else:
                    batches.add(outcome.document, key, count)
                progress(STEP, number, len(keys))
    return found


def load_case(archive: Archive, key: str, analyzer: Analyzer, results: ResultPlace, site: str | None) -> LoadedImage:
    """An image of the archive with its route; what an earlier try left of its results is removed.

    Raises CasewiseError where it cannot be read.
    """
    shutil.rmtree(results.folder, ignore_errors=True)
    began = time.perf_counter()
    image = archive.case(key).image
    seconds = {"read": time.perf_counter() - began}
    route = analyzer.router.route(image, device=analyzer.device) if analyzer.router is not None else None
    return LoadedImage(image.source or Path(key), image, route, seconds, results=results, known={"site": site})


def _images(archive: Archive, analyzer: Analyzer, keys: Sequence[str]) -> Iterator[tuple[Path, LoadedImage | CasewiseError]]:
    for key in keys:
        try:
            record = archive.images([key])[0]
            place = ResultPlace(results_folder(archive.folder, key, JOB), display_name(record.name, record.kind, key, False))
            yield Path(key), load_case(archive, key, analyzer, place, record.site or analyzer.site)
        except CasewiseError as error:
            yield Path(key), error


def _outcome(answer: Result | Failure, folder: Path) -> Outcome:
    about = {"job": JOB, "created": time.time(), "by": None}
    if isinstance(answer, Result):
        return Outcome.of(recorded(answer, folder, **about))
    if answer.decision is not None:
        return Outcome.of({**skipped(answer.decision), **about})
    return Outcome(failure=answer.reason)
