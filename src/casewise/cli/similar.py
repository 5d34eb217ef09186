"""``casewise similar``: the archive's cases most like an image."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from casewise.cli.common import Device, DeviceOption, JsonOption, SeedOption


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
