"""Measures of radiographs, ultrasound, fundus photographs and sections, on what was drawn and against what people outlined."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from casewise import formats
from casewise.applications.measurements.exposure_field import ExposureField
from casewise.applications.measurements.fundus_field import FundusField
from casewise.applications.measurements.hand_outline import HandOutline
from casewise.applications.measurements.histology_nuclei import HistologyNuclei
from casewise.applications.measurements.histology_stains import HistologyStains
from casewise.applications.measurements.retinal_vessels import RetinalVessels
from casewise.applications.measurements.ultrasound_field import UltrasoundField
from casewise.applications.refusal import NotMeasuredError
from casewise.header import Header
from casewise.image import Box, Image
from casewise.training.metrics import dice

PICTURE = Header(spacing_known=False)


def picture(array: np.ndarray) -> Image:
    return Image(array if array.ndim == 3 else array[None], header=PICTURE)


def test_the_exposed_field_is_what_lies_within_even_margins_in_spite_of_a_marker() -> None:
    plane = np.full((300, 200), 3.0)
    plane[40:270, 25:180] = np.random.default_rng(0).normal(120, 30, (230, 155))
    plane[5:12, 100:108] = 250  # a side marker in the margin
    (finding,) = ExposureField(intended_only=False).analyze(picture(plane))
    assert finding.box == Box((40, 25), (270, 180))
    assert finding.measures == {"area_px": 230 * 155, "exposed_percent": pytest.approx(100 * 230 * 155 / 60_000, rel=1e-3)}


@pytest.mark.shared
def test_padding_is_no_exposed_field(shared_data: Path) -> None:
    image = formats.read(min((shared_data / "shenzhen" / "images").glob("*.png")))
    application = ExposureField(intended_only=False)
    (plain,) = application.analyze(image)
    (padded,) = application.analyze(replace(image, array=np.pad(image.array, ((0, 0), (60, 30), (45, 0)))))
    assert plain.box is not None and padded.box is not None
    assert padded.box.lower == (plain.box.lower[0] + 60, plain.box.lower[1] + 45) and padded.box.shape == plain.box.shape


@pytest.mark.shared
def test_hands_are_outlined_and_inverted_ones_refused(shared_data: Path, tmp_path: Path) -> None:
    paths = sorted(shared_data.glob("kinds/hand-wrist-xray/*/*.jpg"))[:5]
    for path in paths:
        image = formats.read(path)
        (finding,) = HandOutline(tmp_path, intended_only=False).analyze(image)
        assert 10 < finding.measures["area_percent"] < 70 and finding.measures["bone_contrast_percent"] > 20
        assert finding.measures["longest_diameter_px"] > 0.5 * max(image.spatial_shape)
        assert formats.read_mask(str(finding.mask), image).sum() == finding.measures["area_px"]
        turned = HandOutline(intended_only=False).analyze(replace(image, array=np.rot90(image.array, 1, (1, 2)).copy()))
        assert turned[0].measures["area_px"] == pytest.approx(finding.measures["area_px"], rel=0.02)


def test_an_insonated_sector_is_measured() -> None:
    row, column = np.meshgrid(np.arange(300.0), np.arange(400.0) - 200, indexing="ij")
    sector = (np.hypot(row + 60, column) < 340) & (np.abs(column) < 0.5 * (row + 60)) & (row > 20)
    speckle = np.random.default_rng(0).rayleigh(40, sector.shape)
    fading = np.where(row < 180, 1.0, 0.12)  # echoes end at 180
    (finding,) = UltrasoundField(intended_only=False).analyze(
        picture((sector * (speckle * fading + 8)).clip(0, 255).astype(np.uint8))
    )
    assert finding.measures["area_px"] == pytest.approx(sector.sum(), rel=0.06)
    depth = finding.measures["depth_px"]
    assert depth == pytest.approx(sector.any(axis=1).sum(), abs=8)
    assert finding.measures["penetration_percent"] == pytest.approx(100 * 160 / depth, abs=7)
    assert "coloured_percent" not in finding.measures


def test_coloured_marks_are_counted() -> None:
    grey = np.random.default_rng(0).integers(20, 120, (200, 200)).astype(np.uint8)
    array = np.stack([grey] * 3)
    array[:, 50:60, 50:90] = np.array([250, 250, 0])[:, None, None]
    (finding,) = UltrasoundField(intended_only=False).analyze(picture(array))
    assert finding.measures["coloured_percent"] == pytest.approx(1.0, abs=0.05)


def fundus() -> np.ndarray:
    """(3, 400, 440): an orange disc of radius 180 around (200, 215)."""
    row, column = np.meshgrid(np.arange(400.0), np.arange(440.0), indexing="ij")
    disc = np.hypot(row - 200, column - 215) <= 180
    return (np.array([200, 110, 50])[:, None, None] * disc).astype(np.uint8)


def test_the_field_of_view_is_the_disc() -> None:
    (finding,) = FundusField(intended_only=False).analyze(picture(fundus()))
    assert finding.measures["diameter_px"] == pytest.approx(360, rel=0.02)
    assert finding.measures["lit_percent"] == pytest.approx(100 * np.pi * 180**2 / (400 * 440), rel=0.03)
    assert finding.measures["rim_brightness_percent"] == pytest.approx(100, abs=1)


def test_vessels_are_as_long_as_drawn() -> None:
    array = fundus()
    array[1, 194:200, 60:370] = 85  # 6 pixels wide, 310 long
    array[1, 80:320, 150:154] = 90
    (finding,) = RetinalVessels(intended_only=False).analyze(picture(array))
    assert finding.measures["length_over_diameter"] == pytest.approx(550 / 360, rel=0.12)


@pytest.mark.parametrize("wrong", ["grey", "blue", "square", "no rim"])
def test_what_is_no_fundus_is_refused(wrong: str) -> None:
    array = fundus()
    if wrong == "grey":
        array = array[:1]
    elif wrong == "blue":
        array = array[::-1].copy()
    elif wrong == "square":
        array[:] = 0
        array[:, 60:340, 60:380] = np.array([200, 110, 50])[:, None, None]
    else:
        array = array[:, 100:300, 115:315].copy()
    for application in (FundusField, RetinalVessels):
        with pytest.raises(NotMeasuredError):
            application(intended_only=False).analyze(picture(array))


@pytest.mark.shared
@pytest.mark.parametrize("camera", ["chase", "drive"])
def test_vessels_agree_with_those_traced_by_hand(camera: str, shared_data: Path, tmp_path: Path) -> None:
    scores = []
    for path in sorted((shared_data / "structures" / "retina" / "images").glob(f"{camera}*.jpg"))[::8]:
        image = formats.read(path)
        (finding,) = RetinalVessels(tmp_path, intended_only=False).analyze(image)
        truth = formats.read(path.parents[1] / "labels" / f"{path.stem}.png").array[0] > 0
        scores.append(dice(formats.read_mask(str(finding.mask), image), truth))
        assert finding.measures["density_percent"] == pytest.approx(100 * truth.mean(), abs=7)
    assert np.mean(scores) > 0.64, scores


@pytest.mark.shared
def test_nuclei_agree_with_those_outlined_by_hand(shared_data: Path, tmp_path: Path) -> None:
    scores, counts = [], []
    for path in sorted((shared_data / "structures" / "nuclei-gbm" / "images").glob("*.jpg"))[::4]:
        image = formats.read(path)
        (finding,) = HistologyNuclei(tmp_path, intended_only=False).analyze(image)
        truth = formats.read(path.parents[1] / "labels" / f"{path.stem}.png").array[0]
        scores.append(dice(formats.read_mask(str(finding.mask), image), truth > 0))
        counts.append(finding.measures["nuclei_count"] / (len(np.unique(truth)) - 1))
    assert np.mean(scores) > 0.83 and 0.9 < np.mean(counts) < 1.35, (scores, counts)


def stained(haematoxylin: float, eosin: float) -> np.ndarray:
    """(3, 120, 120): a section of these stains (Ruifrok's vectors), with white around it."""
    density = haematoxylin * np.array([0.650, 0.704, 0.286]) + eosin * np.array([0.072, 0.990, 0.105])
    array = np.full((3, 120, 120), 255, np.uint8)
    array[:, 20:100, 20:100] = np.rint(256 * 10**-density - 1).astype(np.uint8)[:, None, None]
    return array


@pytest.mark.parametrize(("haematoxylin", "eosin"), [(0.6, 0.3), (0.2, 0.5)])
def test_stains_are_what_was_mixed(haematoxylin: float, eosin: float) -> None:
    (finding,) = HistologyStains(intended_only=False).analyze(picture(stained(haematoxylin, eosin)))
    assert finding.measures["haematoxylin_density"] == pytest.approx(haematoxylin, abs=0.02)
    assert finding.measures["eosin_density"] == pytest.approx(eosin, abs=0.02)
    assert finding.measures["tissue_percent"] == pytest.approx(100 * 80**2 / 120**2, rel=0.01)


def test_nuclei_are_counted_for_a_square_millimetre_where_the_pixels_size_is_known() -> None:
    array = stained(0.1, 0.4).repeat(4, 1).repeat(4, 2)
    dark = stained(0.8, 0.4)[:, 60, 60]
    centres = [(row, column) for row in range(110, 380, 30) for column in range(110, 380, 30)]
    rows, columns = np.indices(array.shape[1:])
    for row, column in centres:
        array[:, np.hypot(rows - row, columns - column) < 8] = dark[:, None]
    micron = Image(array, np.diag([0.0005, 0.0005, 1, 1]), Header(spacing_known=True))
    (finding,) = HistologyNuclei(intended_only=False).analyze(micron)
    assert finding.measures["nuclei_count"] == len(centres)
    assert finding.measures["density_permm2"] == pytest.approx(len(centres) / (480 * 0.0005) ** 2, rel=1e-3)
    assert finding.measures["mean_area_mm2"] == pytest.approx(np.pi * 64 * 0.0005**2, rel=0.15)
    (counted,) = HistologyNuclei(intended_only=False).analyze(picture(array))
    assert counted.measures["density_permegapixel"] == pytest.approx(1e6 * len(centres) / 480**2, rel=1e-3)


RECOLOURED: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "brown": lambda array: np.stack([array[0], array[2], array[1]]),
    "grey": lambda array: np.stack([array.mean(axis=0).astype(np.uint8)] * 3),
    "white": lambda array: np.full_like(array, 250),
    "blurred noise": lambda array: (
        255 * (ndimage.gaussian_filter(np.random.default_rng(0).random(array.shape), (0, 3, 3)) > 0.5)
    ).astype(np.uint8),
}


@pytest.mark.parametrize("how", list(RECOLOURED))
def test_what_is_not_stained_so_is_refused(how: str) -> None:
    array = RECOLOURED[how](stained(0.4, 0.4))
    for application in (HistologyStains, HistologyNuclei):
        with pytest.raises(NotMeasuredError):
            application(intended_only=False).analyze(picture(array))
