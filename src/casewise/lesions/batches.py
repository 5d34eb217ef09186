"""Batches for lesion networks, and the loss of their answers; sequences are left out at random, as they will be missing."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from casewise.errors import CasewiseError
from casewise.lesions.prepared import Slices
from casewise.lesions.synthetic import drawn
from casewise.models.networks.lesion_parts import LesionAnswer, present
from casewise.models.tasks import Batch
from casewise.models.tasks.losses import classification_loss
from casewise.training.augmentation import LEVELS, augment

FILLED = 0.67  # of the slices in a batch have lesions
_EACH = 0.5  # the weight of the sequences' own maps beside the combined one
_UNKNOWN = -1
_MOST = 24  # slices of an examination set aside that it is measured on
_TURN, _SHIFT, _SCALE = 7.0, 0.03, 0.15  # degrees, shares
_CHANGED = 0.05  # probability of each change of intensity


@dataclass(frozen=True)
class SliceSampling:
    """How slices are sampled. classes : the first is none; sequences, told_by : of the model; scores : of each class.

    dropped : probability that a sequence is left out. synthetic : share of the slices that get false lesions drawn in.
    carries_score : the map's target is the score of the lesion instead of 1. part : what is minimised: ``localise``, ``classify``
    or ``together``.
    """

    classes: tuple[str, ...]
    sequences: tuple[str, ...]
    told_by: tuple[int, ...]
    scores: tuple[float, ...] = ()
    dropped: float = 0.3
    synthetic: float = 0.0
    carries_score: bool = False
    part: str = "together"
    augmentation: str = "strong"
    mirror: bool = True

    def class_of(self, own: Slices) -> int:
        """The class of an examination's slices with lesions; −1 where it is unknown."""
        return self.classes.index(own.category) if own.category in self.classes else _UNKNOWN if len(self.classes) > 2 else 1


@dataclass(frozen=True, eq=False)
class LesionBatch(Batch):
    """target : (N, row, column) 0…1, of the map. verdicts : (N,) class of each slice, −1 where it is unknown.

    there : (N, sequences) bool, which of them the network is given.
    """

    verdicts: Tensor = field(kw_only=True)
    there: Tensor = field(kw_only=True)


class LesionBatches:
    """The slices of one phase: implements :class:`casewise.training.batches.Batches`.

    For the map every examination comes up alike often; for the class the categories do, and of each its examinations.
    order : numbers of the examinations, place by place of the batches and again from the start where they end, instead of drawing
    them. cases : keys of the images that the slices come from.
    Raises CasewiseError where no slice of the examinations has a lesion.
    """

    def __init__(
        self, slices: Sequence[Slices], sampling: SliceSampling, *, order: Sequence[int] | None = None, cases: Sequence[str] = ()
    ) -> None:
        self._ordered = None if order is None else [slices[number] for number in order]
        self._sampling, self.cases = sampling, tuple(cases)
        self._groups: dict[object, list[Slices]] = defaultdict(list)
        for number, own in enumerate(slices):
            if own.filled:
                self._groups[number if sampling.part == "localise" else own.category].append(own)
        if not self._groups:
            raise CasewiseError("No slice of the examinations has a lesion large enough to be visible at the network's scale.")
        numbers = None if order is None else [int(number) for number in order]
        self.key = f"lesions {sampling} {_digest(slices)} {numbers}"

    def batch(self, step: int, size: int, rng: np.random.Generator, previous: Tensor | None = None) -> LesionBatch:
        """X (N, sequences, row, column) and its targets."""
        xs, targets, verdicts = [], [], []
        for place in range(step * size, (step + 1) * size):
            x, mask, verdict = self._one(self._at(place, rng), rng)
            xs.append(x)
            targets.append(mask)
            verdicts.append(verdict)
        planes, target = torch.from_numpy(np.stack(xs)), torch.from_numpy(np.stack(targets))
        kept = torch.from_numpy(np.stack([_kept(own, self._sampling.dropped, rng) for own in present(planes).numpy()]))
        level = LEVELS[self._sampling.augmentation]
        if level is not None:
            generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
            # Heads lie about straight, and what the class depends on, left against right, is lost where they are turned far.
            # The values were normalised over the whole examination: changed often, they would say nothing any more.
            level = replace(
                level,
                rotation=_TURN,
                shift=_SHIFT,
                scale=_SCALE,
                intensity=min(level.intensity, _CHANGED),
                mirror=self._sampling.mirror,
            )
            planes, (target,) = augment(planes, [(target, "nearest")], level, generator)
        wanted = target.float()
        if self._sampling.carries_score:
            wanted = wanted * torch.tensor([self._score(verdict) for verdict in verdicts])[:, None, None]
        return LesionBatch(planes * kept[:, :, None, None], wanted, verdicts=torch.tensor(verdicts), there=kept)

    def _at(self, place: int, rng: np.random.Generator) -> Slices:
        """The examination at a place of the endless row of batches."""
        if self._ordered is not None:
            return self._ordered[place % len(self._ordered)]
        groups = sorted(self._groups, key=str)
        group = self._groups[groups[int(rng.integers(len(groups)))]]
        return group[int(rng.integers(len(group)))]

    def _one(self, own: Slices, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, int]:
        filled = bool(own.filled) and (not own.empty or rng.random() < FILLED)
        number = (own.filled if filled else own.empty)[int(rng.integers(len(own.filled if filled else own.empty)))]
        x, mask = own.x[number].astype(np.float32), own.mask[number]
        if not filled and rng.random() < self._sampling.synthetic / (1 - FILLED):
            x, mask = drawn(x, self._sampling.sequences, rng)
            return x, mask, _UNKNOWN if mask.any() else 0
        return x, mask, self._sampling.class_of(own) if filled else 0

    def _score(self, verdict: int) -> float:
        """1 where it is not known of which kind the lesion is."""
        return self._sampling.scores[verdict] if verdict >= 0 and self._sampling.scores else 1.0


