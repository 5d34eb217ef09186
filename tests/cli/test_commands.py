"""Each command's answer, as scripts read it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from PIL import Image as Pillow

from tests.cli.conftest import Call, disc


def test_import_counts_what_is_new_and_what_is_known(call: Call, pictures: Path, model: Path, tmp_path: Path) -> None:
    words = ("import", tmp_path / "a", pictures, "--manifest", pictures / "labels.csv", "--model", model, "--json")
    first = cast("dict[str, Any]", call(*words).document)
    assert (first["added"], first["known"], first["failed"]) == (16, 0, [])
    assert first["vectors"] == 16
    second = call(*words)
    assert second.code == 0
    again = cast("dict[str, Any]", second.document)
    assert (again["added"], again["known"], again["failed"]) == (0, 16, [])


def test_import_for_a_person_says_how_many(call: Call, archive: Path, pictures: Path, model: Path, tmp_path: Path) -> None:
    done = call("import", tmp_path / "a", pictures / "p00.png", "--model", model)
    assert done.code == 0
    assert done.out.startswith("1 image added")


def test_an_import_of_a_folder_without_images_says_so(call: Call, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    done = call("import", tmp_path / "a", tmp_path / "empty")
    assert done.code == 0 and "No image was found there." in done.out


def test_an_import_names_what_failed_and_takes_the_rest(call: Call, pictures: Path, model: Path, tmp_path: Path) -> None:
    folder = tmp_path / "mixed"
    folder.mkdir()
    (folder / "good.png").write_bytes((pictures / "p00.png").read_bytes())
    (folder / "cut.png").write_bytes((pictures / "p01.png").read_bytes()[:200])
    (folder / "text.dcm").write_text("this is no DICOM file")
    done = call("import", tmp_path / "a", folder, "--model", model, "--json")
    assert done.code == 1
    document = cast("dict[str, Any]", done.document)
    assert document["added"] == 1
    named = {Path(entry["path"]).name for entry in document["failed"] + document["skipped"]}
    assert named == {"cut.png", "text.dcm"}
    assert "cut.png" in done.err


def test_similar_lists_cases_best_first(call: Call, archive: Path, model: Path, picture: Path) -> None:
    done = call("similar", archive, picture, "-k", 3, "--model", model, "--json")
    assert (done.code, done.err) == (0, "")
    document = cast("dict[str, Any]", done.document)
    assert document["image"] == str(picture)
    scores = [case["score"] for case in document["similar"]]
    assert len(scores) == 3
    assert scores == sorted(scores, reverse=True)
    for case in document["similar"]:
        assert set(case) >= {"image", "score", "latent", "content"}
        assert Path(case["image"]).is_file()


def test_similar_by_content_alone_needs_no_model(call: Call, archive: Path, picture: Path) -> None:
    document = cast("dict[str, Any]", call("similar", archive, picture, "--by", "content", "--json").document)
    assert all(case["latent"] is None and case["content"] is not None for case in document["similar"])


def test_similar_draws_a_sheet(call: Call, archive: Path, model: Path, picture: Path, tmp_path: Path) -> None:
    sheet = tmp_path / "sheet.png"
    done = call("similar", archive, picture, "--model", model, "--sheet", sheet)
    assert done.code == 0
    assert str(sheet) in done.out
    with Pillow.open(sheet) as drawn:
        assert drawn.width > 400


def test_similar_by_a_region_needs_a_model_that_knows_it(call: Call, archive: Path, model: Path, picture: Path) -> None:
    unknown = call("similar", archive, picture, "--region", "spleen", "--model", model)
    assert unknown.code == 2
    assert "spleen" in unknown.sentence
    assert "disc" in unknown.sentence
    unnamed = call("similar", archive, picture, "--region", "disc")
    assert unnamed.code == 2
    assert "--model" in unnamed.sentence


def test_a_segmenter_is_trained_used_and_listed(call: Call, archive: Path, picture: Path, tmp_path: Path) -> None:
    folder, archive = tmp_path / "made", Path(shutil.copytree(archive, tmp_path / "own"))
    words = ("train", "segmenter", archive, "--structure", "disc", "--output", folder, "--size", 32, "--steps", 30, "--json")
    trained = call(*words)
    assert trained.code == 0, trained.err
    document = cast("dict[str, Any]", trained.document)
    assert document["model"] == str(folder)
    assert 0 <= document["measures"]["validation_dice"] <= 1

    again = call(*words)
    assert again.code == 2
    assert "overwritten" in again.sentence

    listed = cast("list[dict[str, Any]]", call("models", tmp_path, "--json").document)
    mine = next(entry for entry in listed if entry["path"] == str(folder))
    assert (mine["task"], mine["labels"]) == ("segmentation", ["disc"])
    assert mine["trained_on"] > 0

    report = tmp_path / "reports"
    done = call("analyze", picture, "--model", folder, "--archive", archive, "--adapt", "none", "--output", report, "--json")
    assert done.code == 0, done.err
    (result,) = cast("list[dict[str, Any]]", done.document)
    assert result["image"] == str(picture)
    assert result["model"]["parent"] is None
    assert Path(result["report"]).read_text(encoding="utf-8").startswith("<!doctype html>")
    assert set(result["seconds"]) >= {"read", "predict"}
    for finding in result["findings"]:
        assert finding["application"] == "organs"
        assert len(finding["box"]) == 2
        with Pillow.open(finding["mask"]) as mask:
            assert mask.size == (64, 64)


def test_training_says_which_structures_and_sites_there_are(call: Call, archive: Path, tmp_path: Path) -> None:
    structure = call("train", "segmenter", archive, "--structure", "spleen", "--output", tmp_path / "m")
    assert structure.code == 2
    assert "disc" in structure.sentence
    site = call("train", "segmenter", archive, "--structure", "disc", "--site", "C", "--output", tmp_path / "m")
    assert site.code == 2
    assert "A, B" in site.sentence


def test_a_classifier_is_trained(call: Call, archive: Path, tmp_path: Path) -> None:
    own = Path(shutil.copytree(archive, tmp_path / "own"))
    done = call("train", "classifier", own, "--output", tmp_path / "m", "--size", 32, "--steps", 10, "--json")
    assert done.code == 0, done.err
    assert "validation_accuracy" in cast("dict[str, Any]", done.document)["measures"]


def test_analyze_takes_the_archives_newest_model_and_says_so(
    call: Call, archive: Path, model: Path, picture: Path, tmp_path: Path
) -> None:
    own = Path(shutil.copytree(archive, tmp_path / "own"))
    words = ("analyze", picture, "--archive", own, "--adapt", "none", "--output", tmp_path / "out", "--json")
    none = cast("list[dict[str, Any]]", call(*words).document)[0]
    assert none["model"]["method"] == "route"
    for seed, name in enumerate(("older", "newer")):
        made = call("train", "segmenter", own, "--from", model, "--steps", 2, "--seed", seed, "--output", tmp_path / name)
        assert made.code == 0, made.err
    done = call(*words)
    assert "newer" in done.sentence
    assert cast("list[dict[str, Any]]", done.document)[0]["model"]["name"] == "newer"
    named = call(*words, "--model", "older")
    assert named.err == ""
    assert cast("list[dict[str, Any]]", named.document)[0]["model"]["name"] == "older"
    shutil.rmtree(tmp_path / "newer")
    assert cast("list[dict[str, Any]]", call(*words).document)[0]["model"]["name"] == "older"


def test_an_image_that_fails_does_not_stop_the_others(
    call: Call, archive: Path, model: Path, picture: Path, tmp_path: Path
) -> None:
    second = tmp_path / "second.png"
    Pillow.fromarray(disc(7)[0]).save(second)
    missing = tmp_path / "missing.png"
    done = call("analyze", picture, missing, second, "--model", model, "--output", tmp_path / "out", "--json")
    assert done.code == 1
    results = cast("list[dict[str, Any]]", done.document)
    assert [result["image"] for result in results] == [str(picture), str(second)]
    assert str(missing) in done.sentence
    assert (tmp_path / "out" / "index.html").is_file()


def test_analyze_refines_on_unseen_cases_and_says_what_the_rule_saw(
    call: Call, archive: Path, model: Path, picture: Path, tmp_path: Path
) -> None:
    done = call("analyze", picture, "--model", model, "--archive", archive, "--output", tmp_path / "out", "--json")
    assert done.code == 0, done.err
    (result,) = cast("list[dict[str, Any]]", done.document)
    assert result["model"]["method"] == "similar"
    assert result["model"]["reason"]
    assert result["similar"]


def test_subsets_are_made_and_chosen(call: Call, archive: Path, model: Path, picture: Path, tmp_path: Path) -> None:
    own = Path(shutil.copytree(archive, tmp_path / "own"))
    early = call("analyze", picture, "--model", model, "--archive", own, "--adapt", "subset", "--output", tmp_path / "out")
    assert early.code == 2
    assert "casewise subsets" in early.sentence
    made = call("subsets", own, model, "-k", 2, "--json")
    assert made.code == 0, made.err
    subsets = cast("dict[str, Any]", made.document)["subsets"]
    assert sum(subset["size"] for subset in subsets) == 16
    for subset in subsets:
        assert set(subset) >= {"name", "size", "model", "measures"}
        assert (Path(subset["model"]) / "model.toml").is_file()
    done = call("analyze", picture, "--model", model, "--archive", own, "--adapt", "subset", "--output", tmp_path / "out", "--json")
    assert done.code == 0, done.err
    (result,) = cast("list[dict[str, Any]]", done.document)
    assert result["model"]["method"] == "subset"


def test_models_says_where_there_are_none(call: Call, tmp_path: Path) -> None:
    listed = cast("list[dict[str, Any]]", call("models", tmp_path, "--json").document)
    assert all(str(tmp_path) not in entry["path"] for entry in listed)


LACKING = [
    (("--application", "organs"), "--model"),
    (("--adapt", "similar"), "--model"),
    (("--adapt", "similar", "--model", "{model}"), "--archive"),
    (("--application", "nodules"), "quality"),
]


@pytest.mark.parametrize(("words", "reported"), LACKING)
def test_what_an_analysis_lacks_is_named(
    words: tuple[str, ...], reported: str, call: Call, model: Path, picture: Path, tmp_path: Path
) -> None:
    given = [word.format(model=model) for word in words]
    done = call("analyze", picture, *given, "--output", tmp_path / "out", "--json")
    assert (done.code, done.out) == (2, "")
    assert reported in done.sentence


def test_similar_by_content_without_content_says_so(call: Call, archive: Path, model: Path, tmp_path: Path) -> None:
    path = tmp_path / "bare.png"
    Pillow.fromarray(np.random.default_rng(0).integers(0, 255, (32, 32)).astype(np.uint8)).save(path)
    answer = call("similar", archive, path, "--by", "content", "--json")
    assert (answer.code, answer.document["similar"]) == (1, [])
    assert "Nothing is known of this image beside its pixels" in answer.sentence and "by latent" in answer.sentence
    both = call("similar", archive, path, "--model", model, "--json", "-k", "2")
    assert both.code == 0
    assert all(case["content"] is None and case["score"] == case["latent"] for case in both.document["similar"])
    (note,) = both.document["notes"]
    assert "by latent alone" in note
