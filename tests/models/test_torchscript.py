"""TorchScript files that a user brings: described, loaded, refined, kept; and what is refused."""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
import tomli_w
import torch
from torch import nn

from casewise.errors import ModelError
from casewise.models import Model
from casewise.models.foreign.description import TEMPLATE
from casewise.training import Settings, fit
from tests.discs import disc, disc_case

QUICK = Settings(steps=2, batch=2, device="cpu")


class Segmenter(nn.Module):
    """Two outputs for two or three axes, with batch norm, as many networks have."""

    def __init__(self, dims: int = 2, outputs: int = 2, ending: str = "") -> None:
        super().__init__()
        conv, norm = (nn.Conv2d, nn.BatchNorm2d) if dims == 2 else (nn.Conv3d, nn.BatchNorm3d)
        self.body = nn.Sequential(conv(1, 4, 3, padding=1), norm(4), nn.ReLU(), conv(4, outputs, 1))
        self.ending = ending

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        answer = self.body(x)
        if self.ending == "softmax":
            return answer.softmax(dim=1)
        if self.ending == "sigmoid":
            return answer.sigmoid()
        return answer


class Shade(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(1, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(x.mean(dim=[2, 3]))


def write(path: Path, network: nn.Module, *, dims: int = 2, trace: bool = False, **changes: object) -> Path:
    """A TorchScript file and its description; ``changes`` are keys of the description (None leaves one out)."""
    network.eval()
    example = torch.zeros((2, 1) + (16,) * dims)
    (torch.jit.trace(network, example) if trace else torch.jit.script(network)).save(str(path))
    document: dict[str, object] = {
        "task": "segmentation",
        "structures": ["disc"],
        "input": {"spatial_dims": dims, "size": [16] * dims, "channels": 1, "intensity": "percentile", "axes": "RAS"},
    }
    document |= changes
    kept = {key: value for key, value in document.items() if value is not None}
    path.with_name(f"{path.name}.toml").write_text(tomli_w.dumps(kept))
    return path


@pytest.mark.parametrize(("dims", "shape"), [(2, (20, 30)), (2, (16, 18, 5)), (3, (14, 18, 12))])
@pytest.mark.parametrize("trace", [False, True])
def test_is_loaded_refined_and_kept(tmp_path: Path, dims: int, shape: tuple[int, ...], trace: bool) -> None:
    model = Model.load(write(tmp_path / "net.ts", Segmenter(dims), dims=dims, trace=trace))
    image, _ = disc(1, shape)
    before = model.predict(image).probabilities
    assert before is not None
    assert before.shape == (2, *shape)
    assert np.allclose(before.sum(axis=0), 1, atol=1e-5)

    refined = fit(model, [disc_case(seed, shape) for seed in (2, 3)], settings=QUICK)
    assert refined.lineage.parent == model.key
    assert refined.lineage.parent_name == "net"
    assert refined.key != model.key
    after = refined.predict(image).probabilities
    assert after is not None
    assert not np.allclose(before, after, atol=1e-4)
    assert np.array_equal(model.predict(image).probabilities, before)

    folder = refined.save(tmp_path / "refined")
    (tmp_path / "net.ts").unlink()
    again = Model.load(folder)
    assert again.key == refined.key
    assert again.trained_on == refined.trained_on
    assert np.allclose(again.predict(image).probabilities, after, atol=1e-6)
    assert Model.load(fit(again, [disc_case(4, shape)], settings=QUICK).save(tmp_path / "third")).lineage.parent == refined.key


def test_classifier(tmp_path: Path) -> None:
    path = write(tmp_path / "shade.pt", Shade(), task="classification", structures=None, classes=["dark", "bright"])
    model = Model.load(path)
    scores = model.predict(disc(1)[0]).scores
    assert list(scores) == ["dark", "bright"]
    assert sum(scores.values()) == pytest.approx(1)
    refined = fit(model, [disc_case(1, category="dark"), disc_case(2, category="bright")], settings=QUICK)
    assert Model.load(refined.save(tmp_path / "kept")).predict(disc(1)[0]).scores == refined.predict(disc(1)[0]).scores


@pytest.mark.parametrize(
    ("ending", "outputs", "answers", "truth"),
    [
        ("softmax", 2, "probabilities", lambda z: z.softmax(dim=1)),
        ("sigmoid", 1, "probabilities", lambda z: torch.cat([1 - z.sigmoid(), z.sigmoid()], dim=1)),
        ("", 1, "sigmoid", lambda z: torch.cat([1 - z.sigmoid(), z.sigmoid()], dim=1)),
    ],
)
def test_networks_that_end_in_probabilities(tmp_path: Path, ending: str, outputs: int, answers: str, truth) -> None:
    network = Segmenter(outputs=outputs, ending=ending).eval()
    document = {"spatial_dims": 2, "size": [16, 16], "channels": 1, "intensity": "none", "axes": "PLS"}
    model = Model.load(write(tmp_path / "net.pt", network, answers=answers, input=document))
    image, _ = disc(1, (16, 16))
    with torch.inference_mode():
        expected = truth(network.body(torch.from_numpy(np.array(image.array))[None]))[0].numpy()
    assert np.allclose(model.predict(image).probabilities, expected, atol=1e-5)
    kept = Model.load(fit(model, [disc_case(2, (16, 16))], settings=QUICK).save(tmp_path / "kept"))
    assert np.allclose(kept.predict(image).probabilities.sum(axis=0), 1, atol=1e-5)


def test_axes_are_those_the_description_names(tmp_path: Path) -> None:
    """A network that answers where its first index is large must answer there in the patient, however the volume is stored."""

    class FirstAxis(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.gain = nn.Parameter(torch.ones(1))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            ramp = torch.linspace(-5, 5, x.shape[2])[None, None, :, None, None].expand_as(x)
            return torch.cat([-ramp, ramp], dim=1) * self.gain

    for axes in ("RAS", "LPS", "SAR"):
        document = {"spatial_dims": 3, "size": [16] * 3, "channels": 1, "intensity": "minmax", "axes": axes}
        model = Model.load(write(tmp_path / f"{axes}.ts", FirstAxis(), dims=3, input=document))
        image, _ = disc(1, (16, 16, 16))  # its affine is the identity: indices run to R, A, S
        mask = model.predict(image).mask.astype(bool)
        expected = np.zeros((16, 16, 16), bool)
        expected[{"R": np.s_[8:], "L": np.s_[:8], "S": np.s_[:, :, 8:]}[axes[0]]] = True
        assert np.array_equal(mask, expected), axes


def test_the_template_is_a_description(tmp_path: Path) -> None:
    path = write(tmp_path / "net.ts", Segmenter())
    path.with_name("net.ts.toml").write_text(TEMPLATE)
    assert Model.load(path).labels == ("lung",)


def refusal(path: Path) -> str:
    with pytest.raises(ModelError) as caught:
        Model.load(path)
    return str(caught.value)


def test_a_missing_description_is_displayed_what_to_write(tmp_path: Path) -> None:
    path = write(tmp_path / "net.ts", Segmenter())
    path.with_name("net.ts.toml").unlink()
    message = refusal(path)
    assert "net.ts.toml" in message
    assert 'task = "segmentation"' in message


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"structures": ["disc", "ring"]}, "must be (2, 3, 16, 16)"),
        ({"structures": "disc"}, "Expected `array | null`, got `str` - at `structures`"),
        ({"structures": None}, "names its structures"),
        ({"task": "guessing"}, "task is one of"),
        ({"answers": "maybe"}, "answers are one of"),
        ({"nework": {}}, "unknown field `nework`"),
        ({"input": {"size": [16, 16]}}, "spatial_dims, channels, intensity, axes"),
        (
            {"input": {"spatial_dims": 2, "size": [16, 16], "channels": 3, "intensity": "none", "axes": "RAS"}},
            "does not take a batch",
        ),
        (
            {"input": {"spatial_dims": 2, "size": [16, 16], "channels": 1, "intensity": "none", "axes": "XYZ"}},
            "Axes are three letters",
        ),
        (
            {"input": {"spatial_dims": 2, "size": ["a", 16], "channels": 1, "intensity": "none", "axes": "RAS"}},
            "Expected `int`, got `str`",
        ),
        ({"input": {"spatial_dims": 2, "size": [16, 16], "channels": 1, "intensity": "window", "axes": "RAS"}}, "bounds"),
        ({"input": {"spatial_dims": 2, "size": 16, "channels": 1, "intensity": "none", "axes": "RAS"}}, "net.ts.toml"),
    ],
)
def test_a_wrong_description_gets_a_sentence(tmp_path: Path, changes: dict[str, object], words: str) -> None:
    assert words in refusal(write(tmp_path / "net.ts", Segmenter(), **changes))