class LesionObjective:
    """The loss of one phase, of map and class: implements :class:`casewise.training.objectives.Objective`.

    aside : examinations that the network is measured on.
    """

    def __init__(self, sampling: SliceSampling, aside: Sequence[Slices] = ()) -> None:
        self._sampling, self._aside = sampling, [own for own in aside if len(own.x)]
        self.measured = {"localise": "dice", "classify": "log_likelihood"}.get(sampling.part, "merit") if self._aside else ""
        self.key = f"lesions {sampling} {_digest(self._aside)}"

    def loss(self, answer: object, batch: Batch) -> Tensor:
        if not isinstance(answer, LesionAnswer) or not isinstance(batch, LesionBatch):
            raise CasewiseError("This objective is for a lesion network and its batches; build one by casewise.lesions.Plan.")
        total = batch.target.new_zeros(())
        if self._sampling.part != "classify" and answer.map is not None:
            total = total + _map_loss(answer.map, batch.target, self._sampling.carries_score)
            if answer.maps is not None:
                total = total + _EACH * _each_loss(answer.maps, batch.target, batch.there, self._sampling.carries_score)
        if self._sampling.part != "localise":
            total = total + self._verdict_loss(answer.verdict.float(), batch.verdicts, batch.there)
        return total

    def measure(self, network: nn.Module) -> float:
        """Over the examinations set aside: mean Dice; minus the mean −ln of the true class's probability; or the first minus a
        tenth of the second.
        """
        device = next(network.parameters()).device
        dices, losses = [], []
        for own in self._aside:
            numbers = [*own.filled[:: max(1, len(own.filled) // _MOST)], *own.empty[:: max(1, len(own.empty) // (_MOST // 2))]]
            with torch.inference_mode():
                answer: LesionAnswer = network(torch.from_numpy(np.stack([own.x[n] for n in numbers])).float().to(device))
            truth = torch.from_numpy(np.stack([own.mask[n] for n in numbers]))
            if answer.map is not None:
                probability = answer.map.float().sigmoid().cpu()
                dices.append(float(2 * (probability * truth).sum() / (probability.sum() + truth.sum()).clamp_min(1)))
            verdicts = torch.tensor([self._sampling.class_of(own) if own.mask[n].any() else 0 for n in numbers])
            there = torch.from_numpy(np.repeat(own.there[None], len(numbers), axis=0))
            losses.append(float(self._verdict_loss(answer.verdict.float(), verdicts.to(device), there.to(device))))
        dice, loss = float(np.mean(dices)) if dices else 0.0, float(np.mean(losses))
        return {"localise": dice, "classify": -loss}.get(self._sampling.part, dice - 0.1 * loss)

    def _verdict_loss(self, verdict: Tensor, verdicts: Tensor, there: Tensor) -> Tensor:
        """Of the slices whose class is known, and that still have a sequence that the class depends on."""
        known = (verdicts >= 0) & there[:, list(self._sampling.told_by)].any(dim=1)
        weights, classes = known.float(), verdicts.clamp_min(0)
        if not self._sampling.scores:
            return classification_loss(verdict, classes, weights)
        wanted = torch.tensor(self._sampling.scores, device=verdict.device)[classes]
        losses = functional.binary_cross_entropy_with_logits(verdict[:, 0], wanted, reduction="none")
        return (losses * weights).sum() / weights.sum().clamp_min(1e-6)


def _digest(slices: Sequence[Slices]) -> str:
    digest = hashlib.blake2b(digest_size=12)
    for own in slices:
        digest.update(f"{own.category}{own.x.shape}{int(own.mask.sum())}".encode())
    return digest.hexdigest()


def _kept(there: np.ndarray, dropped: float, rng: np.random.Generator) -> np.ndarray:
    """(sequences,) bool: which the network is given, of those that are there; at least one."""
    kept = there & (rng.random(len(there)) >= dropped)
    if not kept.any() and there.any():
        kept[rng.choice(np.flatnonzero(there))] = True
    return np.asarray(kept)


def _map_loss(logits: Tensor, target: Tensor, soft: bool) -> Tensor:
    """Cross-entropy + 1 − soft Dice: half that of the whole batch, half the mean over the slices that have lesions.

    In the first a large lesion hides the small ones of other slices, which the second counts alike; of a slice without lesion alone
    Dice says next to nothing. soft : whether the target is not only 0 or 1; squares then make Dice 1 where both are the same.
    """
    logits = logits.float()
    probability, power = logits.sigmoid(), 2 if soft else 1
    overlap, sizes = (probability * target).sum(dim=(1, 2)), (probability**power + target**power).sum(dim=(1, 2))
    filled = (target > 0).flatten(1).any(dim=1).float()
    whole = (2 * overlap.sum() + 1) / (sizes.sum() + 1)
    each = ((2 * overlap + 1) / (sizes + 1) * filled).sum() / filled.sum().clamp_min(1)
    return functional.binary_cross_entropy_with_logits(logits, target) + 1 - (whole + each) / 2


def _each_loss(maps: Tensor, target: Tensor, there: Tensor, soft: bool) -> Tensor:
    rows, numbers = torch.nonzero(there, as_tuple=True)
    if len(rows) == 0:
        return maps.new_zeros(())
    return _map_loss(maps[rows, numbers], target[rows], soft)
