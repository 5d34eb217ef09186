"""``casewise segment``, and the archive that accepted masks make richer."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest
from PIL import Image as Pillow
from pydicom import dcmread

import casewise
from casewise.archive import Archive
from casewise.case import Structure
from casewise.models import Model, Preparation, Spec
from tests.cli.conftest import Call, disc
from tests.formats.slicer_files import segment as named
from tests.formats.slicer_files import slicer
from tests.formats.synthetic import COLUMNS, ROWS, SLICES, Plan, series


@pytest.fixture(scope="session")
def interactive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained interactive model: it answers mostly what the geodesic distances say."""
    network = {"kind": "prompt_unet", "channels": [4, 8, 8]}
    spec = Spec("segmentation", network, Preparation(2, (48, 48)), structures=(Structure.parse("object"),))
    return Model.initial("untrained", spec).save(tmp_path_factory.mktemp("models") / "interactive")


def write_disc(folder: Path, number: int) -> tuple[Path, np.ndarray, str]:
    """(file, mask, box around it as the command takes it)."""
    picture, mask = disc(number)
    path = folder / f"disc{number}.png"
    Pillow.fromarray(picture).save(path)
    return path, mask > 0, box_of(mask)


def box_of(mask: np.ndarray) -> str:
    sides = [np.flatnonzero(mask.any(axis=tuple(n for n in range(mask.ndim) if n != axis))) for axis in range(mask.ndim)]
    return ",".join(f"{max(0, hits[0] - 3)}:{min(n, hits[-1] + 4)}" for hits, n in zip(sides, mask.shape, strict=True))


def overlap(path: Path, truth: np.ndarray) -> float:
    found = np.asarray(Pillow.open(path)) > 0
    return 2 * (found & truth).sum() / (found.sum() + truth.sum())


def test_a_dicom_series_gets_a_segmentation_object_beside_the_mask(call: Call, tmp_path: Path, interactive: Path) -> None:
    series(tmp_path / "series", Plan(), FrameOfReferenceUID="1.2.3.9")
    words = ["--box", "1:5,1:7,2:3", "--model", interactive, "--output", tmp_path / "kidney.nii.gz", "--json"]
    scribbles = np.zeros((ROWS, COLUMNS, SLICES), np.uint8)
    scribbles[3, 4, 2] = 1
    image = casewise.read(tmp_path / "series")
    casewise.formats.write_mask(tmp_path / "strokes.nii.gz", scribbles, image)
    done = call("segment", tmp_path / "series", "--scribbles", tmp_path / "strokes.nii.gz", *words)
    assert done.code == 0, done.err
    (segment,) = dcmread(done.document["segmentation"]).SegmentSequence
    assert (segment.SegmentLabel, segment.SegmentAlgorithmType) == ("kidney", "SEMIAUTOMATIC")


def test_a_box_and_strokes_give_a_mask(call: Call, tmp_path: Path, interactive: Path) -> None:
    path, truth, box = write_disc(tmp_path, 5)
    done = call("segment", path, "--box", box, "--model", interactive, "--output", tmp_path / "mask.png", "--json")
    assert done.code == 0, done.err
    assert set(done.document) == {"mask", "rounds", "seconds", "accepted", "tuned"} and done.document["accepted"] is False
    assert done.document["mask"] == str(tmp_path / "mask.png") and done.document["rounds"] == 0
    assert overlap(tmp_path / "mask.png", truth) > 0.8
    strokes = np.zeros(truth.shape, np.uint8)
    inside, outside = np.argwhere(truth)[0], np.argwhere(truth)[-1] + (2, 0)
    strokes[tuple(inside)], strokes[tuple(outside)] = 1, 2
    Pillow.fromarray(strokes).save(tmp_path / "strokes.png")
    words = ["--box", box, "--scribbles", tmp_path / "strokes.png", "--model", interactive]
    again = call("segment", path, *words, "--output", tmp_path / "second.png", "--json")
    assert again.document["rounds"] == 1
    mask = np.asarray(Pillow.open(tmp_path / "second.png")) > 0
    assert mask[tuple(inside)] and not mask[tuple(outside)]
    lower, upper = (side.split(":")[0] for side in box.split(","))
    beyond = call(
        "segment", path, "--box", f"{lower}:9000,{upper}:9000", "--model", interactive, "-o", tmp_path / "mask.png", "--json"
    )
    assert beyond.code == 0 and f"used was {lower}:{truth.shape[0]},{upper}:{truth.shape[1]}" in beyond.err
    plain = call("segment", path, "--box", box, "--model", interactive, "--output", tmp_path / "mask.png")
    assert str(tmp_path / "mask.png") in plain.out and not plain.err


