"""One object segmented in one call: from its box, a mask or an archive's accepted masks, with the strokes that are there."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from casewise.archive import Archive
from casewise.errors import UsageError
from casewise.formats import read_mask
from casewise.image import Box, Image
from casewise.interaction.fine_tuning import FineTuning
from casewise.interaction.session import InteractiveSegmentation, interactive_model
from casewise.interaction.sets.guidance import REFINEMENT, Prepared, accept, prepare
from casewise.models.model import Model
from casewise.models.registry import load
from casewise.progress import Progress, silent

Mask = npt.NDArray[np.bool_]
Drawn = Box | Sequence[Sequence[int]]


@dataclass(frozen=True, eq=False)
class Segmented:
    """session : with the mask, to go on from. seconds : in all. prepared_seconds : of these, to learn from the archive; None
    without one. accepted : whether the mask was kept in the archive. reason : a sentence on that; None without an archive.
    """

    session: InteractiveSegmentation
    seconds: float
    prepared_seconds: float | None = None
    accepted: bool = False
    reason: str | None = None


def segment(
    image: Image,
    box: Drawn | None = None,
    *,
    mask: Mask | None = None,
    strokes: tuple[Mask, Mask] | None = None,
    grow: bool = False,
    model: Model | str | os.PathLike[str] | None = None,
    archive: Archive | str | os.PathLike[str] | None = None,
    structure: str | None = None,
    keep: bool = False,
    fine_tuning: FineTuning | None = None,
    device: str = "auto",
    seed: int = 0,
    progress: Progress = silent,
) -> Segmented:
    """Segment one object.

    box, mask, grow, model, fine_tuning : as :class:`InteractiveSegmentation` takes them. strokes : (object, rest), each
    (*spatial) bool; where both mark a voxel, as :meth:`InteractiveSegmentation.add_scribbles` does.
    archive, structure : begin from the accepted masks of this structure; the archive is made where there is none. keep : accept the
    mask into it. Raises UsageError for options that do not go together, and where there is neither box nor mask to begin from.
    """
    _check(box, mask, archive, structure, keep)
    network = interactive_model(model if isinstance(model, Model) or model is None else load(model), image)
    if archive is None or structure is None:
        session, seconds = _segmented(network, image, box, mask, strokes, grow, None, fine_tuning, device)
        return Segmented(session, seconds)
    opening = nullcontext(archive) if isinstance(archive, Archive) else Archive.open(Path(archive), create=True)
    with opening as opened:
        began = time.perf_counter()
        settings = replace(REFINEMENT, seed=seed)
        prepared = prepare(network, image, opened, structure, box, settings=settings, device=device, progress=progress)
        if box is None and mask is None and prepared.box(image) is None:
            raise UsageError(f"{prepared.reason} Give --box for this image.")
        waited = time.perf_counter() - began
        session, seconds = _segmented(network, image, box, mask, strokes, grow, prepared, fine_tuning, device)
        kept = keep and bool(session.mask.any())
        if kept:
            accept(opened, session, structure, prepared=prepared)
    reason = f"{prepared.reason} {_kept_or_not(keep, kept)}"
    return Segmented(session, waited + seconds, waited, kept, reason)


def read_strokes(path: Path, image: Image) -> tuple[Mask, Mask]:
    """(object, rest), each (*spatial) bool, of a label map on the image's grid: 1 the object, 2 the rest, 0 not marked.

    Of a segmentation whose segments overlap, a voxel may be both.
    """
    marked = read_mask(path, image)
    foreground, background = read_mask(path, image, value=1), read_mask(path, image, value=2)
    if (marked & ~foreground & ~background).any():
        msg = f"{path} holds other labels than 1 (the object), 2 (the rest) and 0 (not marked); save the strokes as these."
        raise UsageError(msg)
    return foreground, background


def read_start(path: Path, image: Image) -> Mask:
    """(*spatial) bool of the mask to go on from. Raises UsageError for an empty one."""
    mask = read_mask(path, image)
    if not mask.any():
        msg = f"{path} holds no voxel to go on from; leave --from-mask out, and give --box."
        raise UsageError(msg)
    return mask


def _check(box: object, mask: object, archive: object, structure: str | None, keep: bool) -> None:
    if (archive is None) != (structure is None):
        msg = "An archive's masks are found by their structure: give --archive and --structure together, or neither."
        raise UsageError(msg)
    if keep and archive is None:
        msg = "A mask is accepted into an archive: name it with --archive and --structure, or leave --accept out."
        raise UsageError(msg)
    if box is None and archive is None and mask is None:
        msg = "Give the box that the object lies in: --box LO:HI,LO:HI (one pair an axis), or a mask with --from-mask."
        raise UsageError(msg)


def _segmented(
    model: Model,
    image: Image,
    box: Drawn | None,
    mask: Mask | None,
    strokes: tuple[Mask, Mask] | None,
    grow: bool,
    prepared: Prepared | None,
    fine_tuning: FineTuning | None,
    device: str,
) -> tuple[InteractiveSegmentation, float]:
    """(session, seconds). model : before it was refined on the cases of ``prepared``."""
    began = time.perf_counter()
    guess = prepared.guess if prepared is not None and mask is None else None
    if box is None and mask is None and prepared is not None:
        box = prepared.box(image)
    start = mask if mask is not None else guess
    refined = model if prepared is None else prepared.model
    session = InteractiveSegmentation(
        refined, image, box, mask=start, hint=guess is not None, initial=model, fine_tuning=fine_tuning, device=device
    )
    if strokes is not None:
        session.add_scribbles(*strokes)
    if grow:
        session.grow()
    return session, time.perf_counter() - began


def _kept_or_not(wanted: bool, kept: bool) -> str:
    if kept:
        return "The mask was kept in the archive."
    if wanted:
        return "The mask is empty, so it was not kept in the archive."
    return "The mask is a draft: --accept keeps it in the archive."
