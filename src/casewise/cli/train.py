"""``casewise train``: initial models from an archive, one sub-command a task."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from casewise.cli.common import (
    Answer,
    Device,
    DeviceOption,
    JsonOption,
    SeedOption,
    answering,
    check_new_folder,
    load_model,
    page,
    say,
)
from casewise.cli.registered import register
from casewise.cli.train_sites import sites
from casewise.errors import ArchiveError, UsageError

if TYPE_CHECKING:
    from casewise.case import Case
    from casewise.models import Model
    from casewise.training import Settings

HELP = """Train a model on an archive's cases, or continue one that is there (--from).

Subjects are split so that none is on both sides; the model that is best on the held-out ones is kept, with the keys of the
cases it was trained on: later, refinement looks for similar cases that the model has not seen. The result is a folder
(model.toml, weights.safetensors, card.md) that never changes afterwards; the archive remembers where it lies, so that
`casewise analyze --archive ARCHIVE` finds it.

[bold]Examples[/bold]

  casewise train segmenter my-archive --structure heart --output heart-model
  casewise train classifier my-archive --output class-model
  casewise train router my-archive --output my-router
  casewise train sites my-archive --from heart-model --output heart-of-all-sites

Read on in docs/train-a-model.md.
"""


class RouterClassifier(StrEnum):
    """What a router decides with."""

    SOFTMAX = "softmax"
    SVM = "svm"


_KEPT = "The last checkpoint is kept; run the same command again to go on from it."

ArchiveArgument = Annotated[str, typer.Argument(metavar="ARCHIVE", help="The archive's folder.", show_default=False)]
OutputOption = Annotated[
    Path,
    typer.Option("--output", "-o", metavar="DIR", help="Folder of the new model; it must not exist yet.", show_default=False),
]
FromOption = Annotated[
    str | None,
    typer.Option("--from", metavar="MODEL", help="Continue this model instead of starting anew.", show_default=False),
]
StepsOption = Annotated[
    int | None,
    typer.Option("--steps", min=1, metavar="N", help="Optimiser steps.", show_default="800"),
]
SizeOption = Annotated[
    int,
    typer.Option("--size", min=16, max=1024, metavar="N", help="Edge of the network's input in pixels (with --from: its own)."),
]
DimensionsOption = Annotated[
    int,
    typer.Option(
        "--dimensions",
        min=2,
        max=3,
        metavar="2|3",
        help="2 takes a volume slice by slice, 3 as a whole.",
    ),
]
WindowOption = Annotated[
    tuple[float, float] | None,
    typer.Option(
        "--window",
        metavar="LOWER UPPER",
        help="Intensities that matter (CT: in HU).",
        show_default="each image's own",
    ),
]
SiteOption = Annotated[
    list[str] | None,
    typer.Option("--site", metavar="NAME", help="Only cases of this site; may be repeated.", show_default="all sites"),
]


def segmenter(
    archive: ArchiveArgument,
    output: OutputOption,
    structure: Annotated[
        list[str] | None,
        typer.Option(
            "--structure",
            metavar="NAME[=PART+…]",
            help="What to outline: a mask's name, or a name for several masks' union; may be repeated.",
            show_default="with --from: that model's",
        ),
    ] = None,
    parent: FromOption = None,
    steps: StepsOption = None,
    size: SizeOption = 128,
    dimensions: DimensionsOption = 2,
    window: WindowOption = None,
    site: SiteOption = None,
    as_json: JsonOption = False,
    device: DeviceOption = Device.AUTO,
    seed: SeedOption = 0,
) -> None:
    """Train a model that outlines structures.

    [bold]Examples[/bold]

      casewise train segmenter my-archive --structure heart --output heart-model
      casewise train segmenter my-archive --structure lungs=left_lung+right_lung -o lungs

    Read on in docs/train-a-model.md.
    """
    with answering(as_json, _KEPT) as answer:
        from casewise.case import Structure
        from casewise.training import Input, train_segmenter

        job = _Job(archive, output, parent, site or [], steps, device, seed)
        model = train_segmenter(
            job.cases(),
            [Structure.parse(text) for text in structure or ()],
            output.name,
            input=Input(size, dimensions, window),
            parent=job.parent(),
            settings=job.settings(),
            checkpoint=job.checkpoint,
            progress=answer.steps("Training"),
        )
        _keep(answer, model, job)


def classifier(
    archive: ArchiveArgument,
    output: OutputOption,
    category: Annotated[
        list[str] | None,
        typer.Option(
            "--category",
            metavar="NAME",
            help="A class to tell apart; may be repeated.",
            show_default="all that the archive has",
        ),
    ] = None,
    parent: FromOption = None,
    steps: StepsOption = None,
    size: SizeOption = 128,
    dimensions: DimensionsOption = 2,
    window: WindowOption = None,
    site: SiteOption = None,
    as_json: JsonOption = False,
    device: DeviceOption = Device.AUTO,
    seed: SeedOption = 0,
) -> None:
    """Train a model that says which category an image belongs to.

    [bold]Examples[/bold]

      casewise train classifier my-archive --output class-model
      casewise train classifier my-archive --category normal --category pneumonia -o chest

    Read on in docs/train-a-model.md.
    """
    with answering(as_json, _KEPT) as answer:
        from casewise.training import Input, train_classifier

        job = _Job(archive, output, parent, site or [], steps, device, seed)
        model = train_classifier(
            job.cases(),
            category or [],
            output.name,
            input=Input(size, dimensions, window),
            parent=job.parent(),
            settings=job.settings(),
            checkpoint=job.checkpoint,
            progress=answer.steps("Training"),
        )
        _keep(answer, model, job)


def router(
    archive: ArchiveArgument,
    output: OutputOption,
    classifier: Annotated[
        RouterClassifier, typer.Option("--classifier", help="What decides over the network's features; both are kept.")
    ] = RouterClassifier.SOFTMAX,
    steps: Annotated[int | None, typer.Option("--steps", min=1, metavar="N", help="Optimiser steps.", show_default="3000")] = None,
    site: SiteOption = None,
    as_json: JsonOption = False,
    device: DeviceOption = Device.AUTO,
    seed: SeedOption = 0,
) -> None:
    """Train a router: which category an image belongs to, or that it is unlike all of them.

    The archive's categories are what it tells apart; `casewise route --router DIR` then uses it.

    [bold]Examples[/bold]

      casewise train router my-archive --output my-router
      casewise train router my-archive --classifier svm -o my-router

    Read on in docs/route-images.md.
    """
    with answering(as_json, _KEPT) as answer:
        from casewise.routing.training import SETTINGS, Plan, train_router

        job = _Job(archive, output, None, site or [], steps, device, seed)
        made = train_router(
            job.cases(),
            output.name,
            plan=Plan(classifier=classifier.value),
            settings=replace(SETTINGS, seed=seed, device=job.settings().device, steps=steps or SETTINGS.steps),
            checkpoint=job.checkpoint,
            progress=answer.steps("Training"),
            reading=lambda done, total: answer.progress("Reading", done, total),
        )
        made.save(output)
        answer.give(
            {"router": output, "categories": list(made.categories), "measures": dict(made.measures)},
            f"Router: {output}, of {', '.join(made.categories)}",
            *(f"  {name.replace('_', ' ')}: {value:.4g}" for name, value in made.measures.items()),
        )


@dataclass(frozen=True)
class _Job:
    """What both kinds of training need, checked before the first step: half an hour's training must not end in a refusal."""

    archive: str
    output: Path
    parent_path: str | None
    sites: list[str]
    steps: int | None
    device: Device
    seed: int

    @property
    def checkpoint(self) -> Path:
        return self.output.parent / f".{self.output.name}.checkpoint"

    def cases(self) -> list[Case]:
        from casewise.archive import Archive

        check_new_folder(self.output)
        with Archive.open(self.archive) as opened:
            cases = opened.cases()
        known = sorted({case.site for case in cases if case.site})
        for site in self.sites:
            if site not in known:
                msg = f"The archive has no cases of site {site!r}; its sites are {', '.join(known) or 'not named'}."
                raise UsageError(msg)
        return [case for case in cases if not self.sites or case.site in self.sites]

    def parent(self) -> Model | None:
        return load_model(self.parent_path) if self.parent_path else None

    def settings(self) -> Settings:
        from casewise.device import resolve_device
        from casewise.training import Settings

        settings = Settings(seed=self.seed, device=resolve_device(self.device.value))
        return settings if self.steps is None else replace(settings, steps=self.steps)


def _keep(answer: Answer, model: Model, job: _Job) -> None:
    from casewise.archive import Archive

    output = job.output
    model.save(output)
    try:
        with Archive.open(job.archive) as opened:
            register(opened, model, output)
    except ArchiveError as error:  # a training is not lost because its archive cannot be written to
        say(f"The model is saved, but the archive will not find it by itself: {error}")
    measures = dict(model.lineage.measures)
    answer.give(
        {"model": output, "measures": measures},
        f"Model: {output}",
        *(f"  {name.replace('_', ' ')}: {value:.4g}" for name, value in measures.items()),
    )


app = typer.Typer(no_args_is_help=True, help=page(HELP))
app.command("segmenter", help=page(segmenter.__doc__))(segmenter)
app.command("classifier", help=page(classifier.__doc__))(classifier)
app.command("router", help=page(router.__doc__))(router)
app.command("sites", help=page(sites.__doc__))(sites)
