"""``casewise analyze`` of one examination: named sequences, a DICOM study's folder, and what is wrong with either."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any, cast

import pytest

from casewise import formats
from tests.cli.conftest import Call, on_terminal
from tests.examination.phantom import dicom_series, head, motion


@pytest.fixture(scope="module")
def flair(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return formats.write(tmp_path_factory.mktemp("a") / "flair.nii.gz", head("FLAIR"))


@pytest.fixture(scope="module")
def t1(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return formats.write(tmp_path_factory.mktemp("b") / "t1.nii.gz", head("T1", motion(8, 6, seed=1)))


def test_named_sequences_are_one_examination(call: Call, flair: Path, t1: Path, tmp_path: Path) -> None:
    done = call("analyze", "--sequence", f"FLAIR={flair}", "--sequence", f"t1={t1}", "--output", tmp_path / "out", "--json")
    assert done.code == 0, done.err
    (result,) = cast("list[dict[str, Any]]", done.document)
    assert result["image"] == str(flair)
    assert [(entry["name"], entry["reference"]) for entry in result["sequences"]] == [("FLAIR", True), ("T1", False)]
    assert (result["missing_sequences"], result["refused_sequences"]) == (["T1 post", "T2"], [])
    assert "register" in result["seconds"]
    moved = result["sequences"][1]
    assert moved["registration"]["after"] > moved["registration"]["before"]
    like = formats.read(flair)
    for entry in result["sequences"]:
        image = formats.read(entry["registered"])
        assert image.spatial_shape == like.spatial_shape
        assert abs(image.affine - like.affine).max() < 1e-3
    assert formats.read(moved["checkerboard"]).spatial_shape[1] > 400
    page = Path(result["report"]).read_text(encoding="utf-8")
    assert "Registration check" in page
    assert "Missing: T1 post, T2." in page
    assert len(re.findall(r'alt="Checkerboard of FLAIR and T1, (?:before|after) registration"', page)) == 2


def test_the_seed_reaches_the_registration(
    call: Call, flair: Path, t1: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from casewise.examination import examination

    seeds: list[int] = []
    real = examination.register

    def noted(*arguments: Any, **named: Any) -> Any:
        seeds.append(named["seed"])
        return real(*arguments, **named)

    monkeypatch.setattr(examination, "register", noted)
    words = ("--sequence", f"FLAIR={flair}", "--sequence", f"T1={t1}", "--application", "quality", "--output", tmp_path / "out")
    assert call("analyze", *words, "--seed", 7).code == 0
    assert set(seeds) == {7}


def test_a_model_of_one_image_says_which_sequence_it_saw(call: Call, flair: Path, t1: Path, model: Path, tmp_path: Path) -> None:
    words = ("--sequence", f"FLAIR={flair}", "--sequence", f"T1={t1}", "--model", model, "--application", "organs")
    done = call("analyze", *words, "--output", tmp_path / "out", "--json")
    assert done.code == 0, done.err
    (result,) = cast("list[dict[str, Any]]", done.document)
    assert any("was given FLAIR, the reference, and not T1" in note for note in result["notes"])


APPLICATION = """
import numpy as np
from casewise.finding import Finding

class Seen:
    name = "seen"

    def analyze(self, image):
        channels = ",".join(image.header.sequences or ("one",))
        absent = ",".join(image.header.absent)
        return [Finding("seen", f"{channels} {image.channels} {absent}", measures={"mean": float(np.abs(image.array).mean())})]
