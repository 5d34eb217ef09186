"""MONAI bundles that a user brings: networks by name and plain values, never by code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser
from monai.networks import nets
from safetensors.torch import save_file

from casewise.errors import ModelError
from casewise.image import Image
from casewise.models import Model
from casewise.models.steps import Range, Spacing
from casewise.training import Settings, fit
from tests.discs import disc, disc_case

QUICK = Settings(steps=2, batch=2, device="cpu")
UNET = {"in_channels": 1, "out_channels": 2, "channels": [4, 8], "strides": [2], "norm": "batch"}
LABELS = {"0": "background", "1": "disc"}


def transforms(dims: int) -> list[dict[str, Any]]:
    return [
        {"_target_": "LoadImaged", "keys": "image"},
        {"_target_": "EnsureChannelFirstd", "keys": "image"},
        *([{"_target_": "Orientationd", "keys": "image", "axcodes": "RAS"}] if dims == 3 else []),
        {"_target_": "Spacingd", "keys": "image", "pixdim": [1.0] * dims, "mode": "bilinear"},
        {"_target_": "ScaleIntensityRanged", "keys": "image", "a_min": 0, "a_max": 1, "b_min": 0.0, "b_max": 1.0, "clip": True},
        {"_target_": "EnsureTyped", "keys": "image"},
    ]


def write(folder: Path, dims: int = 2, weights: str = "model.pt", **changes: Any) -> Path:
    """A bundle as MONAI's own tools lay it out; ``changes``: keys of configs/inference.json, or ``metadata`` (None leaves out)."""
    (folder / "configs").mkdir(parents=True)
    (folder / "models").mkdir()
    settings = {"spatial_dims": dims} | UNET
    channel_def = changes.pop("channel_def", LABELS)
    metadata = {
        "network_data_format": {
            "inputs": {"image": {"type": "image", "num_channels": 1, "spatial_shape": [16] * dims, "value_range": [0, 1]}},
            "outputs": {"pred": {"type": "image", "format": "segmentation", "num_channels": 2, "channel_def": channel_def}},
        }
    }
    config: dict[str, Any] = {
        "imports": ["$import glob"],
        "device": "$torch.device('cuda:0' if torch.cuda.is_available() else 'cpu')",
        "network_def": {"_target_": "UNet", **settings},
        "network": "$@network_def.to(@device)",
        "preprocessing": {"_target_": "Compose", "transforms": transforms(dims)},
        "inferer": {"_target_": "SlidingWindowInferer", "roi_size": [16] * dims, "sw_batch_size": 4, "overlap": 0.25},
        "postprocessing": {
            "_target_": "Compose",
            "transforms": [
                {"_target_": "Activationsd", "keys": "pred", "softmax": True},
                {"_target_": "AsDiscreted", "keys": "pred", "argmax": True},
            ],
        },
    }
    config = {key: value for key, value in (config | changes).items() if value is not None}
    ConfigParser.export_config_file(config, str(folder / "configs" / "inference.json"))
    ConfigParser.export_config_file(metadata, str(folder / "configs" / "metadata.json"))
    torch.manual_seed(1)
    network = nets.UNet(**settings).eval()
    if weights == "model.pt":
        torch.save(network.state_dict(), folder / "models" / weights)
    elif weights == "model.safetensors":
        save_file(network.state_dict(), folder / "models" / weights)
    elif weights == "model.ts":
        torch.jit.script(network).save(str(folder / "models" / weights))
    return folder


def described(folder: Path, text: str) -> Path:
    (folder / "casewise.toml").write_text(text)
    return folder


def refusal(folder: Path) -> str:
    with pytest.raises(ModelError) as caught:
        Model.load(folder)
    return str(caught.value)


@pytest.mark.parametrize("weights", ["model.pt", "model.safetensors", "model.ts"])
@pytest.mark.parametrize(("dims", "shape"), [(2, (20, 30)), (2, (16, 18, 5)), (3, (14, 18, 20))])
def test_is_loaded_refined_and_kept(tmp_path: Path, weights: str, dims: int, shape: tuple[int, ...]) -> None:
    model = Model.load(write(tmp_path / "discs", dims, weights))
    assert (model.name, model.task, model.labels) == ("discs", "segmentation", ("disc",))
    image, _ = disc(1, shape)
    before = model.predict(image).probabilities
    assert before is not None
    assert before.shape == (2, *shape)
    refined = fit(model, [disc_case(seed, shape) for seed in (2, 3)], settings=QUICK, method="similar")
    after = refined.predict(image).probabilities
    assert refined.lineage.parent == model.key
    assert not np.allclose(before, after, atol=1e-4)
    kept = refined.save(tmp_path / "kept")
    (tmp_path / "discs").rename(tmp_path / "gone")
    again = Model.load(kept)
    assert again.key == refined.key
    assert np.allclose(again.predict(image).probabilities, after, atol=1e-6)


