"""The series that other tests send, keep and answer are sound, and lie where they say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread

from casewise import formats
from tests import dicom_studies


@pytest.mark.parametrize("modality", ["DX", "CR"])
def test_films(tmp_path: Path, modality: str) -> None:
    film = dicom_studies.film(tmp_path / "film", rows=120, columns=100, modality=modality, sender="ROOM1")
    assert dicom_studies.errors_in(film.files[0]) == []
    image = formats.read(film.folder)
    assert image.header.modality == modality and image.spatial_shape == film.mask.shape == (120, 100)
    assert dcmread(film.files[0]).file_meta.SourceApplicationEntityTitle == "ROOM1"


def test_a_study_of_several_series(tmp_path: Path) -> None:
    made = dicom_studies.study(tmp_path)
    assert len({series.study_uid for series in made}) == 1 and len({series.series_uid for series in made}) == 3
    for series in made:
        assert [error for path in series.files for error in dicom_studies.errors_in(path)] == []
        image = formats.read(series.folder)
        assert image.array[0][series.mask].min() > image.array[0][~series.mask].max()
        centre = image.affine @ [*np.argwhere(series.mask).mean(axis=0), 1]
        np.testing.assert_allclose(centre[:3] * [-1, -1, 1], series.centre, atol=1e-3)
