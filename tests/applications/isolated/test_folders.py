"""Which files of a folder a program or a DICOM node is given."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from casewise.applications.isolated.folders import fill
from casewise.applications.isolated.node_files import files_to_send
from casewise.applications.isolated.task import Task
from casewise.applications.outcome import ApplicationError
from tests.dicom_studies import ct


def task(folder: Path, source: Path, member: str | None) -> Task:
    return Task(folder, source, member, "chest CT", (4, 4, 4), None, np.eye(4).tolist(), {"format": "DICOM"}, "ident")


def two_series(folder: Path) -> tuple[Path, str]:
    """(folder, UID of one of the two series whose files lie in it)."""
    made = [ct(folder / str(number), slices=3) for number in range(2)]
    for series in made:
        for number, file in enumerate(series.files):
            file.rename(folder / f"{series.series_uid}-{number}.dcm")
    return folder, made[1].series_uid


def test_a_program_is_given_the_series_that_is_meant_and_no_other(tmp_path: Path) -> None:
    both, second = two_series(tmp_path / "both")
    fill(tmp_path / "in", task(tmp_path, both, second), {})
    assert {path.name.partition("#")[0] for path in (tmp_path / "in").glob("*.dcm")} == {second}
    for number, member in enumerate(("elsewhere", None)):
        with pytest.raises(ApplicationError, match="which files are its own is not certain"):
            fill(tmp_path / f"in-{number}", task(tmp_path, both, member), {})


def test_a_node_is_sent_the_files_of_the_image_and_of_no_other(tmp_path: Path) -> None:
    """Of an image whose planes are not found again, as of a mosaic: its series is known by its name."""
    both, second = two_series(tmp_path / "both")
    sent = files_to_send(task(tmp_path, both, second), anonymous=False)
    assert sent.series == {second}
    assert len(sent.files) == 3
    for member in ("elsewhere", None):
        with pytest.raises(ApplicationError, match="which files are its own is not certain"):
            files_to_send(task(tmp_path, both, member), anonymous=False)
