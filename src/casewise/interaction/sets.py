"""Each accepted mask makes the next image easier: what an archive holds of a structure leads the first answer on a new image.

The research anchor is MultiverSeg (Wong et al. 2024, arXiv 2412.15058). Here the accepted cases vote on where the structure lies,
laid into the box that was drawn or, without one, registered to the image; and the network is refined on them by the one training
loop, with a simulated user in it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from casewise.archive import Archive
from casewise.case import Case, Structure
from casewise.errors import ArchiveError
from casewise.image import Box, Image
from casewise.interaction.box_vote import box_vote
from casewise.interaction.loop import Habits, Task, UserInTheLoop
from casewise.interaction.loop_volumes import VolumesInTheLoop
from casewise.interaction.session import InteractiveSegmentation
from casewise.interaction.strokes import checked_box
from casewise.models.model import Model
from casewise.models.networks.prompts import prompts_of
from casewise.models.preparation import Preparation
from casewise.models.spec import Spec
from casewise.training.fit import Progress, Settings, fit
from casewise.training.source import Source

Mask = npt.NDArray[np.bool_]

REFINEMENT = Settings(steps=40, batch=8, rate=1e-3, augmentation="none")
_HABITS = Habits(rounds=4, many=0.1, several=0.1, start=0.05, prior=0.4)
_PLANES = 16  # of a volume that are learnt from at once
_MOST = 8  # cases that vote and are learnt from
_SLICES = 12  # of a volume that are learnt from
_MARGIN = 0.1  # of the guess's sides, left around it where no box was drawn


@dataclass(frozen=True, eq=False)
class Prepared:
    """What the accepted cases give for one image.

    model : refined on them, or the one given where there are none. guess : (*spatial) bool, where their labels see the
    structure; None where they do not agree. cases : the accepted ones that were used. reason : one sentence.
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
    settings: Settings = REFINEMENT,
    device: str = "auto",
    progress: Progress | None = None,
) -> Prepared:
    """Ask the archive's cases with a mask of ``structure``, the most similar first, what they know of ``image``.

    box : where the structure was marked, if it was. The image itself is left out where the archive holds it. Nothing is written.
    """
    cases = accepted(image, archive, structure, device)
    if not cases:
        return Prepared(model, None, (), f"The archive has no mask of {structure} yet, so the box alone begins.")
    drawn = None if box is None else checked_box(image, box)
    guess = guessed(image, cases, structure) if drawn is None else box_vote(image, drawn, cases, structure)
    refined = refine_on(model, cases, structure, settings, device, progress)
    told = "their labels led the first answer" if guess is not None else "their labels do not fit this image"
    count = "1 accepted case" if len(cases) == 1 else f"{len(cases)} accepted cases"
    return Prepared(refined, guess, tuple(cases), f"{model.name} was refined on {count} of {structure}; {told}.")


def accepted(image: Image, archive: Archive, structure: str, device: str = "auto") -> list[Case]:
    """The archive's cases with a mask of ``structure`` and the image's number of axes, most similar first."""
    held = {case.key: case for case in archive.cases([structure])}
    if not held:
        return []
    from casewise.device import resolve_device
    from casewise.models.shipped import default_encoder

    encoder = default_encoder(resolve_device(device))
    found = archive.similar(image, k=_MOST, encoder=encoder, structures=[structure], among=held.keys())
    return [held[case.key] for case in found if held[case.key].image.spatial_dims == image.spatial_dims]


def guessed(image: Image, cases: Sequence[Case], structure: str) -> Mask | None:
    """(*spatial) bool: where the cases' labels, registered to the image, see the structure; None where they do not fit."""
    from casewise.adaptation.vote import Voting, vote

    # The vote asks a model how images are cut and what is looked for, and never runs its network.
    spec = Spec("segmentation", {"kind": "unet"}, Preparation(2, (128, 128)), structures=(Structure.parse(structure),))
    counted = vote(Model("vote", spec, {}), image, cases, Voting(k=_MOST, fewest=1, agreement=0.6))
    if not counted.used or counted.prediction is None:
        return None
    mask = counted.prediction.mask > 0
    return mask if mask.any() else None


