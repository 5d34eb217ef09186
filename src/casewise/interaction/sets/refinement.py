"""Refinement of an interactive model on accepted masks of one structure, with a simulated user.

Batches look as a session on the next image will: the objects as they lie, and as large, in pixels, as the accepted ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from casewise.case import Case, Structure
from casewise.image import Box
from casewise.intensity import unit_range
from casewise.interaction.simulation.pictures import Habits, SimulatedUser, Task
from casewise.interaction.simulation.volumes import SimulatedUserInVolumes
from casewise.models.model import Model
from casewise.models.tasks import Interactive
from casewise.models.tasks.settings import with_settings
from casewise.training.augmentation import Augmentation
from casewise.training.batches import Batches
from casewise.training.fit import Progress, fit
from casewise.training.settings import Settings

Mask = npt.NDArray[np.bool_]

REFINEMENT = Settings(steps=40, batch=8, rate=1e-3, augmentation="none", mixed=True)
_HABITS = Habits(rounds=5, many=0.05, several=0.1, start=0.03, prior=0.5, best=1.0, upright=True)
_WARP = Augmentation(rotation=15, scale=0.15, shift=0.0, bend=0.02, intensity=0.4, mirror=False)
_PLANES = 16  # of a volume that are learnt from at once
_SLICES = 12  # of a volume that are learnt from
_SPREAD = 1.07  # times the accepted objects' sides, and a part of them, that the next may have


def refine_on(
    model: Model,
    cases: Sequence[Case],
    structure: str,
    settings: Settings = REFINEMENT,
    device: str = "auto",
    progress: Progress | None = None,
    trust: Sequence[float] | None = None,
) -> Model:
    """The model after some steps on the accepted cases; ``trust`` (0…1, one a case) says how often each is trained on.

    A model for pictures then answers on pictures as they lie, no longer on their mirror images as well.
    """
    volumes = model.spec.preparation.spatial_dims == 3
    tasks, shares = [], []
    for case, trusted in zip(cases, trust if trust is not None else [1.0] * len(cases), strict=True):
        found = list(_volume(case, structure) if volumes else _pictures(case, structure))
        tasks += found
        shares += [trusted / len(found)] * len(found)
    if not tasks:
        return model
    chances = np.array(shares) / sum(shares)

    def draw(rng: np.random.Generator) -> Task:
        return tasks[int(rng.choice(len(tasks), p=chances))]

    prompts, size = Interactive(model.spec).prompts, model.spec.preparation.size
    rows, columns = size[:2]
    source, keys = f"accepted {structure}", [case.key for case in cases]
    settings = replace(settings, device=device)
    if volumes:
        habits = replace(_HABITS, rounds=4)
        batches: Batches = SimulatedUserInVolumes(draw, source, (rows, columns, _PLANES), habits, prompts, turned=False, cases=keys)
        settings = replace(settings, batch=2, steps=max(1, settings.steps // 4))
    else:
        model = replace(model, spec=with_settings(model.spec, {"upright": True}))
        habits = replace(_HABITS, grids=_grids([mask for _, mask in tasks]), warp=_WARP)
        batches = SimulatedUser(draw, source, (rows, columns), habits, prompts, keys)
    name = model.name if model.name.endswith(f"+{structure}") else f"{model.name}+{structure}"
    return fit(model, batches, settings=settings, method="similar", name=name, progress=progress)


def _grids(masks: Sequence[Mask]) -> tuple[tuple[float, float, float, float], ...]:
    """As :class:`Habits` takes them: the network's own grid, and objects about as large, in pixels, as ``masks``.

    A session looks at a large object on a finer grid; training there takes fewer objects in the same time, which costs more.
    """
    sides = [max(box.shape) for mask in masks if (box := Box.around(mask)) is not None]
    return ((1.0, min(sides) / _SPREAD, max(sides) * _SPREAD, 1.0),)


def _pictures(case: Case, structure: str) -> Iterator[Task]:
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
    return unit_range(array), case.label_map([Structure.parse(structure)]) > 0


def _coarsest(case: Case) -> int:
    return max(range(3), key=lambda n: (case.image.spacing[n], n))
