"""Cases made ready for a network: cut, scaled and resized once, and kept while there is room and the case itself is alive."""

from __future__ import annotations

import weakref
from collections import OrderedDict
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import torch

from casewise.case import Case
from casewise.errors import CasewiseError
from casewise.models.spec import Spec
from casewise.models.tasks import Sample, task_of


class SampleCache:
    """Samples by case and way of preparing, at most ``budget`` bytes of them; the least recently used go first.

    budget : may be set at any time and holds from the next case on; 0 keeps nothing. size : bytes of what is kept.
    """

    def __init__(self, budget: int) -> None:
        self.budget, self.size = budget, 0
        self._kept: OrderedDict[tuple[int, str], tuple[Sample, ...]] = OrderedDict()
        self._ways: dict[int, set[str]] = {}

    def of(self, case: Case, way: str, make: Callable[[], tuple[Sample, ...]]) -> tuple[Sample, ...]:
        """The samples of ``case`` prepared in this way; made where they are not kept."""
        key = (id(case), way)
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        samples = make()
        if id(case) not in self._ways:
            self._ways[id(case)] = set()
            weakref.finalize(case, self._forget, id(case)).atexit = False
        self._ways[id(case)].add(way)
        self._kept[key] = samples
        self.size += _bytes(samples)
        while self.size > self.budget:
            self.size -= _bytes(self._kept.popitem(last=False)[1])
        return samples

    def _forget(self, number: int) -> None:
        for way in self._ways.pop(number):
            self.size -= _bytes(self._kept.pop((number, way), ()))


CACHE = SampleCache(budget=2 << 30)


def samples_of(case: Case, spec: Spec, everything: bool = False) -> tuple[Sample, ...]:
    """The samples of one case, from :data:`CACHE` where it has them. ``everything``: all slices (to measure), not a share."""
    way = f"{spec.preparation}{spec.structures}{spec.classes}{spec.task}{everything}"
    return CACHE.of(case, way, lambda: task_of(spec).samples(case, everything))


def weighted(case: Case, spec: Spec, voxel_weights: npt.NDArray[np.float32]) -> tuple[Sample, ...]:
    """A case's samples with a weight for every voxel (*spatial, on the image's grid)."""
    image = case.image
    if voxel_weights.shape != image.spatial_shape:
        msg = f"The weights of {case.name or case.key} are {voxel_weights.shape} and its image {image.spatial_shape}."
        raise CasewiseError(msg)
    parts = spec.preparation.parts(image)
    pieces = spec.preparation.label_parts(voxel_weights, image)
    plain = samples_of(case, spec, everything=True)
    return tuple(
        Sample(
            sample.x,
            sample.target,
            part.mapped(torch.from_numpy(piece.copy()), "linear").half(),
            sample.labelled,
        )
        for sample, part, piece in zip(plain, parts, pieces, strict=True)
    )


def _bytes(samples: Sequence[Sample]) -> int:
    return sum(sample.size for sample in samples)
