"""``casewise train``: initial models from an archive, one sub-command a task."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from casewise.cli.common import Answer, answering, page, say
from casewise.cli.options import ArchiveArgument, DeviceOption, JsonOption, SeedOption, SitesOption, option
from casewise.cli.train_irregularities import irregularities
from casewise.cli.train_job import (
    KEPT,
    DimensionsOption,
    FromOption,
    Job,
    OutputOption,
    SizeOption,
    StepsOption,
    WindowOption,
    measure_lines,
)
from casewise.cli.train_lesions import lesions
from casewise.cli.train_sites import sites

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from casewise.case import Structure
    from casewise.models import Model
    from casewise.training import Input

HELP = """Train a model on an archive's cases, or continue one that is there (--from).

Subjects are split so that none is on both sides; the model that is best on the held-out ones is kept, with the keys of the
cases it was trained on: later, refinement looks for similar cases that the model has not seen. The result is a folder
(model.toml, weights.safetensors, card.md) that never changes afterwards; the archive records where it lies, so that
`casewise analyze --archive ARCHIVE` finds it.

[bold]Examples[/bold]

  casewise train segmenter my-archive --structure heart --output heart-model
  casewise train classifier my-archive --output class-model
  casewise train router my-archive --output my-router
  casewise train lesions my-archive --output lesion-model
  casewise train irregularities my-archive --structure nodule --output nodule-detector
  casewise train sites my-archive --from heart-model --output heart-of-all-sites

Read on in docs/how-to/train-a-model.md.
"""


_STRUCTURE = "What to outline: a mask's name, or a name for several masks' union; may be repeated."
_CLASSIFIER = "The classifier over the network's features; both are kept."


def segmenter(
    archive: ArchiveArgument,
    output: OutputOption,
    structure: Annotated[
        list[str] | None,
        option("--structure", metavar="NAME[=PART+…]", help=_STRUCTURE, default="with --from: that model's"),
    ] = None,
    parent: FromOption = None,
    steps: StepsOption = None,
    size: SizeOption = 128,
    dimensions: DimensionsOption = 2,
    window: WindowOption = None,
    site: SitesOption = None,
    as_json: JsonOption = False,
    device: DeviceOption = "auto",
    seed: SeedOption = 0,
) -> None:
    """Train a model that outlines structures.

    [bold]Examples[/bold]

      casewise train segmenter my-archive --structure heart --output heart-model
      casewise train segmenter my-archive --structure lungs=left_lung+right_lung -o lungs

    Read on in docs/how-to/train-a-model.md.
    """
    with answering(as_json, KEPT) as answer:
        from casewise.case import Structure
        from casewise.training import Input, train_segmenter

        job = Job(archive, output, parent, site or [], steps, device, seed)
        structures = [Structure.parse(text) for text in structure or ()]
        _train(answer, job, train_segmenter, structures, Input(size, dimensions, window))


def classifier(
    archive: ArchiveArgument,
    output: OutputOption,
    category: Annotated[
        list[str] | None,
        option("--category", metavar="NAME", help="A class of the model; may be repeated.", default="all that the archive has"),
    ] = None,
    parent: FromOption = None,
    steps: StepsOption = None,
    size: SizeOption = 128,
    dimensions: DimensionsOption = 2,
    window: WindowOption = None,
    site: SitesOption = None,
    as_json: JsonOption = False,
    device: DeviceOption = "auto",
    seed: SeedOption = 0,
) -> None:
    """Train a model that says which category an image belongs to.

    [bold]Examples[/bold]

      casewise train classifier my-archive --output class-model
      casewise train classifier my-archive --category normal --category pneumonia -o chest

    Read on in docs/how-to/train-a-model.md.
    """
    with answering(as_json, KEPT) as answer:
        from casewise.training import Input, train_classifier

        job = Job(archive, output, parent, site or [], steps, device, seed)
        _train(answer, job, train_classifier, category or [], Input(size, dimensions, window))


def router(
    archive: ArchiveArgument,
    output: OutputOption,
    classifier: Annotated[Literal["softmax", "svm"], option("--classifier", help=_CLASSIFIER, default=True)] = "softmax",
    site: SitesOption = None,
    as_json: JsonOption = False,
    device: DeviceOption = "auto",
    seed: SeedOption = 0,
) -> None:
    """Train a router: which category an image belongs to, or that it is unlike all of them.

    It knows the archive's categories; `casewise route --router DIR` then uses it. Images of the category unknown, where there are
    some, show it what belongs to none of the others. A categories.toml in the archive's folder says which DICOM tags fit a category
    of your own.

    [bold]Examples[/bold]

      casewise train router my-archive --output my-router
      casewise train router my-archive --classifier svm -o my-router

    Read on in docs/how-to/route-images.md.
    """
    with answering(as_json, KEPT) as answer:
        from casewise.routing import categories
        from casewise.routing.training import Plan, train_router

        job = Job(archive, output, None, site or [], None, device, seed)
        table = categories.shipped().extended_by(Path(archive))  # a wrong table is named before the training, not after it
        made = train_router(
            job.cases(),
            output.name,
            plan=Plan(classifier=classifier),
            settings=job.settings(),
            reading=lambda done, total: answer.progress("Reading", done, total),
            looking=lambda done, total: answer.progress("Looking at changed pictures", done, total),
        )
        replace(made, table=table).save(output)
        answer.give(
            {"router": output, "categories": list(made.categories), "measures": dict(made.measures)},
            f"Router: {output}, of {', '.join(made.categories)}",
            *measure_lines(made.measures),
        )


def _train(answer: Answer, job: Job, train: Callable[..., Model], labels: Sequence[Structure | str], input: Input) -> None:
    from casewise.adaptation.sequences import learnable
    from casewise.training.from_archive import save_registered

    parent = job.parent()
    model = train(
        learnable(parent, job.cases()),
        labels,
        job.output.name,
        input=input,
        parent=parent,
        settings=job.settings(),
        checkpoint=job.checkpoint,
        progress=answer.steps("Training"),
    )
    if warning := save_registered(model, job.output, job.archive):
        say(warning)
    measures = dict(model.lineage.measures)
    answer.give({"model": job.output, "measures": measures}, f"Model: {job.output}", *measure_lines(measures))


app = typer.Typer(no_args_is_help=True, help=page(HELP))
app.command("segmenter", help=page(segmenter.__doc__))(segmenter)
app.command("classifier", help=page(classifier.__doc__))(classifier)
app.command("router", help=page(router.__doc__))(router)
app.command("lesions", help=page(lesions.__doc__))(lesions)
app.command("irregularities", help=page(irregularities.__doc__))(irregularities)
app.command("sites", help=page(sites.__doc__))(sites)
