"""How good a model is on labelled cases: Dice of a segmenter; accuracy and −ln of the true class's probability of a classifier."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from torch import nn

from casewise.case import Case
from casewise.device import resolve_device
from casewise.models.model import Model
from casewise.models.spec import Spec
from casewise.models.tasks import task_of
from casewise.training.samples import samples_of


def dice(first: npt.NDArray[np.bool_], second: npt.NDArray[np.bool_]) -> float:
    """2·|A∩B| / (|A| + |B|) of two boolean arrays; 1 when both are empty."""
    total = int(first.sum()) + int(second.sum())
    return 1.0 if total == 0 else 2.0 * int(np.logical_and(first, second).sum()) / total


def measure(model: Model, cases: Sequence[Case], device: str = "auto", partial: bool = False) -> dict[str, float]:
    """Mean measures of ``model`` over ``cases``, on its grid: ``dice`` and ``soft_dice``, or ``accuracy`` and ``loss``.

    partial : only the structures that a case has a mask of are counted.
    """
    device = resolve_device(device)
    values = per_case(model.ready(device), model.spec, cases, device, partial)
    return {name: float(np.mean(numbers)) for name, numbers in values.items()}


def per_case(
    network: nn.Module, spec: Spec, cases: Sequence[Case], device: str = "cpu", partial: bool = False
) -> dict[str, list[float]]:
    """One number a case of each measure of the task: see :meth:`casewise.models.tasks.task.Task.measures`.

    partial : only the structures that the case has a mask of are counted.
    """
    task = task_of(spec)
    rows = [task.measures(network, case, samples_of(case, spec, everything=task.whole), device, partial) for case in cases]
    return {name: [row[name] for row in rows] for name in (rows[0] if rows else ())}
