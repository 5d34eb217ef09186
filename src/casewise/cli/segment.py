"""``casewise segment``: a box, perhaps strokes, and the mask of what they show."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from casewise.cli.common import (
    FLAG,
    Answer,
    Device,
    DeviceOption,
    ForceOption,
    JsonOption,
    SeedOption,
    answering,
    plural,
    say,
)
from casewise.errors import UsageError
from casewise.files import claim, protecting

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from casewise.archive import Archive
    from casewise.image import Image
    from casewise.interaction import InteractiveSegmentation
    from casewise.interaction.sets.guidance import Prepared
    from casewise.models import Model

Pairs = list[tuple[int, int]]


def segment(
    image: Annotated[
        Path,
        typer.Argument(metavar="IMAGE", help="An image file, or the folder of a DICOM series.", show_default=False),
    ],
    output: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="MASK", help="Where the mask is written, on the image's grid.", show_default=False),
    ],
    box: Annotated[
        str | None,
        typer.Option(
            "--box",
            metavar="LO:HI,LO:HI[,LO:HI]",
            help="Voxels that hold the object, half-open, one pair an axis (a picture: rows, columns).",
            show_default="around --from-mask, else around what the archive's accepted masks see",
        ),
    ] = None,
    scribbles: Annotated[
        Path | None,
        typer.Option(
            "--scribbles",
            metavar="FILE",
            help="Strokes: a label map on the image's grid, 1 the object, 2 the rest, 0 not marked.",
            show_default=False,
        ),
    ] = None,
    from_mask: Annotated[
        Path | None,
        typer.Option(
            "--from-mask",
            metavar="FILE",
            help="Go on from this mask on the image's grid: a former answer, or one that was corrected by hand.",
            show_default=False,
        ),
    ] = None,
    grow: Annotated[
        bool,
        typer.Option("--grow", help="Follow an object outlined in one slice of a volume through the volume.", show_default=False),
    ] = False,
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            metavar="MODEL",
            help="An interactive model's folder or name.",
            show_default="the one that comes with casewise",
        ),
    ] = None,
    archive: Annotated[
        str | None,
        typer.Option(
            "--archive",
            metavar="ARCHIVE",
            help="Begin from the accepted masks of --structure that are there; with --accept, keep this one there too.",
            show_default=False,
        ),
    ] = None,
    structure: Annotated[
        str | None,
        typer.Option("--structure", metavar="NAME", help="What is segmented, as the archive names it.", show_default=False),
    ] = None,
    accept: Annotated[
        bool,
        typer.Option(
            "--accept",
            metavar=FLAG,
            help="Keep the mask in the archive: it is right, and leads the next images. Without it the mask is a draft.",
        ),
    ] = False,
    force: ForceOption = False,
    as_json: JsonOption = False,
    device: DeviceOption = Device.AUTO,
    seed: SeedOption = 0,
) -> None:
    """Outline any object in an image from a box around it and, if need be, a few strokes.

    The model needs not have seen such an object before. With an archive, each accepted mask (--accept) makes the next image of the
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
    with answering(as_json) as answer, protecting([image, scribbles, from_mask], force):
        import casewise
        from casewise.archive import Archive
        from casewise.formats.dicom.write_segmentation import SUFFIX, segmentation_of
        from casewise.interaction.session import interactive_model
        from casewise.models import load
        from casewise.reporting.report import file_stem

        if (archive is None) != (structure is None):
            msg = "An archive's masks are known by what they show: give --archive and --structure together, or neither."
            raise UsageError(msg)
        if accept and archive is None:
            msg = "A mask is accepted into an archive: name it with --archive and --structure, or leave --accept out."
            raise UsageError(msg)
        if box is None and archive is None and from_mask is None:
            msg = "Give the box that the object lies in: --box LO:HI,LO:HI (one pair an axis), or a mask with --from-mask."
            raise UsageError(msg)
        pairs = parse_box(box) if box is not None else None
        stem = file_stem(output.name)
        beside = output.parent / f"{stem}{SUFFIX}"
        for path in (output, beside):
            claim(path)  # before the work, not after it
        query = casewise.read(image)
        network = interactive_model(load(model) if model else None, query)
        strokes = _strokes(scribbles, query) if scribbles is not None else None
        wanted = _Wanted(query, pairs, _mask(from_mask, query), strokes, grow, device.value)
        kept, reason, waited = False, None, None
        if archive is None or structure is None:
            session, seconds = wanted.segmented(network, None)
        else:
            with Archive.open(archive, create=True) as opened:
                session, seconds, waited, kept, reason = _in_archive(answer, opened, structure, network, wanted, accept, seed)
        if pairs is not None:
            _tell_cut(pairs, query)
        written = casewise.formats.write_mask(output, session.mask, query)
        segmentation, without = segmentation_of(beside, {structure or stem: session.mask}, query, by_hand=True)
        document = {"mask": written, "rounds": session.rounds, "seconds": round(seconds, 3), "accepted": kept}
        document |= {"prepared_seconds": round(waited, 3)} if waited is not None else {}
        document |= {"segmentation": segmentation} if segmentation else {}
        voxels = int(session.mask.sum())
        line = f"{written}: {plural(voxels, 'voxel')} after {plural(session.rounds, 'round')} of strokes, {seconds:.1f} s"
        line += f" ({waited:.1f} s of them to learn from the archive)" if waited is not None else ""
        answer.give(document, line, *(told for told in (reason, without) if told))


