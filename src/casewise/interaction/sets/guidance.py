"""Each accepted mask makes the next image easier: what an archive holds of a structure leads the first answer on a new image.

The research anchor is MultiverSeg (Wong et al. 2024, arXiv 2412.15058). Here the labels of the accepted cases are fused,
registered to the box that was drawn or, without one, to the image; and the network, as it was refined for the image before, is
refined further on all of them by the one training loop, with a simulated user in it. Where the content of the box does not resemble
the accepted cases, or their labels cross edges there that the network's own mask follows, these are ignored.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from casewise.archive import Archive
from casewise.case import Case, Structure
from casewise.errors import ArchiveError
from casewise.image import Box, Image
from casewise.interaction.session import InteractiveSegmentation
from casewise.interaction.sets import cache
from casewise.interaction.sets.label_fusion import fused_mask
from casewise.interaction.sets.leave_one_out import across_edges, dissimilar, weights
from casewise.interaction.sets.refinement import REFINEMENT, refine_on
from casewise.interaction.strokes import checked_box
from casewise.models.model import Model
from casewise.models.preparation import Preparation
from casewise.models.spec import Spec
from casewise.progress import Progress, silent
from casewise.training.settings import Settings

if TYPE_CHECKING:
    from casewise.adaptation.label_fusion import FusedLabels

__all__ = ["REFINEMENT", "Prepared", "accept", "accepted", "fused_labels", "guessed", "origin_of", "prepare", "refine_on"]

Mask = npt.NDArray[np.bool_]

_REFINING = "Refining"
_FUSED = {2: 8, 3: 5}  # cases whose labels are fused, on pictures and on volumes
_MOST = 64  # cases that are learnt from
_MARGIN = 0.1  # of the guess's sides, left around it where no box was drawn


@dataclass(frozen=True, eq=False)
class Prepared:
    """What the accepted cases give for one image.

    model : refined on them, or the one given where there are none. guess : (*spatial) bool, the structure by their fused labels;
    None where they do not agree. cases : the accepted ones that were used. reason : one sentence.
    """

    model: Model
    guess: Mask | None
    cases: tuple[Case, ...]
    reason: str

    def box(self, image: Image) -> Box | None:
        """Around the guess, with a margin; None without a guess."""
        found = None if self.guess is None else Box.around(self.guess)
        if found is None:
            return None
        pads = [max(2, round(_MARGIN * side)) if n > 1 else 0 for side, n in zip(found.shape, image.spatial_shape, strict=True)]
        lower = tuple(max(0, low - pad) for low, pad in zip(found.lower, pads, strict=True))
        upper = tuple(min(n, high + pad) for high, pad, n in zip(found.upper, pads, image.spatial_shape, strict=True))
        return Box(lower, upper)


def prepare(
    model: Model,
    image: Image,
    archive: Archive,
    structure: str,
    box: Box | Sequence[Sequence[int]] | None = None,
    *,
    settings: Settings | None = REFINEMENT,
    device: str = "auto",
    progress: Progress = silent,
) -> Prepared:
    """Prepare a session on ``image`` by the archive's cases with a mask of ``structure``, the most similar first.

    box : where the structure was marked, if it was. The image itself is left out where the archive holds it. settings : its steps
    are taken for each accepted mask, once; None leaves the model as it is. The refined model is kept in the archive's folder, and
    nothing else is written. The same calls give the same masks. progress : called for the archive's images
    that are given a vector first, and of the refinement.
    """
    cases = accepted(image, archive, structure, device, progress)
    if not cases:
        return Prepared(model, None, (), f"The archive has no mask of {structure} yet, so the box alone begins.")
    kept = cache.load(archive, model, structure, cases)
    keys = [case.key for case in cases]
    weight = dict(zip(keys, weights(kept.scores, keys), strict=True))
    count = "1 accepted case" if len(cases) == 1 else f"{len(cases)} accepted cases"
    if box is None:
        guess = guessed(image, cases[: _FUSED[2]], structure, progress)
    else:
        drawn, nearest = checked_box(image, box), cases[: _FUSED[image.spatial_dims]]
        fused = fused_mask(image, drawn, nearest, structure, [weight[case.key] for case in nearest])
        known = [kept.scores[case.key] for case in nearest]
        why = dissimilar(fused, image, drawn, known)
        if why is None and fused is not None:
            own = InteractiveSegmentation(model, image, drawn, device=device).mask
            why = across_edges(fused, own, image, drawn, known)
        if why is not None:
            cache.store(kept)
            reason = f"The content of the box does not resemble the {structure} of the {count} ({why}), so the box alone begins."
            return Prepared(model, None, (), reason)
        guess = None if fused is None else fused.mask
    outcome = "their labels lead the first mask" if guess is not None else "their labels do not fit this image"
    if settings is None:
        cache.store(kept)
        return Prepared(model, guess, tuple(cases), f"{count} of {structure} were compared; {outcome}.")
    kept = _refined(kept, model, cases, structure, settings, device, progress)
    return Prepared(kept.refined or model, guess, tuple(cases), f"{model.name} was refined on {count} of {structure}; {outcome}.")


def accepted(image: Image, archive: Archive, structure: str, device: str = "auto", progress: Progress = silent) -> list[Case]:
    """The archive's cases with a mask of ``structure`` and the image's number of axes, most similar first."""
    from casewise.archive import Selection

    drawn = Selection(structures=(Structure.parse(structure),), axes=image.spatial_dims)
    if not archive.count(drawn):
        return []
    from casewise.chest.upright import UprightEncoder
    from casewise.device import resolve_device
    from casewise.models.shipped import default_encoder

    where = resolve_device(device)
    encoder = UprightEncoder(default_encoder(where), where)
    found = archive.similar(image, k=_MOST, encoder=encoder, where=drawn, progress=progress)
    held = {case.key: case for case in archive.cases(keys={case.key for case in found})}
    return [held[case.key] for case in found if case.key in held]


def _refined(
    kept: cache.SetCache,
    model: Model,
    cases: Sequence[Case],
    structure: str,
    settings: Settings,
    device: str,
    progress: Progress,
) -> cache.SetCache:
    """What is kept, with the model refined further, unless it was on all of these masks already."""
    if kept.refined is None or kept.steps < settings.steps * len(cases):
        shares = weights(kept.scores, [case.key for case in cases])

        def report(step: int, steps: int, loss: float) -> None:
            progress(_REFINING, step, steps, f"loss {loss:.3f}")

        drawn = replace(settings, seed=settings.seed + kept.steps)  # other batches than before
        refined = refine_on(kept.refined or model, cases, structure, drawn, device, report, shares)
        on = {**kept.on, **{case.key: kept.masks[case.key][0] for case in cases}}
        lineage = replace(refined.lineage, parent=model.key, parent_name=model.name, refined_on=tuple(sorted(on)))
        kept = replace(kept, refined=replace(refined, lineage=lineage), on=on, steps=kept.steps + settings.steps)
    cache.store(kept)
    return kept


def fused_labels(image: Image, cases: Sequence[Case], structure: str, progress: Progress = silent) -> FusedLabels:
    """The cases' labels of the structure, registered to the image and fused, and how far they agree."""
    from casewise.adaptation.label_fusion import FusionSettings, fuse_labels

    # A model says how images are prepared and which structures there are; its network is never run.
    spec = Spec("segmentation", {"kind": "unet"}, Preparation(2, (128, 128)), structures=(Structure.parse(structure),))
    return fuse_labels(Model("labels", spec, {}), image, cases, FusionSettings(k=_FUSED[2], fewest=1, agreement=0.6), progress)


