"""``casewise analyze`` with an nnU-Net, and ``casewise export``."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from casewise import formats
from casewise.image import Image
from casewise.models import Model
from tests.cli.conftest import Call
from tests.examination.phantom import head
from tests.models.nnunet.small import CONFIGURATION, DATASET, PLANS, written

TWO = {**DATASET, "channel_names": {"0": "FLAIR", "1": "T1"}}
TWO_PLANS = {
    **PLANS,
    "configurations": {
        "3d_fullres": {
            **CONFIGURATION,
            "spacing": [3.0, 3.0, 3.0],
            "normalization_schemes": ["ZScoreNormalization"] * 2,
            "use_mask_for_norm": [False, True],
        }
    },
}


def volume(file: Path, seed: int) -> Path:
    rng = np.random.default_rng(seed)
    affine = np.diag([-1.2, -1.0, 1.4, 1.0])
    return formats.write(file, Image(rng.normal(100, 30, (1, 20, 22, 18)).astype(np.float32), affine))


def test_an_nnunet_is_a_model_like_any_other(call: Call, tmp_path: Path) -> None:
    folder, image = written(tmp_path / "results"), volume(tmp_path / "a.nii.gz", 1)
    done = call("analyze", image, "--model", folder, "--application", "organs", "--output", tmp_path / "out", "--json")
    assert done.code == 0, done.err
    (result,) = done.document
    (finding,) = [one for one in result["findings"] if one["label"] == "organ"]
    mask = formats.read(finding["mask"]).array[0] > 0
    expected = Model.load(folder).predict(formats.read(image), "cpu").masks()["organ"]
    assert expected.any() and np.array_equal(mask, expected)


def test_sequences_are_given_by_their_names_in_any_order(call: Call, tmp_path: Path) -> None:
    folder = written(tmp_path / "results", TWO_PLANS, TWO, weighted_for=(TWO_PLANS, TWO))
    flair, t1 = (formats.write(tmp_path / f"{kind.lower()}.nii.gz", head(kind)) for kind in ("FLAIR", "T1"))
    both = [formats.read(file) for file in (flair, t1)]
    expected = Model.load(folder).predict(both[0].with_array(np.concatenate([one.array for one in both])), "cpu").masks()["organ"]
    assert 0.01 < expected.mean() < 0.99
    words = ("--model", folder, "--application", "organs", "--register", "none", "--json")
    for number, order in enumerate([("FLAIR", "T1"), ("t1", "flair")]):
        files = {"flair": flair, "t1": t1}
        given = [word for name in order for word in ("--sequence", f"{name}={files[name.lower()]}")]
        done = call("analyze", *given, "--reference", "FLAIR", *words, "--output", tmp_path / f"out{number}")
        assert done.code == 0, done.err
        (result,) = done.document
        (finding,) = [one for one in result["findings"] if one["label"] == "organ"]
        mask = formats.read(finding["mask"]).array[0] > 0
        assert (mask == expected).mean() > 0.999
        assert not any("takes a single image" in note for note in result["notes"])
    alone = [word for word in words if word not in ("--register", "none")]
    done = call("analyze", flair, *alone, "--output", tmp_path / "alone")
    assert done.code == 1 and "give the examination: --sequence 'FLAIR=FILE' --sequence 'T1=FILE'" in done.sentence
    given = ("--sequence", f"FLAIR={flair}", "--sequence", f"T2={t1}")
    done = call("analyze", *given, *words, "--output", tmp_path / "other")
    assert done.code == 1 and "The model takes FLAIR, T1, and the examination has FLAIR, T2 alone" in done.sentence


def test_a_model_is_written_for_nnunet_and_as_torchscript(call: Call, model: Path, tmp_path: Path) -> None:
    folder = written(tmp_path / "Dataset007_Small")
    done = call("export", folder, "--output", tmp_path / "results", "--json")
    assert done.code == 0, done.err
    assert Model.load(done.document["model"]).key == Model.load(folder).key
    again = call("export", folder, "--output", tmp_path / "results")
    assert again.code == 2 and "never overwritten" in again.sentence
    done = call("export", model, "--as", "torchscript", "--output", tmp_path / "model.ts", "--json")
    assert done.code == 0, done.err
    image = Image(np.random.default_rng(0).random((1, 40, 40), dtype=np.float32))
    mine, theirs = Model.load(model).predict(image, "cpu"), Model.load(tmp_path / "model.ts").predict(image, "cpu")
    assert mine.probabilities is not None and theirs.probabilities is not None
    assert np.allclose(mine.probabilities, theirs.probabilities, atol=1e-4)
    refused = call("export", model, "--output", tmp_path / "no")
    assert refused.code == 2 and "has no plans of nnU-Net" in refused.sentence
    refused = call("export", model, "--as", "onnx", "--output", tmp_path / "no")
    assert refused.code == 2 and "exported as one of nnunet, monai, torchscript" in refused.sentence
