"""``casewise segment``: a box, perhaps strokes, and the mask of the object in it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from casewise.cli.common import answering, check_output_file, plural, say
from casewise.cli.options import DeviceOption, ForceOption, ImageArgument, JsonOption, SeedOption, flag, option
from casewise.errors import UsageError
from casewise.files import claim, kept_beside, protecting, remove_left_over

if TYPE_CHECKING:
    from casewise.image import Image

Pairs = list[tuple[int, int]]

_OUTPUT = "Where the mask is written, on the image's grid."
_BOX = "Voxels that hold the object, half-open, one pair an axis (a picture: rows, columns)."
_SCRIBBLES = "Strokes: a label map on the image's grid, 1 the object, 2 the rest, 0 not marked."
_FROM_MASK = "Go on from this mask on the image's grid: a former answer, or one that was corrected by hand."
_GROW = "Follow an object outlined in one slice of a volume through the volume."
_MODEL = "An interactive model's folder or name."
_ARCHIVE = "Begin from the accepted masks of --structure that are there; with --accept, keep this one there too."
_STRUCTURE = "What is segmented, as the archive names it."
_FINE_TUNE = "Fit the answer to the strokes: auto, where it then predicts held-back strokes better; on, always; off, never."
_ACCEPT = "Keep the mask in the archive: it is right, and leads the next images. Without it the mask is a draft."


def segment(
    image: ImageArgument,
    output: Annotated[Path, option("--output", "-o", metavar="MASK", help=_OUTPUT)],
    box: Annotated[
        str | None,
        option(
            "--box",
            metavar="LO:HI,LO:HI[,LO:HI]",
            help=_BOX,
            default="around --from-mask, else where the archive's accepted masks place the object",
        ),
    ] = None,
    scribbles: Annotated[Path | None, option("--scribbles", metavar="FILE", help=_SCRIBBLES)] = None,
    from_mask: Annotated[Path | None, option("--from-mask", metavar="FILE", help=_FROM_MASK)] = None,
    grow: Annotated[bool, flag("--grow", _GROW)] = False,
    model: Annotated[
        str | None, option("--model", metavar="MODEL", help=_MODEL, default="the one that comes with casewise")
    ] = None,
    archive: Annotated[str | None, option("--archive", metavar="ARCHIVE", help=_ARCHIVE)] = None,
    structure: Annotated[str | None, option("--structure", metavar="NAME", help=_STRUCTURE)] = None,
    accept: Annotated[bool, flag("--accept", _ACCEPT)] = False,
    fine_tune: Annotated[Literal["auto", "on", "off"], option("--fine-tune", help=_FINE_TUNE, default=True)] = "auto",
    force: ForceOption = False,
    as_json: JsonOption = False,
    device: DeviceOption = "auto",
    seed: SeedOption = 0,
) -> None:
    """Outline any object in an image from a box around it and, if need be, a few strokes.

    The model need not have seen such an object before. With an archive, each accepted mask (--accept) makes the next image of the
    same structure easier: the most similar ones lead the first answer, and the model learns from each, once. Without --accept the
    mask is a draft, of which the archive learns nothing.

    [bold]Examples[/bold]

      casewise segment scan.png --box 40:120,60:150 --output mask.png
      casewise segment brain.nii.gz --box 40:90,50:110,12:30 --scribbles strokes.nii.gz --output tumour.nii.gz
      casewise segment ct.nii.gz --box 40:90,50:110,20:21 --grow --output kidney.nii.gz
      casewise segment next.nii.gz --archive my-archive --structure kidney --output next-kidney.nii.gz
      casewise segment next.nii.gz --archive my-archive --structure kidney --from-mask corrected.nii.gz --accept -o kidney.nii.gz

    Read on in docs/how-to/interaction.md.
    """
    with answering(as_json) as answer, protecting([image, scribbles, from_mask], force, "segment"):
        import casewise
        from casewise.formats.dicom.write_segmentation import SUFFIX, segmentation_of
        from casewise.interaction import FineTuning
        from casewise.interaction.call import read_start, read_strokes
        from casewise.interaction.call import segment as segment_one
        from casewise.reporting.report import file_stem

        pairs = parse_box(box) if box is not None else None
        stem = file_stem(output.name)
        beside = output.parent / f"{stem}{SUFFIX}"
        check_output_file(output)  # before the work, not after it
        for path in (output, beside):
            claim(path)
        query = casewise.read(image)
        done = segment_one(
            query,
            pairs,
            mask=read_start(from_mask, query) if from_mask is not None else None,
            strokes=read_strokes(scribbles, query) if scribbles is not None else None,
            grow=grow,
            model=model,
            archive=archive,
            structure=structure,
            keep=accept,
            fine_tuning=FineTuning(supervised=fine_tune != "off", acceptance=fine_tune == "auto"),
            device=device,
            seed=seed,
            progress=answer.progress,
        )
        session, waited = done.session, done.prepared_seconds
        if pairs is not None:
            _say_cut(pairs, query)
        written = casewise.formats.write_mask(output, session.mask, query)
        segmentation, without = segmentation_of(beside, {structure or stem: session.mask}, query, by_hand=True)
        kept = kept_beside(remove_left_over([beside])) if segmentation is None else ""
        document = {"mask": written, "rounds": session.rounds, "seconds": round(done.seconds, 3), "accepted": done.accepted}
        document["tuned"] = session.tuned
        document |= {"prepared_seconds": round(waited, 3)} if waited is not None else {}
        document |= {"segmentation": segmentation} if segmentation else {}
        document |= {"remarks": [session.crossed.to_json()]} if session.crossed else {}
        voxels = int(session.mask.sum())
        line = f"{written}: {plural(voxels, 'voxel')} after {plural(session.rounds, 'round')} of strokes, {done.seconds:.1f} s"
        line += f" ({waited:.1f} s of them to learn from the archive)" if waited is not None else ""
        tuned = "The answer is fitted to this image's strokes." if session.tuned else ""
        answer.give(document, line, *(one for one in (tuned, session.crossed.sentence, done.reason, without, kept) if one))


def parse_box(text: str) -> Pairs:
    """``LO:HI,LO:HI[,LO:HI]`` as pairs. Raises UsageError for anything else."""
    try:
        pairs = [tuple(int(side) for side in part.split(":")) for part in text.split(",")]
    except ValueError:
        pairs = []
    if not pairs or any(len(pair) != 2 or pair[0] >= pair[1] for pair in pairs):
        msg = f"A box is LO:HI,LO:HI[,LO:HI], whole numbers with LO below HI, one pair an axis; got {text!r}."
        raise UsageError(msg)
    return [(pair[0], pair[1]) for pair in pairs]


def _say_cut(pairs: Pairs, image: Image) -> None:
    """Say it where a box reaches beyond the image."""
    inside = [(max(0, lower), min(upper, length)) for (lower, upper), length in zip(pairs, image.spatial_shape, strict=True)]
    if inside != list(pairs):
        used = ",".join(f"{lower}:{upper}" for lower, upper in inside)
        say(f"The box reaches beyond the image, whose shape is {image.spatial_shape}; used was {used}.")
