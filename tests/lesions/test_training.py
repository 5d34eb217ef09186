"""Lesion networks, trained for seconds on heads that never were."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from casewise.case import Case
from casewise.errors import CasewiseError, ModelError, UsageError
from casewise.header import Header
from casewise.image import Image
from casewise.lesions import Plan, labelled, predict, train_lesions
from casewise.lesions.batches import LesionBatches, LesionObjective, SliceSampling
from casewise.lesions.prediction import settings_of
from casewise.lesions.prepared import prepared
from casewise.lesions.slices import scaled
from casewise.lesions.synthetic import drawn
from casewise.lesions.training import class_sequences
from casewise.lesions.tuning import Choice, fitted
from casewise.models import Model
from casewise.models.networks.lesion_parts import LesionAnswer, present, shape_of
from casewise.models.tasks.lesions import Brightness, Rule
from casewise.training.metrics import dice
from tests.lesions.conftest import LARGE, SMALL, brain, patient, plan


def stacked(number: int, kind: str, kept: tuple[str, ...] = ("FLAIR", "T1")) -> tuple[Image, np.ndarray]:
    image, mask = brain(number, kind)
    array = np.stack([c if name in kept else np.zeros_like(c) for name, c in zip(("FLAIR", "T1"), image.array, strict=True)])
    header = {"sequences": ("FLAIR", "T1"), "absent": tuple(name for name in ("FLAIR", "T1") if name not in kept)}
    return replace(image, array=array, header=header), mask


def test_the_lesion_of_an_unseen_head_is_found_and_measured(model: Model) -> None:
    image, mask = stacked(11, LARGE)
    found = predict(model, image)
    assert found.sequences == ("FLAIR", "T1")
    assert set(found.maps) == {"FLAIR", "T1"}
    assert found.map.shape == image.spatial_shape
    assert dice(found.mask, mask) > 0.5
    first = found.lesions[0]
    truth = image.affine @ [*np.argwhere(mask).mean(axis=0), 1]
    assert np.linalg.norm(np.subtract(first.centre_mm, truth[:3])) < 15
    volume = mask.sum() * abs(np.linalg.det(image.affine[:3, :3])) / 1000
    assert 0.4 * volume < first.volume_ml < 2.5 * volume
    assert found.any > 0.4


def test_the_kinds_are_distinguished(model: Model) -> None:
    large, small = (predict(model, stacked(12, kind)[0], each=False) for kind in (LARGE, SMALL))
    if model.spec.network["kind"] == "lesion_regression":
        assert large.score is not None and small.score is not None
        assert large.score > small.score
        assert large.classes == {}
    else:
        assert large.classes[LARGE] > small.classes[LARGE]
        assert sum(large.classes.values()) == pytest.approx(1, abs=1e-4)
        assert large.score is None


def test_a_missing_sequence_is_named_and_does_little_harm(model: Model) -> None:
    image, mask = stacked(13, LARGE, ("FLAIR",))
    found = predict(model, image)
    assert (found.sequences, found.missing, set(found.maps)) == (("FLAIR",), ("T1",), {"FLAIR"})
    assert dice(found.mask, mask) > 0.4


def test_a_sequence_that_one_kind_never_has_does_not_give_the_kind_away(model: Model, patients: list[Case]) -> None:
    assert model.spec.network["sequences"] == ["FLAIR", "T1"]
    assert model.spec.network["told_by"] == [0]
    assert class_sequences(patients[:3], ("FLAIR", "T1")) == (0, 1)
    found = predict(model, stacked(14, LARGE, ("T1",))[0])
    assert (found.classes, found.score) == ({}, None)


def test_another_number_of_sequences_is_refused(model: Model) -> None:
    image, _ = stacked(15, LARGE)
    with pytest.raises(CasewiseError, match=r"takes 2 sequences \(FLAIR, T1\); got 1"):
        predict(model, replace(image, array=image.array[:1]))
    with pytest.raises(CasewiseError, match="None of the sequences FLAIR, T1 is there"):
        predict(model, replace(image, header=Header(sequences=("FLAIR", "T1"), absent=("FLAIR", "T1"))))
    with pytest.raises(ModelError, match=r"casewise\.lesions\.predict"):
        model.predict(image)


def test_a_model_comes_back_from_its_folder_as_it_was(model: Model, tmp_path: Path) -> None:
    again = Model.load(model.save(tmp_path / "model"))
    assert again.key == model.key
    assert again.spec == model.spec
    assert len(again.trained_on) == 6
    image, _ = stacked(16, SMALL)
    assert np.array_equal(predict(again, image).map, predict(model, image).map)
    assert "where lesion is and what it is (large, small), by FLAIR, T1" in (tmp_path / "model" / "card.md").read_text(
        encoding="utf-8"
    )


def test_a_mask_on_another_grid_is_refused() -> None:
    image, mask = brain(0, LARGE)
    with pytest.raises(CasewiseError, match=r"The mask of p has the shape \(40, 44, 9\) and its image \(40, 44, 10\)"):
        labelled(image, mask[..., :-1], LARGE, "p")


def test_the_classifier_leaves_the_map_alone_until_both_are_trained(patients: list[Case]) -> None:
    phases = plan().phases()
    assert [(part, trainable) for part, trainable, *_ in phases] == [
        ("localise", ("localiser",)),
        ("classify", ("classifier",)),
        ("together", ("localiser", "classifier")),
    ]
    separate = train_lesions(patients, "s", plan(way="separate", steps=(3, 2, 2)))
    joint = train_lesions(patients, "j", plan(steps=(3, 2, 2)))
    image, _ = stacked(17, LARGE)
    alone = train_lesions(patients, "s", plan(way="separate", steps=(3, 40, 2)))
    assert np.array_equal(predict(separate, image).map, predict(alone, image).map)
    assert not np.array_equal(predict(separate, image).map, predict(joint, image).map)
    bare = train_lesions(patients, "u", plan(way="unmapped", steps=(1, 2, 2)))
    found = predict(bare, image)
    assert found.lesions == () and found.classes


class _Enough(Exception):
    pass


def test_an_interrupted_training_goes_on_to_the_same_weights(patients: list[Case], tmp_path: Path) -> None:
    chosen = plan(steps=(4, 3, 3))
    chosen = replace(chosen, settings=replace(chosen.settings, checkpoint_every=2))
    straight = train_lesions(patients, "m", chosen)
    reported: list[tuple[int, int]] = []

    def stop(step: int, total: int, loss: float) -> None:
        reported.append((step, total))
        if step == 6:
            raise _Enough

    with pytest.raises(_Enough):
        train_lesions(patients, "m", chosen, kept=tmp_path, progress=stop)
    assert reported[-1] == (6, 10)
    reported.clear()
    again = train_lesions(patients, "m", chosen, kept=tmp_path, progress=lambda step, total, loss: reported.append((step, total)))
    assert reported[0][0] > 4
    assert reported[-1] == (10, 10)
    assert again.key == straight.key


def test_examinations_set_aside_choose_the_weights(patients: list[Case]) -> None:
    chosen = plan(steps=(4, 2, 4))
    chosen = replace(chosen, settings=replace(chosen.settings, validate_every=2))
    model = train_lesions(patients, "m", chosen, validation=[patient(20, LARGE), patient(21, SMALL)])
    assert set(model.lineage.measures) == {"validation_merit"}
    assert np.isfinite(model.lineage.measures["validation_merit"])


def test_three_volumes_set_aside_choose_what_of_the_map_counts(model: Model) -> None:
    unseen = [patient(30, LARGE), patient(31, SMALL), patient(32, SMALL, ("FLAIR",))]
    chosen = fitted(model, unseen)
    assert set(chosen.spec.network["rule"]) == {"threshold", "peak", "mean", "least_ml"}
    assert fitted(model, unseen[:2]) is model

    def merit(own: Model) -> float:
        reported = []
        for examination in unseen:
            image, masks = examination.loaded(("FLAIR", "T1"))
            mask = masks.union()
            reported.append(dice(predict(own, image, each=False).mask, mask))
        return float(np.mean(reported))

    assert merit(chosen) > merit(model) - 0.2  # Dice is half of what it is chosen by
    strict = Choice(Brightness("FLAIR", 0.2, 2.0, 1.0), Rule(0.6, 0.9, 0.4, 0.1)).given_to(model)
    assert (settings_of(strict).brightness, settings_of(strict).rule) == (
        Brightness("FLAIR", 0.2, 2.0, 1.0),
        Rule(0.6, 0.9, 0.4, 0.1),
    )


@pytest.mark.parametrize("carries", [False, True])
def test_the_map_can_carry_the_score(patients: list[Case], tmp_path: Path, carries: bool) -> None:
    slices = prepared(patients, ("FLAIR", "T1"), 48, tmp_path)
    sampling = SliceSampling(
        ("no lesion", LARGE, SMALL),
        ("FLAIR", "T1"),
        (0,),
        (0.0, 1.0, 0.5),
        carries_score=carries,
        part="localise",
        augmentation="none",
    )
    wanted = {LARGE: 1.0, SMALL: 0.5 if carries else 1.0}
    for kind, own in ((LARGE, slices[:3]), (SMALL, slices[3:])):
        batch, objective = LesionBatches(own, sampling).batch(0, 12, np.random.default_rng(0)), LesionObjective(sampling)
        target = batch.target
        assert set(target.unique().tolist()) == {0.0, wanted[kind]}
        flat = torch.zeros((12, 48, 48))
        right = LesionAnswer(torch.logit(target.clamp(1e-4, 1 - 1e-4)), torch.zeros(12, 1))
        wrong = LesionAnswer(flat, torch.zeros(12, 1))
        assert objective.loss(right, batch) < objective.loss(wrong, batch)


def test_a_map_that_carries_the_score_is_cut_at_half_of_the_lowest(patients: list[Case]) -> None:
    made = train_lesions(patients, "m", plan("regression", steps=(2, 1, 1), carries_score=True))
    assert made.spec.network["map_score"] is True
    assert settings_of(made).rule == Rule(threshold=0.25, peak=0.25)
    plain = train_lesions(patients, "m", plan("regression", steps=(2, 1, 1)))
    assert "rule" not in plain.spec.network and "map_score" not in plain.spec.network


def test_a_kind_of_score_0_is_trained_as_such_and_not_as_1(patients: list[Case], tmp_path: Path) -> None:
    slices = prepared(patients[3:], ("FLAIR", "T1"), 48, tmp_path)
    sampling = SliceSampling(
        ("no lesion", LARGE, SMALL), ("FLAIR", "T1"), (0,), (0.0, 1.0, 0.0), carries_score=True, part="localise"
    )
    assert not LesionBatches(slices, sampling).batch(0, 12, np.random.default_rng(0)).target.any()


def test_sequences_are_left_out_at_random_and_never_all(patients: list[Case], tmp_path: Path) -> None:
    slices = prepared(patients, ("FLAIR", "T1"), 48, tmp_path)
    batches = LesionBatches(slices, SliceSampling(("no lesion", LARGE, SMALL), ("FLAIR", "T1"), (0,), dropped=0.5, synthetic=0.2))
    given: set[tuple[bool, ...]] = set()
    for step in range(12):
        batch = batches.batch(step, 8, np.random.default_rng(step))
        x, target = batch.x, batch.target
        there = present(x)
        assert bool(there.any(dim=1).all())
        assert float(x.min()) >= 0 and float(x.max()) <= 1
        assert set(target.unique().tolist()) <= {0.0, 1.0}
        given |= {tuple(row) for row in there.tolist()}
    assert given == {(True, True), (True, False), (False, True)}


def test_synthetic_lesions_lie_within_the_brain_and_spare_a_missing_sequence() -> None:
    image, mask = brain(3, SMALL)
    plane = scaled(image).array[:, :, :, int(np.argmin(mask.sum(axis=(0, 1))))]
    plane[1] = 0
    changed, drawn_mask = drawn(plane, ("FLAIR", "T1"), np.random.default_rng(0))
    assert drawn_mask.any()
    assert not changed[1].any()
    assert (changed[0] >= plane[0]).all()
    assert (changed[0] - plane[0])[drawn_mask > 0].mean() > 0.03
    assert not (drawn_mask.astype(bool) & (plane[0] == 0)).any()


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"network": "transformer"}, "one of multitask, fusion, regression"),
        ({"steps": (1, 2)}, "three phases"),
        ({"dropped": 1.0}, "probability from 0 to below 1"),
        ({"scores": (("a", 2.0),)}, "from 0 to 1"),
        ({"carries_score": True}, "the multitask network predicts kinds and has no scores"),
        ({"network": "regression", "carries_score": True, "scores": (("a", 0.0), ("b", 1.0))}, "never found; give a more"),
        ({"network": "regression", "carries_score": True, "way": "unmapped"}, "has none that could carry a score"),
    ],
)
def test_a_plan_that_cannot_be_is_refused(wrong: dict[str, object], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        Plan(**wrong)  # type: ignore[arg-type]


def test_what_cannot_be_learnt_from_is_said(patients: list[Case]) -> None:
    with pytest.raises(CasewiseError, match="no examination with a mask"):
        train_lesions([], "m", plan())
    with pytest.raises(CasewiseError, match="1 of 6 examinations have no category"):
        train_lesions([replace(patients[0], category=None), *patients[1:]], "m", plan())
    with pytest.raises(UsageError, match="score from 0 to 1 for each category; small has none"):
        train_lesions(patients, "m", replace(plan("regression"), scores=((LARGE, 1.0),)))
    image, mask = brain(0, LARGE)
    empty = labelled(image, np.zeros_like(mask), LARGE, "p")
    with pytest.raises(CasewiseError, match="No slice"):
        train_lesions([empty], "m", plan())


def test_a_missing_sequence_does_not_change_what_fusion_says_by_the_others() -> None:
    from casewise.models.networks.lesion_fusion import combined

    generator = torch.Generator().manual_seed(0)
    maps, trust = torch.randn(2, 3, 4, 4, generator=generator), torch.randn(2, 3, 4, 4, generator=generator)
    there = torch.tensor([[True, False, True], [False, False, False]])
    changed = maps.clone()
    changed[:, 1] = 50.0
    assert torch.allclose(combined(maps, trust, there), combined(changed, trust, there))
    low, high = maps[0, [0, 2]].amin(dim=0), maps[0, [0, 2]].amax(dim=0)
    answer = combined(maps, trust, there)
    assert bool(((answer[0] >= low - 1e-5) & (answer[0] <= high + 1e-5)).all())
    assert bool((answer[1].sigmoid() < 0.05).all())


def test_one_mass_of_one_side_and_many_on_both_have_different_shapes() -> None:
    maps = torch.zeros(3, 96, 96)
    maps[0, 30:60, 15:40] = 1
    for row, column in ((30, 30), (50, 25), (60, 35)):
        maps[1, row : row + 6, column : column + 6] = 1
        maps[1, row : row + 6, 96 - column - 6 : 96 - column] = 1
    area, highest, mirrored, scatter, compact = shape_of(maps).unbind(dim=1)
    assert area[0] > area[1] > area[2]
    assert highest.tolist() == [1, 1, 0]
    assert mirrored[0] < 0.1
    assert mirrored[1] == pytest.approx(2, abs=0.05)
    assert scatter[1] > 1.5 * scatter[0]
    assert compact[0] > 3 * compact[1]
    assert bool(torch.isfinite(shape_of(maps)).all())
