"""Names that ``casewise models`` prints are taken by --model, and foreign models work with an archive."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from torch import nn

import casewise
from casewise.adaptation.adapter import Adapter
from casewise.adaptation.refinement import Plan
from casewise.archive import Archive
from casewise.errors import ModelError, UsageError
from casewise.models import Model, load
from casewise.models.registry import path_of
from tests.cli.conftest import Call


class Small(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(1, 8, 5, padding=2), nn.Conv2d(8, 2, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.second(torch.relu(self.first(x)))


@pytest.fixture(scope="session")
def torchscript(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A user's own TorchScript file, with the description beside it."""
    path = tmp_path_factory.mktemp("foreign") / "own.ts"
    torch.manual_seed(0)
    torch.jit.save(torch.jit.script(Small()), str(path))
    described = 'task = "segmentation"\nstructures = ["disc"]\nanswers = "logits"\n[input]\nspatial_dims = 2\nsize = [64, 64]\n'
    path.with_name("own.ts.toml").write_text(described + 'channels = 1\nintensity = "percentile"\naxes = "PLS"\n')
    return path


def test_every_printed_name_is_a_model(call: Call, model: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    shutil.copytree(model, tmp_path / "deep" / "folder-of-another-name")
    monkeypatch.chdir(tmp_path)
    listed = call("models", "--json").document
    assert {"discs", "casewise-encoder"} <= {entry["name"] for entry in listed}
    for entry in listed:
        assert path_of(entry["name"]).resolve() == Path(entry["path"]).resolve()


def test_two_models_of_one_name_are_kept_apart_by_their_folders(
    model: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("a", "b"):
        shutil.copytree(model, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(Exception, match="2 models are called 'discs': a, b"):
        path_of("discs")
    assert path_of("a") == Path("a"), "a path comes first"


def test_one_call_loads_shipped_archived_and_own_models(
    archive: Path, model: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    shipped = load("casewise-encoder")
    assert shipped is load("encoder"), "a shipped model is loaded once"
    own = load(model)
    assert own.key == load(str(model)).key
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelError, match="no model at nowhere"):
        load("nowhere")
    with Archive.open(archive) as opened:
        opened.add_model(own.key, "of the archive", model.resolve())
        assert load("of the archive", archive=opened).key == own.key
    assert load("of the archive", archive=archive).key == own.key
    with pytest.raises(ModelError, match="no model at of the archive"):
        load("of the archive")


def test_similar_takes_a_printed_name(call: Call, archive: Path, picture: Path) -> None:
    assert call("similar", archive, picture, "-k", "2", "--model", "casewise-encoder").code == 0


@pytest.mark.parametrize("adapt", ["none", "similar"])
def test_analyze_with_a_model_without_an_encoder_and_an_archive(
    call: Call, archive: Path, picture: Path, torchscript: Path, tmp_path: Path, adapt: str
) -> None:
    words = ["analyze", picture, "--model", torchscript, "--archive", archive, "--adapt", adapt, "--application", "organs"]
    done = call(*words, "--output", tmp_path / "out", "--json")
    assert done.code == 0, done.err
    (result,) = done.document
    assert [finding["label"] for finding in result["findings"]] == ["disc"]
    assert len(result["similar"]) == 8
    assert any("casewise's own encoder compared" in note for note in result["notes"])


def test_subsets_and_models_trained_from_a_foreign_one(
    call: Call, archive: Path, picture: Path, torchscript: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "archive"
    shutil.copytree(archive, copy)
    trained = tmp_path / "trained"
    assert call("train", "segmenter", copy, "--from", torchscript, "--steps", "2", "--output", trained).code == 0
    words = ["analyze", picture, "--archive", copy, "--application", "organs", "--output", tmp_path / "out"]
    assert call(*words, "--model", trained).code == 0
    assert call("subsets", copy, trained, "-k", "2", "--json").code == 0
    assert call(*words, "--model", trained, "--adapt", "subset").code == 0


def test_similar_cases_are_compared_within_a_region(call: Call, archive: Path, picture: Path, model: Path, tmp_path: Path) -> None:
    words = ["analyze", picture, "--model", model, "--archive", archive, "--application", "organs", "--json"]
    done = call(*words, "--region", "disc", "--output", tmp_path / "a")
    assert done.code == 0, done.err
    found = Model.load(model).predict(casewise.read(picture)).masks()["disc"]
    sentence = "compared within the disc alone" if found.any() else "compared as a whole"
    assert any(sentence in note for note in done.document[0]["notes"])
    refused = call(*words, "--region", "liver", "--output", tmp_path / "b")
    assert refused.code == 2 and "outlines disc" in refused.sentence
    with Archive.open(archive) as opened, pytest.raises(UsageError, match="whole images"):
        Adapter(Model.load(model), opened, "subset", Plan(), "cpu", "disc")
    alone = call("analyze", picture, "--model", model, "--region", "disc", "--output", tmp_path / "c")
    assert alone.code == 2 and "--archive" in alone.sentence