def parse_box(text: str) -> Pairs:
    """``LO:HI,LO:HI[,LO:HI]`` as pairs. Raises UsageError for anything else."""
    try:
        pairs = [tuple(int(side) for side in part.split(":")) for part in text.split(",")]
    except ValueError:
        pairs = []
    if not pairs or any(len(pair) != 2 or pair[0] >= pair[1] for pair in pairs):
        msg = f"A box is LO:HI,LO:HI[,LO:HI], whole numbers with LO below HI, one pair an axis; given was {text!r}."
        raise UsageError(msg)
    return [(pair[0], pair[1]) for pair in pairs]


def _tell_cut(pairs: Pairs, image: Image) -> None:
    """Say it where a box reaches beyond the image."""
    inside = [(max(0, lower), min(upper, length)) for (lower, upper), length in zip(pairs, image.spatial_shape, strict=True)]
    if inside != list(pairs):
        used = ",".join(f"{lower}:{upper}" for lower, upper in inside)
        say(f"The box reaches beyond the image, whose shape is {image.spatial_shape}; used was {used}.")


def _strokes(path: Path, image: Image) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    from casewise.formats import read_mask

    marked = read_mask(path, image)
    foreground, background = read_mask(path, image, value=1), read_mask(path, image, value=2)
    if (marked & ~foreground & ~background).any():
        msg = f"{path} holds other labels than 1 (the object), 2 (the rest) and 0 (not marked); save the strokes as these."
        raise UsageError(msg)
    return foreground, background


def _mask(path: Path | None, image: Image) -> npt.NDArray[np.bool_] | None:
    """(*spatial) bool of the mask to go on from. Raises UsageError for an empty one."""
    from casewise.formats import read_mask

    if path is None:
        return None
    mask = read_mask(path, image)
    if not mask.any():
        msg = f"{path} holds no voxel to go on from; leave --from-mask out, and give --box."
        raise UsageError(msg)
    return mask


@dataclass(frozen=True, eq=False)
class _Wanted:
    """What is segmented, by what the person gave. mask : (*spatial) bool, to go on from."""

    image: Image
    pairs: Pairs | None
    mask: npt.NDArray[np.bool_] | None
    strokes: tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]] | None
    grow: bool
    device: str

    def segmented(self, model: Model, prepared: Prepared | None) -> tuple[InteractiveSegmentation, float]:
        """(session, seconds)."""
        from casewise.interaction import InteractiveSegmentation

        began = time.perf_counter()
        guess = prepared.guess if prepared is not None and self.mask is None else None
        mask = self.mask if self.mask is not None else guess
        box = self.pairs if self.pairs is not None or prepared is None or self.mask is not None else prepared.box(self.image)
        session = InteractiveSegmentation(model, self.image, box, mask=mask, hint=guess is not None, device=self.device)
        if self.strokes is not None:
            session.add_scribbles(*self.strokes)
        if self.grow:
            session.grow()
        return session, time.perf_counter() - began


def _in_archive(
    answer: Answer, archive: Archive, structure: str, model: Model, wanted: _Wanted, accepting: bool, seed: int
) -> tuple[InteractiveSegmentation, float, float, bool, str]:
    """Begin from what was accepted, segment, and accept the outcome where it is asked for.

    Returns (session, seconds in all, seconds before it, whether the mask was accepted, one sentence).
    """
    from casewise.interaction.sets.guidance import REFINEMENT, accept, prepare

    began = time.perf_counter()
    settings = replace(REFINEMENT, seed=seed)
    prepared = prepare(
        model, wanted.image, archive, structure, wanted.pairs, settings=settings, device=wanted.device, progress=answer.progress
    )
    if wanted.pairs is None and wanted.mask is None and prepared.box(wanted.image) is None:
        msg = f"{prepared.reason} Give --box for this image."
        raise UsageError(msg)
    waited = time.perf_counter() - began
    session, seconds = wanted.segmented(prepared.model, prepared)
    if not accepting:
        told = "The mask is a draft: --accept keeps it in the archive."
    elif session.mask.any():
        accept(archive, session, structure, prepared=prepared)
        told = "The mask was kept in the archive."
    else:
        told = "The mask is empty, so it was not kept in the archive."
    kept = accepting and bool(session.mask.any())
    return session, waited + seconds, waited, kept, f"{prepared.reason} {told}"
