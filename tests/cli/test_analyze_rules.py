"""``casewise analyze`` follows rules, where the command names nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import numpy as np

from tests.cli.conftest import Call
from tests.dicom_studies import film

RULES = """
[[rule]]
name = "radiographs"
when = [{ field = "Modality", operator = "is", value = "DX" }]
model = "heart_chambers"
send = ["elsewhere"]
[[rule]]
name = "phantoms"
when = [{ field = "StationName", operator = "is", value = "PHANTOM" }]
skip = true
"""


def test_rules_choose_the_model_and_skip_images(call: Call, tmp_path: Path) -> None:
    rules = tmp_path / "rules.toml"
    rules.write_text(RULES)
    picture = np.random.default_rng(5).integers(0, 900, (200, 180)).astype(np.uint16)
    one = film(tmp_path / "one", picture).files[0]
    two = film(tmp_path / "two", picture, StationName="PHANTOM").files[0]
    words = ("--applications", rules, "--json", "--output", tmp_path / "out")
    done = call("analyze", one, two, *words)
    assert done.code == 1 and "Nothing was analysed, by a rule. Rules that held: radiographs; phantoms." in done.sentence
    (result,) = cast("list[dict[str, Any]]", done.document)
    assert result["model"]["name"] == "casewise-heart-chambers" and "Rules that held: radiographs." in result["notes"]
    assert result["decision"]["why"] == ["radiographs"] and result["decision"]["send"] == [{"target": "elsewhere", "objects": None}]

    done = call("analyze", two, *words, "--application", "quality", "--force")
    assert done.code == 0, "what the command names comes first"
    (result,) = cast("list[dict[str, Any]]", done.document)
    assert result["decision"] is None and result["model"]["name"] == "none"
    done = call("analyze", one, *words, "--model", "breast_ultrasound_class", "--force")
    (result,) = cast("list[dict[str, Any]]", done.document)
    assert result["model"]["name"] == "casewise-breast-ultrasound"
