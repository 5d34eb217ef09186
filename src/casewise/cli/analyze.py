"""``casewise analyze``: from an image to a report."""

from __future__ import annotations

from contextlib import ExitStack
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from casewise.cli.common import DeclarationsOption, Device, DeviceOption, ForceOption, JsonOption, SeedOption, answering
from casewise.cli.registered import choose, choose_any
from casewise.files import protecting

if TYPE_CHECKING:
    from casewise.archive import Archive
    from casewise.examination.reading import Source
    from casewise.models import Model
    from casewise.routing.router import Router


class Adapt(StrEnum):
    """Whether the model is refined on similar cases, chosen among the subsets' models, or left alone."""

    NONE = "none"
    SIMILAR = "similar"
    SUBSET = "subset"


class Way(StrEnum):
    """How the sequences of an examination are registered."""

    RIGID = "rigid"
    DEFORMABLE = "deformable"
    NONE = "none"


def analyze(
    images: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="IMAGE",
            help="Image files, or folders that hold a DICOM series or an MR examination of several.",
            show_default=False,
        ),
    ] = None,
    sequences: Annotated[
        list[str] | None,
        typer.Option(
            "--sequence",
            metavar="NAME=IMAGE",
            help="One sequence of a single examination, such as FLAIR=a.nii.gz; given once for each, the reference first.",
            show_default=False,
        ),
    ] = None,
    reference: Annotated[
        str | None,
        typer.Option(
            "--reference",
            metavar="NAME",
            help="The sequence of an examination whose grid the others come to, and findings are told on.",
            show_default="the first --sequence; of a folder FLAIR, else T2, T1 post, T1, …",
        ),
    ] = None,
    register: Annotated[
        Way | None,
        typer.Option(
            "--register",
            help="How the others are brought to it: turned and shifted; bent as well; or left where the files state.",
            show_default="rigid",
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            metavar="MODEL",
            help="A model's folder, a MONAI bundle, a TorchScript file, or the name of a model trained on the archive.",
            show_default="the newest trained on the archive, if any",
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
    region: Annotated[
        str | None,
        typer.Option(
            "--region",
            metavar="NAME",
            help="Compare similar cases within this structure alone, as the model outlines it in the image.",
            show_default="the whole image",
        ),
    ] = None,
    application: Annotated[
        str | None,
        typer.Option(
            "--application",
            metavar="NAME",
            help="Run only this one: a name of `casewise applications`, or organs for the model's own answer.",
            show_default="those of the image's kind, and organs with a model",
        ),
    ] = None,
    files: DeclarationsOption = None,
    site: Annotated[
        str | None,
        typer.Option("--site", metavar="NAME", help="Where the images come from, for rules over applications.", show_default=False),
    ] = None,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="Folder for the reports, masks and results.")
    ] = Path("casewise-output"),
    force: ForceOption = False,
    as_json: JsonOption = False,
    device: DeviceOption = Device.AUTO,
    seed: SeedOption = 0,
) -> None:
    """Analyse images: what kind each is, the applications for that kind, a model fitted to it, findings, and a report.

    The pixels decide which applications see an image; they run side by side, each in a process of its own. With an archive, the
    model answers too: the archive's most similar cases are found, the model is refined on those it was never trained on if a
    check on held-out ones says that it helps, and their labels, registered to the image, are averaged with its answer where they
    fit. The refinement of one image leaves no trace in the next. An image that cannot be read is named and the others are done.

    [bold]Examples[/bold]

      casewise analyze new.nii.gz --archive my-archive
      casewise analyze new.nii.gz --archive my-archive --model heart-model --adapt subset
      casewise analyze a.dcm b.dcm series/ --output reports --json
      casewise analyze --sequence FLAIR=flair.nii.gz --sequence T1=t1.nii.gz

    Read on in docs/how-to/analyze-and-adapt.md.
    """
    kept = f"The reports that are finished stay in {output}."
    inputs = _inputs(images or [], sequences or [], reference, register)
    with answering(as_json, kept) as answer, protecting(_files(images or [], sequences or []), force):
        from casewise.adaptation import subsets
        from casewise.applications.registry import default_registry
        from casewise.archive import Archive
        from casewise.pipeline import Analyzer

        with ExitStack() as stack:
            opened = stack.enter_context(Archive.open(archive)) if archive else None
            network = choose_any(model, opened)
            regions = _regions(opened) if adapt is Adapt.SIMILAR else None
            if network is None and ((adapt not in (None, Adapt.NONE) and regions is None) or application == "organs"):
                network = choose(model, opened)  # which says that there is none
            # Classifiers gained nothing from refinement where it was measured (benchmarks/results/similar_cases.md).
            way = adapt or (Adapt.SIMILAR if opened and network and network.task == "segmentation" else Adapt.NONE)
            if opened and network and way is Adapt.SUBSET:
                subsets.load(subsets.default_folder(opened, network))  # none were made: said once, not for every image
            router, registry = _router(application), default_registry(files or None)
            if router is not None and files:
                registry.check_categories(router.categories)
            analyzer = Analyzer(
                network,
                output,
                archive=opened,
                adapt=way.value,
                regions=regions,
                router=router,
                applications=registry,
                application=application,
                site=site,
                region=region,
                device=device.value,
                seed=seed,
                ahead=network is None,
                progress=answer.progress,
            )
            results, failures = analyzer.many(inputs)
        for failure in failures:
            answer.failed(failure.image, failure.reason)
        for result in results:
            for refused in (result.examination or {}).get("refused_sequences", ()):
                answer.failed(refused["path"], refused["reason"])
            for entry in result.applications:
                if entry["failure"]:
                    answer.failed(result.image, entry["failure"])
        lines = [f"{result.image}: {result.summary.headline}. {result.model.sentence}.\n  {result.report}" for result in results]
        answer.give([result.to_json() for result in results], *lines)


def _files(images: list[Path], sequences: list[str]) -> list[Path]:
    return [*images, *(Path(text.partition("=")[2]) for text in sequences)]


def _inputs(images: list[Path], sequences: list[str], reference: str | None, register: Way | None) -> list[Path | Source]:
    """What is analysed: one examination of named sequences, or files and folders, with the examination's settings where given."""
    from casewise.errors import UsageError
    from casewise.examination.reading import Source, named_files

    way = (register or Way.RIGID).value
    if sequences:
        if images:
            given = ", ".join(str(image) for image in images[:3])
            raise UsageError(
                f"--sequence names the images of one examination, and {given} came beside it; analyse one or the other."
            )
        return [Source(named_files(sequences), None, reference, way)]
    if not images:
        msg = "Name an IMAGE: a file, a folder, or sequences by --sequence NAME=IMAGE. See 'casewise analyze --help'."
        raise UsageError(msg)
    if reference is None and register is None:
        return list(images)
    pictures = [str(image) for image in images if not image.is_dir()]
    if pictures:
        raise UsageError(f"--reference and --register are for examinations; {pictures[0]} is no folder of one.")
    return [Source(folder=image, reference=reference, way=way) for image in images]


def _regions(archive: Archive | None) -> Model | None:
    """The model of a chest radiograph's regions, where the archive has labels from which it can learn."""
    from casewise.adaptation.similar import usable_cases
    from casewise.models.shipped import load

    if archive is None:
        return None
    model = load("chest_regions")
    return model if usable_cases(model, archive) else None


def _router(application: str | None) -> Router | None:
    """What says which kind of image it is; none is needed where the application was named."""
    from casewise.models.shipped import names
    from casewise.routing.router import Router

    return Router.load() if application is None and "router" in names() else None
