"""A network that completes pictures from which parts were removed, trained with a discriminator on normal images alone.

The two are trained in turn, each by :func:`casewise.training.fit`: the generator on parts removed anew at every step, then the
discriminator on real pictures and completed ones, then the generator again, which now also has to pass the discriminator.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from casewise.case import Case
from casewise.errors import CasewiseError, UsageError
from casewise.examination.normalisation import foreground
from casewise.image import Array, Box, Image
from casewise.models.model import Model
from casewise.models.preparation import Preparation
from casewise.models.spec import Spec
from casewise.models.tasks import Batch
from casewise.models.tasks.inpainting import SIGNS
from casewise.training.augmentation import Augmentation, augment
from casewise.training.fit import Progress, fit
from casewise.training.objectives import TaskObjective
from casewise.training.samples import samples_of
from casewise.training.settings import Settings

REMOVED = -1.0  # what a removed pixel holds: pictures lie in 0…1
WITHIN = "within"  # a case's mask of this name says where it is looked at; without it, wherever it shows something
_SEEN = 0.05  # the weight of what was not removed: it only has to stay about as it was
_SHOWS = 0.1  # a slice less filled than this teaches nothing
_JUDGES = ("completed", "real")
_CHANGED = Augmentation(rotation=10, scale=0.1, shift=0.04, bend=0.02, intensity=0.15, mirror=True)


@dataclass(frozen=True)
class Plan:
    """size : pixels of the network's square input. channels : of its levels. patch : pixels an axis that it works on at once.

    holes : edges of the removed squares, as shares of the size. turns : how often generator and discriminator are trained; in the
    first turn there is no discriminator yet. verdict : its weight in the generator's loss. sign : which differences are abnormal,
    ``brighter`` than synthesised (lesions on FLAIR) or ``either``.
    """

    size: int = 96
    channels: tuple[int, ...] = (16, 32, 64, 96)
    patch: int = 2
    holes: tuple[float, ...] = (0.15, 0.3, 0.5)
    turns: int = 2
    verdict: float = 0.02
    sign: str = "either"
    settings: Settings = field(default_factory=lambda: Settings(steps=600, batch=12, augmentation="none"))

    def __post_init__(self) -> None:
        if not self.holes or not all(0.02 < share < 0.8 for share in self.holes):
            raise UsageError(f"A removed part's edge is between 0.02 and 0.8 of the picture's; got {self.holes}.")
        if self.turns < 1 or not 0 <= self.verdict < 10:
            msg = f"A completion is trained in at least one turn, with a verdict's weight of 0 or more; got {self}."
            raise UsageError(msg)
        if self.sign not in SIGNS:
            raise UsageError(f"What is abnormal differs by {' or '.join(SIGNS)}; got {self.sign!r}.")

    def edges(self) -> tuple[int, ...]:
        """The removed squares' edges in pixels."""
        return tuple(max(2, round(share * self.size)) for share in self.holes)


def train_inpainting(
    cases: Sequence[Case],
    name: str,
    plan: Plan | None = None,
    progress: Progress | None = None,
    checkpoint: Path | None = None,
) -> Model:
    """A network that completes slices or pictures of the kind of ``cases``, all of which must be normal; no labels are used.

    A case's mask ``within``, where it has one, says which part of it is looked at (the lungs of a radiograph).
    The model's task is ``encoding`` (it gives a picture for a picture); its settings say how large the removed parts are.
    checkpoint : file from which a stopped training's turn goes on. Raises CasewiseError where no picture shows anything.
    """
    plan = plan or Plan()
    preparation = Preparation(2, (plan.size, plan.size), intensity="none")
    network = {
        "kind": "unet",
        "channels": list(plan.channels),
        "patch": plan.patch,
        "holes": list(plan.edges()),
        "sign": plan.sign,
    }
    spec = Spec("encoding", network, preparation)
    pictures, keys = pictures_of(cases, spec), tuple(case.key for case in cases)
    generator, critic = Model.initial(name, spec, plan.settings.seed), None
    for turn in range(plan.turns):
        settings = replace(plan.settings, seed=plan.settings.seed + turn)
        generator = fit(
            generator,
            InpaintingBatches(pictures, plan.edges(), keys),
            TaskObjective(spec) if critic is None else Adversarial(spec, critic, plan.verdict),
            settings=settings,
            method="initial" if turn == 0 else "continued",
            name=name,
            progress=progress,
            checkpoint=checkpoint,
        )
        if turn + 1 < plan.turns:
            critic = _critic(DiscriminatorBatches(pictures, plan.edges(), keys, generator), critic, plan, settings)
    return replace(generator, lineage=replace(generator.lineage, method="initial", parent=None, parent_name=None))


