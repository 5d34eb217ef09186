"""A model's folder: what is written comes back, nothing is overwritten, and damage is told in a sentence."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
import tomli_w
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from casewise.errors import ModelError
from casewise.models import Lineage, Model, Preparation, Spec
from tests.discs import DISC, autoencoder, classifier, disc, segmenter

LINEAGE = Lineage(
    method="similar",
    parent="ab" * 16,
    parent_name="lungs",
    trained_on=frozenset({"c1", "c2", "c3"}),
    refined_on=("c3", "c1"),
    settings={"steps": 5, "rate": 0.001, "augmentation": "light"},
    measures={"validation_dice": 0.91},
)


def variants() -> dict[str, Model]:
    windowed = Preparation(3, (16, 24, 8), 3, "window", (-160.0, 240.0), (0.7, 0.7, 3.0), "RAS")
    return {
        "segmenter": segmenter(),
        "volumes": Model.initial(
            "volumes", Spec("segmentation", {"kind": "unet", "channels": (4, 8), "patch": 2}, windowed, (DISC,))
        ),
        "classifier": classifier(),
        "autoencoder": autoencoder(),
    }


@pytest.mark.parametrize("kind", list(variants()))
def test_what_is_written_comes_back(tmp_path: Path, kind: str) -> None:
    model = dataclasses.replace(variants()[kind], lineage=LINEAGE, name="Größe ½")
    folder = model.save(tmp_path / "deep" / "model")
    again = Model.load(folder)
    assert again.key == model.key
    assert again.spec == model.spec
    assert again.lineage == LINEAGE
    assert again.name == model.name
    assert set(again.weights) == set(model.weights)
    assert all(torch.equal(again.weights[name], model.weights[name]) for name in model.weights)
    assert sorted(path.name for path in folder.iterdir()) == ["card.md", "model.toml", "trained_on.txt", "weights.safetensors"]
    assert list((tmp_path / "deep").iterdir()) == [folder]
    assert again.save(tmp_path / "copy") != folder
    assert Model.load(tmp_path / "copy").key == model.key


def test_the_card_says_what_and_wherefrom(tmp_path: Path) -> None:
    card = (dataclasses.replace(segmenter(), lineage=LINEAGE).save(tmp_path / "model") / "card.md").read_text()
    for words in ("segmentation of disc", "similar, from lungs", "3 cases", "validation_dice: 0.91", "Not a medical device"):
        assert words in card


def test_the_key_is_the_content(tmp_path: Path) -> None:
    model = segmenter()
    assert model.key == segmenter().renamed("another").key == dataclasses.replace(model, lineage=LINEAGE).key
    changed = {name: tensor.clone() for name, tensor in model.weights.items()}
    changed["head.bias"][0] += 1e-6
    keys = {
        model.key,
        dataclasses.replace(model, weights=changed).key,
        segmenter(intensity="minmax").key,
        segmenter(axes="RAS").key,
        segmenter(size=40).key,
    }
    assert len(keys) == 5
    assert Model.initial("a", model.spec, seed=1).key != Model.initial("a", model.spec, seed=2).key


def test_a_model_does_not_change() -> None:
    model = segmenter()
    image, _ = disc(1)
    key, before = model.key, model.predict(image).probabilities
    first, second = model.network(), model.network()
    first.train()
    with torch.no_grad():
        for parameter in first.parameters():
            parameter.add_(1)
    assert all(torch.equal(model.weights[name], tensor) for name, tensor in second.state_dict().items())
    assert np.array_equal(model.predict(image).probabilities, before)
    assert not second.training
    assert all(parameter.requires_grad for parameter in second.parameters())
    assert dataclasses.replace(model).key == key
    with pytest.raises(dataclasses.FrozenInstanceError):
        model.name = "other"  # type: ignore[misc]


def test_building_a_network_leaves_the_callers_random_numbers_alone() -> None:
    model = segmenter()
    state = torch.random.get_rng_state()
    model.network()
    Model.initial("another", model.spec, seed=3)
    assert torch.equal(torch.random.get_rng_state(), state)


@pytest.mark.parametrize("there", ["model", "empty", "file"])
def test_nothing_is_overwritten(tmp_path: Path, there: str) -> None:
    target = tmp_path / "model"
    if there == "model":
        segmenter().save(target)
    elif there == "empty":
        target.mkdir()
    else:
        target.write_text("mine")
    before = sorted(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    with pytest.raises(ModelError, match="exists and a model is never overwritten"):
        segmenter(channels=(4, 6)).save(target)
    assert sorted(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()) == before


def test_where_nothing_can_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ModelError, match=r"cannot be written to .*choose (a|another) folder"):
        segmenter().save(tmp_path / "file" / "model")


FULL_DISK = """
import resource, signal, sys
from casewise.errors import ModelError
from tests.discs import segmenter
model = segmenter(channels=(8, 16))
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))  # no file may grow further, as on a full disk
try:
    model.save(sys.argv[1])
