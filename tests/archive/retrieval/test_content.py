"""Likeness by content: Gower's properties, missing values, and the statements a contact sheet shows."""

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from casewise.archive.retrieval.content import ContentTable, Field, common, gower
from casewise.errors import ArchiveError

FIELDS = (Field("age", "numeric"), Field("dose", "numeric"), Field("sex"), Field("modality"))
missing = st.sampled_from([None, "", float("nan"), "unknown"])
numbers = st.floats(allow_nan=False, allow_infinity=False)
cases = st.fixed_dictionaries(
    {},
    optional={
        "age": numbers | missing,
        "dose": numbers | missing,
        "sex": st.sampled_from(["M", "F", "m"]) | missing,
        "modality": st.sampled_from(["CT", "MR", "CR"]) | missing,
    },
)


@given(cases, st.lists(cases, max_size=6))
def test_it_lies_between_0_and_1_and_a_copy_resembles_most(query, rows) -> None:
    similarity = gower(query, [*rows, query], FIELDS)
    assert similarity.shape == (len(rows) + 1,)
    assert ((similarity >= 0) & (similarity <= 1)).all()
    knows_something = bool(gower(query, [query], FIELDS)[0])
    assert similarity[-1] == (1.0 if knows_something else 0.0)


@given(cases, cases, st.lists(cases, max_size=4))
def test_it_is_symmetric(first, second, others) -> None:
    assert gower(first, [second], FIELDS)[0] == gower(second, [first], FIELDS)[0]
    table = ContentTable([first, second, *others], FIELDS)
    assert table.similarity(first)[1] == table.similarity(second)[0]


@given(cases, st.lists(cases, min_size=1, max_size=6), st.permutations(FIELDS))
def test_the_order_of_fields_and_unknown_ones_do_not_matter(query, rows, order) -> None:
    expected = gower(query, rows, FIELDS)
    np.testing.assert_allclose(gower(query, rows, order), expected, rtol=1e-12)
    reversed_rows = [dict(reversed(list(row.items()))) for row in rows]
    np.testing.assert_array_equal(gower(query, reversed_rows, FIELDS), expected)
    more = (*FIELDS, Field("scanner"), Field("weight", "numeric"))
    np.testing.assert_array_equal(gower({**query, "scanner": "A", "weight": 70}, rows, more), expected)
    some = [{**row, "scanner": "A", "weight": 70} for row in rows]
    np.testing.assert_array_equal(gower({**query, "scanner": None}, some, more), expected)


def test_the_numbers_are_gowers() -> None:
    rows = [
        {"age": 20, "sex": "F", "modality": "MR"},
        {"age": 60, "sex": "f "},
        {"age": 50, "modality": "CT"},
        {"modality": "MR"},
        {},
    ]
    np.testing.assert_allclose(gower({"age": 40, "sex": "F", "modality": "MR"}, rows), [2.5 / 3, 0.75, 0.375, 1.0, 0.0])
    np.testing.assert_allclose(gower({"age": 80}, rows[:3]), [0, 2 / 3, 0.5])  # the range is that of all four


def test_a_value_that_no_row_has_is_different_not_missing() -> None:
    np.testing.assert_array_equal(gower({"modality": "US", "sex": "F"}, [{"modality": "CT", "sex": "F"}]), [0.5])


def test_the_category_is_left_out_unless_asked_for() -> None:
    rows = [{"category": "tumour", "sex": "F"}, {"category": "normal", "sex": "F"}]
    np.testing.assert_array_equal(gower({"category": "tumour", "sex": "F"}, rows), [1, 1])
    np.testing.assert_array_equal(gower({"category": "tumour"}, rows, [Field("category")]), [1, 0])


def test_values_of_any_kind_are_taken() -> None:
    rows = [{"age": "61", "sequence": ("T2", 3)}, {"age": "not told", "sequence": ["T2"]}, {"age": True, "sex": 1}]
    assert gower({"age": 61, "sequence": ("T2", 3)}, rows).tolist() == [1.0, 0.0, 0.0]


def test_a_field_given_twice_is_an_error() -> None:
    with pytest.raises(ArchiveError, match="once"):
        ContentTable([], [Field("sex"), Field("sex")])


def test_a_hundred_thousand_cases_of_ten_fields() -> None:
    fields = [Field(f"n{i}", "numeric") for i in range(4)] + [Field(f"c{i}") for i in range(6)]
    rng = np.random.default_rng(0)
    columns = rng.integers(0, 9, (100_000, 10)).tolist()
    rows = [{field.name: value or None for field, value in zip(fields, row, strict=True)} for row in columns]
    table = ContentTable(rows, fields)
    seconds = []
    for _ in range(5):
        start = time.process_time()
        similarity = table.similarity(rows[7])
        seconds.append(time.process_time() - start)
    assert similarity[7] == similarity.max()
    assert min(seconds) < 0.05


def test_what_cases_have_in_common_the_least_expected_first() -> None:
    sites = ["Shenzhen", *["shenzhen"] * 5, "jsrt", "jsrt"]
    rows = [{"modality": "CR", "site": site, "age": 52 + i, "sex": "MF"[i % 2]} for i, site in enumerate(sites)]
    archive = rows + [{"modality": "CR", "site": "jsrt", "age": age} for age in range(3, 95)]
    assert common(rows, archive) == [
        "site Shenzhen: 6 of 8 (6 % of the archive)",
        "age 52–59 in 8 of 8 (3–94 in the archive)",
        "modality CR: 8 of 8 (100 % of the archive)",
    ]
    assert common(rows)[:2] == ["site Shenzhen: 6 of 8", "age 52–59 in 8 of 8"]


def test_nothing_in_common_says_nothing() -> None:
    assert common([{"site": "a", "age": 3}, {"site": "b"}, {}]) == []
    assert common([], [{"site": "a"}]) == []
    assert common([{"site": "a"}]) == []


@settings(deadline=None)
@given(st.lists(cases, max_size=6), st.lists(cases, max_size=6), st.randoms(use_true_random=False))
def test_statements_do_not_hang_on_the_order_of_cases(rows, others, random) -> None:
    mixed = random.sample(rows, len(rows))
    for archive in (None, rows + others):
        assert common(mixed, archive, FIELDS) == common(rows, archive, FIELDS)
