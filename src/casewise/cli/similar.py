"""``casewise similar``: the archive's cases most like an image."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from casewise.cli.common import answering, check_output_file
from casewise.cli.options import (
    ArchiveArgument,
    DeviceOption,
    ForceOption,
    ImageArgument,
    JsonOption,
    SeedOption,
    option,
)
from casewise.errors import NothingKnownError
from casewise.files import claim, protecting

if TYPE_CHECKING:
    from casewise.result import SimilarCase

_BY = (
    "What is compared: how the images look to a network (latent), or what is known beside the pixels "
    "(content: age, sex, modality, scanner, …); may be repeated."
)
_REGION = "Compare this structure alone; --model outlines it in the image."
_SHEET = "Write the cases' pictures with their scores."
_MODEL = "The model whose network compares the images."


class By(StrEnum):
    """What is compared; typer takes no list of literals."""

    LATENT = "latent"
    CONTENT = "content"


def similar(
    archive: ArchiveArgument,
    image: ImageArgument,
    k: Annotated[int, option("-k", metavar="N", help="How many cases.", default=True, min=1)] = 8,
    by: Annotated[list[By] | None, option("--by", help=_BY, default="both")] = None,
    region: Annotated[str | None, option("--region", metavar="NAME", help=_REGION)] = None,
    sheet: Annotated[Path | None, option("--sheet", metavar="PNG", help=_SHEET)] = None,
    model: Annotated[
        str | None, option("--model", metavar="MODEL", help=_MODEL, default="the one that comes with casewise")
    ] = None,
    force: ForceOption = False,
    as_json: JsonOption = False,
    device: DeviceOption = "auto",
    seed: SeedOption = 0,
) -> None:
    """Find the archive's cases that are most like an image, best first, with their scores (1 is the same).

    The score is a weighted sum of the likeness of the latent vectors and of the content. The contact sheet has the cases
    beside the image, and what they have in common.

    [bold]Examples[/bold]

      casewise similar my-archive new.nii.gz -k 5
      casewise similar my-archive new.dcm --by content --sheet similar.png
      casewise similar my-archive new.png --region heart --model heart-model --json

    Read on in docs/how-to/find-similar-cases.md.
    """
    with answering(as_json) as answer, protecting([image], force):
        from casewise.archive import Archive
        from casewise.examination.reading import read_image
        from casewise.pipeline.search import find_similar, write_sheet

        if sheet is not None:
            check_output_file(sheet)
            claim(sheet)
        query = read_image(image)
        with Archive.open(archive) as opened:
            try:
                ways = [way.value for way in by or By]
                found = find_similar(
                    opened,
                    query,
                    k=k,
                    by=ways,
                    model=model,
                    region=region,
                    device=device,
                    progress=answer.progress,
                )
            except NothingKnownError as error:
                answer.failed(image, error)
                answer.give({"image": image, "similar": [], "notes": [str(error)]}, f"No case: {error}")
                return
            if sheet is not None:
                write_sheet(sheet, opened, query, found)
        lines = [*(_line(number, case) for number, case in enumerate(found.cases, start=1)), *found.notes]
        document = {"image": image, "similar": [case.to_json() for case in found.cases], "notes": list(found.notes)}
        answer.give(document, *lines, *([f"Sheet: {sheet}"] if sheet else []))


def _line(number: int, case: SimilarCase) -> str:
    terms = [f"{name} {value:.3f}" for name, value in (("latent", case.latent), ("content", case.content)) if value is not None]
    origin = ", ".join(part for part in (case.site, case.category) if part)
    return f"{number:3d}. {case.score:.3f}  {case.image}  ({', '.join(terms)}){'  ' + origin if origin else ''}"
