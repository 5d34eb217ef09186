"""``casewise analyze``: from an image to a report."""

from __future__ import annotations

from contextlib import ExitStack
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from casewise.cli.common import Answer, Device, DeviceOption, JsonOption, SeedOption, answering
from casewise.cli.registered import choose


class Application(StrEnum):
    """What is made of a model's answer."""

    ORGANS = "organs"


class Adapt(StrEnum):
    """Whether the model is refined on similar cases, chosen among the subsets' models, or left alone."""

    NONE = "none"
    SIMILAR = "similar"
    SUBSET = "subset"


def analyze(
    images: Annotated[
        list[Path],
        typer.Argument(metavar="IMAGE", help="Image files, or folders that hold a DICOM series.", show_default=False),
    ],
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            metavar="MODEL",
            help="A model's folder, a MONAI bundle, a TorchScript file, or the name of a model trained on the archive.",
            show_default="the newest trained on the archive",
        ),
    ] = None,
    archive: Annotated[
        str | None,
        typer.Option("--archive", metavar="ARCHIVE", help="Where similar cases are looked for.", show_default=False),
    ] = None,
    adapt: Annotated[
        Adapt | None,
        typer.Option(
            "--adapt",
            help="none: the model as it is; similar: refined on the similar cases; subset: the one of the image's subset.",
            show_default="similar for a segmenter with an archive, else none",
        ),
    ] = None,
    application: Annotated[
        Application,
        typer.Option(
            "--application", help="What is made of the model's answer: organs tells each structure or class with measures."
        ),
    ] = Application.ORGANS,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="Folder for the reports, masks and results.")
    ] = Path("casewise-output"),
    as_json: JsonOption = False,
    device: DeviceOption = Device.AUTO,
    seed: SeedOption = 0,
) -> None:
    """Analyse images: similar cases, a model fitted to each, findings, and a report to open in a browser.

    For each image the archive's most similar cases are found and the model is refined on those it was never trained on, if a
    check on held-out ones says that it helps; otherwise the model answers as it is, and the report says so. The refinement of
    one image leaves no trace in the next. An image that cannot be read is named and the others are done.

    [bold]Examples[/bold]

      casewise analyze new.nii.gz --archive my-archive
      casewise analyze new.nii.gz --archive my-archive --model heart-model --adapt subset
      casewise analyze a.dcm b.dcm series/ --model lung-model --adapt none --output reports --json

    Read on in docs/analyze-and-adapt.md.
    """
    kept = f"The reports that are finished stay in {output}."
    with answering(as_json, kept) as answer:
        from casewise.adaptation import subsets
        from casewise.analysis import Analyzer
        from casewise.analysis import analyze as analyze_all
        from casewise.archive import Archive
        from casewise.reporting.wording import found_sentence, model_sentence

        with ExitStack() as stack:
            opened = stack.enter_context(Archive.open(archive)) if archive else None
            network = choose(model, opened)
            # Classifiers gained nothing from refinement where it was measured (benchmarks/results/similar_cases.md).
            way = adapt or (Adapt.SIMILAR if opened and network.task == "segmentation" else Adapt.NONE)
            if opened and way is Adapt.SUBSET:
                subsets.load(subsets.default_folder(opened, network))  # none were made: said once, not for every image
            analyzer = Analyzer(
                network,
                output,
                archive=opened,
                adapt=way.value,
                application=application.value,
                device=device.value,
                seed=seed,
            )
            results, failures = analyze_all(analyzer, images, partial(_move, answer))
        for failure in failures:
            answer.failed(failure.image, failure.reason)
        lines = [
            f"{result.image}: {found_sentence(result)}. {model_sentence(result.model)}.\n  {result.report}" for result in results
        ]
        answer.give([result.to_json() for result in results], *lines)


def _move(answer: Answer, done: int, total: int, name: str) -> None:
    answer.progress("Analysing", done, total, name)
