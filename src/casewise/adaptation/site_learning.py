"""How a model of one kind is measured, asked how sure it is, and trained on: what :mod:`casewise.adaptation.sites` needs of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from casewise.adaptation.refinement import Plan, judged
from casewise.case import Case
from casewise.models.model import Model
from casewise.models.tasks import Classification
from casewise.training.curriculum import uncertainties
from casewise.training.fit import Progress, fit
from casewise.training.settings import Settings


class Learning(Protocol):
    """Of the cases of one training over sites; a case may stand for an examination."""

    @property
    def measure(self) -> str:
        """``dice`` or ``accuracy``."""
        ...

    def accuracy(self, model: Model, cases: Sequence[Case]) -> float:
        """The measure's mean over the cases, 0 to 1."""
        ...

    def uncertainties(self, model: Model, cases: Sequence[Case]) -> list[float]:
        """For each case, 0 to 1."""
        ...

    def continued(
        self,
        model: Model,
        cases: Sequence[Case],
        shown: Sequence[int],
        settings: Settings,
        checkpoint: Path | None,
        progress: Progress | None,
    ) -> Model:
        """``model`` trained on. shown : numbers of cases, place by place of the batches, again from the start where they end."""
        ...


class ImageLearning:
    """Of segmenters and classifiers of single images."""

    def __init__(self, model: Model, settings: Settings) -> None:
        self._settings = settings
        self.measure = "accuracy" if isinstance(model.kind, Classification) else "dice"

    def accuracy(self, model: Model, cases: Sequence[Case]) -> float:
        return judged(model, cases, Plan(settings=self._settings))[self.measure]

    def uncertainties(self, model: Model, cases: Sequence[Case]) -> list[float]:
        return uncertainties(model, cases, self._settings.device)

    def continued(
        self,
        model: Model,
        cases: Sequence[Case],
        shown: Sequence[int],
        settings: Settings,
        checkpoint: Path | None,
        progress: Progress | None,
    ) -> Model:
        return fit(model, cases, order=shown, settings=settings, name=model.name, checkpoint=checkpoint, progress=progress)