@dataclass(frozen=True, eq=False)
class InpaintingBatch(Batch):
    """removed : (N, 1, row, column) bool, what of the picture was removed."""

    removed: Tensor = field(kw_only=True)


class InpaintingBatches:
    """Batches of pictures with squares removed; the target is the whole picture, and the squares count most."""

    def __init__(self, pictures: Tensor, edges: Sequence[int], cases: Sequence[str] = ()) -> None:
        self._pictures, self._edges, self.cases = pictures, tuple(edges), tuple(cases)
        self.key = f"removed {self._edges} {len(pictures)}"

    def batch(self, step: int, size: int, rng: np.random.Generator, previous: Tensor | None = None) -> InpaintingBatch:
        whole = _changed(self._pictures, size, rng)
        gone = drawn(whole.shape[-1], self._edges, size, rng)
        # Where a picture shows nothing there is nothing to be learnt.
        weights = torch.where(gone & (_blurred(whole) > 0), 1.0, _SEEN)
        return InpaintingBatch(without(whole, gone), whole, voxel_weights=weights[:, 0], removed=gone)


class Adversarial(TaskObjective):
    """The task's loss, and ``weight`` times how sure the discriminator ``critic`` is that the completed pictures are not real."""

    def __init__(self, spec: Spec, critic: Model, weight: float) -> None:
        super().__init__(spec)
        self._critic, self._weight = critic.ready(), weight
        self.key = f"{self.key} adversarial {critic.key} {weight}"

    def loss(self, answer: object, batch: Batch) -> Tensor:
        loss = super().loss(answer, batch)
        if not isinstance(batch, InpaintingBatch) or not isinstance(answer, Tensor):
            raise TypeError("A discriminator sees completed pictures: batches say what was removed.")
        completed = torch.where(batch.removed, answer.float(), batch.target)
        real = torch.ones(len(completed), dtype=torch.long, device=completed.device)
        return loss + self._weight * functional.cross_entropy(self._critic.to(completed.device)(completed), real)


class DiscriminatorBatches:
    """Batches for the discriminator: half real pictures, half of which the generator completed parts."""

    def __init__(self, pictures: Tensor, edges: Sequence[int], cases: Sequence[str], generator: Model) -> None:
        self._pictures, self._edges, self.cases, self.generator = pictures, tuple(edges), tuple(cases), generator
        self.key = f"completed {self._edges} {len(pictures)} {generator.key}"

    def batch(self, step: int, size: int, rng: np.random.Generator, previous: Tensor | None = None) -> Batch:
        whole = _changed(self._pictures, size, rng)
        real = torch.arange(size) % 2
        gone = drawn(whole.shape[-1], self._edges, size, rng) & (real == 0)[:, None, None, None]
        with torch.inference_mode():
            answer = self.generator.ready()(without(whole, gone))
        return Batch(torch.where(gone, answer, whole).clone(), real)


def drawn(size: int, edges: Sequence[int], count: int, rng: np.random.Generator) -> Tensor:
    """(count, 1, size, size) bool: squares of one edge drawn from ``edges`` in each picture, on a grid that lies anywhere.

    They are two edges apart, as when they slide over a picture; a large square is alone.
    """
    gone = torch.zeros((count, 1, size, size), dtype=torch.bool)
    for number in range(count):
        edge = int(rng.choice(np.asarray(edges)))
        top, left = (int(n) for n in rng.integers(0, min(2 * edge, size - edge + 1), size=2))
        gone[number] = grid_of_squares(size, edge, top, left)
    return gone


