"""A model taken from site to site: the new site is learnt, what was finished is kept, and what cannot be gets its sentence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from casewise.adaptation.site_learning import ImageLearning, Learning
from casewise.adaptation.sites import Plan, Sites, train_sites, vectors_of
from casewise.archive import Archive
from casewise.case import Case
from casewise.errors import CasewiseError, UsageError
from casewise.models import Model
from casewise.training import Settings
from tests.adaptation.discs import DISC

QUICK = Settings(steps=60, batch=4, rate=1e-2, augmentation="none", device="cpu")
PLAN = Plan(further=QUICK, deployed=QUICK)


@pytest.fixture(scope="module")
def cases(archive_folder: Path) -> list[Case]:
    with Archive.open(archive_folder) as opened:
        return opened.cases([DISC])


@pytest.fixture(scope="module")
def vectors(archive_folder: Path, model: Model) -> dict[str, np.ndarray]:
    with Archive.open(archive_folder) as opened:
        return vectors_of(opened, model.encoder("cpu"))


@pytest.fixture(scope="module")
def start(model: Model, cases: list[Case]) -> Model:
    """As if it had been trained on ten of the bright site's twelve."""
    known = [case.key for case in cases if case.site == "bright"][:10]
    return replace(model, lineage=replace(model.lineage, trained_on=frozenset(known)))


@pytest.fixture(scope="module")
def done(start: Model, cases: list[Case], vectors: dict[str, np.ndarray]) -> Sites:
    return train_sites(start, cases, vectors, PLAN, first="bright")


def test_the_further_site_is_learnt_and_the_first_not_forgotten(done: Sites) -> None:
    assert done.after["dark"] > done.before["dark"] + 0.2
    assert done.after["bright"] > done.before["bright"] - 0.15
    assert done.held_out == {"bright": 2, "dark": 3}
    assert done.likeness["bright"] > done.likeness["dark"]
    assert done.model.lineage.measures["after_dark"] == done.after["dark"]


def test_the_order_is_by_likeness_and_no_held_out_case_is_trained_on(done: Sites, start: Model, cases: list[Case]) -> None:
    (stage,) = done.stages
    assert list(stage.scores) == sorted(stage.scores, reverse=True)
    assert {case.site for case in stage.cases} == {"dark"}
    assert len(stage.cases) == 9
    trained = done.model.trained_on
    assert len(trained) == 10 + 9
    assert trained >= start.trained_on


def test_the_other_direction_turns_the_order_round(
    start: Model, cases: list[Case], vectors: dict[str, np.ndarray], done: Sites
) -> None:
    short = replace(QUICK, steps=1)
    plan = replace(PLAN, order="dissimilar", further=short, deployed=short)
    (stage,) = train_sites(start, cases, vectors, plan, first="bright").stages
    assert [case.key for case in stage.cases] == [case.key for case in done.stages[0].cases][::-1]


def test_at_deployment_the_cases_it_is_unsure_of_come_first(
    start: Model, cases: list[Case], vectors: dict[str, np.ndarray]
) -> None:
    plan = replace(PLAN, annotated=4, deployed=replace(QUICK, steps=2))
    unlabelled = [case for case in cases if case.site == "dark"][:2]
    done = train_sites(start, cases, vectors, plan, first="bright", deployment="dark", unlabelled=unlabelled)
    (stage,) = done.stages
    assert stage.role == "deployment"
    assert len(stage.cases) == 4
    assert list(stage.scores) == sorted(stage.scores, reverse=True)
    assert [score for _, score in done.annotate] == sorted((score for _, score in done.annotate), reverse=True)
    assert {case.key for case, _ in done.annotate} == {case.key for case in unlabelled}
    certain = train_sites(start, cases, vectors, replace(plan, choice="certain"), first="bright", deployment="dark")
    assert certain.stages[0].scores[0] < stage.scores[0]


def test_a_stage_that_harms_is_undone(start: Model, cases: list[Case], vectors: dict[str, np.ndarray], done: Sites) -> None:
    learnt = replace(done.model, lineage=replace(done.model.lineage, trained_on=start.trained_on))
    spoilt = replace(PLAN, further=replace(QUICK, rate=0.9, steps=8))
    again = train_sites(learnt, cases, vectors, spoilt, first="bright")
    (stage,) = again.stages
    assert not stage.used
    assert "not better" in stage.reason
    assert again.model.weights["head.weight"].equal(learnt.weights["head.weight"])
    assert again.after == again.before


