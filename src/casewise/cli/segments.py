"""``casewise segments``: an image's regions cut into overlapping boxes at its own resolution."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from casewise.cli.common import Device, DeviceOption, ForceOption, JsonOption, SeedOption, answering, plural
from casewise.errors import UsageError
from casewise.files import protecting

if TYPE_CHECKING:
    from casewise.image import Image
    from casewise.segments import Segments


class Outside(StrEnum):
    """What stands in a segment's picture where its region is not."""

    MEAN = "mean"
    NOISE = "noise"
    ZERO = "zero"
    KEEP = "keep"


def segments(
    path: Annotated[
        Path, typer.Argument(metavar="IMAGE", help="An image file, or a folder that holds a DICOM series.", show_default=False)
    ],
    masks: Annotated[
        list[str] | None,
        typer.Option(
            "--region",
            metavar="NAME=MASK",
            help="A region's name and its mask file on the image's grid; may be given several times.",
            show_default="the lungs and the heart of a chest radiograph, found in it",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", metavar="DIR", help="Write each segment's pixels there.", show_default="nothing is written"),
    ] = None,
    parts: Annotated[int, typer.Option("--parts", min=1, metavar="N", help="Least number of segments of a region.")] = 2,
    longest: Annotated[
        int | None,
        typer.Option("--longest", min=4, metavar="N", help="Most voxels of a segment on any axis.", show_default="no limit"),
    ] = None,
    outside: Annotated[Outside, typer.Option("--outside", help="What stands where the region is not.")] = Outside.MEAN,
    force: ForceOption = False,
    as_json: JsonOption = False,
    device: DeviceOption = Device.AUTO,
    seed: SeedOption = 0,
) -> None:
    """Cut an image's regions into overlapping segments that keep every pixel.

    Each lung gives at least two segments and the heart one more; none shows two lungs, neighbours overlap, and together they
    cover their region. Any other region is cut in the same way, a volume's into blocks: give its mask with --region.

    [bold]Examples[/bold]

      casewise segments chest.png --output segments/ --json
      casewise segments ct.nii.gz --region liver=liver.nii.gz --longest 96

    Read on in docs/how-to/segments.md.
    """
    named = [_named(text) for text in masks or ()]
    with answering(as_json) as answer, protecting([path, *(file for _, file in named)], force):
        import casewise
        from casewise import chest
        from casewise.chest.region import HEART, OVERLAP
        from casewise.segments import segments

        image = casewise.read(path)
        if named:
            from casewise import formats

            regions = {name: formats.read_mask(file, image) for name, file in named}
            single: tuple[str, ...] = ()
        else:
            found = chest.regions(image, device.value)
            regions = {name: found.masks[name] for name in found.masks if name != OVERLAP}
            single = (HEART,)
        cut = segments(regions, image.spatial_shape, parts=parts, longest=longest, single=single)
        pictures = _written(cut, image, output, outside.value, seed) if output else {}
        documents = [
            segment.to_json() | ({"picture": pictures[number]} if number in pictures else {}) for number, segment in enumerate(cut)
        ]
        lines = [f"{path}: {plural(len(cut), 'segment')}"]
        for number, segment in enumerate(cut):
            size = " × ".join(map(str, segment.box.shape))
            lines.append(f"  {segment.region:<12} {segment.box.to_json()}  {size}  {pictures.get(number, '')}".rstrip())
        answer.give(documents, *lines)


def _named(text: str) -> tuple[str, Path]:
    name, sign, file = text.partition("=")
    if not (name.strip() and sign and file):
        msg = f"A region is given as NAME=MASK, such as liver=liver.nii.gz; given was {text!r}."
        raise UsageError(msg)
    return name.strip(), Path(file)


def _written(cut: Segments, image: Image, folder: Path, outside: str, seed: int) -> dict[int, Path]:
    """A file for each segment, with the image's own kind of pixels, at its place in the patient."""
    from dataclasses import replace

    import numpy as np

    from casewise import formats
    from casewise.reporting.report import file_stem

    suffix = formats.mask_suffix(image)
    written = {}
    for number, segment in enumerate(cut):
        pixels = cut.pixels(image.array, segment, outside, seed)
        array = _as_kind(pixels, image.array.dtype)
        affine = image.affine.copy()
        corner = np.zeros(4)
        corner[: len(segment.box.lower)] = segment.box.lower
        affine[:, 3] += image.affine @ corner
        name = folder / f"{number + 1:02d}-{file_stem(segment.region)}{suffix}"
        written[number] = formats.write(name, replace(image, array=array, affine=affine))
    return written


def _as_kind(pixels: Any, kind: Any) -> Any:
    """Replaced pixels are means: rounded where the image holds whole numbers."""
    import numpy as np

    if kind.kind in "iu":
        return np.clip(np.rint(pixels), np.iinfo(kind).min, np.iinfo(kind).max).astype(kind)
    return (pixels > 0.5) if kind.kind == "b" else pixels.astype(kind)
