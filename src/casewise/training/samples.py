"""Cases made ready for a network: cut, scaled, resized once, and remembered while the case itself is alive."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from casewise.case import Case
from casewise.errors import CasewiseError
from casewise.models.preparation import Part
from casewise.models.spec import Spec

_EMPTY_SHARE = 3  # of a volume's slices without any structure, one in so many is trained on


@dataclass(frozen=True, eq=False)
class Sample:
    """One thing a network is shown: ``x`` (C, *network) float16 (float32 where intensities do not lie in 0…1); ``target``
    (*network) uint8, or a 0-d int64 class.

    voxel_weights : (*network) float16 or None. labelled : (structures,) bool: which of them the case has a mask of; None: all.
    """

    x: Tensor
    target: Tensor
    voxel_weights: Tensor | None = None
    labelled: Tensor | None = None


_prepared: WeakKeyDictionary[Case, dict[str, tuple[Sample, ...]]] = WeakKeyDictionary()


def samples_of(case: Case, spec: Spec, everything: bool = False) -> tuple[Sample, ...]:
    """The samples of one case, prepared once for each way of preparing. ``everything``: all slices (to measure), not a share."""
    fingerprint = f"{spec.preparation}{spec.structures}{spec.classes}{spec.task}{everything}"
    known = _prepared.setdefault(case, {})
    if fingerprint not in known:
        known[fingerprint] = _prepare(case, spec, everything)
    return known[fingerprint]


def prepare(
    cases: Sequence[Case],
    spec: Spec,
    everything: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> list[tuple[Sample, ...]]:
    """The samples of each case, in the order of ``cases``."""
    prepared = []
    for number, case in enumerate(cases, start=1):
        prepared.append(samples_of(case, spec, everything))
        if progress is not None:
            progress(number, len(cases))
    return prepared


def weighted(case: Case, spec: Spec, voxel_weights: npt.NDArray[np.float32]) -> tuple[Sample, ...]:
    """A case's samples with a weight for every voxel (*spatial, on the image's grid)."""
    image = case.image
    if voxel_weights.shape != image.spatial_shape:
        msg = f"The weights of {case.name or case.key} are {voxel_weights.shape} and its image {image.spatial_shape}."
        raise CasewiseError(msg)
    parts = spec.preparation.parts(image)
    pieces = spec.preparation.label_parts(voxel_weights, image)
    plain = samples_of(case, spec, everything=True)
    resize = spec.preparation.resize
    return tuple(
        Sample(
            sample.x,
            sample.target,
            resize(torch.from_numpy(piece.copy())[None], part.view.spacing, "linear")[0].half(),
            sample.labelled,
        )
        for sample, part, piece in zip(plain, parts, pieces, strict=True)
    )


def _prepare(case: Case, spec: Spec, everything: bool) -> tuple[Sample, ...]:
    image = case.image
    parts = spec.preparation.parts(image)
    if spec.task != "segmentation":
        target = torch.tensor(_class_number(case, spec))
        middle = parts if everything or len(parts) < 4 else parts[len(parts) // 4 : -(len(parts) // 4)]
        return tuple(Sample(_kept(part), target) for part in middle)
    labels = case.label_map(spec.structures)
    if labels.shape != image.spatial_shape:
        msg = f"The mask of {case.name or case.key} is {labels.shape} and its image {image.spatial_shape}; they must be the same."
        raise CasewiseError(msg)
    pieces = spec.preparation.label_parts(labels, image)
    chosen = range(len(parts)) if everything else _chosen([bool(piece.any()) for piece in pieces])
    labelled = torch.tensor([case.has(structure) for structure in spec.structures])
    return tuple(Sample(_kept(parts[k]), parts[k].labels(pieces[k]), labelled=labelled) for k in chosen)


def _kept(part: Part) -> Tensor:
    tensor = part.tensor()
    return tensor.half() if part.preparation.unit_range else tensor  # half precision is exact enough for 0…1 alone


def _chosen(filled: Sequence[bool]) -> list[int]:
    empty = [k for k, full in enumerate(filled) if not full]
    return sorted([k for k, full in enumerate(filled) if full] + empty[:: _EMPTY_SHARE if any(filled) else 1])


def _class_number(case: Case, spec: Spec) -> int:
    if spec.task == "encoding":
        return 0
    if case.category not in spec.classes:
        msg = f"Case {case.name or case.key[:12]} is of category {case.category!r} and the model knows {', '.join(spec.classes)}."
        raise CasewiseError(msg)
    return spec.classes.index(case.category)
