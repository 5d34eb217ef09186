"""``casewise.analyze``: one call, the same answer as the command's, with masks in memory and nothing left behind."""

from __future__ import annotations

import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

import casewise
from casewise import Finding, Image, Result, formats
from casewise.errors import CasewiseError, UsageError
from casewise.finding import with_mask_names
from casewise.reporting.finding_files import masks_of
from casewise.result import ModelUse
from tests.cli.conftest import Call

SPOT = """import json, os, pathlib
import numpy as np
from PIL import Image
out = pathlib.Path(os.environ["CASEWISE_OUT_DIR"])
mask = np.zeros((64, 64), np.uint8)
mask[4:20, 8:30] = 255
Image.fromarray(mask).save(out / "spot.png")
answer = {"findings": [{"label": "spot", "probability": 0.75, "box": [[4, 20], [8, 30]], "mask": "spot.png"}]}
(out / "result.json").write_text(json.dumps(answer))
"""


@pytest.fixture
def declared(tmp_path: Path) -> Path:
    """An application for every image that outlines a spot, in a TOML file."""
    (tmp_path / "spots.py").write_text(SPOT)
    path = tmp_path / "applications.toml"
    path.write_text(
        '[[application]]\nname = "spots"\ncategories = ["*"]\nfeatures = ["spot"]\ndetects = ["spot"]\n'
        f'command = ["{sys.executable}", "{{here}}/spots.py"]\nseconds = 60\n'
    )
    return path


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary files are made during a test."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def test_findings_have_their_masks_in_memory_and_nothing_is_written(
    picture: Path, model: Path, declared: Path, tmp_path: Path, temporary: Path
) -> None:
    before = sorted(tmp_path.iterdir())
    result = casewise.analyze(picture, model=model, declarations=[declared])
    assert result.report is None
    (spot,) = result.summary.findings
    assert (spot.label, spot.mask, spot.map) == ("spot", None, None)
    mask = result.mask_of(spot)
    assert mask is not None
    assert mask.sum() == 16 * 22 and mask[4:20, 8:30].all()
    assert result.masks["disc"].shape == result.masks.spatial_shape == (64, 64)
    assert not any(entry["files"] for entry in result.applications)
    assert sorted(tmp_path.iterdir()) == before
    assert not list(temporary.iterdir())


def test_with_an_output_it_is_the_command(call: Call, picture: Path, model: Path, declared: Path, tmp_path: Path) -> None:
    words = ("--model", model, "--applications", declared, "--output", tmp_path / "out", "--json")
    (reported,) = cast("list[dict[str, Any]]", call("analyze", picture, *words).document)
    result = casewise.analyze(str(picture), model=str(model), declarations=[declared], output=tmp_path / "out")
    document = result.to_json()
    assert {key for key in document if document[key] != reported[key]} <= {"seconds", "applications"}
    assert all(finding.mask is None or finding.mask.is_file() for finding in result.findings)
    assert result.report is not None and result.report.is_file()


def test_a_result_prints_what_was_found_and_what_was_not_looked_for(picture: Path, declared: Path) -> None:
    printed = str(casewise.analyze(picture, declarations=[declared]))
    for part in (str(picture), "Spot, 0.75", "(spots)", "Not looked for:", "Model:\n  "):
        assert part in printed
    assert "Finding(" not in printed


def test_an_archive_gives_similar_cases_and_its_newest_model(archive: Path, model: Path, picture: Path) -> None:
    with casewise.Archive.open(archive) as opened:
        result = casewise.analyze(picture, archive=opened, model=casewise.Model.load(model), adapt="none")
        assert len(opened) == 16  # still open
    assert result.model.name == "discs"
    assert len(result.similar) == 8


def test_unusable_calls_get_their_sentence(picture: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="analyse one or the other"):
        casewise.analyze(picture, sequences={"T1": picture})
    with pytest.raises(UsageError, match="Name an IMAGE"):
        casewise.analyze()
    with pytest.raises(UsageError, match="Name a model"):
        casewise.analyze(picture, application="organs")
    with pytest.raises(CasewiseError, match="missing"):
        casewise.analyze(tmp_path / "missing.png")
    with pytest.raises(TypeError):
        casewise.analyze(picture, "heart")  # type: ignore[misc]


def test_an_output_never_replaces_what_casewise_did_not_write(picture: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "new.html").write_text("mine")
    with pytest.raises(CasewiseError, match="did not write"):
        casewise.analyze(picture, application="quality", output=tmp_path / "out")
    assert (tmp_path / "out" / "new.html").read_text() == "mine"


def test_masks_are_equal_with_and_without_an_output(picture: Path, model: Path, tmp_path: Path) -> None:
    first = casewise.analyze(picture, model=model)
    second = casewise.analyze(picture, model=model, output=tmp_path / "out")
    assert first.masks.keys() == second.masks.keys()
    assert all(np.array_equal(mask, second.masks[name]) for name, mask in first.masks.items())


def test_masks_of_one_label_stay_apart(tmp_path: Path) -> None:
    """Two applications may find what they call the same at different places."""
    image = Image(np.zeros((1, 8, 8), np.uint8), header={"spacing_known": False})
    findings = []
    for number, name in enumerate(("a", "a", "b", "b")):
        mask = np.zeros((8, 8), np.uint8)
        mask[number] = 1
        findings.append(Finding(name, "lesion", mask=formats.write_mask(tmp_path / f"{number}.png", mask, image)))
    findings.append(replace(findings[0], probability=0.5))
    named = with_mask_names(findings, {"lesion"})
    assert [finding.mask_name for finding in named] == ["a: lesion", "a: lesion (2)", "b: lesion", "b: lesion (2)", "a: lesion"]
    result = Result("x", ModelUse("none"), named, masks=masks_of(named, image))
    for number, finding in enumerate(named[:4]):
        mask = result.mask_of(finding)
        assert mask is not None and np.flatnonzero(mask.any(axis=1)).tolist() == [number]
