"""From an archive's images to labelled examinations, and `casewise train lesions` on them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from casewise import formats
from casewise.archive import Archive
from casewise.case import Case, Structure
from casewise.errors import CasewiseError
from casewise.header import Header
from casewise.image import Image
from casewise.lesions import labelled_cases, predict, train_lesions
from casewise.models import Model
from tests.cli.conftest import Call
from tests.examination.phantom import head
from tests.lesions.conftest import BRIGHT, LARGE, SHAPE, SMALL, VOXEL, brain, plan

LESION = Structure.parse("lesion")


def volume(number: int, kind: str, name: str) -> tuple[Image, np.ndarray]:
    """A sequence in its own intensities, and the lesions' mask."""
    image = head(name, shape=SHAPE, voxel=VOXEL, seed=number)
    mask = brain(number, kind)[1]
    array = image.array.copy()
    array[0][mask] += BRIGHT[name]
    return Image(array, image.affine, replace(image.header, sequence=name)), mask


def case(number: int, kind: str, name: str, masked: bool = True, folder: str = "a") -> Case:
    image, mask = volume(number, kind, name)
    loaders = {"lesion": lambda: mask} if masked else {}
    about = {"sequence": name}
    key = f"{number}{kind}{name}{folder}"
    return Case(key, lambda: image, loaders, kind, f"p{number}", "here", about, f"/scans/{folder}/{name}.nii.gz")


def test_one_patients_sequences_are_one_examination_with_the_mask_of_either() -> None:
    cases = [
        case(0, LARGE, "FLAIR", masked=False),
        case(0, LARGE, "T1"),
        case(1, SMALL, "FLAIR"),
        case(2, SMALL, "FLAIR", masked=False),
    ]
    found, left_out = labelled_cases(cases, LESION)
    assert [(own.sequences, own.category, own.subject) for own in found] == [
        (("FLAIR", "T1"), LARGE, "here/p0"),
        (("FLAIR",), SMALL, "here/p1"),
    ]
    assert found[0].keys == ("0largeFLAIRa", "0largeT1a")
    (sentence,) = left_out
    assert sentence == "FLAIR.nii.gz has no mask of lesion and was left out."
    image, masks = found[0].loaded(("T1", "T2", "FLAIR"))
    mask = masks.union()
    assert image.header.sequences == ("T1", "T2", "FLAIR")
    assert image.header.absent == ("T2",)
    assert not image.array[1].any()
    truth = brain(0, LARGE)[1]
    assert (mask & truth).sum() > 0.8 * truth.sum()  # through the registration of what lies on one grid already


def test_examinations_of_one_patient_are_distinguished_by_folder_and_a_repetition_is_named() -> None:
    cases = [case(0, LARGE, name, folder=folder) for folder in ("before", "after") for name in ("FLAIR", "T1")]
    found, left_out = labelled_cases([*cases, case(0, LARGE, "T1", folder="after")], LESION)
    assert [own.sequences for own in found] == [("FLAIR", "T1"), ("FLAIR", "T1")]
    assert left_out == ["T1.nii.gz is a second T1 of its examination and was left out."]


def test_pictures_are_examinations_of_their_own() -> None:
    rng = np.random.default_rng(0)
    picture = Image(rng.normal(100, 20, (1, 40, 30)).astype(np.float32), header=Header(modality="US"))
    mask = np.zeros((40, 30), bool)
    mask[10:20, 10:20] = True
    found, _ = labelled_cases([Case.of(picture, {"lesion": mask}, category="cyst", subject="p"), Case.of(picture)], LESION)
    (own,) = found
    image, masks = own.loaded(own.sequences)
    drawn = masks.union()
    assert image.array.shape == (1, 40, 30)
    assert 0.5 < float(image.array[image.array > -2].std()) < 2
    assert np.array_equal(drawn, mask)


def test_a_series_description_that_is_no_name_is_read_for_what_it_says() -> None:
    named = {
        stated: labelled_cases([with_sequence(stated)], LESION)[0][0].sequences
        for stated in ("t2_tirm (FLAIR), dark!", "?!", "ASL")
    }
    assert named == {"t2_tirm (FLAIR), dark!": ("FLAIR",), "?!": ("image",), "ASL": ("ASL",)}


def with_sequence(stated: str) -> Case:
    plain = case(0, LARGE, "FLAIR")
    return Case(plain.key, plain.load_image, plain.load_masks, LARGE, "p", "here", {"sequence": stated}, plain.name)