def test_answers_what_monais_own_pipeline_answers(tmp_path: Path) -> None:
    from monai.inferers import SlidingWindowInferer
    from monai.transforms import Compose, EnsureChannelFirst, LoadImage, Orientation, ScaleIntensityRange, Spacing

    from casewise.formats import read
    from casewise.formats import write as write_image

    folder = write(tmp_path / "discs", 3)
    rng = np.random.default_rng(0)
    affine = np.array([[0, 0, -1.0, 3], [1.0, 0, 0, 4], [0, -1.0, 0, 5], [0, 0, 0, 1]])
    array = rng.random((1, 17, 24, 19)).astype(np.float32)
    path = write_image(tmp_path / "image.nii.gz", Image(array, affine))
    ours = Model.load(folder).predict(read(path)).probabilities
    steps = Compose([
        LoadImage(), EnsureChannelFirst(), Orientation("RAS"), Spacing([1, 1, 1]), ScaleIntensityRange(0, 1, 0, 1, clip=True)
    ])  # fmt: skip
    volume = steps(str(path))
    network = nets.UNet(spatial_dims=3, **UNET).eval()
    network.load_state_dict(torch.load(folder / "models" / "model.pt", weights_only=True))
    with torch.inference_mode():
        theirs = SlidingWindowInferer(16, 4, 0.25)(volume[None], network).softmax(dim=1)[0].numpy()
    # Theirs is along R, A, S; the file's i, j, k run to A, I, L.
    assert np.allclose(ours, theirs[:, ::-1, :, ::-1].transpose(0, 2, 3, 1), atol=1e-4)


def test_a_classifier(tmp_path: Path) -> None:
    folder = write(tmp_path / "shades", weights="", network_def={
        "_target_": "monai.networks.nets.DenseNet121", "spatial_dims": 2, "in_channels": 1, "out_channels": 2,
        "init_features": 8, "growth_rate": 4, "block_config": [1, 1],
    }, inferer={"_target_": "SimpleInferer"}, preprocessing={"_target_": "Compose", "transforms": [
        {"_target_": "LoadImaged", "keys": "image"}, {"_target_": "ScaleIntensityd", "keys": "image"},
    ]}, postprocessing=None)  # fmt: skip
    metadata = folder / "configs" / "metadata.json"
    document = json.loads(metadata.read_text())
    document["network_data_format"]["inputs"]["image"]["spatial_shape"] = [32, 32]
    document["network_data_format"]["outputs"]["pred"] |= {"format": "classification", "channel_def": {"0": "dark", "1": "bright"}}
    metadata.write_text(json.dumps(document))
    network = nets.DenseNet121(2, 1, 2, init_features=8, growth_rate=4, block_config=(1, 1))
    torch.save({"state_dict": network.state_dict()}, folder / "models" / "model.pt")
    model = Model.load(folder)
    assert (model.task, model.labels) == ("classification", ("dark", "bright"))
    assert (model.spec.preparation.size, model.spec.preparation.intensity) == ((32, 32), "minmax")
    assert sum(model.predict(disc(1)[0]).scores.values()) == pytest.approx(1)


def test_one_sigmoid_output(tmp_path: Path) -> None:
    network_def = {"_target_": "UNet", "spatial_dims": 2} | UNET | {"out_channels": 1}
    ends = {"_target_": "Compose", "transforms": [{"_target_": "Activationsd", "keys": "pred", "sigmoid": True}]}
    folder = write(tmp_path / "b", weights="", network_def=network_def, postprocessing=ends, channel_def={"0": "disc"})
    torch.save(nets.UNet(**{k: v for k, v in network_def.items() if k != "_target_"}).state_dict(), folder / "models" / "model.pt")
    model = Model.load(folder)
    assert model.labels == ("disc",)
    assert model.spec.network["answers"] == "sigmoid"
    assert model.predict(disc(1)[0]).probabilities.shape == (2, 32, 32)


