"""The demonstration: import, train, find similar cases, refine, analyse, report; on files, by the same calls that a user makes."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from casewise import formats
from casewise.adaptation import Plan, refine
from casewise.adaptation.refinement import REFINEMENT
from casewise.archive import Archive
from casewise.case import Structure
from casewise.chest.upright import UprightEncoder
from casewise.demo.accuracy import Accuracy, dice_of_files, dice_of_prediction
from casewise.demo.description import REAL_AND_SIMULATED, sections
from casewise.demo.images import STRUCTURES, DemoImages, write_images
from casewise.device import resolve_device
from casewise.errors import UsageError
from casewise.models import Model
from casewise.pipeline import Analyzer
from casewise.progress import Progress, silent
from casewise.reporting.report import write_report
from casewise.reporting.sheet import contact_sheet
from casewise.reporting.similar import SimilarPicture
from casewise.result import Result, SimilarCase
from casewise.training import Input, Settings, train_segmenter

_PARTS = ("images", "archive", "model", "report")  # what the demonstration writes, and may replace
_MARK = ".casewise-demo"
_SHOWN = 8
# The new scanner's contrast is turned round: more than the defaults are made for, which move a model gently.
_REFINEMENT = Plan(settings=replace(REFINEMENT, steps=60, rate=1.5e-3))
_STEPS = 240  # enough for a Dice of 0.9 on the known sites, in less than a minute on two cores


def run(output: Path, seed: int = 0, device: str = "auto", progress: Progress = silent) -> dict[str, object]:
    """Run the demonstration in ``output`` and return its summary, ready for JSON.

    ``report`` and ``sheet`` (paths), ``images`` (in the archive), ``similar`` (as of :class:`casewise.SimilarCase`), ``refined``
    (whether the rule chose the refined model), ``dice_before`` and ``dice_after`` (of the new image, mean over the structures),
    ``further`` (the same for further images of the unseen site, one number an image), ``dice_known_sites`` (of the first model on
    unseen images of the sites it was trained on) and ``seconds`` a step. An earlier demonstration in ``output`` is replaced; a
    folder with anything else in it is refused with a UsageError.
    """
    device = resolve_device(device)
    seconds: dict[str, float] = {}
    _prepare(output)
    with _timed(seconds, "images"):
        files = write_images(output / "images", seed)
    with Archive.open(output / "archive", create=True) as archive:
        with _timed(seconds, "import"):
            archive.import_paths([files.others], progress=progress)
            archive.import_paths([], manifest=files.known, progress=progress)
        with _timed(seconds, "train"):
            model = _first_model(archive, seed, device, progress)
            model.save(output / "model")
        with _timed(seconds, "grow"):
            archive.import_paths([], manifest=files.grown, progress=progress)
            archive.embed(UprightEncoder(model.encoder(device), device), progress=progress)
        return _analysed(output, files, archive, model, seed, device, seconds, progress)


def _first_model(archive: Archive, seed: int, device: str, progress: Progress) -> Model:
    """A segmenter from random weights, trained on all that the archive has so far: the known sites' cases."""
    return train_segmenter(
        archive.cases(STRUCTURES),
        [Structure.parse(name) for name in STRUCTURES],
        "tissue",
        input=Input(size=128),
        settings=Settings(steps=_STEPS, batch=8, seed=seed, device=device, validate_every=max(1, _STEPS // 4)),
        progress=lambda step, total, loss: progress("Training", step, total),
    )


def _analysed(
    output: Path,
    files: DemoImages,
    archive: Archive,
    model: Model,
    seed: int,
    device: str,
    seconds: dict[str, float],
    progress: Progress,
) -> dict[str, object]:
    image = formats.read(files.new.image)
    analyzer = Analyzer(
        model,
        output / "report",
        archive=archive,
        adapt="similar",
        plan=_REFINEMENT,
        device=device,
        seed=seed,
        notes=REAL_AND_SIMULATED,
    )
    with _timed(seconds, "analyze"):
        result = analyzer.one(files.new.image)
    masks = {finding.label: finding.mask for finding in result.findings if finding.mask is not None}
    new = Accuracy(dice_of_prediction(model.predict(image, device), files.new), dice_of_files(masks, files.new))
    with _timed(seconds, "check"):
        further = []
        for number, labelled in enumerate(files.further, start=1):
            other = formats.read(labelled.image)
            refined = refine(model, other, archive, plan=analyzer.plan)
            before, after = (dice_of_prediction(each.predict(other, device), labelled) for each in (model, refined))
            further.append(Accuracy(before, after))
            progress("Checking", number, len(files.further))
        known = [dice_of_prediction(model.predict(formats.read(one.image), device), one) for one in files.checked]
    with _timed(seconds, "report"):
        pictures, common = _similar(archive, result.similar)
        truth = {name: formats.read_mask(path, image) for name, path in masks.items()}
        extra = sections(new, further, known)
        report = write_report(result, image, truth, output / "report", pictures, common=common, extra=extra, name=_stem(result))
        sheet = contact_sheet(image, pictures, output / "report" / "similar.png", common, masks=truth)
    return {
        "report": str(report),
        "images": len(archive),
        "similar": [case.to_json() for case in result.similar],
        "refined": result.model.parent is not None,
        "dice_before": round(new.before, 4),
        "dice_after": round(new.after, 4),
        "further": {
            "dice_before": [round(one.before, 4) for one in further],
            "dice_after": [round(one.after, 4) for one in further],
        },
        "dice_known_sites": [round(one, 4) for one in known],
        "seconds": {step: round(value, 2) for step, value in seconds.items()},
        "sheet": str(sheet),
    }


def _similar(archive: Archive, similar: tuple[SimilarCase, ...]) -> tuple[list[SimilarPicture], list[str]]:
    """The pictures of the similar cases with their masks, and what they have in common."""
    from casewise.archive.retrieval.content import common

    cases = {case.key: case for case in archive.cases(keys=[found.key for found in similar[:_SHOWN]])}
    pictures = [
        SimilarPicture(found, cases[found.key].image, {name: load() for name, load in cases[found.key].load_masks.items()})
        for found in similar[:_SHOWN]
    ]
    content = [dict(cases[found.key].content) for found in similar[:_SHOWN]]
    return pictures, common(content, [dict(record.content) for record in archive.cases()])


def _prepare(output: Path) -> None:
    """An empty folder with the demonstration's mark; an earlier demonstration in it is removed."""
    mark = output / _MARK
    try:
        if output.is_dir() and any(output.iterdir()) and not mark.is_file():
            msg = f"{output} holds other files; name a new or empty folder for the demonstration with --output."
            raise UsageError(msg)
        output.mkdir(parents=True, exist_ok=True)
        for part in _PARTS:
            if (output / part).exists():
                shutil.rmtree(output / part)
        mark.touch()
    except OSError as error:
        msg = f"The demonstration cannot be written to {output}: {error.strerror}; name another folder with --output."
        raise UsageError(msg) from error


@contextmanager
def _timed(seconds: dict[str, float], step: str) -> Iterator[None]:
    began = time.perf_counter()
    yield
    seconds[step] = seconds.get(step, 0.0) + time.perf_counter() - began


def _stem(result: Result) -> str | None:
    return result.report.stem if result.report else None
