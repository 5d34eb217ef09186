"""Marks: merged over segments, counted by FROC, joined through slices; and the loss that orders them."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from casewise.irregularities.box_fusion import Detection, fused, noisy_or, overlap
from casewise.irregularities.froc import Target, outcome, sensitivity, threshold
from casewise.irregularities.training import FocalObjective
from casewise.irregularities.volumes import through_slices
from casewise.models.tasks import Batch

boxes = st.builds(
    Detection,
    row=st.floats(0, 500),
    column=st.floats(0, 500),
    edge=st.floats(20, 120),
    probability=st.floats(0, 1),
    region=st.just("left_lung"),
    segment=st.integers(0, 3),
)


@given(st.lists(boxes, max_size=20))
@settings(deadline=None)
def test_fusion_keeps_the_best_of_each_place_and_makes_nothing_up(found: list[Detection]) -> None:
    merged = fused(found)
    assert len(merged) <= len(found)
    assert [one.probability for one in merged] == sorted((one.probability for one in merged), reverse=True)
    assert {one.probability for one in merged} <= {one.probability for one in found}
    for number, one in enumerate(merged):  # nothing is marked twice
        assert all(max(abs(one.row - o.row), abs(one.column - o.column)) > o.edge / 2 for o in merged[:number])
    if found:
        assert merged[0].probability == max(one.probability for one in found)
        for one in merged:
            assert min(f.row for f in found) - 1e-6 <= one.row <= max(f.row for f in found) + 1e-6
            assert min(f.edge for f in found) - 1e-6 <= one.edge <= max(f.edge for f in found) + 1e-6


def test_a_place_that_two_segments_show_is_reported_once() -> None:
    one = Detection(100, 100, 40, 0.9, "left_lung", 0)
    other = Detection(104, 98, 40, 0.5, "left_lung", 1)
    apart = Detection(300, 100, 40, 0.7, "left_lung", 1)
    merged = fused([other, apart, one])
    assert [(round(m.row), m.segment, m.probability) for m in merged] == [(101, 0, 0.9), (300, 1, 0.7)]
    assert overlap(one, one) == pytest.approx(1) and overlap(one, apart) == 0


def test_the_chance_of_any_grows_with_each() -> None:
    assert noisy_or([]) == 0
    assert noisy_or([0.5, 0.5]) == pytest.approx(0.75)


def test_froc_counts_each_nodule_once_and_every_false_finding() -> None:
    found = [Detection(10, 10, 20, p, "lung", 0) for p in (0.9, 0.8)] + [Detection(90, 90, 20, 0.7, "lung", 0)]
    hit = outcome(found, [Target(12, 10, 5), Target(50, 50, 5)])
    assert hit.hits.tolist() == [0.9, -1] and hit.misses.tolist() == [0.7]
    empty = outcome([Detection(5, 5, 20, 0.95, "lung", 0)], [])
    assert sensitivity([hit, empty], 0.4) == 0  # the false finding of the other image is more probable
    assert sensitivity([hit, empty], 0.5) == 0.5
    assert threshold([hit, empty], 5) < 0 and sensitivity([hit, empty], 5) == 0.5


def test_the_objective_asks_most_of_what_is_reported_wrong() -> None:
    target = torch.zeros(1, 4, 4, dtype=torch.long)
    target[0, 0, 0] = 1
    ones = torch.ones(1, 4, 4)

    def loss(odds: float) -> float:
        answer = torch.zeros(1, 2, 4, 4)
        answer[:, 1] = torch.where(target > 0, odds, -odds)
        return float(FocalObjective().loss(answer, Batch(answer, target, voxel_weights=ones)))

    assert loss(-4) > 10 * loss(0) > 100 * loss(4) > 0
    heavy = ones.clone()
    heavy[0, 0, 0] = 5
    flat = torch.zeros(1, 2, 4, 4)
    one, other = (FocalObjective().loss(flat, Batch(flat, target, voxel_weights=weights)) for weights in (heavy, ones))
    assert one > other


def at(row: float, probability: float) -> Detection:
    return Detection(row, 50, 40, probability, "body", 0)


def test_marks_of_neighbouring_slices_that_overlap_are_one() -> None:
    found = {3: [at(100, 0.4)], 4: [at(104, 0.9), at(300, 0.5)], 5: [at(108, 0.6)], 7: [at(108, 0.3)]}
    first, second, third = through_slices(found)
    assert (first.first, first.last, first.slice, first.best.probability) == (3, 6, 4, 0.9)
    assert 100 < first.best.row < 108
    assert (second.first, second.last, second.best.row) == (4, 5, pytest.approx(300))
    assert (third.first, third.last) == (7, 8)  # slice 6 shows nothing


@given(st.dictionaries(st.integers(0, 6), st.lists(boxes, max_size=4), max_size=7))
@settings(deadline=None)
def test_every_mark_of_a_slice_belongs_to_one_of_the_volume(found: dict[int, list[Detection]]) -> None:
    merged = through_slices(found)
    assert sum(one.last - one.first for one in merged) == sum(map(len, found.values()))
    assert [one.best.probability for one in merged] == sorted((one.best.probability for one in merged), reverse=True)
