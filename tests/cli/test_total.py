"""``casewise analyze`` and ``casewise export`` with a folder of TotalSegmentator's weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from casewise import formats
from casewise.models import Model
from tests.cli.conftest import Call
from tests.models.nnunet.test_total import volume
from tests.models.nnunet.total import answered, written


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