def test_strokes_that_cross_are_said(call: Call, tmp_path: Path, interactive: Path) -> None:
    grid = np.indices((40, 36, 12)).astype(float)
    truth = (grid[0] - 20) ** 2 + (grid[1] - 18) ** 2 + 9 * (grid[2] - 6) ** 2 < 130
    affine = np.diag([1.0, 1.0, 3.0, 1.0])
    nibabel.save(nibabel.Nifti1Image((100 + 300 * truth).astype(np.int16), affine), tmp_path / "ball.nii.gz")
    layers = np.zeros((2, *truth.shape), np.uint8)
    layers[0, 12:30, 18, 6], layers[1, 26:29, 10:30, 6] = 1, 2
    layers[0, 20, 5:9, 6], layers[1, 17:24, 6, 6] = 1, 2  # as thin as one another
    slicer(tmp_path / "strokes.seg.nrrd", layers, affine, {**named(0, "object", 1, 0), **named(1, "rest", 2, 1)}, values_axis=True)
    words = ["--box", box_of(truth), "--scribbles", tmp_path / "strokes.seg.nrrd", "--model", interactive, "--output"]
    plain = call("segment", tmp_path / "ball.nii.gz", *words, tmp_path / "plain.nii.gz")
    said = "4 voxels were marked as the object and as the rest at once: the thinner stroke counts at 3 of them, and neither at 1."
    assert plain.code == 0 and said in plain.out, plain.err
    done = call("segment", tmp_path / "ball.nii.gz", *words, tmp_path / "mask.nii.gz", "--json")
    assert done.document["remarks"] == [{"flag": "strokes_cross", "sentence": said, "decided": 3, "undecided": 1}]
    mask = np.asarray(nibabel.load(tmp_path / "mask.nii.gz").dataobj) > 0
    assert mask[12:30, 18, 6].all() and not mask[26:29, 10:18, 6].any()
    layers[1] = 2 * layers[0]
    slicer(tmp_path / "strokes.seg.nrrd", layers, affine, {**named(0, "object", 1, 0), **named(1, "rest", 2, 1)}, values_axis=True)
    refused = call("segment", tmp_path / "ball.nii.gz", *words, tmp_path / "none.nii.gz")
    assert refused.code == 2 and "mark each place as one of the two" in refused.sentence


def test_a_volume_keeps_its_grid_and_grows(call: Call, tmp_path: Path, interactive: Path) -> None:
    grid = np.indices((40, 36, 12)).astype(float)
    truth = (grid[0] - 20) ** 2 + (grid[1] - 18) ** 2 + 9 * (grid[2] - 6) ** 2 < 130
    affine = np.array([[-1, 0, 0, 30], [0, 0, 3.0, 5], [0, 1, 0, -7], [0, 0, 0, 1.0]])
    nibabel.save(nibabel.Nifti1Image((100 + 300 * truth).astype(np.int16), affine), tmp_path / "ball.nii.gz")
    for name, box, more in (("whole", box_of(truth), []), ("grown", box_of(truth[..., 6]) + ",6:7", ["--grow"])):
        out = tmp_path / f"{name}.nii.gz"
        done = call("segment", tmp_path / "ball.nii.gz", "--box", box, "--model", interactive, "--output", out, "--json", *more)
        assert done.code == 0, done.err
        written = nibabel.load(out)
        assert np.allclose(written.affine, affine)
        mask = np.asarray(written.dataobj) > 0
        assert 2 * (mask & truth).sum() / (mask.sum() + truth.sum()) > 0.7, name


def test_accepted_masks_lead_the_next_image(call: Call, tmp_path: Path, interactive: Path) -> None:
    archive = tmp_path / "archive"
    options = ["--archive", archive, "--structure", "disc", "--model", interactive]
    path, _, _ = write_disc(tmp_path, 0)
    empty = call("segment", path, *options, "--output", tmp_path / "none.png")
    assert empty.code == 2 and "Give --box" in empty.sentence
    for number in range(3):
        path, _, box = write_disc(tmp_path, number)
        done = call("segment", path, *options, "--box", box, "--output", tmp_path / f"mask{number}.png", "--accept", "--json")
        assert done.code == 0 and done.document["accepted"], done.err
    with Archive.open(archive) as opened:
        cases = opened.cases(["disc"])
        assert len(cases) == 3
        made = opened.labels(cases[-1].key)[0]["origin"]
        written = np.asarray(Pillow.open(tmp_path / "mask2.png")) > 0
        assert np.array_equal(cases[-1].load_masks["disc"](), written)
    assert made["how"] == "interactive" and made["rounds"] == 0 and made["model_name"] == "untrained+disc"
    assert set(made["refined_on"]) == {case.key for case in cases[:2]}
    again = call("segment", path, *options, "--box", box, "--output", tmp_path / "again.png", "--accept")
    assert again.code == 0 and "2 accepted cases" in again.out
    with Archive.open(archive) as opened:
        assert len(opened.cases(["disc"])) == 3


