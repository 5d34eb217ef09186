"""A detector that is adapted to a site: which films it is refined on, and how its tables count."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.marked_films import by_name, differences, film_auc, film_row, froc
from casewise.irregularities.box_fusion import Detection
from casewise.irregularities.froc import RATES, Outcome, sensitivity
from experiments.nodules import adapted
from experiments.nodules.films import Film
from experiments.nodules.radiographs import Truth


def film(number: int, folder: str = "jsrt", nodule: bool = False) -> Film:
    return Film(folder, Path(f"{number}.png"), (Truth(500.0, 500.0, 20.0, 3),) if nodule else ())


@pytest.fixture
def grown(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Film]]:
    """Twenty films of the site, ten of another; what the encoder sees of a film turns with its number."""
    every = [film(n) for n in range(20)] + [film(100 + n, "shenzhen") for n in range(10)]

    def pooled(one: Film) -> np.ndarray:
        angle = int(one.path.stem) / 20
        return np.array([np.cos(angle), np.sin(angle)])

    monkeypatch.setattr(adapted, "films", lambda: every)
    monkeypatch.setattr(adapted, "pooled", pooled)
    monkeypatch.setattr(Film, "key", property(lambda one: f"{int(one.path.stem):08x}"))
    adapted.archive.cache_clear()
    yield every
    adapted.archive.cache_clear()


def test_the_archive_of_a_fold_holds_no_film_of_the_fold(grown: list[Film]) -> None:
    for number in range(5):
        own = {one.name for one in adapted.site_films(number)}
        site, known = adapted.archive(number)
        assert own and own.isdisjoint(one.name for one in [*site, *known])
        assert len(own) + len(site) == 20 and {one.site for one in site} == {"JSRT"} and len(known) == 10


def test_similar_films_are_new_to_the_detector_and_nearest_first(grown: list[Film]) -> None:
    for number in range(5):
        for one in adapted.site_films(number):
            ways = {way: adapted.chosen_for(one, number, way, 8) for way in ("similar", "site", "random")}
            assert {other.site for way in ("similar", "site") for other in ways[way]} == {"JSRT"}
            assert one.name not in {other.name for way in ways.values() for other in way}
            assert all(len({other.name for other in way}) == 8 for way in ways.values())
            apart = [abs(int(other.path.stem) - int(one.path.stem)) for other in ways["similar"]]
            assert apart[0] <= min(apart[1:]) + 1


def marked(*found: tuple[float, float, float]) -> list[Detection]:
    return [Detection(row, column, 50.0, probability, "", 0) for row, column, probability in found]


def test_a_hit_counts_once_and_what_hits_nothing_is_false() -> None:
    row = film_row("one", film(1, nodule=True), marked((505, 500, 0.4), (495, 500, 0.6), (900, 900, 0.8)))
    assert row["hits"] == [0.6] and row["misses"] == [0.8] and row["best"] == 0.8 and row["subtlety"] == 3
    assert "subtlety" not in film_row("one", film(2), [])


@given(st.integers(0, 2**32 - 1), st.sampled_from(RATES))
def test_one_sort_for_all_rates_is_the_sensitivity_that_is_measured_elsewhere(seed: int, rate: float) -> None:
    rng = np.random.default_rng(seed)
    rows = [{"hits": rng.uniform(-1, 1, n % 2).tolist(), "misses": rng.uniform(size=rng.integers(6)).tolist()} for n in range(9)]
    drawn = rng.integers(9, size=9)
    every = [Outcome(np.array(rows[n]["hits"]), np.array(rows[n]["misses"])) for n in drawn]
    expected = sensitivity(every, rate)
    assert np.array_equal(froc(rows)(rate, drawn), expected, equal_nan=True)


def test_tables_count_films_of_both_ways_in_one_order() -> None:
    films = [film(n, nodule=n < 3) for n in range(6)]
    good = [film_row("good", one, marked((500, 500, 0.9)) if one.nodules else marked((1, 1, 0.1))) for one in films]
    bad = [film_row("bad", one, marked((1, 1, 0.5))) for one in films[::-1]]
    by = by_name([*good, *bad])
    assert [row["film"] for row in by["good"]] == [row["film"] for row in by["bad"]]
    assert froc(by["good"])(0.5, None) == 1 and froc(by["bad"])(None, None) == 0 and film_auc(by["good"]) == 1
    value, names = {name: froc(rows) for name, rows in by.items()}, {"good": "good", "bad": "bad"}
    line = differences(value, 6, [("good", "bad")], names, [1.0]).splitlines()[-1]
    assert froc(by["good"], by["bad"])(0.5, None) == 0.5
    assert line.startswith("| good − bad | +1.000")
