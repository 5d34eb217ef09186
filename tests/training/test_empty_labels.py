"""Masks that are all empty teach nothing: the training says so before its first step, and measures on what is drawn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from casewise.case import Case, Structure
from casewise.cli import main
from casewise.errors import CasewiseError
from casewise.training import Settings, train_segmenter
from casewise.training.empty_labels import split_with_drawn
from tests.discs import DISC, disc

CORE = Structure.parse("core")


def case(number: int, drawn: bool, *others: str) -> Case:
    image, mask = disc(number)
    masks = {"disc": mask & drawn, **dict.fromkeys(others, mask)}
    return Case.of(image, masks, subject=f"subject {number}", name=f"case {number}")


def train(cases: list[Case], *structures: Structure) -> None:
    train_segmenter(cases, structures, "m", settings=Settings(steps=1, batch=2))


def test_masks_that_are_all_empty_are_one_sentence() -> None:
    empty = [case(number, False) for number in range(5)]
    with pytest.raises(CasewiseError, match=r"All masks of disc are empty \(5 of 5 cases have one\)"):
        train(empty, DISC)
    with pytest.raises(CasewiseError, match=r"All masks of disc are empty \(5 of 6 cases"):
        train([case(number, False, "core") for number in range(5)] + [Case.of(disc(9)[0], {"core": disc(9)[1]})], DISC, CORE)
    with pytest.raises(CasewiseError, match="All masks of whole=disc"):
        train(empty, Structure.parse("whole=disc+other"))


def test_a_structure_that_no_case_has_is_no_obstacle() -> None:
    cases = [case(number, True) for number in range(5)]
    training, validation = split_with_drawn(cases, (DISC, CORE), 0)
    assert len(training) == 4
    assert len(validation) == 1


@pytest.mark.parametrize("seed", range(12))
def test_what_is_drawn_in_few_cases_is_learnt_from_and_measured(seed: int) -> None:
    cases = [case(number, number < 2) for number in range(10)]
    training, validation = split_with_drawn(cases, (DISC,), seed)
    assert {c.key for c in training} | {c.key for c in validation} == {c.key for c in cases}
    assert not {c.subject for c in training} & {c.subject for c in validation}
    drawn = {c.key for c in cases[:2]}
    assert drawn & {c.key for c in training}
    assert not validation or drawn & {c.key for c in validation}
    alone, _ = split_with_drawn([case(number, number == 0) for number in range(10)], (DISC,), seed)
    assert cases[0].key in {c.key for c in alone}


def test_few_drawn_cases_are_trained_on() -> None:
    train([case(number, number == 3) for number in range(6)], DISC)


def test_reported_all_empty(shared_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    archive = tmp_path / "archive"
    assert main(["import", str(archive), str(shared_data / "bug-reports" / "train" / "all_empty")]) == 0
    words = ["train", "segmenter", str(archive), "--structure", "heart", "--output", str(tmp_path / "m"), "--steps", "2"]
    capsys.readouterr()
    assert main(words) != 0
    assert "All masks of heart are empty (4 of 4 cases have one)" in capsys.readouterr().err
    assert not (tmp_path / "m").exists()
    assert np.count_nonzero([path.suffix == ".toml" for path in tmp_path.rglob("*model*")]) == 0
