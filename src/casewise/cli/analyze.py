"""``casewise analyze``: from an image to a report."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from casewise.cli.common import Device, DeviceOption, JsonOption, SeedOption


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
            "--model", metavar="MODEL", help="A model's folder, a MONAI bundle or a TorchScript file.", show_default=False
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
            show_default="similar with an archive, none without",
        ),
    ] = None,
    application: Annotated[
        str | None,
        typer.Option(
            "--application", metavar="NAME", help="What is made of the model's answer.", show_default="the model's own task"
        ),
    ] = None,
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

      casewise analyze new.nii.gz --model heart-model --archive my-archive
      casewise analyze a.dcm b.dcm series/ --model lung-model --adapt none --output reports --json

    Read on in docs/how-to/analyze-and-adapt.md.
    """
