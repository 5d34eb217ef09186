"""``casewise route``: what an image shows, and which applications therefore see it."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from casewise.cli.common import FLAG, DeclarationsOption, Device, DeviceOption, ImagesArgument, JsonOption, SeedOption, answering
from casewise.errors import CasewiseError

if TYPE_CHECKING:
    from casewise.routing.route import Route

_SHOWN = 3  # scores that a person is told of


class Classifier(StrEnum):
    """What decides over the network's features."""

    SOFTMAX = "softmax"
    SVM = "svm"


def route(
    images: ImagesArgument,
    router: Annotated[
        Path | None,
        typer.Option(
            "--router",
            metavar="DIR",
            help="A router that `casewise train router` made.",
            show_default="the one that comes with casewise",
        ),
    ] = None,
    classifier: Annotated[
        Classifier | None,
        typer.Option("--classifier", help="What decides over the network's features.", show_default="the router's own"),
    ] = None,
    ignore_tags: Annotated[
        bool,
        typer.Option("--ignore-tags", help="Judge by the pixels alone, whatever the DICOM tags say.", metavar=FLAG),
    ] = False,
    files: DeclarationsOption = None,
    as_json: JsonOption = False,
    device: DeviceOption = Device.AUTO,
    seed: SeedOption = 0,
) -> None:
    """Tell what each image shows, how sure that is, and which applications would see it.

    The pixels decide. DICOM tags (Modality, BodyPartExamined) are taken as a hint, and it is said where the pixels contradict
    them. An image unlike every category is unknown. An image that cannot be read is named and the others are done.

    [bold]Examples[/bold]

      casewise route new.dcm
      casewise route scan.nii.gz hand.png series/ --classifier svm --json

    Read on in docs/how-to/route-images.md.
    """
    with answering(as_json) as answer:
        from casewise.applications.registry import default_registry
        from casewise.device import resolve_device
        from casewise.examination.reading import read_image
        from casewise.routing.router import Router

        where = resolve_device(device.value)
        opened = Router.load(router)
        registry = default_registry(files or None)
        for name, reason in registry.problems:
            answer.failed(name, reason)
        documents: list[dict[str, object]] = []
        lines: list[str] = []
        for number, path in enumerate(images, start=1):
            try:
                image = read_image(path)
                found = opened.route(image, classifier.value if classifier else None, tags=not ignore_tags, device=where)
            except CasewiseError as error:
                answer.failed(path, error)
            else:
                names = registry.names_for(found.category, image.header)
                documents.append({"image": path, **found.to_json(), "applications": names})
                lines += _lines(path, found, names)
            answer.progress("Routing", number, len(images), path.name)
        answer.give(documents, *lines)


def _lines(path: Path, found: Route, applications: Sequence[str]) -> list[str]:
    others = ", ".join(f"{score.category} {score.probability:.1%}" for score in found.scores[1:_SHOWN])
    lines = [f"{path}: {found.category} {found.probability:.1%}  (then {others})"]
    if found.prior.fits is not None:
        lines.append(f"  {found.prior.sentence}")
    return [*lines, f"  applications: {', '.join(applications) or 'none'}"]