def test_probabilities_that_are_called_logits_are_noticed(tmp_path: Path) -> None:
    assert 'answers = "probabilities"' in refusal(write(tmp_path / "net.ts", Segmenter(ending="softmax")))


def test_a_network_traced_for_one_picture_alone_is_refused(tmp_path: Path) -> None:
    class OneAlone(Segmenter):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.body(x.reshape(1, 1, 16, 16))

    assert "does not take a batch" in refusal(write(tmp_path / "net.ts", OneAlone()))


def test_a_network_without_parameters_answers_but_is_not_trained(tmp_path: Path) -> None:
    path = write(tmp_path / "net.ts", Segmenter())
    torch.jit.freeze(torch.jit.script(Segmenter().eval())).save(str(path))
    model = Model.load(path)
    kept = Model.load(model.save(tmp_path / "kept"))
    assert np.array_equal(kept.predict(disc(1)[0]).mask, model.predict(disc(1)[0]).mask)
    with pytest.raises(ModelError, match="no parameters to train"):
        fit(model, [disc_case(1)], settings=QUICK)


class Sentinel:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_pickle_is_refused_and_not_executed(tmp_path: Path, zipped: bool) -> None:
    sentinel, path = tmp_path / "ran", tmp_path / "net.pt"
    torch.save({"model": Sentinel(sentinel)}, path, _use_new_zipfile_serialization=zipped)
    message = refusal(path)
    assert "Python objects (pickle)" in message
    assert "torch.jit" in message
    assert not sentinel.exists()
    torch.load(path, weights_only=False)
    assert sentinel.exists()  # the file would have been made, had anybody opened it in torch's old way


