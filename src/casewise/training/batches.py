"""Where a training's batches come from: the cases of an archive, or whatever else makes a :class:`Batch`."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from casewise.case import Case
from casewise.errors import CasewiseError, UsageError
from casewise.models.spec import Spec
from casewise.models.tasks import Batch, Sample, task_of
from casewise.training.augmentation import LEVELS, augment
from casewise.training.samples import samples_of, weighted
from casewise.training.settings import Settings

CaseWeights = Sequence[float] | Sequence[npt.NDArray[np.float32]]


class Batches(Protocol):
    """Makes the batches of one training.

    key : says what they are made from and how; a checkpoint belongs to one. cases : keys of the cases that they are made from,
    which a model's lineage remembers.
    """

    @property
    def key(self) -> str: ...

    @property
    def cases(self) -> Sequence[str]: ...

    def batch(self, step: int, size: int, rng: np.random.Generator, previous: Tensor | None = None) -> Batch:
        """The batch of a step, on the CPU. rng : this step's own. previous : the network's answer to the batch before, detached,
        where that is one tensor; None at the beginning and where a training goes on from a checkpoint. A simulated user needs it.
        """
        ...


class CaseBatches:
    """Samples of labelled cases, augmented: for models that are trained on one image at a time.

    order : ``shuffled`` (anew each round) or numbers of cases in the order in which every round takes them.
    weights : one number a case, or, for a segmenter, one array (*spatial) a case with a weight for every voxel.
    settings : of the training, for its augmentation, its seed and whether labels are partial.
    Every case is read once here, so that one that cannot be used raises its CasewiseError before the training begins.
    """

    def __init__(
        self,
        cases: Sequence[Case],
        spec: Spec,
        order: str | Sequence[int] = "shuffled",
        weights: CaseWeights | None = None,
        settings: Settings | None = None,
    ) -> None:
        if not cases:
            msg = "There are no cases to train on; check the structure's or category's name, and which cases the archive has."
            raise CasewiseError(msg)
        _check_weights(weights, len(cases))
        self._cases, self._spec, self._task, self._settings = list(cases), spec, task_of(spec), settings or Settings()
        self._weighted: list[tuple[Sample, ...]] | None = None
        self._case_weights = [1.0] * len(cases)
        if weights is not None and any(isinstance(weight, np.ndarray) for weight in weights):
            if not self._task.dense:
                msg = f"Voxels are weighted for a segmenter alone, and this model is for {self._task}; give one number a case."
                raise UsageError(msg)
            maps = [np.asarray(weight, np.float32) for weight in weights]
            self._weighted = [weighted(case, spec, values) for case, values in zip(cases, maps, strict=True)]
        elif weights is not None:
            self._case_weights = [float(weight) for weight in weights]
        if self._weighted is None:
            for case in self._cases:
                samples_of(case, spec)
        self._order = _checked_order(order, len(cases))
        self.cases = tuple(case.key for case in cases)
        used = self._settings
        way = (used.augmentation, used.seed, used.partial, spec.preparation, spec.structures, spec.classes)
        text = f"cases {self.cases}{self._order}{way}"
        digest = hashlib.blake2b(text.encode(), digest_size=16)
        for weight in weights if weights is not None else ():
            digest.update(np.asarray(weight, np.float32).tobytes())
        self.key = digest.hexdigest()

    def batch(self, step: int, size: int, rng: np.random.Generator, previous: Tensor | None = None) -> Batch:
        """A function of seed and step alone, so that a resumed training is given what it would have been given."""
        size = self._spec.preparation.at_once(size)
        numbers = [self._case_at(step * size + place) for place in range(size)]
        picked = [self._picked(number, rng) for number in numbers]
        if not self._spec.preparation.uniform:
            picked = [_window(sample, self._spec.preparation.training_size, rng) for sample in picked]
        picked = [_mirrored(sample, self._spec.preparation.mirrored, rng) for sample in picked]
        x = torch.stack([sample.x for sample in picked]).float()
        target = torch.stack([sample.target for sample in picked])
        voxel_weights = None
        if picked[0].voxel_weights is not None:
            voxel_weights = torch.stack([s.voxel_weights for s in picked if s.voxel_weights is not None]).float()
        level = LEVELS[self._settings.augmentation]
        if level is not None:
            generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
            maps = [(target, "nearest")] if self._task.dense else []
            maps += [(voxel_weights, "linear")] if voxel_weights is not None else []
            x, moved = augment(x, maps, level, generator, self._spec.preparation.unit_range)
            target = moved[0] if self._task.dense else target
            voxel_weights = moved[-1] if voxel_weights is not None else None
        labelled = None
        if self._settings.partial and picked[0].labelled is not None:
            labelled = torch.stack([sample.labelled for sample in picked if sample.labelled is not None])
        case_weights = torch.tensor([self._case_weights[n] for n in numbers], dtype=torch.float32)
        return Batch(x, self._task.target(x, target), case_weights, voxel_weights, labelled)

    def _picked(self, number: int, rng: np.random.Generator) -> Sample:
        samples = self._weighted[number] if self._weighted is not None else samples_of(self._cases[number], self._spec)
        return samples[int(rng.integers(len(samples)))]

    def _case_at(self, place: int) -> int:
        """Number of the case at a place of the endless row of rounds."""
        count = len(self._cases)
        if self._order is not None:
            return self._order[place % len(self._order)]
        return int(np.random.default_rng([self._settings.seed, place // count, 7]).permutation(count)[place % count])


def _check_weights(weights: CaseWeights | None, count: int) -> None:
    if weights is None:
        return
    if len(weights) != count:
        msg = f"There are {count} cases and {len(weights)} weights; give one weight for each case."
        raise UsageError(msg)
    if not all(np.isfinite(w).all() and np.min(w) >= 0 for w in weights):
        msg = "A weight is less than 0 or not a number; weights are 0 or more, and 0 takes a case or a voxel out."
        raise UsageError(msg)
    if not any(np.any(w) for w in weights):
        msg = "All weights are 0, so nothing would be learnt; give at least one case a weight above 0."
        raise UsageError(msg)


def _checked_order(order: str | Sequence[int], count: int) -> list[int] | None:
    if isinstance(order, str) and order == "shuffled":
        return None
    numbers = list(order) if not isinstance(order, str) else []
    if not numbers or not all(isinstance(n, int | np.integer) and 0 <= n < count for n in numbers):
        msg = f"The order is 'shuffled' or numbers of cases from 0 to {count - 1}; got {order!r}."
        raise UsageError(msg)
    return [int(n) for n in numbers]


def _at_least(sample: Sample, size: tuple[int, ...]) -> Sample:
    """Smaller ones do not come from ``Preparation.resize``, but from the steps of a foreign model."""
    behind = [max(0, wanted - full) for full, wanted in zip(sample.x.shape[1:], size, strict=True)]
    if not any(behind):
        return sample
    padding = [side for missing in reversed(behind) for side in (0, missing)]
    weights = sample.voxel_weights
    return Sample(
        functional.pad(sample.x, padding),
        functional.pad(sample.target, padding) if sample.target.ndim else sample.target,
        functional.pad(weights, padding) if weights is not None else None,
        sample.labelled,
    )


def _window(sample: Sample, size: tuple[int, ...], rng: np.random.Generator) -> Sample:
    """A random window of ``size``; half the time around a labelled voxel. 0 surrounds a smaller sample."""
    sample = _at_least(sample, size)
    centre = None
    if sample.target.ndim and rng.random() < 0.5:
        labelled = torch.nonzero(sample.target)
        if len(labelled):
            centre = labelled[int(rng.integers(len(labelled)))].tolist()
    starts = []
    for axis, (full, wanted) in enumerate(zip(sample.x.shape[1:], size, strict=True)):
        free = full - wanted
        start = int(rng.integers(free + 1)) if centre is None else centre[axis] - int(rng.integers(wanted))
        starts.append(min(max(0, start), free))
    window = tuple(slice(start, start + wanted) for start, wanted in zip(starts, size, strict=True))
    voxel_weights = sample.voxel_weights[window] if sample.voxel_weights is not None else None
    target = sample.target[window] if sample.target.ndim else sample.target
    return Sample(sample.x[(slice(None), *window)], target, voxel_weights, sample.labelled)


def _mirrored(sample: Sample, axes: Sequence[int], rng: np.random.Generator) -> Sample:
    """The sample, mirrored along each of the axes or not."""
    chosen = tuple(axis for axis in axes if rng.random() < 0.5)
    if not chosen:
        return sample
    return Sample(
        sample.x.flip([axis + 1 for axis in chosen]),
        sample.target.flip(chosen) if sample.target.ndim else sample.target,
        sample.voxel_weights.flip(chosen) if sample.voxel_weights is not None else None,
        sample.labelled,
    )