def test_a_sigmoid_output_of_background_is_refused(tmp_path: Path) -> None:
    ends = {"_target_": "Compose", "transforms": [{"_target_": "Activationsd", "keys": "pred", "sigmoid": True}]}
    assert "one of its sigmoid outputs is background" in refusal(write(tmp_path / "b", postprocessing=ends))


def test_references_to_plain_values_are_followed(tmp_path: Path) -> None:
    network_def = {"_target_": "UNet", "spatial_dims": 2} | UNET | {"channels": "@widths", "strides": "@steps#stride"}
    folder = write(tmp_path / "b", network_def=network_def, widths=[4, 8], steps={"stride": [2]}, network="@network_def")
    assert Model.load(folder).predict(disc(1)[0]).mask.shape == (32, 32)


def test_yaml(tmp_path: Path) -> None:
    yaml = pytest.importorskip("yaml")
    folder = write(tmp_path / "b")
    config = folder / "configs" / "inference.json"
    config.with_suffix(".yaml").write_text(yaml.safe_dump(json.loads(config.read_text())))
    config.unlink()
    assert Model.load(folder).labels == ("disc",)
    config.with_suffix(".yaml").write_text("a: !!python/object/apply:os.system ['touch ran']")
    assert "cannot be read" in refusal(folder)


@pytest.mark.parametrize("place", ["network", "argument", "nested", "reference", "transform", "whole"])
def test_code_is_never_evaluated(tmp_path: Path, place: str) -> None:
    ran = tmp_path / "ran"
    code = f"$__import__('pathlib').Path({str(ran)!r}).touch()"
    plain = {"_target_": "UNet", "spatial_dims": 2} | UNET
    changes: dict[str, Any] = {
        "network": {"network_def": code},
        "argument": {"network_def": plain | {"channels": code}},
        "nested": {"network_def": plain | {"channels": [4, code]}},
        "reference": {"network_def": plain | {"channels": "@widths"}, "widths": code},
        "transform": {"preprocessing": {"_target_": "Compose", "transforms": [code, {"_target_": "Spacingd", "pixdim": code}]}},
        "whole": {"preprocessing": code},
    }[place]
    folder = write(tmp_path / "b", imports=[code], **changes)
    assert "never executes" in refusal(folder)
    assert not ran.exists()
    ConfigParser(json.loads((folder / "configs" / "inference.json").read_text())).get_parsed_content("imports")
    assert ran.exists()  # MONAI itself would have run it


@pytest.mark.parametrize(
    "target",
    ["os.system", "subprocess.Popen", "monai.networks.nets.unet.os.system", "torch.nn.Linear", "scripts.net.Net", "__import__"],
)
def test_only_monais_networks_are_built(tmp_path: Path, target: str) -> None:
    message = refusal(write(tmp_path / "b", network_def={"_target_": target, "command": "true"}))
    assert "monai.networks.nets" in message or "not among those" in message


def test_objects_among_the_arguments_are_not_made(tmp_path: Path) -> None:
    network_def = {"_target_": "UNet", "spatial_dims": 2} | UNET | {"act": {"_target_": "torch.nn.ReLU"}}
    assert "makes an object" in refusal(write(tmp_path / "b", network_def=network_def))


