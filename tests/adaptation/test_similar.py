from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from casewise.adaptation import AcceptanceRule, Plan, refine
from casewise.adaptation.acceptance import HALFWAY
from casewise.adaptation.refinement import part, refine_on
from casewise.archive import Archive
from casewise.case import Case
from casewise.models import Model
from casewise.models.averaging import between
from casewise.training import Settings, dice, fit
from tests.adaptation.discs import DISC, disc

QUICK = Settings(steps=80, batch=4, rate=1e-2, augmentation="none", device="cpu")
PLAN = Plan(k=6, held_out=3, settings=QUICK)


def error_of(model: Model, seed: int, dark: bool) -> float:
    image, mask = disc(seed, dark)
    return 1 - dice(model.predict(image).mask > 0, mask)


def test_refining_on_unseen_similar_cases_mends_a_model_for_a_new_site(archive: Archive, model: Model) -> None:
    image, _ = disc(100, dark=True)
    done = refine(model, image, archive, plan=PLAN)
    assert done.refinement.used
    assert {case.site for case in done.refinement.trained_on} == {"dark"}
    assert error_of(model, 100, dark=True) > 0.3
    assert error_of(done.model, 100, dark=True) < 0.1


def test_refined_model_knows_parent_and_cases(archive: Archive, model: Model) -> None:
    done = refine(model, disc(100, dark=True)[0], archive, plan=PLAN)
    keys = {case.key for case in done.refinement.trained_on}
    assert done.model.lineage.parent == model.key
    assert set(done.model.lineage.refined_on) == keys
    assert done.model.trained_on == model.trained_on | keys
    assert done.model.lineage.measures["after_dice"] == done.refinement.after["dice"]


def test_model_that_knows_all_similar_cases_is_left_alone(archive: Archive, model: Model) -> None:
    everything = replace(model, lineage=replace(model.lineage, trained_on=frozenset(c.key for c in archive.cases([DISC]))))
    done = refine(everything, disc(100, dark=False)[0], archive, plan=PLAN)
    assert not done.refinement.used
    assert done.model is everything
    assert "0 similar cases that the model was not trained on" in done.refinement.reason


def test_where_nothing_is_new_the_similar_cases_labels_vote(archive: Archive, model: Model) -> None:
    everything = replace(model, lineage=replace(model.lineage, trained_on=frozenset(c.key for c in archive.cases([DISC]))))
    image, mask = disc(100, dark=True)
    done = refine(everything, image, archive, plan=PLAN)
    assert done.fused is not None
    assert done.fused.used, done.fused.reason
    assert done.fused.reason in done.refinement.reason
    assert {case.site for case in done.fused.cases} == {"dark"}
    assert np.array_equal(done.predict(image).mask, done.fused.joined(model.predict(image)).mask)
    assert dice(done.predict(image).mask > 0, mask) > dice(model.predict(image).mask > 0, mask)


def test_the_vote_joins_the_refined_model_and_can_be_left_out(archive: Archive, model: Model) -> None:
    image, mask = disc(100, dark=True)
    done = refine(model, image, archive, plan=PLAN)
    assert done.refinement.used
    assert done.fused is not None
    joined = done.fused.joined(done.model.predict(image))
    assert np.array_equal(done.predict(image).mask, joined.mask)
    assert dice(joined.mask > 0, mask) > 0.9
    assert refine(model, image, archive, plan=replace(PLAN, label_fusion=False)).fused is None


def test_cases_the_model_knows_are_never_refined_on(archive: Archive, model: Model) -> None:
    done = refine(model, disc(101, dark=False)[0], archive, plan=PLAN)  # its most similar cases are all known
    assert not {case.key for case in done.refinement.trained_on} & model.trained_on


def test_worse_refinement_gives_the_parent(archive: Archive, model: Model) -> None:
    cases = archive.cases([DISC], site="bright")
    harmful = replace(PLAN, settings=replace(QUICK, rate=0.9, steps=3))
    done = refine_on(model, cases, harmful, "similar")
    assert not done.used
    assert done.model is model
    assert "not better" in done.reason