def guessed(image: Image, cases: Sequence[Case], structure: str, progress: Progress = silent) -> Mask | None:
    """(*spatial) bool: the structure by the cases' labels, registered to the image and fused; None where they do not fit."""
    fused = fused_labels(image, cases, structure, progress)
    if not fused.used or fused.prediction is None:
        return None
    mask = fused.prediction.mask > 0
    return mask if mask.any() else None


def accept(archive: Archive, session: InteractiveSegmentation, structure: str, *, prepared: Prepared | None = None) -> str:
    """Keep the current mask in the archive as the image's mask of ``structure``, with how it was made; returns the image's key."""
    image = session.image
    origin = origin_of(session, [case.key for case in prepared.cases] if prepared is not None else [])
    masks = {structure: session.mask}
    if image.source is not None and image.source.exists():
        try:
            return archive.add(image.source, masks, origin=origin)
        except ArchiveError:  # it holds several images, of which the archive cannot know which is meant: its voxels are kept
            return archive.add(session.original, masks, origin=origin)
    if len(known := archive.keys_of(image)) == 1:  # its file may be in object storage, and no copy of it be here now
        (key,) = known
        archive.add_masks(key, archive.case(key).image, masks, origin=origin)
        return key
    return archive.add(session.original, masks, origin=origin)


def origin_of(session: InteractiveSegmentation, refined_on: Sequence[str] = ()) -> dict[str, object]:
    """How the current object's mask was made, as the archive keeps it. refined_on : keys of the cases that led it, if they did."""
    return {
        "how": "interactive",
        "model": session.answering.key,
        "model_name": session.answering.name,
        "rounds": session.rounds,
        "box": session.box.to_json(),
        "refined_on": [] if session.refuted else list(refined_on),
    }
