"""``casewise analyze``: from an image to a report."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from casewise.cli.common import Answer, answering, plural, say
from casewise.cli.options import (
    DeclarationsOption,
    DeviceOption,
    ForceOption,
    JsonOption,
    OnOption,
    ResultsOption,
    SeedOption,
    TimeoutOption,
    WorkersOption,
    argument,
    flag,
    option,
)
from casewise.errors import UsageError
from casewise.files import protecting

if TYPE_CHECKING:
    from casewise.applications.runner import Runner
    from casewise.pipeline.many import Options
    from casewise.progress import Progress
    from casewise.workers import Workers

_IMAGES = "Image files, or folders that hold a DICOM series or an MR examination of several."
_LIST = "A text file that names an image a line, beside those of the command; - for standard input."
_SEQUENCE = "One sequence of a single examination, such as FLAIR=a.nii.gz; given once for each, the reference first."
_REFERENCE = "The sequence of an examination whose grid the others are brought to; findings are reported on it."
_FIRST = "the first --sequence; of a folder FLAIR, else T2, T1 post, T1, …"
_REGISTER = "How the others are brought to it: turned and shifted; bent as well; or left where the files state."
_MODEL = (
    "A folder of casewise, nnU-Net or a MONAI bundle, a TorchScript file, a task of TotalSegmentator's weights as FOLDER#TASK or "
    "FOLDER#TASK:STRUCTURE,…, or the name of a model trained on the archive."
)
_ADAPT = "none: the model as it is; similar: refined on the similar cases; subset: the one of the image's subset."
_REGION = "Compare similar cases within this structure alone, as the model outlines it in the image."
_APPLICATION = "Run only this one: a name of `casewise applications`, or organs for the model's own answer."
_SITE = "Where the images come from, for rules over applications."
_ALL = "Analyse the images of the archive that have no result yet, and record the results in the archive."
_OUTPUT = Path("casewise-output")


def analyze(
    images: Annotated[list[Path] | None, argument("IMAGE", _IMAGES)] = None,
    listed: Annotated[str | None, option("--list", metavar="FILE", help=_LIST)] = None,
    sequences: Annotated[list[str] | None, option("--sequence", metavar="NAME=IMAGE", help=_SEQUENCE)] = None,
    reference: Annotated[
        str | None,
        option(
            "--reference",
            metavar="NAME",
            help=_REFERENCE,
            default=_FIRST,
        ),
    ] = None,
    register: Annotated[
        Literal["rigid", "deformable", "none"] | None, option("--register", help=_REGISTER, default="rigid")
    ] = None,
    model: Annotated[
        str | None, option("--model", metavar="MODEL", help=_MODEL, default="the newest trained on the archive, if any")
    ] = None,
    archive: Annotated[str | None, option("--archive", metavar="ARCHIVE", help="Where similar cases are looked for.")] = None,
    adapt: Annotated[
        Literal["none", "similar", "subset"] | None,
        option("--adapt", help=_ADAPT, default="similar for a segmenter with an archive, else none"),
    ] = None,
    every: Annotated[bool, flag("--all", _ALL)] = False,
    region: Annotated[str | None, option("--region", metavar="NAME", help=_REGION, default="the whole image")] = None,
    application: Annotated[
        str | None,
        option("--application", metavar="NAME", help=_APPLICATION, default="those of the image's kind, and organs with a model"),
    ] = None,
    files: DeclarationsOption = None,
    site: Annotated[str | None, option("--site", metavar="NAME", help=_SITE)] = None,
    workers: WorkersOption = None,
    on: OnOption = None,
    timeout: TimeoutOption = None,
    output: ResultsOption = _OUTPUT,
    force: ForceOption = False,
    as_json: JsonOption = False,
    device: DeviceOption = "auto",
    seed: SeedOption = 0,
) -> None:
    """Analyse images: what kind each is, the applications for that kind, a model fitted to it, findings, and a report.

    Pixels and DICOM tags decide which applications see an image, and the rules of --applications; they run side by side, in
    processes of their own. Rules also choose the model and how it is adapted, where no option does; where results are sent is for
    the server alone. With an archive, the model answers too: the archive's most similar cases are found, the model is refined on
    those it was never trained on if a check on held-out ones says that it helps, and their labels, registered to the image, are
    averaged with its answer where they fit. The refinement of one image leaves no trace in the next. An image that cannot be read
    is named and the others are done.

    Many images go to several processes by --workers, or to the machines of a Ray cluster by --on, with the same results. A call
    that was stopped or killed goes on where it was when it is made again. With --all these are the images of an archive, with the
    applications and rules of its applications.toml too, and the results are recorded in it: as `casewise serve` does.

    [bold]Examples[/bold]

      casewise analyze new.nii.gz --archive my-archive
      casewise analyze new.nii.gz --archive my-archive --model heart-model --adapt subset
      casewise analyze a.dcm b.dcm series/ --output reports --json
      casewise analyze films/*.dcm --workers 8 --output reports
      find films -name "*.dcm" | casewise analyze --list - --on ray://node1:6379
      casewise analyze --all --archive my-archive --workers 8
      casewise analyze --sequence FLAIR=flair.nii.gz --sequence T1=t1.nii.gz

    Read on in docs/how-to/analyze-and-adapt.md and docs/how-to/many-images.md.
    """
    here = workers is None and on is None
    if here and timeout is not None:
        raise UsageError("--timeout ends a worker that takes too long; give it with --workers or --on.")
    if every:
        _check_all(archive, [images, listed, sequences, reference, register], output, force)
    from casewise.examination.reading import named_files
    from casewise.examination.sources import sources

    named = named_files(sequences or ())
    images = [*(images or []), *(_listed(listed) if listed is not None else [])]
    inputs = sources(images, named, reference, register) if not every else ()
    counted = _Counted(archive if every else output)
    with (
        answering(as_json, counted.kept) as answer,
        protecting([*images, *(path for _, path in named)], force, "analyze"),
        _started(0 if application == "organs" else sys.maxsize if every else len(inputs)) if here else nullcontext() as runner,
    ):
        from casewise.pipeline.many import Options, analyze_many, usual_limit
        from casewise.workers import chosen

        options = Options(model, archive, adapt, region, application, tuple(files or ()), site, device, seed)
        with chosen(workers, on, gpus=1 if device == "cuda" else 0, limit=timeout or usual_limit(options)) as crew:
            progress = counted.beside(answer.progress)
            if every:
                return _whole(answer, options, crew, runner, progress)
            outcomes = analyze_many(inputs, options, output, crew, force=force, runner=runner, progress=progress, notify=say)
        for outcome in outcomes:
            if "failure" in outcome:
                answer.failed(outcome["image"], outcome["failure"])
            for where, reason in outcome.get("problems", ()):
                answer.failed(where, reason)
        done = [outcome for outcome in outcomes if "failure" not in outcome]
        documents = [json.loads(Path(one["document"]).read_text(encoding="utf-8")) for one in done] if as_json else None
        answer.give(documents, *(f"{one['image']}: {one['headline']}. {one['model']}.\n  {one['report']}" for one in done))


class _Counted:
    """How many images are done, for the sentence at Ctrl-C. place : where their results are."""

    def __init__(self, place: object) -> None:
        self._place = place
        self._done, self._total = 0, 0

    def beside(self, progress: Progress) -> Progress:
        """``progress``, which is listened to."""
        from casewise.pipeline.many import STEP

        def report(step: str, done: int, total: int | None = None, note: str = "", /) -> None:
            if step == STEP:
                self._done, self._total = done, total or 0
            progress(step, done, total, note)

        return report

    def kept(self) -> str:
        if not self._done:
            return "No image was finished by this call; run the same command again."
        done = f"Images done: {self._done:,} of {self._total:,}."
        return f"{done} The results stay in {self._place}; run the same command again to go on."


def _check_all(archive: str | None, others: Sequence[object], output: Path, force: bool) -> None:
    if archive is None:
        raise UsageError("--all analyses the images of an archive; name it with --archive.")
    if any(others) or output != _OUTPUT or force:
        raise UsageError(
            "--all takes the images of the archive and writes into it; leave out IMAGE, --list, --sequence and --output."
        )


def _whole(answer: Answer, options: Options, workers: Workers, runner: Runner | None, progress: Progress) -> None:
    """The images of an archive, with the results recorded in it."""
    from casewise.pipeline.archived import analyze_all

    found = analyze_all(options, workers, runner=runner, progress=progress, notify=say)
    for key, reason in found.failed:
        answer.failed(key, reason)
    document = {"analysed": found.done, "kept": found.kept, "failed": [{"key": key, "reason": why} for key, why in found.failed]}
    answer.give(document, f"{plural(found.done, 'image')} analysed; the results are in {options.archive} (`casewise serve`).")


def _listed(file: str) -> list[Path]:
    """The images that a text file names, a line each."""
    try:
        text = sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8", errors="surrogateescape")
    except OSError as error:
        msg = f"{file} cannot be read ({error.strerror}); give --list a text file that names an image a line."
        raise UsageError(msg) from error
    return [Path(line) for line in text.splitlines() if line.strip()]


@contextmanager
def _started(images: int) -> Iterator[Runner]:
    """A runner whose processes import what they need while this one does."""
    from casewise.allocation import keep_freed
    from casewise.applications.runner import Runner

    keep_freed()
    with Runner() as runner:
        runner.start(images)
        yield runner
