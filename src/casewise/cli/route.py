"""``casewise route``: which kind an image is of, and which applications therefore see it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from casewise.cli.common import answering
from casewise.cli.options import DeclarationsOption, DeviceOption, ImagesArgument, JsonOption, SeedOption, flag, option
from casewise.errors import CasewiseError

if TYPE_CHECKING:
    from casewise.routing.route import Route

_SHOWN = 3  # scores in a line that a person reads
_PRINTED = 0.0005  # what is less reads 0.0%
_ROUTER = "A router that `casewise train router` made."
_ARCHIVE = "An archive whose own table of categories counts too, as in analyses with it."
_CLASSIFIER = "The classifier over the network's features."


def route(
    images: ImagesArgument,
    router: Annotated[
        Path | None, option("--router", metavar="DIR", help=_ROUTER, default="the one that comes with casewise")
    ] = None,
    classifier: Annotated[
        Literal["softmax", "svm"] | None, option("--classifier", help=_CLASSIFIER, default="the router's own")
    ] = None,
    archive: Annotated[str | None, option("--archive", metavar="ARCHIVE", help=_ARCHIVE)] = None,
    ignore_tags: Annotated[bool, flag("--ignore-tags", "Decide by the pixels alone, whatever the DICOM tags say.")] = False,
    files: DeclarationsOption = None,
    as_json: JsonOption = False,
    device: DeviceOption = "auto",
    seed: SeedOption = 0,
) -> None:
    """Report what kind each image is, with its probability, and which applications would see it.

    Pixels and DICOM tags decide together. An image is unknown where it is unlike every category, or where tags and pixels
    contradict each other, and it is said why. An image that cannot be read is named and the others are done.

    [bold]Examples[/bold]

      casewise route new.dcm
      casewise route scan.nii.gz hand.png series/ --classifier svm --json
      casewise route new.dcm --archive my-archive

    Read on in docs/how-to/route-images.md.
    """
    with answering(as_json) as answer:
        from casewise.applications.registry import default_registry
        from casewise.device import resolve_device
        from casewise.examination.reading import read_image
        from casewise.routing.router import Router

        where = resolve_device(device)
        opened = Router.load(router)
        if archive is not None:
            opened = opened.extended_by(_folder_of(archive))
        registry = default_registry(files or None)
        for name, reason in registry.problems:
            answer.failed(name, reason)
        documents: list[dict[str, object]] = []
        lines: list[str] = []
        for number, path in enumerate(images, start=1):
            try:
                image = read_image(path)
                found = opened.route(image, classifier, tags=not ignore_tags, device=where)
            except CasewiseError as error:
                answer.failed(path, error)
            else:
                names = registry.names_for(found.category, image.header)
                documents.append({"image": path, **found.to_json(), "applications": names})
                lines += _lines(path, found, names)
            answer.progress("Routing", number, len(images), path.name)
        answer.give(documents, *lines)


def _folder_of(path: str) -> Path:
    """Where an archive lies. Raises CasewiseError where none does."""
    from casewise.archive import Archive  # SQLAlchemy, for those alone who name one

    with Archive.open(Path(path)) as opened:
        return opened.folder


def _lines(path: Path, found: Route, applications: Sequence[str]) -> list[str]:
    others = ", ".join(f"{one.category} {one.probability:.1%}" for one in found.scores[1:_SHOWN] if one.probability >= _PRINTED)
    lines = [f"{path}: {found.category} {found.probability:.1%}{f'  (then {others})' if others else ''}"]
    if found.prior.fits is not None:
        lines.append(f"  {found.prior.sentence}")
    lines += [f"  unknown because: {reason}" for reason in found.reasons]
    if found.nearest:
        nearest = ", ".join(f"{near.category} {near.share:.0%}" for near in found.nearest[:_SHOWN])
        lines.append(f"  nearest training images: {nearest}")
    return [*lines, f"  applications: {', '.join(applications) or 'none'}"]