def test_one_image_leaves_no_trace_in_the_next(archive: Archive, model: Model) -> None:
    before = {name: tensor.clone() for name, tensor in model.weights.items()}
    answer = model.predict(disc(7, dark=False)[0]).probabilities
    first = refine(model, disc(100, dark=True)[0], archive, plan=PLAN).model
    refine(model, disc(101, dark=True)[0], archive, plan=PLAN)
    again = refine(model, disc(100, dark=True)[0], archive, plan=PLAN).model
    assert all(torch.equal(before[name], model.weights[name]) for name in before)
    assert np.array_equal(answer, model.predict(disc(7, dark=False)[0]).probabilities)
    assert first.key == again.key


def test_the_image_itself_is_never_among_its_similar_cases(archive: Archive, model: Model) -> None:
    case = archive.cases([DISC], site="dark")[0]
    done = refine(model, case.image, archive, plan=PLAN)
    assert case.key not in {found.key for found in done.similar}


def test_empty_archive_leaves_the_model_alone(tmp_path, model: Model) -> None:
    with Archive.open(tmp_path / "empty", create=True) as empty:
        done = refine(model, disc(100, dark=True)[0], empty, plan=PLAN)
    assert done.model is model
    assert "no labelled case" in done.refinement.reason


@pytest.mark.parametrize("share", [0.25, 0.5])
def test_share_is_a_point_between_parent_and_refined(archive: Archive, model: Model, share: float) -> None:
    refined = fit(model, archive.cases([DISC], site="dark"), settings=QUICK)
    part_way = between(model, refined, share)
    for name, tensor in model.weights.items():
        expected = (1 - share) * tensor + share * refined.weights[name]
        assert torch.allclose(part_way.weights[name], expected, atol=1e-6)


@pytest.mark.parametrize("margin", [-9, 9])
def test_the_margin_decides_between_halfway_and_all_the_way(archive: Archive, model: Model, margin: float) -> None:
    cases = archive.cases([DISC], site="dark")
    plan = replace(PLAN, acceptance=AcceptanceRule(gain=-9, margin=margin))
    refined = fit(model, part(cases, plan)[1], settings=QUICK)
    expected = refined if margin < 0 else between(model, refined, HALFWAY)
    done = refine_on(model, cases, plan, "similar")
    assert done.used
    assert all(torch.equal(tensor, expected.weights[name]) for name, tensor in done.model.weights.items())


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1))
def test_the_rule_never_takes_what_was_no_better(before: float, halfway: float, whole: float) -> None:
    rule = AcceptanceRule()
    share, reason = rule.after({"dice": before}, {"dice": halfway}, {"dice": whole}, 4)
    taken = {0.0: before, HALFWAY: halfway, 1.0: whole}[share]
    assert share == 0 or taken > before
    assert (share == 1) == (whole > before and whole > halfway + rule.margin)
    assert ("parent was used" in reason) == (share == 0)


@pytest.mark.parametrize(("enough", "reported"), [(4, True), (1000, False)])
def test_training_on_all_is_offered_where_enough_cases_are_new(archive: Archive, model: Model, enough: int, reported: bool) -> None:
    plan = replace(PLAN, acceptance=AcceptanceRule(continued=enough))
    done = refine(model, disc(100, dark=True)[0], archive, plan=plan)
    assert done.refinement.used
    assert (done.advice is not None) == reported
    assert not reported or "casewise train segmenter ARCHIVE --from MODEL" in str(done.advice)


@pytest.mark.parametrize(("count", "k", "held"), [(12, 8, 4), (5, 8, 4), (4, 8, 4), (30, 8, 4), (9, 6, 3)])
def test_held_out_and_trained_on_are_apart_and_all_of_the_most_similar(count: int, k: int, held: int) -> None:
    cases = [Case.of(disc(n, False)[0], name=str(n)) for n in range(count)]
    aside, chosen = part(cases, Plan(k=k, held_out=held))
    names = sorted(int(case.name) for case in [*aside, *chosen])
    assert names == list(range(min(count, k + held)))
    assert 1 <= len(aside) <= held
    assert len(chosen) >= len(aside)
