"""``casewise analyze`` and ``casewise export`` with a folder of TotalSegmentator's weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from casewise import formats
from casewise.models import Model, load
from tests.cli.conftest import Call
from tests.models.nnunet.test_total import volume
from tests.models.nnunet.total import answered, model, written


def test_a_task_is_named_beside_its_folder(call: Call, tmp_path: Path) -> None:
    results, image = written(tmp_path / "results", "total_mr"), formats.write(tmp_path / "ct.nii.gz", volume())
    high, low = answered(851)
    words = ("analyze", image, "--application", "organs", "--output", tmp_path / "out")
    done = call(*words, "--model", f"{results}#total_mr:{high},{low},spleen", "--json")
    assert done.code == 0, done.err
    (result,) = done.document
    found = {one["label"]: formats.read(one["mask"]).array[0] > 0 for one in result["findings"]}
    expected = Model.load(f"{results}#total_mr").predict(formats.read(image), "cpu").masks()
    assert set(found) == {high, low} and all(np.array_equal(mask, expected[name]) for name, mask in found.items())
    assert (tmp_path / "out/ct-spleen.nii.gz").is_file()
    unknown = call(*words, "--model", f"{results}#total_mr:splen", "--force")
    assert unknown.code != 0 and "no structure 'splen'; it has spleen" in unknown.err
    whole = call("export", f"{results}#total_mr", "--output", tmp_path / "back")
    assert whole.code != 0 and "name the folder of one of them (Dataset850" in " ".join(whole.err.split())


def test_tasks_are_listed_and_put_on_a_server(call: Call, tmp_path: Path) -> None:
    results = written(tmp_path / "results", "total_mr", left_out=(851,))
    model(results, 304)
    listed = {one["name"]: one for one in call("models", results, "--json").document if str(results) in one["path"]}
    assert set(listed) == {
        "TotalSegmentator-appendicular_bones",
        "Dataset304_appendicular_bones_ext_1559subj-3d_fullres",
        "Dataset850_TotalSegMRI_part1_organs_1088subj-3d_fullres",
    }
    task = listed["TotalSegmentator-appendicular_bones"]
    assert task["research_only"] and task["path"] == f"{results}#appendicular_bones" and "patella" in task["labels"]
    assert not listed["Dataset850_TotalSegMRI_part1_organs_1088subj-3d_fullres"]["research_only"]
    files = formats.write(tmp_path / "images/a.nii.gz", volume())
    assert call("import", tmp_path / "archive", files.parent).code == 0
    copied = call("models", task["path"] + ":patella", "--into", tmp_path / "archive", "--json")
    assert copied.code == 0, copied.err
    (made,) = copied.document
    assert made["name"] == "TotalSegmentator-appendicular_bones-patella"
    assert made["labels"] == ["patella"] and made["research_only"]
    image = volume()
    own = load(made["name"], archive=tmp_path / "archive").predict(image, "cpu")
    assert np.array_equal(own.mask, Model.load(task["path"] + ":patella").predict(image, "cpu").mask)
