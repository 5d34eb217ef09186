"""Which files of a folder a program is given."""

from __future__ import annotations

from pathlib import Path

import pytest

from casewise.applications.isolated.folders import fill
from casewise.applications.isolated.task import Task
from casewise.applications.outcome import ApplicationError
from tests.dicom_studies import ct


def task(folder: Path, source: Path, member: str | None) -> Task:
    return Task(folder, source, member, "chest CT", (4, 4, 4), None, ((1.0,),), {}, "ident")


def test_a_program_is_given_the_series_that_is_meant_and_no_other(tmp_path: Path) -> None:
    both = tmp_path / "both"
    first, second = (ct(both / str(number), slices=3) for number in range(2))
    for series in (first, second):
        for number, file in enumerate(series.files):
            file.rename(both / f"{series.series_uid}-{number}.dcm")
    fill(tmp_path / "in", task(tmp_path, both, second.series_uid), {})
    assert {path.name.partition("#")[0] for path in (tmp_path / "in").glob("*.dcm")} == {second.series_uid}
    for number, member in enumerate(("elsewhere", None)):
        with pytest.raises(ApplicationError, match="not to be told from others"):
            fill(tmp_path / f"in-{number}", task(tmp_path, both, member), {})