def test_an_examination_that_cannot_be_used_is_named_and_the_others_teach(patients: list[Case]) -> None:
    def broken(wanted: object) -> tuple[Image, np.ndarray]:
        raise CasewiseError("its file is gone.")

    lost = replace(patients[0], load_sequences=broken, keys=("lost",))
    stated: list[str] = []
    model = train_lesions([lost, *patients[1:]], "m", plan(steps=(2, 1, 1)), failed=stated.append)
    assert stated == ["its file is gone."]
    assert "lost" not in model.trained_on
    assert len(model.trained_on) == 5
    with pytest.raises(CasewiseError, match="its file is gone"):
        train_lesions([lost, *patients[1:]], "m", plan(steps=(2, 1, 1)))


def test_a_picture_with_a_mask_of_another_grid_is_refused() -> None:
    picture = Image(np.random.default_rng(0).normal(100, 20, (1, 40, 30)).astype(np.float32))
    fitting = Case.of(picture, {"lesion": np.ones((40, 30), bool)}, subject="p", name="x.png")
    (own,), _ = labelled_cases([replace(fitting, load_masks={"lesion": lambda: np.ones((40, 29), bool)})], LESION)
    for refused in (lambda: own.loaded(own.sequences), lambda: Case.of(picture, {"m": np.ones((40, 29), bool)}, name="x.png")):
        with pytest.raises(CasewiseError, match=r"The mask of x\.png has the shape \(40, 29\) and its image \(40, 30\)"):
            refused()


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four patients of either kind; those with small lesions have no T1."""
    folder = tmp_path_factory.mktemp("scans")
    lines = ["image,mask:lesion,subject,category,sequence"]
    for number in range(8):
        kind = LARGE if number < 4 else SMALL
        for name in ("FLAIR", "T1") if kind == LARGE else ("FLAIR",):
            image, mask = volume(number, kind, name)
            formats.write(folder / f"{number}-{name}.nii.gz", image)
            formats.write_mask(folder / f"{number}-{name}-mask.nii.gz", mask.astype(np.uint8), image)
            lines.append(f"{number}-{name}.nii.gz,{number}-{name}-mask.nii.gz,p{number},{kind},{name}")
    (folder / "table.csv").write_text("\n".join(lines), encoding="utf-8")
    place = tmp_path_factory.mktemp("archive") / "a"
    with Archive.open(place, create=True) as opened:
        report = opened.import_paths([folder], manifest=folder / "table.csv", site="here")
    assert not report.failed
    return place


def test_a_model_is_trained_on_an_archive_and_finds_lesions(call: Call, archive: Path, tmp_path: Path) -> None:
    words = ("train", "lesions", archive, "--output", tmp_path / "model", "--network", "multitask", "--steps", 90, "--size", 48)
    done = call(*words, "--json", "--device", "cpu")
    assert done.code == 0, done.err
    document = cast("dict[str, Any]", done.document)
    assert (document["examinations"], document["validation_examinations"]) == (6, 2)
    assert set(document["measures"]) == {"validation_merit"}
    model = Model.load(tmp_path / "model")
    assert model.spec.classes == ("no lesion", LARGE, SMALL)
    assert model.spec.network["sequences"] == ["FLAIR", "T1"]
    assert len(model.trained_on) >= 9
    assert not list(tmp_path.glob(".model*"))
    image, mask = brain(30, LARGE)
    assert predict(model, image).map[mask].mean() > predict(model, image).map[~mask].mean() + 0.2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--category", "huge"), "no cases of category 'huge'; it has large, small"),
        (("--structure", "tumour"), "No image has a mask of tumour; there are masks of lesion."),
        (("--network", "regression", "--score", "large"), "NAME=VALUE"),
        (("--network", "regression", "--score", "large=1"), "small has none"),
        (("--network", "regression", "--score", "large=7", "--score", "small=0"), "from 0 to 1"),
        (("--map-score",), "the fusion network predicts kinds and has no scores"),
        (("--network", "regression", "--map-score", "--score", "large=1", "--score", "small=0"), "never found; give small more"),
    ],
)
def test_what_cannot_be_trained_is_one_sentence(
    call: Call, archive: Path, tmp_path: Path, words: tuple[str, ...], said: str
) -> None:
    done = call("train", "lesions", archive, "--output", tmp_path / "model", "--steps", 3, *words)
    assert done.code in (1, 2)
    assert said in done.sentence
    assert not (tmp_path / "model").exists()
