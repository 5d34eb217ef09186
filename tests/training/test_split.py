"""Parting cases: nobody stands on both sides, whatever their images, sites and categories."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from casewise.case import Case, Structure
from casewise.image import Image
from casewise.training import Settings, train_segmenter
from casewise.training.split import split


def case(key: str, subject: str | None, site: str | None = None, category: str | None = None) -> Case:
    def unread() -> Image:
        raise AssertionError("a split reads no image")

    return Case(key, unread, category=category, subject=subject, site=site)


CASES = st.lists(
    st.tuples(st.sampled_from([None, *"abcdefghijkl"]), st.sampled_from([None, "A", "B"]), st.sampled_from([None, "x", "y"])),
    max_size=60,
)


@given(CASES, st.integers(0, 5), st.sampled_from([0.1, 0.15, 0.3, 0.5]))
def test_nobody_is_on_two_sides_and_no_case_is_lost(drawn: list, seed: int, share: float) -> None:
    cases = [case(f"k{number}", *who) for number, who in enumerate(drawn)]
    training, aside = split(cases, share, seed)
    assert sorted(c.key for c in training + aside) == sorted(c.key for c in cases)
    assert not {c.subject for c in training if c.subject} & {c.subject for c in aside if c.subject}
    again = split(cases, share, seed)
    assert [c.key for c in again[1]] == [c.key for c in aside]


def test_several_images_of_a_subject_go_together() -> None:
    cases = [case(f"{subject}-{number}", f"s{subject}", "A") for subject in range(8) for number in range(5)]
    training, aside = split(cases, 0.25)
    assert len(aside) == 10 and len({c.subject for c in aside}) == 2, "two whole subjects of eight"
    assert len(training) == 30


def test_each_site_and_category_is_on_both_sides() -> None:
    cases = [case(f"{s}{c}{n}", f"{s}{c}{n}", s, c) for s in "AB" for c in "xy" for n in range(8)]
    training, aside = split(cases)
    places = {(s, c) for s in "AB" for c in "xy"}
    assert {(c.site, c.category) for c in training} == {(c.site, c.category) for c in aside} == places


def test_a_training_never_learns_from_the_subjects_that_it_is_measured_on() -> None:
    structure = Structure.parse("disc")
    mask = np.zeros((16, 16), bool)
    mask[4:12, 4:12] = True
    cases = []
    for subject in range(6):
        for number in range(3):
            pixels = np.random.default_rng([subject, number]).normal(0, 1, (1, 16, 16)).astype(np.float32) + 3 * mask
            cases.append(Case.of(Image(pixels, np.eye(4)), {"disc": mask}, subject=f"s{subject}"))
    model = train_segmenter(cases, [structure], "tiny", settings=Settings(steps=2, batch=2, device="cpu"))
    learnt = {c.subject for c in cases if c.key in model.trained_on}
    measured = {c.subject for c in cases if c.key not in model.trained_on}
    assert measured and not learnt & measured
    assert model.lineage.measures["validation_cases"] == 3 * len(measured)
