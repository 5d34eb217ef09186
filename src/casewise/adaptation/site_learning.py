"""How a model of one kind is measured, asked how sure it is, and trained on: what :mod:`casewise.adaptation.sites` needs of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from casewise.adaptation.refinement import Plan, evaluated
from casewise.case import Case
from casewise.models.model import Model
from casewise.models.tasks import Classification
from casewise.training.curriculum import ScheduledTraining, uncertainties
from casewise.training.fit import fit
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

    def continued(self, model: Model, cases: Sequence[Case], stage: ScheduledTraining) -> Model:
        """``model`` trained on."""
        ...


class ImageLearning:
    """Of segmenters and classifiers of single images."""

    def __init__(self, model: Model, settings: Settings) -> None:
        self._settings = settings
        self.measure = "accuracy" if isinstance(model.kind, Classification) else "dice"

    def accuracy(self, model: Model, cases: Sequence[Case]) -> float:
        return evaluated(model, cases, Plan(settings=self._settings))[self.measure]

    def uncertainties(self, model: Model, cases: Sequence[Case]) -> list[float]:
        return uncertainties(model, cases, self._settings.device)

    def continued(self, model: Model, cases: Sequence[Case], stage: ScheduledTraining) -> Model:
        return fit(
            model,
            cases,
            order=stage.schedule,
            settings=stage.settings,
            name=model.name,
            checkpoint=stage.checkpoint,
            progress=stage.progress,
        )
