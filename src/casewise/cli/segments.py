"""``casewise segments``: an image's regions cut into overlapping boxes at its own resolution."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from casewise.cli.common import answering, check_output_folder, plural, say
from casewise.cli.options import DeviceOption, ForceOption, ImageArgument, JsonOption, SeedOption, option
from casewise.errors import UsageError
from casewise.files import kept_beside, protecting

_REGION = "A region's name and its mask file on the image's grid; may be given several times."
_LONGEST = "Most voxels of a segment on any axis."


def segments(
    path: ImageArgument,
    masks: Annotated[
        list[str] | None,
        option("--region", metavar="NAME=MASK", help=_REGION, default="the lungs and the heart of a chest radiograph, found in it"),
    ] = None,
    output: Annotated[
        Path | None, option("--output", metavar="DIR", help="Write each segment's pixels there.", default="nothing is written")
    ] = None,
    parts: Annotated[int, option("--parts", metavar="N", help="Least number of segments of a region.", default=True, min=1)] = 2,
    longest: Annotated[int | None, option("--longest", metavar="N", help=_LONGEST, default="no limit", min=4)] = None,
    outside: Annotated[
        Literal["mean", "noise", "zero", "keep"], option("--outside", help="What stands where the region is not.", default=True)
    ] = "mean",
    force: ForceOption = False,
    as_json: JsonOption = False,
    device: DeviceOption = "auto",
    seed: SeedOption = 0,
) -> None:
    """Cut an image's regions into overlapping segments that keep every pixel.

    Each lung gives at least two segments and the heart one more; none holds parts of both lungs, neighbours overlap, and together
    they cover their region. Any other region is cut in the same way, a volume's into blocks: give its mask with --region.

    [bold]Examples[/bold]

      casewise segments chest.png --output segments/ --json
      casewise segments ct.nii.gz --region liver=liver.nii.gz --longest 96

    Read on in docs/how-to/segments.md.
    """
    named = _each_once([_named(text) for text in masks or ()])
    with answering(as_json) as answer, protecting([path, *(file for _, file in named)], force, "segments"):
        import casewise
        from casewise.pipeline.segments import cut, remove_others, write_segments

        if output:
            check_output_folder(output)
        image = casewise.read(path)
        regions = {name: casewise.formats.read_mask(file, image) for name, file in named} or None
        found = cut(image, regions, parts=parts, longest=longest, device=device)
        pictures = write_segments(output, found, image, outside=outside, seed=seed) if output else {}
        if output and (kept := kept_beside(remove_others(output, pictures.values()))):
            say(kept)
        lines = [f"{path}: {plural(len(found), 'segment')}"]
        documents = []
        for number, segment in enumerate(found):
            documents.append(segment.to_json() | ({"picture": pictures[number]} if number in pictures else {}))
            size = " × ".join(map(str, segment.box.shape))
            lines.append(f"  {segment.region:<12} {segment.box.to_json()}  {size}  {pictures.get(number, '')}".rstrip())
        answer.give(documents, *lines)


def _each_once(named: list[tuple[str, Path]]) -> list[tuple[str, Path]]:
    """The regions as they are given; UsageError where two have one name."""
    for number, (name, file) in enumerate(named):
        if first := next((other for same, other in named[:number] if same == name), None):
            msg = f"Two regions are both named {name}: {first} and {file}. Give each a name of its own."
            raise UsageError(msg)
    return named


def _named(text: str) -> tuple[str, Path]:
    name, sign, file = text.partition("=")
    if not (name.strip() and sign and file):
        msg = f"A region is given as NAME=MASK, such as liver=liver.nii.gz; got {text!r}."
        raise UsageError(msg)
    return name.strip(), Path(file)