def test_whole_modules_and_bare_weights_are_refused(tmp_path: Path) -> None:
    torch.save(Segmenter(), tmp_path / "module.pt")
    assert "Python objects (pickle)" in refusal(tmp_path / "module.pt")
    torch.save(Segmenter().state_dict(), tmp_path / "weights.pt")
    assert "weights without their network" in refusal(tmp_path / "weights.pt")
    (tmp_path / "plain.pkl").write_bytes(pickle.dumps([1]))
    assert "Python objects (pickle)" in refusal(tmp_path / "plain.pkl")


def test_networks_that_touch_files_are_refused_before_they_are_loaded(tmp_path: Path) -> None:
    class Writes(Segmenter):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            torch.save(x, "ran")
            return self.body(x)

    assert "aten::save" in refusal(write(tmp_path / "net.ts", Writes()))


@pytest.mark.parametrize("content", [b"", b"not a model", b"PK\x03\x04 half an archive"])
def test_other_files_are_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "net.ts").write_bytes(content)
    assert "is no model that casewise reads" in refusal(tmp_path / "net.ts")


def test_other_archives_are_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "net.zip", "w") as archive:
        archive.writestr("readme.txt", "hello")
    assert "without TorchScript" in refusal(tmp_path / "net.zip")


@pytest.mark.parametrize("share", [0.2, 0.5, 0.95])
def test_cut_short(tmp_path: Path, share: float) -> None:
    path = write(tmp_path / "net.ts", Segmenter())
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    assert str(path) in refusal(path)


def test_damaged_inside(tmp_path: Path) -> None:
    path = write(tmp_path / "net.ts", Segmenter())
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in parts.items():
            archive.writestr(name, b"class" if "/code/" in name else data)
    assert "torch cannot load" in refusal(path)


def test_a_network_exchanged_behind_the_models_back_is_noticed(tmp_path: Path) -> None:
    folder = Model.load(write(tmp_path / "net.ts", Segmenter())).save(tmp_path / "kept")
    torch.jit.script(Segmenter()).save(str(folder / "network.ts"))
    with pytest.raises(ModelError, match="is not the one this model was made with"):
        Model.load(folder).predict(disc(1)[0])
    (folder / "network.ts").unlink()
    with pytest.raises(ModelError, match="there no more"):
        Model.load(folder).predict(disc(1)[0])


def test_folders_that_are_no_models(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert "is no model" in refusal(tmp_path / "empty")
    nnunet = tmp_path / "nnUNetTrainer__nnUNetPlans__2d"
    (nnunet / "fold_0").mkdir(parents=True)
    (nnunet / "plans.json").write_text("{}")
    (nnunet / "dataset.json").write_text("{}")
    for folder in (nnunet, nnunet / "fold_0", tmp_path):
        assert "nnU-Net" in refusal(folder)
    assert "There is no model" in refusal(tmp_path / "nowhere")