def refine_on(
    model: Model,
    cases: Sequence[Case],
    structure: str,
    settings: Settings = REFINEMENT,
    device: str = "auto",
    progress: Progress | None = None,
) -> Model:
    """The model after a few steps on the accepted cases, a simulated user in the loop."""
    name = f"{model.name}+{structure}"
    prompts, size = prompts_of(model.spec.network), model.spec.preparation.size
    rows, columns = size[:2]
    told = f"accepted {structure}"
    volumes = model.spec.preparation.spatial_dims == 3
    tasks = [task for case in cases for task in (_volume(case, structure) if volumes else _tasks(case, structure))]
    if not tasks:
        return model

    def draw(rng: np.random.Generator) -> Task:
        return tasks[int(rng.integers(len(tasks)))]

    settings = replace(settings, device=device)
    if volumes:
        source: Source = VolumesInTheLoop(draw, told, (rows, columns, _PLANES), _HABITS, prompts, turned=False)
        settings = replace(settings, batch=2, steps=max(1, settings.steps // 4))
    else:
        source = UserInTheLoop(draw, told, (rows, columns), _HABITS, prompts)
    return fit(model, cases, settings=settings, method="similar", name=name, source=source, progress=progress)


def accept(archive: Archive, session: InteractiveSegmentation, structure: str, *, prepared: Prepared | None = None) -> str:
    """Keep the current mask in the archive as the image's mask of ``structure``, with how it was made; returns the image's key."""
    image = session.image
    origin: dict[str, object] = {
        "how": "interactive",
        "model": session.model.key,
        "model_name": session.model.name,
        "rounds": session.rounds,
        "box": session.box.to_json(),
        "refined_on": [case.key for case in prepared.cases] if prepared is not None else [],
    }
    masks = {structure: session.mask}
    if image.source is not None and image.source.exists():
        try:
            return archive.add(image.source, masks, origin=origin)
        except ArchiveError:  # it holds several images, of which the archive cannot know which is meant: its voxels are kept
            return archive.add(session.original, masks, origin=origin)
    return archive.add(session.original, masks, origin=origin)


def _tasks(case: Case, structure: str) -> Iterator[Task]:
    """The picture, or a volume's slices across its coarsest axis, in which the structure has some voxels; 0…1."""
    scaled, mask = _scaled(case, structure)
    if case.image.spatial_dims == 2:
        if mask.any():
            yield scaled, mask
        return
    axis = _coarsest(case)
    filled = np.flatnonzero(mask.sum(axis=tuple(n for n in range(3) if n != axis)) >= 12)
    for place in filled[np.unique(np.linspace(0, len(filled) - 1, min(_SLICES, len(filled))).astype(int))] if len(filled) else []:
        yield np.take(scaled, place, axis), np.take(mask, place, axis)


def _volume(case: Case, structure: str) -> Iterator[Task]:
    """The volume, the coarsest axis last."""
    scaled, mask = _scaled(case, structure)
    if case.image.spatial_dims == 3 and mask.any():
        yield np.moveaxis(scaled, _coarsest(case), -1), np.moveaxis(mask, _coarsest(case), -1)


def _scaled(case: Case, structure: str) -> Task:
    array = case.image.array.mean(axis=0, dtype=np.float32)
    low, high = np.percentile(array, (0.5, 99.5))
    scaled = np.clip((array - low) / max(float(high - low), 1e-6), 0, 1).astype(np.float32)
    return scaled, case.label_map([Structure.parse(structure)]) > 0


def _coarsest(case: Case) -> int:
    return max(range(3), key=lambda n: (case.image.spacing[n], n))