"""


def test_an_application_is_given_the_sequences_that_it_declares(
    call: Call, flair: Path, t1: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sequence_reader.py").write_text(APPLICATION)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.syspath_prepend(str(tmp_path))
    tables = [
        f'[[application]]\nname = "{name}"\ncategories = ["*"]\nfeatures = ["x"]\npython = "sequence_reader:Seen"\n{more}\n'
        for name, more in (
            ("several", 'sequences = ["T1", "T2", "FLAIR"]'),
            ("plain", ""),
            ("other", 'sequences = ["ADC"]'),
        )
    ]
    (tmp_path / "applications.toml").write_text("\n".join(tables))
    given = ("--sequence", f"FLAIR={flair}", "--sequence", f"T1={t1}", "--register", "none")
    done = call("analyze", *given, "--applications", tmp_path / "applications.toml", "--output", tmp_path / "out", "--json")
    (result,) = cast("list[dict[str, Any]]", done.document)
    labels = {finding["application"]: finding["label"] for finding in result["findings"]}
    assert {name: labels[name] for name in ("several", "plain")} == {"several": "T1,T2,FLAIR 3 T2", "plain": "one 1"}
    assert "other" not in labels
    assert done.code == 1
    assert "other had nothing to see: The examination has none of ADC; it has FLAIR, T1." in done.sentence


def test_a_study_with_a_gap_is_done_without_that_series_which_is_named(call: Call, tmp_path: Path) -> None:
    study = tmp_path / "study"
    for number, kind in enumerate(("T2", "FLAIR"), start=1):
        dicom_series(study / kind, kind, number)
    dicom_series(study / "gap", "T1", 3, skip=20)
    done = call("analyze", study, "--output", tmp_path / "out", "--register", "none", "--json")
    assert done.code == 1
    assert "a slice is missing" in done.sentence
    (result,) = cast("list[dict[str, Any]]", done.document)
    assert result["image"] == str(study)
    assert [entry["name"] for entry in result["sequences"]] == ["FLAIR", "T2"]
    (refused,) = result["refused_sequences"]
    assert "a slice is missing" in refused["reason"]
    assert "a slice is missing" in Path(result["report"]).read_text(encoding="utf-8")


def test_a_folder_of_one_series_is_one_image_as_before(call: Call, tmp_path: Path) -> None:
    series = dicom_series(tmp_path / "series", "T1", 1)
    done = call("analyze", series, "--output", tmp_path / "out", "--json")
    assert done.code == 0, done.err
    (result,) = cast("list[dict[str, Any]]", done.document)
    assert "sequences" not in result
    assert "Registration check" not in Path(result["report"]).read_text(encoding="utf-8")


def test_an_unreadable_sequence_is_named_and_the_others_are_done(call: Call, flair: Path, tmp_path: Path) -> None:
    done = call(
        "analyze", "--sequence", f"FLAIR={flair}", "--sequence", f"T2={tmp_path / 'none.nii'}", "-o", tmp_path / "out", "--json"
    )
    assert done.code == 1
    assert "none.nii does not exist" in done.sentence
    (result,) = cast("list[dict[str, Any]]", done.document)
    assert [entry["name"] for entry in result["sequences"]] == ["FLAIR"]


def test_sequences_of_two_patients_get_their_sentence(call: Call, tmp_path: Path) -> None:
    dicom_series(tmp_path / "study" / "a", "T1", 1)
    dicom_series(tmp_path / "study" / "b", "FLAIR", 2, PatientID="HOSP-9999")
    done = call("analyze", tmp_path / "study", "--output", tmp_path / "out", "--json")
    assert done.code == 1
    assert "holds images of 2 patients" in done.sentence
    assert done.document == []


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--sequence", "T1=a.nii", "--sequence", "t1=b.nii"), "Two images are both named T1: a.nii and b.nii"),
        (("--sequence", "T1"), "A sequence is given as NAME=IMAGE"),
        (("a.nii", "--sequence", "T1=b.nii"), "--sequence names the images of one examination, and a.nii came beside it"),
        (("a.nii", "--reference", "T1"), "--reference and --register are for examinations"),
        ((), "--sequence NAME=IMAGE"),
    ],
)
def test_an_unusable_call_gets_its_sentence(call: Call, tmp_path: Path, words: tuple[str, ...], sentence: str) -> None:
    done = call("analyze", *words, "--output", tmp_path / "out", "--json")
    assert done.code == 2
    assert sentence in done.sentence
    assert done.out == ""


def test_long_steps_show_their_progress_on_a_terminal_and_nothing_on_stdout(tmp_path: Path) -> None:
    study = tmp_path / "study"
    for number, kind in enumerate(("T2", "FLAIR"), start=1):
        dicom_series(study / kind, kind, number)
    words = ("analyze", study, "--application", "quality", "--output", tmp_path / "out", "--json")
    done = on_terminal([sys.executable, "-m", "casewise", *map(str, words)])
    assert done.code == 0, done.err
    for step in ("Analysing", "Reading sequences", "Correcting bias fields", "Registering sequences"):
        assert step in done.err
    (result,) = json.loads(done.out)
    assert [entry["name"] for entry in result["sequences"]] == ["FLAIR", "T2"]
