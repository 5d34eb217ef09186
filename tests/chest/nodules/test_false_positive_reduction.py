"""The second look at findings: where they lie, how large they are, what the other lung shows there."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from casewise.chest.nodules.false_positive_reduction import CUES, FalsePositiveReducer, cues, log_odds, lungs_of
from casewise.errors import ModelError
from casewise.irregularities.box_fusion import Detection
from casewise.irregularities.training import spec
from casewise.models import Model
from casewise.models.spec import Spec

SHAPE = (400, 500)


@pytest.fixture(scope="module")
def regions() -> dict[str, np.ndarray]:
    masks = {name: np.zeros(SHAPE, bool) for name in ("right_lung", "left_lung", "heart")}
    masks["right_lung"][50:350, 50:200] = True
    masks["left_lung"][50:350, 300:450] = True
    masks["heart"][200:330, 210:300] = True
    return masks


def at(row: float, column: float, probability: float = 0.5, region: str = "left_lung", edge: float = 20) -> Detection:
    return Detection(row, column, edge, probability, region, 0)


def test_places_are_reported_from_the_mediastinum_outwards_and_from_the_apex_down(regions: dict[str, np.ndarray]) -> None:
    reported = cues([at(50, 200), at(200, 50), at(350, 300), at(200, 450, region="heart")], lungs_of(regions), 0.7)
    outwards, downwards, heart = (reported[:, CUES.index(name)] for name in ("outwards", "downwards", "heart"))
    assert np.allclose(outwards, [-0.5, 0.5, -0.5, 0.5]) and np.allclose(downwards, [-0.5, 0, 0.5, 0])
    assert heart.tolist() == [0, 0, 0, 1]


@given(row=st.floats(60, 340), column=st.floats(60, 190))
def test_a_mirrored_chest_has_the_same_cues(row: float, column: float) -> None:
    masks = {name: np.zeros(SHAPE, bool) for name in ("right_lung", "left_lung")}
    masks["right_lung"][50:350, 50:200] = True
    masks["left_lung"][50:350, 300:450] = True
    one, other = (cues([at(row, place, region="x")], lungs_of(masks), 0.7) for place in (column, SHAPE[1] - column))
    assert np.allclose(one, other)


def test_one_lung_is_scored_as_if_the_other_were_its_mirror_image(regions: dict[str, np.ndarray]) -> None:
    both = cues([at(100, 100)], lungs_of(regions), 0.7)
    alone = cues([at(100, 100)], lungs_of({"right_lung": regions["right_lung"]}), 0.7)
    assert np.allclose(both, alone)
    assert cues([], lungs_of(regions), 0.7).shape == (0, len(CUES))


def test_a_judge_orders_anew_and_changes_nothing_else(regions: dict[str, np.ndarray]) -> None:
    weights = [0.0] * len(CUES)
    weights[CUES.index("outwards")] = 4.0
    judge = FalsePositiveReducer(tuple(weights), -1.0)
    central, lateral = at(200, 190, 0.9), at(200, 60, 0.2)
    first, second = judge.rescored([central, lateral], lungs_of(regions), 0.7)
    assert (first.column, second.column) == (60, 190) and 0 < second.probability < first.probability < 1
    assert (first.row, first.edge, first.region, first.segment) == (lateral.row, lateral.edge, lateral.region, lateral.segment)
    assert judge.rescored([], lungs_of(regions), 0.7) == []


def test_a_network_brings_its_judge_along_and_one_without_is_refused() -> None:
    judge = FalsePositiveReducer(tuple(0.1 * n for n in range(len(CUES))), -0.5)
    plain = Model.initial("nodules", spec("nodule", "both", (8, 16)), 0)
    with pytest.raises(ModelError, match="false positives"):
        FalsePositiveReducer.of(plain.network())
    described = Spec(plain.spec.task, {**plain.spec.network, "cues": len(CUES)}, plain.spec.preparation, plain.spec.structures)
    kept = FalsePositiveReducer.of(Model("nodules", described, {**plain.weights, **judge.tensors()}).network())
    assert np.allclose(kept.weights, judge.weights) and kept.shift == pytest.approx(judge.shift)


@pytest.mark.parametrize("wrong", [{"members": 0}, {"cues": -1}, {"members": "two"}])
def test_settings_that_no_network_has_are_refused(wrong: dict[str, object]) -> None:
    described = spec("nodule", "both", (8, 16))
    with pytest.raises(ModelError, match="members"):
        Model.initial("x", Spec(described.task, {**described.network, **wrong}, described.preparation, described.structures), 0)


def test_log_odds_are_finite_and_undo_the_logistic() -> None:
    assert log_odds(0.5) == 0 and np.isfinite([log_odds(0), log_odds(1)]).all()
    assert 1 / (1 + np.exp(-log_odds(0.2))) == pytest.approx(0.2)
