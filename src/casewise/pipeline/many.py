"""Many images analysed by workers: in this process, in several, or on a Ray cluster, with the same results."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from casewise import __version__
from casewise.allocation import keep_freed
from casewise.applications.detected import is_detector
from casewise.applications.organs import NAME as ORGANS
from casewise.applications.runner import Runner
from casewise.errors import CasewiseError
from casewise.examination.reading import Source
from casewise.files import claim, protecting
from casewise.json_safe import plain
from casewise.models import load
from casewise.names import legible
from casewise.pipeline.analyzer import Analyzer, Failure
from casewise.pipeline.call import StrPath, newest_of, open_analyzer
from casewise.pipeline.embedding import embed_by
from casewise.pipeline.journal import NAME as JOURNAL
from casewise.pipeline.journal import Stamp, journal, stamp_of
from casewise.pipeline.writing import FileNames, make_folder
from casewise.progress import Progress, silent
from casewise.reporting.report import index_row, write_index
from casewise.result import Result
from casewise.workers import Here, Lost, Workers, chunked

if TYPE_CHECKING:
    from casewise.workers.contract import Do

STEP = "Analysing"  # whose progress counts images that are done
_LIMIT, _REFINED_LIMIT = 3600.0, 6 * 3600.0  # seconds that an image may take in a worker: far more than any that was seen to end

Piece = tuple[Path | Source, str | None]  # an image, and the stem of its results' files; None: the analyzer's choice
# ``image``, and ``failure`` (a sentence), or: ``headline``, ``model`` (which one answered), ``report`` and ``document`` (files),
# ``row`` (of the index), ``problems`` ((path or image, sentence) of sequences that were refused and applications that failed).
Outcome = dict[str, Any]


@dataclass(frozen=True)
class Options:
    """As of :func:`casewise.analyze`, of which each can be handed to another process. newest : as of ``open_analyzer``."""

    model: StrPath | None = None
    archive: StrPath | None = None
    adapt: str | None = None
    region: str | None = None
    application: str | None = None
    declarations: tuple[StrPath, ...] = ()
    site: str | None = None
    device: str = "auto"
    seed: int = 0
    newest: StrPath | None = None

    def fixed(self, notify: Callable[[str], None]) -> Options:
        """With the archive's newest model by name, where none is named: one that is trained meanwhile changes nothing."""
        if self.model is not None or self.archive is None:
            return self
        from casewise.archive import Archive

        with Archive.open(Path(self.archive)) as archive:
            return replace(self, newest=newest_of(archive, notify))

    def to_json(self) -> dict[str, object]:
        """With a stamp of the files that are named."""
        files = [file for file in (self.model, self.newest, *self.declarations) if file is not None]
        return {"version": __version__, **vars(self), "stamps": [stamp_of(Path(file)) for file in files]}


def usual_limit(options: Options) -> float:
    """Seconds that an image may take in a worker, where nobody says; more where a model may be refined for it."""
    return _REFINED_LIMIT if options.archive is not None and options.adapt in (None, "similar") else _LIMIT


@dataclass(frozen=True)
class Analysis:
    """Opens what a worker needs. force, inputs : as of :func:`casewise.files.protecting`.

    runner : of the applications: then several images are under way at once, as one process on all cores does it; None: one after
    the other, for one worker of several.
    """

    options: Options
    output: Path
    force: bool = False
    inputs: tuple[Path, ...] = ()
    runner: Runner | None = None
    progress: Progress = silent

    @contextmanager
    def __call__(self) -> Iterator[Do[Piece, Outcome]]:
        with ExitStack() as stack:
            runner = self.runner
            if runner is None:
                self._check()
                keep_freed()
                stack.enter_context(protecting(self.inputs, self.force, "analyze"))
                runner = stack.enter_context(Runner(1))
            opening = open_analyzer(**vars(self.options), output=self.output, runner=runner, progress=self.progress)
            analyzer = stack.enter_context(opening)
            together = self.runner is not None

            def do(pieces: Sequence[Piece]) -> Iterator[Outcome]:
                for group in [pieces] if together else [[piece] for piece in pieces]:
                    yield from _outcomes(analyzer, self.output, group)

            yield do

    def _check(self) -> None:
        """Raises CasewiseError where this machine does not see the caller's folder of results."""
        if not (self.output / JOURNAL).is_file():
            raise CasewiseError(
                f"{self.output} is not the same folder here as where the analysis was started; "
                "mount the file system with the images and the results at the same place on every machine."
            )


