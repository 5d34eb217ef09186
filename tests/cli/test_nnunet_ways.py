"""Every command that takes a model takes an nnU-Net: of volumes, slices, overlapping regions, and several sequences together."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from casewise import formats
from casewise.adaptation.sequences import cases_for, compared
from casewise.archive import Archive
from casewise.cli import main
from casewise.image import Image
from casewise.models import Model
from tests.cli.conftest import Call
from tests.examination.phantom import affine, head, motion, tissues
from tests.models.nnunet.small import CONFIGURATION, DATASET, FLAT, PLANS, written

SHAPE, VOXEL = (28, 32, 20), 6.0
COARSE = {"spacing": [VOXEL] * 3, "normalization_schemes": ["ZScoreNormalization"], "use_mask_for_norm": [False]}
LABELS = {"background": 0, "brain": 1, "ventricles": 2}
REGIONS = {"background": 0, "head": [1, 2], "ventricles": [2]}


def plans(configuration: dict[str, Any], channels: int = 1, **changes: Any) -> dict[str, Any]:
    each = {"normalization_schemes": ["ZScoreNormalization"] * channels, "use_mask_for_norm": [False] * channels}
    return {**PLANS, "configurations": {"3d_fullres": {**configuration, **each, **changes}}}


MODELS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "volumes": (plans(CONFIGURATION, spacing=[VOXEL] * 3), {**DATASET, "labels": LABELS}),
    "slices": (plans(FLAT, spacing=[VOXEL] * 2), {**DATASET, "labels": LABELS}),
    "regions": (plans(CONFIGURATION, spacing=[VOXEL] * 3), {**DATASET, "labels": REGIONS, "regions_class_order": [1, 2]}),
    "sequences": (
        plans(CONFIGURATION, 2, spacing=[VOXEL] * 3),
        {**DATASET, "labels": LABELS, "channel_names": {"0": "FLAIR", "1": "T1"}},
    ),
}


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
            _patient(raw, f"{site}{number}", seed=number + 10 * (site == "B"), raised=site == "B")
        (raw / "dataset.json").write_text(json.dumps(MODELS["sequences"][1] | {"labels": {**LABELS, "head": [1, 2]}}))
        assert main(["import", str(root / "archive"), str(raw), "--site", site]) == 0
    files = _patient(root / "new", "new", seed=40, raised=True)
    models = {
        name: written(root / name / "Dataset007_Small", *own, weighted_for=own, inference_allowed_mirroring_axes=())
        for name, own in MODELS.items()
    }
    return Place(root / "archive", files, models)


def _patient(raw: Path, name: str, seed: int, raised: bool) -> dict[str, Path]:
    """In nnU-Net's layout: a file a sequence, and the labels of both."""
    moved, files = motion(8, 6, seed), {}
    for number, kind in enumerate(("FLAIR", "T1")):
        image = head(kind, moved, shape=SHAPE, voxel=VOXEL, seed=seed)
        image = Image(image.array * (1.5 if raised else 1), image.affine)
        (raw / "imagesTr").mkdir(parents=True, exist_ok=True)
        files[kind] = formats.write(raw / "imagesTr" / f"{name}_000{number}.nii.gz", image)
    found = tissues(moved @ affine(SHAPE, VOXEL), SHAPE)
    labels = np.where(found == 2, 2, found > 0).astype(np.uint8)
    (raw / "labelsTr").mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(labels, moved @ affine(SHAPE, VOXEL)), raw / "labelsTr" / f"{name}.nii.gz")
    return files


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
    from dataclasses import replace

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
    model = Model.load(place.models["sequences"])
    flair, t1 = head("FLAIR", shape=SHAPE, voxel=VOXEL), head("T1", shape=(60, 66, 42), voxel=3.0)
    drawn = tissues(affine(t1.spatial_shape, 3.0), t1.spatial_shape) == 2
    with Archive.open(tmp_path / "archive", create=True) as archive:
        first = archive.add(flair, subject="s", content={"sequence": "FLAIR"}, name="flair")
        archive.add(t1, {"ventricles": drawn}, subject="s", content={"sequence": "t1w"}, name="t1")
        archive.add(head("T2", shape=SHAPE, voxel=VOXEL), subject="s", content={"sequence": "T2"}, name="t2")
        archive.add(head("FLAIR", shape=SHAPE, voxel=VOXEL, seed=1), subject="other", content={"sequence": "FLAIR"})
        (case,) = cases_for(model, archive.cases())
    assert case.key == first and len(case.keys) == 2
    image = case.image
    assert image.channels == 2 and image.spatial_shape == t1.spatial_shape and image.header.sequences == ("FLAIR", "T1")
    assert np.array_equal(case.load_masks["ventricles"](), drawn)
    assert np.allclose(image.array[1], t1.array[0])
    assert image.array[0][drawn].mean() < image.array[0][tissues(affine(t1.spatial_shape, 3.0), t1.spatial_shape) == 1].mean()
    assert compared(model, image).channels == 1 and np.array_equal(compared(model, image).array[0], image.array[0])
    assert np.array_equal(compared(model, image.with_array(image.array[::-1])).array[0], image.array[1])


def test_an_archive_without_the_sequences_gets_a_sentence(call: Call, archive: Path, place: Place, tmp_path: Path) -> None:
    for command in (
        ("evaluate", place.models["sequences"], archive),
        ("train", "segmenter", archive, "--from", place.models["sequences"], "-o", tmp_path / "no"),
    ):
        done = call(*command)
        assert (
            done.code != 0 and "takes FLAIR, T1 together, and no patient of the archive has images of all of them" in done.sentence
        )