def test_a_pickle_among_the_weights_is_not_executed(tmp_path: Path) -> None:
    class Sentinel:
        def __reduce__(self):
            return Path.touch, (tmp_path / "ran",)

    folder = write(tmp_path / "b")
    torch.save({"model": Sentinel()}, folder / "models" / "model.pt")
    assert "pickle" in refusal(folder)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("transform", "words"),
    [
        ({"_target_": "GaussianSmoothd", "keys": "image", "sigma": 1.0}, "GaussianSmooth(sigma=1.0)"),
        ({"_target_": "CropForegroundd", "keys": "image", "margin": 10}, "CropForeground(margin=10)"),  # depends on MONAI's version
        ({"_target_": "CropForegroundd", "keys": "image", "select_fn": "$lambda x: x > 3"}, "CropForeground"),
        ({"_target_": "NormalizeIntensityd", "keys": "image", "subtrahend": [1, 2]}, "NormalizeIntensity(subtrahend=[1, 2])"),
        (
            {"_target_": "ScaleIntensityRanged", "a_min": 0, "a_max": 1, "b_min": 1, "b_max": -1, "clip": True},
            "ScaleIntensityRange",
        ),
        ({"_target_": "ScaleIntensityd", "keys": "image", "minv": None, "factor": 0.1}, "ScaleIntensity"),
        ({"_target_": "Spacingd", "keys": "image", "pixdim": [1, -1]}, "Spacing"),
        ({"_target_": "Spacingd", "keys": "image", "pixdim": [1, 1], "mode": 3}, "Spacing"),
        ({"_target_": "LoadImaged", "keys": "image", "dtype": "uint8"}, "LoadImage(dtype=uint8)"),
        ({"_target_": "scripts.transforms.Secret"}, "Secret"),
        ({"_target_": "Resized", "keys": "image", "spatial_size": [16, 16], "anti_aliasing": True}, "Resize"),
        ({"_target_": "Orientationd", "keys": "image", "axcodes": "RA"}, "Orientation"),
    ],
)
def test_preprocessing_without_an_equal_needs_a_description(tmp_path: Path, transform: dict[str, Any], words: str) -> None:
    steps = [step for step in transforms(2) if "Intensity" not in step["_target_"]] + [transform]
    folder = write(tmp_path / "b", preprocessing={"_target_": "Compose", "transforms": steps})
    message = refusal(folder)
    assert words in message
    assert "casewise.toml" in message
    described(folder, '[input]\nintensity = "percentile"')
    assert Model.load(folder).spec.preparation.intensity == "percentile"


def test_a_description_overrides_what_the_files_say(tmp_path: Path) -> None:
    folder = described(write(tmp_path / "b"), 'name = "mine"\nstructures = ["ball"]\n[input]\nsize = [32, 32]\naxes = "PLS"')
    model = Model.load(folder)
    preparation = model.spec.preparation
    assert (model.name, model.labels, preparation.size, preparation.axes) == ("mine", ("ball",), (32, 32), "PLS")
    assert preparation.steps == (Spacing((1.0, 1.0)), Range((0.0, 1.0)))
    described(folder, "[input]\nspacing = [2.0, 2.0]")
    preparation = Model.load(folder).spec.preparation
    assert (preparation.intensity, preparation.window, preparation.spacing) == ("window", (0.0, 1.0), (2.0, 2.0))
    assert preparation.steps == ()


def test_a_volume_whose_orientation_is_not_stated_is_not_guessed(tmp_path: Path) -> None:
    steps = [step for step in transforms(3) if step["_target_"] != "Orientationd"]
    folder = write(tmp_path / "b", 3, preprocessing={"_target_": "Compose", "transforms": steps})
    assert "axes" in refusal(folder)
    assert Model.load(described(folder, '[input]\naxes = "LPS"')).spec.preparation.axes == "LPS"


def test_a_first_output_that_is_not_background_is_refused(tmp_path: Path) -> None:
    assert "not background" in refusal(write(tmp_path / "b", channel_def={"0": "liver", "1": "spleen"}))


def damage(folder: Path, what: str) -> None:
    configs, models = folder / "configs", folder / "models"
    if what == "no config":
        (configs / "inference.json").unlink()
    elif what == "no weights":
        (models / "model.pt").unlink()
    elif what == "half a config":
        (configs / "inference.json").write_text((configs / "inference.json").read_text()[:50])
    elif what == "list":
        (configs / "metadata.json").write_text("[]")
    elif what == "cut weights":
        data = (models / "model.pt").read_bytes()
        (models / "model.pt").write_bytes(data[: len(data) // 2])
    elif what == "other weights":
        torch.save(nets.UNet(2, 1, 3, (4, 8), (2,)).state_dict(), models / "model.pt")
    elif what == "no tensors":
        torch.save({"epoch": 3}, models / "model.pt")
    elif what == "toml":
        (folder / "casewise.toml").write_text("input = 3")


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("no config", "inference.json"),
        ("no weights", "none of model.safetensors"),
        ("half a config", "cannot be read"),
        ("list", "cannot be read"),
        ("cut weights", "damaged"),
        ("other weights", "do not fit"),
        ("no tensors", "no state_dict"),
        ("toml", "casewise.toml"),
    ],
)
def test_damaged_bundles_get_a_sentence(tmp_path: Path, what: str, words: str) -> None:
    folder = write(tmp_path / "b")
    damage(folder, what)
    message = refusal(folder)
    assert words.replace("cannot be read", "metadata.json holds a list" if what == "list" else "cannot be read") in message
    assert "\n" not in message


