"""OHIF's own client code under Node: what its panel sends, and masks whose bytes lie in the order of its volumes.

OHIF puts the bytes of an answer into its label map as they come, and reads no geometry. Its volumes (Cornerstone3D) count columns
first, then rows, then slices in the direction of the normal of rows and columns.
"""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pydicom
import pytest

from tests.server.compat.monailabel import scenes
from tests.server.compat.monailabel.conftest import Driven, Served


def volume_of(folder: Path) -> tuple[npt.NDArray[np.int16], list[Any]]:
    """((column, row, slice) as OHIF's volume of a series has them, its data sets in this order)."""
    sets = [pydicom.dcmread(file) for file in folder.iterdir()]
    row, column = np.array(sets[0].ImageOrientationPatient, float).reshape(2, 3)
    normal = np.cross(row, column)
    sets.sort(key=lambda one: float(np.dot(normal, np.array(one.ImagePositionPatient, float))))
    return np.stack([one.pixel_array.T for one in sets], axis=2), sets


def mask_of(answer: dict[str, Any]) -> npt.NDArray[np.uint8]:
    """(column, row, slice) of the bytes as they go into OHIF's label map."""
    assert answer.get("status") == 200, answer
    assert answer["encoding"] == "raw"
    return np.frombuffer(base64.b64decode(answer["mask"]), np.uint8).reshape(answer["sizes"], order="F")


@pytest.mark.parametrize("downwards", [False, True])
def test_points_and_masks_count_voxels_as_ohifs_volume_does(downwards: bool, ohif: Driven, served: Served, tmp_path: Path) -> None:
    scene = scenes.series(tmp_path, downwards)
    served.archive.import_paths([scene.path, scenes.volume(tmp_path, "RAS").path])
    voxels, sets = volume_of(scene.path)
    bright = np.argwhere(voxels > 200)
    middle = np.rint(bright.mean(axis=0)).astype(int).tolist()
    beside = [middle[0], middle[1] - 15, middle[2]]
    params = {"foreground": [middle], "background": [beside], "roi": [v for m in middle for v in (m - 10, m + 10)]}
    answer = ohif.ask(["infer", ["casewise-clicks", sets[0].SeriesInstanceUID, params]])
    mask = mask_of(answer)
    assert mask.shape == voxels.shape
    assert set(np.unique(mask)) == {0, 1}
    truth = voxels > 175
    assert 2 * np.logical_and(mask, truth).sum() / (mask.sum() + truth.sum()) > 0.6

    # What the panel saves is the label map's bytes in the same order.
    drawn = np.zeros(voxels.shape, np.uint8)
    drawn[middle[0] - 2 : middle[0] + 3, middle[1], middle[2]] = 1
    drawn[1:4, 2:9, 0] = 2
    names = {"label_info": [{"name": "ball", "idx": 1}, {"name": "corner", "idx": 2}]}
    raw = base64.b64encode(drawn.tobytes(order="F")).decode()
    saved = ohif.ask(["save_label", [sets[0].SeriesInstanceUID, raw, names]])
    assert saved["status"] == 200, saved
    case = served.archive.case(saved["result"]["image"])
    assert case.image.header.format == "DICOM"
    for number, name in enumerate(("ball", "corner"), start=1):
        places = np.argwhere(drawn == number)
        expected = np.stack([place_of(sets[k], column, row) for column, row, k in places])
        own = np.argwhere(case.load_masks[name]())
        assert np.allclose(
            sorted((own @ case.image.affine[:3, :3].T + case.image.affine[:3, 3]).tolist()), sorted(expected.tolist())
        )
    wrong = ohif.ask(["save_label", [sets[0].SeriesInstanceUID, base64.b64encode(b"123").decode(), names]])
    assert "3 voxels" in str(wrong)


def place_of(data: Any, column: int, row: int) -> npt.NDArray[np.float64]:
    """Where DICOM says a pixel's centre lies, in RAS."""
    along, down = np.array(data.ImageOrientationPatient, float).reshape(2, 3)
    down_step, along_step = (float(step) for step in data.PixelSpacing)
    lps = np.array(data.ImagePositionPatient, float) + along * along_step * column + down * down_step * row
    return np.asarray(lps * [-1, -1, 1])


def test_info_next_sample_and_training(ohif: Driven, served: Served, tmp_path: Path) -> None:
    scene = scenes.volume(tmp_path, "LAS")
    served.archive.import_paths([scene.path])
    info = ohif.ask(["info", []])["result"]
    info["labels"].append("pushed")  # the panel pushes each model's labels onto it
    assert info["labels"][-2:] == ["background", "pushed"]
    (case,) = served.archive.cases()
    assert ohif.ask(["next_sample", ["first", {}]])["result"]["id"] == case.key
    assert ohif.ask(["is_train_running", []])["result"] is False
    served.archive.add_masks(case.key, case.image, {"ball": scene.ball})
    started = ohif.ask(["run_train", [{}]])
    assert started["result"]["segmenter"]["result"]["status"] == "SUBMITTED"
    assert ohif.ask(["is_train_running", []])["result"] is True
    assert ohif.ask(["stop_train", []])["result"]["status"] == "STOPPED"


def test_a_mistake_reaches_the_panel_as_a_sentence(ohif: Driven) -> None:
    answer = ohif.ask(["infer", ["casewise-clicks", "1.2.3.4", {"foreground": [[1, 1, 1]]}]])
    assert answer["status"] == 404
    assert "The archive has no image '1.2.3.4'" in answer["error"]


def test_a_model_answers_by_the_values_of_its_labels(ohif: Driven, served: Served, shared_data: Path) -> None:
    (file,) = list((shared_data / "hippocampus" / "images").glob("hippocampus_004.nii.gz"))
    served.archive.import_paths([file])
    mask = mask_of(ohif.ask(["infer", ["casewise-hippocampus", "hippocampus_004", {}]]))
    assert ohif.ask(["info", []])["result"]["models"]["casewise-hippocampus"]["labels"] == {"hippocampus": 1}
    assert 500 < int((mask == 1).sum()) < 10_000
    assert set(np.unique(mask)) == {0, 1}
