"""Prepared samples are kept while there is room for them, and their cases live."""

from __future__ import annotations

import gc

import pytest
import torch

from casewise.models import Model
from casewise.models.tasks import Sample
from casewise.training import Settings, fit
from casewise.training import samples as module
from casewise.training.samples import SampleCache, samples_of
from tests.discs import disc_case, segmenter


def sample() -> tuple[Sample, ...]:
    """1000 bytes."""
    return (Sample(torch.zeros(1, 10, 40, dtype=torch.float16), torch.zeros(200, dtype=torch.uint8)),)


def test_the_least_recently_used_samples_go_first() -> None:
    cache, cases, made = SampleCache(budget=2500), [disc_case(seed) for seed in range(3)], []

    def ask(number: int) -> None:
        cache.of(cases[number], "way", lambda: made.append(number) or sample())

    for number in (0, 1, 0, 2, 0, 1):
        ask(number)
    assert made == [0, 1, 2, 1], "0 was used before 2 came, so that 1 went"
    assert cache.size == 2000
    cache.budget = 0
    ask(2)
    assert cache.size == 0


def test_a_case_that_is_gone_leaves_nothing_behind() -> None:
    cache, case = SampleCache(budget=10**6), disc_case(0)
    cache.of(case, "one", sample)
    cache.of(case, "other", sample)
    assert cache.size == 2000
    del case
    gc.collect()
    assert cache.size == 0
    assert not cache._kept and not cache._ways


def test_each_way_of_preparing_is_kept_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CACHE", SampleCache(budget=10**7))
    case = disc_case(0)
    assert samples_of(case, segmenter().spec) is samples_of(case, segmenter(2).spec)
    assert samples_of(case, segmenter().spec) is not samples_of(case, segmenter().spec, everything=True)
    assert samples_of(case, segmenter(2, 16).spec)[0].x.shape == (1, 16, 16)
    held = {sample for kept in module.CACHE._kept.values() for sample in kept}
    assert module.CACHE.size == sum(one.size for one in held) > 0


def test_a_training_without_room_gives_the_same_model(monkeypatch: pytest.MonkeyPatch) -> None:
    cases = [disc_case(seed) for seed in range(3)]

    def trained(budget: int) -> Model:
        monkeypatch.setattr(module, "CACHE", SampleCache(budget))
        made = fit(segmenter(), cases, settings=Settings(steps=4, batch=3, device="cpu"), validation=cases[:1])
        assert module.CACHE.size <= budget
        return made

    assert trained(0).key == trained(10_000).key == trained(10**8).key