@pytest.mark.parametrize(
    "arguments", [{"channels": [4]}, {"strange": 1}, {"spatial_dims": 7}, {"channels": "@nowhere"}, {"channels": "@a", "a": "@b"}]
)
def test_arguments_that_make_no_network(tmp_path: Path, arguments: dict[str, Any]) -> None:
    message = refusal(write(tmp_path / "b", network_def={"_target_": "UNet", "spatial_dims": 2} | UNET | arguments, b="@b"))
    assert "\n" not in message
    assert any(word in message for word in ("inference.json", "UNet", "casewise.toml"))


def test_references_that_multiply_are_no_settings(tmp_path: Path) -> None:
    doubled = {f"v{n}": [f"@v{n + 1}"] * 10 for n in range(12)} | {"v12": 4}
    network_def = {"_target_": "UNet", "spatial_dims": 2} | UNET | {"channels": "@v0"}
    assert "too many" in refusal(write(tmp_path / "b", network_def=network_def, **doubled))


@pytest.mark.parametrize(
    "changes",
    [
        {"channels": [10**7, 10**7]},
        {"channels": [4, 10**6]},
        {"num_res_units": 10**6},
        {"channels": [4] * 5000, "strides": [1] * 4999},
    ],
)
def test_a_network_larger_than_its_weights_is_not_made(tmp_path: Path, changes: dict[str, Any]) -> None:
    folder = write(tmp_path / "b", network_def={"_target_": "UNet", "spatial_dims": 2} | UNET | changes, weights="")
    torch.save(nets.UNet(spatial_dims=2, **UNET).state_dict(), folder / "models" / "model.pt")
    assert "cannot be built" in refusal(folder)


def test_weights_that_claim_more_than_is_stored_are_refused(tmp_path: Path) -> None:
    folder = write(tmp_path / "b")
    torch.save({"a": torch.zeros(1).expand(10**6, 10**6)}, folder / "models" / "model.pt")
    assert "larger than what is stored" in refusal(folder)


def test_a_transform_of_the_bundles_own_is_not_taken_for_monais(tmp_path: Path) -> None:
    steps = [{"_target_": "scripts.own.EnsureTyped"}, *transforms(2)]
    folder = write(tmp_path / "b", preprocessing={"_target_": "Compose", "transforms": steps})
    assert "scripts.own.EnsureTyped is not one of MONAI's" in refusal(folder)


@pytest.mark.parametrize(
    "metadata",
    [
        {"network_data_format": []},
        {"network_data_format": {"inputs": 3, "outputs": {"pred": {"channel_def": {"²": "a", "9" * 5000: "b"}}}}},
        {"network_data_format": {"inputs": {"image": {"spatial_shape": "wide"}}, "outputs": {"pred": {"channel_def": [1]}}}},
        {},
    ],
)
def test_metadata_of_another_shape_is_a_sentence(tmp_path: Path, metadata: dict[str, Any]) -> None:
    folder = write(tmp_path / "b")
    (folder / "configs" / "metadata.json").write_text(json.dumps(metadata))
    assert str(folder) in refusal(folder)


@pytest.mark.parametrize("window", [{"a_min": "low"}, {"a_max": None}, {"a_min": [1]}])
def test_transforms_with_odd_arguments_are_a_sentence(tmp_path: Path, window: dict[str, Any]) -> None:
    steps = transforms(2)
    steps[-2] |= window
    folder = write(tmp_path / "b", preprocessing={"_target_": "Compose", "transforms": steps})
    assert "ScaleIntensityRange" in refusal(folder)


def test_a_size_without_end_is_refused_before_it_is_tried(tmp_path: Path) -> None:
    folder = described(write(tmp_path / "b"), "[input]\nsize = [1000000, 1000000]")
    assert "state a smaller size" in refusal(folder)


def test_a_file_beside_is_not_read_through_a_macro(tmp_path: Path) -> None:
    (tmp_path / "secret.json").write_text('{"channels": [4, 8]}')
    network_def = {"_target_": "UNet", "spatial_dims": 2} | UNET | {"channels": "%../../secret.json::channels"}
    assert "never executes" in refusal(write(tmp_path / "b", network_def=network_def))