def grid_of_squares(size: int, edge: int, top: int, left: int) -> Tensor:
    """(1, size, size) bool: squares of ``edge``, the first at (top, left), the others every two edges from it.

    Those that would stick out are left out.
    """
    rows, columns = (_comb(size, edge, first) for first in (top, left))
    return (rows[:, None] & columns[None, :])[None]


def _comb(size: int, edge: int, first: int) -> Tensor:
    line = torch.zeros(size, dtype=torch.bool)
    for start in range(first, size - edge + 1, 2 * edge):
        line[start : start + edge] = True
    return line


def without(whole: Tensor, gone: Tensor) -> Tensor:
    """(N, 1, row, column) with what is ``gone`` removed."""
    return torch.where(gone, torch.full_like(whole, REMOVED), whole)


def scaled(image: Image, within: Array | None = None) -> Image:
    """(1, *spatial) float32 in 0…1: the median of what the image shows (in ``within``) at one half.

    Not by its percentiles: a bright lesion would be the brightest of all, and make everything else darker than any normal image's.
    """
    grey = image.array.astype(np.float32).mean(axis=0)
    slope, low = scale_of(image, within)
    return image.with_array(np.clip((grey - low) / slope, 0, 1)[None])


def scale_of(image: Image, within: Array | None = None) -> tuple[float, float]:
    """(slope, shift) from the intensities of :func:`scaled` to the image's own."""
    grey = image.array.astype(np.float32).mean(axis=0)
    displayed = foreground(grey) if within is None else within
    low = float(grey.min())
    middle = float(np.median(grey[displayed])) - low if displayed.any() else 0.0
    return (2 * middle if middle > 0 else float("inf")), low


def framed(image: Image, within: npt.NDArray[np.bool_] | None = None) -> tuple[Image, npt.NDArray[np.bool_], tuple[slice, ...]]:
    """(the scaled image cut to what is looked at, where that is within it, the cut's place in the image's grid).

    within (*spatial) : what is looked at; without it whatever the image shows.
    """
    if within is None:
        within = foreground(image.array.astype(np.float32).mean(axis=0))
    box = Box.around(within)
    if box is None:
        return scaled(image, within), within, tuple(slice(0, n) for n in within.shape)
    return scaled(image, within).crop(box), within[box.slices], box.slices


def pictures_of(cases: Sequence[Case], spec: Spec) -> Tensor:
    """(n, 1, size, size) float32 in 0…1: the slices and pictures that show something."""
    brought = [replace(case, load_image=partial(_loaded, case)) for case in cases]
    planes = [sample.x.float() for case in brought for sample in samples_of(case, spec, everything=True)]
    displayed = [plane for plane in planes if float((plane > _SHOWS).float().mean()) >= _SHOWS]
    if not displayed:
        raise CasewiseError("None of the cases has content to inpaint; give normal images of the kind to be scored.")
    return torch.stack(displayed)


def _loaded(case: Case) -> Image:
    mask = case.load_masks[WITHIN]() if WITHIN in case.load_masks else None
    return framed(case.image, mask)[0]


def _changed(pictures: Tensor, count: int, rng: np.random.Generator) -> Tensor:
    """(count, 1, size, size): pictures drawn, each turned, bent and mirrored a little."""
    whole = pictures[torch.from_numpy(rng.integers(len(pictures), size=count))]
    generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
    return augment(whole, [], _CHANGED, generator)[0]


def _blurred(whole: Tensor) -> Tensor:
    return functional.max_pool2d(whole, 5, stride=1, padding=2)


def _critic(batches: DiscriminatorBatches, before: Model | None, plan: Plan, settings: Settings) -> Model:
    network = {"kind": "classifier", "channels": list(plan.channels), "patch": 2}
    spec = Spec("classification", network, batches.generator.spec.preparation, classes=_JUDGES)
    start = before or Model.initial(f"{batches.generator.name} discriminator", spec, settings.seed)
    return fit(start, batches, settings=replace(settings, steps=max(1, settings.steps // 3)))
