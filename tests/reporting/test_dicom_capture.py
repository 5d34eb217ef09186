"""Secondary captures: what is drawn where, which slices they hold, and what they say of their sources."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import dcmread

from casewise.finding import Finding
from casewise.image import Box, Image
from casewise.reporting.dicom_objects import About, write_objects
from casewise.reporting.dicom_picture import drawn_findings, sides, slices
from casewise.reporting.pictures import COLOURS, rgb
from tests import dicom_studies
from tests.reporting.dicom_results import ABOUT, FINDINGS, NODULE, read, series

BLUE, ORANGE, YELLOW = (np.array(rgb(colour)) for colour in COLOURS[:3])
SHOWN = [replace(NODULE, mask_name="nodule")]


def capture(folder: Path, made: dicom_studies.Series, findings: Any = FINDINGS, about: About = ABOUT) -> Any:
    (one,) = write_objects(folder, read(made), findings, {"nodule": made.mask}, ["capture"], about=about)
    return dcmread(one.path)


def of_colour(picture: np.ndarray, colour: np.ndarray) -> np.ndarray:
    """(n, 2): (row, column) of the pixels of a colour, to a few grey levels."""
    return np.argwhere(np.abs(picture.astype(int) - colour).max(axis=-1) < 8)


def test_a_film_of_2500_by_3000(tmp_path: Path) -> None:
    made = dicom_studies.film(tmp_path / "series")
    built = capture(tmp_path, made)
    picture = built.pixel_array
    scale = 2048 / 3000
    assert built.Columns == round(2500 * scale) and built.Rows > 2048
    outline = of_colour(picture[:2048], BLUE)
    inside = np.argwhere(made.mask)
    np.testing.assert_allclose(outline.min(axis=0), inside.min(axis=0) * scale, atol=2)
    np.testing.assert_allclose(outline.max(axis=0), inside.max(axis=0) * scale, atol=2)
    assert (built.PhotometricInterpretation, built.BitsStored, built.BurnedInAnnotation) == ("RGB", 8, "YES")
    assert built.PatientOrientation == ["L", "F"] and "PixelSpacing" not in built
    (source,) = built.SourceImageSequence
    assert source.ReferencedSOPInstanceUID == dcmread(made.files[0]).SOPInstanceUID


def test_a_box_is_framed(tmp_path: Path) -> None:
    image = read(series(tmp_path / "series", "CR"))
    picture = drawn_findings(image, [Finding("a", "opacity", 0.5, box=Box((60, 40), (120, 90)))], {}, ABOUT)
    scale = 512 / 300
    framed = of_colour(picture[:512], BLUE)
    np.testing.assert_allclose(framed.min(axis=0), np.array([60, 40]) * scale, atol=2)
    np.testing.assert_allclose(framed.max(axis=0), np.array([120, 90]) * scale, atol=2)


def test_what_is_said_below_differs(tmp_path: Path) -> None:
    image = read(series(tmp_path / "series", "CR"))
    plain = drawn_findings(image, SHOWN, {}, ABOUT)
    assert len(of_colour(plain[512:], YELLOW)) > 100  # that nobody has verified it
    assert plain[512:].max() == 255
    longer = drawn_findings(image, SHOWN, {}, replace(ABOUT, superseded=True))
    assert len(longer) > len(plain)


def test_films_lie_as_they_are_displayed(tmp_path: Path) -> None:
    mirrored = dicom_studies.film(tmp_path / "series", rows=300, columns=250, PatientOrientation=["R", "F"])
    built = capture(tmp_path, mirrored)
    assert built.PatientOrientation == ["L", "F"]
    outline = of_colour(built.pixel_array[:512], BLUE)
    expected = (249 - mirrored.centre[1]) * 512 / 300
    assert outline[:, 1].mean() == pytest.approx(expected, abs=3)


def test_an_orientation_that_is_not_known_stays_empty(tmp_path: Path) -> None:
    made = dicom_studies.film(tmp_path / "series", rows=60, columns=50, PatientOrientation=None, BodyPartExamined="KNEE")
    built = capture(tmp_path, made)
    assert not built.PatientOrientation and built.Laterality == ""
    assert dicom_studies.errors_in(tmp_path / "results.capture.dcm") == []


def test_a_volume_is_shown_where_its_findings_are_largest(tmp_path: Path) -> None:
    made = series(tmp_path / "series", "CT")
    image = read(made)
    index = int(np.argmax(made.mask.sum(axis=(0, 1))))
    boxed = Finding("a", "opacity", 0.9, box=Box((5, 5, 8), (20, 30, 11)))
    both = [*SHOWN, boxed, Finding("b", "second", 0.1, box=Box((5, 5, 9), (20, 30, 10)))]
    assert slices(image, both, {"nodule": made.mask}) == (9, index)
    assert slices(image, [], {}) == (image.spatial_shape[2] // 2,)
    picture = drawn_findings(image, both, {"nodule": made.mask}, ABOUT)
    assert picture.shape[1] == 2 * 768
    # Rows and columns of 64 voxels of 3 mm fill a tile of 768 pixels; the axial cut is displayed as it is stored.
    outline = of_colour(picture[:768, 768:], BLUE)
    inside = np.argwhere(made.mask[..., index])
    np.testing.assert_allclose(outline.mean(axis=0), (inside.mean(axis=0) + 0.5) * 12, atol=6)
    assert sides(image) == ("L", "P")
    built = capture(tmp_path, made)
    (source,) = built.SourceImageSequence
    assert source.ReferencedSOPInstanceUID == dcmread(made.files[index]).SOPInstanceUID


def test_the_cut_is_that_of_the_slices(tmp_path: Path) -> None:
    made = dicom_studies.oblique_mr(tmp_path / "series", 12, orientation=(0, 1, 0, 0, 0, -1))  # sagittal
    built = capture(tmp_path, made)
    assert built.PatientOrientation == ["P", "F"]
    index = int(np.argmax(made.mask.sum(axis=(0, 1))))
    assert built.SourceImageSequence[0].ReferencedSOPInstanceUID == dcmread(made.files[index]).SOPInstanceUID


def test_colour(tmp_path: Path) -> None:
    image = Image(np.zeros((3, 40, 50), np.uint8))
    assert drawn_findings(image, [], {}, ABOUT).shape[1:] == (512, 3)
