"""``casewise similar``: the archive's cases most like an image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from casewise.cli.common import Device, DeviceOption, ForceOption, JsonOption, SeedOption, answering
from casewise.errors import NothingKnownError, UsageError
from casewise.files import claim, protecting

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from casewise.archive import Archive
    from casewise.encoder import Encoder
    from casewise.image import Array, Image
    from casewise.models import Model
    from casewise.result import SimilarCase


_ALONE = "Nothing is known of the image beside its pixels that is known of the archive's cases too: compared by latent alone."


class By(StrEnum):
    """What is compared."""

    LATENT = "latent"
    CONTENT = "content"


def similar(
    archive: Annotated[str, typer.Argument(metavar="ARCHIVE", help="The archive's folder.", show_default=False)],
    image: Annotated[
        Path,
        typer.Argument(metavar="IMAGE", help="An image file, or the folder of a DICOM series.", show_default=False),
    ],
    k: Annotated[int, typer.Option("-k", min=1, metavar="N", help="How many cases.")] = 8,
    by: Annotated[
        list[By] | None,
        typer.Option(
            "--by",
            help="What is compared: how the images look to a network (latent), or what is known beside the pixels "
            "(content: age, sex, modality, scanner, …); may be repeated.",
            show_default="both",
        ),
    ] = None,
    region: Annotated[
        str | None,
        typer.Option(
            "--region",
            metavar="NAME",
            help="Compare this structure alone; --model outlines it in the image.",
            show_default=False,
        ),
    ] = None,
    sheet: Annotated[
        Path | None,
        typer.Option("--sheet", metavar="PNG", help="Write the cases' pictures with their scores.", show_default=False),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            metavar="MODEL",
            help="The model whose network compares the images.",
            show_default="the one that comes with casewise",
        ),
    ] = None,
    force: ForceOption = False,
    as_json: JsonOption = False,
    device: DeviceOption = Device.AUTO,
    seed: SeedOption = 0,
) -> None:
    """Find the archive's cases that are most like an image, best first, with their scores (1 is the same).

    The score is a weighted sum of the likeness of the latent vectors and of the content. The contact sheet shows the cases
    beside the image, and says what they have in common.

    [bold]Examples[/bold]

      casewise similar my-archive new.nii.gz -k 5
      casewise similar my-archive new.dcm --by content --sheet similar.png
      casewise similar my-archive new.png --region heart --model heart-model --json

    Read on in docs/how-to/find-similar-cases.md.
    """
    with answering(as_json) as answer, protecting([image], force):
        from casewise.archive import Archive
        from casewise.device import resolve_device
        from casewise.examination.reading import read_image
        from casewise.models import load

        ways = [way.value for way in by or list(By)]
        if region and model is None:
            msg = "Only a model can tell where a region lies: name a segmenter with --model, or leave --region out."
            raise UsageError(msg)
        if sheet is not None:
            claim(sheet)
        query = read_image(image)
        with Archive.open(archive) as opened:
            where = resolve_device(device.value)
            network = load(model) if model else None
            mask = _region(network, query, region, where) if network and region else None
            encoder = _encoder(network, where) if By.LATENT in ways else None
            try:
                found = opened.similar(query, k=k, by=ways, encoder=encoder, region=mask, progress=answer.progress)
            except NothingKnownError as error:
                answer.failed(image, error)
                answer.give({"image": image, "similar": [], "notes": [str(error)]}, f"No case: {error}")
                return
            if sheet:
                _draw(opened, query, found, sheet, {region: mask} if region and mask is not None else {})
        notes = [_ALONE] if By.CONTENT in ways and any(case.content is None for case in found) else []
        document = {"image": image, "similar": [case.to_json() for case in found], "notes": notes}
        lines = [*(_line(number, case) for number, case in enumerate(found, start=1)), *notes]
        answer.give(document, *lines, *([f"Sheet: {sheet}"] if sheet else []))


def _encoder(network: Model | None, device: str) -> Encoder:
    from casewise.chest.upright import UprightEncoder
    from casewise.models.encoding import encoder_for
    from casewise.models.shipped import default_encoder

    return UprightEncoder(encoder_for(network, device) if network else default_encoder(device), device)


def _region(model: Model, image: Image, name: str, device: str) -> npt.NDArray[np.bool_]:
    """The structure ``name`` in ``image``, (*spatial) bool, as the model outlines it."""
    if model.task != "segmentation" or name not in model.labels:
        has = ", ".join(model.labels) if model.task == "segmentation" else "no structures"
        msg = f"Model {model.name} cannot outline {name!r}; it knows {has}."
        raise UsageError(msg)
    mask = model.predict(image, device).masks()[name]
    if not mask.any():
        msg = f"Model {model.name} finds no {name} in this image, so it cannot be compared by it; leave --region out."
        raise UsageError(msg)
    return mask


def _draw(archive: Archive, query: Image, found: Sequence[SimilarCase], sheet: Path, masks: Mapping[str, Array]) -> None:
    from casewise.archive.retrieval.content import common
    from casewise.reporting.sheet import SimilarPicture, contact_sheet

    cases = {case.key: case for case in archive.cases(keys=[entry.key for entry in found])}
    pictures = [SimilarPicture(entry, cases[entry.key].image) for entry in found]
    told = common([dict(cases[entry.key].content) for entry in found]) if len(found) > 1 else []
    contact_sheet(query, pictures, sheet, told, masks=masks)


def _line(number: int, case: SimilarCase) -> str:
    terms = [f"{name} {value:.3f}" for name, value in (("latent", case.latent), ("content", case.content)) if value is not None]
    origin = ", ".join(part for part in (case.site, case.category) if part)
    return f"{number:3d}. {case.score:.3f}  {case.image}  ({', '.join(terms)}){'  ' + origin if origin else ''}"
