"""The whole demonstration, made small: fewer patients and hardly any training, every step on real files."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from casewise import demo, formats
from casewise.adaptation import Plan
from casewise.archive import Archive
from casewise.demo import images, running
from casewise.demo.accuracy import Accuracy, dice_of_files
from casewise.demo.description import sections
from casewise.demo.images import Labelled
from casewise.demo.sites import UNSEEN_SITE
from casewise.errors import CasewiseError, UsageError
from casewise.hashing import image_key
from casewise.image import Image
from casewise.models import Model
from casewise.training import Settings

_KNOWN, _GROWN, _OTHERS = 3 * 4, 4, 5


@pytest.fixture(scope="module")
def small() -> Iterator[pytest.MonkeyPatch]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(images, "_PATIENTS", 4)
        patch.setattr(images, "_FURTHER", 1)
        patch.setattr(images, "_CHECKED", 1)
        patch.setattr(running, "_STEPS", 8)
        patch.setattr(running, "_REFINEMENT", Plan(settings=Settings(steps=4, batch=2)))
        yield patch


@pytest.fixture(scope="module")
def summary(small: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("the demonstration went to the network")

    steps: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        for name in ("create_connection", "getaddrinfo"):
            patch.setattr(socket, name, refuse)
        patch.setattr(socket.socket, "connect", refuse)
        output = tmp_path_factory.mktemp("demo") / "output"
        result = demo.run(output, seed=1, device="cpu", progress=lambda step, done, total: steps.append(step))
    return result | {"_output": output, "_steps": set(steps)}


def test_the_summary_is_json_with_paths_that_exist(summary: dict[str, object]) -> None:
    public = {key: value for key, value in summary.items() if not key.startswith("_")}
    assert json.loads(json.dumps(public)) == public
    for key in ("report", "sheet"):
        assert Path(str(public[key])).stat().st_size > 10_000
    assert public["images"] == _KNOWN + _GROWN + _OTHERS
    for key in ("dice_before", "dice_after"):
        assert 0 <= public[key] <= 1
    assert {"images", "import", "train", "grow", "analyze", "check", "report"} == set(public["seconds"])
    assert {"Importing", "Training"} <= summary["_steps"]


def test_the_model_never_saw_the_new_site(summary: dict[str, object]) -> None:
    output = Path(str(summary["_output"]))
    model = Model.load(output / "model")
    with Archive.open(output / "archive") as archive:
        cases = archive.cases(images.STRUCTURES)
        by_site = {case.site: [c.key for c in cases if c.site == case.site] for case in cases}
    assert len(model.trained_on) > 0
    assert not model.trained_on & set(by_site[UNSEEN_SITE.name])
    assert all(model.trained_on & set(keys) for site, keys in by_site.items() if site != UNSEEN_SITE.name)
    new = image_key(formats.read(next((output / "images" / "new").glob("*-500.dcm"))))
    assert new not in {key for keys in by_site.values() for key in keys}


def test_similar_cases_are_segmented_cases_of_the_archive(summary: dict[str, object]) -> None:
    similar = summary["similar"]
    assert similar
    assert {case["site"] for case in similar} <= {site.name for site in (*images.KNOWN_SITES, UNSEEN_SITE)}
    assert all(Path(case["image"]).is_file() for case in similar)
    assert all(case["latent"] is not None for case in similar)
    assert similar[0]["site"] == UNSEEN_SITE.name
    assert similar[0]["content"] == 1, "of the same scanner and sequence, as the files' headers say"


def test_the_report_says_what_is_real_and_how_accurate_it_was(summary: dict[str, object]) -> None:
    page = Path(str(summary["report"])).read_text(encoding="utf-8")
    for words in ("Simulated:", "Real:", "McConnell Brain Imaging Centre", "Accuracy, as measured"):
        assert words in page
    assert f"{summary['dice_before']:.3f}" in page
    assert f"{summary['dice_after']:.3f}" in page


def test_the_lines_for_a_terminal_end_with_the_report(summary: dict[str, object]) -> None:
    lines = demo.describe(summary)
    assert lines[-1] == f"Report: {summary['report']}"
    assert any(f"{summary['dice_after']:.3f}" in line for line in lines)


def test_a_folder_with_other_files_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(UsageError, match="other files"):
        demo.run(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_only_the_demonstrations_own_parts_are_replaced(tmp_path: Path) -> None:
    running._prepare(tmp_path / "new")
    (tmp_path / "new" / "model").mkdir()
    (tmp_path / "new" / "notes.txt").write_text("mine")
    running._prepare(tmp_path / "new")
    assert not (tmp_path / "new" / "model").exists()
    assert (tmp_path / "new" / "notes.txt").read_text() == "mine"


def test_a_file_in_the_folders_place_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CasewiseError, match="name another folder"):
        demo.run(tmp_path / "file")


def test_dice_of_files_counts_a_missing_structure_as_nothing(tmp_path: Path) -> None:
    image = Image(np.zeros((1, 10, 10), np.int16))
    path = formats.write(tmp_path / "image.nii.gz", image)
    left, right = np.zeros((10, 10), np.uint8), np.zeros((10, 10), np.uint8)
    left[:, :4], right[:, 6:] = 1, 1
    masks = {
        name: formats.write_mask(tmp_path / f"{name}.nii.gz", mask, image) for name, mask in (("left", left), ("right", right))
    }
    labelled = Labelled(path, masks)
    assert dice_of_files(masks, labelled) == 1
    assert dice_of_files({"left": masks["left"]}, labelled) == 0.5
    assert dice_of_files({"left": masks["right"], "right": masks["left"]}, labelled) == 0


def test_a_loss_is_reported_as_a_loss() -> None:
    (section,) = sections(Accuracy(0.8, 0.7), [Accuracy(0.9, 0.75), Accuracy(0.5, 0.6)], [0.9])
    text = " ".join(section.sentences)
    assert "0.800 with the first model, 0.700 with the model used" in text
    assert "largest loss of an image was 0.150" in text
