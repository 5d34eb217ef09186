"""Refining a model on given cases, with some of them held out to see whether it helped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from casewise.adaptation.acceptance import HALFWAY, AcceptanceRule
from casewise.case import Case
from casewise.models.averaging import between
from casewise.models.model import Model
from casewise.training.fit import Progress, fit
from casewise.training.metrics import measure
from casewise.training.settings import Settings

# Chosen by benchmarks/similar_cases.py on validation cases.
REFINEMENT = Settings(steps=20, batch=4, rate=5e-4, augmentation="light")


@dataclass(frozen=True)
class Plan:
    """How a model is refined.

    k : cases it is trained on. held_out : further similar cases it is evaluated on. slice_steps : steps for a 2D nnU-Net, in place
    of the settings' (chosen on validation cases). acceptance : how far the refined model is followed by what the held-out cases
    say. label_fusion : whether the similar cases' labels, registered to the image, are averaged with the prediction.
    """

    k: int = 8
    held_out: int = 4
    settings: Settings = REFINEMENT
    slice_steps: int = 60
    acceptance: AcceptanceRule = field(default_factory=AcceptanceRule)
    label_fusion: bool = True

    def settings_for(self, model: Model) -> Settings:
        of_slices = model.spec.preparation.pooled and model.spec.preparation.spatial_dims == 2
        return replace(self.settings, steps=self.slice_steps) if of_slices else self.settings


@dataclass(frozen=True)
class Refinement:
    """What came of it.

    model : the one to use: the refined one, or the parent where that was better. reason : one sentence. before, after : measures of
    parent and refined model on the held-out cases (``dice``, or ``accuracy`` and ``log_likelihood``). share : how far the refined
    weights were followed: 0 not at all, 0.5 halfway, 1 all the way.
    """

    model: Model
    parent: Model
    used: bool
    reason: str
    trained_on: tuple[Case, ...] = ()
    before: dict[str, float] = field(default_factory=dict)
    after: dict[str, float] = field(default_factory=dict)
    share: float = 0.0


def refine_on(model: Model, cases: Sequence[Case], plan: Plan, method: str, progress: Progress | None = None) -> Refinement:
    """Refine ``model`` on ``cases`` (most similar first), none of which it was trained on; every third is held out to
    evaluate it.

    The parent is never changed: the next image starts from it again.
    """
    held_out, chosen = part(cases, plan)
    refined = fit(
        model,
        chosen,
        weights=None,
        settings=plan.settings_for(model),
        method=method,
        name=f"{model.name}+{method}",
        progress=progress,
    )
    halfway = between(model, refined, HALFWAY)
    before = evaluated(model, held_out, plan)
    after = {HALFWAY: evaluated(halfway, held_out, plan), 1.0: evaluated(refined, held_out, plan)}
    share, reason = plan.acceptance.after(before, after[HALFWAY], after[1.0], len(held_out))
    if share == 0:
        return Refinement(model, model, False, reason, tuple(chosen), before, after[HALFWAY])
    best = refined if share == 1 else halfway
    numbers = {f"before_{k}": v for k, v in before.items()} | {f"after_{k}": v for k, v in after[share].items()} | {"share": share}
    best = replace(best, lineage=best.lineage.measured(**numbers))
    return Refinement(best, model, True, reason, tuple(chosen), before, after[share], share)


def part(cases: Sequence[Case], plan: Plan) -> tuple[list[Case], list[Case]]:
    """(held out, trained on): every third of the most similar is held out, so that both are about equally like the image."""
    numbers = range(min(len(cases), plan.k + plan.held_out))
    step = max(2, round((plan.k + plan.held_out) / max(1, plan.held_out)))
    aside = [number for number in numbers if number % step == step - 1][: plan.held_out]
    return [cases[number] for number in aside], [cases[number] for number in numbers if number not in aside]


def evaluated(model: Model, cases: Sequence[Case], plan: Plan) -> dict[str, float]:
    """Mean measures, all of them better when larger."""
    values = measure(model, cases, plan.settings.device, plan.settings.partial)
    if "loss" in values:
        values["log_likelihood"] = -values.pop("loss")
    return values
