"""The applications that read a chest radiograph's regions, alone and on the way of a whole analysis."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from casewise import formats
from casewise.applications import Application
from casewise.applications.cardiothoracic import CardiothoracicRatio, ChestRegions
from casewise.applications.registry import default_registry
from casewise.chest.region import NAMES
from casewise.errors import CasewiseError
from casewise.header import Header
from casewise.image import Image
from tests.cli.conftest import Call, call

__all__ = ["call"]  # a fixture
FILM = "jsrt/images/JPCNN031.png"


def film(shared_data: Path, step: float | None = None) -> Image:
    array = formats.read(shared_data / FILM).array[:, ::4, ::4]
    if step is None:
        return Image(array, header=Header(spacing_known=False, format="PNG"))
    return Image(array, np.diag([step, step, 1.0, 1.0]), Header(format="PNG"))


def test_they_are_registered_for_chest_radiographs() -> None:
    names = default_registry().names_for("chest-xray")
    assert {"chest-regions", "cardiothoracic-ratio"} <= set(names)


def test_every_region_is_a_finding_with_its_area(shared_data: Path, tmp_path: Path) -> None:
    application = ChestRegions(masks=tmp_path)
    assert isinstance(application, Application)
    image = film(shared_data, 0.7)
    findings = application.analyze(image)
    assert [finding.label for finding in findings] == list(NAMES)
    for finding in findings:
        mask = formats.read_mask(finding.mask, image)
        assert finding.measures["area_mm2"] == pytest.approx(mask.sum() * 0.49)
    assert application.notes == ()


def test_the_ratio_its_lengths_and_its_lines(shared_data: Path, tmp_path: Path) -> None:
    image = film(shared_data, 0.7)
    (finding,) = CardiothoracicRatio(masks=tmp_path).analyze(image)
    measures = finding.measures
    assert 0.3 < measures["cardiothoracic_ratio"] < 0.65
    assert measures["cardiothoracic_ratio"] == pytest.approx(measures["heart_diameter_mm"] / measures["thorax_diameter_mm"])
    parts = measures["heart_right_of_midline_mm"] + measures["heart_left_of_midline_mm"]
    assert parts == pytest.approx(measures["heart_diameter_mm"])
    assert 180 < measures["thorax_diameter_mm"] < 360
    lines = formats.read_mask(finding.mask, image)
    assert 0 < lines.mean() < 0.05
    (unknown,) = CardiothoracicRatio().analyze(film(shared_data))
    assert unknown.measures["cardiothoracic_ratio"] == pytest.approx(measures["cardiothoracic_ratio"])
    assert unknown.measures["thorax_diameter_px"] == pytest.approx(measures["thorax_diameter_mm"] / 0.7)


def test_what_must_be_said_is_said(shared_data: Path) -> None:
    application = CardiothoracicRatio()
    image = film(shared_data)
    (straight,) = application.analyze(image)
    (turned,) = application.analyze(Image(np.ascontiguousarray(np.rot90(255 - image.array, 1, (1, 2))), header=image.header))
    assert turned.measures["cardiothoracic_ratio"] == pytest.approx(straight.measures["cardiothoracic_ratio"], abs=0.02)
    assert len(application.notes) == 2 and "inverted" in application.notes[0] and "turned" in application.notes[1]
    with pytest.raises(CasewiseError, match="No frontal view"):
        application.analyze(formats.read(sorted((shared_data / "mednist" / "HeadCT").iterdir())[5]))


def test_an_analysis_reports_the_ratio(call: Call, shared_data: Path, tmp_path: Path) -> None:
    done = call("analyze", shared_data / FILM, "--application", "cardiothoracic-ratio", "--output", tmp_path, "--json")
    assert done.code == 0
    (finding,) = done.document[0]["findings"]
    assert finding["application"] == "cardiothoracic-ratio" and Path(finding["mask"]).is_file()
    assert "cardiothoracic ratio" in Path(done.document[0]["report"]).read_text(encoding="utf-8").lower()