def test_a_draft_teaches_nothing_until_it_is_accepted(call: Call, tmp_path: Path, interactive: Path) -> None:
    options = ["--archive", tmp_path / "archive", "--structure", "disc", "--model", interactive]
    path, _, box = write_disc(tmp_path, 4)
    draft = tmp_path / "draft.png"
    done = call("segment", path, *options, "--box", box, "--output", draft, "--json")
    assert done.code == 0 and done.document["accepted"] is False
    with Archive.open(tmp_path / "archive") as opened:
        assert len(opened) == 0 and not opened.cases(["disc"])
    corrected = np.asarray(Pillow.open(draft)) > 0
    corrected[:5, :5] = True
    Pillow.fromarray(corrected.astype(np.uint8) * 255).save(tmp_path / "corrected.png")
    kept = call(
        "segment", path, *options, "--from-mask", tmp_path / "corrected.png", "--accept", "-o", tmp_path / "k.png", "--json"
    )
    assert kept.code == 0 and kept.document["accepted"], kept.err
    with Archive.open(tmp_path / "archive") as opened:
        (case,) = opened.cases(["disc"])
        assert np.array_equal(case.load_masks["disc"](), corrected), "the corrected mask as it is"
    assert np.array_equal(np.asarray(Pillow.open(tmp_path / "k.png")) > 0, corrected)


def test_a_mask_to_go_on_from_is_kept_where_no_stroke_says_otherwise(call: Call, tmp_path: Path, interactive: Path) -> None:
    path, truth, _ = write_disc(tmp_path, 5)
    mask = tmp_path / "mask.png"
    Pillow.fromarray(truth.astype(np.uint8) * 255).save(mask)
    done = call("segment", path, "--from-mask", mask, "--model", interactive, "--output", tmp_path / "same.png")
    assert done.code == 0 and np.array_equal(np.asarray(Pillow.open(tmp_path / "same.png")) > 0, truth)
    assert call("segment", path, "--from-mask", mask, "--model", interactive, "--output", mask).code == 2, "it is an input"
    Pillow.fromarray(np.zeros((64, 64), np.uint8)).save(tmp_path / "empty.png")
    empty = call("segment", path, "--from-mask", tmp_path / "empty.png", "--model", interactive, "--output", tmp_path / "e.png")
    assert empty.code == 2 and "no voxel" in empty.sentence


@pytest.mark.parametrize(
    ("words", "reported"),
    [
        ([], "Give the box"),
        (["--box", "1:9,1:9", "--accept"], "accepted into an archive"),
        (["--box", "3:9"], "2 pairs"),
        (["--box", "3:9,a:4"], "A box is LO:HI,LO:HI"),
        (["--box", "9:3,1:4"], "LO below HI"),
        (["--box", "90:99,1:4"], "holds no voxel"),
        (["--box", "1:9,1:9", "--structure", "disc"], "--archive and --structure together"),
        (["--box", "1:9,1:9", "--grow"], "one slice of a volume"),
        (["--box", "1:9,1:9", "--scribbles", "wrong.png"], "other labels than 1"),
        (["--box", "1:9,1:9", "--scribbles", "small.png"], "a mask has the shape of its image"),
        (["--box", "1:9,1:9", "--scribbles", "absent.png"], "absent.png"),
        (["--box", "1:9,1:9", "--model", "nowhere"], "no model at nowhere"),
    ],
)
def test_impossible_calls_are_one_sentence(
    words: list[str], reported: str, call: Call, tmp_path: Path, interactive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, _, _ = write_disc(tmp_path, 1)
    monkeypatch.chdir(tmp_path)
    Pillow.fromarray(np.full((64, 64), 7, np.uint8)).save(tmp_path / "wrong.png")
    Pillow.fromarray(np.ones((5, 5), np.uint8)).save(tmp_path / "small.png")
    model = [] if "--model" in words else ["--model", interactive]
    done = call("segment", path, *words, *model, "--output", tmp_path / "mask.png", "--json")
    assert done.code == 2
    assert reported in done.sentence
    assert not done.out and not (tmp_path / "mask.png").exists()