def test_a_stopped_call_goes_on_from_what_is_finished(
    start: Model, cases: list[Case], vectors: dict[str, np.ndarray], tmp_path: Path
) -> None:
    class StopError(Exception):
        pass

    def stop(site: str, step: int, steps: int, loss: float) -> None:
        if step == 15:
            raise StopError

    short = replace(QUICK, steps=20, checkpoint_every=5)
    plan = replace(PLAN, further=short, deployed=short)
    whole = train_sites(start, cases, vectors, plan, first="bright")
    with pytest.raises(StopError):
        train_sites(start, cases, vectors, plan, first="bright", folder=tmp_path, progress=stop)
    seen: list[int] = []
    resumed = train_sites(
        start, cases, vectors, plan, first="bright", folder=tmp_path, progress=lambda site, step, steps, loss: seen.append(step)
    )
    assert seen[0] > 1
    assert resumed.model.key == whole.model.key
    finished: list[int] = []
    third = train_sites(
        start, cases, vectors, plan, first="bright", folder=tmp_path, progress=lambda site, step, steps, loss: finished.append(step)
    )
    assert finished == []
    assert third.model.key == whole.model.key


class Counting(ImageLearning):
    """Is interrupted at its ``last`` question for an accuracy."""

    def __init__(self, model: Model, settings: Settings, last: int = 99) -> None:
        super().__init__(model, settings)
        self.accuracies, self.unsure, self.last = 0, 0, last

    def accuracy(self, model: Model, cases: Sequence[Case]) -> float:
        self.accuracies += 1
        if self.accuracies == self.last:
            raise InterruptedError
        return super().accuracy(model, cases)

    def uncertainties(self, model: Model, cases: Sequence[Case]) -> list[float]:
        self.unsure += len(cases)
        return super().uncertainties(model, cases)


def test_what_was_measured_is_not_measured_again(
    start: Model, cases: list[Case], vectors: dict[str, np.ndarray], tmp_path: Path
) -> None:
    short = replace(QUICK, steps=2)
    plan = replace(PLAN, further=short, deployed=short)

    def run(learning: Learning, folder: Path | None = tmp_path) -> Sites:
        return train_sites(start, cases, vectors, plan, first="bright", deployment="dark", folder=folder, learning=learning)

    whole = run(ImageLearning(start, short), None)
    stopped = Counting(start, short, last=4)  # two sites before, and the second after
    with pytest.raises(InterruptedError):
        run(stopped)
    assert (stopped.accuracies, stopped.unsure) == (4, 9)
    with (tmp_path / "measured.jsonl").open("a") as lines:
        lines.write('\n["cut off')  # as a kill leaves it
    resumed = Counting(start, short)
    assert run(resumed).to_json() == whole.to_json()
    assert (resumed.accuracies, resumed.unsure) == (1, 0)
    again = Counting(start, short)
    assert run(again).to_json() == whole.to_json()
    assert (again.accuracies, again.unsure) == (0, 0)


def test_what_cannot_be_gets_its_sentence(start: Model, cases: list[Case], vectors: dict[str, np.ndarray]) -> None:
    with pytest.raises(UsageError, match="no labelled cases of site 'green'; the sites are bright, dark"):
        train_sites(start, cases, vectors, PLAN, first="green")
    with pytest.raises(UsageError, match="both the first and the deployment site"):
        train_sites(start, cases, vectors, PLAN, first="bright", deployment="bright")
    with pytest.raises(CasewiseError, match="import another site's"):
        train_sites(start, [case for case in cases if case.site == "bright"], vectors, PLAN, first="bright")
    with pytest.raises(UsageError, match="order of cases is one of similar"):
        Plan(order="upwards")
    with pytest.raises(UsageError, match="At least one annotated"):
        Plan(annotated=0)
    everything = replace(start, lineage=replace(start.lineage, trained_on=frozenset(case.key for case in cases)))
    with pytest.raises(CasewiseError, match="label new ones"):
        train_sites(everything, cases, vectors, PLAN, first="bright", deployment="dark")
