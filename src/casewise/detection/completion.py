"""A network that completes pictures from which a part was removed, trained with a discriminator on normal images alone.

The two are trained in turn, each by :func:`casewise.training.fit`: the generator on parts removed anew at every step, then the
discriminator on real pictures and completed ones, then the generator again, which now also has to pass the discriminator.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from casewise.anatomy.normalising import foreground
from casewise.case import Case
from casewise.errors import CasewiseError, UsageError
from casewise.image import Image
from casewise.models.model import Model
from casewise.models.preparation import Preparation
from casewise.models.spec import Spec
from casewise.training.fit import Progress, Settings, fit
from casewise.training.samples import prepare

REMOVED = -1.0  # what a removed pixel holds: pictures lie in 0…1
_SEEN = 0.05  # the weight of what was not removed: it only has to stay about as it was
_SHOWS = 0.1  # a slice less filled than this teaches nothing
_JUDGES = ("completed", "real")


@dataclass(frozen=True)
class Plan:
    """size : pixels of the network's square input. channels : of its levels.

    holes : edges of the removed squares, as shares of the size. turns : how often generator and discriminator are trained; in the
    first turn there is no discriminator yet. verdict : its weight in the generator's loss.
    """

    size: int = 96
    channels: tuple[int, ...] = (16, 32, 64)
    holes: tuple[float, ...] = (0.15, 0.3)
    turns: int = 2
    verdict: float = 0.02
    settings: Settings = field(default_factory=lambda: Settings(steps=600, batch=12, augmentation="none"))

    def __post_init__(self) -> None:
        if not self.holes or not all(0.02 < share < 0.8 for share in self.holes):
            raise UsageError(f"A removed part's edge is between 0.02 and 0.8 of the picture's; given was {self.holes}.")
        if self.turns < 1 or not 0 <= self.verdict < 10:
            msg = f"A completion is trained in at least one turn, with a verdict's weight of 0 or more; given was {self}."
            raise UsageError(msg)

    def edges(self) -> tuple[int, ...]:
        """The removed squares' edges in pixels."""
        return tuple(max(2, round(share * self.size)) for share in self.holes)


def train_completion(cases: Sequence[Case], name: str, plan: Plan | None = None, progress: Progress | None = None) -> Model:
    """A network that completes slices or pictures of the kind of ``cases``, all of which must be normal; no labels are used.

    The model's task is ``encoding`` (it gives a picture for a picture); its settings say how large the removed parts are.
    Raises CasewiseError where no picture shows anything.
    """
    plan = plan or Plan()
    preparation = Preparation(2, (plan.size, plan.size), intensity="none")
    network = {"kind": "unet", "channels": list(plan.channels), "patch": 1, "holes": list(plan.edges())}
    spec = Spec("encoding", network, preparation)
    pictures = _pictures(cases, spec)
    generator, critic = Model.initial(name, spec, plan.settings.seed), None
    for turn in range(plan.turns):
        settings = replace(plan.settings, seed=plan.settings.seed + turn)
        source = Removed(pictures, plan.edges(), critic, plan.verdict)
        generator = fit(
            generator,
            cases,
            settings=settings,
            source=source,
            penalty=source.verdict if critic is not None else None,
            method="initial" if turn == 0 else "continued",
            name=name,
            progress=progress,
        )
        if turn + 1 < plan.turns:
            critic = _critic(pictures, cases, generator, critic, plan, settings)
    return generator


