"""An nnU-Net on the server: on the page of models, refined by a job, and asked with all its sequences."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from casewise.archive import Archive
from casewise.cli import main
from casewise.models import Model
from tests.models.nnunet.heads import LABELS, MODELS, model, patient


@pytest.fixture
def heads(archive: Archive, tmp_path: Path) -> list[str]:
    """Four patients more, of each a FLAIR and a T1 with masks; their keys."""
    for number in range(4):
        patient(tmp_path / "raw", f"h{number}", seed=number, raised=False)
    (tmp_path / "raw" / "dataset.json").write_text(json.dumps(MODELS["sequences"][1] | {"labels": LABELS}))
    return list(archive.import_paths([tmp_path / "raw"], site="heads").keys)


def test_a_model_of_two_sequences_is_listed_refined_and_asked(
    caller: Any, archive: Archive, heads: list[str], work: Any, app: Any, tmp_path: Path
) -> None:
    source, admin = model(tmp_path / "results", "sequences"), caller("admin", "root")
    assert main(["models", str(source), "--into", str(archive.folder)]) == 0
    name, key = "Dataset007_Small-3d_fullres", Model.load(source).key
    line = next(line for line in admin.get("/api/v1/models").json()["models"] if line["name"] == name)
    assert (line["key"], line["origin"], line["structures"]) == (key, "archive", ["brain", "ventricles"])
    order = {"task": "segmenter", "name": "better", "start": name, "steps": 2}
    job = admin.post("/api/v1/models/train", json=order).json()
    assert work() == {"done": 1}, app.state.services.jobs.get(job["id"]).error
    better = next(line for line in admin.get("/api/v1/models").json()["models"] if line["name"] == "better")
    assert (better["parent"], better["parent_name"]) == (key, name)
    t1 = next(case.key for case in archive.cases() if case.content.get("sequence") == "T1" and case.key in heads)
    asked = {"cases": [t1], "model": "better", "application": "organs", "adapt": "none"}
    number = app.state.services.jobs.add("analyse", asked)
    assert work() == {"done": 1}, app.state.services.jobs.get(number).error
    subject = archive.case(t1).subject
    flair = next(c.key for c in archive.cases() if c.subject == subject and c.content.get("sequence") == "FLAIR")
    result = archive.newest_result(flair)
    assert result is not None
    assert [one["name"] for one in result[1]["sequences"]] == ["FLAIR", "T1"]
    assert len(result[1]["similar"]) == 3
    assert {one["label"] for one in result[1]["findings"]} == {"brain", "ventricles"}
