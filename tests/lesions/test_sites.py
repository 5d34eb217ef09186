"""Lesion networks over several sites: examinations, ordered, trained on, measured, and refused where nothing can be learnt."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch

from casewise.adaptation.sites import Plan, train_sites
from casewise.archive import Archive
from casewise.case import Case
from casewise.errors import CasewiseError, UsageError
from casewise.image import Image
from casewise.lesions import labelled, train_lesions
from casewise.lesions.batches import LesionBatches, SliceSampling
from casewise.lesions.prepared import prepared
from casewise.lesions.sites import LesionLearning, case_of, gathered, vectors_of_examinations
from casewise.models import Model
from casewise.training import Settings
from casewise.training.curriculum import ScheduledTraining
from tests.cli.conftest import Call
from tests.lesions.conftest import LARGE, SMALL, brain, patient, plan
from tests.lesions.test_archives import case, volume
from tests.made_alike import made_alike

QUICK = Settings(steps=2, batch=2, rate=1e-3, augmentation="none", device="cpu")
PLAN = Plan(further=QUICK, deployed=QUICK)


def at(site: str, number: int, kind: str = LARGE) -> Case:
    return replace(patient(number, kind), site=site, subject=f"{site}/{number}", name=f"{site}-{number}")


@pytest.fixture(scope="module")
def start(patients: list[Case]) -> Model:
    return train_lesions(patients[:2], "start", plan(steps=(2, 1, 1)))


@pytest.fixture(scope="module")
def examinations(patients: list[Case]) -> list[Case]:
    """Two that the model knows; four of a further site and four of the deployment site."""
    known = [replace(own, site="first") for own in patients[:2]]
    return [*known, *(at("further", n) for n in range(40, 44)), *(at("here", n) for n in range(50, 54))]


@pytest.fixture(scope="module")
def vectors(start: Model, examinations: list[Case]) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    images = {key: rng.normal(size=4).astype(np.float32) for own in examinations for key in own.keys}
    return vectors_of_examinations(start, examinations, images)


def test_a_lesion_network_goes_from_site_to_site(
    start: Model, examinations: list[Case], vectors: dict[str, np.ndarray], tmp_path: Path
) -> None:
    image, mask = brain(60, SMALL)
    unlabelled = replace(labelled(image, np.zeros_like(mask), None, "new", "here"), name="new")
    learning = LesionLearning(start, [*examinations, unlabelled], tmp_path, "cpu")
    done = train_sites(
        start,
        [case_of(start, own) for own in examinations],
        vectors,
        PLAN,
        first="first",
        deployment="here",
        unlabelled=[case_of(start, unlabelled)],
        learning=learning,
    )
    assert done.measure == "dice"
    assert [(stage.site, stage.role, len(stage.cases)) for stage in done.stages] == [
        ("further", "further", 3),
        ("here", "deployment", 3),
    ]
    for stage in done.stages:
        assert list(stage.scores) == sorted(stage.scores, reverse=True)
    assert done.held_out == {"first": 0, "further": 1, "here": 1}
    assert set(done.before) == {"further", "here"} and all(0 <= value <= 1 for value in done.after.values())
    assert [(case.name, 0 < score <= 1) for case, score in done.annotate] == [("new", True)]
    held = {own.keys[0] for own in examinations} - done.model.trained_on
    used = [stage for stage in done.stages if stage.used]
    assert len(held) == 8 - 3 * len(used)
    assert start.trained_on <= done.model.trained_on
    assert done.model.spec == start.spec


def test_accuracy_is_the_dice_of_the_map_and_training_goes_on_from_the_model(
    start: Model, patients: list[Case], examinations: list[Case], tmp_path: Path
) -> None:
    learning = LesionLearning(start, examinations[:3], tmp_path, "cpu")
    cases = [case_of(start, own) for own in examinations[:3]]
    learnt = train_lesions(patients[:2], "learnt", plan(steps=(60, 1, 1)))
    assert learning.accuracy(learnt, cases) > learning.accuracy(start, cases) + 0.2
    trained = learning.continued(start, cases, ScheduledTraining([0, 1, 2], QUICK))
    assert trained.trained_on == start.trained_on | set(examinations[2].keys)
    assert trained.lineage.parent == start.key
    assert any(not torch.equal(weights, start.weights[name]) for name, weights in trained.weights.items())


def test_batches_follow_the_order_and_take_examinations_without_lesions_in(patients: list[Case], tmp_path: Path) -> None:
    image, mask = brain(0, LARGE)
    empty = labelled(image.with_array(image.array[:, :, :, ::-1]), np.zeros_like(mask), LARGE, "healthy")
    slices = prepared([patients[0], empty], ("FLAIR", "T1"), 48, tmp_path)
    sampling = SliceSampling(("no lesion", LARGE, SMALL), ("FLAIR", "T1"), (0,), augmentation="none", dropped=0.0)
    batches = LesionBatches(slices, sampling, order=[1, 1, 1, 0])
    filled = []
    for step in range(6):
        target = batches.batch(step, 4, np.random.default_rng(step)).target
        assert not target[:3].any()
        filled.append(bool(target[3].any()))
    assert any(filled)
    assert batches.key != LesionBatches(slices, sampling, order=[0, 1, 1, 1]).key


def test_examinations_are_gathered_and_what_is_left_out_is_named(start: Model) -> None:
    cases = [
        case(0, LARGE, "FLAIR"),
        replace(case(1, LARGE, "T1"), content={"sequence": "T2"}),
        case(2, LARGE, "FLAIR", masked=False),
    ]
    found = gathered(start, cases, "here")
    assert [own.sequences for own in found.labelled] == [("FLAIR",)]
    assert [own.sequences for own in found.unlabelled] == [("FLAIR",)]
    assert any("has none of the sequences FLAIR, T1 and was left out" in sentence for sentence in found.left_out)
    assert gathered(start, cases, None).unlabelled == ()
    image, masks = found.unlabelled[0].loaded(("FLAIR", "T1"))
    mask = masks.union()
    assert isinstance(image, Image) and not mask.any()
    with pytest.raises(CasewiseError, match="No image has a mask of lesion"):
        gathered(start, cases[2:], "here")


def test_a_network_without_a_map_is_refused(start: Model, tmp_path: Path) -> None:
    spec = replace(start.spec, network={**start.spec.network, "mapped": False})
    with pytest.raises(CasewiseError, match="has no map of lesions"):
        LesionLearning(replace(start, spec=spec), [], tmp_path, "cpu")


def test_a_site_without_labelled_examinations_is_refused(
    start: Model, examinations: list[Case], vectors: dict[str, np.ndarray], tmp_path: Path
) -> None:
    learning = LesionLearning(start, examinations[:3], tmp_path, "cpu")
    with pytest.raises(UsageError, match="no labelled cases of site 'there'"):
        train_sites(
            start,
            [case_of(start, own) for own in examinations],
            vectors,
            PLAN,
            first="first",
            deployment="there",
            learning=learning,
        )


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """FLAIR of two patients of A, four of B, and a fifth of B without a mask."""
    folder = tmp_path_factory.mktemp("sites") / "archive"
    with Archive.open(folder, create=True) as opened:
        for number in range(7):
            image, mask = volume(number, LARGE, "FLAIR")
            site, masks = "A" if number < 2 else "B", {} if number == 6 else {"lesion": mask}
            content = {"sequence": "FLAIR"}
            opened.add(
                image, masks, site=site, subject=f"p{number}", category=LARGE, content=content, name=f"{site}-{number}.nii.gz"
            )
    return folder


def test_the_command_takes_a_lesion_network(call: Call, archive: Path, start: Model, tmp_path: Path) -> None:
    with Archive.open(archive) as opened:
        known = frozenset(record.key for record in opened.cases(site="A"))
    folder = replace(start, lineage=replace(start.lineage, trained_on=known)).save(tmp_path / "start")
    words = ("train", "sites", archive, "--from", folder, "--deployment", "B", "--steps", 2, "--device", "cpu", "--json")
    done = call(*words, "--output", tmp_path / "made")
    assert done.code == 0, done.err
    document = cast("dict[str, Any]", done.document)
    assert (document["first"], document["measure"]) == ("A", "dice")
    (stage,) = document["stages"]
    assert (stage["site"], stage["role"], len(stage["order"])) == ("B", "deployment", 3)
    assert [entry["image"] for entry in document["annotate"]] == ["B-6.nii.gz"]
    assert Path(document["report"]).is_file()
    assert Model.load(tmp_path / "made").task == "lesions"
    assert not list(tmp_path.glob(".*sites*"))
    refused = call("train", "sites", archive, "--from", folder, "--structure", "lesion", "--output", tmp_path / "other")
    assert refused.code == 2 and "leave --structure out" in refused.sentence
    nowhere = call("train", "sites", archive, "--from", folder, "--deployment", "C", "--output", tmp_path / "other")
    assert nowhere.code == 2 and "no labelled cases of site 'C'; the sites are A, B" in nowhere.err


def test_workers_register_and_measure_examinations(call: Call, archive: Path, start: Model, tmp_path: Path) -> None:
    """One whose file is damaged is named and left out, by workers as here."""
    copied = Path(shutil.copytree(archive, tmp_path / "archive"))
    with Archive.open(copied) as opened:
        known = frozenset(record.key for record in opened.cases(site="A"))
        damaged = next(record for record in opened.cases(site="B") if record.name == "B-3.nii.gz")
        path = Path(cast("Any", damaged.load_image).__self__.found.path)
    path.write_bytes(path.read_bytes()[:400])
    folder = replace(start, lineage=replace(start.lineage, trained_on=known)).save(tmp_path / "start")
    words = ("train", "sites", copied, "--from", folder, "--deployment", "B", "--steps", 2, "--device", "cpu", "--json")
    here, there = made_alike(call, words, tmp_path)
    assert here.code == there.code == 1, there.err
    assert here.err == there.err
