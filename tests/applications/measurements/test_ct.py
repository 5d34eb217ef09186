"""Measures of CT: of a drawn trunk they are what was drawn; of what is not in Hounsfield units there are none."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from casewise import formats
from casewise.applications.measurements.body_composition import BodyComposition
from casewise.applications.measurements.body_outline import BodyOutline
from casewise.applications.measurements.ct_noise import CtNoise
from casewise.applications.measurements.hounsfield import in_hounsfield_units
from casewise.applications.measurements.lung_fields import LungFields
from casewise.applications.refusal import NotMeasuredError
from casewise.header import Header
from casewise.image import Image
from tests.applications.measurements.phantoms import trunk

OF_CT = (BodyOutline, BodyComposition, CtNoise, LungFields)


def test_the_bodys_outline_has_the_size_that_was_drawn_and_leaves_out_the_table(tmp_path: Path) -> None:
    application = BodyOutline(tmp_path, intended_only=False)
    image = trunk(lungs=False)
    (finding,) = application.analyze(image)
    assert finding.kind == "measure" and not application.notes
    assert finding.measures["effective_diameter_mm"] == pytest.approx(300, rel=0.02)
    assert finding.measures["volume_ml"] == pytest.approx(np.pi * 15**2 * 3, rel=0.03)
    # Water and fat absorb nearly as water does; the spine a little more.
    assert finding.measures["water_equivalent_diameter_mm"] == pytest.approx(301, rel=0.02)
    mask = formats.read_mask(str(finding.mask), image)
    assert not mask[-24:].any() and mask[128, 128].all()


def test_lungs_absorb_less_than_water() -> None:
    measures = BodyOutline(intended_only=False).analyze(trunk())[0].measures
    assert measures["effective_diameter_mm"] == pytest.approx(300, rel=0.02)
    assert measures["water_equivalent_diameter_mm"] < 290


def test_a_body_that_runs_out_of_the_picture_is_said_to_be_larger() -> None:
    application = BodyOutline(intended_only=False)
    image = trunk()
    application.analyze(replace(image, array=image.array[:, :, 60:]))
    assert "runs out of the picture in 6 of 6 planes" in application.notes[0]


def test_the_composition_is_that_of_the_drawing() -> None:
    (finding,) = BodyComposition(intended_only=False).analyze(trunk())
    whole = 150**2
    expected = {"air_and_lung": 40**2 + 30**2 + 8**2, "fat": whole - 130**2, "bone_or_contrast": 15**2}
    for name, part in expected.items():
        assert finding.measures[f"{name}_percent"] == pytest.approx(100 * part / whole, abs=1.5)
    assert finding.measures["soft_tissue_percent"] == pytest.approx(100 - 100 * sum(expected.values()) / whole, abs=2)


@pytest.mark.parametrize("noise", [6.0, 20.0])
def test_the_noise_is_what_was_added(noise: float) -> None:
    image = trunk(noise, lungs=False)
    narrow = replace(image, affine=image.affine @ np.diag([0.5, 0.5, 1.0, 1.0]))  # pixels of 0.75 mm
    (finding,) = CtNoise(intended_only=False).analyze(narrow)
    assert finding.measures["noise_hu"] == pytest.approx(noise, rel=0.15)


def test_noise_that_no_scanner_has_is_refused() -> None:
    image = trunk(lungs=False)
    with pytest.raises(NotMeasuredError, match="hardly any texture"):
        CtNoise(intended_only=False).analyze(replace(image, affine=image.affine @ np.diag([0.5, 0.5, 1.0, 1.0])))


@pytest.mark.parametrize("turned", [False, True])
def test_each_lung_has_its_side_its_volume_and_no_trachea(turned: bool, tmp_path: Path) -> None:
    image = trunk()
    if turned:  # the patient looks the other way in the picture: the file says so
        image = replace(image, affine=image.affine @ np.diag([1.0, -1.0, 1.0, 1.0]))
    found = {finding.label: finding for finding in LungFields(tmp_path, intended_only=False).analyze(image)}
    large, small = ("left_lung", "right_lung") if turned else ("right_lung", "left_lung")
    assert found[large].measures["volume_ml"] == pytest.approx(np.pi * 4**2 * 3, rel=0.05)
    assert found[small].measures["volume_ml"] == pytest.approx(np.pi * 3**2 * 3, rel=0.05)
    assert found[large].measures["mean_hu"] == pytest.approx(-860, abs=2)
    assert found[large].measures["emphysema_index_percent"] == 0
    assert formats.read_mask(str(found[large].mask), image).sum() * 1.5 * 1.5 * 5 / 1000 == pytest.approx(
        found[large].measures["volume_ml"], rel=1e-3
    )


def test_the_emphysema_index_is_the_share_below_950() -> None:
    image = trunk()
    array = image.array.copy()
    array[:, :128][array[:, :128] == -860] = -960  # the upper half of both lungs
    found = LungFields(intended_only=False).analyze(replace(image, array=array))
    assert [finding.measures["emphysema_index_percent"] for finding in found] == pytest.approx([50, 50], abs=2)


def test_sides_are_not_guessed() -> None:
    image = trunk()
    with pytest.raises(NotMeasuredError, match="does not say where left and right are"):
        LungFields(intended_only=False).analyze(replace(image, header=replace(image.header, orientation_known=False)))


@pytest.mark.parametrize("application", OF_CT)
@pytest.mark.parametrize("case", ["picture", "MR", "shifted"])
def test_what_is_not_in_hounsfield_units_is_refused(application: type[BodyOutline], case: str) -> None:
    image = trunk()
    if case == "picture":
        image = Image(np.clip(image.array[..., 0] / 8 + 128, 0, 255).astype(np.uint8), header=Header(spacing_known=False))
    elif case == "MR":
        image = replace(image, header=replace(image.header, modality="MR"))
    else:
        image = replace(image, array=image.array + 1024, header=Header())
    with pytest.raises(NotMeasuredError, match="Hounsfield units"):
        application(intended_only=False).analyze(image)


@pytest.mark.shared
def test_real_ct_is_known_by_its_values_and_mr_is_not(shared_data: Path) -> None:
    folder = shared_data / "totalseg-example"
    assert in_hounsfield_units(formats.read(folder / "example_ct_sm.nii.gz"))
    assert not in_hounsfield_units(formats.read(folder / "example_mr_sm.nii.gz"))
    (finding,) = BodyOutline(intended_only=False).analyze(formats.read(folder / "example_ct_sm.nii.gz"))
    assert 250 < finding.measures["effective_diameter_mm"] < 350
