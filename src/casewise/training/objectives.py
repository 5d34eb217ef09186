"""What a training minimises, and what its validations measure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from torch import Tensor, nn

from casewise.case import Case
from casewise.device import resolve_device
from casewise.models.spec import Spec
from casewise.models.tasks import Batch, task_of
from casewise.training.metrics import per_case


class Objective(Protocol):
    """key : says all that changes the loss and the measure; a checkpoint belongs to one.

    measured : the name of the measure, of which more is better; empty where nothing is validated.
    """

    @property
    def key(self) -> str: ...

    @property
    def measured(self) -> str: ...

    def loss(self, answer: object, batch: Batch) -> Tensor:
        """A scalar, of the network's answer to a batch."""
        ...

    def measure(self, network: nn.Module) -> float:
        """Of the network as it is, in evaluation mode."""
        ...


class TaskObjective:
    """The loss of the model's own task, and its measure over validation cases, where there are any.

    partial : only structures that a case has a mask of are measured.
    """

    def __init__(self, spec: Spec, validation: Sequence[Case] = (), *, partial: bool = False, device: str = "auto") -> None:
        self._task, self._validation, self._partial, self._device = task_of(spec), validation, partial, resolve_device(device)
        self.measured = self._task.measured if validation else ""
        self.key = f"{self._task}{[case.key for case in validation]}{partial}"

    def loss(self, answer: object, batch: Batch) -> Tensor:
        return self._task.loss(self._task.check_answer(answer, batch.x).float(), batch)

    def measure(self, network: nn.Module) -> float:
        values = per_case(network, self._task.spec, self._validation, self._device, self._partial)
        return self._task.merit({name: float(np.mean(numbers)) for name, numbers in values.items()})