def analyze_many(
    sources: Sequence[Path | Source],
    options: Options,
    output: Path,
    workers: Workers,
    *,
    force: bool = False,
    runner: Runner | None = None,
    progress: Progress = silent,
    notify: Callable[[str], None] = lambda sentence: None,
) -> list[Outcome]:
    """Analyse images into ``output``, and give their outcomes in order; several get an index page.

    One that fails is named and the others go on. Where an earlier call of the same options into the same folder was cut off, its
    images are kept, unless their files changed. runner : of the applications, where the worker is this process and uses all cores.
    notify : called with sentences for the user. Raises CasewiseError for what stops all images.
    """
    make_folder(output)
    options = options.fixed(notify)
    if len(sources) > 1:
        claim(output / "index.html")
    pieces = _named(sources)
    inside = tuple(path for source in sources for path in _paths(source) if _lies_in(path, output))
    make = Analysis(options, output, force, inside, runner, progress if runner is not None else silent)
    with journal(output, options.to_json()) as record:
        done = {piece: known for piece in pieces if (known := record.outcome(*_identity(piece))) is not None}
        if done:
            notify(
                f"{len(done)} of {len(pieces)} images were finished by an earlier call that was cut off, and are kept; "
                f"remove {record.path} to analyse them again."
            )
        record.start()
        left = [piece for piece in pieces if piece not in done]
        if left and not isinstance(workers, Here):
            embed_first(options, workers, progress)
        progress(STEP, len(done), len(pieces))
        with closing(workers.run(_chunks(left, workers), make)) as coming:
            for piece, found in coming:
                done[piece] = _failed(piece, found) if isinstance(found, Lost) else found
                record.record(*_identity(piece), done[piece])
                progress(STEP, len(done), len(pieces), _paths(piece[0])[0].name)
        outcomes = [done[piece] for piece in pieces]
        if len(sources) > 1:
            failures = [(one["image"], one["failure"]) for one in outcomes if "failure" in one]
            write_index([one["row"] for one in outcomes if "row" in one], output, failures)
    return outcomes


def embed_first(options: Options, workers: Workers, progress: Progress) -> None:
    """Give the archive's images the vectors by which they are compared, each by one worker: else every worker makes all of them."""
    if options.archive is None or options.application not in (None, ORGANS):
        return  # nothing is compared
    from casewise.archive import Archive

    with Archive.open(Path(options.archive)) as archive:
        name = options.model or options.newest
        detects = name is not None and is_detector(load(name, archive=archive))
        embed_by(workers, archive, str(name) if name is not None and not detects else None, options.device, progress)


def _named(sources: Sequence[Path | Source]) -> list[Piece]:
    """Each with the stem of its results, whoever analyses it and whatever becomes of the others."""
    names = FileNames()
    return [(source, None if isinstance(source, Source) and source.files else names.next(_paths(source)[0])) for source in sources]


def _paths(source: Path | Source) -> list[Path]:
    if isinstance(source, Path):
        return [source]
    return [source.folder] if source.folder is not None else [path for _, path in source.files]


def _lies_in(path: Path, folder: Path) -> bool:
    return path.resolve().is_relative_to(folder.resolve())


def _identity(piece: Piece) -> tuple[str, str, Stamp]:
    source, name = piece
    stamps = [stamp_of(path) for path in _paths(source)]
    return name or "", legible(str(source)), [number for stamp in stamps for number in stamp or []] or None


def _chunks(pieces: Sequence[Piece], workers: Workers) -> list[Sequence[Piece]]:
    """One for this process, which has several images under way at once."""
    if isinstance(workers, Here):
        return [pieces] if pieces else []
    return chunked(pieces, workers.size)


def _outcomes(analyzer: Analyzer, output: Path, pieces: Sequence[Piece]) -> Iterator[Outcome]:
    answers = analyzer.all([source for source, _ in pieces], [name for _, name in pieces])
    for piece, answer in zip(pieces, answers, strict=True):
        yield _failed(piece, answer) if isinstance(answer, Failure) else _found(answer, output)


def _failed(piece: Piece, failure: Failure | Lost) -> Outcome:
    return {"image": legible(str(piece[0])), "failure": legible(failure.reason)}


def _found(result: Result, output: Path) -> Outcome:
    if result.report is None:
        raise ValueError("A result without a report.")
    refused = (result.examination or {}).get("refused_sequences", ())
    problems = [(one["path"], one["reason"]) for one in refused]
    problems += [(result.image, entry["failure"]) for entry in result.applications if entry["failure"]]
    outcome = {
        "image": result.image,
        "headline": result.summary.headline,
        "model": result.model.sentence,
        "report": result.report,
        "document": result.report.with_suffix(".json"),
        "row": index_row(result, output),
        "problems": problems,
    }
    return cast("Outcome", plain(outcome))