class Removed:
    """Batches of pictures with a square removed; the target is the whole picture, and the square counts most."""

    def __init__(self, pictures: Tensor, edges: Sequence[int], critic: Model | None, weight: float) -> None:
        self._pictures, self._edges, self._weight = pictures, tuple(edges), weight
        self._critic = critic.ready() if critic is not None else None
        self.key = f"removed {self._edges} {len(pictures)} {critic.key if critic else ''}"
        self._gone: Tensor | None = None

    def batch(self, step: int, size: int, rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
        whole = self._pictures[torch.from_numpy(rng.integers(len(self._pictures), size=size))]
        self._gone = drawn(whole.shape[-1], self._edges, size, rng)
        return without(whole, self._gone), whole, torch.where(self._gone, 1.0, _SEEN)[:, 0]

    def answered(self, step: int, logits: Tensor) -> None:
        """Nothing depends on the answers."""

    def verdict(self, answer: Tensor, target: Tensor) -> Tensor:
        """How sure the discriminator is that the completed pictures are not real."""
        if self._critic is None or self._gone is None:
            raise CasewiseError("There is no discriminator yet to judge the pictures.")
        completed = torch.where(self._gone.to(answer.device), answer, target)
        real = torch.ones(len(answer), dtype=torch.long, device=answer.device)
        return self._weight * functional.cross_entropy(self._critic.to(answer.device)(completed), real)


class _Judged:
    """Batches for the discriminator: half real pictures, half of which the generator completed a part."""

    def __init__(self, pictures: Tensor, edges: Sequence[int], generator: Model) -> None:
        self._pictures, self._edges, self._generator = pictures, tuple(edges), generator
        self.key = f"judged {generator.key}"

    def batch(self, step: int, size: int, rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
        whole = self._pictures[torch.from_numpy(rng.integers(len(self._pictures), size=size))]
        real = torch.arange(size) % 2
        gone = drawn(whole.shape[-1], self._edges, size, rng) & (real == 0)[:, None, None, None]
        with torch.inference_mode():
            answer = self._generator.ready()(without(whole, gone))
        return torch.where(gone, answer, whole).clone(), real, torch.ones(size)

    def answered(self, step: int, logits: Tensor) -> None:
        """Nothing depends on the answers."""


def drawn(size: int, edges: Sequence[int], count: int, rng: np.random.Generator) -> Tensor:
    """(count, 1, size, size) bool: a square somewhere in each, of an edge drawn from ``edges``."""
    gone = torch.zeros((count, 1, size, size), dtype=torch.bool)
    for number in range(count):
        edge = int(rng.choice(np.asarray(edges)))
        top, left = (int(n) for n in rng.integers(0, size - edge + 1, size=2))
        gone[number, :, top : top + edge, left : left + edge] = True
    return gone


def without(whole: Tensor, gone: Tensor) -> Tensor:
    """(N, 1, row, column) with what is ``gone`` removed."""
    return torch.where(gone, torch.full_like(whole, REMOVED), whole)


def scaled(image: Image) -> Image:
    """(1, *spatial) float32 in 0…1: the median of what the image shows at one half.

    Not by its percentiles: a bright lesion would be the brightest of all, and make everything else darker than any normal image's.
    """
    grey = image.array.astype(np.float32).mean(axis=0)
    shown = foreground(grey)
    low = float(grey.min())
    middle = float(np.median(grey[shown])) - low if shown.any() else 0.0
    array = (grey - low) * (0.5 / middle) if middle > 0 else np.zeros_like(grey)
    return image.with_array(np.clip(array, 0, 1)[None])


def _pictures(cases: Sequence[Case], spec: Spec) -> Tensor:
    """(n, 1, size, size) float32 in 0…1: the slices and pictures that show something."""
    brought = [replace(case, load_image=partial(_loaded, case)) for case in cases]
    planes = [sample.x.float() for samples in prepare(brought, spec) for sample in samples]
    shown = [plane for plane in planes if float((plane > _SHOWS).float().mean()) >= _SHOWS]
    if not shown:
        raise CasewiseError("None of the cases shows anything to be completed; give normal images of the kind to be judged.")
    return torch.stack(shown)


def _loaded(case: Case) -> Image:
    return scaled(case.image)


def _critic(
    pictures: Tensor, cases: Sequence[Case], generator: Model, before: Model | None, plan: Plan, settings: Settings
) -> Model:
    spec = Spec(
        "classification",
        {"kind": "classifier", "channels": list(plan.channels), "patch": 2},
        generator.spec.preparation,
        classes=_JUDGES,
    )
    start = before or Model.initial(f"{generator.name} discriminator", spec, settings.seed)
    return fit(start, cases, settings=settings, source=_Judged(pictures, plan.edges(), generator))
