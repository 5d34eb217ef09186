"""``casewise analyze`` with the applications of a route: their findings stand beside each other, whatever becomes of one."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, cast

import pytest

from tests.cli.conftest import Call

GOOD = """import json, os, pathlib
out = pathlib.Path(os.environ["CASEWISE_OUT_DIR"])
answer = {"findings": [{"label": "spot", "probability": 0.75, "box": [[4, 20], [8, 30]]}]}
(out / "result.json").write_text(json.dumps(answer))
"""


@pytest.fixture
def declared(tmp_path: Path) -> Path:
    """Two applications for every image: one that finds a spot, one that ends badly."""
    (tmp_path / "spots.py").write_text(GOOD)
    (tmp_path / "broken.py").write_text("raise SystemExit(3)")
    tables = [
        f'[[application]]\nname = "{name}"\ncategories = ["*"]\nfeatures = ["{name}"]\n'
        f'command = ["{sys.executable}", "{{here}}/{name}.py"]\nseconds = 30\n'
        for name in ("spots", "broken")
    ]
    path = tmp_path / "applications.toml"
    path.write_text("\n".join(tables))
    return path


def test_a_failed_application_is_named_and_the_others_findings_stand(
    call: Call, picture: Path, declared: Path, tmp_path: Path
) -> None:
    done = call("analyze", picture, "--applications", declared, "--output", tmp_path / "out", "--json")
    assert done.code == 1
    assert "broken" in done.sentence
    (result,) = cast("list[dict[str, Any]]", done.document)
    assert "spots" in result["model"]["reason"] and "Applications that ran: " in result["model"]["reason"]
    assert {"quality", "spots", "broken"} <= set(result["route"]["applications"])
    spot = next(finding for finding in result["findings"] if finding["application"] == "spots")
    assert (spot["label"], spot["box"]) == ("spot", [[4, 20], [8, 30]])
    failed = {entry["application"]: entry["failure"] for entry in result["applications"]}
    assert failed["spots"] is None
    assert failed["broken"]
    assert failed["broken"] in Path(result["report"]).read_text(encoding="utf-8").replace("&#39;", "'")


def test_one_application_is_run_by_its_name(call: Call, picture: Path, declared: Path, tmp_path: Path) -> None:
    words = ("--applications", declared, "--application", "spots", "--output", tmp_path / "out", "--json")
    done = call("analyze", picture, *words)
    assert done.code == 0, done.err
    (result,) = cast("list[dict[str, Any]]", done.document)
    assert [finding["application"] for finding in result["findings"]] == ["spots"]
    assert [entry["application"] for entry in result["applications"]] == ["spots"]


def test_the_model_answers_beside_the_applications(call: Call, picture: Path, model: Path, declared: Path, tmp_path: Path) -> None:
    words = ("--model", model, "--applications", declared, "--output", tmp_path / "out", "--json")
    (result,) = cast("list[dict[str, Any]]", call("analyze", picture, *words).document)
    assert result["model"]["name"] == "discs"
    assert result["route"]["applications"][0] == "organs"
    assert {"organs", "spots"} <= {finding["application"] for finding in result["findings"]} | {"organs"}
    assert result["route"]["scores"] == sorted(result["route"]["scores"], key=lambda score: -score["probability"])