except ModelError as error:
    print(error)
"""


def test_a_full_disk_leaves_nothing_behind(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2]), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(tmp_path / "model")], env=environment, capture_output=True, text=True, check=True
    )  # fmt: skip
    assert "cannot be written" in done.stdout
    assert "free some space" in done.stdout
    assert not list(tmp_path.iterdir())


def refusal(path: Path) -> str:
    with pytest.raises(ModelError) as caught:
        Model.load(path)
    message = str(caught.value)
    assert "\n" not in message.strip()
    return message


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    return dataclasses.replace(segmenter(), lineage=LINEAGE).save(tmp_path / "model")


def edited(folder: Path, **changes: object) -> Path:
    document = tomllib.loads((folder / "model.toml").read_text()) | changes
    kept = {key: value for key, value in document.items() if value is not None}
    (folder / "model.toml").write_text(tomli_w.dumps(kept))
    return folder


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"format": 2}, "of format 2 and this casewise reads format 1; update casewise"),
        ({"format": None}, "of format None"),
        ({"task": None}, "lacks or misspells a setting (Object missing required field `task`)"),
        ({"task": "guessing"}, "task is one of segmentation"),
        ({"structures": None}, "names its structures"),
        ({"structures": "disc"}, "list of names"),
        ({"structures": ["ring"]}, "not those its model.toml was written with"),
        ({"input": {"size": [4, 4]}}, "at least 8 voxels"),
        ({"input": {"size": 32}}, "lacks or misspells"),
        ({"input": {"sise": [32, 32]}}, "lacks or misspells"),
        ({"input": {"intensity": "bright"}}, "Intensity is one of"),
        ({"input": {"spacing": [0.0, 1.0]}}, "Spacing is one positive number"),
        ({"input": {"window": [5.0, 1.0], "intensity": "window"}}, "lower, upper"),
        ({"input": 3}, "lacks or misspells"),
        ({"network": 3}, "lacks or misspells"),
        ({"key": "00"}, "not those its model.toml was written with"),
        ({"foreign": "../../net.ts"}, "can only be network.ts"),
        ({"lineage": 3}, "lineage"),
        ({"lineage": {"measures": {"dice": "good"}}}, "lineage"),
        ({"lineage": {"refined_on": 3}}, "lineage"),
    ],
)
def test_an_edited_description_gets_a_sentence(saved: Path, changes: dict[str, object], words: str) -> None:
    assert words in refusal(edited(saved, **changes))


@pytest.mark.parametrize("content", [b"task = ", b"\xff\xfe\x00", b""])
def test_a_description_that_is_no_toml(saved: Path, content: bytes) -> None:
    (saved / "model.toml").write_bytes(content)
    assert str(saved) in refusal(saved)


@pytest.mark.parametrize("share", [0.0, 0.001, 0.1, 0.5, 0.99])
def test_weights_cut_short(saved: Path, share: float) -> None:
    weights = saved / "weights.safetensors"
    data = weights.read_bytes()
    weights.write_bytes(data[: int(share * len(data))])
    assert "copy the model again" in refusal(saved)


def test_weights_gone_or_of_another_model(saved: Path, tmp_path: Path) -> None:
    weights = saved / "weights.safetensors"
    other = segmenter(channels=(4, 6)).save(tmp_path / "other")
    weights.write_bytes((other / "weights.safetensors").read_bytes())
    assert "not those its model.toml was written with" in refusal(saved)
    edited(saved, key=None)
    with pytest.raises(ModelError, match="do not fit its network"):
        Model.load(saved).network()
    weights.unlink()
    assert "copy the model again" in refusal(saved)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_damage_goes_unnoticed(saved: Path, data: st.DataObject) -> None:
    """Any byte changed in weights or description: the same model, or one sentence."""
    name = data.draw(st.sampled_from(["weights.safetensors", "model.toml"]))
    path = saved / name
    intact = path.read_bytes()
    place = data.draw(st.integers(0, len(intact) - 1))
    damaged = bytearray(intact)
    damaged[place] ^= data.draw(st.integers(1, 255))
    try:
        path.write_bytes(bytes(damaged))
        assert Model.load(saved).key == segmenter().key
    except ModelError as error:
        assert str(error).strip()
    finally:
        path.write_bytes(intact)


def test_a_network_kind_that_is_unknown() -> None:
    model = segmenter()
    with pytest.raises(ModelError, match="network kind 'transformer' is unknown"):
        Model("a", dataclasses.replace(model.spec, network={"kind": "transformer"}), model.weights).network()
    with pytest.raises(ModelError, match="channels are 2 to 8 positive numbers"):
        Model.initial("a", dataclasses.replace(model.spec, network={"kind": "unet", "channels": [4]}))
