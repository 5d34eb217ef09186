"""Every command that takes a model takes an nnU-Net: of volumes, slices, overlapping regions, and several sequences together."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from casewise.adaptation.sequences import cases_for, compared
from casewise.archive import Archive
from casewise.cli import main
from casewise.image import Image
from casewise.models import Model, load
from tests.cli.conftest import Call
from tests.examination.phantom import affine, head, tissues
from tests.models.nnunet.heads import LABELS, MODELS, SHAPE, VOXEL, model, patient


@dataclass(frozen=True)
class Place:
    """archive : 10 patients of two sites, of each a FLAIR and a T1. files : of a patient whom no archive holds."""

    archive: Path
    files: dict[str, Path]
    models: dict[str, Path]


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    root = tmp_path_factory.mktemp("nnunet")
    for site in "AB":
        raw = root / "raw" / site
        for number in range(5):
            patient(raw, f"{site}{number}", seed=number + 10 * (site == "B"), raised=site == "B")
        (raw / "dataset.json").write_text(json.dumps(MODELS["sequences"][1] | {"labels": {**LABELS, "head": [1, 2]}}))
        assert main(["import", str(root / "archive"), str(raw), "--site", site]) == 0
    files = patient(root / "new", "new", seed=40, raised=True)
    return Place(root / "archive", files, {name: model(root, name) for name in MODELS})


def given(place: Place, name: str) -> list[object]:
    """The new patient as ``analyze`` is given them for a model."""
    if name != "sequences":
        return [place.files["FLAIR"]]
    return [word for kind in ("T1", "FLAIR") for word in ("--sequence", f"{kind}={place.files[kind]}")]


@pytest.mark.parametrize("name", MODELS)
def test_it_is_trained_on_evaluated_and_knows_its_parent(call: Call, place: Place, name: str, tmp_path: Path) -> None:
    done = call(
        "train", "segmenter", place.archive, "--from", place.models[name], "--steps", 3, "-o", tmp_path / "better", "--json"
    )
    assert done.code == 0, done.err
    parent, better = Model.load(place.models[name]), Model.load(tmp_path / "better")
    assert better.lineage.parent == parent.key and better.key != parent.key
    assert better.spec.preparation == parent.spec.preparation
    patients = 10 if name == "sequences" else 20
    done = call("evaluate", tmp_path / "better", place.archive, "--json")
    assert done.code == 0, done.err
    assert len(done.document["cases"]) == patients
    assert done.document["left_out"] == len(better.trained_on) > 0
    done = call("models", tmp_path, "--json")
    (own,) = [one for one in done.document if one["name"] == "better"]
    assert own["parent"] == parent.name and own["labels"] == list(parent.labels)
    done = call("export", tmp_path / "better", "--output", tmp_path / "results", "--json")
    assert done.code == 0, done.err
    again = Model.load(done.document["model"])
    assert all((again.weights[key] == value).all() for key, value in better.weights.items())


@pytest.mark.parametrize("name", MODELS)
def test_it_is_refined_on_similar_cases(call: Call, place: Place, name: str, tmp_path: Path) -> None:
    words = ("--model", place.models[name], "--archive", place.archive, "--application", "organs", "--output", tmp_path, "--json")
    done = call("analyze", *given(place, name), *words)
    assert done.code == 0, done.err
    (result,) = done.document
    assert result["model"]["method"] == "similar" and len(result["similar"]) == 8
    notes = " ".join(result["notes"])
    assert ("takes FLAIR, T1 together; similar cases were compared by the first, FLAIR" in notes) == (name == "sequences")
    if name == "sequences":
        assert all("_0000" in case["image"] for case in result["similar"])


@pytest.mark.parametrize("name", MODELS)
def test_it_is_refined_for_subsets_and_sites(
    call: Call, place: Place, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from casewise.adaptation import subsets

    monkeypatch.setattr(subsets, "SUBSET", replace(subsets.SUBSET, steps=3))
    done = call("subsets", place.archive, place.models[name], "-k", 2, "--json")
    assert done.code == 0, done.err
    assert sum(one["size"] for one in done.document["subsets"]) == (10 if name == "sequences" else 20)
    words = ("--archive", place.archive, "--application", "organs", "--output", tmp_path / "out", "--json")
    done = call("analyze", *given(place, name), "--model", place.models[name], "--adapt", "subset", *words)
    assert done.code == 0, done.err
    assert done.document[0]["model"]["method"] == "subset"
    done = call("train", "sites", place.archive, "--from", place.models[name], "--steps", 2, "-o", tmp_path / "sites", "--json")
    assert done.code == 0, done.err
    assert {site["name"] for site in done.document["sites"]} == {"A", "B"}


def test_sequences_of_one_patient_are_one_case_on_the_grid_of_its_mask(place: Place, tmp_path: Path) -> None:
    two = Model.load(place.models["sequences"])
    flair, t1 = head("FLAIR", shape=SHAPE, voxel=VOXEL), head("T1", shape=(60, 66, 42), voxel=3.0)
    drawn = tissues(affine(t1.spatial_shape, 3.0), t1.spatial_shape) == 2
    with Archive.open(tmp_path / "archive", create=True) as archive:
        first = archive.add(flair, subject="s", content={"sequence": "FLAIR"}, name="flair")
        archive.add(t1, {"ventricles": drawn}, subject="s", content={"sequence": "t1w"}, name="t1")
        archive.add(head("T2", shape=SHAPE, voxel=VOXEL), subject="s", content={"sequence": "T2"}, name="t2")
        archive.add(head("FLAIR", shape=SHAPE, voxel=VOXEL, seed=1), subject="other", content={"sequence": "FLAIR"})
        (case,) = cases_for(two, archive.cases())
    assert case.key == first and len(case.keys) == 2
    image = case.image
    assert image.channels == 2 and image.spatial_shape == t1.spatial_shape and image.header.sequences == ("FLAIR", "T1")
    assert np.array_equal(case.load_masks["ventricles"](), drawn)
    assert np.allclose(image.array[1], t1.array[0])
    assert image.array[0][drawn].mean() < image.array[0][tissues(affine(t1.spatial_shape, 3.0), t1.spatial_shape) == 1].mean()
    assert compared(two, image).channels == 1 and np.array_equal(compared(two, image).array[0], image.array[0])
    turned = replace(image.header, sequences=("T1", "FLAIR"))
    other = Image(image.array[::-1], image.affine, turned)
    assert np.array_equal(compared(two, other).array[0], image.array[0])
    unnamed = Image(image.array, image.affine)
    assert np.array_equal(compared(two, unnamed).array[0], image.array[0])


def test_an_archive_without_the_sequences_gets_a_sentence(call: Call, archive: Path, place: Place, tmp_path: Path) -> None:
    for command in (
        ("evaluate", place.models["sequences"], archive),
        ("train", "segmenter", archive, "--from", place.models["sequences"], "-o", tmp_path / "no"),
    ):
        done = call(*command)
        assert (
            done.code != 0 and "takes FLAIR, T1 together, and no patient of the archive has images of all of them" in done.sentence
        )


def test_it_is_listed_by_its_own_files_and_copied_into_an_archive(call: Call, place: Place, tmp_path: Path) -> None:
    source = place.models["regions"]
    done = call("models", source.parents[1], "--json")
    (listed,) = [one for one in done.document if one["path"] == str(source)]
    assert (listed["name"], listed["labels"]) == ("Dataset007_Small-3d_fullres", ["head", "ventricles"])
    Archive.open(tmp_path / "archive", create=True).close()
    done = call("models", source.parent, "--into", tmp_path / "archive", "--json")
    assert done.code == 0, done.err
    assert done.document[0]["path"] == str(tmp_path / "archive" / "models" / "Dataset007_Small-3d_fullres")
    copied = load("Dataset007_Small-3d_fullres", archive=tmp_path / "archive")
    assert copied.key == Model.load(source).key
    again = call("models", source, "--into", tmp_path / "archive")
    assert again.code == 2 and "never overwritten" in again.sentence
    (source.parent / "bundle" / "configs").mkdir(parents=True)
    (source.parent / "bundle" / "models").mkdir()
    (source.parent / "bundle" / "configs" / "inference.json").write_text("{}")
    outputs = {"pred": {"channel_def": {"0": "background", "1": "spleen"}}}
    metadata = source.parent / "bundle" / "configs" / "metadata.json"
    metadata.write_text(json.dumps({"network_data_format": {"outputs": outputs}}))
    done = call("models", source.parent / "bundle", "--json")
    assert [(one["name"], one["labels"]) for one in done.document[:1]] == [("bundle", ["spleen"])]
    metadata.write_text("{")
    assert "metadata.json cannot be read" in call("models", source.parent / "bundle").err
